//! How Rust's types stand for TTLV's.

use core::fmt;
use std::sync::Arc;

use crate::error::DecodeError;
use crate::ttlv::{Content, Item, ItemType, Reader, Writer};
use crate::{DateTime, Secret, Tag, Version};

/// A type that is read from an item and written as one.
///
/// `take` and `put` are what a field of this type means in a structure: exactly one item for a plain value, at most
/// one for an `Option`, any number for a `Vec`.
pub trait Value: Sized {
    /// Reads the value from its item.
    ///
    /// # Errors
    /// When the item has another type or holds what the value cannot be.
    fn read(item: Item<'_>) -> Result<Self, DecodeError>;

    /// Writes the value as an item.
    fn write(&self, writer: &mut Writer, tag: Tag);

    /// The tag that `version` has for a field of this type, where it differs from the newest version's.
    #[must_use]
    fn tag_in(tag: Tag, version: Version) -> Tag {
        let _ = version;
        tag
    }

    /// Takes the field out of a structure.
    ///
    /// # Errors
    /// When the field is missing or malformed.
    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        let tag = Self::tag_in(tag, reader.version());
        match reader.take(tag)? {
            Some(item) => Self::read(item),
            None => Err(reader.missing(tag)),
        }
    }

    /// Writes the field into a structure.
    fn put(&self, writer: &mut Writer, tag: Tag) {
        self.write(writer, tag);
    }
}

impl<T: Value> Value for Option<T> {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        T::read(item).map(Some)
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        if let Some(value) = self {
            value.write(writer, tag);
        }
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        reader.take(T::tag_in(tag, reader.version()))?.map(T::read).transpose()
    }
}

impl<T: Value> Value for Arc<T> {
    fn tag_in(tag: Tag, version: Version) -> Tag {
        T::tag_in(tag, version)
    }

    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        T::read(item).map(Self::new)
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        T::write(self, writer, tag);
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        T::read(item).map(|value| vec![value])
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        for value in self {
            value.write(writer, tag);
        }
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        let tag = T::tag_in(tag, reader.version());
        let mut all = Self::new();
        while let Some(item) = reader.take(tag)? {
            all.push(T::read(item)?);
        }
        Ok(all)
    }
}

macro_rules! scalar {
    ($type:ty, $item_type:ident, $value:ident => $bytes:expr, $content:ident => $read:expr) => {
        impl Value for $type {
            fn read(item: Item<'_>) -> Result<Self, DecodeError> {
                match item.content {
                    Content::$item_type($content) => Ok($read),
                    _ => Err(item.wrong_type(ItemType::$item_type)),
                }
            }

            fn write(&self, writer: &mut Writer, tag: Tag) {
                let $value = self;
                writer.item(tag, ItemType::$item_type, $bytes);
            }
        }
    };
}

scalar!(i32, Integer, value => &value.to_be_bytes(), found => found);
scalar!(i64, LongInteger, value => &value.to_be_bytes(), found => found);
scalar!(bool, Boolean, value => &u64::from(*value).to_be_bytes(), found => found);
scalar!(String, TextString, value => value.as_bytes(), found => found.to_owned());
scalar!(Secret, ByteString, value => value.expose(), found => Secret::from(found));
scalar!(Bytes, ByteString, value => &value.0, found => Self(found.to_vec()));
scalar!(DateTime, DateTime, value => &value.0.to_be_bytes(), found => Self(found));
scalar!(DateTimeExtended, DateTimeExtended, value => &value.0.to_be_bytes(), found => Self(found));
scalar!(Interval, Interval, value => &value.0.to_be_bytes(), found => Self(found));

/// A Byte String that is no secret. Prints its length, since it may be long.
#[derive(Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

/// A Big Integer, held as on the wire: two's complement, big-endian, in multiples of eight bytes. Often part of a key.
#[derive(PartialEq, Eq, Debug)]
pub struct BigInteger(Secret);

impl BigInteger {
    /// The number whose magnitude these bytes are, big-endian.
    #[must_use]
    pub fn from_magnitude(bytes: &[u8]) -> Self {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let bytes = bytes.get(start..).unwrap_or_default();
        // One zero bit at least has to stand before a positive number.
        let sign = usize::from(bytes.first().is_none_or(|first| first & 0x80 != 0));
        let length = (bytes.len() + sign).next_multiple_of(8);
        let mut padded = vec![0; length - bytes.len()];
        padded.reserve_exact(bytes.len());
        padded.extend_from_slice(bytes);
        Self(Secret::new(padded))
    }

    /// The magnitude, big-endian, without leading zeros; `None` where the number is negative.
    #[must_use]
    pub fn magnitude(&self) -> Option<&[u8]> {
        let bytes = self.0.expose();
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            return None;
        }
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        bytes.get(start..)
    }
}

