//! Cryptographic Parameters that would have worked with a key.

use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{
    BlockCipherMode, CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, ObjectType,
    PaddingMethod,
};
use kms_protocol::operation::EncryptRequest;

use crate::crypto::signature::Scheme;
use crate::crypto::{Cipher, hash};
use crate::kms::model::Object;
use crate::kms::operations::parameters;

/// How the key encrypts.
pub(super) fn encrypts(object: &Object, request: &EncryptRequest) -> Option<String> {
    let stated = parameters(object, request.cryptographic_parameters.clone());
    if object.object_type != ObjectType::SymmetricKey {
        return encrypts_oaep(object, &stated, request.data.as_ref()?.len());
    }
    let algorithm = object.algorithm()?;
    let Ok(cipher) = Cipher::new(algorithm, &stated) else {
        let mode = [BlockCipherMode::Gcm, BlockCipherMode::Cbc].into_iter().find(|mode| {
            let stated = CryptographicParameters { block_cipher_mode: Some(*mode), ..Default::default() };
            Cipher::new(algorithm, &stated).is_ok()
        })?;
        return Some(format!(
            "Cryptographic Parameters such as Block Cipher Mode {mode}: the key is {algorithm}"
        ));
    };
    let length = cipher.iv_bytes();
    match &request.iv_counter_nonce {
        None if length > 0 && stated.random_iv != Some(true) => {
            Some(format!("an IV/Counter/Nonce of {length} bytes, or Random IV True to have one made"))
        }
        Some(iv) if iv.0.len() != length && length > 0 => {
            Some(format!("an IV/Counter/Nonce of {length} bytes; the request's has {}", iv.0.len()))
        }
        _ if !cipher.is_authenticated() && stated.padding_method.is_none() => {
            Some("whole blocks of data, or Padding Method PKCS5".to_owned())
        }
        _ => None,
    }
}

fn encrypts_oaep(object: &Object, stated: &CryptographicParameters, length: usize) -> Option<String> {
    if object.algorithm() != Some(CryptographicAlgorithm::Rsa) {
        return Some(
            "Derive Key by Asymmetric Key: a key on an elliptic curve agrees on keys and encrypts none"
                .to_owned(),
        );
    }
    if !matches!(stated.padding_method, Some(PaddingMethod::Oaep | PaddingMethod::Pkcs1V1_5)) {
        return Some("Padding Method OAEP with Hashing Algorithm SHA-256, for the mask too".to_owned());
    }
    let modulus = usize::try_from(object.length()?).ok()? / 8;
    let taken = match stated.padding_method {
        Some(PaddingMethod::Oaep) => {
            let hashed =
                hash::digest(stated.hashing_algorithm.unwrap_or(HashingAlgorithm::Sha1), b"").ok()?;
            // RFC 8017 section 7.1.1.
            2 * hashed.len() + 2
        }
        // Three bytes around at least eight that are random.
        _ => 11,
    };
    let most = modulus.checked_sub(taken)?;
    (length > most).then(|| {
        format!("{most} bytes of data at most, such as a key that encrypts the rest: these are {length}")
    })
}

/// How the key signs, and what it signed is verified.
pub(super) fn signs(object: &Object, stated: &Option<CryptographicParameters>) -> Option<String> {
    use DigitalSignatureAlgorithm as Signature;
    let algorithm = object.algorithm()?;
    let own = parameters(object, stated.clone());
    if Scheme::new(algorithm, object.length(), &own).is_ok() {
        return None;
    }
    let tried = [Signature::RsassaPss, Signature::Sha256WithRsaEncryption, Signature::EcdsaWithSha256];
    let works = tried.into_iter().find(|signature| {
        let named = CryptographicParameters {
            digital_signature_algorithm: Some(*signature),
            hashing_algorithm: Some(HashingAlgorithm::Sha256),
            ..Default::default()
        };
        Scheme::new(algorithm, object.length(), &named).is_ok()
    })?;
    Some(format!(
        "Digital Signature Algorithm {works} with Hashing Algorithm SHA-256: the key is {algorithm}"
    ))
}

/// How the key authenticates.
pub(super) fn authenticates(object: &Object, stated: &Option<CryptographicParameters>) -> Option<String> {
    let own = parameters(object, stated.clone());
    let named = own.cryptographic_algorithm.or(object.algorithm());
    let is_cipher = matches!(named, Some(CryptographicAlgorithm::Aes | CryptographicAlgorithm::TripleDes));
    if is_cipher && own.block_cipher_mode != Some(BlockCipherMode::Cmac) && own.hashing_algorithm.is_none() {
        let algorithm = named?;
        return Some(format!(
            "Block Cipher Mode CMAC, or Cryptographic Algorithm HMAC-SHA256: the key is {algorithm} and says not how it authenticates"
        ));
    }
    match named {
        None => Some("Cryptographic Algorithm HMAC-SHA256 in the Cryptographic Parameters".to_owned()),
        _ => None,
    }
}
