//! What a client may say of an object that it asks for, and what the server says of it itself.

use kms_protocol::attribute::{
    Attribute, AttributeKind, Attributes, CryptographicDomainParameters, CryptographicUsageMask, Digest,
    RngParameters, write_stored,
};
use kms_protocol::enums::{
    CryptographicAlgorithm, DrbgAlgorithm, HashingAlgorithm, KeyFormatType, ObjectType, RecommendedCurve,
    RngAlgorithm,
};
use kms_protocol::ttlv::{Bytes, Interval, Writer};
use kms_protocol::{DateTime, Version};
use uuid::{NoContext, Timestamp, Uuid};

use super::model::Object;
use super::refusal::{Reason, Refusal};
use super::{attributes, lifecycle};
use crate::crypto::KeySpec;
use crate::limits;

/// A new Unique Identifier. It begins with the time (UUID version 7), so that objects that are made together lie together in
/// the store: a commit among a million then touches few of its pages.
pub(super) fn new_id(now: DateTime) -> String {
    let seconds = u64::try_from(now.0).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0)).to_string()
}

/// Attributes that only the server sets (the rules of KMIP 1.4 section 3 and 2.1 section 4).
const SERVERS_OWN: &[AttributeKind] = &[
    AttributeKind::UniqueIdentifier,
    AttributeKind::State,
    AttributeKind::Digest,
    AttributeKind::InitialDate,
    AttributeKind::DestroyDate,
    AttributeKind::CompromiseDate,
    AttributeKind::CompromiseOccurrenceDate,
    AttributeKind::RevocationReason,
    AttributeKind::ArchiveDate,
    AttributeKind::LastChangeDate,
    AttributeKind::OriginalCreationDate,
    AttributeKind::KeyValuePresent,
    AttributeKind::ObjectType,
    AttributeKind::ProtectionStorageMask,
    AttributeKind::AlwaysSensitive,
    AttributeKind::NeverExtractable,
    AttributeKind::RotateDate,
    AttributeKind::RotateGeneration,
    AttributeKind::RotateLatest,
    AttributeKind::ShortUniqueIdentifier,
    AttributeKind::CertificateLength,
    AttributeKind::X509CertificateIdentifier,
    AttributeKind::X509CertificateSubject,
    AttributeKind::X509CertificateIssuer,
    AttributeKind::DigitalSignatureAlgorithm,
    AttributeKind::LeaseTime,
];

/// The attributes of one half of a pair: its own prevail over those of both halves, several values add up (KMIP 1.4
/// section 4.2).
///
/// # Errors
/// When a template is named, an attribute is the server's own, one stands twice that may stand once, or all together are
/// larger than [`limits::ATTRIBUTES`].
pub fn requested(common: &Attributes, own: &Attributes) -> Result<Vec<Attribute>, Refusal> {
    if let Some(template) = common.templates.iter().chain(&own.templates).next() {
        return Err(Refusal::new(
            Reason::NotFound,
            format!("there is no template of the name {:?}", template.value),
        ));
    }
    let mut list: Vec<Attribute> = Vec::new();
    for attributes in [&own.list, &common.list] {
        let earlier = list.len();
        for attribute in attributes {
            let kind = attribute.kind();
            check_settable(attribute)?;
            let present = |list: &[Attribute]| list.iter().any(|other| other.kind() == kind);
            if kind.is_multi_valued() {
                if !list.contains(attribute) {
                    list.push(attribute.clone());
                }
            } else if list.get(earlier..).is_some_and(present) {
                return Err(Refusal::new(
                    Reason::SingleValued,
                    format!("{} may stand only once", kind.name()),
                ));
            } else if !present(&list) {
                list.push(attribute.clone());
            }
        }
    }
    check_size(&list)?;
    Ok(list)
}

/// Whether all attributes of an object are within [`limits::ATTRIBUTES`].
///
/// # Errors
/// When they are not.
pub fn check_size(list: &[Attribute]) -> Result<(), Refusal> {
    let mut writer = Writer::new(Version::V2_1);
    write_stored(&mut writer, list);
    let size = writer.into_bytes().len();
    if size > limits::ATTRIBUTES {
        let most = limits::ATTRIBUTES;
        let what = format!("the attributes of one object have {size} bytes, and {most} are the most");
        return Err(Refusal::new(Reason::Limit, what));
    }
    Ok(())
}

fn check_settable(attribute: &Attribute) -> Result<(), Refusal> {
    if matches!(attribute, Attribute::RotateInterval(Interval(0))) {
        return Err(Refusal::new(
            Reason::InvalidField,
            "a Rotate Interval of 0 s would replace the key without end",
        ));
    }
    let servers = match attribute {
        Attribute::Custom(custom) => custom.vendor == "y",
        other => SERVERS_OWN.contains(&other.kind()),
    };
    if servers {
        let name = attribute.kind().name();
        return Err(Refusal::new(
            Reason::ReadOnlyAttribute,
            format!("only the server sets the attribute {name}"),
        ));
    }
    Ok(())
}

