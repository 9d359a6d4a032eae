//! Key pairs on elliptic curves: made, used, served in every format, taken in again, replaced and certified.

use kms_protocol::attribute::{
    Attribute, AttributeKind, CryptographicDomainParameters, CryptographicParameters, Name,
};
use kms_protocol::enums::{
    CryptographicAlgorithm as Algorithm, DerivationMethod, HashingAlgorithm, KeyFormatType as Format,
    ObjectType, RecommendedCurve as Curve, ResultReason, ValidityIndicator,
};
use kms_protocol::object::ManagedObject;
use kms_protocol::operation::{
    CertifyRequest, CreateKeyPairRequest, DerivationParameters, DeriveKeyRequest, GetRequest,
    RekeyKeyPairRequest, SignRequest, SignatureVerifyRequest,
};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Version};

use crate::asking::{Answer, Asker, NOW};
use crate::{get, register};

/// Algorithm, curve, bits: everything that a pair is made on.
const CURVES: [(Algorithm, Option<Curve>, i32); 6] = [
    (Algorithm::Ec, Some(Curve::P256), 256),
    (Algorithm::Ecdsa, Some(Curve::P384), 384),
    (Algorithm::Ec, Some(Curve::P521), 521),
    (Algorithm::Ecdh, Some(Curve::Secp256K1), 256),
    (Algorithm::Ed25519, None, 256),
    (Algorithm::Ec, Some(Curve::Curve25519), 256),
];

fn on(curve: Curve) -> Attribute {
    Attribute::CryptographicDomainParameters(CryptographicDomainParameters {
        qlength: None,
        recommended_curve: Some(curve),
    })
}

fn wanted(algorithm: Algorithm, curve: Option<Curve>) -> CreateKeyPairRequest {
    let mut common =
        vec![Attribute::CryptographicAlgorithm(algorithm), Attribute::ActivationDate(DateTime(NOW - 1))];
    common.extend(curve.map(on));
    CreateKeyPairRequest { common: common.into(), ..CreateKeyPairRequest::default() }
}

fn signs(algorithm: Algorithm, curve: Option<Curve>) -> bool {
    algorithm == Algorithm::Ed25519 || curve != Some(Curve::Curve25519)
}

fn sign(ask: &Asker, id: &str, hash: Option<HashingAlgorithm>) -> Answer<Vec<u8>> {
    let request = SignRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: hash.map(hashed),
        data: Some(Bytes(b"data".to_vec())),
        ..SignRequest::default()
    };
    ask.ask(&request).map(|answer| answer.signature_data.expect("a signature").0)
}

fn verifies(ask: &Asker, id: &str, hash: Option<HashingAlgorithm>, data: &[u8], signature: &[u8]) -> bool {
    let request = SignatureVerifyRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: hash.map(hashed),
        data: Some(Bytes(data.to_vec())),
        signature_data: Some(Bytes(signature.to_vec())),
        ..SignatureVerifyRequest::default()
    };
    ask.ask(&request).expect("a verdict").validity_indicator == Some(ValidityIndicator::Valid)
}

fn hashed(hash: HashingAlgorithm) -> CryptographicParameters {
    CryptographicParameters { hashing_algorithm: Some(hash), ..CryptographicParameters::default() }
}

fn agree(ask: &Asker, private: &str, public: &str, bits: i32) -> Answer<Vec<u8>> {
    let request = DeriveKeyRequest {
        object_type: ObjectType::SecretData,
        unique_identifiers: vec![private.into(), public.into()],
        derivation_method: DerivationMethod::AsymmetricKey,
        derivation_parameters: DerivationParameters::default(),
        attributes: vec![Attribute::CryptographicLength(bits)].into(),
    };
    let id = ask.ask(&request)?.unique_identifier;
    Ok(get(ask, &id)?.1.key_bytes().expect("bytes").expose().to_vec())
}

fn in_format(ask: &Asker, id: &str, format: Format) -> Answer<ManagedObject> {
    let request = GetRequest {
        unique_identifier: Some(id.into()),
        key_format_type: Some(format),
        ..GetRequest::default()
    };
    ask.ask(&request).map(|answer| answer.object)
}

