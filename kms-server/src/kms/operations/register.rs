//! Register (KMIP 1.4 section 4.3): an object that was made elsewhere.

use kms_protocol::attribute::Attributes;
use kms_protocol::enums::UniqueIdentifierPlaceholder as Placeholder;
use kms_protocol::object::{ManagedObject, Template};
use kms_protocol::operation::{RegisterRequest, RegisterResponse};

use crate::kms::content::Taken;
use crate::kms::keep::Origin;
use crate::kms::model::Object;
use crate::kms::recorded::By;
use crate::kms::{Context, Event, Kms, Reason, Refusal};
use crate::store::Batch;

pub(in crate::kms) fn register(
    kms: &Kms,
    request: RegisterRequest,
    context: &mut Context<'_>,
) -> Result<RegisterResponse, Refusal> {
    kms.may_create(context)?;
    let object_type = request.object.object_type();
    if object_type != request.object_type {
        return Err(Refusal::new(
            Reason::InvalidField,
            format!("the Object Type is {} and the object is a {object_type}", request.object_type),
        ));
    }
    let mut attributes = request.attributes;
    // A Template's own Name stands among the attributes that it is made of.
    if let ManagedObject::Template(Template(inside)) = &request.object {
        let names = inside.0.iter().filter(|one| one.kind() == kms_protocol::attribute::AttributeKind::Name);
        attributes.list.extend(names.cloned());
    }
    let (content, beside) = kms.opened(request.object, &mut attributes.list, context)?;
    let taken = Taken::new(content)?;
    let mut object = kms.drawn_up(object_type, &attributes, &taken, Origin::Elsewhere, context)?;
    let sealing = kms.keyring.sealing();
    taken.fill(&mut object, &sealing)?;
    let companions = kms.companions(&mut object, beside, &sealing, context)?;
    let all = || [&object].into_iter().chain(&companions);
    let batch = Batch { puts: all().map(Object::put).collect(), deletes: Vec::new() };
    kms.commit(batch, all().map(Event::made).collect(), By::Client(context))?;
    drop(sealing);
    context.made.note(Placeholder::Register, &object.id);
    Ok(RegisterResponse { unique_identifier: object.id, attributes: Attributes::default() })
}
