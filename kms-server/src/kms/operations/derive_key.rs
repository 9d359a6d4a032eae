//! Derive Key (KMIP 1.4 section 4.6): a key made of others.

use kms_protocol::Secret;
use kms_protocol::attribute::{
    Attribute, AttributeKind, Attributes, CryptographicParameters, CryptographicUsageMask, Link,
};
use kms_protocol::enums::{
    DerivationMethod, HashingAlgorithm, KeyFormatType, LinkType, ObjectType, SecretDataType, State,
    UniqueIdentifierPlaceholder as Placeholder,
};
use kms_protocol::object::{KeyBlock, KeyValue, ManagedObject, SecretData};
use kms_protocol::operation::{DerivationParameters, DeriveKeyRequest, DeriveKeyResponse};

use super::decrypt::may_process;
use super::encrypt::{allowed, of_type};
use crate::crypto::derive::{self, Rounds};
use crate::crypto::mac::hash_of;
use crate::crypto::{Cipher, PublicKey};
use crate::kms::content::Taken;
use crate::kms::keep::{Origin, raw_key};
use crate::kms::lifecycle::state_at;
use crate::kms::model::{Material, Object};
use crate::kms::new_object::requested;
use crate::kms::recorded::By;
use crate::kms::{Context, Event, Kms, Reason, Refusal, no_key_value};
use crate::store::Batch;

pub(in crate::kms) fn derive_key(
    kms: &Kms,
    request: DeriveKeyRequest,
    context: &mut Context<'_>,
) -> Result<DeriveKeyResponse, Refusal> {
    kms.may_create(context)?;
    if !matches!(request.object_type, ObjectType::SymmetricKey | ObjectType::SecretData) {
        return Err(invalid(format!(
            "a {} is not derived: state Symmetric Key or Secret Data",
            request.object_type
        )));
    }
    if request.unique_identifiers.len() > 2 {
        return Err(invalid("a key is derived from one object, or from two".to_owned()));
    }
    let mut bases = Vec::new();
    for id in &request.unique_identifiers {
        if id.as_text().is_none() {
            return Err(invalid("Derive Key takes no placeholder: state Unique Identifiers".to_owned()));
        }
        bases.push(kms.find(Some(id), context)?);
    }
    if request.derivation_method == DerivationMethod::AsymmetricKey
        && let Some(base) = bases.first()
    {
        of_type(base, ObjectType::PrivateKey, "derives by Asymmetric Key")?;
    }
    // What is derived opens what somebody protected by the key: it is processing, as Decrypt is.
    let takes_pre_active = kms.policies.load().compatibility.derive_from_pre_active;
    for base in &bases {
        if !(takes_pre_active && state_at(base, context.now) == State::PreActive) {
            may_process(kms, base, context)?;
        }
        allowed(base, CryptographicUsageMask::DERIVE_KEY, "Derive Key")?;
    }
    let mut list = kms.templated(&request.attributes, context)?;
    kms.with_defaults(request.object_type, &mut list, &[], context)?;
    let list = requested(&Attributes::default(), &Attributes::from(list))?;
    let bytes = length_of(&list)?;
    let is_usage_stated = list.iter().any(|one| one.kind() == AttributeKind::CryptographicUsageMask);
    let method = Method { kms, parameters: &request.derivation_parameters, bytes };
    let derived = method.run(request.derivation_method, &bases)?;
    let managed = managed(request.object_type, derived, &list)?;
    let taken = Taken::new(managed)?;
    let mut object =
        kms.drawn_up(request.object_type, &Attributes::from(list), &taken, Origin::Here, context)?;
    object.remove(AttributeKind::RandomNumberGenerator);
    let usage = match request.object_type {
        ObjectType::SymmetricKey => CryptographicUsageMask::ENCRYPT.with(CryptographicUsageMask::DECRYPT),
        _ => CryptographicUsageMask::DERIVE_KEY,
    };
    if !is_usage_stated {
        object.set(Attribute::CryptographicUsageMask(usage));
    }
    // A Link leads to an object of the same owner. The base's own Links to what was derived from it are not written down:
    // there may be thousands, and each would change the key.
    for base in bases.iter().filter(|base| base.owner == object.owner) {
        object
            .attributes
            .push(Attribute::Link(Link::to(LinkType::DerivationBaseObjectLink, base.id.clone())));
    }
    let sealing = kms.keyring.sealing();
    taken.fill(&mut object, &sealing)?;
    kms.commit(Batch::new().put(object.put()), vec![Event::made(&object)], By::Client(context))?;
    drop(sealing);
    context.made.note(Placeholder::DeriveKey, &object.id);
    Ok(DeriveKeyResponse { unique_identifier: object.id, attributes: Attributes::default() })
}

