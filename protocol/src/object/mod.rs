//! Managed objects of every type, as they travel (KMIP 1.4 section 2.2, 2.1 section 2).

mod key_block;
mod transparent;

use crate::attribute::AttributeList;
use crate::enums::{
    CertificateRequestType, CertificateType, ObjectType, OpaqueDataType, SecretDataType, SplitKeyMethod,
};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::ttlv::{BigInteger, Bytes, Item, Reader, Value, Writer};
use crate::{Secret, Tag, Version, structure};

pub use key_block::{
    KeyBlock, KeyMaterial, KeyValue, KeyWrappingData, KeyWrappingSpecification, WrappingKey,
};
pub use transparent::{
    TransparentDhPrivateKey, TransparentDhPublicKey, TransparentDsaPrivateKey, TransparentDsaPublicKey,
    TransparentEcPrivateKey, TransparentEcPublicKey, TransparentKey, TransparentRsaPrivateKey,
    TransparentRsaPublicKey, TransparentSymmetricKey,
};

/// A managed object with its content. Its field goes by whichever tag its type has.
#[derive(PartialEq, Debug)]
pub enum ManagedObject {
    /// A Symmetric Key.
    SymmetricKey(KeyBlock),
    /// A Public Key.
    PublicKey(KeyBlock),
    /// A Private Key.
    PrivateKey(KeyBlock),
    /// A Certificate.
    Certificate(Certificate),
    /// A Certificate Request (2.0 and later).
    CertificateRequest(CertificateRequest),
    /// One part of a key.
    SplitKey(SplitKey),
    /// Something secret that is no key.
    SecretData(SecretData),
    /// Something of which the server knows nothing.
    OpaqueObject(OpaqueObject),
    /// A PGP Key (1.2 and later).
    PgpKey(PgpKey),
    /// Attributes for objects to come (1.x).
    Template(Template),
}

structure! {
    no Clone
    /// A key as an object: its key block and nothing else (KMIP 1.4 sections 2.2.2 to 2.2.4).
    pub struct KeyObject {
        /// The key block.
        pub key_block: KeyBlock = KEY_BLOCK,
    }
}

structure! {
    /// Certificate (KMIP 1.4 section 2.2.1).
    #[derive(Eq)]
    pub struct Certificate {
        /// X.509 or PGP.
        pub certificate_type: CertificateType = CERTIFICATE_TYPE,
        /// The certificate; DER where it is X.509.
        pub value: Bytes = CERTIFICATE_VALUE,
    }
}

structure! {
    /// Certificate Request (KMIP 2.1 section 2.2).
    #[derive(Eq)]
    pub struct CertificateRequest {
        /// How the request is written.
        pub certificate_request_type: CertificateRequestType = CERTIFICATE_REQUEST_TYPE,
        /// The request.
        pub value: Bytes = CERTIFICATE_REQUEST_VALUE,
    }
}

structure! {
    no Clone
    /// Split Key (KMIP 1.4 section 2.2.5).
    pub struct SplitKey {
        /// How many parts there are.
        pub parts: i32 = SPLIT_KEY_PARTS,
        /// Which of them this is, from 1.
        pub part: i32 = KEY_PART_IDENTIFIER,
        /// How many make the key.
        pub threshold: i32 = SPLIT_KEY_THRESHOLD,
        /// How it was split.
        pub method: SplitKeyMethod = SPLIT_KEY_METHOD,
        /// The prime field, for Polynomial Sharing Prime Field.
        pub prime_field_size: Option<BigInteger> = PRIME_FIELD_SIZE,
        /// The part itself.
        pub key_block: KeyBlock = KEY_BLOCK,
    }
}

structure! {
    no Clone
    /// Secret Data (KMIP 1.4 section 2.2.7).
    pub struct SecretData {
        /// What it is.
        pub secret_data_type: SecretDataType = SECRET_DATA_TYPE,
        /// The secret, in a key block.
        pub key_block: KeyBlock = KEY_BLOCK,
    }
}

structure! {
    no Clone
    /// Opaque Object (KMIP 1.4 section 2.2.8).
    pub struct OpaqueObject {
        /// What its owner calls it; every value is an extension.
        pub opaque_data_type: OpaqueDataType = OPAQUE_DATA_TYPE,
        /// The object, which may well be a secret.
        pub value: Secret = OPAQUE_DATA_VALUE,
    }
}

structure! {
    no Clone
    /// PGP Key (KMIP 1.4 section 2.2.9).
    pub struct PgpKey {
        /// The version of the key's packets: 2, 3 or 4.
        pub version: i32 = PGP_KEY_VERSION,
        /// The key, armoured or not.
        pub key_block: KeyBlock = KEY_BLOCK,
    }
}

/// Template: attributes under a name (KMIP 1.4 section 2.2.6).
#[derive(PartialEq, Debug)]
pub struct Template(pub AttributeList);

impl Value for Template {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        let mut reader = item.structure()?;
        let attributes = reader.field(Tag::ATTRIBUTES)?;
        reader.finish()?;
        Ok(Self(attributes))
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        writer.structure(tag, |writer| writer.field(Tag::ATTRIBUTES, &self.0));
    }
}

