//! Derive Key by Asymmetric Key, Sign and Signature Verify, through messages.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "it is for all tests of the core")]
mod asking;

use asking::{Answer, Asker, NOW, pair_request};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use kms_protocol::attribute::{
    Attribute, CryptographicParameters, CryptographicUsageMask as Mask, Name, RevocationReason,
};
use kms_protocol::enums::{
    CryptographicAlgorithm, DerivationMethod, DigitalSignatureAlgorithm, HashingAlgorithm, KeyFormatType,
    LinkType, ObjectType, PaddingMethod, ResultReason, RevocationReasonCode, State,
    UniqueIdentifierPlaceholder, ValidityIndicator,
};
use kms_protocol::operation::{
    CreateKeyPairRequest, DerivationParameters, DeriveKeyRequest, DestroyRequest, GetRequest, RevokeRequest,
    SignRequest, SignResponse, SignatureVerifyRequest,
};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{Secret, UniqueIdentifier, Version};
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};

/// A pair on P-256 with the server's own usage masks.
fn ec_request(name: &str) -> CreateKeyPairRequest {
    CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(256),
        ]
        .into(),
        private_key: vec![Attribute::Name(Name::text(format!("{name}-private")))].into(),
        public_key: vec![Attribute::Name(Name::text(format!("{name}-public")))].into(),
        ..CreateKeyPairRequest::default()
    }
}

fn active_pair(ask: &Asker, request: &CreateKeyPairRequest) -> (String, String) {
    let (private, public) = ask.pair(request);
    ask.activate(&private);
    ask.activate(&public);
    (private, public)
}

fn material(ask: &Asker, id: &str, format: KeyFormatType) -> Answer<Vec<u8>> {
    let request = GetRequest {
        unique_identifier: Some(id.into()),
        key_format_type: Some(format),
        ..GetRequest::default()
    };
    ask.ask(&request).map(|answer| answer.object.key_bytes().expect("bytes").expose().to_vec())
}

fn public_key(ask: &Asker, id: &str) -> p256::PublicKey {
    let spki = material(ask, id, KeyFormatType::X509).expect("a public key leaves");
    p256::PublicKey::from_public_key_der(&spki).expect("on P-256")
}

/// Secret Data of 256 bits, agreed with `peer`.
fn derive(private: &str, peer: Option<&[u8]>) -> DeriveKeyRequest {
    DeriveKeyRequest {
        object_type: ObjectType::SecretData,
        unique_identifiers: vec![private.into()],
        derivation_method: DerivationMethod::AsymmetricKey,
        derivation_parameters: DerivationParameters {
            derivation_data: peer.map(Secret::from).into_iter().collect(),
            ..DerivationParameters::default()
        },
        attributes: vec![Attribute::CryptographicLength(256)].into(),
    }
}

/// A pair of the test's own: its public half, and what it shares with a key of the server.
fn ephemeral() -> (p256::SecretKey, Vec<u8>) {
    let key = p256::SecretKey::from_slice(&[7; 32]).expect("a scalar");
    let spki = key.public_key().to_public_key_der().expect("DER").into_vec();
    (key, spki)
}

#[test]
fn both_sides_of_an_agreement_have_the_same_secret_and_it_can_be_destroyed() {
    let ask = Asker::start("");
    let (own, spki) = ephemeral();
    for version in [Version::V1_0, Version::V1_4, Version::V2_1] {
        let ask = ask.speaking(version);
        let (private, public) = active_pair(&ask, &ec_request(&format!("job {version}")));
        let shared = own.diffie_hellman(&public_key(&ask, &public)).raw_secret_bytes().to_vec();
        let derived = ask.ask(&derive(&private, Some(&spki))).expect("derived").unique_identifier;
        assert_eq!(material(&ask, &derived, KeyFormatType::Raw).expect("leaves"), shared, "{version}");
        assert_eq!(ask.link(&derived, LinkType::DerivationBaseObjectLink), Some(private.clone()));
        assert_eq!(ask.state(&derived), State::PreActive);
        ask.ask(&DestroyRequest { unique_identifier: Some(derived.as_str().into()) }).expect("destroyed");
        let gone = material(&ask, &derived, KeyFormatType::Raw).expect_err("gone").0;
        let expected =
            if version.is_2x() { ResultReason::ObjectDestroyed } else { ResultReason::IllegalOperation };
        assert_eq!(gone, expected);

        let key = DeriveKeyRequest {
            object_type: ObjectType::SymmetricKey,
            attributes: vec![
                Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
                Attribute::CryptographicLength(128),
            ]
            .into(),
            ..derive(&private, Some(&spki))
        };
        let get = GetRequest::default();
        let (made, got) = ask.in_one_batch(&key, &get).expect("the ID Placeholder is the derived key");
        assert_eq!(made.unique_identifier, got.unique_identifier);
        assert_eq!(got.object_type, ObjectType::SymmetricKey);
        assert_eq!(got.object.key_bytes().expect("bytes").expose(), &shared[..16]);
    }
}

