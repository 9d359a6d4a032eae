//! Validate: chains of certificates, by objects and by bytes.

use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{CertificateType, ResultReason, RevocationReasonCode, ValidityIndicator};
use kms_protocol::object::{Certificate, ManagedObject};
use kms_protocol::operation::{CertifyRequest, ValidateRequest};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, UniqueIdentifier, Version};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::time::{Duration, UNIX_EPOCH};

use crate::asking::{Asker, NOW, pair_request};
use crate::{key, register, revoke};

const DAY: u64 = 86_400;

/// What a certificate says: valid from a day before the tests' clock to a day after it.
fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW).expect("after 1970"));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = match is_ca {
        IsCa::Ca(_) => vec![KeyUsagePurpose::KeyCertSign],
        _ => vec![KeyUsagePurpose::DigitalSignature],
    };
    params.is_ca = is_ca;
    params.not_before = (now - Duration::from_secs(DAY)).into();
    params.not_after = (now + Duration::from_secs(DAY)).into();
    params
}

fn ca(name: &str) -> CertificateParams {
    params(name, IsCa::Ca(BasicConstraints::Unconstrained))
}

fn leaf() -> CertificateParams {
    params("leaf", IsCa::NoCa)
}

/// The certificates of a chain, root first, each signed by the one before.
fn chain(all: Vec<CertificateParams>) -> Vec<Vec<u8>> {
    let mut issuer: Option<Issuer<'static, KeyPair>> = None;
    let mut made = Vec::new();
    for params in all {
        let pair = KeyPair::generate().expect("a key");
        let certificate = match &issuer {
            None => params.self_signed(&pair),
            Some(issuer) => params.signed_by(&pair, issuer),
        };
        made.push(certificate.expect("signed").der().to_vec());
        issuer = Some(Issuer::new(params, pair));
    }
    made
}

fn x509(der: &[u8]) -> Certificate {
    Certificate { certificate_type: CertificateType::X509, value: Bytes(der.to_vec()) }
}

fn by_bytes(certificates: &[Vec<u8>]) -> ValidateRequest {
    ValidateRequest {
        certificates: certificates.iter().map(|der| x509(der)).collect(),
        ..ValidateRequest::default()
    }
}

fn by_objects(ids: &[String]) -> ValidateRequest {
    ValidateRequest {
        unique_identifiers: ids.iter().map(|id| UniqueIdentifier::from(id.as_str())).collect(),
        ..ValidateRequest::default()
    }
}

fn keep(ask: &Asker, der: &[u8]) -> String {
    register(ask, ManagedObject::Certificate(x509(der)), vec![Attribute::ActivationDate(DateTime(NOW - 1))])
        .expect("registered")
}

fn verdict(ask: &Asker, request: &ValidateRequest) -> ValidityIndicator {
    ask.ask(request).expect("a verdict").validity_indicator
}

#[test]
fn a_chain_is_valid_in_any_order_by_bytes_by_objects_and_by_both() {
    let ask = Asker::start("");
    let all = chain(vec![ca("root"), ca("middle"), leaf()]);
    let mut turned = all.clone();
    turned.rotate_left(1);
    for version in [Version::V1_0, Version::V1_4, Version::V2_0, Version::V2_1] {
        let ask = ask.speaking(version);
        assert_eq!(verdict(&ask, &by_bytes(&all)), ValidityIndicator::Valid, "{version}");
        assert_eq!(verdict(&ask, &by_bytes(&turned)), ValidityIndicator::Valid, "{version}");
    }
    let ids: Vec<String> = all.iter().map(|der| keep(&ask, der)).collect();
    assert_eq!(verdict(&ask, &by_objects(&ids)), ValidityIndicator::Valid);
    let both = ValidateRequest { certificates: vec![x509(&all[0])], ..by_objects(&ids[1..]) };
    assert_eq!(verdict(&ask, &both), ValidityIndicator::Valid);
    assert_eq!(verdict(&ask, &by_bytes(&all[..1])), ValidityIndicator::Valid, "a root alone");
}

