//! Key material at rest: sealed by AES-256-GCM under the store's key, bound to its object.
//!
//! A sealed record is
//!
//! | Bytes | What |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 8 | key ID of the store key |
//! | 12 | nonce, random |
//! | n | ciphertext |
//! | 16 | tag |
//!
//! Each object has a subkey of its own, HKDF-Expand-SHA-256 (RFC 5869) of the store key with the object's ID. Random
//! nonces are safe for 2^32 messages under one key (NIST SP 800-38D section 8.3): here that many times one object
//! may be sealed, which at a thousand times a second takes 50 days of nothing else. Without subkeys it would be the
//! limit of the whole store, and a busy one reaches it in weeks. Version and key ID are authenticated too.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use kms_protocol::Secret;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const NONCE_AT: usize = 1 + KEY_ID_BYTES;
const SEALED_AT: usize = NONCE_AT + NONCE_LEN;

// Neither is the beginning of the other, so that no object's subkey is the key ID.
const OBJECT_INFO: &[u8] = b"kms-server store key v1, object ";
const KEY_ID_INFO: &[u8] = b"kms-server store key v1, key ID";

/// Which store key sealed a record. It is derived from the key and tells nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// The bytes, as they stand in every sealed record.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Display for KeyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl core::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a sealed record did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The store key is not 32 bytes long.
    #[error(
        "the store key has {0} bytes instead of 32\nhint: it is 32 random bytes, as `kms-server` writes them"
    )]
    KeyLength(usize),
    /// Another store key sealed it.
    #[error(
        "sealed with store key {sealed_with}, but the key given is {given}\nhint: give the store key that this store was made with"
    )]
    OtherKey {
        /// The key that is needed.
        sealed_with: KeyId,
        /// The key that was given.
        given: KeyId,
    },
    /// A version that is not known here.
    #[error(
        "sealed in version {0}, which this program does not know\nhint: a newer kms-server wrote it; use that one"
    )]
    Version(u8),
    /// The key is the right one, but the record was changed, cut short, or belongs to another object.
    #[error(
        "the sealed key material is damaged, or belongs to another object\nhint: restore the store from a backup"
    )]
    Damaged,
    /// No randomness or no memory.
    #[error("the cryptographic library failed to seal")]
    Library,
}

/// The key that seals all key material of a store.
pub struct StoreKey {
    key: Secret,
    prk: Prk,
    id: KeyId,
}

impl StoreKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`SealError::Library`] when there is no randomness.
    pub fn generate() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SealError::Library)?;
        Self::from_bytes(Secret::new(std::mem::take(&mut *bytes)))
    }

    /// The key that was kept elsewhere.
    ///
    /// # Errors
    /// [`SealError::KeyLength`] unless there are 32 bytes.
    pub fn from_bytes(key: Secret) -> Result<Self, SealError> {
        if key.len() != KEY_BYTES {
            return Err(SealError::KeyLength(key.len()));
        }
        // 32 uniformly random bytes are a pseudorandom key already: RFC 5869 section 3.3 allows to skip Extract.
        let prk = Prk::new_less_safe(HKDF_SHA256, key.expose());
        let mut id = [0; KEY_ID_BYTES];
        prk.expand(&[KEY_ID_INFO], Length(KEY_ID_BYTES))
            .and_then(|okm| okm.fill(&mut id))
            .map_err(|_| SealError::Library)?;
        Ok(Self { key, prk, id: KeyId(id) })
    }

    /// The key itself, to keep it elsewhere.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.key
    }

    /// Which key this is.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals key material for the object `id`. The result is 37 bytes longer.
    ///
    /// # Errors
    /// [`SealError::Library`] when there is no randomness.
    pub fn seal(&self, id: &str, material: &Secret) -> Result<Vec<u8>, SealError> {
        // Reserved at once, so that no copy of the material is left behind by growing.
        let mut out = Zeroizing::new(Vec::with_capacity(SEALED_AT + material.len() + TAG_BYTES));
        out.push(VERSION);
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&[0; NONCE_LEN]);
        out.extend_from_slice(material.expose());
        let (head, body) = out.split_at_mut(SEALED_AT);
        let (nonce, tag) = self
            .subkey(id)?
            .seal_in_place_separate_tag(additional_data(self.id, id), body)
            .map_err(|_| SealError::Library)?;
        if let Some(place) = head.get_mut(NONCE_AT..) {
            place.copy_from_slice(nonce.as_ref());
        }
        out.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *out))
    }

    /// Opens what [`seal`](Self::seal) made for the object `id`.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] for the wrong store key; [`SealError::Damaged`] for a record that is not whole or not
    /// this object's; [`SealError::Version`].
    pub fn open(&self, id: &str, sealed: &[u8]) -> Result<Secret, SealError> {
        let (key_id, nonce, body) = parts(sealed)?;
        if key_id != self.id {
            return Err(SealError::OtherKey { sealed_with: key_id, given: self.id });
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let length = self
            .subkey(id)?
            .open_in_place(nonce, additional_data(self.id, id), &mut buffer)
            .map_err(|_| SealError::Damaged)?
            .len();
        buffer.truncate(length);
        Ok(Secret::new(std::mem::take(&mut *buffer)))
    }

    fn subkey(&self, id: &str) -> Result<RandomizedNonceKey, SealError> {
        let mut subkey = Zeroizing::new([0; KEY_BYTES]);
        self.prk
            .expand(&[OBJECT_INFO, id.as_bytes()], Length(KEY_BYTES))
            .and_then(|okm| okm.fill(&mut *subkey))
            .and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &*subkey))
            .map_err(|_| SealError::Library)
    }
}

impl core::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "StoreKey({})", self.id)
    }
}

/// Which store key sealed this record: to choose among several while the key is being changed.
///
/// # Errors
/// [`SealError::Damaged`] or [`SealError::Version`] for what is no sealed record.
pub fn sealed_with(sealed: &[u8]) -> Result<KeyId, SealError> {
    parts(sealed).map(|(key_id, ..)| key_id)
}

fn parts(sealed: &[u8]) -> Result<(KeyId, &[u8], &[u8]), SealError> {
    let (version, rest) = sealed.split_first().ok_or(SealError::Damaged)?;
    if *version != VERSION {
        return Err(SealError::Version(*version));
    }
    let (key_id, rest) = rest.split_first_chunk().ok_or(SealError::Damaged)?;
    let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
    Ok((KeyId(*key_id), nonce, body))
}

fn additional_data(key_id: KeyId, id: &str) -> Aad<Vec<u8>> {
    let mut data = Vec::with_capacity(NONCE_AT + id.len());
    data.push(VERSION);
    data.extend_from_slice(&key_id.0);
    data.extend_from_slice(id.as_bytes());
    Aad::from(data)
}

/// How many bytes to derive.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
