//! Obtain Lease (KMIP 1.4 section 4.17, 2.1 section 6.1.35).

use super::request;
use crate::identifier::UniqueIdentifier;
use crate::ttlv::Interval;
use crate::{DateTime, structure};

structure! {
    /// Asks for how long an object may be kept in a cache.
    #[derive(Default)]
    pub struct ObtainLeaseRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
    }
}

structure! {
    /// The lease.
    pub struct ObtainLeaseResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Seconds until the next is due; 0 where there is no need of one.
        pub lease_time: Interval = LEASE_TIME,
        /// When the object or its attributes last changed.
        pub last_change_date: DateTime = LAST_CHANGE_DATE,
    }
}

request!(ObtainLeaseRequest => ObtainLeaseResponse, ObtainLease);