#[test]
fn the_peer_may_be_a_second_object() {
    let ask = Asker::start("");
    let (ours, our_public) = active_pair(&ask, &ec_request("a"));
    let (theirs, their_public) = active_pair(&ask, &ec_request("b"));
    let agree = |private: &str, public: &str| {
        let request = DeriveKeyRequest {
            unique_identifiers: vec![private.into(), public.into()],
            ..derive(private, None)
        };
        let derived = ask.ask(&request).expect("derived").unique_identifier;
        material(&ask, &derived, KeyFormatType::Raw).expect("leaves")
    };
    assert_eq!(agree(&ours, &their_public), agree(&theirs, &our_public));
}

#[test]
fn what_cannot_be_derived_is_refused_with_its_reason() {
    let ask = Asker::start("");
    let (_, spki) = ephemeral();
    let (private, public) = active_pair(&ask, &ec_request("job"));
    let (rsa, _) = active_pair(&ask, &pair_request("rsa", 2048));
    let (waiting, _) = ask.pair(&ec_request("waiting"));
    let mut signing = ec_request("signing");
    signing.private_key.list.push(Attribute::CryptographicUsageMask(Mask::SIGN));
    let (signing, _) = active_pair(&ask, &signing);
    let good = || derive(&private, Some(&spki));
    let with = |attributes: Vec<Attribute>| DeriveKeyRequest { attributes: attributes.into(), ..good() };
    let peers = |data: Vec<Secret>| DeriveKeyRequest {
        derivation_parameters: DerivationParameters {
            derivation_data: data,
            ..DerivationParameters::default()
        },
        ..good()
    };
    let ids = |ids: Vec<UniqueIdentifier>| DeriveKeyRequest { unique_identifiers: ids, ..good() };
    use ResultReason as Why;
    let placeholder = UniqueIdentifier::Placeholder(UniqueIdentifierPlaceholder::IdPlaceholder);
    for (what, request, why) in [
        ("no length", with(vec![]), Why::InvalidField),
        ("too long", with(vec![Attribute::CryptographicLength(264)]), Why::CryptographicFailure),
        ("no whole bytes", with(vec![Attribute::CryptographicLength(255)]), Why::InvalidField),
        ("negative", with(vec![Attribute::CryptographicLength(-8)]), Why::InvalidField),
        ("no peer", peers(vec![]), Why::MissingData),
        ("no point", peers(vec![Secret::new(vec![4; 91])]), Why::InvalidField),
        ("empty peer", peers(vec![Secret::new(vec![])]), Why::InvalidField),
        ("peer twice", ids(vec![private.as_str().into(), public.as_str().into()]), Why::InvalidMessage),
        ("no key", ids(vec![]), Why::MissingData),
        ("public key", derive(&public, Some(&spki)), Why::IllegalOperation),
        ("RSA", derive(&rsa, Some(&spki)), Why::PermissionDenied),
        ("Pre-Active", derive(&waiting, Some(&spki)), Why::PermissionDenied),
        ("usage mask", derive(&signing, Some(&spki)), Why::PermissionDenied),
        ("type", DeriveKeyRequest { object_type: ObjectType::PrivateKey, ..good() }, Why::InvalidField),
        (
            "method",
            DeriveKeyRequest { derivation_method: DerivationMethod::Hash, ..good() },
            Why::IllegalOperation,
        ),
        (
            "no algorithm",
            DeriveKeyRequest { object_type: ObjectType::SymmetricKey, ..good() },
            Why::InvalidField,
        ),
        ("server's own", with(vec![Attribute::State(State::Active)]), Why::PermissionDenied),
    ] {
        let (reason, message) = ask.ask(&request).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
    }
    let (reason, _) = ask.speaking(Version::V2_1).ask(&ids(vec![placeholder])).expect_err("placeholder");
    assert_eq!(reason, Why::InvalidField);
    ask.ask(&good()).expect("and the good request is good");
}

