//! Destroy (KMIP 1.4 section 4.21).

use kms_protocol::operation::{DestroyRequest, DestroyResponse};

use crate::kms::{Context, Event, Kms, Refusal, lifecycle};
use crate::store::Batch;

pub(in crate::kms) fn destroy(
    kms: &Kms,
    request: DestroyRequest,
    context: &mut Context<'_>,
) -> Result<DestroyResponse, Refusal> {
    let mut object = kms.find(request.unique_identifier.as_ref(), context)?;
    lifecycle::destroy(&mut object, context.now)?;
    let event = Event::destroyed(&object);
    kms.commit(Batch::new().put(object.put()), context, vec![event])?;
    kms.keys.forget(&object.id);
    Ok(DestroyResponse { unique_identifier: object.id })
}
