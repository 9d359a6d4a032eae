//! Objects as they come in and go out: from what a client sends to what is kept, and back, in any format.

use kms_protocol::attribute::{Attribute, AttributeKind, CryptographicDomainParameters};
use kms_protocol::enums::{CryptographicAlgorithm, KeyFormatType, ObjectType, RecommendedCurve};
use kms_protocol::object::{
    KeyBlock, KeyMaterial, KeyValue, ManagedObject, TransparentEcPrivateKey, TransparentEcPublicKey,
    TransparentKey, TransparentRsaPrivateKey, TransparentRsaPublicKey, TransparentSymmetricKey,
};
use kms_protocol::ttlv::{BigInteger, Bytes, Reader, Value as _, Writer};
use kms_protocol::{Secret, Tag, Version};

use super::model::{Material, Object};
use super::refusal::{Reason, Refusal};
use super::{Kms, certificates, no_key_value};
use crate::crypto::format::{self, RsaPrivateInput, RsaPublicParts};
use crate::crypto::{CryptoError, PrivateKey, PublicKey, Sealing, sha256};

/// What a client gave, ready to be kept.
pub(super) struct Taken {
    /// What follows from the object itself.
    pub attributes: Vec<Attribute>,
    /// The format of the Key Material, of an object that has one.
    pub format: Option<KeyFormatType>,
    /// The SHA-256 of the content.
    pub digest: Option<[u8; 32]>,
    content: Content,
}

enum Content {
    /// A symmetric key as its bytes, or a private key as PKCS#8.
    Key(Secret),
    /// A public key as `SubjectPublicKeyInfo`.
    Public(Vec<u8>),
    /// Anything else as it came.
    Whole(Secret),
    /// Nothing: the key is kept elsewhere.
    Elsewhere,
}

impl Taken {
    /// Takes in an object.
    ///
    /// # Errors
    /// When it is none: a key that is damaged, or not what its format says.
    pub fn new(object: ManagedObject) -> Result<Self, Refusal> {
        match object {
            ManagedObject::SymmetricKey(block) => take_key(block, ObjectType::SymmetricKey),
            ManagedObject::PublicKey(block) => take_key(block, ObjectType::PublicKey),
            ManagedObject::PrivateKey(block) => take_key(block, ObjectType::PrivateKey),
            other => take_whole(other),
        }
    }

    /// Gives an object its content. `sealing` is held from here to the commit.
    pub fn fill(&self, object: &mut Object, sealing: &Sealing<'_>) -> Result<(), Refusal> {
        object.material = match &self.content {
            Content::Key(secret) => Some(Material::Sealed(Bytes(sealing.seal(&object.id, secret)?))),
            Content::Public(spki) => Some(Material::Public(Bytes(spki.clone()))),
            Content::Whole(encoded) => Some(Material::Whole(Bytes(sealing.seal(&object.id, encoded)?))),
            Content::Elsewhere => None,
        };
        Ok(())
    }
}

fn take_key(block: KeyBlock, object_type: ObjectType) -> Result<Taken, Refusal> {
    let stated = stated_in(&block);
    let made = |block| match object_type {
        ObjectType::SymmetricKey => ManagedObject::SymmetricKey(block),
        ObjectType::PublicKey => ManagedObject::PublicKey(block),
        _ => ManagedObject::PrivateKey(block),
    };
    if block.key_wrapping_data.is_some() && block.key_value.is_some() {
        return take_whole(made(block));
    }
    let Some(KeyValue::Plain { material, .. }) = &block.key_value else {
        return match block.key_value {
            None => Ok(Taken {
                attributes: [stated, vec![Attribute::KeyValuePresent(false)]].concat(),
                format: Some(block.key_format_type),
                digest: None,
                content: Content::Elsewhere,
            }),
            Some(_) => take_whole(made(block)),
        };
    };
    let content = match object_type {
        ObjectType::SymmetricKey => symmetric_content(block.key_format_type, material)?,
        ObjectType::PublicKey => public_content(&block, material)?,
        _ => private_content(&block, material)?,
    };
    let Some((content, follows)) = content else { return take_whole(made(block)) };
    check_kind(&stated, &follows)?;
    let mut attributes = stated;
    for attribute in follows {
        if !attributes.iter().any(|other| other.kind() == attribute.kind()) {
            attributes.push(attribute);
        }
    }
    let digest = sha256(bytes_of(material).expose());
    Ok(Taken { attributes, format: Some(block.key_format_type), digest: Some(digest), content })
}

