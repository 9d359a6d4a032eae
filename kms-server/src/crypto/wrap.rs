//! Key wrapping: AES key wrap without and with padding (RFC 3394, RFC 5649).

use aes::{Aes128, Aes192, Aes256};
use aes_kw::{AesKw, AesKwp, KeyInit};
use kms_protocol::Secret;
use zeroize::Zeroizing;

use super::CryptoError;
use super::limits::ENCODED_KEY_BYTES;
use super::modes::key_length;

/// What wrapping adds, at most.
const ADDED: usize = 16;

macro_rules! by_key {
    ($kek:expr, $type:ident, $call:ident, $data:expr, $out:expr) => {
        match $kek.len() {
            16 => $type::<Aes128>::new_from_slice($kek).map_err(|_| key_length())?.$call($data, $out),
            24 => $type::<Aes192>::new_from_slice($kek).map_err(|_| key_length())?.$call($data, $out),
            32 => $type::<Aes256>::new_from_slice($kek).map_err(|_| key_length())?.$call($data, $out),
            _ => return Err(key_length()),
        }
    };
}

/// Wraps `data` under an AES key. Without padding its length is a multiple of 8 bytes, at least 16.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for a key that is not AES's, [`CryptoError::NotWholeBlocks`], [`CryptoError::TooLong`].
pub fn wrap(kek: &Secret, padded: bool, data: &Secret) -> Result<Vec<u8>, CryptoError> {
    bounded(data.len())?;
    if data.len() < least(padded) {
        return Err(CryptoError::NotWholeBlocks(8));
    }
    let mut out = vec![0; data.len() + ADDED];
    let kek = kek.expose();
    let wrapped = if padded {
        by_key!(kek, AesKwp, wrap_key, data.expose(), &mut out)
    } else {
        by_key!(kek, AesKw, wrap_key, data.expose(), &mut out)
    };
    wrapped.map(<[u8]>::to_vec).map_err(|_| CryptoError::NotWholeBlocks(8))
}

/// Unwraps what [`wrap`] made.
///
/// # Errors
/// [`CryptoError::Decryption`] for what was not wrapped by this key, [`CryptoError::KeyRejected`],
/// [`CryptoError::TooLong`].
pub fn unwrap(kek: &Secret, padded: bool, data: &[u8]) -> Result<Secret, CryptoError> {
    bounded(data.len())?;
    let mut out = Zeroizing::new(vec![0; data.len() + ADDED]);
    let kek = kek.expose();
    let plain = if padded {
        by_key!(kek, AesKwp, unwrap_key, data, &mut out)
    } else {
        by_key!(kek, AesKw, unwrap_key, data, &mut out)
    };
    plain.ok().filter(|plain| plain.len() >= least(padded)).map(Secret::from).ok_or(CryptoError::Decryption)
}

/// The fewest bytes that are wrapped: two blocks of 8 without padding (RFC 3394), one byte with (RFC 5649).
const fn least(padded: bool) -> usize {
    if padded { 1 } else { 16 }
}

fn bounded(length: usize) -> Result<(), CryptoError> {
    if length > ENCODED_KEY_BYTES {
        return Err(CryptoError::TooLong { what: "the key to wrap", length, limit: ENCODED_KEY_BYTES });
    }
    Ok(())
}
