//! RNG Seed (KMIP 1.4 section 4.36, 2.1 section 6.1.50; 1.2 and later).

use super::request;
use crate::{Secret, structure};

structure! {
    no Clone
    /// Gives randomness to the server.
    pub struct RngSeedRequest {
        /// The seed.
        pub data: Secret = DATA,
    }
}

structure! {
    /// How much of it the server took.
    pub struct RngSeedResponse {
        /// Bytes taken; 0 where the server takes none.
        pub data_length: i32 = DATA_LENGTH,
    }
}

request!(RngSeedRequest => RngSeedResponse, RngSeed);
