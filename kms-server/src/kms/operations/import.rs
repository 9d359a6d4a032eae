//! Import (KMIP 1.4 section 4.40): an object with its identifier and its history.

use kms_protocol::attribute::{Attribute, AttributeKind, Digest};
use kms_protocol::enums::{HashingAlgorithm, KeyWrapType, UniqueIdentifierPlaceholder as Placeholder};
use kms_protocol::operation::{ImportRequest, ImportResponse};
use kms_protocol::ttlv::Bytes;

use crate::kms::content::Taken;
use crate::kms::model::Object;
use crate::kms::new_object::check_size;
use crate::kms::notes::{is_object, no_identifier};
use crate::kms::recorded::By;
use crate::kms::{Context, Event, Kms, Reason, Refusal, lifecycle};
use crate::store::Batch;

/// What this server says of an object itself, whatever another said.
const NOT_IMPORTED: &[AttributeKind] = &[
    AttributeKind::UniqueIdentifier,
    AttributeKind::ShortUniqueIdentifier,
    AttributeKind::ObjectType,
    AttributeKind::LeaseTime,
    AttributeKind::ProtectionStorageMask,
    AttributeKind::Digest,
    AttributeKind::KeyFormatType,
    AttributeKind::LastChangeDate,
    AttributeKind::ArchiveDate,
];

pub(in crate::kms) fn import(
    kms: &Kms,
    request: ImportRequest,
    context: &mut Context<'_>,
) -> Result<ImportResponse, Refusal> {
    kms.may_create(context)?;
    let id = request.unique_identifier;
    if !is_object(&id) {
        return Err(Refusal::new(Reason::InvalidField, no_identifier(&id)));
    }
    let object_type = request.object.object_type();
    if request.object_type.is_some_and(|stated| stated != object_type) {
        return Err(Refusal::new(Reason::InvalidField, format!("the object is a {object_type}")));
    }
    context.touch(&id, None);
    let before = kms.fetch(&id)?;
    let is_own = before.as_ref().is_none_or(|before| before.owner == context.caller.principal);
    if before.is_some() && !(is_own && request.replace_existing == Some(true)) {
        return Err(Refusal::new(
            Reason::AlreadyExists,
            "an object with this Unique Identifier is here already: state Replace Existing to have your own give way",
        ));
    }
    let content = match request.key_wrap_type {
        Some(KeyWrapType::NotWrapped) => kms.unwrapped(request.object, context)?,
        _ => request.object,
    };
    let mut list = request.attributes.0;
    let (content, beside) = kms.opened(content, &mut list, context)?;
    let taken = Taken::new(content)?;
    let now = context.now;
    list.retain(|attribute| !NOT_IMPORTED.contains(&attribute.kind()));
    check_size(&list)?;
    let mut object = Object::new(id, &context.caller.principal, object_type, list);
    object.shares_names = kms.policies.load().compatibility.shared_names;
    object.revision = before.and_then(|before| before.revision);
    for attribute in &taken.attributes {
        object.set_default(attribute.clone());
    }
    if let Some(format) = taken.format {
        object.set(Attribute::KeyFormatType(format));
    }
    if let Some(digest) = taken.digest {
        object.set(Attribute::Digest(Digest {
            hashing_algorithm: HashingAlgorithm::Sha256,
            digest_value: Some(Bytes(digest.to_vec())),
            key_format_type: taken.format,
        }));
    }
    object.set_default(Attribute::InitialDate(now));
    object.set_default(Attribute::Fresh(true));
    object.set(Attribute::LastChangeDate(now));
    lifecycle::check_dates(&object)?;
    if object.written_state().is_none() {
        lifecycle::begin(&mut object, now);
    }
    lifecycle::settle(&mut object, now);
    kms.admit(&object, context)?;
    let sealing = kms.keyring.sealing();
    taken.fill(&mut object, &sealing)?;
    let companions = kms.companions(&mut object, beside, &sealing, context)?;
    let all = || [&object].into_iter().chain(&companions);
    let batch = Batch { puts: all().map(Object::put).collect(), deletes: Vec::new() };
    kms.commit(batch, all().map(Event::made).collect(), By::Client(context))?;
    drop(sealing);
    kms.keys.forget(&object.id);
    context.made.note(Placeholder::Import, &object.id);
    Ok(ImportResponse { unique_identifier: object.id })
}
