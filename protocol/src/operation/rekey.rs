//! Re-key (KMIP 1.4 section 4.4, 2.1 section 6.1.46).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Interval;

structure! {
    /// Asks for a new symmetric key in the place of an old one.
    #[derive(Default)]
    pub struct RekeyRequest {
        /// The old key; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// Seconds from the new key's Initial Date to its Activation Date.
        pub offset: Option<Interval> = OFFSET,
        /// Attributes of the new key.
        pub attributes: Attributes = ATTRIBUTES,
        /// Where it may be kept.
        pub protection: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// The new key.
    pub struct RekeyResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

request!(RekeyRequest => RekeyResponse, Rekey);
