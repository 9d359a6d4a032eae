//! Process (KMIP 2.1 section 6.1.39; 2.1).

use super::request;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks to have a pending operation finished by the next Poll.
    pub struct ProcessRequest {
        /// By what the pending operation is known.
        pub asynchronous_correlation_value: Bytes = ASYNCHRONOUS_CORRELATION_VALUE,
    }
}

structure! {
    /// It will be.
    #[derive(Default)]
    pub struct ProcessResponse {}
}

request!(ProcessRequest => ProcessResponse, Process);
