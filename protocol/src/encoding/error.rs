//! What can be wrong with text that claims to be KMIP, or with bytes that shall become text.

use crate::Tag;
use crate::error::DecodeError;
use crate::ttlv::ItemType;

/// Where and how a message cannot be turned into another encoding. Values are never repeated: they may be secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind}, in {place}")]
pub struct EncodingError {
    /// What is wrong.
    pub kind: EncodingErrorKind,
    /// The name of the item in which it is wrong.
    pub place: String,
}

impl EncodingError {
    pub(super) fn new(kind: EncodingErrorKind, place: impl Into<String>) -> Self {
        Self { kind, place: place.into() }
    }

    pub(super) fn of(kind: EncodingErrorKind, tag: Tag) -> Self {
        Self::new(kind, tag.to_string())
    }
}

impl From<DecodeError> for EncodingError {
    fn from(error: DecodeError) -> Self {
        Self::new(EncodingErrorKind::Bytes(error), "the message")
    }
}

/// The ways in which that can be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingErrorKind {
    /// The bytes are no TTLV.
    #[error("{0}")]
    Bytes(DecodeError),
    /// The text is no XML or no JSON at all. What the parser says of it names no value.
    #[error("it is not well-formed at byte {0}")]
    Malformed(u64),
    /// A document type, a processing instruction, or text between elements: none has a place in a message.
    #[error("only elements, attributes and comments have a place in a message")]
    Markup,
    /// A tag's name is unknown.
    #[error("no tag has the name")]
    UnknownTag,
    /// A type's name is unknown.
    #[error("no type has the name")]
    UnknownType,
    /// A value is missing.
    #[error("the value is missing")]
    NoValue,
    /// A value is there that should not be.
    #[error("a structure has items and no value")]
    ValueOfStructure,
    /// The value is not one of its type.
    #[error("the value is none of type {0}")]
    WrongValue(ItemType),
    /// No value of the enumeration has the name.
    #[error("no value of the enumeration has the name")]
    UnknownName,
    /// Structures nest deeper than [`crate::limits::DEPTH`].
    #[error("structures nest deeper than {}", crate::limits::DEPTH)]
    TooDeep,
    /// There is no message, or more than one.
    #[error("one message is one item")]
    NotOneItem,
    /// A control character, which XML cannot carry.
    #[error("XML has no way to write the text's control characters")]
    Unwritable,
}