#[test]
fn what_is_wrong_with_a_chain_makes_it_invalid_and_what_is_missing_unknown() {
    let ask = Asker::start("");
    let good = chain(vec![ca("root"), ca("middle"), leaf()]);
    let other = chain(vec![ca("root"), ca("middle"), leaf()]);
    let mut forged = good.clone();
    let last = forged[2].len() - 1;
    forged[2][last] ^= 1;
    let mut no_signer = ca("middle");
    no_signer.key_usages = vec![KeyUsagePurpose::CrlSign];
    let short = params("root", IsCa::Ca(BasicConstraints::Constrained(0)));
    let mut odd = leaf();
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
    extension.set_criticality(true);
    odd.custom_extensions = vec![extension];
    for (what, certificates, expected) in [
        ("without its root", good[1..].to_vec(), ValidityIndicator::Unknown),
        ("without its middle", vec![good[0].clone(), good[2].clone()], ValidityIndicator::Invalid),
        ("a leaf alone", good[2..].to_vec(), ValidityIndicator::Unknown),
        (
            "another root of that name",
            vec![other[0].clone(), good[1].clone(), good[2].clone()],
            ValidityIndicator::Invalid,
        ),
        ("a forged signature", forged, ValidityIndicator::Invalid),
        (
            "signed by a leaf",
            chain(vec![ca("root"), params("middle", IsCa::NoCa), leaf()]),
            ValidityIndicator::Invalid,
        ),
        ("signed by a key for lists", chain(vec![ca("root"), no_signer, leaf()]), ValidityIndicator::Invalid),
        ("too long", chain(vec![short, ca("middle"), leaf()]), ValidityIndicator::Invalid),
        ("a critical extension", chain(vec![ca("root"), odd]), ValidityIndicator::Invalid),
        ("no certificate", vec![b"certificate".to_vec()], ValidityIndicator::Invalid),
        (
            "two chains",
            [good.clone(), chain(vec![ca("a"), params("b", IsCa::NoCa)])].concat(),
            ValidityIndicator::Invalid,
        ),
    ] {
        assert_eq!(verdict(&ask, &by_bytes(&certificates)), expected, "{what}");
    }
    let pgp = Certificate { certificate_type: CertificateType::Pgp, ..x509(&good[0]) };
    let request = ValidateRequest { certificates: vec![pgp], ..ValidateRequest::default() };
    assert_eq!(verdict(&ask, &request), ValidityIndicator::Unknown, "PGP");
}

#[test]
fn the_validity_date_decides_and_is_now_where_none_is_stated() {
    let ask = Asker::start("");
    let all = chain(vec![ca("root"), leaf()]);
    let day = i64::try_from(DAY).expect("small");
    for (at, expected) in [
        (NOW, ValidityIndicator::Valid),
        (NOW - 2 * day, ValidityIndicator::Invalid),
        (NOW + 2 * day, ValidityIndicator::Invalid),
    ] {
        let stated = ValidateRequest { validity_date: Some(DateTime(at)), ..by_bytes(&all) };
        assert_eq!(verdict(&ask, &stated), expected, "{at} stated");
        assert_eq!(verdict(&ask.at(at), &by_bytes(&all)), expected, "{at} by the clock");
    }
}

#[test]
fn links_lead_to_the_issuer_and_a_revoked_certificate_is_invalid() {
    let ask = Asker::start("");
    let (_, public) = ask.pair(&pair_request("job", 2048));
    let certify =
        CertifyRequest { unique_identifier: Some(public.as_str().into()), ..CertifyRequest::default() };
    let made = ask.ask(&certify).expect("certified").unique_identifier;
    assert_eq!(verdict(&ask, &by_objects(std::slice::from_ref(&made))), ValidityIndicator::Valid);
    revoke(&ask, &made, RevocationReasonCode::KeyCompromise);
    assert_eq!(verdict(&ask, &by_objects(&[made])), ValidityIndicator::Invalid);
}

#[test]
fn what_cannot_be_validated_is_refused_with_its_reason() {
    let ask = Asker::start("");
    let symmetric = key(&ask);
    let root = chain(vec![ca("root")]);
    let kept = keep(&ask, &root[0]);
    let reason = |ask: &Asker, request: &ValidateRequest| ask.ask(request).expect_err("refused");
    assert_eq!(reason(&ask, &ValidateRequest::default()).0, ResultReason::InvalidField);
    assert_eq!(reason(&ask, &by_bytes(&vec![root[0].clone(); 17])).0, ResultReason::InvalidField);
    assert_eq!(reason(&ask, &by_objects(std::slice::from_ref(&symmetric))).0, ResultReason::IllegalOperation);
    let newer = ask.speaking(Version::V2_1);
    assert_eq!(reason(&newer, &by_objects(&[symmetric])).0, ResultReason::InvalidObjectType);
    let other = ask.by("b");
    assert_eq!(
        reason(&other, &by_objects(&[kept])),
        reason(&other, &by_objects(&["nothing".to_owned()])),
        "someone else's is as good as none"
    );
}
