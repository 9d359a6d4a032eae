//! Get (KMIP 1.4 section 4.11).

use kms_protocol::attribute::{Attribute, AttributeKind};
use kms_protocol::enums::{KeyFormatType, KeyWrapType, ObjectType, State};
use kms_protocol::object::ManagedObject;
use kms_protocol::operation::{GetRequest, GetResponse};

use crate::kms::model::{Material, Object};
use crate::kms::policy::MayLeave;
use crate::kms::recorded::By;
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};
use crate::store::Batch;

pub(in crate::kms) fn get(
    kms: &Kms,
    request: GetRequest,
    context: &mut Context<'_>,
) -> Result<GetResponse, Refusal> {
    let (object, content) = taken_out(kms, &request, context)?;
    Ok(GetResponse { object_type: object.object_type, unique_identifier: object.id, object: content })
}

/// An object with its content as a request wants it, which is noted as served.
pub(super) fn taken_out(
    kms: &Kms,
    request: &GetRequest,
    context: &mut Context<'_>,
) -> Result<(Object, ManagedObject), Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if object.is_destroyed() && kms.policies.load().compatibility.destroyed_not_found {
        return Err(Refusal::not_found());
    }
    if request.key_compression_type.is_some() {
        return Err(Refusal::new(
            Reason::KeyFormat,
            "points are not compressed here: leave Key Compression Type out",
        ));
    }
    if object.material.is_some() {
        may_leave(kms, &object, context)?;
    }
    let as_container = request.key_format_type == Some(KeyFormatType::Pkcs12)
        && object.object_type == ObjectType::PrivateKey
        && matches!(object.material, Some(Material::Sealed(_)));
    let mut content = if as_container {
        kms.contained(&object, context)?
    } else {
        kms.content(&object, request.key_format_type)?
    };
    match request.key_wrap_type {
        None | Some(KeyWrapType::AsRegistered) => {}
        Some(KeyWrapType::NotWrapped) => content = kms.unwrapped_if(content, context)?,
        Some(_) => return Err(Refusal::new(Reason::KeyWrap, "the Key Wrap Type is not known")),
    }
    if let Some(specification) = &request.key_wrapping_specification {
        content = kms.wrapped(&object, content, specification, context)?;
    }
    note_served(kms, &object, context);
    Ok((object, content))
}

/// A fresh object is no longer fresh once it was served (section 3.34). That it is served does not wait for the disk to
/// have room for that.
fn note_served(kms: &Kms, object: &Object, context: &mut Context<'_>) {
    if !object.attributes.contains(&Attribute::Fresh(true)) {
        return;
    }
    let mut served = object.clone();
    served.set(Attribute::Fresh(false));
    if let Err(error) = kms.commit(Batch::new().put(served.put()), Vec::new(), By::Client(context)) {
        tracing::debug!(id = object.id, %error, "an object was served and stays fresh");
    }
}

/// Whether an object may be handed out, by its own attributes and by policy.
pub(in crate::kms) fn may_leave(kms: &Kms, object: &Object, context: &Context<'_>) -> Result<(), Refusal> {
    if object.attributes.contains(&Attribute::Extractable(false)) {
        return Err(Refusal::new(Reason::NotExtractable, "the key's attribute Extractable is False"));
    }
    if object.attributes.contains(&Attribute::Sensitive(true)) && context.has(AttributeKind::Sensitive) {
        return Err(Refusal::new(Reason::Sensitive, "the key's attribute Sensitive is True"));
    }
    if object.object_type != ObjectType::PrivateKey || matches!(object.material, Some(Material::Public(_))) {
        return Ok(());
    }
    let policies = kms.policies.load();
    let rule =
        kms.policy_of(&policies, object)?.map_or(MayLeave::Allow, |policy| policy.private_keys_may_leave);
    match (rule, lifecycle::state_at(object, context.now)) {
        (MayLeave::Allow, _) | (MayLeave::RefuseWhenDeactivated, State::PreActive | State::Active) => Ok(()),
        (MayLeave::RefuseWhenDeactivated, state) => Err(Refusal::new(
            Reason::Denied,
            format!("by policy a private key that is {state} does not leave the server: use Decrypt"),
        )),
        (MayLeave::Never, _) => {
            Err(Refusal::new(Reason::Denied, "by policy private keys do not leave the server: use Decrypt"))
        }
    }
}
