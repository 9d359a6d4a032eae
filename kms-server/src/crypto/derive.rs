//! Key derivation (KMIP 1.4 section 4.7): from one secret to another.

use kms_protocol::Secret;
use kms_protocol::enums::HashingAlgorithm;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::limits::{DERIVED_BYTES, PBKDF2_ITERATIONS};
use super::mac::Coder;
use super::{CryptoError, hash};

/// How the rounds of a NIST SP 800-108 derivation are chained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rounds {
    /// Counter mode.
    Counter,
    /// Feedback mode, with this initialization vector.
    Feedback,
    /// Double-pipeline mode.
    DoublePipeline,
}

/// PBKDF2 (RFC 8018) with HMAC.
///
/// # Errors
/// [`CryptoError::TooLong`] for too many iterations or bytes, [`CryptoError::Unsupported`].
pub fn pbkdf2(
    hash: HashingAlgorithm,
    password: &Secret,
    salt: &[u8],
    iterations: u32,
    bytes: usize,
) -> Result<Secret, CryptoError> {
    if iterations == 0 || iterations > PBKDF2_ITERATIONS {
        let (length, limit) = (iterations as usize, PBKDF2_ITERATIONS as usize);
        return Err(CryptoError::TooLong { what: "Iteration Count", length, limit });
    }
    let mut out = buffer(bytes)?;
    let password = password.expose();
    match hash {
        HashingAlgorithm::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut out),
        HashingAlgorithm::Sha224 => pbkdf2_hmac::<Sha224>(password, salt, iterations, &mut out),
        HashingAlgorithm::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut out),
        HashingAlgorithm::Sha384 => pbkdf2_hmac::<Sha384>(password, salt, iterations, &mut out),
        HashingAlgorithm::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut out),
        other => {
            return Err(CryptoError::Unsupported {
                what: "Hashing Algorithm",
                asked: format!("{other} for PBKDF2"),
                supported: "SHA-1 or a SHA-2".to_owned(),
            });
        }
    }
    Ok(secret(out))
}

/// The hash of `data`, its first `bytes`.
///
/// # Errors
/// [`CryptoError::TooLong`] where the hash is shorter, [`CryptoError::Unsupported`].
pub fn hashed(algorithm: HashingAlgorithm, data: &Secret, bytes: usize) -> Result<Secret, CryptoError> {
    first(Secret::new(hash::digest(algorithm, data.expose())?), bytes)
}

/// HMAC of the derivation data under the base key, its first `bytes`; more of them as HKDF's Expand makes them (RFC 5869
/// section 2.3) with the salt as Extract's.
///
/// # Errors
/// [`CryptoError::TooLong`], [`CryptoError::Unsupported`].
pub fn hkdf(
    hash: HashingAlgorithm,
    key: &Secret,
    salt: &[u8],
    info: &Secret,
    bytes: usize,
) -> Result<Secret, CryptoError> {
    macro_rules! expand {
        ($digest:ty, $out:expr) => {
            hkdf::Hkdf::<$digest>::new(Some(salt), key.expose()).expand(info.expose(), $out)
        };
    }
    let mut out = buffer(bytes)?;
    let done = match hash {
        HashingAlgorithm::Sha1 => expand!(Sha1, &mut out),
        HashingAlgorithm::Sha224 => expand!(Sha224, &mut out),
        HashingAlgorithm::Sha256 => expand!(Sha256, &mut out),
        HashingAlgorithm::Sha384 => expand!(Sha384, &mut out),
        HashingAlgorithm::Sha512 => expand!(Sha512, &mut out),
        other => {
            return Err(CryptoError::Unsupported {
                what: "Hashing Algorithm",
                asked: format!("{other} for HKDF"),
                supported: "SHA-1 or a SHA-2".to_owned(),
            });
        }
    };
    done.map_err(|_| CryptoError::TooLong { what: "the derived key", length: bytes, limit: 255 * 20 })?;
    Ok(secret(out))
}