#[test]
fn someone_elses_key_and_no_key_answer_alike() {
    let kms = Asker::start("");
    let (_, spki) = ephemeral();
    let (private, public) = active_pair(&kms.by("a"), &ec_request("job"));
    let other = kms.by("b");
    let (own, _) = active_pair(&other, &ec_request("job"));
    let nobody = "no-such-id";
    let derived = |ids: [&str; 2]| {
        let request = DeriveKeyRequest {
            unique_identifiers: ids.iter().map(|id| (*id).into()).collect(),
            ..derive(&own, None)
        };
        other.ask(&request).expect_err("not there")
    };
    assert_eq!(derived([&own, &public]), derived([&own, nobody]));
    assert_eq!(derived([&private, &public]), derived([nobody, nobody]));
    let one = |id: &str| other.ask(&derive(id, Some(&spki))).expect_err("not there");
    assert_eq!(one(&private), one(nobody));
    assert_eq!(one(&private).0, ResultReason::ItemNotFound);
    let sign = |id: &str| other.ask(&sign_request(id, b"x")).map(drop).expect_err("not there");
    assert_eq!(sign(&private), sign(nobody));
    let verify = |id: &str| other.ask(&verify_request(id, b"x", b"y")).map(drop).expect_err("not there");
    assert_eq!(verify(&public), verify(nobody));
}

#[test]
fn rules_and_policies_hold_for_what_is_derived() {
    let config = r#"
        [[policy]]
        name = "kept"
        names = "kept-*"
        private-keys-may-leave = "never"
        decrypt-when-deactivated = "refuse"

        [[access]]
        principals = "signer"
        operations = ["Create Key Pair", "Activate", "Get", "Sign", "Signature Verify"]
    "#;
    let kms = Asker::start(config);
    let (_, spki) = ephemeral();
    let ask = kms.by("a");
    let (private, _) = active_pair(&ask, &ec_request("kept-key"));
    let refused = material(&ask, &private, KeyFormatType::Pkcs8).expect_err("stays");
    assert_eq!(refused.0, ResultReason::PermissionDenied);
    let derived = ask.ask(&derive(&private, Some(&spki))).expect("derived").unique_identifier;
    material(&ask, &derived, KeyFormatType::Raw).expect("what is derived is no private key");
    let bound = DeriveKeyRequest {
        attributes: vec![Attribute::CryptographicLength(256), Attribute::Extractable(false)].into(),
        ..derive(&private, Some(&spki))
    };
    let bound = ask.ask(&bound).expect("derived").unique_identifier;
    let refused = material(&ask, &bound, KeyFormatType::Raw).expect_err("its own attribute says so");
    assert_eq!(refused.0, ResultReason::NotExtractable);

    let revoked = RevokeRequest {
        unique_identifier: Some(private.as_str().into()),
        revocation_reason: RevocationReason {
            code: RevocationReasonCode::CessationOfOperation,
            message: None,
        },
        compromise_occurrence_date: None,
    };
    ask.ask(&revoked).expect("revoked");
    let refused = ask.ask(&derive(&private, Some(&spki))).expect_err("Deactivated, and the policy denies");
    assert_eq!(refused.0, ResultReason::PermissionDenied);
    let refused = ask.ask(&sign_request(&private, b"x")).map(drop).expect_err("Deactivated keys do not sign");
    assert_eq!(refused.0, ResultReason::PermissionDenied);

    let signer = kms.by("signer");
    let (private, public) = active_pair(&signer, &ec_request("key"));
    let refused = signer.ask(&derive(&private, Some(&spki))).expect_err("no rule allows it");
    assert_eq!(refused.0, ResultReason::PermissionDenied);
    let signature = signature(signer.ask(&sign_request(&private, b"x")).expect("a rule allows it"));
    assert_eq!(verdict(&signer, &verify_request(&public, b"x", &signature)), ValidityIndicator::Valid);
}

