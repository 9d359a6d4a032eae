//! Get Attributes (KMIP 1.4 section 4.12).

use kms_protocol::attribute::{Attribute, AttributeList, AttributeReference};
use kms_protocol::operation::{GetAttributesRequest, GetAttributesResponse};

use crate::kms::model::Object;
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};
use kms_protocol::DateTime;

pub(in crate::kms) fn get_attributes(
    kms: &Kms,
    request: GetAttributesRequest,
    context: &mut Context<'_>,
) -> Result<GetAttributesResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    let wanted = &request.attributes.0;
    for (at, reference) in wanted.iter().enumerate() {
        if wanted.get(..at).is_some_and(|earlier| earlier.contains(reference)) {
            return Err(Refusal::new(Reason::InvalidMessage, "an attribute is asked for twice"));
        }
    }
    let all = all_attributes(&object, context.now);
    let list = if wanted.is_empty() { all } else { in_order(wanted, &all) };
    Ok(GetAttributesResponse { unique_identifier: object.id, attributes: AttributeList(list) })
}

fn in_order(wanted: &[AttributeReference], all: &[Attribute]) -> Vec<Attribute> {
    wanted
        .iter()
        .flat_map(|reference| all.iter().filter(|attribute| reference.names(attribute)))
        .cloned()
        .collect()
}

/// Everything that an object has at `now`, in the specification's order.
pub(super) fn all_attributes(object: &Object, now: DateTime) -> Vec<Attribute> {
    let mut all =
        vec![Attribute::UniqueIdentifier(object.id.clone()), Attribute::ObjectType(object.object_type)];
    all.extend(object.attributes.iter().map(|attribute| match attribute {
        Attribute::State(_) => Attribute::State(lifecycle::state_at(object, now)),
        other => other.clone(),
    }));
    all.sort_by_key(Attribute::kind);
    all
}
