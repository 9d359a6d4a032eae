//! Cancel (KMIP 1.4 section 4.27, 2.1 section 6.1.5).

use super::request;
use crate::enums::CancellationResult;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks to give up a pending operation.
    pub struct CancelRequest {
        /// By what the pending operation is known.
        pub asynchronous_correlation_value: Bytes = ASYNCHRONOUS_CORRELATION_VALUE,
    }
}

structure! {
    /// What came of it.
    pub struct CancelResponse {
        /// By what the pending operation is known.
        pub asynchronous_correlation_value: Bytes = ASYNCHRONOUS_CORRELATION_VALUE,
        /// Whether it was given up.
        pub cancellation_result: CancellationResult = CANCELLATION_RESULT,
    }
}

request!(CancelRequest => CancelResponse, Cancel);
