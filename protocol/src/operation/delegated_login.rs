//! Delegated Login (KMIP 2.1 section 6.1.12; 2.0 and later).

use super::login::LeaseTime;
use super::request;
use super::rights::Rights;
use crate::attribute::UsageLimits;
use crate::credential::Ticket;
use crate::structure;

structure! {
    /// Asks for a ticket with fewer rights, to hand on.
    pub struct DelegatedLoginRequest {
        /// How long it shall be good for.
        pub lease_time: Option<LeaseTime> = LEASE_TIME,
        /// For how many requests.
        pub request_count: Option<i32> = REQUEST_COUNT,
        /// For how much protection.
        pub usage_limits: Option<UsageLimits> = USAGE_LIMITS,
        /// For what.
        pub rights: Rights = RIGHTS,
    }
}

structure! {
    no Clone
    /// The ticket.
    pub struct DelegatedLoginResponse {
        /// The ticket.
        pub ticket: Ticket = TICKET,
    }
}

request!(DelegatedLoginRequest => DelegatedLoginResponse, DelegatedLogin);
