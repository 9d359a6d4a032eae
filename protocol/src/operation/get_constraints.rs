//! Get Constraints (KMIP 2.1 section 6.1.22; 2.1).

use super::constraint::Constraints;
use super::request;
use crate::structure;

structure! {
    /// Asks what new objects have to keep to.
    #[derive(Default)]
    pub struct GetConstraintsRequest {}
}

structure! {
    /// The constraints.
    pub struct GetConstraintsResponse {
        /// The constraints.
        pub constraints: Constraints = CONSTRAINTS,
    }
}

request!(GetConstraintsRequest => GetConstraintsResponse, GetConstraints);
