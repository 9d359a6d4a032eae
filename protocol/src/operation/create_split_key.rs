//! Create Split Key (KMIP 1.4 section 4.38, 2.1 section 6.1.10; 1.2 and later).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::enums::{ObjectType, SplitKeyMethod};
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::BigInteger;

structure! {
    no Clone
    /// Asks for a key in parts.
    pub struct CreateSplitKeyRequest {
        /// What the parts make.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// The key to split; a new one where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How many parts.
        pub parts: i32 = SPLIT_KEY_PARTS,
        /// How many of them make the key.
        pub threshold: i32 = SPLIT_KEY_THRESHOLD,
        /// How to split.
        pub method: SplitKeyMethod = SPLIT_KEY_METHOD,
        /// The prime field, for Polynomial Sharing Prime Field.
        pub prime_field_size: Option<BigInteger> = PRIME_FIELD_SIZE,
        /// Attributes of the parts.
        pub attributes: Attributes = ATTRIBUTES,
        /// Where it may be kept.
        pub protection: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// The parts.
    #[derive(Default)]
    pub struct CreateSplitKeyResponse {
        /// Each part.
        pub unique_identifiers: Vec<String> = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

request!(CreateSplitKeyRequest => CreateSplitKeyResponse, CreateSplitKey);
