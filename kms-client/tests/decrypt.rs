//! Decryption and key agreement at the KMS, and here only where the KMS cannot and the policy allows it.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::sync::{Arc, Mutex};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use kms_client::{Agreement, Client, Error, KeyTravel, WrappedKey};
use kms_protocol::attribute::{Attribute, CryptographicParameters};
use kms_protocol::enums::{
    CryptographicAlgorithm, HashingAlgorithm, KeyFormatType, MaskGenerator, ObjectType, Operation,
    PaddingMethod, ResultReason,
};
use kms_protocol::object::{KeyBlock, KeyValue, ManagedObject};
use kms_protocol::operation::{DecryptRequest, DecryptResponse, GetResponse};
use kms_protocol::{Secret, Version};
use scripted::keys::{encrypt, pair};
use scripted::model::{Model, Object};
use scripted::{Ask, InMemory, Journal, Reply, speaking, yes};

const SHA1: HashingAlgorithm = HashingAlgorithm::Sha1;
const SHA256: HashingAlgorithm = HashingAlgorithm::Sha256;

fn wrapped(id: &str, hash: HashingAlgorithm, mask_hash: HashingAlgorithm) -> WrappedKey {
    WrappedKey {
        private_id: id.to_owned(),
        ciphertext: encrypt(2048, hash, mask_hash, b"sixteen bytes ok"),
        hash,
        mask_hash,
    }
}

/// A KMS that holds the keys a and b, answers Decrypt by `decrypt`, and everything else truly.
struct Kms {
    client: Client,
    journal: Journal,
    model: Model,
}

fn kms(
    versions: &'static [Version],
    travel: KeyTravel,
    decrypt: impl Fn(&Ask<'_>, DecryptRequest) -> Reply + Send + Sync + 'static,
) -> Kms {
    let (journal, model) = (Journal::default(), Model::default());
    for id in ["a", "b"] {
        let attributes = vec![Attribute::ObjectType(ObjectType::PrivateKey)];
        let object = Object { attributes, der: pair(2048).private.clone() };
        model.lock().objects.insert(id.to_owned(), object);
    }
    let (noted, served) = (journal.clone(), model.clone());
    let server = InMemory::replying(speaking(versions, move |ask: &Ask<'_>| {
        noted.note(ask);
        match ask.operation() {
            Operation::Decrypt => decrypt(ask, ask.read()),
            _ => served.reply(ask),
        }
    }));
    let client = server.builder().key_travel(travel).build().expect("settings");
    Kms { client, journal, model }
}

const NEW: &[Version] = &[Version::V1_4];
const OLD: &[Version] = &[Version::V1_2];

#[tokio::test]
async fn both_hashes_are_always_stated() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let kms = kms(NEW, KeyTravel::Never, move |ask, request| {
        seen.lock().expect("not poisoned").push(request.cryptographic_parameters.clone());
        let unique_identifier = "a".to_owned();
        yes(
            ask,
            &DecryptResponse { unique_identifier, data: Some(Secret::new(vec![7])), correlation_value: None },
        )
    });
    let results = kms.client.decrypt_all(&[wrapped("a", SHA256, SHA256), wrapped("a", SHA1, SHA1)]).await;
    assert!(results.iter().all(|result| result.as_ref().is_ok_and(|data| data.expose() == [7])));
    let asked = asked.lock().expect("not poisoned");
    for (parameters, hash) in asked.iter().zip([SHA256, SHA1]) {
        let expected = CryptographicParameters {
            padding_method: Some(PaddingMethod::Oaep),
            mask_generator: Some(MaskGenerator::Mfg1),
            ..CryptographicParameters::rsa_oaep(hash, hash)
        };
        assert_eq!(parameters.as_ref(), Some(&expected));
    }
}

#[tokio::test]
async fn what_the_kms_cannot_decrypt_is_decrypted_here_if_that_is_allowed() {
    let inabilities = [
        ResultReason::OperationNotSupported,
        ResultReason::FeatureNotSupported,
        ResultReason::InvalidField,
        ResultReason::UnsupportedCryptographicParameters,
        // What a server answers that does not know the fields for the mask's hash, such as PyKMIP's.
        ResultReason::InvalidMessage,
    ];
    for reason in inabilities {
        let kms = kms(NEW, KeyTravel::WhereNeeded, move |_, _| Reply::No(reason));
        let all = [
            wrapped("a", SHA256, SHA256),
            wrapped("b", SHA1, SHA1),
            wrapped("a", SHA256, SHA1),
            wrapped("a", SHA1, SHA256),
        ];
        for result in kms.client.decrypt_all(&all).await {
            assert_eq!(result.expect("decrypted here").expose(), b"sixteen bytes ok", "{reason}");
        }
        assert_eq!(kms.client.keys_fetched(), 2, "each key once, whatever it opens");
        assert_eq!(kms.journal.count(Operation::Get), 2);
    }
}

