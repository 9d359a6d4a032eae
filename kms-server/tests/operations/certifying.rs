//! Certificates for public keys of a client's own, and their successors.

use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, AttributeKind, Name};
use kms_protocol::enums::{CertificateRequestType, LinkType, Pkcs11Function, Pkcs11ReturnCode, ResultReason};
use kms_protocol::object::ManagedObject;
use kms_protocol::operation::{
    CertificateRequestValue, CertifyRequest, Pkcs11Call, Pkcs11Request, RecertifyRequest,
};
use kms_protocol::ttlv::Bytes;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::asking::{Asker, pair_request};
use crate::{get, key};

fn certify(ask: &Asker, id: &str) -> CertifyRequest {
    let _ = ask;
    CertifyRequest { unique_identifier: Some(id.into()), ..CertifyRequest::default() }
}

fn der(ask: &Asker, id: &str) -> Vec<u8> {
    match get(ask, id).expect("served").1 {
        ManagedObject::Certificate(certificate) => certificate.value.0,
        other => panic!("a certificate, not {other:?}"),
    }
}

#[test]
fn a_certificate_is_signed_by_an_authority_of_its_owner() {
    let ask = Asker::start("");
    let (_, public) = ask.pair(&pair_request("job", 2048));
    let made = ask.ask(&certify(&ask, &public)).expect("certified").unique_identifier;
    let authority = ask.link(&made, LinkType::CertificateLink).expect("its authority");
    assert_eq!(ask.link(&made, LinkType::PublicKeyLink), Some(public.clone()));
    assert_eq!(ask.link(&public, LinkType::CertificateLink), Some(made.clone()));
    let (leaf, issuer) = (der(&ask, &made), der(&ask, &authority));
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("X.509");
    let (_, issuer) = X509Certificate::from_der(&issuer).expect("X.509");
    assert_eq!(leaf.issuer(), issuer.subject());
    assert_eq!(leaf.subject().to_string(), "CN=job-public");
    assert!(issuer.is_ca() && !leaf.is_ca());
    let signed = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        issuer.public_key().raw,
    );
    signed.verify(leaf.tbs_certificate.as_ref(), &leaf.signature_value.data).expect("signed by it");

    let (_, second) = ask.pair(&pair_request("second", 2048));
    let second = ask.ask(&certify(&ask, &second)).expect("certified").unique_identifier;
    assert_eq!(ask.link(&second, LinkType::CertificateLink), Some(authority.clone()), "one for all");
    let other = ask.by("b");
    let (_, theirs) = other.pair(&pair_request("job", 2048));
    let theirs = other.ask(&certify(&other, &theirs)).expect("certified").unique_identifier;
    assert_ne!(other.link(&theirs, LinkType::CertificateLink), Some(authority), "another owner's");
}

#[test]
fn a_certificate_is_followed_by_one_of_the_same_key() {
    let ask = Asker::start("");
    let (_, public) = ask.pair(&pair_request("job", 2048));
    let named = CertifyRequest {
        attributes: vec![Attribute::Name(Name::text("cert"))].into(),
        ..certify(&ask, &public)
    };
    let old = ask.ask(&named).expect("certified").unique_identifier;
    let again =
        RecertifyRequest { unique_identifier: Some(old.as_str().into()), ..RecertifyRequest::default() };
    let new = ask.ask(&again).expect("certified again").unique_identifier;
    assert_eq!(ask.names(&new), ["cert"]);
    assert_eq!(ask.link(&old, LinkType::ReplacementObjectLink), Some(new.clone()));
    assert_eq!(ask.link(&new, LinkType::PublicKeyLink), Some(public.clone()));
    assert_eq!(ask.link(&public, LinkType::CertificateLink), Some(new.clone()));
    let (first, second) = (der(&ask, &old), der(&ask, &new));
    let (_, one) = X509Certificate::from_der(&first).expect("X.509");
    let (_, other) = X509Certificate::from_der(&second).expect("X.509");
    assert_eq!(one.public_key().raw, other.public_key().raw);
    assert_ne!(one.raw_serial(), other.raw_serial());
    assert_eq!(ask.attributes(&new, &[AttributeKind::CertificateLength]).len(), 1);
    assert_eq!(ask.ask(&again).expect_err("once").0, ResultReason::PermissionDenied);
}

#[test]
fn what_cannot_be_certified_is_refused_with_its_reason() {
    let ask = Asker::start("");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    let symmetric = key(&ask);
    let request = |kind, bytes: &[u8]| CertifyRequest {
        certificate_request_type: Some(kind),
        certificate_request: Some(CertificateRequestValue(Bytes(bytes.to_vec()))),
        ..certify(&ask, &public)
    };
    for (what, request, why) in [
        ("a private key", certify(&ask, &private), ResultReason::IllegalOperation),
        ("a symmetric key", certify(&ask, &symmetric), ResultReason::IllegalOperation),
        ("nothing", certify(&ask, "nothing"), ResultReason::ItemNotFound),
        ("no PKCS#10", request(CertificateRequestType::Pkcs10, b"request"), ResultReason::InvalidField),
        ("CRMF", request(CertificateRequestType::Crmf, b"request"), ResultReason::InvalidField),
    ] {
        let (reason, message) = ask.ask(&request).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
    }
    let other = ask.by("b");
    assert_eq!(
        other.ask(&certify(&other, &public)).expect_err("someone else's"),
        other.ask(&certify(&other, "nothing")).expect_err("nothing")
    );
    let again =
        RecertifyRequest { unique_identifier: Some(public.as_str().into()), ..RecertifyRequest::default() };
    assert_eq!(ask.ask(&again).expect_err("no certificate").0, ResultReason::IllegalOperation);
    assert_eq!(other.ask(&again).expect_err("someone else's").0, ResultReason::ItemNotFound);
}

#[test]
fn pkcs_11_tells_of_itself_and_has_no_token() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let call = |function| {
        let request = Pkcs11Request {
            interface: None,
            function: Pkcs11Call::Standard(function),
            correlation_value: None,
            input_parameters: None,
        };
        ask.ask(&request).expect("answered")
    };
    let begun = call(Pkcs11Function::Initialize);
    assert_eq!(begun.return_code, Pkcs11ReturnCode::Ok);
    assert!(begun.correlation_value.is_some());
    assert_eq!(call(Pkcs11Function::GetInfo).output_parameters.expect("told").len(), 76);
    assert_eq!(call(Pkcs11Function::Finalize).return_code, Pkcs11ReturnCode::Ok);
    assert_eq!(call(Pkcs11Function::GetSlotList).return_code, Pkcs11ReturnCode::FunctionNotSupported);
    let call = |interface: Option<&str>, function| {
        let request = Pkcs11Request {
            interface: interface.map(str::to_owned),
            function,
            correlation_value: None,
            input_parameters: None,
        };
        ask.ask(&request).map(|answer| answer.return_code).map_err(|(reason, _)| reason)
    };
    let information = Pkcs11Call::Standard(Pkcs11Function::GetInfo);
    assert_eq!(call(Some("PKCS 11"), information), Ok(Pkcs11ReturnCode::Ok));
    assert_eq!(call(Some("Vendor's"), information), Err(ResultReason::Pkcs11InvalidInterface));
    assert_eq!(call(None, Pkcs11Call::Vendor(7)), Err(ResultReason::Pkcs11InvalidFunction));
    let unknown = Pkcs11Call::Standard(Pkcs11Function::Other(0xFFFF));
    assert_eq!(call(None, unknown), Err(ResultReason::Pkcs11InvalidFunction));
}