/// Key Material as it came: its bytes, or the items of a Transparent structure.
fn bytes_of(material: &KeyMaterial) -> &Secret {
    match material {
        KeyMaterial::Bytes(bytes) | KeyMaterial::Transparent(bytes) => bytes,
    }
}

/// What a key block says of its key.
fn stated_in(block: &KeyBlock) -> Vec<Attribute> {
    let algorithm = block.cryptographic_algorithm.map(Attribute::CryptographicAlgorithm);
    algorithm.into_iter().chain(block.cryptographic_length.map(Attribute::CryptographicLength)).collect()
}

/// What a key says of itself has to be what its key block says.
fn check_kind(stated: &[Attribute], follows: &[Attribute]) -> Result<(), Refusal> {
    let family = |algorithm: &Attribute| match algorithm {
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa) => 0,
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ed25519) => 1,
        _ => 2,
    };
    for attribute in follows.iter().filter(|one| one.kind() == AttributeKind::CryptographicAlgorithm) {
        let differs = |other: &&Attribute| {
            other.kind() == AttributeKind::CryptographicAlgorithm && family(other) != family(attribute)
        };
        if stated.iter().any(|other| differs(&other)) {
            return Err(Refusal::new(
                Reason::InvalidField,
                "the Cryptographic Algorithm of the key block is not that of the key",
            ));
        }
    }
    Ok(())
}

type Known = Option<(Content, Vec<Attribute>)>;

fn symmetric_content(format: KeyFormatType, material: &KeyMaterial) -> Result<Known, Refusal> {
    let bytes = match (format, material) {
        (KeyFormatType::Raw, KeyMaterial::Bytes(bytes)) => Secret::from(bytes.expose()),
        (KeyFormatType::TransparentSymmetricKey, KeyMaterial::Transparent(items)) => {
            match TransparentKey::read(format, items)? {
                TransparentKey::Symmetric(key) => key.key,
                _ => return Ok(None),
            }
        }
        (KeyFormatType::Raw, KeyMaterial::Transparent(_)) => return Err(misfit(format)),
        _ => return Ok(None),
    };
    if bytes.is_empty() {
        return Err(Refusal::new(Reason::InvalidField, "the key has no bytes"));
    }
    let length = i32::try_from(bytes.len().saturating_mul(8)).unwrap_or(i32::MAX);
    Ok(Some((Content::Key(bytes), vec![Attribute::CryptographicLength(length)])))
}

