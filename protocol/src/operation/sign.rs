//! Sign (KMIP 1.4 section 4.31, 2.1 section 6.1.55; 1.2 and later).

use super::request;
use crate::attribute::CryptographicParameters;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks for a signature.
    #[derive(Default)]
    pub struct SignRequest {
        /// The private key; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How; the key's own parameters where absent.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
        /// What to sign, or a part of it.
        pub data: Option<Bytes> = DATA,
        /// Its digest, in its place.
        pub digested_data: Option<Bytes> = DIGESTED_DATA, since V1_4,
        /// Which stream this part belongs to.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
        /// Whether this is the first part.
        pub init_indicator: Option<bool> = INIT_INDICATOR, since V1_3,
        /// Whether this is the last part.
        pub final_indicator: Option<bool> = FINAL_INDICATOR, since V1_3,
    }
}

structure! {
    /// The signature.
    pub struct SignResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The signature; absent until the last part.
        pub signature_data: Option<Bytes> = SIGNATURE_DATA,
        /// By what to go on with the stream.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
    }
}

request!(SignRequest => SignResponse, Sign);
