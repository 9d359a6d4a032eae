//! Private keys in PKCS#12 containers: served and taken in.

use kms_protocol::attribute::{Attribute, AttributeKind, Link};
use kms_protocol::enums::{
    CryptographicAlgorithm, KeyFormatType, LinkType, ObjectType, ResultReason, RevocationReasonCode,
    SecretDataType,
};
use kms_protocol::object::{KeyBlock, ManagedObject, SecretData};
use kms_protocol::operation::{CertifyRequest, CreateKeyPairRequest, GetRequest, ImportRequest};
use kms_protocol::{DateTime, Secret, Version};
use kms_server::crypto::container;

use crate::asking::{Answer, Asker, NOW};
use crate::{get, key, raw, register, revoke};

const PASSWORD: &[u8] = b"correct horse";

fn secret(ask: &Asker, password: &[u8], is_active: bool) -> String {
    let object = ManagedObject::SecretData(SecretData {
        secret_data_type: SecretDataType::Password,
        key_block: KeyBlock { key_format_type: KeyFormatType::Opaque, ..raw(password) },
    });
    let date = is_active.then_some(Attribute::ActivationDate(DateTime(NOW - 1)));
    register(ask, object, date.into_iter().collect()).expect("registered")
}

fn link(id: &str) -> Attribute {
    Attribute::Link(Link::to(LinkType::Pkcs12PasswordLink, id))
}

/// A certified pair whose private key has these attributes.
fn certified(ask: &Asker, attributes: Vec<Attribute>) -> (String, String) {
    let (private, public) = ask.pair(&CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(384),
            Attribute::ActivationDate(DateTime(NOW - 1)),
        ]
        .into(),
        private_key: attributes.into(),
        ..CreateKeyPairRequest::default()
    });
    let request =
        CertifyRequest { unique_identifier: Some(public.as_str().into()), ..CertifyRequest::default() };
    ask.ask(&request).expect("certified");
    (private, public)
}

fn contained(ask: &Asker, id: &str) -> Answer<ManagedObject> {
    let request = GetRequest {
        unique_identifier: Some(id.into()),
        key_format_type: Some(KeyFormatType::Pkcs12),
        ..GetRequest::default()
    };
    ask.ask(&request).map(|answer| answer.object)
}

fn inside(object: &ManagedObject, name: Option<&str>) -> container::Container {
    let bytes = object.key_bytes().expect("bytes");
    container::open(bytes.expose(), &Secret::from(PASSWORD), name).expect("opened")
}

fn pkcs8(ask: &Asker, id: &str) -> Vec<u8> {
    let request = GetRequest {
        unique_identifier: Some(id.into()),
        key_format_type: Some(KeyFormatType::Pkcs8),
        ..GetRequest::default()
    };
    ask.ask(&request).expect("served").object.key_bytes().expect("bytes").expose().to_vec()
}

#[test]
fn a_private_key_travels_with_its_certificates() {
    let here = Asker::start("");
    for version in [Version::V1_4, Version::V2_1] {
        let here = here.speaking(version);
        let password = secret(&here, PASSWORD, true);
        let named = Attribute::Pkcs12FriendlyName(format!("job {version}"));
        let (private, public) = certified(&here, vec![link(&password), named]);
        let object = contained(&here, &private).expect("served");
        let found = inside(&object, None);
        assert_eq!(found.friendly_name, Some(format!("job {version}")));
        assert_eq!(found.private.expose(), pkcs8(&here, &private));
        assert_eq!(found.certificates.len(), 2, "its own and that of the authority");

        let there = Asker::start("").speaking(version);
        let theirs = secret(&there, PASSWORD, true);
        let date = Attribute::ActivationDate(DateTime(NOW - 1));
        let taken = register(&there, object, vec![link(&theirs), date]).expect("taken in");
        assert_eq!(pkcs8(&there, &taken), pkcs8(&here, &private));
        let name = there.attributes(&taken, &[AttributeKind::Pkcs12FriendlyName]);
        assert_eq!(name, [Attribute::Pkcs12FriendlyName(format!("job {version}"))]);
        let half = there.link(&taken, LinkType::PublicKeyLink).expect("its public half came along");
        assert_eq!(get(&there, &half).expect("served"), get(&here, &public).expect("served"));
        assert_eq!(there.link(&half, LinkType::PrivateKeyLink), Some(taken.clone()));
        let again = inside(&contained(&there, &taken).expect("served"), None);
        assert_eq!(again.certificates, found.certificates);
        assert_eq!(again.private, found.private);
    }
}

#[test]
fn a_key_without_certificates_is_contained_alone() {
    let ask = Asker::start("");
    let password = secret(&ask, PASSWORD, true);
    let (private, _) = ask.pair(&CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(256),
        ]
        .into(),
        private_key: vec![link(&password)].into(),
        ..CreateKeyPairRequest::default()
    });
    let object = contained(&ask, &private).expect("served");
    let found = inside(&object, Some("alias"));
    assert!(found.certificates.is_empty());
    let request = ImportRequest {
        unique_identifier: uuid::Uuid::new_v4().to_string(),
        object_type: Some(ObjectType::PrivateKey),
        replace_existing: None,
        key_wrap_type: None,
        attributes: kms_protocol::attribute::AttributeList(vec![link(&password)]),
        object,
    };
    let kept = ask.ask(&request).expect("imported").unique_identifier;
    assert_eq!(pkcs8(&ask, &kept), found.private.expose());
    assert_eq!(ask.link(&kept, LinkType::PublicKeyLink), None);
}

#[test]
fn a_container_needs_its_password() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let (good, other) = (secret(&ask, PASSWORD, true), secret(&ask, b"other", true));
    let (waiting, ended) = (secret(&ask, PASSWORD, false), secret(&ask, PASSWORD, true));
    revoke(&ask, &ended, RevocationReasonCode::Superseded);
    let symmetric = key(&ask);
    let foreign = secret(&ask.by("b"), PASSWORD, true);
    let (private, _) = certified(&ask, vec![link(&good)]);
    let object = || contained(&ask, &private).expect("served");
    let bad = ResultReason::BadPassword;
    for (what, attributes, why) in [
        ("no password", vec![], bad),
        ("two", vec![link(&good), link(&other)], bad),
        ("another's", vec![link(&other)], bad),
        ("Pre-Active", vec![link(&waiting)], bad),
        ("Deactivated", vec![link(&ended)], bad),
        ("no Secret Data", vec![link(&symmetric)], bad),
        ("someone else's", vec![link(&foreign)], ResultReason::ObjectNotFound),
        (
            "no such key inside",
            vec![link(&good), Attribute::Pkcs12FriendlyName("nobody".to_owned())],
            ResultReason::InvalidField,
        ),
    ] {
        let (reason, message) = register(&ask, object(), attributes.clone()).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
        if why == bad && what != "another's" {
            let (private, _) = certified(&ask, attributes);
            assert_eq!(contained(&ask, &private).expect_err(what).0, bad, "{what}");
        }
    }
    let damaged = ManagedObject::PrivateKey(KeyBlock {
        key_format_type: KeyFormatType::Pkcs12,
        ..raw(b"no container")
    });
    assert_eq!(
        register(&ask, damaged, vec![link(&good)]).expect_err("damaged").0,
        ResultReason::InvalidField
    );
    let refused = contained(&ask, &symmetric).expect_err("a Symmetric Key");
    assert_eq!(refused.0, ResultReason::KeyFormatTypeNotSupported);
}
