//! Poll, Cancel, Process and Query Asynchronous Requests (KMIP 1.4 sections 4.27 and 4.28, 2.1 sections 6.1.5, 6.1.38,
//! 6.1.39 and 6.1.41).

use kms_protocol::enums::Operation;
use kms_protocol::message::Outcome;
use kms_protocol::operation::{
    CancelRequest, CancelResponse, PollRequest, PollResponse, ProcessRequest, ProcessResponse,
    QueryAsynchronousRequestsRequest, QueryAsynchronousRequestsResponse,
};
use kms_protocol::ttlv::{Bytes, ItemType, RawValue};

use crate::kms::later::{Polled, pending};
use crate::kms::{Context, Kms, Reason, Refusal};

/// The answer is that of the operation that was put off: it stands in the context, and this one is not sent.
pub(in crate::kms) fn poll(
    kms: &Kms,
    request: PollRequest,
    context: &mut Context<'_>,
) -> Result<PollResponse, Refusal> {
    let correlation = request.asynchronous_correlation_value;
    context.polled = Some(match kms.polled(&correlation, context)? {
        Polled::Done(outcome) => outcome,
        Polled::Pending => Outcome { operation: Some(Operation::Poll), ..pending(correlation.0) },
        Polled::Canceled => {
            return Err(Refusal::new(Reason::Canceled, "it was canceled before it was begun"));
        }
    });
    Ok(PollResponse(RawValue { item_type: ItemType::Structure, bytes: Bytes::default() }))
}

pub(in crate::kms) fn cancel(
    kms: &Kms,
    request: CancelRequest,
    context: &mut Context<'_>,
) -> Result<CancelResponse, Refusal> {
    let correlation = request.asynchronous_correlation_value;
    let cancellation_result = kms.canceled(&correlation, context);
    Ok(CancelResponse { asynchronous_correlation_value: correlation, cancellation_result })
}

pub(in crate::kms) fn process(
    kms: &Kms,
    request: ProcessRequest,
    context: &mut Context<'_>,
) -> Result<ProcessResponse, Refusal> {
    kms.processed(&request.asynchronous_correlation_value, context)?;
    Ok(ProcessResponse {})
}

pub(in crate::kms) fn query_asynchronous_requests(
    kms: &Kms,
    request: QueryAsynchronousRequestsRequest,
    context: &mut Context<'_>,
) -> Result<QueryAsynchronousRequestsResponse, Refusal> {
    let values = request.correlation_values.as_ref().map(|values| values.values.as_slice());
    let operations = request.operations.as_ref().map(|operations| operations.operations.as_slice());
    Ok(QueryAsynchronousRequestsResponse { requests: kms.outstanding(values, operations, context) })
}
