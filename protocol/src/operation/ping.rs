//! Ping (KMIP 2.1 section 6.1.36; 2.1).

use super::request;
use crate::structure;

structure! {
    /// Asks whether the server is there.
    #[derive(Default)]
    pub struct PingRequest {}
}

structure! {
    /// It is.
    #[derive(Default)]
    pub struct PingResponse {}
}

request!(PingRequest => PingResponse, Ping);
