//! Project Wycheproof's cases: known answers, and inputs made to break implementations.

use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{HashingAlgorithm, RecommendedCurve};
use wycheproof::{HashFunction, TestResult, ecdh, ecdsa, eddsa, rsa_oaep, xdh};

use crate::crypto::signature::Scheme;
use crate::crypto::{CryptoError, Oaep, PrivateKey, PublicKey, Secret, format};

pub(super) fn hash(hash: HashFunction) -> HashingAlgorithm {
    match hash {
        HashFunction::Sha1 => HashingAlgorithm::Sha1,
        HashFunction::Sha2_224 => HashingAlgorithm::Sha224,
        HashFunction::Sha2_256 => HashingAlgorithm::Sha256,
        HashFunction::Sha2_384 => HashingAlgorithm::Sha384,
        HashFunction::Sha2_512 => HashingAlgorithm::Sha512,
        HashFunction::Sha2_512_224 => HashingAlgorithm::Sha512_224,
        HashFunction::Sha2_512_256 => HashingAlgorithm::Sha512_256,
        HashFunction::Sha3_256 => HashingAlgorithm::Sha3_256,
        HashFunction::Sha3_384 => HashingAlgorithm::Sha3_384,
        HashFunction::Sha3_512 => HashingAlgorithm::Sha3_512,
        other => panic!("no set uses {other:?}"),
    }
}

/// The one deviation: the `rsa` crate does not look at the first byte of a decrypted block, which RFC 8017 (section
/// 7.1.2, step 3g) wants to be zero. It makes nobody decrypt anything: to build such a block one must know its
/// content. When a release of the crate changes this, the count below says so.
const FIRST_BYTE: &str = "First byte is 1";

#[test]
fn rsa_oaep() {
    let (mut valid, mut invalid, mut small_keys, mut first_byte) = (0, 0, 0, 0);
    for name in rsa_oaep::TestName::all() {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let Ok(key) = PrivateKey::from_pkcs8(&Secret::from(group.pkcs8.as_ref())) else {
                assert!(group.key_size < 2048, "{name:?}: a key of {} bits was refused", group.key_size);
                small_keys += group.tests.len();
                continue;
            };
            for test in group.tests {
                let oaep =
                    Oaep::new(Some(hash(group.hash)), Some(hash(group.mgf_hash)), &test.label).unwrap();
                let answer = key.decrypt(&oaep, &test.ct);
                let case = format!("{name:?} {} ({})", test.tc_id, test.comment);
                match (test.result, answer) {
                    (TestResult::Valid | TestResult::Acceptable, Ok(plaintext)) => {
                        assert_eq!(plaintext.expose(), &*test.pt, "{case}");
                        valid += 1;
                    }
                    (TestResult::Invalid | TestResult::Acceptable, Err(error)) => {
                        assert_eq!(error, CryptoError::Decryption, "{case}");
                        invalid += 1;
                    }
                    (TestResult::Invalid, Ok(plaintext)) => {
                        assert_eq!(test.comment, FIRST_BYTE, "{case}: {plaintext:?}");
                        first_byte += 1;
                    }
                    (TestResult::Valid, Err(error)) => panic!("{case}: {error}"),
                }
            }
        }
    }
    println!("RSA-OAEP: {valid} decrypted, {invalid} refused, {small_keys} skipped: key below 2048 bits");
    assert_eq!((valid, invalid, small_keys, first_byte), (586, 379, 120, 13));
}

#[test]
fn ecdh_on_every_curve() {
    use ecdh::TestName as Name;
    let (mut valid, mut invalid) = (0, 0);
    for (name, curve) in [
        (Name::EcdhSecp256r1, RecommendedCurve::P256),
        (Name::EcdhSecp384r1, RecommendedCurve::P384),
        (Name::EcdhSecp521r1, RecommendedCurve::P521),
        (Name::EcdhSecp256k1, RecommendedCurve::Secp256K1),
    ] {
        for test in ecdh::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
            let case = format!("{curve} {} ({})", test.tc_id, test.comment);
            let scalar = Secret::from(test.private_key.as_ref());
            let private = format::ec_private_from_scalar(None, curve, &scalar).unwrap().unwrap();
            let private = PrivateKey::from_pkcs8(&private).unwrap();
            let shared = PublicKey::from_spki(&test.public_key).and_then(|peer| private.agree(&peer));
            match (test.result, shared) {
                (TestResult::Valid | TestResult::Acceptable, Ok(shared)) => {
                    assert_eq!(shared.expose(), &*test.shared_secret, "{case}");
                    valid += 1;
                }
                (TestResult::Invalid | TestResult::Acceptable, Err(_)) => invalid += 1,
                (_, shared) => panic!("{case}: {shared:?}"),
            }
        }
    }
    println!("ECDH: {valid} valid, {invalid} invalid");
    assert!(valid > 1500 && invalid > 300, "{valid} {invalid}");
}

