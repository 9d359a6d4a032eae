//! Check (KMIP 1.4 section 4.10, 2.1 section 6.1.7).

use super::request;
use crate::attribute::CryptographicUsageMask;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Interval;

structure! {
    /// Asks whether policy allows a use of an object.
    #[derive(Default)]
    pub struct CheckRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// Units that the client means to protect.
        pub usage_limits_count: Option<i64> = USAGE_LIMITS_COUNT,
        /// What the client means to do with the object.
        pub cryptographic_usage_mask: Option<CryptographicUsageMask> = CRYPTOGRAPHIC_USAGE_MASK,
        /// For how long the client wants to hold it.
        pub lease_time: Option<Interval> = LEASE_TIME,
    }
}

structure! {
    /// The object where it may be used, and otherwise what stands against it.
    #[derive(Default)]
    pub struct CheckResponse {
        /// The object; absent where it may not be used.
        pub unique_identifier: Option<String> = UNIQUE_IDENTIFIER,
        /// Stated where it is more than policy allows.
        pub usage_limits_count: Option<i64> = USAGE_LIMITS_COUNT,
        /// Stated where policy rejects it.
        pub cryptographic_usage_mask: Option<CryptographicUsageMask> = CRYPTOGRAPHIC_USAGE_MASK,
        /// Stated where it is longer than policy allows.
        pub lease_time: Option<Interval> = LEASE_TIME,
    }
}

request!(CheckRequest => CheckResponse, Check);
