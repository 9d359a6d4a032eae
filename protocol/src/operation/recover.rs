//! Recover (KMIP 1.4 section 4.23, 2.1 section 6.1.42).

use super::request;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Asks to have an archived object on line again.
    #[derive(Default)]
    pub struct RecoverRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
    }
}

structure! {
    /// It is on line.
    pub struct RecoverResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(RecoverRequest => RecoverResponse, Recover);
