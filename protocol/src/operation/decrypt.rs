//! Decrypt (KMIP 1.4 section 4.30).

use super::request;
use crate::attribute::CryptographicParameters;
use crate::identifier::UniqueIdentifier;
use crate::ttlv::Bytes;
use crate::{Secret, structure};

structure! {
    /// Asks the server to decrypt.
    #[derive(Default)]
    pub struct DecryptRequest {
        /// The key; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How; the key's own parameters where absent.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
        /// The ciphertext, or a part of it.
        pub data: Option<Bytes> = DATA,
        /// The initialization vector.
        pub iv_counter_nonce: Option<Bytes> = IV_COUNTER_NONCE,
        /// Which stream this part belongs to.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
        /// Whether this is the first part.
        pub init_indicator: Option<bool> = INIT_INDICATOR, since V1_3,
        /// Whether this is the last part.
        pub final_indicator: Option<bool> = FINAL_INDICATOR, since V1_3,
        /// What was authenticated but not encrypted.
        pub additional_data: Option<Bytes> = AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, since V1_4,
        /// The authentication tag.
        pub tag: Option<Bytes> = AUTHENTICATED_ENCRYPTION_TAG, since V1_4,
    }
}

structure! {
    no Clone
    /// The plaintext.
    pub struct DecryptResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The plaintext, or a part of it.
        pub data: Option<Secret> = DATA,
        /// By what to go on with the stream.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
    }
}

request!(DecryptRequest => DecryptResponse, Decrypt);