/// The kind of pair that the attributes of its halves ask for.
///
/// # Errors
/// When algorithm or length is missing, unsupported, or differs between the halves.
pub fn pair_spec(private: &[Attribute], public: &[Attribute]) -> Result<KeySpec, Refusal> {
    let of = |list: &[Attribute]| -> Result<KeySpec, Refusal> {
        let mut algorithm = None;
        let (mut length, mut curve) = (None, None);
        for attribute in list {
            match attribute {
                Attribute::CryptographicAlgorithm(value) => algorithm = Some(*value),
                Attribute::CryptographicLength(value) => length = Some(*value),
                Attribute::CryptographicDomainParameters(value) => curve = value.recommended_curve,
                _ => {}
            }
        }
        let algorithm = algorithm.ok_or_else(|| {
            Refusal::new(Reason::InvalidMessage, "the Cryptographic Algorithm of the pair is missing")
        })?;
        Ok(KeySpec::new(algorithm, length, curve)?)
    };
    let (spec, other) = (of(private)?, of(public)?);
    if spec == other {
        Ok(spec)
    } else {
        Err(Refusal::new(Reason::InvalidField, format!("the halves of a pair differ: {spec} and {other}")))
    }
}

/// Fills in what the server knows of a key that it has just made, and its first state.
pub fn complete(object: &mut Object, spec: KeySpec, digest: [u8; 32], now: DateTime) {
    object.set_default(Attribute::CryptographicAlgorithm(spec.algorithm()));
    object.set_default(Attribute::CryptographicLength(spec.bits()));
    if let Some(curve) = spec.curve() {
        object.set(Attribute::CryptographicDomainParameters(CryptographicDomainParameters {
            qlength: None,
            recommended_curve: Some(curve),
        }));
    }
    object.set_default(Attribute::CryptographicUsageMask(usual_usage(object)));
    let format = object.default_format();
    describe_material(object, format, digest);
    let stated = object.attributes.clone();
    for mut attribute in stated {
        attributes::follow(object, &mut attribute, true);
        if attribute.kind() == AttributeKind::UsageLimits {
            object.set(attribute);
        }
    }
    object.set_default(Attribute::Fresh(true));
    object.set(Attribute::InitialDate(now));
    object.set(Attribute::OriginalCreationDate(now));
    object.set(Attribute::LastChangeDate(now));
    lifecycle::begin(object, now);
}

/// What follows from new key material alone.
pub fn describe_material(object: &mut Object, format: KeyFormatType, digest: [u8; 32]) {
    object.set(Attribute::KeyFormatType(format));
    object.set(Attribute::Digest(Digest {
        hashing_algorithm: HashingAlgorithm::Sha256,
        digest_value: Some(Bytes(digest.to_vec())),
        key_format_type: Some(format),
    }));
    object.set(Attribute::RandomNumberGenerator(generator()));
}

/// The generator of the cryptographic library: CTR_DRBG with AES-256.
#[must_use]
pub fn generator() -> RngParameters {
    RngParameters {
        rng_algorithm: RngAlgorithm::Drbg,
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        cryptographic_length: Some(256),
        hashing_algorithm: None,
        drbg_algorithm: Some(DrbgAlgorithm::Ctr),
        recommended_curve: None,
        fips186_variation: None,
        prediction_resistance: None,
    }
}

/// What a key may do where the client does not say.
pub(super) fn usual_usage(object: &Object) -> CryptographicUsageMask {
    use CryptographicUsageMask as Mask;
    let agrees = Mask::KEY_AGREEMENT.with(Mask::DERIVE_KEY);
    let (of_private, of_public) = match object.algorithm() {
        Some(CryptographicAlgorithm::Rsa) => (
            Mask::DECRYPT.with(Mask::UNWRAP_KEY).with(Mask::SIGN),
            Mask::ENCRYPT.with(Mask::WRAP_KEY).with(Mask::VERIFY),
        ),
        Some(CryptographicAlgorithm::Ed25519) => (Mask::SIGN, Mask::VERIFY),
        _ if object.curve() == Some(RecommendedCurve::Curve25519) => (agrees, agrees),
        _ => (Mask::SIGN.with(agrees), Mask::VERIFY.with(agrees)),
    };
    match object.object_type {
        ObjectType::SymmetricKey | ObjectType::SecretData | ObjectType::SplitKey => Mask::default(),
        ObjectType::PrivateKey => of_private,
        _ => of_public,
    }
}
