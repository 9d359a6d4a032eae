//! Get (KMIP 1.4 section 4.11).

use kms_protocol::Secret;
use kms_protocol::attribute::{Attribute, AttributeKind};
use kms_protocol::enums::{KeyWrapType, ObjectType, SecretDataType, State};
use kms_protocol::object::{KeyBlock, KeyValue, ManagedObject, SecretData};
use kms_protocol::operation::{GetRequest, GetResponse};

use crate::kms::model::{Material, Object};
use crate::kms::pairs::in_format;
use crate::kms::policy::MayLeave;
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};

pub(in crate::kms) fn get(
    kms: &Kms,
    request: GetRequest,
    context: &mut Context<'_>,
) -> Result<GetResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if request.key_wrapping_specification.is_some() {
        return Err(Refusal::new(
            Reason::KeyWrap,
            "keys are not wrapped here: leave the Key Wrapping Specification out",
        ));
    }
    if request.key_compression_type.is_some() {
        return Err(Refusal::new(
            Reason::KeyFormat,
            "points are not compressed here: leave Key Compression Type out",
        ));
    }
    if !matches!(request.key_wrap_type, None | Some(KeyWrapType::NotWrapped | KeyWrapType::AsRegistered)) {
        return Err(Refusal::new(Reason::KeyWrap, "the Key Wrap Type is not known"));
    }
    let format = request.key_format_type.unwrap_or_else(|| object.default_format());
    let material = match &object.material {
        None => return Err(destroyed()),
        Some(Material::Public(spki)) => Secret::from(spki.0.as_slice()),
        Some(Material::Sealed(sealed)) => {
            may_leave(kms, &object, context)?;
            kms.unseal(&object.id, &sealed.0)?
        }
    };
    let block = KeyBlock {
        key_format_type: format,
        key_compression_type: None,
        // KeyMaterial alone: there are clients that cannot read attributes here.
        key_value: Some(KeyValue::bytes(in_format(&object, &material, format)?)),
        cryptographic_algorithm: object.algorithm(),
        cryptographic_length: object.length(),
        key_wrapping_data: None,
    };
    let key = match object.object_type {
        ObjectType::PrivateKey => ManagedObject::PrivateKey(block),
        ObjectType::PublicKey => ManagedObject::PublicKey(block),
        // All that there is was derived.
        ObjectType::SecretData => {
            ManagedObject::SecretData(SecretData { secret_data_type: SecretDataType::Seed, key_block: block })
        }
        _ => ManagedObject::SymmetricKey(block),
    };
    Ok(GetResponse { object_type: object.object_type, unique_identifier: object.id, object: key })
}

fn destroyed() -> Refusal {
    Refusal::new(Reason::Destroyed, "the object is destroyed: its attributes are all that is left of it")
}

/// Whether a secret may be handed out, by its own attributes, and for a private key by policy.
fn may_leave(kms: &Kms, object: &Object, context: &Context<'_>) -> Result<(), Refusal> {
    if object.attributes.contains(&Attribute::Extractable(false)) {
        return Err(Refusal::new(Reason::NotExtractable, "the key's attribute Extractable is False"));
    }
    if object.attributes.contains(&Attribute::Sensitive(true)) && context.has(AttributeKind::Sensitive) {
        return Err(Refusal::new(Reason::Sensitive, "the key's attribute Sensitive is True"));
    }
    if object.object_type != ObjectType::PrivateKey {
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
