//! Activate (KMIP 1.4 section 4.19).

use super::request;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Makes a Pre-Active object Active.
    #[derive(Default)]
    pub struct ActivateRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
    }
}

structure! {
    /// It is done.
    pub struct ActivateResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(ActivateRequest => ActivateResponse, Activate);