impl Value for BigInteger {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::BigInteger(bytes) => Ok(Self(Secret::from(bytes))),
            _ => Err(item.wrong_type(ItemType::BigInteger)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        writer.item(tag, ItemType::BigInteger, self.0.expose());
    }
}

/// Microseconds since 1970-01-01T00:00:00Z (KMIP 2.1 section 10.1; 2.0 and later).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DateTimeExtended(pub i64);

/// A duration in seconds (KMIP 1.4 section 9.1.1.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Interval(pub u32);

/// A value of any type, kept as it stood on the wire: custom attributes and vendor extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawValue {
    /// Its type.
    pub item_type: ItemType,
    /// The bytes of its value, without padding.
    pub bytes: Bytes,
}

impl RawValue {
    /// A Text String.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { item_type: ItemType::TextString, bytes: Bytes(text.as_bytes().to_vec()) }
    }

    /// The text, where the value is a Text String.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.item_type {
            ItemType::TextString => core::str::from_utf8(&self.bytes.0).ok(),
            _ => None,
        }
    }
}

impl Value for RawValue {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        let item_type = item.content.item_type();
        let bytes = match item.content {
            Content::Structure(reader) => reader.rest().to_vec(),
            Content::Integer(value) => value.to_be_bytes().to_vec(),
            Content::Enumeration(value) | Content::Interval(value) => value.to_be_bytes().to_vec(),
            Content::LongInteger(value) | Content::DateTime(value) | Content::DateTimeExtended(value) => {
                value.to_be_bytes().to_vec()
            }
            Content::Boolean(value) => u64::from(value).to_be_bytes().to_vec(),
            Content::TextString(text) => text.as_bytes().to_vec(),
            Content::BigInteger(bytes) | Content::ByteString(bytes) => bytes.to_vec(),
        };
        Ok(Self { item_type, bytes: Bytes(bytes) })
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        writer.item(tag, self.item_type, &self.bytes.0);
    }
}

/// Declares a structure: its fields in the specification's order, each with its tag and, where not every version has
/// it, the versions that do (`since V1_4`, `until V1_4`).
#[macro_export]
macro_rules! structure {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                $(#[$field_meta:meta])*
                pub $field:ident : $type:ty = $tag:ident $(, since $since:ident)? $(, until $until:ident)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }
        $crate::structure_value!($name { $($field: $type = $tag [$($since)?] [$($until)?],)* });
    };
    (
        no Clone
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                $(#[$field_meta:meta])*
                pub $field:ident : $type:ty = $tag:ident $(, since $since:ident)? $(, until $until:ident)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(PartialEq, Debug)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }
        $crate::structure_value!($name { $($field: $type = $tag [$($since)?] [$($until)?],)* });
    };
}

/// The encoding of a structure that [`structure!`] declares.
#[doc(hidden)]
#[macro_export]
macro_rules! structure_value {
    ($name:ident { $($field:ident : $type:ty = $tag:ident [$($since:ident)?] [$($until:ident)?],)* }) => {
        impl $crate::ttlv::Value for $name {
            fn read(item: $crate::ttlv::Item<'_>) -> Result<Self, $crate::error::DecodeError> {
                #[allow(unused_mut, reason = "a structure may have no fields")]
                let mut reader = item.structure()?;
                $(
                    let $field = $crate::structure_value!(@read reader, $type, $tag, [$($since)?] [$($until)?]);
                )*
                reader.finish()?;
                Ok(Self { $($field,)* })
            }

            fn write(&self, writer: &mut $crate::ttlv::Writer, tag: $crate::Tag) {
                writer.structure(tag, |writer| {
                    let _ = &writer;
                    $(
                        if $crate::structure_value!(@has writer.version(), [$($since)?] [$($until)?]) {
                            writer.field($crate::Tag::$tag, &self.$field);
                        }
                    )*
                });
            }
        }
    };
    (@read $reader:ident, $type:ty, $tag:ident, [] []) => {
        $reader.field::<$type>($crate::Tag::$tag)?
    };
    (@read $reader:ident, $type:ty, $tag:ident, $since:tt $until:tt) => {
        if $crate::structure_value!(@has $reader.version(), $since $until) {
            $reader.field::<$type>($crate::Tag::$tag)?
        } else {
            <$type>::default()
        }
    };
    (@has $version:expr, [] []) => { true };
    (@has $version:expr, [$since:ident] []) => { $version >= $crate::Version::$since };
    (@has $version:expr, [] [$until:ident]) => { $version <= $crate::Version::$until };
    (@has $version:expr, [$since:ident] [$until:ident]) => {
        $version >= $crate::Version::$since && $version <= $crate::Version::$until
    };
}
