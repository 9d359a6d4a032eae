//! Create Key Pair (KMIP 1.4 section 4.2, 2.1 section 6.1.8).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::structure;

structure! {
    /// Asks for a new key pair.
    #[derive(Default)]
    pub struct CreateKeyPairRequest {
        /// Attributes of both halves.
        pub common: Attributes = COMMON_ATTRIBUTES,
        /// Attributes of the private key; they prevail over those of both.
        pub private_key: Attributes = PRIVATE_KEY_ATTRIBUTES,
        /// Attributes of the public key; they prevail over those of both.
        pub public_key: Attributes = PUBLIC_KEY_ATTRIBUTES,
        /// Where both halves may be kept.
        pub common_protection: Option<ProtectionStorageMasks> = COMMON_PROTECTION_STORAGE_MASKS, since V2_0,
        /// Where the private key may be kept.
        pub private_protection: Option<ProtectionStorageMasks> = PRIVATE_PROTECTION_STORAGE_MASKS, since V2_0,
        /// Where the public key may be kept.
        pub public_protection: Option<ProtectionStorageMasks> = PUBLIC_PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// The new pair.
    pub struct CreateKeyPairResponse {
        /// The private key.
        pub private_key_unique_identifier: String = PRIVATE_KEY_UNIQUE_IDENTIFIER,
        /// The public key.
        pub public_key_unique_identifier: String = PUBLIC_KEY_UNIQUE_IDENTIFIER,
        /// Attributes that the server set on the private key of itself (1.x).
        pub private_key: Attributes = PRIVATE_KEY_ATTRIBUTES, until V1_4,
        /// Attributes that the server set on the public key of itself (1.x).
        pub public_key: Attributes = PUBLIC_KEY_ATTRIBUTES, until V1_4,
    }
}

request!(CreateKeyPairRequest => CreateKeyPairResponse, CreateKeyPair);
