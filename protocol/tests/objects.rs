//! Objects of every type, there and back, in the versions that have them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use kms_protocol::attribute::{Attribute, AttributeList, Name};
use kms_protocol::enums::{
    CertificateRequestType, CertificateType, KeyFormatType, ObjectType, OpaqueDataType, RecommendedCurve,
    SecretDataType, SplitKeyMethod,
};
use kms_protocol::error::{DecodeError, DecodeErrorKind};
use kms_protocol::object::{
    Certificate, CertificateRequest, KeyBlock, KeyMaterial, KeyValue, ManagedObject, OpaqueObject, PgpKey,
    SecretData, SplitKey, Template, TransparentEcPrivateKey, TransparentKey, TransparentRsaPrivateKey,
};
use kms_protocol::operation::RegisterRequest;
use kms_protocol::ttlv::{BigInteger, Bytes, Reader, Value, Writer};
use kms_protocol::{Secret, Tag, Version};

const VERSIONS: [Version; 7] =
    [Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4, Version::V2_0, Version::V2_1];

fn block(format: KeyFormatType, material: KeyMaterial) -> KeyBlock {
    KeyBlock {
        key_format_type: format,
        key_compression_type: None,
        key_value: Some(KeyValue::Plain { material, attributes: AttributeList::default() }),
        cryptographic_algorithm: None,
        cryptographic_length: None,
        key_wrapping_data: None,
    }
}

fn raw() -> KeyBlock {
    block(KeyFormatType::Raw, KeyMaterial::Bytes(Secret::new(vec![5; 32])))
}

fn objects() -> Vec<ManagedObject> {
    let bytes = || Bytes(vec![0x30; 9]);
    vec![
        ManagedObject::SymmetricKey(raw()),
        ManagedObject::PublicKey(raw()),
        ManagedObject::PrivateKey(raw()),
        ManagedObject::Certificate(Certificate { certificate_type: CertificateType::X509, value: bytes() }),
        ManagedObject::CertificateRequest(CertificateRequest {
            certificate_request_type: CertificateRequestType::Pkcs10,
            value: bytes(),
        }),
        ManagedObject::SplitKey(SplitKey {
            parts: 3,
            part: 1,
            threshold: 2,
            method: SplitKeyMethod::PolynomialSharingPrimeField,
            prime_field_size: Some(BigInteger::from_magnitude(&[0xFF; 17])),
            key_block: raw(),
        }),
        ManagedObject::SecretData(SecretData {
            secret_data_type: SecretDataType::Password,
            key_block: raw(),
        }),
        ManagedObject::OpaqueObject(OpaqueObject {
            opaque_data_type: OpaqueDataType::Other(0x8000_0001),
            value: Secret::new(vec![1, 2, 3]),
        }),
        ManagedObject::PgpKey(PgpKey { version: 4, key_block: raw() }),
        ManagedObject::Template(Template(AttributeList(vec![Attribute::ObjectGroup("jobs".into())]))),
    ]
}

fn registered(object: ManagedObject) -> RegisterRequest {
    RegisterRequest {
        object_type: object.object_type(),
        attributes: vec![Attribute::Name(Name::text("it"))].into(),
        object,
        protection: None,
    }
}

fn there_and_back<T: Value>(value: &T, version: Version) -> Result<T, DecodeError> {
    let mut writer = Writer::new(version);
    value.write(&mut writer, Tag::REQUEST_PAYLOAD);
    let bytes = writer.into_bytes();
    T::read(Reader::new(&bytes, version).next_item().expect("well-formed").expect("one item"))
}

