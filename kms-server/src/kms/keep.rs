//! New objects that are no pairs: made here, registered, derived or imported.

use kms_protocol::DateTime;
use kms_protocol::Secret;
use kms_protocol::attribute::{Attribute, AttributeKind, Attributes, Digest};
use kms_protocol::enums::{CryptographicAlgorithm, HashingAlgorithm, KeyFormatType, ObjectType};
use kms_protocol::object::{KeyBlock, KeyValue, ManagedObject};
use kms_protocol::ttlv::Bytes;

use super::content::Taken;
use super::model::Object;
use super::new_object::{generator, new_id, requested, usual_usage};
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::{Context, Event, Kms, attributes, lifecycle};
use crate::crypto::cipher;
use crate::limits;
use crate::store::Batch;

/// Where a new object comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The server made it.
    Here,
    /// A client brought it.
    Elsewhere,
}

impl Kms {
    /// Keeps a new object of the caller's, with the attributes that it asks for.
    ///
    /// # Errors
    /// Those of the attributes and of the store.
    pub(super) fn keep(
        &self,
        object_type: ObjectType,
        attributes: &Attributes,
        taken: &Taken,
        origin: Origin,
        context: &mut Context<'_>,
    ) -> Result<Object, Refusal> {
        let mut object = self.drawn_up(object_type, attributes, taken, origin, context)?;
        let sealing = self.keyring.sealing();
        taken.fill(&mut object, &sealing)?;
        let events = vec![Event::made(&object)];
        self.commit(Batch::new().put(object.put()), events, By::Client(context))?;
        Ok(object)
    }

    /// The new object without its content, not kept yet.
    pub(super) fn drawn_up(
        &self,
        object_type: ObjectType,
        attributes: &Attributes,
        taken: &Taken,
        origin: Origin,
        context: &Context<'_>,
    ) -> Result<Object, Refusal> {
        let mut list = self.templated(attributes, context)?;
        self.with_defaults(object_type, &mut list, &taken.attributes, context)?;
        // Who brings an object knows when it was made (1.4 section 3.43).
        let made = list.iter().position(|one| one.kind() == AttributeKind::OriginalCreationDate);
        let made = made.filter(|_| origin == Origin::Elsewhere).map(|at| list.remove(at));
        let mut list = requested(&Attributes::default(), &Attributes::from(list))?;
        list.extend(made);
        let id = new_id(context.now);
        let mut object = Object::new(id, &context.caller.principal, object_type, list);
        object.shares_names = self.policies.load().compatibility.shared_names;
        merge(&mut object, &taken.attributes)?;
        complete(&mut object, taken, origin, context.now);
        check_new(&object)?;
        self.admit(&object, context)?;
        Ok(object)
    }

    /// A request's attributes with those of the Templates that it names.
    pub(super) fn templated(
        &self,
        attributes: &Attributes,
        context: &Context<'_>,
    ) -> Result<Vec<Attribute>, Refusal> {
        let mut list = attributes.list.clone();
        for name in &attributes.templates {
            let template = self.template(&name.value, context)?;
            for attribute in template {
                let kind = attribute.kind();
                if kind.is_multi_valued() || !list.iter().any(|other| other.kind() == kind) {
                    list.push(attribute);
                }
            }
        }
        Ok(list)
    }

    /// The attributes in a Template of the caller's.
    fn template(&self, name: &str, context: &Context<'_>) -> Result<Vec<Attribute>, Refusal> {
        let missing = || Refusal::new(Reason::NotFound, format!("there is no template of the name {name:?}"));
        let object = self.named(&context.caller.principal, name)?;
        let object = object.filter(|object| object.object_type == ObjectType::Template);
        match self.content(&object.ok_or_else(missing)?, None)? {
            // Its own Name is not the new object's.
            ManagedObject::Template(template) => {
                let all = template.0.0.into_iter();
                Ok(all.filter(|attribute| attribute.kind() != AttributeKind::Name).collect())
            }
            _ => Err(missing()),
        }
    }
}

/// What follows from the object itself joins what its client says, and must not contradict it.
pub(super) fn merge(object: &mut Object, follows: &[Attribute]) -> Result<(), Refusal> {
    for attribute in follows {
        let kind = attribute.kind();
        let stated = object.attributes.iter().find(|other| other.kind() == kind);
        match (kind, stated) {
            (AttributeKind::CryptographicAlgorithm | AttributeKind::CryptographicLength, Some(stated))
                if stated != attribute && !is_same_family(stated, attribute) =>
            {
                return Err(Refusal::new(
                    Reason::InvalidField,
                    format!("the {} stated is not that of the object", kind.name()),
                ));
            }
            (AttributeKind::CryptographicDomainParameters, Some(stated))
                if is_other_curve(stated, attribute) =>
            {
                return Err(Refusal::new(
                    Reason::InvalidField,
                    "the Recommended Curve stated is not that of the object",
                ));
            }
            (_, Some(_)) if !kind.is_multi_valued() => {}
            _ => object.attributes.push(attribute.clone()),
        }
    }
    Ok(())
}

/// Whether both name a curve, and not the same.
fn is_other_curve(one: &Attribute, other: &Attribute) -> bool {
    let curve = |attribute: &Attribute| match attribute {
        Attribute::CryptographicDomainParameters(parameters) => parameters.recommended_curve,
        _ => None,
    };
    curve(one).zip(curve(other)).is_some_and(|(one, other)| one != other)
}

