//! How a request names an object.

use crate::Tag;
use crate::enums::{Enumeration as _, UniqueIdentifierPlaceholder};
use crate::error::DecodeError;
use crate::ttlv::{Content, Item, ItemType, Value, Writer};

/// A Unique Identifier (KMIP 2.1 section 4.58). Before 2.0 it is always text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UniqueIdentifier {
    /// The identifier that the server gave.
    Text(String),
    /// What an earlier item of the same batch made.
    Placeholder(UniqueIdentifierPlaceholder),
    /// The identifier at this place among those of the batch; from its end where negative.
    Index(i32),
}

impl UniqueIdentifier {
    /// The identifier, where it is written out.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(id) => Some(id),
            Self::Placeholder(_) | Self::Index(_) => None,
        }
    }
}

impl From<&str> for UniqueIdentifier {
    fn from(id: &str) -> Self {
        Self::Text(id.to_owned())
    }
}

impl From<String> for UniqueIdentifier {
    fn from(id: String) -> Self {
        Self::Text(id)
    }
}

impl Value for UniqueIdentifier {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::TextString(text) => Ok(Self::Text(text.to_owned())),
            Content::Enumeration(value) if item.version.is_2x() => {
                Ok(Self::Placeholder(UniqueIdentifierPlaceholder::from_value(value)))
            }
            Content::Integer(index) if item.version.is_2x() => Ok(Self::Index(index)),
            _ => Err(item.wrong_type(ItemType::TextString)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        match self {
            Self::Text(id) => id.write(writer, tag),
            Self::Placeholder(placeholder) => placeholder.write(writer, tag),
            Self::Index(index) => index.write(writer, tag),
        }
    }
}
