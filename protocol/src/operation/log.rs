//! Log (KMIP 2.1 section 6.1.29; 2.0 and later).

use super::request;
use crate::structure;

structure! {
    /// Leaves a message in the server's log.
    pub struct LogRequest {
        /// The message.
        pub log_message: String = LOG_MESSAGE,
    }
}

structure! {
    /// It is written.
    #[derive(Default)]
    pub struct LogResponse {}
}

request!(LogRequest => LogResponse, Log);
