//! Poll, Cancel, Process and Query Asynchronous Requests (KMIP 1.4 sections 4.27 and 4.28, 2.1 sections 6.1.39 and 6.1.41).
//! Every request is answered at once, so nothing is ever pending.

use kms_protocol::enums::CancellationResult;
use kms_protocol::operation::{
    CancelRequest, CancelResponse, PollRequest, PollResponse, ProcessRequest, ProcessResponse,
    QueryAsynchronousRequestsRequest, QueryAsynchronousRequestsResponse,
};

use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn poll(_: &Kms, _: PollRequest, _: &mut Context<'_>) -> Result<PollResponse, Refusal> {
    Err(nothing_pending())
}

pub(in crate::kms) fn cancel(
    _: &Kms,
    request: CancelRequest,
    _: &mut Context<'_>,
) -> Result<CancelResponse, Refusal> {
    Ok(CancelResponse {
        asynchronous_correlation_value: request.asynchronous_correlation_value,
        cancellation_result: CancellationResult::Unavailable,
    })
}

pub(in crate::kms) fn process(
    _: &Kms,
    _: ProcessRequest,
    _: &mut Context<'_>,
) -> Result<ProcessResponse, Refusal> {
    Err(nothing_pending())
}

pub(in crate::kms) fn query_asynchronous_requests(
    _: &Kms,
    _: QueryAsynchronousRequestsRequest,
    _: &mut Context<'_>,
) -> Result<QueryAsynchronousRequestsResponse, Refusal> {
    Ok(QueryAsynchronousRequestsResponse::default())
}

fn nothing_pending() -> Refusal {
    Refusal::new(
        Reason::NothingPending,
        "nothing is pending by this Asynchronous Correlation Value: every request is answered at once here",
    )
}
