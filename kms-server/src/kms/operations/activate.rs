//! Activate (KMIP 1.4 section 4.19).

use kms_protocol::operation::{ActivateRequest, ActivateResponse};

use crate::kms::{Context, Kms, Refusal, lifecycle};
use crate::store::Batch;

pub(in crate::kms) fn activate(
    kms: &Kms,
    request: ActivateRequest,
    context: &mut Context<'_>,
) -> Result<ActivateResponse, Refusal> {
    let mut object = kms.find(request.unique_identifier.as_ref(), context)?;
    lifecycle::activate(&mut object, context.now)?;
    kms.store.commit(Batch::new().put(object.put()))?;
    Ok(ActivateResponse { unique_identifier: object.id })
}
