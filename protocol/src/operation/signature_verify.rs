//! Signature Verify (KMIP 1.4 section 4.32, 2.1 section 6.1.56; 1.2 and later).

use super::request;
use crate::attribute::CryptographicParameters;
use crate::enums::ValidityIndicator;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks whether a signature is valid.
    #[derive(Default)]
    pub struct SignatureVerifyRequest {
        /// The public key; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How; the key's own parameters where absent.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
        /// What was signed, or a part of it.
        pub data: Option<Bytes> = DATA,
        /// Its digest, in its place.
        pub digested_data: Option<Bytes> = DIGESTED_DATA, since V1_4,
        /// The signature.
        pub signature_data: Option<Bytes> = SIGNATURE_DATA,
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
    pub struct SignatureVerifyResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Whether it is valid; absent until the last part.
        pub validity_indicator: Option<ValidityIndicator> = VALIDITY_INDICATOR,
        /// What was signed, where the algorithm recovers it.
        pub data: Option<Bytes> = DATA,
        /// By what to go on with the stream.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
    }
}

request!(SignatureVerifyRequest => SignatureVerifyResponse, SignatureVerify);
