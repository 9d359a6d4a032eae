//! Real RSA pairs, made once for each length and test program.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use kms_protocol::enums::{HashingAlgorithm, KeyFormatType};
use kms_protocol::object::{KeyMaterial, KeyValue};
use kms_protocol::ttlv::{ItemType, Writer};
use kms_protocol::{Secret, Tag, Version};
use rsa::pkcs1::{EncodeRsaPrivateKey as _, EncodeRsaPublicKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rsa::traits::{PublicKeyParts as _, RandomizedEncryptor as _};
use sha1::Sha1;
use sha2::Sha256;

/// A pair: PKCS#8 and SubjectPublicKeyInfo.
pub struct Pair {
    pub private: Vec<u8>,
    pub public: Vec<u8>,
}

pub fn pair(bits: usize) -> &'static Pair {
    static PAIRS: [OnceLock<Pair>; 3] = [const { OnceLock::new() }; 3];
    let (place, size) = match bits {
        2048 => (0, KeySize::Rsa2048),
        3072 => (1, KeySize::Rsa3072),
        4096 => (2, KeySize::Rsa4096),
        other => panic!("no pair of {other} bits"),
    };
    PAIRS[place].get_or_init(|| {
        let key = PrivateDecryptingKey::generate(size).expect("a key");
        let private: Pkcs8V1Der<'_> = key.as_der().expect("PKCS#8");
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().expect("SubjectPublicKeyInfo");
        Pair { private: private.as_ref().to_vec(), public: public.as_ref().to_vec() }
    })
}

/// A key, given as PKCS#8 or SubjectPublicKeyInfo, in the format asked; `None` where it has none.
pub fn in_format(der: &[u8], format: KeyFormatType) -> Option<KeyValue> {
    let bytes = |der: &[u8]| KeyValue::bytes(Secret::from(der));
    let private = rsa::PrivateKey::from_pkcs8_der(der).ok();
    let public = rsa::PublicKey::from_public_key_der(der).ok();
    match (format, private, public) {
        (KeyFormatType::Pkcs8, Some(_), _) | (KeyFormatType::X509, _, Some(_)) => Some(bytes(der)),
        (KeyFormatType::Pkcs1, Some(key), _) => Some(bytes(key.to_pkcs1_der().expect("PKCS#1").as_bytes())),
        (KeyFormatType::Pkcs1, _, Some(key)) => Some(bytes(key.to_pkcs1_der().expect("PKCS#1").as_bytes())),
        (KeyFormatType::TransparentRsaPublicKey, _, Some(key)) => {
            let mut writer = Writer::new(Version::V1_4);
            // A Big Integer is signed and a multiple of eight bytes long: a leading zero block keeps it positive.
            for (tag, number) in [(Tag::MODULUS, key.n_bytes()), (Tag::PUBLIC_EXPONENT, key.e_bytes())] {
                let mut padded = vec![0; 16 - number.len() % 8];
                padded.extend_from_slice(&number);
                writer.item(tag, ItemType::BigInteger, &padded);
            }
            let material = KeyMaterial::Transparent(Secret::new(writer.into_bytes()));
            Some(KeyValue::Plain { material, attributes: Default::default() })
        }
        _ => None,
    }
}

/// RSA-OAEP by an implementation other than the one that decrypts, where there are two.
pub fn encrypt(
    bits: usize,
    hash: HashingAlgorithm,
    mask_hash: HashingAlgorithm,
    plaintext: &[u8],
) -> Vec<u8> {
    use HashingAlgorithm::{Sha1 as S1, Sha256 as S256};
    let key = rsa::PublicKey::from_public_key_der(&pair(bits).public).expect("a public key");
    let random = &mut getrandom::SysRng;
    match (hash, mask_hash) {
        (S1, S1) => rsa::oaep::EncryptingKey::<Sha1>::new(key).encrypt_with_rng(random, plaintext),
        (S256, S256) => rsa::oaep::EncryptingKey::<Sha256>::new(key).encrypt_with_rng(random, plaintext),
        (S256, S1) => rsa::oaep::EncryptingKey::<Sha256, Sha1>::new(key).encrypt_with_rng(random, plaintext),
        (S1, S256) => rsa::oaep::EncryptingKey::<Sha1, Sha256>::new(key).encrypt_with_rng(random, plaintext),
        _ => panic!("no such combination here"),
    }
    .expect("short enough")
}
