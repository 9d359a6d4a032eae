//! Modify Attribute (KMIP 1.4 section 4.15).

use kms_protocol::attribute::IndexedAttribute;
use kms_protocol::operation::{ModifyAttributeRequest, ModifyAttributeResponse};

use super::change_attribute::{check_known, instance, reference_to, replace};
use crate::kms::attributes::{self, Change};
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn modify_attribute(
    kms: &Kms,
    request: ModifyAttributeRequest,
    context: &mut Context<'_>,
) -> Result<ModifyAttributeResponse, Refusal> {
    let IndexedAttribute { attribute, index } = request.attribute;
    check_known(&attribute, context)?;
    let reference = reference_to(&attribute);
    let current = request.current.map(|current| current.attribute);
    if current.as_ref().is_some_and(|current| !reference.names(current)) {
        return Err(Refusal::new(
            Reason::InvalidField,
            "Current Attribute and New Attribute are values of two attributes",
        ));
    }
    let (now, is_2x) = (context.now, context.version.is_2x());
    let new = attribute.clone();
    let object = kms.change_attributes(request.unique_identifier.as_ref(), context, |object| {
        // Whether it may be changed at all is told before whether it is there.
        attributes::check(object, &attribute, Change::Modify, now)?;
        let at = instance(object, &reference, current.as_ref(), index, is_2x)?;
        replace(object, at, attribute.clone(), now)?;
        Ok(attribute.kind())
    })?;
    let attribute = Some(IndexedAttribute { attribute: new, index });
    Ok(ModifyAttributeResponse { unique_identifier: object.id, attribute })
}
