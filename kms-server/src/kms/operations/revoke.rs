//! Revoke (KMIP 1.4 section 4.20).

use kms_protocol::operation::{RevokeRequest, RevokeResponse};

use crate::kms::{Context, Event, Kms, Refusal, lifecycle};
use crate::store::Batch;

pub(in crate::kms) fn revoke(
    kms: &Kms,
    request: RevokeRequest,
    context: &mut Context<'_>,
) -> Result<RevokeResponse, Refusal> {
    let mut object = kms.find(request.unique_identifier.as_ref(), context)?;
    lifecycle::revoke(
        &mut object,
        request.revocation_reason,
        request.compromise_occurrence_date,
        context.now,
    )?;
    let event = Event::state_changed(&object, lifecycle::state_at(&object, context.now));
    kms.commit(Batch::new().put(object.put()), context, vec![event])?;
    Ok(RevokeResponse { unique_identifier: object.id })
}
