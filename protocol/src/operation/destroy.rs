//! Destroy (KMIP 1.4 section 4.21).

use super::request;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Destroys an object's key material; its attributes stay.
    #[derive(Default)]
    pub struct DestroyRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
    }
}

structure! {
    /// It is done.
    pub struct DestroyResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(DestroyRequest => DestroyResponse, Destroy);