#[test]
fn x25519() {
    let (mut valid, mut refused) = (0, 0);
    let curve = RecommendedCurve::Curve25519;
    let groups = xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups;
    for test in groups.into_iter().flat_map(|group| group.tests) {
        let case = format!("{} ({})", test.tc_id, test.comment);
        let private = Secret::from(test.private_key.as_ref());
        let private = format::ec_private_from_scalar(None, curve, &private).unwrap().unwrap();
        let public = format::ec_public_from_point(None, curve, &test.public_key).unwrap().unwrap();
        let private = PrivateKey::from_pkcs8(&private).unwrap();
        match (private.agree(&PublicKey::from_spki(&public).unwrap()), test.result) {
            (Ok(shared), _) => {
                assert_eq!(shared.expose(), &*test.shared_secret, "{case}");
                valid += 1;
            }
            // Points of low order share zeros with everybody.
            (Err(_), TestResult::Acceptable | TestResult::Invalid) => {
                assert!(test.shared_secret.iter().all(|byte| *byte == 0), "{case}");
                refused += 1;
            }
            (Err(error), TestResult::Valid) => panic!("{case}: {error}"),
        }
    }
    println!("X25519: {valid} agreed, {refused} refused");
    assert!(valid > 400 && refused > 10, "{valid} {refused}");
}

#[test]
fn ecdsa_on_every_curve_with_its_own_hash_and_with_others() {
    use ecdsa::TestName as Name;
    let (mut valid, mut invalid) = (0, 0);
    for (name, bits) in [
        (Name::EcdsaSecp256r1Sha256, 256),
        (Name::EcdsaSecp256r1Sha512, 256),
        (Name::EcdsaSecp256r1Sha3_256, 256),
        (Name::EcdsaSecp384r1Sha384, 384),
        (Name::EcdsaSecp384r1Sha256, 384),
        (Name::EcdsaSecp521r1Sha512, 521),
        (Name::EcdsaSecp256k1Sha256, 256),
        (Name::EcdsaSecp256k1Sha512, 256),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            let stated = CryptographicParameters {
                hashing_algorithm: Some(hash(group.hash)),
                ..CryptographicParameters::default()
            };
            let scheme = Scheme::new(key.algorithm(), Some(bits), &stated).unwrap();
            for test in group.tests {
                let mut message = scheme.start().unwrap();
                message.update(&test.msg).unwrap();
                let answer = key.verify(&scheme, &message.finish(), &test.sig).unwrap();
                let expected = test.result != TestResult::Invalid;
                assert_eq!(answer, expected, "{name:?} {} ({})", test.tc_id, test.comment);
                if expected { valid += 1 } else { invalid += 1 }
            }
        }
    }
    println!("ECDSA: {valid} valid, {invalid} invalid");
    assert!(valid > 1000 && invalid > 1000, "{valid} {invalid}");
}

#[test]
fn ed25519() {
    let (mut valid, mut invalid) = (0, 0);
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_spki(&group.der).unwrap();
        let scheme = Scheme::new(key.algorithm(), None, &CryptographicParameters::default()).unwrap();
        for test in group.tests {
            let answer = key.verify(&scheme, &test.msg, &test.sig).unwrap();
            let expected = test.result != TestResult::Invalid;
            assert_eq!(answer, expected, "{} ({})", test.tc_id, test.comment);
            if expected { valid += 1 } else { invalid += 1 }
        }
    }
    println!("Ed25519: {valid} valid, {invalid} invalid");
    assert!(valid > 50 && invalid > 50, "{valid} {invalid}");
}
