//! Set Attribute (KMIP 2.1 section 6.1.52).

use kms_protocol::operation::{SetAttributeRequest, SetAttributeResponse};

use super::change_attribute::{instances, reference_to, replace};
use crate::kms::attributes::{self, Change};
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn set_attribute(
    kms: &Kms,
    request: SetAttributeRequest,
    context: &mut Context<'_>,
) -> Result<SetAttributeResponse, Refusal> {
    let attribute = request.attribute.attribute;
    let now = context.now;
    let object = kms.change_attributes(request.unique_identifier.as_ref(), context, |object| {
        let kind = attribute.kind();
        let mut new = attribute.clone();
        match instances(object, &reference_to(&attribute)).as_slice() {
            [] => {
                attributes::check(object, &new, Change::Add, now)?;
                attributes::follow(object, &mut new, true);
                object.attributes.push(new);
            }
            [at] => replace(object, *at, new, now)?,
            _ => {
                return Err(Refusal::new(
                    Reason::Ambiguous,
                    "the attribute has several values, and Set Attribute sets those that have one: modify or delete one of them",
                ));
            }
        }
        Ok(kind)
    })?;
    Ok(SetAttributeResponse { unique_identifier: object.id })
}
