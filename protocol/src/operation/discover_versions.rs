//! Discover Versions (KMIP 1.4 section 4.26).

use super::request;
use crate::{Version, structure};

structure! {
    /// Asks which versions both sides speak.
    #[derive(Default)]
    pub struct DiscoverVersionsRequest {
        /// The client's versions, its favourite first; the server names all of its own where none is given.
        pub versions: Vec<Version> = PROTOCOL_VERSION,
    }
}

structure! {
    /// The versions that both speak.
    pub struct DiscoverVersionsResponse {
        /// In the client's order of preference, or the server's where it gave none.
        pub versions: Vec<Version> = PROTOCOL_VERSION,
    }
}

request!(DiscoverVersionsRequest => DiscoverVersionsResponse, DiscoverVersions);
