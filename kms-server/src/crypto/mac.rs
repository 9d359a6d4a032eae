//! Message authentication codes (KMIP 1.4 sections 4.33 and 4.34): HMAC (RFC 2104) and CMAC (NIST SP 800-38B).

use aes::{Aes128, Aes192, Aes256};
use cmac::{Cmac, KeyInit, Mac};
use des::{TdesEde2, TdesEde3};
use hmac::{Hmac, SimpleHmac};
use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{BlockCipherMode, CryptographicAlgorithm, HashingAlgorithm};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use super::CryptoError;
use super::modes::key_length;

/// A code under way.
pub struct Coder(Box<dyn Code>);

impl core::fmt::Debug for Coder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Coder")
    }
}

trait Code: Send {
    fn update(&mut self, data: &[u8]);
    fn finish(self: Box<Self>) -> Vec<u8>;
    fn proves(self: Box<Self>, code: &[u8]) -> bool;
}

impl<M: Mac + Send> Code for M {
    fn update(&mut self, data: &[u8]) {
        Mac::update(self, data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.finalize().into_bytes().to_vec()
    }

    fn proves(self: Box<Self>, code: &[u8]) -> bool {
        self.verify_slice(code).is_ok()
    }
}

/// The hash in the name of an HMAC.
#[must_use]
pub fn hash_of(hmac: CryptographicAlgorithm) -> Option<HashingAlgorithm> {
    use CryptographicAlgorithm as Algorithm;
    Some(match hmac {
        Algorithm::HmacMd5 => HashingAlgorithm::Md5,
        Algorithm::HmacSha1 => HashingAlgorithm::Sha1,
        Algorithm::HmacSha224 => HashingAlgorithm::Sha224,
        Algorithm::HmacSha256 => HashingAlgorithm::Sha256,
        Algorithm::HmacSha384 => HashingAlgorithm::Sha384,
        Algorithm::HmacSha512 => HashingAlgorithm::Sha512,
        Algorithm::HmacSha3_224 => HashingAlgorithm::Sha3_224,
        Algorithm::HmacSha3_256 => HashingAlgorithm::Sha3_256,
        Algorithm::HmacSha3_384 => HashingAlgorithm::Sha3_384,
        Algorithm::HmacSha3_512 => HashingAlgorithm::Sha3_512,
        _ => return None,
    })
}

impl Coder {
    /// Starts a code with a key of `algorithm`. The parameters' Cryptographic Algorithm says which HMAC, where it is one;
    /// the Block Cipher Mode CMAC asks for that of the key's own cipher.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], or [`CryptoError::KeyRejected`] for a key of a wrong length.
    pub fn new(
        algorithm: Option<CryptographicAlgorithm>,
        parameters: &CryptographicParameters,
        key: &Secret,
    ) -> Result<Self, CryptoError> {
        use CryptographicAlgorithm as Algorithm;
        let stated = parameters.cryptographic_algorithm.or(algorithm);
        if let Some(cipher @ (Algorithm::Aes | Algorithm::TripleDes)) = stated
            && parameters.block_cipher_mode == Some(BlockCipherMode::Cmac)
        {
            return cmac(cipher, key.expose());
        }
        let hash = stated.and_then(hash_of).or(parameters.hashing_algorithm);
        let hash = hash.ok_or_else(|| CryptoError::Unsupported {
            what: "Cryptographic Algorithm",
            asked: stated.map_or_else(|| "(none given)".to_owned(), |other| other.to_string()),
            supported: "an HMAC, or AES or 3DES with Block Cipher Mode CMAC".to_owned(),
        })?;
        Self::hmac(hash, key.expose())
    }

    /// Starts an HMAC.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for a hash that is not offered here.
    pub fn hmac(hash: HashingAlgorithm, key: &[u8]) -> Result<Self, CryptoError> {
        match hash {
            HashingAlgorithm::Md5 => coder::<Hmac<Md5>>(key),
            HashingAlgorithm::Sha1 => coder::<Hmac<Sha1>>(key),
            HashingAlgorithm::Sha224 => coder::<Hmac<Sha224>>(key),
            HashingAlgorithm::Sha256 => coder::<Hmac<Sha256>>(key),
            HashingAlgorithm::Sha384 => coder::<Hmac<Sha384>>(key),
            HashingAlgorithm::Sha512 => coder::<Hmac<Sha512>>(key),
            HashingAlgorithm::Sha512_224 => coder::<Hmac<Sha512_224>>(key),
            HashingAlgorithm::Sha512_256 => coder::<Hmac<Sha512_256>>(key),
            HashingAlgorithm::Sha3_224 => coder::<SimpleHmac<Sha3_224>>(key),
            HashingAlgorithm::Sha3_256 => coder::<SimpleHmac<Sha3_256>>(key),
            HashingAlgorithm::Sha3_384 => coder::<SimpleHmac<Sha3_384>>(key),
            HashingAlgorithm::Sha3_512 => coder::<SimpleHmac<Sha3_512>>(key),
            other => Err(CryptoError::Unsupported {
                what: "Hashing Algorithm",
                asked: format!("{other} for HMAC"),
                supported: "MD5, SHA-1, a SHA-2 or a SHA-3".to_owned(),
            }),
        }
    }

    /// Takes a part of the message.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The code of all that was taken.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.finish()
    }

    /// Whether a code is that of all that was taken; in constant time.
    #[must_use]
    pub fn proves(self, code: &[u8]) -> bool {
        self.0.proves(code)
    }
}

fn cmac(cipher: CryptographicAlgorithm, key: &[u8]) -> Result<Coder, CryptoError> {
    match (cipher, key.len()) {
        (CryptographicAlgorithm::Aes, 16) => coder::<Cmac<Aes128>>(key),
        (CryptographicAlgorithm::Aes, 24) => coder::<Cmac<Aes192>>(key),
        (CryptographicAlgorithm::Aes, 32) => coder::<Cmac<Aes256>>(key),
        (CryptographicAlgorithm::TripleDes, 16) => coder::<Cmac<TdesEde2>>(key),
        (CryptographicAlgorithm::TripleDes, 24) => coder::<Cmac<TdesEde3>>(key),
        _ => Err(key_length()),
    }
}

fn coder<M: Mac + KeyInit + Send + 'static>(key: &[u8]) -> Result<Coder, CryptoError> {
    <M as KeyInit>::new_from_slice(key).map(|code| Coder(Box::new(code))).map_err(|_| key_length())
}