#[test]
fn pairs_on_every_curve_do_what_they_are_for() {
    let ask = Asker::start("").speaking(Version::V2_1);
    for (algorithm, curve, bits) in CURVES {
        let (private, public) = ask.pair(&wanted(algorithm, curve));
        let (other, other_public) = ask.pair(&wanted(algorithm, curve));
        let case = format!("{algorithm} {curve:?}");
        for id in [&private, &public] {
            let found = ask.attributes(
                id,
                &[
                    AttributeKind::CryptographicAlgorithm,
                    AttributeKind::CryptographicLength,
                    AttributeKind::CryptographicDomainParameters,
                ],
            );
            let mut expected =
                vec![Attribute::CryptographicAlgorithm(algorithm), Attribute::CryptographicLength(bits)];
            expected.extend(curve.map(on));
            assert!(expected.iter().all(|one| found.contains(one)), "{case}: {found:?}");
        }
        if signs(algorithm, curve) {
            let signature = sign(&ask, &private, None).expect("signed");
            assert!(verifies(&ask, &public, None, b"data", &signature), "{case}");
            assert!(!verifies(&ask, &public, None, b"date", &signature), "{case}");
            assert!(!verifies(&ask, &other_public, None, b"data", &signature), "{case}");
        } else {
            assert_eq!(
                sign(&ask, &private, None).expect_err("no").0,
                ResultReason::IncompatibleCryptographicUsageMask
            );
        }
        if algorithm == Algorithm::Ed25519 {
            let refused = agree(&ask, &private, &other_public, bits).expect_err("no");
            assert_eq!(refused.0, ResultReason::IncompatibleCryptographicUsageMask);
        } else {
            let shared = agree(&ask, &private, &other_public, bits / 8 * 8).expect("agreed");
            assert_eq!(agree(&ask, &other, &public, bits / 8 * 8).expect("agreed"), shared, "{case}");
            let more = agree(&ask, &private, &other_public, 536).expect_err("no agreement is that long");
            assert_eq!(more.0, ResultReason::CryptographicFailure, "{case}");
        }
    }
}

#[test]
fn ecdsa_takes_the_hash_that_is_stated_and_else_the_curves_own() {
    let ask = Asker::start("");
    for (curve, own) in [
        (Curve::P256, HashingAlgorithm::Sha256),
        (Curve::P384, HashingAlgorithm::Sha384),
        (Curve::P521, HashingAlgorithm::Sha512),
    ] {
        let (private, public) = ask.pair(&wanted(Algorithm::Ec, Some(curve)));
        let signature = sign(&ask, &private, None).expect("signed");
        assert!(verifies(&ask, &public, Some(own), b"data", &signature), "{curve}");
        for hash in [HashingAlgorithm::Sha1, HashingAlgorithm::Sha256, HashingAlgorithm::Sha3_512] {
            let signature = sign(&ask, &private, Some(hash)).expect("signed");
            assert!(verifies(&ask, &public, Some(hash), b"data", &signature), "{curve} {hash}");
            assert!(!verifies(&ask, &public, Some(HashingAlgorithm::Sha224), b"data", &signature));
        }
    }
}

#[test]
fn ed25519_takes_data_in_parts_and_no_digest() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let (private, public) = ask.pair(&wanted(Algorithm::Ed25519, None));
    let part = |data: &[u8], correlation: Option<Bytes>, last: bool| {
        let request = SignRequest {
            unique_identifier: Some(private.as_str().into()),
            data: Some(Bytes(data.to_vec())),
            init_indicator: correlation.is_none().then_some(true),
            final_indicator: last.then_some(true),
            correlation_value: correlation,
            ..SignRequest::default()
        };
        ask.ask(&request).expect("taken")
    };
    let first = part(b"da", None, false);
    let signature = part(b"ta", first.correlation_value, true).signature_data.expect("a signature").0;
    assert_eq!(sign(&ask, &private, None).expect("signed"), signature, "the same as of the whole");
    assert!(verifies(&ask, &public, None, b"data", &signature));
    let digest = SignRequest {
        unique_identifier: Some(private.as_str().into()),
        digested_data: Some(Bytes(vec![0; 64])),
        ..SignRequest::default()
    };
    let (reason, message) = ask.ask(&digest).map(drop).expect_err("no digest");
    assert_eq!(reason, ResultReason::UnsupportedCryptographicParameters);
    assert!(message.contains("state Data"), "{message}");
    let refused = sign(&ask, &private, Some(HashingAlgorithm::Sha512)).expect_err("it has its own");
    assert!(refused.1.contains("Ed25519"), "{}", refused.1);
}

