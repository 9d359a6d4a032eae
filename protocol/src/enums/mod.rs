//! Every enumeration of the specification, each with the names of its values.
//!
//! A value that this crate does not know is kept as `Other(value)`: it is carried, never dropped.

mod crypto;
mod curves;
mod messages;
mod objects;
mod pkcs_11;

pub use crypto::*;
pub use curves::*;
pub use messages::*;
pub use objects::*;
pub use pkcs_11::*;

/// What all enumerations have in common.
pub trait Enumeration: Copy + Eq + Sized + 'static {
    /// The enumeration's name in the specification.
    const NAME: &'static str;
    /// Its known values, ascending.
    const ALL: &'static [Self];

    /// The value's meaning; `Other` where it has none here.
    fn from_value(value: u32) -> Self;
    /// The value on the wire.
    fn value(self) -> u32;
    /// The value's name as the specification writes it.
    fn name(self) -> Option<&'static str>;
}

macro_rules! enumeration {
    (
        $(#[$doc:meta])*
        $name:ident, $text:literal { $($variant:ident = $value:literal, $label:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $(
                #[doc = $label]
                $variant,
            )*
            /// A value outside the specification's table, or newer than it.
            Other(u32),
        }

        impl $crate::enums::Enumeration for $name {
            const NAME: &'static str = $text;
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn from_value(value: u32) -> Self {
                match value {
                    $($value => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            fn value(self) -> u32 {
                match self {
                    $(Self::$variant => $value,)*
                    Self::Other(value) => value,
                }
            }

            fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($label),)*
                    Self::Other(_) => None,
                }
            }
        }

        impl $crate::ttlv::Value for $name {
            fn read(item: $crate::ttlv::Item<'_>) -> Result<Self, $crate::error::DecodeError> {
                match item.content {
                    $crate::ttlv::Content::Enumeration(value) => {
                        Ok(<Self as $crate::enums::Enumeration>::from_value(value))
                    }
                    _ => Err(item.wrong_type($crate::ttlv::ItemType::Enumeration)),
                }
            }

            fn write(&self, writer: &mut $crate::ttlv::Writer, tag: $crate::Tag) {
                let value = $crate::enums::Enumeration::value(*self).to_be_bytes();
                writer.item(tag, $crate::ttlv::ItemType::Enumeration, &value);
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match $crate::enums::Enumeration::name(*self) {
                    Some(name) => f.write_str(name),
                    None => write!(f, "0x{:08X}", $crate::enums::Enumeration::value(*self)),
                }
            }
        }
    };
}
use enumeration;

#[cfg(test)]
mod tests {
    use super::{Enumeration, ObjectType, RecommendedCurve, ResultReason, State};

    #[test]
    fn every_value_survives_the_way_there_and_back() {
        for reason in ResultReason::ALL {
            assert_eq!(ResultReason::from_value(reason.value()), *reason);
        }
        assert_eq!(State::from_value(0x8000_0001), State::Other(0x8000_0001));
        assert_eq!(State::Other(0x8000_0001).value(), 0x8000_0001);
    }

    #[test]
    fn names_are_the_specifications() {
        assert_eq!(ObjectType::PublicKey.to_string(), "Public Key");
        assert_eq!(RecommendedCurve::P256.to_string(), "P-256");
        assert_eq!(ObjectType::Other(0x80).to_string(), "0x00000080");
    }
}
