//! Objects other than pairs that a seed describes.

use std::collections::BTreeMap;

use kms_protocol::attribute::{Attribute, AttributeKind, CryptographicUsageMask, Link, Name};
use kms_protocol::enums::{
    CertificateRequestType, CertificateType, CryptographicAlgorithm, KeyFormatType, LinkType, ObjectType,
    OpaqueDataType, SecretDataType, SplitKeyMethod, State,
};
use kms_protocol::object::{
    Certificate, CertificateRequest, KeyBlock, KeyValue, ManagedObject, OpaqueObject, SecretData, SplitKey,
};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Secret};

use super::{custom, custom_attributes, reach, subject_links};
use crate::crypto::{KeySpec, cipher, generate, issuer};
use crate::kms::content::Taken;
use crate::kms::keep::{Origin, complete, merge, new_key};
use crate::kms::model::Object;
use crate::kms::new_object::check_size;
use crate::kms::notes::{is_object, no_identifier};
use crate::kms::recorded::By;
use crate::kms::refusal::{Reason, Refusal};
use crate::kms::{Kms, Order, lifecycle};
use crate::store::Batch;

/// Bytes of what is made where a seed states neither value nor length.
const MADE: usize = 32;

/// An object that is no pair.
#[derive(Debug, Default)]
pub struct PlantedObject {
    /// Its Unique Identifier.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// What it is; a Symmetric Key where nothing is said.
    pub object_type: Option<ObjectType>,
    /// Its Names.
    pub names: Vec<String>,
    /// Its Object Groups.
    pub groups: Vec<String>,
    /// Its custom attributes: texts, by names without `x-`.
    pub custom: BTreeMap<String, String>,
    /// Its Links.
    pub links: Vec<(LinkType, String)>,
    /// Its Cryptographic Algorithm.
    pub algorithm: Option<CryptographicAlgorithm>,
    /// Its Cryptographic Length, in bits.
    pub length: Option<i32>,
    /// What kind of pair it is half of, where it is.
    pub spec: Option<KeySpec>,
    /// Its Cryptographic Usage Mask.
    pub usage: Option<CryptographicUsageMask>,
    /// What it holds: key bytes, PKCS#8 or `SubjectPublicKeyInfo` of half a pair, DER of a certificate; made where absent.
    pub value: Option<Secret>,
    /// What Secret Data is.
    pub secret_data_type: Option<SecretDataType>,
    /// What part of what key a Split Key is.
    pub split: Option<Split>,
    /// When it came to be.
    pub created: DateTime,
    /// In what state it is.
    pub state: Option<State>,
}

/// A part of a split key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    /// How many parts there are.
    pub parts: i32,
    /// Which one this is.
    pub part: i32,
    /// How many make the key again.
    pub threshold: i32,
    /// How it was split.
    pub method: SplitKeyMethod,
}

impl Split {
    const ALONE: Self = Self { parts: 1, part: 1, threshold: 1, method: SplitKeyMethod::Xor };
}

impl PlantedObject {
    /// Types that a seed makes. Nobody would write the others into one.
    pub(super) const TYPES: [ObjectType; 8] = [
        ObjectType::SymmetricKey,
        ObjectType::SecretData,
        ObjectType::OpaqueObject,
        ObjectType::Certificate,
        ObjectType::CertificateRequest,
        ObjectType::SplitKey,
        ObjectType::PrivateKey,
        ObjectType::PublicKey,
    ];

    fn what(&self) -> ObjectType {
        self.object_type.unwrap_or(ObjectType::SymmetricKey)
    }

    /// Whether it can be what it says, as far as that is known before it is made.
    ///
    /// # Errors
    /// When its type is not made here, a value is missing or is none of that type.
    pub fn check(&self) -> Result<(), Refusal> {
        if !is_object(&self.id) {
            return Err(invalid(no_identifier(&self.id)));
        }
        match (&self.value, self.what()) {
            (Some(value), _) => self.assembled(Secret::from(value.expose())).and_then(Taken::new).map(drop),
            (None, ObjectType::PrivateKey | ObjectType::PublicKey) => self.spec().map(drop),
            (None, ObjectType::SymmetricKey) => new_key(&self.stated()).map(drop),
            (None, ObjectType::CertificateRequest) if !self.is_gone() => {
                Err(invalid("a Certificate Request is not made here: state its value".to_owned()))
            }
            (None, _) => self.assembled(Secret::new(vec![1])).map(drop),
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.state, Some(State::Destroyed | State::DestroyedCompromised))
    }

