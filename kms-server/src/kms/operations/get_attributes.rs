//! Get Attributes (KMIP 1.4 section 4.12).

use kms_protocol::attribute::{Attribute, AttributeList, AttributeReference};
use kms_protocol::operation::{GetAttributesRequest, GetAttributesResponse};

use crate::kms::{Context, Kms, Reason, Refusal, attributes};

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
    let all = attributes::all(&object, context.now);
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
