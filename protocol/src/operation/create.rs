//! Create (KMIP 1.4 section 4.1, 2.1 section 6.1.8).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::enums::ObjectType;
use crate::structure;

structure! {
    /// Asks for a new symmetric key, or from 2.0 on for Secret Data.
    pub struct CreateRequest {
        /// What to make.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// Its attributes.
        pub attributes: Attributes = ATTRIBUTES,
        /// Where it may be kept.
        pub protection: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// The new object.
    pub struct CreateResponse {
        /// What it is.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

request!(CreateRequest => CreateResponse, Create);