    /// What is said of its key.
    fn stated(&self) -> Vec<Attribute> {
        let algorithm = self.algorithm.map(Attribute::CryptographicAlgorithm);
        algorithm.into_iter().chain(self.length.map(Attribute::CryptographicLength)).collect()
    }

    fn spec(&self) -> Result<KeySpec, Refusal> {
        self.spec
            .ok_or_else(|| invalid("half a pair needs a value, or a kind of which one is made".to_owned()))
    }

    /// The object itself.
    fn assembled(&self, value: Secret) -> Result<ManagedObject, Refusal> {
        let bytes = |value: Secret| Bytes(value.expose().to_vec());
        let format = match self.what() {
            ObjectType::PrivateKey => KeyFormatType::Pkcs8,
            ObjectType::PublicKey => KeyFormatType::X509,
            _ => KeyFormatType::Raw,
        };
        let block = |value| KeyBlock {
            key_format_type: format,
            key_compression_type: None,
            key_value: Some(KeyValue::bytes(value)),
            cryptographic_algorithm: self.algorithm,
            cryptographic_length: self.length,
            key_wrapping_data: None,
        };
        Ok(match self.what() {
            ObjectType::SymmetricKey => ManagedObject::SymmetricKey(block(value)),
            ObjectType::PrivateKey => ManagedObject::PrivateKey(block(value)),
            ObjectType::PublicKey => ManagedObject::PublicKey(block(value)),
            ObjectType::SecretData => ManagedObject::SecretData(SecretData {
                secret_data_type: self.secret_data_type.unwrap_or(SecretDataType::Password),
                key_block: block(value),
            }),
            ObjectType::OpaqueObject => {
                ManagedObject::OpaqueObject(OpaqueObject { opaque_data_type: OPAQUE, value })
            }
            ObjectType::Certificate => ManagedObject::Certificate(Certificate {
                certificate_type: CertificateType::X509,
                value: bytes(value),
            }),
            ObjectType::CertificateRequest => ManagedObject::CertificateRequest(CertificateRequest {
                certificate_request_type: CertificateRequestType::Pkcs10,
                value: bytes(value),
            }),
            ObjectType::SplitKey => {
                // Of what is gone nobody knows any more how it was split.
                let split = self.split.or_else(|| self.is_gone().then_some(Split::ALONE));
                let split =
                    split.ok_or_else(|| invalid("a Split Key needs `split`: which part it is".to_owned()))?;
                ManagedObject::SplitKey(SplitKey {
                    parts: split.parts,
                    part: split.part,
                    threshold: split.threshold,
                    method: split.method,
                    prime_field_size: None,
                    key_block: block(value),
                })
            }
            other => return Err(invalid(format!("a seed makes no {other}"))),
        })
    }

    fn made(&self, name: &str) -> Result<Secret, Refusal> {
        let random = |bits: Option<i32>| {
            let bytes = bits.and_then(|bits| usize::try_from(bits / 8).ok()).filter(|bytes| *bytes > 0);
            Ok(Secret::new(cipher::random(bytes.unwrap_or(MADE))?))
        };
        match self.what() {
            ObjectType::SymmetricKey => Ok(new_key(&self.stated())?.0),
            ObjectType::PrivateKey => Ok(generate(self.spec()?)?.private),
            ObjectType::PublicKey => Ok(Secret::new(generate(self.spec()?)?.public)),
            ObjectType::Certificate => {
                let key = generate(KeySpec::P256)?.private;
                Ok(Secret::new(issuer::authority(name, &key, self.created)?))
            }
            _ => random(self.length),
        }
    }
}

/// The first of the values that the specification leaves to vendors (1.4 section 9.1.3.2.10).
const OPAQUE: OpaqueDataType = OpaqueDataType::Other(0x8000_0001);

fn invalid(what: String) -> Refusal {
    Refusal::new(Reason::InvalidField, what)
}

