//! Join Split Key (KMIP 1.4 section 4.39, 2.1 section 6.1.27; 1.2 and later).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::enums::{ObjectType, SecretDataType};
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Asks for the key that parts make.
    pub struct JoinSplitKeyRequest {
        /// What the parts make.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// The parts.
        pub unique_identifiers: Vec<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// Which kind of Secret Data they make.
        pub secret_data_type: Option<SecretDataType> = SECRET_DATA_TYPE,
        /// The key's attributes.
        pub attributes: Attributes = ATTRIBUTES,
        /// Where it may be kept.
        pub protection: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// The key.
    pub struct JoinSplitKeyResponse {
        /// What it is (1.2).
        pub object_type: Option<ObjectType> = OBJECT_TYPE, until V1_2,
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

request!(JoinSplitKeyRequest => JoinSplitKeyResponse, JoinSplitKey);
