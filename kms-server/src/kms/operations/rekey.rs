//! Re-key (KMIP 1.4 section 4.4): a new symmetric key in the place of an old one.

use kms_protocol::attribute::{AttributeKind, Attributes};
use kms_protocol::enums::{ObjectType, UniqueIdentifierPlaceholder as Placeholder};
use kms_protocol::operation::{RekeyRequest, RekeyResponse};

use super::encrypt::of_type;
use crate::kms::content::Taken;
use crate::kms::keep::{new_key, raw_key};
use crate::kms::model::Object;
use crate::kms::new_object::{describe_material, new_id, requested};
use crate::kms::recorded::By;
use crate::kms::rotation::{self, Dates};
use crate::kms::{Context, Event, Kms, Reason, Refusal, lifecycle, no_key_value};
use crate::store::Batch;

pub(in crate::kms) fn rekey(
    kms: &Kms,
    request: RekeyRequest,
    context: &mut Context<'_>,
) -> Result<RekeyResponse, Refusal> {
    let old = kms.find(request.unique_identifier.as_ref(), context)?;
    of_type(&old, ObjectType::SymmetricKey, "is re-keyed so; a pair is by Re-key Key Pair")?;
    rotation::may_replace(&old, context.now)?;
    let dates = match request.offset {
        None => Dates::Copied,
        Some(_) if states_a_date(&request.attributes) => {
            return Err(Refusal::new(
                Reason::InvalidMessage,
                "Offset may not be stated together with an Activation or Deactivation Date",
            ));
        }
        Some(offset) => Dates::Offset(i64::from(offset.0)),
    };
    let wished = requested(&Attributes::default(), &request.attributes)?;
    let fresh = Object::new(new_id(context.now), &old.owner, ObjectType::SymmetricKey, wished);
    for (stated, before) in [
        (fresh.algorithm().map(|one| one.to_string()), old.algorithm().map(|one| one.to_string())),
        (fresh.length().map(|one| one.to_string()), old.length().map(|one| one.to_string())),
    ] {
        if stated.is_some() && stated != before {
            return Err(Refusal::new(
                Reason::InvalidField,
                "a key is replaced by one of its own algorithm and length: leave them out, or create a new key",
            ));
        }
    }
    let (bytes, algorithm, length) = new_key(&old.attributes)?;
    let taken = Taken::new(raw_key(bytes, Some(algorithm), Some(length)))?;
    let mut planned = rotation::replace(old, fresh, dates, context.now);
    lifecycle::check_dates(&planned.new)?;
    let (format, digest) = taken.format.zip(taken.digest).ok_or_else(no_key_value)?;
    describe_material(&mut planned.new, format, digest);
    kms.check_constraints(&planned.new, None, context.now)?;
    let sealing = kms.keyring.sealing();
    taken.fill(&mut planned.new, &sealing)?;
    let events = [vec![Event::replaced(&planned.old, &planned.new)], planned.ended].concat();
    let batch = Batch::new().put(planned.old.put()).put(planned.new.put());
    kms.commit(batch, events, By::Client(context))?;
    drop(sealing);
    context.made.note(Placeholder::Rekey, &planned.new.id);
    Ok(RekeyResponse { unique_identifier: planned.new.id, attributes: Attributes::default() })
}

fn states_a_date(attributes: &Attributes) -> bool {
    attributes.list.iter().any(|attribute| {
        matches!(attribute.kind(), AttributeKind::ActivationDate | AttributeKind::DeactivationDate)
    })
}
