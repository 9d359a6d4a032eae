//! Create (KMIP 1.4 section 4.1): a symmetric key.

use kms_protocol::attribute::Attributes;
use kms_protocol::enums::{ObjectType, UniqueIdentifierPlaceholder as Placeholder};
use kms_protocol::operation::{CreateRequest, CreateResponse};

use crate::kms::content::Taken;
use crate::kms::keep::{Origin, new_key, raw_key};
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn create(
    kms: &Kms,
    request: CreateRequest,
    context: &mut Context<'_>,
) -> Result<CreateResponse, Refusal> {
    kms.may_create(context)?;
    if request.object_type != ObjectType::SymmetricKey {
        return Err(Refusal::new(
            Reason::InvalidField,
            format!("a {} is not made by Create: a Symmetric Key is", request.object_type),
        ));
    }
    let mut list = kms.templated(&request.attributes, context)?;
    kms.with_defaults(request.object_type, &mut list, &[], context)?;
    let (bytes, algorithm, length) = new_key(&list)?;
    let taken = Taken::new(raw_key(bytes, Some(algorithm), Some(length)))?;
    let object = kms.keep(request.object_type, &Attributes::from(list), &taken, Origin::Here, context)?;
    context.made.note(Placeholder::Create, &object.id);
    Ok(CreateResponse {
        object_type: object.object_type,
        unique_identifier: object.id,
        attributes: Attributes::default(),
    })
}