#[test]
fn a_key_is_served_in_every_format_and_taken_in_from_each() {
    let ask = Asker::start("").speaking(Version::V2_1);
    for (algorithm, curve, _) in CURVES {
        let (private, public) = ask.pair(&wanted(algorithm, curve));
        let (_, peer) = ask.pair(&wanted(algorithm, curve));
        let of_sec1 = !matches!(curve, None | Some(Curve::Curve25519));
        let usual = get(&ask, &private).expect("served").1.key_block().expect("a key").key_format_type;
        assert_eq!(usual, if of_sec1 { Format::EcPrivateKey } else { Format::Pkcs8 });
        let active = || vec![Attribute::ActivationDate(DateTime(NOW - 1))];
        for format in [
            Format::Pkcs8,
            Format::TransparentEcPrivateKey,
            Format::TransparentEcdsaPrivateKey,
            Format::TransparentEcdhPrivateKey,
            Format::EcPrivateKey,
        ] {
            let served = in_format(&ask, &private, format);
            if format == Format::EcPrivateKey && !of_sec1 {
                assert_eq!(served.expect_err("no SEC1").0, ResultReason::KeyFormatTypeNotSupported);
                continue;
            }
            let again = register(&ask, served.expect("served"), active()).expect("taken in");
            let case = format!("{algorithm} {curve:?} {format}");
            if signs(algorithm, curve) {
                let signature = sign(&ask, &again, None).expect("signed");
                assert!(verifies(&ask, &public, None, b"data", &signature), "{case}");
            } else {
                let shared = agree(&ask, &again, &peer, 256).expect("agreed");
                assert_eq!(agree(&ask, &private, &peer, 256).expect("agreed"), shared, "{case}");
            }
        }
        for format in [
            Format::X509,
            Format::TransparentEcPublicKey,
            Format::TransparentEcdsaPublicKey,
            Format::TransparentEcdhPublicKey,
        ] {
            let served = in_format(&ask, &public, format).expect("served");
            let again = register(&ask, served, active()).expect("taken in");
            if signs(algorithm, curve) {
                let signature = sign(&ask, &private, None).expect("signed");
                assert!(verifies(&ask, &again, None, b"data", &signature), "{algorithm} {curve:?} {format}");
            }
        }
    }
}

#[test]
fn what_a_client_says_of_a_key_has_to_be_so() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let (private, _) = ask.pair(&wanted(Algorithm::Ec, Some(Curve::P384)));
    let served = || in_format(&ask, &private, Format::Pkcs8).expect("served");
    for (what, stated) in [
        ("curve", on(Curve::P256)),
        ("length", Attribute::CryptographicLength(256)),
        ("algorithm", Attribute::CryptographicAlgorithm(Algorithm::Ed25519)),
    ] {
        assert_eq!(register(&ask, served(), vec![stated]).expect_err(what).0, ResultReason::InvalidField);
    }
    register(&ask, served(), vec![on(Curve::P384)]).expect("the curve is its own");
}

#[test]
fn a_pair_is_replaced_by_one_on_its_own_curve() {
    let ask = Asker::start("").speaking(Version::V2_1);
    for (algorithm, curve, bits) in CURVES {
        let (private, public) = ask.pair(&wanted(algorithm, curve));
        let request = RekeyKeyPairRequest {
            private_key_unique_identifier: Some(private.as_str().into()),
            ..RekeyKeyPairRequest::default()
        };
        let new = ask.ask(&request).expect("rotated");
        let block = |id: &str| get(&ask, id).expect("served").1;
        let (old, fresh) = (block(&public), block(&new.public_key_unique_identifier));
        assert_ne!(old, fresh);
        let fresh =
            fresh.key_block().map(|block| (block.cryptographic_algorithm, block.cryptographic_length));
        assert_eq!(fresh, Some((Some(algorithm), Some(bits))));
        if signs(algorithm, curve) {
            let signature = sign(&ask, &new.private_key_unique_identifier, None).expect("signed");
            assert!(verifies(&ask, &new.public_key_unique_identifier, None, b"data", &signature));
            assert!(!verifies(&ask, &public, None, b"data", &signature));
        }
    }
}

