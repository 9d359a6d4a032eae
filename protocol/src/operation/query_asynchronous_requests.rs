//! Query Asynchronous Requests (KMIP 2.1 section 6.1.41; 2.1).

use super::pending::{AsynchronousCorrelationValues, AsynchronousRequest, Operations};
use super::request;
use crate::structure;

structure! {
    /// Asks which operations are pending.
    #[derive(Default)]
    pub struct QueryAsynchronousRequestsRequest {
        /// Which to tell of; all where absent.
        pub correlation_values: Option<AsynchronousCorrelationValues> = ASYNCHRONOUS_CORRELATION_VALUES,
        /// Of which operations to tell; of all where absent.
        pub operations: Option<Operations> = OPERATIONS,
    }
}

structure! {
    /// The pending operations.
    #[derive(Default)]
    pub struct QueryAsynchronousRequestsResponse {
        /// Each of them.
        pub requests: Vec<AsynchronousRequest> = ASYNCHRONOUS_REQUEST,
    }
}

request!(QueryAsynchronousRequestsRequest => QueryAsynchronousRequestsResponse, QueryAsynchronousRequests);
