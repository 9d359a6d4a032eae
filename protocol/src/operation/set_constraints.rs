//! Set Constraints (KMIP 2.1 section 6.1.52; 2.1).

use super::constraint::Constraints;
use super::request;
use crate::structure;

structure! {
    /// Sets what new objects have to keep to.
    pub struct SetConstraintsRequest {
        /// The constraints.
        pub constraints: Constraints = CONSTRAINTS,
    }
}

structure! {
    /// They are set.
    #[derive(Default)]
    pub struct SetConstraintsResponse {}
}

request!(SetConstraintsRequest => SetConstraintsResponse, SetConstraints);
