//! Get (KMIP 1.4 section 4.11).

use super::request;
use crate::enums::{KeyCompressionType, KeyFormatType, KeyWrapType, ObjectType};
use crate::identifier::UniqueIdentifier;
use crate::object::{KeyWrappingSpecification, ManagedObject};
use crate::structure;

structure! {
    /// Asks for an object itself.
    #[derive(Default)]
    pub struct GetRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The format wanted; the server's default for the object where absent.
        pub key_format_type: Option<KeyFormatType> = KEY_FORMAT_TYPE,
        /// Whether an object that was registered wrapped is to be unwrapped.
        pub key_wrap_type: Option<KeyWrapType> = KEY_WRAP_TYPE, since V1_4,
        /// How a point on a curve is to be written.
        pub key_compression_type: Option<KeyCompressionType> = KEY_COMPRESSION_TYPE,
        /// How the key is to be wrapped.
        pub key_wrapping_specification: Option<KeyWrappingSpecification> = KEY_WRAPPING_SPECIFICATION,
    }
}

structure! {
    no Clone
    /// The object.
    pub struct GetResponse {
        /// What it is.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// Its identifier.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The object itself, under the tag of its type.
        pub object: ManagedObject = KEY,
    }
}

request!(GetRequest => GetResponse, Get);