/// EC, ECDSA and ECDH are names of one kind of key, and a key may be used for HMAC whatever it was made for.
fn is_same_family(one: &Attribute, other: &Attribute) -> bool {
    let is_ec = |attribute: &Attribute| {
        matches!(
            attribute,
            Attribute::CryptographicAlgorithm(
                CryptographicAlgorithm::Ec | CryptographicAlgorithm::Ecdsa | CryptographicAlgorithm::Ecdh
            )
        )
    };
    is_ec(one) && is_ec(other)
}

/// Fills in what the server knows of a new object, and its first state.
pub(super) fn complete(object: &mut Object, taken: &Taken, origin: Origin, now: DateTime) {
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
    if object.algorithm().is_some() && object.object_type != ObjectType::Certificate {
        object.set_default(Attribute::CryptographicUsageMask(usual_usage(object)));
    }
    if origin == Origin::Here {
        object.set(Attribute::RandomNumberGenerator(generator()));
        object.set(Attribute::OriginalCreationDate(now));
    }
    let stated = object.attributes.clone();
    for mut attribute in stated {
        attributes::follow(object, &mut attribute, true);
        if attribute.kind() == AttributeKind::UsageLimits {
            object.set(attribute);
        }
    }
    object.set_default(Attribute::Fresh(true));
    object.set(Attribute::InitialDate(now));
    object.set(Attribute::LastChangeDate(now));
    lifecycle::begin(object, now);
}

fn check_new(object: &Object) -> Result<(), Refusal> {
    lifecycle::check_dates(object)?;
    let asked_safe = object.attributes.contains(&Attribute::QuantumSafe(true));
    if asked_safe && !is_quantum_safe(object) {
        return Err(Refusal::new(
            Reason::NotQuantumSafe,
            "no key of this algorithm and length is safe from quantum computers: use AES with 256 bits",
        ));
    }
    Ok(())
}

/// Whether a search by Grover's algorithm leaves 128 bits.
fn is_quantum_safe(object: &Object) -> bool {
    let symmetric = object.algorithm().is_none_or(|algorithm| {
        cipher::key_bits(algorithm).is_some_and(|bits| bits.contains(&256)) || is_hmac(algorithm)
    });
    symmetric && object.length().is_none_or(|length| length >= 256)
}

fn is_hmac(algorithm: CryptographicAlgorithm) -> bool {
    algorithm.to_string().starts_with("HMAC")
}

/// Whether keys of an algorithm that nothing is encrypted with here have this many bits: they are made and kept for others.
fn is_key_of(algorithm: CryptographicAlgorithm, bits: i32) -> bool {
    use CryptographicAlgorithm as Algorithm;
    let range = match algorithm {
        _ if is_hmac(algorithm) => 8..=limits::LONGEST_KEY,
        Algorithm::OneTimePad => 8..=limits::LONGEST_KEY,
        Algorithm::Aria | Algorithm::Camellia | Algorithm::Twofish => {
            return matches!(bits, 128 | 192 | 256);
        }
        Algorithm::Des => return matches!(bits, 56 | 64),
        Algorithm::Idea | Algorithm::Seed => 128..=128,
        Algorithm::Cast5 => 40..=128,
        Algorithm::Mars => 128..=448,
        Algorithm::Rc2 => 8..=1024,
        Algorithm::Rc4 => 40..=2048,
        Algorithm::Rc5 => 8..=2040,
        Algorithm::Skipjack => 80..=80,
        _ => return false,
    };
    range.contains(&bits) && bits % 8 == 0
}

/// A new symmetric key of the kind that attributes ask for.
///
/// # Errors
/// When algorithm or length is missing or not offered here.
pub(super) fn new_key(list: &[Attribute]) -> Result<(Secret, CryptographicAlgorithm, i32), Refusal> {
    let mut algorithm = None;
    let mut length = None;
    for attribute in list {
        match attribute {
            Attribute::CryptographicAlgorithm(value) => algorithm = Some(*value),
            Attribute::CryptographicLength(value) => length = Some(*value),
            _ => {}
        }
    }
    let missing = |what| Refusal::new(Reason::InvalidMessage, format!("the {what} of the key is missing"));
    let algorithm = algorithm.ok_or_else(|| missing("Cryptographic Algorithm"))?;
    let length = length
        .or_else(|| cipher::key_bits(algorithm).filter(|bits| bits.len() == 1)?.first().copied())
        .ok_or_else(|| missing("Cryptographic Length"))?;
    let offered = match cipher::key_bits(algorithm) {
        Some(bits) => bits.contains(&length),
        None => is_key_of(algorithm, length),
    };
    if !offered {
        return Err(Refusal::new(
            Reason::UnsupportedParameters,
            format!("no {algorithm} key of {length} bits is made here"),
        ));
    }
    // DES and 3DES count the 56 or the 64 bits of 8 bytes each.
    let bits = match (algorithm, length) {
        (CryptographicAlgorithm::TripleDes, 112) => 128,
        (CryptographicAlgorithm::TripleDes, 168) => 192,
        (CryptographicAlgorithm::Des, 56) => 64,
        _ => length,
    };
    let bytes = usize::try_from(bits / 8).unwrap_or_default();
    Ok((Secret::new(cipher::random(bytes)?), algorithm, length))
}

/// A symmetric key as a client would register it.
pub(super) fn raw_key(
    bytes: Secret,
    algorithm: Option<CryptographicAlgorithm>,
    length: Option<i32>,
) -> ManagedObject {
    ManagedObject::SymmetricKey(KeyBlock {
        key_format_type: KeyFormatType::Raw,
        key_compression_type: None,
        key_value: Some(KeyValue::bytes(bytes)),
        cryptographic_algorithm: algorithm,
        cryptographic_length: length,
        key_wrapping_data: None,
    })
}
