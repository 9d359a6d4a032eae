//! Revoke (KMIP 1.4 section 4.20).

use kms_protocol::operation::{RevokeRequest, RevokeResponse};

use crate::kms::{Context, Event, Kms, Refusal, lifecycle};

pub(in crate::kms) fn revoke(
    kms: &Kms,
    request: RevokeRequest,
    context: &mut Context<'_>,
) -> Result<RevokeResponse, Refusal> {
    let now = context.now;
    let object = kms.change(request.unique_identifier.as_ref(), context, |object| {
        lifecycle::revoke(object, request.revocation_reason, request.compromise_occurrence_date, now)?;
        Ok(Event::state_changed(object, lifecycle::state_at(object, now)))
    })?;
    Ok(RevokeResponse { unique_identifier: object.id })
}
