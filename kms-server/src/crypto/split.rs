//! A secret in parts (KMIP 1.4 section 2.2.5): all of which make it again (XOR), or as many as the threshold says (Shamir's
//! polynomials over the bytes' field, GF(2^8) of FIPS 197, by the crate vsss-rs in constant time).

use kms_protocol::Secret;
use rsa::rand_core::UnwrapErr;
use vsss_rs::Gf256;
use zeroize::{Zeroize, Zeroizing};

use super::CryptoError;
use super::cipher::random;
use super::rsa::AwsLcRng;

/// How a secret is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// The parts' sum is the secret.
    Xor,
    /// The parts are points of polynomials, one for each byte, at their Key Part Identifiers.
    Gf256,
}

/// A part, by its Key Part Identifier, which counts from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Which it is.
    pub number: u8,
    /// Its bytes, as many as the secret has.
    pub bytes: Secret,
}

/// Splits a secret into `count` parts, of which `threshold` make it again; by XOR that is all of them.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for a threshold that is below 2 or above the count, and for an empty secret.
pub fn split(method: Method, secret: &Secret, count: u8, threshold: u8) -> Result<Vec<Part>, CryptoError> {
    if threshold < 2 || threshold > count || secret.is_empty() {
        return Err(refused(
            "the threshold is below 2 or above the number of parts, or there is nothing to split",
        ));
    }
    match method {
        Method::Xor => split_by_xor(secret, count),
        Method::Gf256 => {
            let (threshold, limit) = (usize::from(threshold), usize::from(count));
            let shares = Gf256::split_bytes(threshold, limit, secret.expose(), UnwrapErr(AwsLcRng));
            let shares = shares.map_err(|_| CryptoError::Library("a key could not be split"))?;
            shares.into_iter().map(of_share).collect()
        }
    }
}

/// The secret that parts make. By [`Method::Gf256`] these are as many as the threshold, or more: then those beyond it are
/// compared with the others.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for parts of different lengths, for none, and for one that does not fit the others.
pub fn join(method: Method, parts: &[Part], threshold: u8) -> Result<Secret, CryptoError> {
    let first = parts.first().ok_or_else(|| refused("there is none"))?;
    if parts.iter().any(|part| part.bytes.len() != first.bytes.len() || part.number == 0) {
        return Err(refused("it has another length than the others, or the number 0"));
    }
    if method == Method::Xor {
        let mut sum = Zeroizing::new(vec![0; first.bytes.len()]);
        parts.iter().for_each(|part| add(&mut sum, &part.bytes));
        return Ok(Secret::new(core::mem::take(&mut *sum)));
    }
    let mut shares: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    for part in parts {
        let mut share = Zeroizing::new(vec![part.number]);
        share.extend_from_slice(part.bytes.expose());
        shares.push(share);
    }
    let threshold = usize::from(threshold);
    let combined = |shares: &[Zeroizing<Vec<u8>>]| {
        let mut plain: Vec<Vec<u8>> = shares.iter().map(|share| share.to_vec()).collect();
        let secret = Gf256::combine_bytes(&plain).map(Secret::new);
        plain.iter_mut().for_each(Zeroize::zeroize);
        secret.map_err(|_| refused("it stands among them twice, or there are too few"))
    };
    let secret = combined(shares.get(..threshold).ok_or_else(|| refused("there are too few"))?)?;
    // Any group of so many makes the same.
    for group in shares.windows(threshold).skip(1) {
        if combined(group)? != secret {
            return Err(refused("it is not of the same key as the others"));
        }
    }
    Ok(secret)
}

fn split_by_xor(secret: &Secret, count: u8) -> Result<Vec<Part>, CryptoError> {
    let mut parts = Vec::with_capacity(usize::from(count));
    let mut rest = Zeroizing::new(secret.expose().to_vec());
    for number in 1..count {
        let bytes = Secret::new(random(secret.len())?);
        add(&mut rest, &bytes);
        parts.push(Part { number, bytes });
    }
    parts.push(Part { number: count, bytes: Secret::new(core::mem::take(&mut *rest)) });
    Ok(parts)
}

fn of_share(mut share: Vec<u8>) -> Result<Part, CryptoError> {
    let part =
        share.split_first().map(|(number, bytes)| Part { number: *number, bytes: Secret::from(bytes) });
    share.zeroize();
    part.ok_or(CryptoError::Library("a key could not be split"))
}

fn add(sum: &mut [u8], part: &Secret) {
    sum.iter_mut().zip(part.expose()).for_each(|(byte, other)| *byte ^= other);
}

fn refused(why: &'static str) -> CryptoError {
    CryptoError::KeyRejected {
        what: "a part of the Split Key",
        why,
        hint: "parts of one key, each once and as many as its Split Key Threshold, make that key",
    }
}
