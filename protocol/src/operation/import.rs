//! Import (KMIP 1.4 section 4.41, 2.1 section 6.1.25; 1.4 and later).

use super::request;
use crate::attribute::AttributeList;
use crate::enums::{KeyWrapType, ObjectType};
use crate::object::ManagedObject;
use crate::structure;

structure! {
    no Clone
    /// Gives an object with its identifier and all attributes to another server.
    pub struct ImportRequest {
        /// The identifier that it keeps.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// What it is; always stated from 2.0 on.
        pub object_type: Option<ObjectType> = OBJECT_TYPE,
        /// Whether an object with that identifier gives way.
        pub replace_existing: Option<bool> = REPLACE_EXISTING,
        /// Whether a wrapped key is to be unwrapped.
        pub key_wrap_type: Option<KeyWrapType> = KEY_WRAP_TYPE,
        /// Its attributes.
        pub attributes: AttributeList = ATTRIBUTES,
        /// The object itself, under the tag of its type.
        pub object: ManagedObject = KEY,
    }
}

structure! {
    /// It is kept.
    pub struct ImportResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(ImportRequest => ImportResponse, Import);
