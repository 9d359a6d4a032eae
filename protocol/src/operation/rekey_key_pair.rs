//! Re-key Key Pair (KMIP 1.4 section 4.5, 2.1 section 6.1.43).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Interval;

structure! {
    /// Asks for a new pair in the place of an old one.
    #[derive(Default)]
    pub struct RekeyKeyPairRequest {
        /// The old pair, by its private key; the ID Placeholder where absent.
        pub private_key_unique_identifier: Option<UniqueIdentifier> = PRIVATE_KEY_UNIQUE_IDENTIFIER,
        /// Seconds from the new pair's Initial Date to its Activation Date.
        pub offset: Option<Interval> = OFFSET,
        /// Attributes of both new halves.
        pub common: Attributes = COMMON_ATTRIBUTES,
        /// Attributes of the new private key.
        pub private_key: Attributes = PRIVATE_KEY_ATTRIBUTES,
        /// Attributes of the new public key.
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
    pub struct RekeyKeyPairResponse {
        /// The new private key.
        pub private_key_unique_identifier: String = PRIVATE_KEY_UNIQUE_IDENTIFIER,
        /// The new public key.
        pub public_key_unique_identifier: String = PUBLIC_KEY_UNIQUE_IDENTIFIER,
        /// Attributes that the server set on the private key of itself (1.x).
        pub private_key: Attributes = PRIVATE_KEY_ATTRIBUTES, until V1_4,
        /// Attributes that the server set on the public key of itself (1.x).
        pub public_key: Attributes = PUBLIC_KEY_ATTRIBUTES, until V1_4,
    }
}

request!(RekeyKeyPairRequest => RekeyKeyPairResponse, RekeyKeyPair);
