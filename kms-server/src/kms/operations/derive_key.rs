//! Derive Key (KMIP 1.4 section 4.6) by the method Asymmetric Key: ECDH on P-256 (NIST SP 800-56A).
//!
//! The specification says no more of this method than its name. Here: the first object is the private key; the peer's public
//! key is a second object, or stands in Derivation Data as `SubjectPublicKeyInfo`. What is derived is the shared secret (the
//! x-coordinate), or as many of its first bytes as Cryptographic Length says. No hash is applied: the client's KDF is its own.
//!
//! The derived object links to the private key. The private key's Links to what was derived from it are not written down:
//! there may be thousands, and each would change the key.

use kms_protocol::attribute::{Attribute, Attributes, CryptographicUsageMask as Mask, Digest, Link};
use kms_protocol::enums::{
    DerivationMethod, HashingAlgorithm, KeyFormatType, LinkType, ObjectType,
    UniqueIdentifierPlaceholder as Placeholder,
};
use kms_protocol::operation::{DerivationParameters, DeriveKeyRequest, DeriveKeyResponse};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Secret, UniqueIdentifier};
use uuid::Uuid;

use super::encrypt::{allowed, of_type};
use crate::crypto::{PublicKey, sha256};
use crate::kms::model::{Material, Object};
use crate::kms::new_object::requested;
use crate::kms::pairs::seal;
use crate::kms::recorded::By;
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle, no_key_value};
use crate::store::Batch;

pub(in crate::kms) fn derive_key(
    kms: &Kms,
    request: DeriveKeyRequest,
    context: &mut Context<'_>,
) -> Result<DeriveKeyResponse, Refusal> {
    kms.may_create(context)?;
    let DeriveKeyRequest { object_type, unique_identifiers, derivation_method, .. } = &request;
    let invalid = |what: String| Refusal::new(Reason::InvalidField, what);
    if !matches!(object_type, ObjectType::SymmetricKey | ObjectType::SecretData) {
        return Err(invalid(format!("a {object_type} is not derived: state Symmetric Key or Secret Data")));
    }
    if *derivation_method != DerivationMethod::AsymmetricKey {
        return Err(invalid(format!(
            "the Derivation Method {derivation_method} is not supported: state Asymmetric Key"
        )));
    }
    let (base, peer) = match unique_identifiers.as_slice() {
        [base] => (find(kms, base, context)?, None),
        [base, peer] => (find(kms, base, context)?, Some(find(kms, peer, context)?)),
        [] => {
            return Err(Refusal::new(
                Reason::MissingData,
                "the Unique Identifier of the private key is missing",
            ));
        }
        _ => {
            return Err(invalid(
                "an agreement is between two keys: state one or two Unique Identifiers".into(),
            ));
        }
    };
    of_type(&base, ObjectType::PrivateKey, "derives by Asymmetric Key")?;
    usable(kms, &base, context.now)?;
    let peer = match peer {
        Some(peer) => peer_object(kms, &peer, &request.derivation_parameters, context.now)?,
        None => peer_stated(&request.derivation_parameters)?,
    };
    let (attributes, length) = wanted(*object_type, &request.attributes)?;
    let agreed = kms.private_key(&base)?.agree(&peer)?;
    let secret = shortened(&agreed, length)?;
    let derived = describe(&base, *object_type, attributes, &secret, context);
    lifecycle::check_dates(&derived)?;
    keep(kms, derived, &secret, context)
}

/// An object that is stated: the ID Placeholder does not count here.
fn find(kms: &Kms, id: &UniqueIdentifier, context: &mut Context<'_>) -> Result<Object, Refusal> {
    match id {
        UniqueIdentifier::Text(_) => kms.find(Some(id), context),
        _ => Err(Refusal::new(
            Reason::InvalidField,
            "Derive Key takes no placeholder: state Unique Identifiers",
        )),
    }
}

/// An agreement opens what somebody encrypted to the key: it is processing, as Decrypt is.
fn usable(kms: &Kms, object: &Object, now: DateTime) -> Result<(), Refusal> {
    let policies = kms.policies.load();
    let policy = kms.policy_of(&policies, object)?;
    let when_deactivated = policy.map(|policy| policy.decrypt_when_deactivated).unwrap_or_default();
    lifecycle::may_process(lifecycle::state_at(object, now), when_deactivated)?;
    allowed(object, Mask::DERIVE_KEY, "Derive Key")
}