#[test]
fn keys_that_sign_are_certified() {
    let ask = Asker::start("").speaking(Version::V2_1);
    for (algorithm, curve, is_certified) in [
        (Algorithm::Ec, Some(Curve::P384), true),
        (Algorithm::Ec, Some(Curve::P521), true),
        (Algorithm::Ed25519, None, true),
        (Algorithm::Ec, Some(Curve::Curve25519), false),
        (Algorithm::Ec, Some(Curve::Secp256K1), false),
    ] {
        let (_, public) = ask.pair(&wanted(algorithm, curve));
        let request =
            CertifyRequest { unique_identifier: Some(public.as_str().into()), ..CertifyRequest::default() };
        match ask.ask(&request) {
            Ok(made) => {
                assert!(is_certified, "{algorithm} {curve:?}");
                let ManagedObject::Certificate(certificate) =
                    get(&ask, &made.unique_identifier).expect("served").1
                else {
                    panic!("a certificate")
                };
                let ManagedObject::PublicKey(key) = in_format(&ask, &public, Format::X509).expect("served")
                else {
                    panic!("a public key")
                };
                let spki = ManagedObject::PublicKey(key);
                let spki = spki.key_bytes().expect("bytes").expose();
                assert!(
                    certificate.value.0.windows(spki.len()).any(|part| part == spki),
                    "its key is inside"
                );
            }
            Err((reason, message)) => {
                assert!(!is_certified, "{algorithm} {curve:?}: {message}");
                assert_eq!(reason, ResultReason::InvalidField);
            }
        }
    }
}

#[test]
fn pairs_that_cannot_be_made_are_refused_with_what_can() {
    let ask = Asker::start("");
    let mut short = wanted(Algorithm::Ec, Some(Curve::P521));
    short.common.list.push(Attribute::CryptographicLength(512));
    for (what, ask, request, hint) in [
        ("Brainpool", ask.clone(), wanted(Algorithm::Ec, Some(Curve::Brainpoolp256R1)), "P-256, P-384"),
        ("CURVE448", ask.speaking(Version::V2_1), wanted(Algorithm::Ec, Some(Curve::Curve448)), "CURVE25519"),
        ("Ed448", ask.speaking(Version::V2_1), wanted(Algorithm::Ed448, None), "Ed25519"),
        (
            "ECDSA by X25519",
            ask.speaking(Version::V2_1),
            wanted(Algorithm::Ecdsa, Some(Curve::Curve25519)),
            "use",
        ),
        ("a wrong length", ask.clone(), short, "521"),
        ("Ed25519 in 1.4", ask.clone(), wanted(Algorithm::Ed25519, None), "KMIP 2.0"),
        ("X25519 in 1.4", ask.clone(), wanted(Algorithm::Ec, Some(Curve::Curve25519)), "KMIP 2.0"),
    ] {
        let (_, message) = ask.ask(&request).map(drop).expect_err(what);
        assert!(message.contains(hint), "{what}: {message}");
    }
}

#[test]
fn policies_tell_the_curves_apart() {
    let config = "[[policy]]\nname = \"strong\"\nnames = \"s-*\"\nallowed-pairs = [\"P-384\", \"Ed25519\"]";
    let ask = Asker::start(config).speaking(Version::V2_1);
    for (algorithm, curve, _) in CURVES {
        let mut request = wanted(algorithm, curve);
        request.private_key = vec![Attribute::Name(Name::text(format!("s-{algorithm}-{curve:?}")))].into();
        let made = ask.ask(&request);
        let is_allowed = algorithm == Algorithm::Ed25519 || curve == Some(Curve::P384);
        assert_eq!(made.is_ok(), is_allowed, "{algorithm} {curve:?}");
    }
}
