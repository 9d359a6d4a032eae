//! Every payload with every field filled, written and read in every version that has its operation.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod a_to_i;
mod j_to_v;

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeReference, CryptographicParameters, Name, ProtectionStorageMask,
    ProtectionStorageMasks, RngParameters, RotateName,
};
use kms_protocol::enums::{
    CertificateType, EncodingOption, HashingAlgorithm, RngAlgorithm, RotateNameType, WrappingMethod,
};
use kms_protocol::object::{Certificate, KeyWrappingSpecification, ManagedObject, WrappingKey};
use kms_protocol::operation::{Request, brought_by};
use kms_protocol::ttlv::{Bytes, Content, Reader, Value, Writer};
use kms_protocol::{Secret, Tag, Version};

/// Each version with the last tag that its specification has.
const VERSIONS: [(Version, u32); 7] = [
    (Version::V1_0, 0x42_00A1),
    (Version::V1_1, 0x42_00B7),
    (Version::V1_2, 0x42_00D3),
    (Version::V1_3, 0x42_00F7),
    (Version::V1_4, 0x42_0124),
    (Version::V2_0, 0x42_0165),
    (Version::V2_1, 0x42_0176),
];

/// What 2.0 took out of the specification.
const GONE: [Tag; 8] = [
    Tag::ATTRIBUTE_INDEX,
    Tag::CERTIFICATE_IDENTIFIER,
    Tag::CERTIFICATE_ISSUER,
    Tag::CERTIFICATE_SUBJECT,
    Tag::COMMON_TEMPLATE_ATTRIBUTE,
    Tag::OPERATION_POLICY_NAME,
    Tag::TEMPLATE,
    Tag::TEMPLATE_ATTRIBUTE,
];

fn bytes() -> Bytes {
    Bytes(vec![7; 5])
}

fn secret() -> Secret {
    Secret::new(vec![8; 16])
}

/// Attributes of the first version, of every later one, and one that 2.x lacks.
fn attributes() -> Vec<Attribute> {
    vec![
        Attribute::Name(Name::text("a")),
        Attribute::OperationPolicyName("default".into()),
        Attribute::CertificateLength(9),
        Attribute::KeyValuePresent(true),
        Attribute::RandomNumberGenerator(rng()),
        Attribute::Sensitive(true),
        Attribute::QuantumSafe(true),
        Attribute::RotateName(RotateName { value: "r".into(), name_type: RotateNameType::Uri }),
    ]
}

fn reference() -> AttributeReference {
    AttributeReference::Standard(AttributeKind::State)
}

fn rng() -> RngParameters {
    RngParameters {
        rng_algorithm: RngAlgorithm::Drbg,
        cryptographic_algorithm: None,
        cryptographic_length: None,
        hashing_algorithm: None,
        drbg_algorithm: None,
        recommended_curve: None,
        fips186_variation: None,
        prediction_resistance: Some(true),
    }
}

fn parameters() -> CryptographicParameters {
    CryptographicParameters {
        tag_length: Some(16),
        salt_length: Some(20),
        ..CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha1)
    }
}

fn masks() -> ProtectionStorageMasks {
    ProtectionStorageMasks { masks: vec![ProtectionStorageMask::SOFTWARE, ProtectionStorageMask::HARDWARE] }
}

fn object() -> ManagedObject {
    ManagedObject::Certificate(Certificate { certificate_type: CertificateType::X509, value: bytes() })
}

fn wrapping() -> KeyWrappingSpecification {
    KeyWrappingSpecification {
        wrapping_method: WrappingMethod::Encrypt,
        encryption_key: Some(WrappingKey {
            unique_identifier: "wrapping".into(),
            cryptographic_parameters: Some(parameters()),
        }),
        mac_signature_key: None,
        attribute_names: vec!["State".into()],
        encoding_option: Some(EncodingOption::NoEncoding),
    }
}

/// The tags of all items, however deep.
fn tags(mut reader: Reader<'_>, found: &mut Vec<Tag>) {
    while let Some(item) = reader.next_item().expect("well-formed") {
        found.push(item.tag);
        if let Content::Structure(inside) = item.content {
            tags(inside, found);
        }
    }
}

fn write<T: Value>(value: &T, version: Version) -> Vec<u8> {
    let mut writer = Writer::new(version);
    value.write(&mut writer, Tag::REQUEST_PAYLOAD);
    writer.into_bytes()
}

/// Writes the value in each version from `since` on, finds no tag that the version lacks, and reads it back.
fn check<T: Value>(name: &str, since: Version, value: &T) {
    for (version, last) in VERSIONS.into_iter().filter(|(version, _)| *version >= since) {
        let bytes = write(value, version);
        let mut found = Vec::new();
        tags(Reader::new(&bytes, version), &mut found);
        for tag in found {
            assert!(tag.0 <= last, "{name} in {version} shows {tag}");
            assert!(!version.is_2x() || !GONE.contains(&tag), "{name} in {version} shows {tag}");
        }
        let item = Reader::new(&bytes, version).next_item().expect("well-formed").expect("one item");
        let read = T::read(item).unwrap_or_else(|error| panic!("{name} in {version}: {error}"));
        assert!(write(&read, version) == bytes, "{name} in {version} is another one after its way");
    }
}

fn both<R: Request>(request: &R, response: &R::Response) {
    let since = brought_by(R::OPERATION);
    check(&format!("the request {}", R::OPERATION), since, request);
    check(&format!("the response {}", R::OPERATION), since, response);
}