fn peer_object(
    kms: &Kms,
    peer: &Object,
    parameters: &DerivationParameters,
    now: DateTime,
) -> Result<PublicKey, Refusal> {
    if !parameters.derivation_data.is_empty() {
        let what = "the peer's public key is a second object or Derivation Data, not both";
        return Err(Refusal::new(Reason::InvalidMessage, what));
    }
    of_type(peer, ObjectType::PublicKey, "is the peer of an agreement")?;
    usable(kms, peer, now)?;
    let Some(Material::Public(spki)) = &peer.material else { return Err(no_key_value()) };
    Ok(PublicKey::from_spki(&spki.0)?)
}

fn peer_stated(parameters: &DerivationParameters) -> Result<PublicKey, Refusal> {
    match parameters.derivation_data.as_slice() {
        [spki] => Ok(PublicKey::from_spki(spki.expose())?),
        [] => Err(Refusal::new(
            Reason::MissingData,
            "the peer's public key is missing: state its Unique Identifier, or its SubjectPublicKeyInfo as Derivation Data",
        )),
        _ => {
            Err(Refusal::new(Reason::InvalidField, "the peer has one public key: state one Derivation Data"))
        }
    }
}

/// What the new object is to be: its attributes and its length in bits.
fn wanted(object_type: ObjectType, stated: &Attributes) -> Result<(Vec<Attribute>, i32), Refusal> {
    let attributes = requested(&Attributes::default(), stated)?;
    let missing = |what: &str| {
        Refusal::new(Reason::InvalidField, format!("the {what} of the key to derive is missing"))
    };
    let length = attributes.iter().find_map(|attribute| match attribute {
        Attribute::CryptographicLength(length) => Some(*length),
        _ => None,
    });
    let named = attributes.iter().any(|attribute| matches!(attribute, Attribute::CryptographicAlgorithm(_)));
    if object_type == ObjectType::SymmetricKey && !named {
        return Err(missing("Cryptographic Algorithm"));
    }
    let length = length.ok_or_else(|| missing("Cryptographic Length"))?;
    if length < 8 || length % 8 != 0 {
        let what = format!("a Cryptographic Length of {length} bits is not one of whole bytes");
        return Err(Refusal::new(Reason::InvalidField, what));
    }
    Ok((attributes, length))
}

fn shortened(agreed: &Secret, bits: i32) -> Result<Secret, Refusal> {
    let bytes = usize::try_from(bits / 8).ok().and_then(|length| agreed.expose().get(..length));
    bytes.map(Secret::from).ok_or_else(|| {
        Refusal::new(
            Reason::Cryptographic,
            format!("{bits} bits are asked for, and the agreement yields {}", agreed.len() * 8),
        )
    })
}

fn describe(
    base: &Object,
    object_type: ObjectType,
    attributes: Vec<Attribute>,
    secret: &Secret,
    context: &Context<'_>,
) -> Object {
    let (owner, now) = (context.caller.principal.as_str(), context.now);
    let mut derived = Object::new(Uuid::new_v4().to_string(), owner, object_type, attributes);
    let usage = match object_type {
        ObjectType::SymmetricKey => Mask::ENCRYPT.with(Mask::DECRYPT),
        _ => Mask::DERIVE_KEY,
    };
    derived.set_default(Attribute::CryptographicUsageMask(usage));
    derived.set(Attribute::KeyFormatType(KeyFormatType::Raw));
    derived.set(Attribute::Digest(Digest {
        hashing_algorithm: HashingAlgorithm::Sha256,
        digest_value: Some(Bytes(sha256(secret.expose()).to_vec())),
        key_format_type: Some(KeyFormatType::Raw),
    }));
    // A Link leads to an object of the same owner.
    if base.owner == derived.owner {
        derived.attributes.push(Attribute::Link(Link::to(LinkType::DerivationBaseObjectLink, &base.id)));
    }
    for date in
        [Attribute::InitialDate(now), Attribute::OriginalCreationDate(now), Attribute::LastChangeDate(now)]
    {
        derived.set(date);
    }
    lifecycle::begin(&mut derived, now);
    derived
}

/// Seals and commits the new object.
fn keep(
    kms: &Kms,
    mut derived: Object,
    secret: &Secret,
    context: &mut Context<'_>,
) -> Result<DeriveKeyResponse, Refusal> {
    let sealing = kms.keyring.sealing();
    seal(&mut derived, secret, &sealing)?;
    kms.commit(Batch::new().put(derived.put()), Vec::new(), By::Client(context))?;
    context.made.note(Placeholder::DeriveKey, &derived.id);
    Ok(DeriveKeyResponse { unique_identifier: derived.id, attributes: Attributes::default() })
}
