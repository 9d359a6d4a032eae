//! Logout (KMIP 2.1 section 6.1.31; 2.0 and later).

use super::request;
use crate::credential::Ticket;
use crate::structure;

structure! {
    no Clone
    /// Makes a ticket void.
    pub struct LogoutRequest {
        /// The ticket.
        pub ticket: Ticket = TICKET,
    }
}

structure! {
    /// It is void.
    #[derive(Default)]
    pub struct LogoutResponse {}
}

request!(LogoutRequest => LogoutResponse, Logout);
