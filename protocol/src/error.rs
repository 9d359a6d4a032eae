//! What can be wrong with bytes that claim to be KMIP.

use crate::Tag;
use crate::ttlv::ItemType;

/// Where and how a message departs from the specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind}, in {}, at byte {offset}", Place(*tag))]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The item in which it is wrong, where one had begun.
    pub tag: Option<Tag>,
    /// Bytes from the start of the message.
    pub offset: usize,
}

/// The ways in which a message can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The item states more bytes than its surroundings hold.
    #[error("it ends before its stated length")]
    Truncated,
    /// Structures nest deeper than [`crate::limits::DEPTH`].
    #[error("structures nest deeper than {}", crate::limits::DEPTH)]
    TooDeep,
    /// The type byte is none of 1.0 to 2.1.
    #[error("0x{0:02X} is no item type")]
    UnknownType(u8),
    /// The length does not fit the type.
    #[error("{stated} bytes do not make a value of type {item_type}")]
    WrongLength {
        /// The type that the item states.
        item_type: ItemType,
        /// The length that the item states.
        stated: usize,
    },
    /// The item has another type than the specification gives it.
    #[error("it is of type {found} and ought to be of type {expected}")]
    WrongType {
        /// The specification's type.
        expected: ItemType,
        /// The item's own.
        found: ItemType,
    },
    /// A Text String that is not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// A Boolean that is neither 0 nor 1.
    #[error("a Boolean is 0 or 1")]
    NotBoolean,
    /// A field that has to be there is not.
    #[error("the field is missing")]
    Missing,
    /// A field that does not belong here, in the message's version.
    #[error("the field does not belong here in this version")]
    Unexpected,
    /// A field that may stand once stands again.
    #[error("the field stands more than once")]
    Repeated,
    /// So many fields stand out of the specification's order that they are no longer followed.
    #[error("the fields are out of order")]
    OutOfOrder,
    /// A value outside what the field may hold.
    #[error("the value cannot be used: {0}")]
    InvalidValue(&'static str),
    /// Bytes after the end of the message.
    #[error("bytes follow the end of the message")]
    Trailing,
}

struct Place(Option<Tag>);

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(tag) => tag.fmt(f),
            None => f.write_str("the message"),
        }
    }
}