#[test]
fn every_object_is_the_same_after_its_way_over_the_wire_or_unknown_to_the_version() {
    for version in VERSIONS {
        for object in objects() {
            let object_type = object.object_type();
            let known = match object_type {
                ObjectType::PgpKey => version >= Version::V1_2,
                ObjectType::CertificateRequest => version >= Version::V2_0,
                ObjectType::Template => version < Version::V2_0,
                _ => true,
            };
            let sent = registered(object);
            match there_and_back(&sent, version) {
                Ok(read) => assert!(known && read == sent, "{object_type} in {version}"),
                Err(error) => {
                    assert!(!known, "{object_type} in {version}: {error}");
                    assert_eq!(error.kind, DecodeErrorKind::Unexpected);
                }
            }
        }
    }
}

#[test]
fn an_object_that_is_not_there_is_missing() {
    let mut writer = Writer::new(Version::V1_4);
    writer
        .structure(Tag::REQUEST_PAYLOAD, |writer| writer.field(Tag::OBJECT_TYPE, &ObjectType::SymmetricKey));
    let bytes = writer.into_bytes();
    let item = Reader::new(&bytes, Version::V1_4).next_item().expect("well-formed").expect("one item");
    assert_eq!(RegisterRequest::read(item).expect_err("no object").kind, DecodeErrorKind::Missing);
}

#[test]
fn a_transparent_key_is_read_as_its_format_says() {
    let number = |byte: u8| BigInteger::from_magnitude(&[byte; 9]);
    let rsa = TransparentKey::RsaPrivate(TransparentRsaPrivateKey {
        modulus: number(0xC1),
        private_exponent: None,
        public_exponent: Some(number(3)),
        p: Some(number(5)),
        q: Some(number(7)),
        prime_exponent_p: None,
        prime_exponent_q: None,
        crt_coefficient: None,
    });
    let curve = TransparentKey::EcPrivate(TransparentEcPrivateKey {
        recommended_curve: RecommendedCurve::P256,
        d: number(0x7F),
    });
    for (format, key) in
        [(KeyFormatType::TransparentRsaPrivateKey, rsa), (KeyFormatType::TransparentEcdsaPrivateKey, curve)]
    {
        let sent = registered(ManagedObject::PrivateKey(block(format, key.to_material())));
        let read = there_and_back(&sent, Version::V1_2).expect("a Transparent key");
        let Some(KeyValue::Plain { material: KeyMaterial::Transparent(items), .. }) =
            read.object.key_block().and_then(|block| block.key_value.as_ref())
        else {
            panic!("Transparent material");
        };
        assert_eq!(TransparentKey::read(format, items).expect("the structure of the format"), key);
        assert!(TransparentKey::read(KeyFormatType::TransparentDhPublicKey, items).is_err());
        assert!(TransparentKey::read(KeyFormatType::Pkcs1, items).is_err());
    }
}

#[test]
fn a_big_integer_is_a_multiple_of_eight_bytes_and_keeps_its_sign() {
    for (magnitude, length) in [(&[][..], 8), (&[1], 8), (&[0x80; 8], 16), (&[0x7F; 8], 8), (&[0, 0, 9], 8)] {
        let number = BigInteger::from_magnitude(magnitude);
        let mut writer = Writer::new(Version::V1_0);
        writer.field(Tag::P, &number);
        assert_eq!(writer.len(), 8 + length, "{magnitude:?}");
        let significant: Vec<u8> = magnitude.iter().copied().skip_while(|byte| *byte == 0).collect();
        assert_eq!(number.magnitude(), Some(&significant[..]));
        let bytes = writer.into_bytes();
        let item = Reader::new(&bytes, Version::V1_0).next_item().expect("well-formed").expect("one item");
        assert_eq!(BigInteger::read(item).expect("a Big Integer"), number);
    }
    let negative = [0x42, 0x00, 0x5E, 0x04, 0, 0, 0, 8, 0xFF, 0, 0, 0, 0, 0, 0, 0];
    let item = Reader::new(&negative, Version::V1_0).next_item().expect("well-formed").expect("one item");
    assert_eq!(BigInteger::read(item).expect("a Big Integer").magnitude(), None);
}
