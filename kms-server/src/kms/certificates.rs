//! What a certificate says of itself, as attributes (KMIP 1.4 sections 3.8 to 3.16, 2.1 sections 4.7 to 4.9).

use kms_protocol::attribute::{
    Attribute, CertificateIdentifier, CertificateIssuer, CertificateSubject, X509CertificateIdentifier,
    X509CertificateIssuer, X509CertificateSubject,
};
use kms_protocol::enums::{CertificateType, DigitalSignatureAlgorithm};
use kms_protocol::object::Certificate;
use kms_protocol::ttlv::Bytes;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::refusal::{Reason, Refusal};
use crate::crypto::PublicKey;

/// The attributes of a certificate.
///
/// # Errors
/// When it is said to be X.509 and is not.
pub(super) fn attributes_of(certificate: &Certificate) -> Result<Vec<Attribute>, Refusal> {
    let length = i32::try_from(certificate.value.0.len()).unwrap_or(i32::MAX);
    let mut attributes =
        vec![Attribute::CertificateType(certificate.certificate_type), Attribute::CertificateLength(length)];
    if certificate.certificate_type != CertificateType::X509 {
        return Ok(attributes);
    }
    let parsed = match X509Certificate::from_der(&certificate.value.0) {
        Ok(([], parsed)) => parsed,
        _ => {
            return Err(Refusal::new(
                Reason::InvalidField,
                "the Certificate Value is not an X.509 certificate in DER",
            ));
        }
    };
    let (issuer, subject) = (parsed.issuer(), parsed.subject());
    attributes.extend([
        Attribute::X509CertificateIdentifier(X509CertificateIdentifier {
            issuer: Bytes(issuer.as_raw().to_vec()),
            serial_number: Bytes(parsed.raw_serial().to_vec()),
        }),
        Attribute::X509CertificateSubject(X509CertificateSubject {
            subject: Bytes(subject.as_raw().to_vec()),
            alternative_names: Vec::new(),
        }),
        Attribute::X509CertificateIssuer(X509CertificateIssuer {
            issuer: Bytes(issuer.as_raw().to_vec()),
            alternative_names: Vec::new(),
        }),
        Attribute::CertificateIdentifier(CertificateIdentifier {
            issuer: issuer.to_string(),
            serial_number: Some(parsed.raw_serial_as_string()),
        }),
        Attribute::CertificateSubject(CertificateSubject {
            subject: subject.to_string(),
            alternative_names: Vec::new(),
        }),
        Attribute::CertificateIssuer(CertificateIssuer {
            issuer: issuer.to_string(),
            alternative_names: Vec::new(),
        }),
    ]);
    attributes.extend(signed_by(&parsed).map(Attribute::DigitalSignatureAlgorithm));
    attributes.extend(parts(subject, SUBJECT));
    attributes.extend(parts(issuer, ISSUER));
    if let Ok(key) = PublicKey::from_spki(parsed.public_key().raw) {
        attributes.push(Attribute::CryptographicAlgorithm(key.algorithm()));
        attributes.push(Attribute::CryptographicLength(i32::try_from(key.bits()).unwrap_or(i32::MAX)));
    }
    Ok(attributes)
}

/// An OID of a name's part, and the attribute that it is.
type Part = (&'static str, fn(String) -> Attribute);

/// RFC 4519 and RFC 4524, as the attributes of 2.x name them.
const SUBJECT: &[Part] = &[
    ("2.5.4.3", Attribute::CertificateSubjectCn),
    ("2.5.4.10", Attribute::CertificateSubjectO),
    ("2.5.4.11", Attribute::CertificateSubjectOu),
    ("1.2.840.113549.1.9.1", Attribute::CertificateSubjectEmail),
    ("2.5.4.6", Attribute::CertificateSubjectC),
    ("2.5.4.8", Attribute::CertificateSubjectSt),
    ("2.5.4.7", Attribute::CertificateSubjectL),
    ("0.9.2342.19200300.100.1.1", Attribute::CertificateSubjectUid),
    ("2.5.4.5", Attribute::CertificateSubjectSerialNumber),
    ("2.5.4.12", Attribute::CertificateSubjectTitle),
    ("0.9.2342.19200300.100.1.25", Attribute::CertificateSubjectDc),
    ("2.5.4.46", Attribute::CertificateSubjectDnQualifier),
];

const ISSUER: &[Part] = &[
    ("2.5.4.3", Attribute::CertificateIssuerCn),
    ("2.5.4.10", Attribute::CertificateIssuerO),
    ("2.5.4.11", Attribute::CertificateIssuerOu),
    ("1.2.840.113549.1.9.1", Attribute::CertificateIssuerEmail),
    ("2.5.4.6", Attribute::CertificateIssuerC),
    ("2.5.4.8", Attribute::CertificateIssuerSt),
    ("2.5.4.7", Attribute::CertificateIssuerL),
    ("0.9.2342.19200300.100.1.1", Attribute::CertificateIssuerUid),
    ("2.5.4.5", Attribute::CertificateIssuerSerialNumber),
    ("2.5.4.12", Attribute::CertificateIssuerTitle),
    ("0.9.2342.19200300.100.1.25", Attribute::CertificateIssuerDc),
    ("2.5.4.46", Attribute::CertificateIssuerDnQualifier),
];

fn parts(name: &X509Name<'_>, kinds: &[Part]) -> Vec<Attribute> {
    let mut found = Vec::new();
    for part in name.iter_attributes() {
        let oid = part.attr_type().to_id_string();
        if let (Some((_, make)), Ok(value)) = (kinds.iter().find(|(kind, _)| *kind == oid), part.as_str()) {
            found.push(make(value.to_owned()));
        }
    }
    found
}

fn signed_by(certificate: &X509Certificate<'_>) -> Option<DigitalSignatureAlgorithm> {
    use DigitalSignatureAlgorithm as Algorithm;
    Some(match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.4" => Algorithm::Md5WithRsaEncryption,
        "1.2.840.113549.1.1.5" => Algorithm::Sha1WithRsaEncryption,
        "1.2.840.113549.1.1.14" => Algorithm::Sha224WithRsaEncryption,
        "1.2.840.113549.1.1.11" => Algorithm::Sha256WithRsaEncryption,
        "1.2.840.113549.1.1.12" => Algorithm::Sha384WithRsaEncryption,
        "1.2.840.113549.1.1.13" => Algorithm::Sha512WithRsaEncryption,
        "1.2.840.113549.1.1.10" => Algorithm::RsassaPss,
        "1.2.840.10045.4.1" => Algorithm::EcdsaWithSha1,
        "1.2.840.10045.4.3.1" => Algorithm::EcdsaWithSha224,
        "1.2.840.10045.4.3.2" => Algorithm::EcdsaWithSha256,
        "1.2.840.10045.4.3.3" => Algorithm::EcdsaWithSha384,
        "1.2.840.10045.4.3.4" => Algorithm::EcdsaWithSha512,
        _ => return None,
    })
}