/// The length that the new object's attributes state, in bytes.
fn length_of(list: &[Attribute]) -> Result<usize, Refusal> {
    let bits = list.iter().find_map(|attribute| match attribute {
        Attribute::CryptographicLength(bits) => Some(*bits),
        _ => None,
    });
    let bits =
        bits.ok_or_else(|| invalid("the Cryptographic Length of the new object is missing".to_owned()))?;
    let bytes = usize::try_from(bits).ok().filter(|bits| *bits > 0 && bits % 8 == 0).map(|bits| bits / 8);
    bytes.ok_or_else(|| {
        Refusal::new(Reason::InvalidField, "the Cryptographic Length is no number of whole bytes")
    })
}

fn managed(object_type: ObjectType, derived: Secret, list: &[Attribute]) -> Result<ManagedObject, Refusal> {
    let algorithm = list.iter().find_map(|attribute| match attribute {
        Attribute::CryptographicAlgorithm(algorithm) => Some(*algorithm),
        _ => None,
    });
    match object_type {
        ObjectType::SymmetricKey if algorithm.is_none() => {
            Err(invalid("the Cryptographic Algorithm of the new key is missing".to_owned()))
        }
        ObjectType::SymmetricKey => Ok(raw_key(derived, algorithm, None)),
        ObjectType::SecretData => Ok(ManagedObject::SecretData(SecretData {
            secret_data_type: SecretDataType::Seed,
            key_block: KeyBlock {
                key_format_type: KeyFormatType::Raw,
                key_compression_type: None,
                key_value: Some(KeyValue::bytes(derived)),
                cryptographic_algorithm: None,
                cryptographic_length: None,
                key_wrapping_data: None,
            },
        })),
        other => Err(Refusal::new(
            Reason::InvalidField,
            format!("a {other} is not derived: a Symmetric Key or Secret Data is"),
        )),
    }
}

struct Method<'a> {
    kms: &'a Kms,
    parameters: &'a DerivationParameters,
    bytes: usize,
}

