//! The two other encodings of a message, XML and JSON (KMIP Additional Message Encodings 1.0, sections 4 and 6).
//!
//! Both say what TTLV says, by name: what is written from bytes gives the same bytes when it is read. A tag or a value
//! that has no name here goes as a number.

mod error;
mod json;
mod names;
mod scalar;
mod xml;

pub use error::{EncodingError, EncodingErrorKind};
pub use json::{from_json, to_json};
pub use names::{enumeration_name, enumeration_value, normalized, tag_name, tag_named};
pub use xml::{from_xml, to_xml};

/// How a message is encoded, where the transport lets a client choose (section 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Tag, type, length, value.
    Ttlv,
    /// XML.
    Xml,
    /// JSON.
    Json,
}

impl Encoding {
    /// The Content-Type of the encoding.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ttlv => "application/octet-stream",
            Self::Xml => "text/xml",
            Self::Json => "application/json",
        }
    }

    /// The encoding that a Content-Type means, whatever parameters follow it.
    #[must_use]
    pub fn from_content_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        [Self::Ttlv, Self::Xml, Self::Json]
            .into_iter()
            .find(|encoding| essence.eq_ignore_ascii_case(encoding.content_type()))
            .or_else(|| essence.eq_ignore_ascii_case("application/xml").then_some(Self::Xml))
    }
}