/// HMAC of the derivation data, its first `bytes`.
///
/// # Errors
/// [`CryptoError::TooLong`] where the code is shorter, [`CryptoError::Unsupported`].
pub fn hmac(
    hash: HashingAlgorithm,
    key: &Secret,
    data: &Secret,
    bytes: usize,
) -> Result<Secret, CryptoError> {
    first(secret(code(hash, key.expose(), &[data.expose()])?), bytes)
}

/// The signing key of AWS Signature Version 4: of the secret access key by date, region and service, in that order.
///
/// # Errors
/// [`CryptoError::KeyRejected`] unless there are these three, [`CryptoError::TooLong`] for more than its 32 bytes.
pub fn aws_signature_4(key: &Secret, data: &[Secret], bytes: usize) -> Result<Secret, CryptoError> {
    let [date, region, service] = data else {
        return Err(CryptoError::KeyRejected {
            what: "the Derivation Data",
            why: "AWS Signature Version 4 derives by three",
            hint: "state Date, Region and Service, each as Derivation Data of its own",
        });
    };
    let mut made = Zeroizing::new([b"AWS4", key.expose()].concat());
    for part in [date.expose(), region.expose(), service.expose(), b"aws4_request"] {
        made = code(HashingAlgorithm::Sha256, &made, &[part])?;
    }
    first(secret(made), bytes)
}

/// NIST SP 800-108 with HMAC: `data` is the fixed input of each round, the counter of 32 bits stands before it.
///
/// # Errors
/// [`CryptoError::TooLong`], [`CryptoError::Unsupported`].
pub fn nist_800_108(
    rounds: Rounds,
    hash: HashingAlgorithm,
    key: &Secret,
    iv: &[u8],
    data: &Secret,
    bytes: usize,
) -> Result<Secret, CryptoError> {
    let mut out = buffer(bytes)?;
    out.clear();
    let (key, data) = (key.expose(), data.expose());
    let mut before = Zeroizing::new(iv.to_vec());
    let mut pipeline = Zeroizing::new(data.to_vec());
    for counter in 1_u32.. {
        if out.len() >= bytes {
            break;
        }
        let number = counter.to_be_bytes();
        let block = match rounds {
            Rounds::Counter => code(hash, key, &[&number, data])?,
            Rounds::Feedback => code(hash, key, &[&before, &number, data])?,
            Rounds::DoublePipeline => {
                pipeline = code(hash, key, &[&pipeline])?;
                code(hash, key, &[&pipeline, &number, data])?
            }
        };
        out.extend_from_slice(&block);
        before = block;
    }
    out.truncate(bytes);
    Ok(secret(out))
}

fn code(hash: HashingAlgorithm, key: &[u8], parts: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut coder = Coder::hmac(hash, key)?;
    parts.iter().for_each(|part| coder.update(part));
    Ok(Zeroizing::new(coder.finish()))
}

/// The first bytes of what was made, as the specification cuts it.
///
/// # Errors
/// [`CryptoError::TooLong`] where there are not that many.
pub fn first(made: Secret, bytes: usize) -> Result<Secret, CryptoError> {
    let limit = made.len();
    let taken = made.expose().get(..bytes).ok_or(CryptoError::TooLong {
        what: "the derived key",
        length: bytes,
        limit,
    })?;
    Ok(Secret::from(taken))
}

/// Derivation data in one piece.
#[must_use]
pub fn joined(parts: &[Secret]) -> Secret {
    let mut all = Zeroizing::new(Vec::with_capacity(parts.iter().map(Secret::len).sum()));
    parts.iter().for_each(|part| all.extend_from_slice(part.expose()));
    secret(all)
}

fn buffer(bytes: usize) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    if bytes > DERIVED_BYTES {
        return Err(CryptoError::TooLong { what: "the derived key", length: bytes, limit: DERIVED_BYTES });
    }
    Ok(Zeroizing::new(vec![0; bytes]))
}

fn secret(mut bytes: Zeroizing<Vec<u8>>) -> Secret {
    Secret::new(core::mem::take(&mut *bytes))
}