fn sign_request(id: &str, data: &[u8]) -> SignRequest {
    SignRequest {
        unique_identifier: Some(id.into()),
        data: Some(Bytes(data.to_vec())),
        ..SignRequest::default()
    }
}

fn verify_request(id: &str, data: &[u8], signature: &[u8]) -> SignatureVerifyRequest {
    SignatureVerifyRequest {
        unique_identifier: Some(id.into()),
        data: Some(Bytes(data.to_vec())),
        signature_data: Some(Bytes(signature.to_vec())),
        ..SignatureVerifyRequest::default()
    }
}

fn signature(answer: SignResponse) -> Vec<u8> {
    answer.signature_data.expect("a signature").0
}

fn verdict(ask: &Asker, request: &SignatureVerifyRequest) -> ValidityIndicator {
    ask.ask(request).expect("a verdict").validity_indicator.expect("a verdict")
}

#[test]
fn a_key_on_p256_signs_and_others_verify() {
    let ask = Asker::start("");
    let (private, public) = active_pair(&ask, &ec_request("job"));
    let spki = material(&ask, &public, KeyFormatType::X509).expect("leaves");
    for version in [Version::V1_2, Version::V1_4, Version::V2_1] {
        let ask = ask.speaking(version);
        let signed = signature(ask.ask(&sign_request(&private, b"the metadata of a chain")).expect("signed"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &spki)
            .verify(b"the metadata of a chain", &signed)
            .expect("valid for who has the public key alone");
        let check = |data: &[u8], signature: &[u8]| verdict(&ask, &verify_request(&public, data, signature));
        assert_eq!(check(b"the metadata of a chain", &signed), ValidityIndicator::Valid);
        assert_eq!(check(b"the metadata of a train", &signed), ValidityIndicator::Invalid);
        assert_eq!(check(b"the metadata of a chain", &signed[1..]), ValidityIndicator::Invalid);
        assert_eq!(check(b"the metadata of a chain", b""), ValidityIndicator::Invalid);
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"by its digest").as_ref().to_vec();
    let request =
        SignRequest { data: None, digested_data: Some(Bytes(digest.clone())), ..sign_request(&private, b"") };
    let signed = signature(ask.ask(&request).expect("signed"));
    assert_eq!(verdict(&ask, &verify_request(&public, b"by its digest", &signed)), ValidityIndicator::Valid);
    let by_digest = SignatureVerifyRequest {
        data: None,
        digested_data: Some(Bytes(digest)),
        ..verify_request(&public, b"", &signed)
    };
    assert_eq!(verdict(&ask, &by_digest), ValidityIndicator::Valid);
}

#[test]
fn an_rsa_key_signs_by_the_scheme_that_is_stated() {
    let ask = Asker::start("");
    let mut request = pair_request("rsa", 2048);
    request.private_key = vec![Attribute::CryptographicUsageMask(Mask::SIGN)].into();
    request.public_key = vec![Attribute::CryptographicUsageMask(Mask::VERIFY)].into();
    let (private, public) = active_pair(&ask, &request);
    let by_name = |algorithm| CryptographicParameters {
        digital_signature_algorithm: Some(algorithm),
        ..CryptographicParameters::default()
    };
    let by_padding = |padding, hash| CryptographicParameters {
        padding_method: Some(padding),
        hashing_algorithm: Some(hash),
        ..CryptographicParameters::default()
    };
    let sign = |parameters: &CryptographicParameters| {
        let cryptographic_parameters = Some(parameters.clone());
        ask.ask(&SignRequest { cryptographic_parameters, ..sign_request(&private, b"data") })
    };
    let check = |parameters: &CryptographicParameters, signature: &[u8]| {
        let cryptographic_parameters = Some(parameters.clone());
        let request = verify_request(&public, b"data", signature);
        verdict(&ask, &SignatureVerifyRequest { cryptographic_parameters, ..request })
    };
    let pkcs1 = by_name(DigitalSignatureAlgorithm::Sha256WithRsaEncryption);
    let pss = by_padding(PaddingMethod::Pss, HashingAlgorithm::Sha512);
    for (one, other) in [(&pkcs1, &pss), (&pss, &pkcs1)] {
        let signed = signature(sign(one).expect("signed"));
        assert_eq!(check(one, &signed), ValidityIndicator::Valid);
        assert_eq!(check(other, &signed), ValidityIndicator::Invalid);
    }
    let same = by_padding(PaddingMethod::Pkcs1V1_5, HashingAlgorithm::Sha256);
    assert_eq!(check(&same, &signature(sign(&pkcs1).expect("signed"))), ValidityIndicator::Valid);
    let contradiction =
        CryptographicParameters { hashing_algorithm: Some(HashingAlgorithm::Sha512), ..pkcs1 };
    for (what, parameters) in [
        ("nothing", CryptographicParameters::default()),
        ("no hash", by_name(DigitalSignatureAlgorithm::RsassaPss)),
        ("a contradiction", contradiction),
        ("MD5", by_padding(PaddingMethod::Pss, HashingAlgorithm::Md5)),
        ("OAEP", by_padding(PaddingMethod::Oaep, HashingAlgorithm::Sha256)),
        ("ECDSA", by_name(DigitalSignatureAlgorithm::EcdsaWithSha256)),
        ("salt", CryptographicParameters { salt_length: Some(300), ..pss.clone() }),
    ] {
        let (reason, message) = sign(&parameters).map(drop).expect_err(what);
        assert_eq!(reason, ResultReason::InvalidField, "{what}: {message}");
    }
}

#[test]
fn what_cannot_be_signed_is_refused_with_its_reason() {
    let ask = Asker::start("");
    let (private, public) = active_pair(&ask, &ec_request("job"));
    let (waiting, waiting_public) = ask.pair(&ec_request("waiting"));
    let mut agreeing = ec_request("agreeing");
    agreeing.private_key.list.push(Attribute::CryptographicUsageMask(Mask::DERIVE_KEY));
    agreeing.public_key.list.push(Attribute::CryptographicUsageMask(Mask::DERIVE_KEY));
    let (agreeing, agreeing_public) = active_pair(&ask, &agreeing);
    let good = || sign_request(&private, b"data");
    let digested = |length: usize| Some(Bytes(vec![0; length]));
    let md5 = CryptographicParameters {
        hashing_algorithm: Some(HashingAlgorithm::Md5),
        ..CryptographicParameters::default()
    };
    use ResultReason as Why;
    for (what, request, why) in [
        ("public key", sign_request(&public, b"data"), Why::IllegalOperation),
        ("Pre-Active", sign_request(&waiting, b"data"), Why::PermissionDenied),
        ("usage mask", sign_request(&agreeing, b"data"), Why::PermissionDenied),
        ("no data", SignRequest { data: None, ..good() }, Why::MissingData),
        ("both", SignRequest { digested_data: digested(32), ..good() }, Why::InvalidField),
        ("no digest", SignRequest { data: None, digested_data: digested(31), ..good() }, Why::InvalidField),
        ("hash", SignRequest { cryptographic_parameters: Some(md5), ..good() }, Why::InvalidField),
        (
            "begun and gone on with",
            SignRequest { init_indicator: Some(true), correlation_value: Some(Bytes(vec![1])), ..good() },
            Why::InvalidMessage,
        ),
    ] {
        let (reason, message) = ask.ask(&request).map(drop).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
    }
    for (what, request, why) in [
        ("private key", verify_request(&private, b"data", b"s"), Why::IllegalOperation),
        ("Pre-Active", verify_request(&waiting_public, b"data", b"s"), Why::PermissionDenied),
        ("usage mask", verify_request(&agreeing_public, b"data", b"s"), Why::PermissionDenied),
        (
            "no signature",
            SignatureVerifyRequest { signature_data: None, ..verify_request(&public, b"data", b"") },
            Why::MissingData,
        ),
    ] {
        let (reason, message) = ask.ask(&request).map(drop).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
    }
    let too_early = ask.speaking(Version::V1_1).ask(&good()).map(drop).expect_err("since 1.2");
    assert_eq!(too_early.0, Why::OperationNotSupported);
    let later = ask.at(NOW + 1).ask(&good()).map(signature).expect("the good request is good");
    assert_eq!(verdict(&ask, &verify_request(&public, b"data", &later)), ValidityIndicator::Valid);
}
