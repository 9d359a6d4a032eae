//! Encrypt (KMIP 1.4 section 4.29).

use super::request;
use crate::attribute::CryptographicParameters;
use crate::identifier::UniqueIdentifier;
use crate::ttlv::Bytes;
use crate::{Secret, structure};

structure! {
    no Clone
    /// Asks the server to encrypt.
    #[derive(Default)]
    pub struct EncryptRequest {
        /// The key; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How; the key's own parameters where absent.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
        /// The plaintext, or a part of it.
        pub data: Option<Secret> = DATA,
        /// The initialization vector.
        pub iv_counter_nonce: Option<Bytes> = IV_COUNTER_NONCE,
        /// Which stream this part belongs to.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
        /// Whether this is the first part.
        pub init_indicator: Option<bool> = INIT_INDICATOR, since V1_3,
        /// Whether this is the last part.
        pub final_indicator: Option<bool> = FINAL_INDICATOR, since V1_3,
        /// What is authenticated but not encrypted.
        pub additional_data: Option<Bytes> = AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, since V1_4,
    }
}

structure! {
    /// The ciphertext.
    pub struct EncryptResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The ciphertext, or a part of it.
        pub data: Option<Bytes> = DATA,
        /// The initialization vector, where the server made it.
        pub iv_counter_nonce: Option<Bytes> = IV_COUNTER_NONCE,
        /// By what to go on with the stream.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
        /// The authentication tag.
        pub tag: Option<Bytes> = AUTHENTICATED_ENCRYPTION_TAG, since V1_4,
    }
}

request!(EncryptRequest => EncryptResponse, Encrypt);
