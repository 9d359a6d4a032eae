//! Register (KMIP 1.4 section 4.3, 2.1 section 6.1.43).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::enums::ObjectType;
use crate::object::ManagedObject;
use crate::structure;

structure! {
    no Clone
    /// Gives an object that was made elsewhere into the server's keeping.
    pub struct RegisterRequest {
        /// What it is.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// Its attributes.
        pub attributes: Attributes = ATTRIBUTES,
        /// The object itself, under the tag of its type.
        pub object: ManagedObject = KEY,
        /// Where it may be kept.
        pub protection: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// It is kept.
    pub struct RegisterResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

request!(RegisterRequest => RegisterResponse, Register);
