//! Hashes (KMIP 1.4 section 4.39), whole or in parts.

use kms_protocol::enums::HashingAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use super::CryptoError;

/// A hash under way.
pub type Hasher = Box<dyn DynDigest + Send>;

/// Starts a hash.
///
/// # Errors
/// [`CryptoError::Unsupported`] for one that is not offered here.
pub fn start(algorithm: HashingAlgorithm) -> Result<Hasher, CryptoError> {
    Ok(match algorithm {
        HashingAlgorithm::Md5 => Box::<Md5>::default(),
        HashingAlgorithm::Sha1 => Box::<Sha1>::default(),
        HashingAlgorithm::Sha224 => Box::<Sha224>::default(),
        HashingAlgorithm::Sha256 => Box::<Sha256>::default(),
        HashingAlgorithm::Sha384 => Box::<Sha384>::default(),
        HashingAlgorithm::Sha512 => Box::<Sha512>::default(),
        HashingAlgorithm::Sha512_224 => Box::<Sha512_224>::default(),
        HashingAlgorithm::Sha512_256 => Box::<Sha512_256>::default(),
        HashingAlgorithm::Sha3_224 => Box::<Sha3_224>::default(),
        HashingAlgorithm::Sha3_256 => Box::<Sha3_256>::default(),
        HashingAlgorithm::Sha3_384 => Box::<Sha3_384>::default(),
        HashingAlgorithm::Sha3_512 => Box::<Sha3_512>::default(),
        other => {
            return Err(CryptoError::Unsupported {
                what: "Hashing Algorithm",
                asked: other.to_string(),
                supported: "MD5, SHA-1, a SHA-2 or a SHA-3".to_owned(),
            });
        }
    })
}

/// The hash of `data`.
///
/// # Errors
/// As [`start`].
pub fn digest(algorithm: HashingAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut hasher = start(algorithm)?;
    hasher.update(data);
    Ok(hasher.finalize().into_vec())
}
