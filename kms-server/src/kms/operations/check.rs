//! Check (KMIP 1.4 section 4.10): whether an object may be used so.

use kms_protocol::operation::{CheckRequest, CheckResponse};

use crate::kms::{Context, Kms, Reason, Refusal};
use crate::limits;

pub(in crate::kms) fn check(
    kms: &Kms,
    request: CheckRequest,
    context: &mut Context<'_>,
) -> Result<CheckResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    let left = object.usage_limits().map(|limits| limits.count.unwrap_or(limits.total));
    let response = CheckResponse {
        unique_identifier: None,
        usage_limits_count: request.usage_limits_count.filter(|count| left.is_some_and(|left| *count > left)),
        cryptographic_usage_mask: request
            .cryptographic_usage_mask
            .filter(|mask| !object.usage().contains(*mask)),
        lease_time: request.lease_time.filter(|time| time.0 > limits::LEASE),
    };
    if response == CheckResponse::default() {
        return Ok(CheckResponse { unique_identifier: Some(object.id), ..response });
    }
    // What may not be used is not what the next item goes on with.
    context.made.forget();
    // What stands against it is told in 1.x by the fields (section 4.10), in 2.x by the reason.
    if !context.version.is_2x() {
        return Ok(response);
    }
    let reason = match response {
        CheckResponse { cryptographic_usage_mask: Some(_), .. } => Reason::UsageMask,
        CheckResponse { usage_limits_count: Some(_), .. } => Reason::UsageLimit,
        _ => Reason::Denied,
    };
    Err(Refusal::new(reason, "the object may not be used so"))
}
