//! Delete Attribute (KMIP 1.4 section 4.16).

use kms_protocol::attribute::{AttributeReference, IndexedAttribute};
use kms_protocol::operation::{DeleteAttributeRequest, DeleteAttributeResponse};

use super::change_attribute::{instance, instances, reference_to};
use crate::kms::attributes::{self, Change};
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn delete_attribute(
    kms: &Kms,
    request: DeleteAttributeRequest,
    context: &mut Context<'_>,
) -> Result<DeleteAttributeResponse, Refusal> {
    let current = request.current.map(|current| current.attribute);
    let reference: AttributeReference = match (&current, request.attribute) {
        (Some(current), _) => reference_to(current),
        (None, Some(reference)) => reference,
        (None, None) => {
            return Err(Refusal::new(
                Reason::InvalidMessage,
                "the attribute to delete is missing: state Current Attribute or Attribute Reference",
            ));
        }
    };
    let (now, is_2x) = (context.now, context.version.is_2x());
    let mut deleted = None;
    let object = kms.change_attributes(request.unique_identifier.as_ref(), context, |object| {
        let places = match &current {
            // In 2.x a reference alone means every instance.
            None if is_2x => instances(object, &reference),
            _ => vec![instance(object, &reference, current.as_ref(), request.index, false)?],
        };
        let missing = || Refusal::new(Reason::AttributeNotFound, "the object does not have this attribute");
        for at in places.into_iter().rev() {
            let attribute = object.attributes.get(at).ok_or_else(missing)?.clone();
            attributes::check(object, &attribute, Change::Delete, now)?;
            object.attributes.remove(at);
            deleted = Some(attribute);
        }
        match &deleted {
            Some(attribute) => Ok(attribute.kind()),
            None => {
                // What every object has is not written down, and stays.
                let given = attributes::all(object, now).into_iter().find(|one| reference.names(one));
                match given {
                    Some(given) => attributes::check(object, &given, Change::Delete, now).and(Err(missing())),
                    None => Err(missing()),
                }
            }
        }
    })?;
    let attribute = deleted.map(|attribute| IndexedAttribute { attribute, index: request.index });
    Ok(DeleteAttributeResponse { unique_identifier: object.id, attribute })
}
