//! Destroy (KMIP 1.4 section 4.21).

use kms_protocol::operation::{DestroyRequest, DestroyResponse};

use crate::kms::{Context, Event, Kms, Refusal, lifecycle};

pub(in crate::kms) fn destroy(
    kms: &Kms,
    request: DestroyRequest,
    context: &mut Context<'_>,
) -> Result<DestroyResponse, Refusal> {
    let now = context.now;
    let policies = kms.policies.load();
    let object = kms.change(request.unique_identifier.as_ref(), context, |object| {
        let window = policies.of(object).map_or(0, |policy| policy.deletion_window.seconds);
        lifecycle::destroy(object, window, now)?;
        Ok(Event::destroyed(object, None))
    })?;
    kms.keys.forget(&object.id);
    Ok(DestroyResponse { unique_identifier: object.id })
}