/// The tags of objects.
const TAGS: [(Tag, ObjectType); 10] = [
    (Tag::SYMMETRIC_KEY, ObjectType::SymmetricKey),
    (Tag::PUBLIC_KEY, ObjectType::PublicKey),
    (Tag::PRIVATE_KEY, ObjectType::PrivateKey),
    (Tag::CERTIFICATE, ObjectType::Certificate),
    (Tag::SECRET_DATA, ObjectType::SecretData),
    (Tag::OPAQUE_OBJECT, ObjectType::OpaqueObject),
    (Tag::SPLIT_KEY, ObjectType::SplitKey),
    (Tag::PGP_KEY, ObjectType::PgpKey),
    (Tag::CERTIFICATE_REQUEST, ObjectType::CertificateRequest),
    (Tag::TEMPLATE, ObjectType::Template),
];

impl ManagedObject {
    /// The object's type.
    #[must_use]
    pub fn object_type(&self) -> ObjectType {
        match self {
            Self::SymmetricKey(_) => ObjectType::SymmetricKey,
            Self::PublicKey(_) => ObjectType::PublicKey,
            Self::PrivateKey(_) => ObjectType::PrivateKey,
            Self::Certificate(_) => ObjectType::Certificate,
            Self::CertificateRequest(_) => ObjectType::CertificateRequest,
            Self::SplitKey(_) => ObjectType::SplitKey,
            Self::SecretData(_) => ObjectType::SecretData,
            Self::OpaqueObject(_) => ObjectType::OpaqueObject,
            Self::PgpKey(_) => ObjectType::PgpKey,
            Self::Template(_) => ObjectType::Template,
        }
    }

    /// The key block, where the object has one.
    #[must_use]
    pub fn key_block(&self) -> Option<&KeyBlock> {
        match self {
            Self::SymmetricKey(block) | Self::PublicKey(block) | Self::PrivateKey(block) => Some(block),
            Self::SplitKey(SplitKey { key_block, .. })
            | Self::SecretData(SecretData { key_block, .. })
            | Self::PgpKey(PgpKey { key_block, .. }) => Some(key_block),
            Self::Certificate(_)
            | Self::CertificateRequest(_)
            | Self::OpaqueObject(_)
            | Self::Template(_) => None,
        }
    }

    /// The key's bytes, where it is a key in the clear and not Transparent.
    #[must_use]
    pub fn key_bytes(&self) -> Option<&Secret> {
        match self.key_block()?.key_value.as_ref()? {
            KeyValue::Plain { material: KeyMaterial::Bytes(bytes), .. } => Some(bytes),
            KeyValue::Plain { .. } | KeyValue::Wrapped(_) => None,
        }
    }

    fn read_as(object_type: ObjectType, item: Item<'_>) -> Result<Self, DecodeError> {
        if !exists_in(object_type, item.version) {
            return Err(item.error(DecodeErrorKind::Unexpected));
        }
        let key = |item, make: fn(KeyBlock) -> Self| KeyObject::read(item).map(|key| make(key.key_block));
        match object_type {
            ObjectType::SymmetricKey => key(item, Self::SymmetricKey),
            ObjectType::PublicKey => key(item, Self::PublicKey),
            ObjectType::PrivateKey => key(item, Self::PrivateKey),
            ObjectType::Certificate => Certificate::read(item).map(Self::Certificate),
            ObjectType::CertificateRequest => CertificateRequest::read(item).map(Self::CertificateRequest),
            ObjectType::SplitKey => SplitKey::read(item).map(Self::SplitKey),
            ObjectType::SecretData => SecretData::read(item).map(Self::SecretData),
            ObjectType::OpaqueObject => OpaqueObject::read(item).map(Self::OpaqueObject),
            ObjectType::PgpKey => PgpKey::read(item).map(Self::PgpKey),
            ObjectType::Template => Template::read(item).map(Self::Template),
            ObjectType::Other(_) => Err(item.error(DecodeErrorKind::Unexpected)),
        }
    }
}

/// Whether `version` has objects of this type.
#[must_use]
pub fn exists_in(object_type: ObjectType, version: Version) -> bool {
    match object_type {
        ObjectType::PgpKey => version >= Version::V1_2,
        ObjectType::CertificateRequest => version >= Version::V2_0,
        ObjectType::Template => !version.is_2x(),
        _ => true,
    }
}

impl Value for ManagedObject {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match TAGS.iter().find(|(tag, _)| *tag == item.tag) {
            Some((_, object_type)) => Self::read_as(*object_type, item),
            None => Err(item.error(DecodeErrorKind::Unexpected)),
        }
    }

    fn write(&self, writer: &mut Writer, _: Tag) {
        let object_type = self.object_type();
        let Some((tag, _)) = TAGS.iter().find(|(_, its)| *its == object_type) else { return };
        match self {
            Self::SymmetricKey(block) | Self::PublicKey(block) | Self::PrivateKey(block) => {
                writer.structure(*tag, |writer| writer.field(Tag::KEY_BLOCK, block));
            }
            Self::Certificate(certificate) => certificate.write(writer, *tag),
            Self::CertificateRequest(request) => request.write(writer, *tag),
            Self::SplitKey(part) => part.write(writer, *tag),
            Self::SecretData(secret) => secret.write(writer, *tag),
            Self::OpaqueObject(object) => object.write(writer, *tag),
            Self::PgpKey(key) => key.write(writer, *tag),
            Self::Template(template) => template.write(writer, *tag),
        }
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        for (tag, object_type) in TAGS {
            if let Some(item) = reader.take(tag)? {
                return Self::read_as(object_type, item);
            }
        }
        Err(reader.missing(tag))
    }
}
