//! Hash (KMIP 1.4 section 4.37, 2.1 section 6.1.24; 1.2 and later).

use super::request;
use crate::attribute::CryptographicParameters;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks for a digest.
    pub struct HashRequest {
        /// Which hash.
        pub cryptographic_parameters: CryptographicParameters = CRYPTOGRAPHIC_PARAMETERS,
        /// What to hash, or a part of it.
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
    /// The digest.
    #[derive(Default)]
    pub struct HashResponse {
        /// The digest; absent until the last part.
        pub data: Option<Bytes> = DATA,
        /// By what to go on with the stream.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE, since V1_3,
    }
}

request!(HashRequest => HashResponse, Hash);
