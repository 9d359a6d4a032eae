//! Activate (KMIP 1.4 section 4.19).

use kms_protocol::enums::State;
use kms_protocol::operation::{ActivateRequest, ActivateResponse};

use crate::kms::{Context, Event, Kms, Refusal, lifecycle};

pub(in crate::kms) fn activate(
    kms: &Kms,
    request: ActivateRequest,
    context: &mut Context<'_>,
) -> Result<ActivateResponse, Refusal> {
    let now = context.now;
    let object = kms.change(request.unique_identifier.as_ref(), context, |object| {
        lifecycle::activate(object, now)?;
        Ok(Event::state_changed(object, State::Active))
    })?;
    Ok(ActivateResponse { unique_identifier: object.id })
}
