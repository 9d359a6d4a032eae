//! MAC (KMIP 1.4 section 4.33, 2.1 section 6.1.32; 1.2 and later).

use super::request;
use crate::attribute::CryptographicParameters;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks for a message authentication code.
    #[derive(Default)]
    pub struct MacRequest {
        /// The key; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How; the key's own parameters where absent.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
        /// What to authenticate, or a part of it.
        pub data: Option<Bytes> = DATA,
        /// Which stream this part belongs to.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
        /// Whether this is the first part.
        pub init_indicator: Option<bool> = INIT_INDICATOR, since V1_3,
        /// Whether this is the last part.
        pub final_indicator: Option<bool> = FINAL_INDICATOR, since V1_3,
    }
}

structure! {
    /// The code.
    pub struct MacResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The code; absent until the last part.
        pub mac_data: Option<Bytes> = MAC_DATA,
        /// By what to go on with the stream.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
    }
}

request!(MacRequest => MacResponse, Mac);
