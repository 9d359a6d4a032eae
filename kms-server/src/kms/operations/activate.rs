//! Activate (KMIP 1.4 section 4.19).

use kms_protocol::enums::State;
use kms_protocol::operation::{ActivateRequest, ActivateResponse};

use crate::kms::{Context, Event, Kms, Refusal, lifecycle};
use crate::store::Batch;

pub(in crate::kms) fn activate(
    kms: &Kms,
    request: ActivateRequest,
    context: &mut Context<'_>,
) -> Result<ActivateResponse, Refusal> {
    let mut object = kms.find(request.unique_identifier.as_ref(), context)?;
    lifecycle::activate(&mut object, context.now)?;
    let event = Event::state_changed(&object, State::Active);
    kms.commit(Batch::new().put(object.put()), context, vec![event])?;
    Ok(ActivateResponse { unique_identifier: object.id })
}
