//! A secret in parts, all of which make it again (KMIP 1.4 section 2.2.5, Split Key Method XOR).

use kms_protocol::Secret;
use zeroize::Zeroizing;

use super::CryptoError;
use super::cipher::random;

/// Splits a secret into `count` parts, 2 at least: all but the last are random.
///
/// # Errors
/// [`CryptoError::Library`] when there is no randomness.
pub fn split(secret: &Secret, count: usize) -> Result<Vec<Secret>, CryptoError> {
    let mut parts = Vec::with_capacity(count);
    let mut rest = Zeroizing::new(secret.expose().to_vec());
    for _ in 1..count {
        let part = Secret::new(random(secret.len())?);
        add(&mut rest, &part);
        parts.push(part);
    }
    parts.push(Secret::new(core::mem::take(&mut *rest)));
    Ok(parts)
}

/// The secret that parts make.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for parts of different lengths, and for none.
pub fn join(parts: &[Secret]) -> Result<Secret, CryptoError> {
    let refused = || CryptoError::KeyRejected {
        what: "a part of the Split Key",
        why: "it has another length than the others",
        hint: "all parts of one key, and none of another, make that key",
    };
    let (first, others) = parts.split_first().ok_or_else(refused)?;
    let mut sum = Zeroizing::new(first.expose().to_vec());
    for part in others {
        if part.len() != sum.len() {
            return Err(refused());
        }
        add(&mut sum, part);
    }
    Ok(Secret::new(core::mem::take(&mut *sum)))
}

fn add(sum: &mut [u8], part: &Secret) {
    sum.iter_mut().zip(part.expose()).for_each(|(byte, other)| *byte ^= other);
}