#[tokio::test]
async fn keys_do_not_travel_unless_the_policy_allows_it() {
    assert_eq!(KeyTravel::default(), KeyTravel::Never);
    let kms = kms(NEW, KeyTravel::Never, |_, _| Reply::No(ResultReason::OperationNotSupported));
    let result = kms.client.decrypt_all(&[wrapped("a", SHA256, SHA256)]).await.pop().expect("one");
    assert_eq!(result.expect_err("refused").reason(), Some(ResultReason::OperationNotSupported));
    assert_eq!((kms.client.keys_fetched(), kms.journal.count(Operation::Get)), (0, 0));
}

#[tokio::test]
async fn keys_never_travel_for_any_other_no() {
    let others = [
        ResultReason::ItemNotFound,
        ResultReason::ObjectNotFound,
        ResultReason::WrongKeyLifecycleState,
        ResultReason::ObjectDestroyed,
        ResultReason::CryptographicFailure,
        ResultReason::PermissionDenied,
        ResultReason::IncompatibleCryptographicUsageMask,
        ResultReason::InternalServerError,
        ResultReason::GeneralFailure,
    ];
    for reason in others {
        let kms = kms(NEW, KeyTravel::WhereNeeded, move |_, _| Reply::No(reason));
        let result = kms.client.decrypt_all(&[wrapped("a", SHA256, SHA256)]).await.pop().expect("one");
        assert_eq!(result.expect_err("refused").reason(), Some(reason));
        assert_eq!((kms.client.keys_fetched(), kms.journal.count(Operation::Get)), (0, 0), "{reason}");
    }
}

#[tokio::test]
async fn before_1_4_the_mask_hash_is_sha_1_or_the_kms_is_not_asked() {
    let answered = |ask: &Ask<'_>, request: DecryptRequest| {
        let parameters = request.cryptographic_parameters.expect("parameters");
        assert_eq!(parameters.mask_generator_hashing_algorithm, None, "1.2 has no such field");
        let data = Some(Secret::new(vec![7]));
        yes(ask, &DecryptResponse { unique_identifier: "a".into(), data, correlation_value: None })
    };
    let all = [wrapped("a", SHA1, SHA1), wrapped("a", SHA256, SHA256), wrapped("a", SHA256, SHA1)];
    let old = kms(OLD, KeyTravel::Never, answered);
    let results = old.client.decrypt_all(&all).await;
    assert!(results[0].is_ok());
    let error = results[1].as_ref().expect_err("a mask of SHA-256 cannot be asked for");
    assert!(error.to_string().contains("1.2 cannot state a mask hash of SHA-256"), "{error}");
    assert!(results[2].is_ok());
    assert_eq!(old.journal.count(Operation::Decrypt), 2);

    let old = kms(OLD, KeyTravel::WhereNeeded, answered);
    let results = old.client.decrypt_all(&all).await;
    assert_eq!(results[0].as_ref().expect("at the KMS").expose(), [7]);
    assert_eq!(results[1].as_ref().expect("here").expose(), b"sixteen bytes ok");
    assert_eq!(results[2].as_ref().expect("at the KMS").expose(), [7]);
    assert_eq!(old.client.keys_fetched(), 1);
}

#[tokio::test]
async fn a_key_in_pkcs1_does_as_well() {
    let kms = kms(NEW, KeyTravel::WhereNeeded, |_, _| Reply::No(ResultReason::OperationNotSupported));
    kms.model.lock().quirks.only_format = Some(KeyFormatType::Pkcs1);
    let result = kms.client.decrypt_all(&[wrapped("a", SHA256, SHA256)]).await.pop().expect("one");
    assert_eq!(result.expect("decrypted here").expose(), b"sixteen bytes ok");
    assert_eq!(kms.client.keys_fetched(), 1);
}

#[tokio::test]
async fn a_damaged_ciphertext_fails_alone_and_always_in_the_same_way() {
    let kms = kms(NEW, KeyTravel::WhereNeeded, |_, _| Reply::No(ResultReason::OperationNotSupported));
    let mut damaged = wrapped("a", SHA256, SHA256);
    damaged.ciphertext[100] ^= 1;
    let mut short = wrapped("a", SHA256, SHA256);
    short.ciphertext.pop();
    let other_hash = WrappedKey { hash: SHA1, mask_hash: SHA1, ..wrapped("a", SHA256, SHA256) };
    let mixed = WrappedKey { mask_hash: SHA1, ..wrapped("a", SHA256, SHA256) };
    let missing = wrapped("c", SHA256, SHA256);
    let good = wrapped("a", SHA256, SHA256);
    let results = kms.client.decrypt_all(&[damaged, short, other_hash, mixed, missing, good]).await;
    for result in &results[..4] {
        assert!(matches!(result, Err(Error::Decryption { id }) if id == "a"), "{result:?}");
    }
    assert!(matches!(&results[4], Err(Error::NoSuchKey(_))), "{:?}", results[4]);
    assert_eq!(results[5].as_ref().expect("decrypted").expose(), b"sixteen bytes ok");
}