impl Kms {
    /// Makes an object that is no pair; `false` where it is there already.
    ///
    /// # Errors
    /// Those of [`PlantedObject::check`], when dates run backwards, or the store fails.
    pub fn plant_object(&self, planted: &PlantedObject, order: &Order) -> Result<bool, Refusal> {
        planted.check()?;
        if self.fetch(&planted.id)?.is_some() {
            return Ok(false);
        }
        let value = match &planted.value {
            Some(value) => Secret::from(value.expose()),
            None => planted.made(planted.names.first().unwrap_or(&planted.owner))?,
        };
        let taken = Taken::new(planted.assembled(value)?)?;
        let mut list: Vec<Attribute> =
            planted.names.iter().map(|name| Attribute::Name(Name::text(name))).collect();
        list.extend(planted.groups.iter().map(|group| Attribute::ObjectGroup(group.as_str().into())));
        list.extend(custom_attributes(&planted.custom));
        list.extend(planted.usage.map(Attribute::CryptographicUsageMask));
        list.extend(planted.links.iter().map(|(link, to)| Attribute::Link(Link::to(*link, to.clone()))));
        check_size(&list)?;
        let mut object = Object::new(planted.id.clone(), &planted.owner, planted.what(), list);
        merge(&mut object, &taken.attributes)?;
        let origin = if planted.value.is_some() { Origin::Elsewhere } else { Origin::Here };
        complete(&mut object, &taken, origin, planted.created);
        // Half a pair has no other to be rotated with.
        object.is_left_alone = object.object_type == ObjectType::PrivateKey;
        let sealing = self.keyring.sealing();
        taken.fill(&mut object, &sealing)?;
        reach(&mut object, planted.state.unwrap_or(State::Active), planted.created, order.now)?;
        self.commit(Batch::new().put(object.put()), Vec::new(), By::Operator("seed", order))?;
        Ok(true)
    }

    /// An object as a seed would describe it. What is no secret is among it: certificates and public keys.
    pub(super) fn described_object(&self, object: &Object, now: DateTime) -> Result<PlantedObject, Refusal> {
        let names = object.names().map(|name| name.value.clone()).collect();
        let mut planted = PlantedObject {
            id: object.id.clone(),
            owner: object.owner.clone(),
            object_type: Some(object.object_type),
            names,
            groups: object.groups().map(str::to_owned).collect(),
            custom: custom(object),
            links: subject_links(object, &[]),
            algorithm: object.algorithm(),
            length: object.length(),
            usage: object.has(AttributeKind::CryptographicUsageMask).then(|| object.usage()),
            created: object.initial_date().unwrap_or(now),
            state: Some(lifecycle::state_at(object, now)),
            ..PlantedObject::default()
        };
        if matches!(object.object_type, ObjectType::PrivateKey | ObjectType::PublicKey) {
            let spec = object.algorithm().map(|kind| KeySpec::new(kind, object.length(), object.curve()));
            planted.spec = spec.and_then(Result::ok);
            // They follow from the key.
            (planted.algorithm, planted.length) = (None, None);
        }
        if object.material.is_none() {
            return Ok(planted);
        }
        // A public key that is none in this format is one that no seed would make.
        let format = (object.object_type == ObjectType::PublicKey).then_some(KeyFormatType::X509);
        let Ok(content) = self.content(object, format) else { return Ok(planted) };
        match content {
            ManagedObject::Certificate(certificate) => {
                planted.value = Some(Secret::new(certificate.value.0));
                // They are the certificate's own.
                (planted.algorithm, planted.length) = (None, None);
            }
            ManagedObject::CertificateRequest(request) => planted.value = Some(Secret::new(request.value.0)),
            ManagedObject::PublicKey(block) => {
                let bytes = ManagedObject::PublicKey(block);
                planted.value = bytes.key_bytes().map(|bytes| Secret::from(bytes.expose()));
            }
            ManagedObject::SecretData(data) => planted.secret_data_type = Some(data.secret_data_type),
            ManagedObject::SplitKey(part) => {
                let SplitKey { parts, part, threshold, method, .. } = part;
                planted.split = Some(Split { parts, part, threshold, method });
            }
            _ => {}
        }
        Ok(planted)
    }
}
