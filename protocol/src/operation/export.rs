//! Export (KMIP 1.4 section 4.40, 2.1 section 6.1.18; 1.4 and later).

use super::request;
use crate::attribute::AttributeList;
use crate::enums::{KeyCompressionType, KeyFormatType, KeyWrapType, ObjectType};
use crate::identifier::UniqueIdentifier;
use crate::object::{KeyWrappingSpecification, ManagedObject};
use crate::structure;

structure! {
    /// Asks for an object with all its attributes, to give it to another server.
    #[derive(Default)]
    pub struct ExportRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The format wanted; the server's default for the object where absent.
        pub key_format_type: Option<KeyFormatType> = KEY_FORMAT_TYPE,
        /// Whether an object that was registered wrapped is to be unwrapped.
        pub key_wrap_type: Option<KeyWrapType> = KEY_WRAP_TYPE,
        /// How a point on a curve is to be written.
        pub key_compression_type: Option<KeyCompressionType> = KEY_COMPRESSION_TYPE,
        /// How the key is to be wrapped.
        pub key_wrapping_specification: Option<KeyWrappingSpecification> = KEY_WRAPPING_SPECIFICATION,
    }
}

structure! {
    no Clone
    /// The object.
    pub struct ExportResponse {
        /// What it is.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// Its identifier.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Its attributes.
        pub attributes: AttributeList = ATTRIBUTES,
        /// The object itself, under the tag of its type.
        pub object: ManagedObject = KEY,
    }
}

request!(ExportRequest => ExportResponse, Export);