impl Method<'_> {
    fn run(&self, method: DerivationMethod, bases: &[Object]) -> Result<Secret, Refusal> {
        let base = bases.first().ok_or_else(|| {
            Refusal::new(Reason::MissingData, "the Unique Identifier of what to derive from is missing")
        })?;
        if method == DerivationMethod::AsymmetricKey {
            return self.agreement(base, bases.get(1));
        }
        let key = self.kms.key_bytes(base)?;
        let salt = self.parameters.salt.as_ref().map_or(&[][..], |salt| &salt.0);
        let iv = self.parameters.initialization_vector.as_ref().map_or(&[][..], |iv| &iv.0);
        let (hash, bytes) = (self.hash(), self.bytes);
        Ok(match method {
            DerivationMethod::Pbkdf2 => {
                let count = self.parameters.iteration_count.and_then(|count| u32::try_from(count).ok());
                let count = count.ok_or_else(|| missing("Iteration Count"))?;
                if salt.is_empty() {
                    return Err(missing("Salt"));
                }
                derive::pbkdf2(hash, &key, salt, count, bytes)?
            }
            DerivationMethod::Hash => match self.data(bases)? {
                Some(data) => derive::hashed(hash, &data, bytes)?,
                None => derive::hashed(hash, &key, bytes)?,
            },
            // HMAC has no salt: who states one means HKDF (RFC 5869), which 1.x has no name for.
            DerivationMethod::Hmac if self.parameters.salt.is_some() => {
                let info = self.data(bases)?.unwrap_or_default();
                derive::hkdf(hash, &key, salt, &info, bytes)?
            }
            DerivationMethod::Hmac => derive::hmac(hash, &key, &self.needed(bases)?, bytes)?,
            DerivationMethod::Hkdf => {
                let info = self.data(bases)?.unwrap_or_default();
                derive::hkdf(hash, &key, salt, &info, bytes)?
            }
            DerivationMethod::Nist800_108C => {
                derive::nist_800_108(Rounds::Counter, hash, &key, iv, &self.needed(bases)?, bytes)?
            }
            DerivationMethod::Nist800_108F => {
                derive::nist_800_108(Rounds::Feedback, hash, &key, iv, &self.needed(bases)?, bytes)?
            }
            DerivationMethod::Nist800_108Dpi => {
                derive::nist_800_108(Rounds::DoublePipeline, hash, &key, iv, &self.needed(bases)?, bytes)?
            }
            DerivationMethod::AwsSignatureVersion4 => {
                derive::aws_signature_4(&key, &self.parameters.derivation_data, bytes)?
            }
            DerivationMethod::Encrypt => {
                let how = self.cryptography();
                let algorithm = base.algorithm().or(how.cryptographic_algorithm).ok_or_else(no_key_value)?;
                let cipher = Cipher::new(algorithm, &how)?;
                let sealed = cipher.encrypt_secret(&key, iv, &self.needed(bases)?)?;
                derive::first(sealed, bytes)?
            }
            other => {
                return Err(Refusal::new(
                    Reason::UnsupportedParameters,
                    format!("the Derivation Method {other} is not offered here"),
                ));
            }
        })
    }

    /// What two keys agree on by ECDH: the caller's private key, and the peer's public key, which is a second object or
    /// stands in Derivation Data as `SubjectPublicKeyInfo`. The specification says no more of this method than its name. No
    /// hash is applied: the client's KDF is its own.
    fn agreement(&self, private: &Object, public: Option<&Object>) -> Result<Secret, Refusal> {
        let peer = match (public, self.parameters.derivation_data.as_slice()) {
            (Some(_), [_, ..]) => {
                return Err(Refusal::new(
                    Reason::InvalidMessage,
                    "the peer's public key is a second object or Derivation Data, not both",
                ));
            }
            (Some(public), []) => {
                of_type(public, ObjectType::PublicKey, "is the peer of an agreement")?;
                let Some(Material::Public(spki)) = &public.material else { return Err(no_key_value()) };
                PublicKey::from_spki(&spki.0)?
            }
            (None, [spki]) => PublicKey::from_secret_spki(spki)?,
            (None, []) => {
                return Err(Refusal::new(
                    Reason::MissingData,
                    "the peer's public key is missing: state its Unique Identifier, or its SubjectPublicKeyInfo as Derivation Data",
                ));
            }
            (None, _) => {
                return Err(invalid("the peer has one public key: state one Derivation Data".to_owned()));
            }
        };
        let shared = self.kms.private_key(private)?.agree(&peer)?;
        let yields = shared.len() * 8;
        derive::first(shared, self.bytes).map_err(|_| {
            Refusal::new(
                Reason::Cryptographic,
                format!("{} bits are asked for, and the agreement yields {yields}", self.bytes * 8),
            )
        })
    }

    fn cryptography(&self) -> CryptographicParameters {
        self.parameters.cryptographic_parameters.clone().unwrap_or_default()
    }

    /// The hash of the method: stated as such, or in the name of an HMAC.
    fn hash(&self) -> HashingAlgorithm {
        let how = self.cryptography();
        let named = || how.cryptographic_algorithm.and_then(hash_of);
        how.hashing_algorithm.or_else(named).unwrap_or(HashingAlgorithm::Sha256)
    }

    /// The derivation data: stated, or held by the second object.
    fn data(&self, bases: &[Object]) -> Result<Option<Secret>, Refusal> {
        let stated = &self.parameters.derivation_data;
        match (stated.as_slice(), bases.get(1)) {
            ([], None) => Ok(None),
            ([], Some(second)) => self.kms.key_bytes(second).map(Some),
            (_, Some(_)) => Err(Refusal::new(
                Reason::InvalidMessage,
                "Derivation Data is stated and named by a second object: one of both",
            )),
            (stated, None) => Ok(Some(derive::joined(stated))),
        }
    }

    fn needed(&self, bases: &[Object]) -> Result<Secret, Refusal> {
        self.data(bases)?.ok_or_else(|| missing("Derivation Data"))
    }
}

fn invalid(what: String) -> Refusal {
    Refusal::new(Reason::InvalidField, what)
}

fn missing(what: &str) -> Refusal {
    Refusal::new(Reason::InvalidMessage, format!("the {what} of the Derivation Parameters is missing"))
}
