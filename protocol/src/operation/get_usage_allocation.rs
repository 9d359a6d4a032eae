//! Get Usage Allocation (KMIP 1.4 section 4.18, 2.1 section 6.1.23).

use super::request;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Asks for units of protection of an object with Usage Limits.
    pub struct GetUsageAllocationRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How many.
        pub usage_limits_count: i64 = USAGE_LIMITS_COUNT,
    }
}

structure! {
    /// They are granted.
    pub struct GetUsageAllocationResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(GetUsageAllocationRequest => GetUsageAllocationResponse, GetUsageAllocation);