fn public_content(block: &KeyBlock, material: &KeyMaterial) -> Result<Known, Refusal> {
    let format = block.key_format_type;
    let spki = match (format, material) {
        (KeyFormatType::X509, KeyMaterial::Bytes(bytes)) => bytes.expose().to_vec(),
        (KeyFormatType::Pkcs1, KeyMaterial::Bytes(bytes)) => format::pkcs1_to_spki(bytes.expose())?,
        (_, KeyMaterial::Transparent(items)) => match TransparentKey::read(format, items)? {
            TransparentKey::RsaPublic(key) => {
                let part = |number: &BigInteger| number.magnitude().unwrap_or_default().to_vec();
                let parts = RsaPublicParts {
                    modulus: part(&key.modulus),
                    public_exponent: part(&key.public_exponent),
                };
                format::rsa_public_from_parts(&parts)?
            }
            TransparentKey::EcPublic(key) => {
                let (algorithm, curve) = (block.cryptographic_algorithm, key.recommended_curve);
                match format::ec_public_from_point(algorithm, curve, &key.q_string.0)? {
                    Some(spki) => spki,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        },
        (KeyFormatType::Raw | KeyFormatType::Opaque | KeyFormatType::Pkcs12, KeyMaterial::Bytes(_)) => {
            return Ok(None);
        }
        (other, KeyMaterial::Bytes(_)) => return Err(misfit(other)),
    };
    Ok(match usable(PublicKey::from_spki(&spki), format::spki_to_pkcs1(&spki).is_ok())? {
        Some(key) => {
            let attributes = kind_of(key.algorithm(), key.bits(), key.curve());
            Some((Content::Public(spki), attributes))
        }
        None => None,
    })
}

fn private_content(block: &KeyBlock, material: &KeyMaterial) -> Result<Known, Refusal> {
    let format = block.key_format_type;
    let pkcs8 = match (format, material) {
        // Some clients call PKCS#1 so: their key is kept as it came.
        (KeyFormatType::Pkcs8, KeyMaterial::Bytes(bytes)) if format::pkcs1_to_pkcs8(bytes).is_ok() => {
            return Ok(None);
        }
        (KeyFormatType::Pkcs8, KeyMaterial::Bytes(bytes)) => Secret::from(bytes.expose()),
        (KeyFormatType::Pkcs1, KeyMaterial::Bytes(bytes)) => format::pkcs1_to_pkcs8(bytes)?,
        (KeyFormatType::EcPrivateKey, KeyMaterial::Bytes(bytes)) => match format::sec1_to_pkcs8(bytes) {
            Ok(pkcs8) => pkcs8,
            // A key on another curve is kept as it is; what is no DER is no key.
            Err(_) if bytes.expose().first() == Some(&0x30) => return Ok(None),
            Err(error) => return Err(error.into()),
        },
        (_, KeyMaterial::Transparent(items)) => match TransparentKey::read(format, items)? {
            TransparentKey::RsaPrivate(key) => match rsa_private(&key) {
                Ok(pkcs8) => pkcs8,
                Err(_) => return Ok(None),
            },
            TransparentKey::EcPrivate(key) => {
                let (algorithm, curve) = (block.cryptographic_algorithm, key.recommended_curve);
                match format::ec_private_from_scalar(algorithm, curve, &secret_of(&key.d))? {
                    Some(pkcs8) => pkcs8,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        },
        (KeyFormatType::Raw | KeyFormatType::Opaque | KeyFormatType::Pkcs12, KeyMaterial::Bytes(_)) => {
            return Ok(None);
        }
        (other, KeyMaterial::Bytes(_)) => return Err(misfit(other)),
    };
    let Some(key) = usable(PrivateKey::from_pkcs8(&pkcs8), format::pkcs8_to_pkcs1(&pkcs8).is_ok())? else {
        return Ok(None);
    };
    key.prove()?;
    Ok(Some((Content::Key(pkcs8), kind_of(key.algorithm(), key.bits(), key.curve()))))
}

fn rsa_private(key: &TransparentRsaPrivateKey) -> Result<Secret, CryptoError> {
    let exponent = key.public_exponent.as_ref().and_then(BigInteger::magnitude);
    let private = key.private_exponent.as_ref().map(secret_of);
    let primes = key.p.as_ref().map(secret_of).zip(key.q.as_ref().map(secret_of));
    format::rsa_private_from_parts(&RsaPrivateInput {
        modulus: key.modulus.magnitude().unwrap_or_default(),
        public_exponent: exponent,
        private_exponent: private.as_ref(),
        primes: primes.as_ref().map(|(p, q)| (p, q)),
    })
}

fn secret_of(number: &BigInteger) -> Secret {
    Secret::from(number.magnitude().unwrap_or_default())
}

/// A key that works here; `None` for one that is sound and of a kind that does not: it is kept as it came.
fn usable<K>(parsed: Result<K, CryptoError>, is_sound_rsa: bool) -> Result<Option<K>, Refusal> {
    match parsed {
        Ok(key) => Ok(Some(key)),
        Err(CryptoError::Unsupported { .. }) => Ok(None),
        Err(CryptoError::KeyRejected { .. }) if is_sound_rsa => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn kind_of(
    algorithm: CryptographicAlgorithm,
    bits: usize,
    curve: Option<RecommendedCurve>,
) -> Vec<Attribute> {
    let length = i32::try_from(bits).unwrap_or(i32::MAX);
    let mut attributes =
        vec![Attribute::CryptographicAlgorithm(algorithm), Attribute::CryptographicLength(length)];
    attributes.extend(curve.map(|curve| {
        Attribute::CryptographicDomainParameters(CryptographicDomainParameters {
            qlength: None,
            recommended_curve: Some(curve),
        })
    }));
    attributes
}

fn misfit(format: KeyFormatType) -> Refusal {
    Refusal::new(Reason::KeyFormat, format!("an object of this type does not come as {format}"))
}

/// Keeps an object as it came.
fn take_whole(object: ManagedObject) -> Result<Taken, Refusal> {
    let mut attributes = object.key_block().map(stated_in).unwrap_or_default();
    let mut digest = None;
    match &object {
        ManagedObject::Certificate(certificate) => {
            attributes.extend(certificates::attributes_of(certificate)?);
            digest = Some(sha256(&certificate.value.0));
        }
        ManagedObject::CertificateRequest(request) => digest = Some(sha256(&request.value.0)),
        ManagedObject::OpaqueObject(opaque) => {
            attributes.push(Attribute::OpaqueDataType(opaque.opaque_data_type));
            digest = Some(sha256(opaque.value.expose()));
        }
        _ => {}
    }
    match object.key_block().and_then(|block| block.key_value.as_ref()) {
        Some(KeyValue::Plain {
            material: KeyMaterial::Bytes(bytes) | KeyMaterial::Transparent(bytes),
            ..
        }) => {
            digest = Some(sha256(bytes.expose()));
        }
        Some(KeyValue::Wrapped(bytes)) => digest = Some(sha256(&bytes.0)),
        None => {}
    }
    let format = object.key_block().map(|block| block.key_format_type);
    Ok(Taken { attributes, format, digest, content: Content::Whole(encoded(&object)) })
}

fn encoded(object: &ManagedObject) -> Secret {
    // As 1.4 has it where only 1.x has the type.
    let mut writer = Writer::new(version_of(object.object_type()));
    object.write(&mut writer, Tag::OBJECT_TYPE);
    Secret::new(writer.into_bytes())
}

fn version_of(object_type: ObjectType) -> Version {
    if object_type == ObjectType::Template { Version::V1_4 } else { Version::V2_1 }
}

impl Kms {
    /// An object's content in the clear, in the format asked for or its own.
    ///
    /// # Errors
    /// When it is gone, elsewhere, or not to be had so.
    pub(super) fn content(
        &self,
        object: &Object,
        wanted: Option<KeyFormatType>,
    ) -> Result<ManagedObject, Refusal> {
        let material = object
            .material
            .as_ref()
            .ok_or_else(|| if object.is_elsewhere() { no_key_value() } else { super::destroyed() })?;
        let secret = match material {
            Material::Public(spki) => Secret::from(spki.0.as_slice()),
            Material::Sealed(sealed) => self.unseal(&object.id, &sealed.0)?,
            Material::Whole(sealed) => {
                let whole = decoded(object, &self.unseal(&object.id, &sealed.0)?)?;
                let own = whole.key_block().map(|block| block.key_format_type);
                return match wanted {
                    Some(wanted) if Some(wanted) != own => Err(not_as(object, wanted)),
                    _ => Ok(whole),
                };
            }
        };
        let format = wanted.unwrap_or_else(|| object.default_format());
        let block = KeyBlock {
            key_format_type: format,
            key_compression_type: None,
            // KeyMaterial alone: there are clients that cannot read attributes here.
            key_value: Some(KeyValue::Plain {
                material: in_format(object, &secret, format)?,
                attributes: Default::default(),
            }),
            cryptographic_algorithm: object.algorithm(),
            cryptographic_length: object.length(),
            key_wrapping_data: None,
        };
        Ok(match object.object_type {
            ObjectType::PrivateKey => ManagedObject::PrivateKey(block),
            ObjectType::PublicKey => ManagedObject::PublicKey(block),
            _ => ManagedObject::SymmetricKey(block),
        })
    }

    /// The bytes of a symmetric key or of Secret Data, to be worked with.
    ///
    /// # Errors
    /// When the object is no such thing, or its bytes are gone or wrapped.
    pub(super) fn key_bytes(&self, object: &Object) -> Result<Secret, Refusal> {
        if !matches!(
            object.object_type,
            ObjectType::SymmetricKey | ObjectType::SecretData | ObjectType::SplitKey
        ) {
            return Err(Refusal::new(
                Reason::WrongObjectType,
                format!("a {} is no string of bytes to work with", object.object_type),
            ));
        }
        match self.content(object, None) {
            Err(refusal) if refusal.reason == Reason::Destroyed => Err(no_key_value()),
            Err(refusal) => Err(refusal),
            Ok(content) => match content.key_bytes() {
                Some(bytes) if content.key_block().is_some_and(|block| block.key_wrapping_data.is_none()) => {
                    Ok(Secret::from(bytes.expose()))
                }
                _ => Err(Refusal::new(
                    Reason::WrongObjectType,
                    format!("the {} does not hold the bytes of a key in the clear", object.object_type),
                )),
            },
        }
    }
}

fn decoded(object: &Object, encoded: &Secret) -> Result<ManagedObject, Refusal> {
    let mut reader = Reader::new(encoded.expose(), version_of(object.object_type));
    let read = reader.next_item().and_then(|item| match item {
        Some(item) => ManagedObject::read(item),
        None => Err(reader.missing(Tag::OBJECT_TYPE)),
    });
    read.map_err(|error| {
        tracing::error!(id = object.id, %error, "an object in the store cannot be read");
        Refusal::new(Reason::Internal, "the object cannot be read; the server's log says more")
    })
}

/// The key of an object in a format that a client asked for.
fn in_format(object: &Object, material: &Secret, wanted: KeyFormatType) -> Result<KeyMaterial, Refusal> {
    use KeyFormatType as Format;
    let rsa = object.algorithm() == Some(CryptographicAlgorithm::Rsa);
    let key = match (object.object_type, wanted) {
        (ObjectType::SymmetricKey, Format::TransparentSymmetricKey) => {
            TransparentKey::Symmetric(TransparentSymmetricKey { key: Secret::from(material.expose()) })
        }
        (ObjectType::PrivateKey, Format::TransparentRsaPrivateKey) if rsa => {
            let parts = format::rsa_private_parts(material)?;
            let number = |secret: &Secret| Some(BigInteger::from_magnitude(secret.expose()));
            TransparentKey::RsaPrivate(TransparentRsaPrivateKey {
                modulus: BigInteger::from_magnitude(&parts.modulus),
                private_exponent: number(&parts.private_exponent),
                public_exponent: Some(BigInteger::from_magnitude(&parts.public_exponent)),
                p: number(&parts.p),
                q: number(&parts.q),
                prime_exponent_p: number(&parts.prime_exponent_p),
                prime_exponent_q: number(&parts.prime_exponent_q),
                crt_coefficient: number(&parts.crt_coefficient),
            })
        }
        (ObjectType::PublicKey, Format::TransparentRsaPublicKey) if rsa => {
            let parts = format::rsa_public_parts(material.expose())?;
            TransparentKey::RsaPublic(TransparentRsaPublicKey {
                modulus: BigInteger::from_magnitude(&parts.modulus),
                public_exponent: BigInteger::from_magnitude(&parts.public_exponent),
            })
        }
        (
            ObjectType::PrivateKey,
            Format::TransparentEcPrivateKey
            | Format::TransparentEcdsaPrivateKey
            | Format::TransparentEcdhPrivateKey,
        ) if !rsa => {
            let (recommended_curve, d) = format::ec_private_scalar(material)?;
            let d = BigInteger::from_magnitude(d.expose());
            TransparentKey::EcPrivate(TransparentEcPrivateKey { recommended_curve, d })
        }
        (
            ObjectType::PublicKey,
            Format::TransparentEcPublicKey
            | Format::TransparentEcdsaPublicKey
            | Format::TransparentEcdhPublicKey,
        ) if !rsa => {
            let (recommended_curve, point) = format::ec_public_point(material.expose())?;
            TransparentKey::EcPublic(TransparentEcPublicKey { recommended_curve, q_string: Bytes(point) })
        }
        _ => return Ok(KeyMaterial::Bytes(bytes_in(object, material, wanted)?)),
    };
    Ok(key.to_material())
}

/// The key in a format that is a string of bytes.
pub(super) fn bytes_in(object: &Object, material: &Secret, wanted: KeyFormatType) -> Result<Secret, Refusal> {
    let rsa = object.algorithm() == Some(CryptographicAlgorithm::Rsa);
    let copy = || Ok(Secret::from(material.expose()));
    match (object.object_type, wanted) {
        (ObjectType::SymmetricKey, KeyFormatType::Raw) => copy(),
        (ObjectType::PrivateKey, KeyFormatType::Pkcs8) => copy(),
        (ObjectType::PrivateKey, KeyFormatType::Pkcs1) if rsa => Ok(format::pkcs8_to_pkcs1(material)?),
        (ObjectType::PrivateKey, KeyFormatType::EcPrivateKey) if object.is_of_sec1() => {
            Ok(format::pkcs8_to_sec1(material)?)
        }
        (ObjectType::PublicKey, KeyFormatType::X509) => copy(),
        (ObjectType::PublicKey, KeyFormatType::Pkcs1) if rsa => {
            Ok(Secret::new(format::spki_to_pkcs1(material.expose())?))
        }
        (_, other) => Err(not_as(object, other)),
    }
}

fn not_as(object: &Object, wanted: KeyFormatType) -> Refusal {
    Refusal::new(
        Reason::KeyFormat,
        format!(
            "a {} cannot be had as {wanted}; its default format is {}",
            object.object_type,
            object.default_format()
        ),
    )
}
