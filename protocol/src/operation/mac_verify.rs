//! MAC Verify (KMIP 1.4 section 4.34, 2.1 section 6.1.33; 1.2 and later).

use super::request;
use crate::attribute::CryptographicParameters;
use crate::enums::ValidityIndicator;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks whether a message authentication code is valid.
    #[derive(Default)]
    pub struct MacVerifyRequest {
        /// The key; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How; the key's own parameters where absent.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
        /// What was authenticated, or a part of it.
        pub data: Option<Bytes> = DATA,
        /// The code.
        pub mac_data: Option<Bytes> = MAC_DATA,
        /// Which stream this part belongs to.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
        /// Whether this is the first part.
        pub init_indicator: Option<bool> = INIT_INDICATOR, since V1_3,
        /// Whether this is the last part.
        pub final_indicator: Option<bool> = FINAL_INDICATOR, since V1_3,
    }
}

structure! {
    /// The verdict.
    pub struct MacVerifyResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Whether it is valid; absent until the last part.
        pub validity_indicator: Option<ValidityIndicator> = VALIDITY_INDICATOR,
        /// By what to go on with the stream.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
    }
}

request!(MacVerifyRequest => MacVerifyResponse, MacVerify);