#[tokio::test]
async fn a_plaintext_of_another_key_is_not_taken() {
    let kms = kms(NEW, KeyTravel::WhereNeeded, |ask, _| {
        let data = Some(Secret::new(vec![7]));
        yes(ask, &DecryptResponse { unique_identifier: "b".into(), data, correlation_value: None })
    });
    let result = kms.client.decrypt_all(&[wrapped("a", SHA256, SHA256)]).await.pop().expect("one");
    assert!(matches!(result, Err(Error::Protocol { .. })), "{result:?}");
    assert_eq!(kms.client.keys_fetched(), 0);
}

/// A KMS that holds the key e on P-256, answers Derive Key by `reason`, and lets its keys be fetched.
struct CurveKms {
    client: Client,
    journal: Journal,
    public: Vec<u8>,
}

fn curve_kms(travel: KeyTravel, reason: ResultReason) -> CurveKms {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let pkcs8 = key.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec();
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().expect("SubjectPublicKeyInfo");
    let (journal, public) = (Journal::default(), public.as_ref().to_vec());
    let noted = journal.clone();
    let server = InMemory::replying(speaking(NEW, move |ask: &Ask<'_>| {
        noted.note(ask);
        if ask.operation() != Operation::Get {
            return Reply::No(reason);
        }
        let object = ManagedObject::PrivateKey(KeyBlock {
            key_format_type: KeyFormatType::Pkcs8,
            key_compression_type: None,
            key_value: Some(KeyValue::bytes(Secret::from(pkcs8.as_slice()))),
            cryptographic_algorithm: Some(CryptographicAlgorithm::Ec),
            cryptographic_length: None,
            key_wrapping_data: None,
        });
        let object_type = ObjectType::PrivateKey;
        yes(ask, &GetResponse { object_type, unique_identifier: "e".to_owned(), object })
    }));
    CurveKms { client: server.builder().key_travel(travel).build().expect("settings"), journal, public }
}

impl CurveKms {
    /// An agreement to be asked for, and the secret that it leads to.
    fn agreement(&self) -> (Agreement, Vec<u8>) {
        let own = PrivateKey::generate(&ECDH_P256).expect("a key");
        let public = own.compute_public_key().expect("its public half");
        let peer: PublicKeyX509Der<'_> = public.as_der().expect("SubjectPublicKeyInfo");
        let theirs = UnparsedPublicKey::new(&ECDH_P256, self.public.as_slice());
        let shared = agree(&own, theirs, (), |shared| Ok(shared.to_vec())).expect("a secret");
        (Agreement { private_id: "e".to_owned(), peer: peer.as_ref().to_vec() }, shared)
    }
}

#[tokio::test]
async fn what_the_kms_cannot_derive_is_agreed_on_here_if_that_is_allowed() {
    for reason in [
        ResultReason::OperationNotSupported,
        ResultReason::FeatureNotSupported,
        ResultReason::InvalidField,
        ResultReason::UnsupportedCryptographicParameters,
    ] {
        let kms = curve_kms(KeyTravel::WhereNeeded, reason);
        let (agreements, secrets): (Vec<_>, Vec<_>) = (0..3).map(|_| kms.agreement()).unzip();
        for (result, secret) in kms.client.agree_all(&agreements).await.into_iter().zip(secrets) {
            assert_eq!(result.expect("agreed here").expose(), secret, "{reason}");
        }
        assert_eq!(kms.client.keys_fetched(), 1, "the key once, whatever it agrees with");

        let kms = curve_kms(KeyTravel::Never, reason);
        let result = kms.client.agree_all(&[kms.agreement().0]).await.pop().expect("one");
        assert_eq!(result.expect_err("refused").reason(), Some(reason));
        assert_eq!((kms.client.keys_fetched(), kms.journal.count(Operation::Get)), (0, 0));
    }
}

#[tokio::test]
async fn keys_on_curves_never_travel_for_any_other_no() {
    for reason in [
        ResultReason::ItemNotFound,
        ResultReason::WrongKeyLifecycleState,
        ResultReason::ObjectDestroyed,
        ResultReason::CryptographicFailure,
        ResultReason::PermissionDenied,
        ResultReason::GeneralFailure,
    ] {
        let kms = curve_kms(KeyTravel::WhereNeeded, reason);
        let result = kms.client.agree_all(&[kms.agreement().0]).await.pop().expect("one");
        assert_eq!(result.expect_err("refused").reason(), Some(reason));
        assert_eq!((kms.client.keys_fetched(), kms.journal.count(Operation::Get)), (0, 0), "{reason}");
    }
}
