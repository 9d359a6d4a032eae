//! Get Attribute List (KMIP 1.4 section 4.13).

use kms_protocol::attribute::{AttributeReference, AttributeReferences};
use kms_protocol::operation::{GetAttributeListRequest, GetAttributeListResponse};

use crate::kms::{Context, Kms, Refusal, attributes};

pub(in crate::kms) fn get_attribute_list(
    kms: &Kms,
    request: GetAttributeListRequest,
    context: &mut Context<'_>,
) -> Result<GetAttributeListResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    let mut names: Vec<AttributeReference> = Vec::new();
    for attribute in attributes::all(&object, context.now) {
        let reference = AttributeReference::to(&attribute);
        if context.has(attribute.kind()) && !names.contains(&reference) {
            names.push(reference);
        }
    }
    Ok(GetAttributeListResponse { unique_identifier: object.id, attributes: AttributeReferences(names) })
}
