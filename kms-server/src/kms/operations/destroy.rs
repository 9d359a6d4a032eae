//! Destroy (KMIP 1.4 section 4.21).

use kms_protocol::operation::{DestroyRequest, DestroyResponse};

use crate::kms::recorded::By;
use crate::kms::{Context, Event, Kms, Refusal, lifecycle};
use crate::store::Batch;

pub(in crate::kms) fn destroy(
    kms: &Kms,
    request: DestroyRequest,
    context: &mut Context<'_>,
) -> Result<DestroyResponse, Refusal> {
    let now = context.now;
    let policies = kms.policies.load();
    let mut object = kms.find(request.unique_identifier.as_ref(), context)?;
    let window = kms.policy_of(&policies, &object)?.map_or(0, |policy| policy.deletion_window.seconds);
    let settled = Event::settle(&mut object, now);
    lifecycle::destroy(&mut object, window, now)?;
    let events = settled.into_iter().chain([Event::destroyed(&object, None)]).collect();
    let mut batch = Batch::new().put(object.put());
    // What waited for this half goes by its policy now.
    let other = kms.unless_damaged(kms.other_half(&object))?.flatten();
    if let Some(mut other) = other.filter(|other| other.is_kept) {
        other.is_kept = false;
        batch = batch.put(other.put());
    }
    kms.commit(batch, events, By::Client(context))?;
    kms.keys.forget(&object.id);
    Ok(DestroyResponse { unique_identifier: object.id })
}
