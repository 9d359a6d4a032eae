//! Add Attribute (KMIP 1.4 section 4.14).

use kms_protocol::attribute::{AttributeKind, IndexedAttribute};
use kms_protocol::operation::{AddAttributeRequest, AddAttributeResponse};

use super::change_attribute::{check_known, instances, reference_to};
use crate::kms::attributes::{self, Change};
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn add_attribute(
    kms: &Kms,
    request: AddAttributeRequest,
    context: &mut Context<'_>,
) -> Result<AddAttributeResponse, Refusal> {
    let IndexedAttribute { attribute, index } = request.attribute;
    check_known(&attribute, context)?;
    if index.is_some_and(|index| index != 0) {
        return Err(Refusal::new(
            Reason::InvalidMessage,
            "a new instance has no Attribute Index yet: the server gives it one",
        ));
    }
    let now = context.now;
    let mut added = attribute.clone();
    let mut at = 0;
    let object = kms.change_attributes(request.unique_identifier.as_ref(), context, |object| {
        let kind = attribute.kind();
        let present = instances(object, &reference_to(&attribute));
        attributes::check(object, &attribute, Change::Add, now)?;
        if !kind.is_multi_valued() && !present.is_empty() {
            return Err(Refusal::new(
                Reason::SingleValued,
                format!("{} has a value: modify that", kind.name()),
            ));
        }
        if object.attributes.contains(&attribute) {
            let reason = if kind == AttributeKind::Name { Reason::NameTaken } else { Reason::InvalidField };
            return Err(Refusal::new(reason, format!("the object has this {} already", kind.name())));
        }
        attributes::follow(object, &mut added, !object.has(kind));
        at = present.len();
        object.attributes.push(added.clone());
        Ok(kind)
    })?;
    let index = i32::try_from(at).ok().filter(|at| *at > 0);
    let attribute = Some(IndexedAttribute { attribute: added, index });
    Ok(AddAttributeResponse { unique_identifier: object.id, attribute })
}
