//! Tag, type, length, value: the binary encoding (KMIP 1.4 section 9.1, 2.1 section 10).

mod dump;
mod reader;
mod value;
mod writer;

use core::fmt;

pub use dump::dump;
pub use reader::{Content, Item, Reader};
pub use value::{BigInteger, Bytes, DateTimeExtended, Interval, RawValue, Value};
pub use writer::Writer;

/// What kind of value an item holds (KMIP 1.4 section 9.1.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ItemType {
    /// Items within an item.
    Structure = 0x01,
    /// 32 bits, signed.
    Integer = 0x02,
    /// 64 bits, signed.
    LongInteger = 0x03,
    /// Any number of bits, signed, in multiples of eight bytes.
    BigInteger = 0x04,
    /// One of a table.
    Enumeration = 0x05,
    /// True or false.
    Boolean = 0x06,
    /// UTF-8.
    TextString = 0x07,
    /// Bytes.
    ByteString = 0x08,
    /// Seconds since 1970.
    DateTime = 0x09,
    /// A duration in seconds.
    Interval = 0x0A,
    /// Microseconds since 1970 (2.0 and later).
    DateTimeExtended = 0x0B,
}

impl ItemType {
    /// The type that a type byte means.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Structure,
            0x02 => Self::Integer,
            0x03 => Self::LongInteger,
            0x04 => Self::BigInteger,
            0x05 => Self::Enumeration,
            0x06 => Self::Boolean,
            0x07 => Self::TextString,
            0x08 => Self::ByteString,
            0x09 => Self::DateTime,
            0x0A => Self::Interval,
            0x0B => Self::DateTimeExtended,
            _ => return None,
        })
    }

    /// Every type.
    pub const ALL: [Self; 11] = [
        Self::Structure,
        Self::Integer,
        Self::LongInteger,
        Self::BigInteger,
        Self::Enumeration,
        Self::Boolean,
        Self::TextString,
        Self::ByteString,
        Self::DateTime,
        Self::Interval,
        Self::DateTimeExtended,
    ];

    /// The type that has this name, with or without its spaces.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
        Self::ALL.into_iter().find(|item_type| letters(item_type.name()) == letters(name))
    }

    /// The length that every value of this type has; `None` where it varies.
    #[must_use]
    pub fn fixed_length(self) -> Option<usize> {
        match self {
            Self::Integer | Self::Enumeration | Self::Interval => Some(4),
            Self::LongInteger | Self::Boolean | Self::DateTime | Self::DateTimeExtended => Some(8),
            Self::Structure | Self::BigInteger | Self::TextString | Self::ByteString => None,
        }
    }

    /// The type's name in the specification.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Structure => "Structure",
            Self::Integer => "Integer",
            Self::LongInteger => "Long Integer",
            Self::BigInteger => "Big Integer",
            Self::Enumeration => "Enumeration",
            Self::Boolean => "Boolean",
            Self::TextString => "Text String",
            Self::ByteString => "Byte String",
            Self::DateTime => "Date Time",
            Self::Interval => "Interval",
            Self::DateTimeExtended => "Date Time Extended",
        }
    }
}

impl fmt::Display for ItemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
