//! RNG Retrieve (KMIP 1.4 section 4.35, 2.1 section 6.1.49; 1.2 and later).

use super::request;
use crate::{Secret, structure};

structure! {
    /// Asks for random bytes.
    pub struct RngRetrieveRequest {
        /// How many.
        pub data_length: i32 = DATA_LENGTH,
    }
}

structure! {
    no Clone
    /// The bytes.
    pub struct RngRetrieveResponse {
        /// Random bytes, which may become a key.
        pub data: Secret = DATA,
    }
}

request!(RngRetrieveRequest => RngRetrieveResponse, RngRetrieve);
