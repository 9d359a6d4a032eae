//! Authenticated encryption: AES-GCM (NIST SP 800-38D), AES-CCM (NIST SP 800-38C) and ChaCha20-Poly1305 (RFC 8439).

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U7, U8, U11, U12, U13, U14, U15, U16, U60};
use aes_gcm::aead::{AeadInOut, KeyInit};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{BlockCipherMode, CryptographicAlgorithm};

use super::CryptoError;

/// The tag of a cipher whose parameters state no Tag Length, in bytes: the longest.
const USUAL_TAG: usize = 16;

/// An authenticated cipher with the length of its tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Aead {
    kind: AeadKind,
    tag: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AeadKind {
    Gcm,
    Ccm,
    ChaCha20Poly1305,
}

/// Calls one method on the cipher of a type, in place.
trait InPlace {
    fn seal(&self, iv: &[u8], additional: &[u8], data: &mut [u8]) -> Option<Vec<u8>>;
    fn open(&self, iv: &[u8], additional: &[u8], data: &mut [u8], tag: &[u8]) -> Option<()>;
}

impl<C: AeadInOut> InPlace for C {
    fn seal(&self, iv: &[u8], additional: &[u8], data: &mut [u8]) -> Option<Vec<u8>> {
        let iv = iv.try_into().ok()?;
        self.encrypt_inout_detached(iv, additional, data.into()).ok().map(|tag| tag.to_vec())
    }

    fn open(&self, iv: &[u8], additional: &[u8], data: &mut [u8], tag: &[u8]) -> Option<()> {
        let (iv, tag) = (iv.try_into().ok()?, tag.try_into().ok()?);
        self.decrypt_inout_detached(iv, additional, data.into(), tag).ok()
    }
}

type Made = Option<Box<dyn InPlace>>;

fn made<C: AeadInOut + KeyInit + 'static>(key: &[u8]) -> Made {
    C::new_from_slice(key).ok().map(|cipher| Box::new(cipher) as Box<dyn InPlace>)
}

/// One type for each length of nonce and tag: the crates know them at compile time.
macro_rules! by_lengths {
    ($key:expr, $nonce:expr, $tag:expr, $cipher:ident, [$($n:literal => $nonce_type:ty),*], $tags:tt) => {
        match $nonce {
            $($n => by_lengths!(@tag $key, $tag, $cipher, $nonce_type, $tags),)*
            _ => None,
        }
    };
    (@tag $key:expr, $tag:expr, $cipher:ident, $nonce_type:ty, [$($t:literal => $tag_type:ty),*]) => {
        match $tag {
            $($t => $cipher::<$nonce_type, $tag_type>($key),)*
            _ => None,
        }
    };
}

fn gcm<N, T>(key: &[u8]) -> Made
where
    N: aes_gcm::aead::array::ArraySize,
    T: aes_gcm::TagSize + 'static,
{
    match key.len() {
        16 => made::<AesGcm<Aes128, N, T>>(key),
        24 => made::<AesGcm<Aes192, N, T>>(key),
        32 => made::<AesGcm<Aes256, N, T>>(key),
        _ => None,
    }
}

fn ccm<N, T>(key: &[u8]) -> Made
where
    N: ccm::NonceSize + aes_gcm::aead::array::ArraySize + 'static,
    T: ccm::TagSize + aes_gcm::aead::array::ArraySize + 'static,
{
    match key.len() {
        16 => made::<Ccm<Aes128, T, N>>(key),
        24 => made::<Ccm<Aes192, T, N>>(key),
        32 => made::<Ccm<Aes256, T, N>>(key),
        _ => None,
    }
}

impl Aead {
    /// The authenticated cipher that parameters ask for, if it is one.
    pub(super) fn new(
        algorithm: CryptographicAlgorithm,
        parameters: &CryptographicParameters,
    ) -> Result<Option<Self>, CryptoError> {
        use CryptographicAlgorithm as Algorithm;
        let kind = match (algorithm, parameters.block_cipher_mode) {
            (Algorithm::Aes, Some(BlockCipherMode::Gcm | BlockCipherMode::Aead)) => AeadKind::Gcm,
            (Algorithm::Aes, Some(BlockCipherMode::Ccm)) => AeadKind::Ccm,
            (Algorithm::ChaCha20Poly1305, None | Some(BlockCipherMode::Aead)) => AeadKind::ChaCha20Poly1305,
            _ => return Ok(None),
        };
        let tag = usual_tag(parameters.tag_length)?;
        let offered: &[usize] = match kind {
            AeadKind::Gcm => &[12, 13, 14, 15, 16],
            AeadKind::Ccm => &[8, 12, 16],
            AeadKind::ChaCha20Poly1305 => &[12, 13, 14, 15, 16],
        };
        if offered.contains(&tag) { Ok(Some(Self { kind, tag })) } else { Err(CryptoError::TagLength(tag)) }
    }

    pub(super) fn iv_bytes(self) -> usize {
        12
    }

    pub(super) fn tag_bytes(self) -> usize {
        self.tag
    }

    pub(super) fn check(self, key: &Secret, iv: &[u8]) -> Result<(), CryptoError> {
        self.cipher(key, iv.len()).map(drop)
    }

    fn cipher(self, key: &Secret, iv: usize) -> Result<Box<dyn InPlace>, CryptoError> {
        let bytes = key.expose();
        let (keys, ivs): (&[usize], &[usize]) = match self.kind {
            AeadKind::Gcm => (&[16, 24, 32], &[8, 12, 16, 60]),
            AeadKind::Ccm => (&[16, 24, 32], &[7, 8, 11, 12, 13]),
            AeadKind::ChaCha20Poly1305 => (&[32], &[12]),
        };
        if !keys.contains(&bytes.len()) {
            return Err(super::modes::key_length());
        }
        if !ivs.contains(&iv) {
            return Err(CryptoError::IvLength { needs: self.iv_bytes(), has: iv });
        }
        let cipher = match self.kind {
            AeadKind::Gcm => by_lengths!(
                bytes, iv, self.tag, gcm,
                [8 => U8, 12 => U12, 16 => U16, 60 => U60],
                [12 => U12, 13 => U13, 14 => U14, 15 => U15, 16 => U16]
            ),
            AeadKind::Ccm => by_lengths!(
                bytes, iv, self.tag, ccm,
                [7 => U7, 8 => U8, 11 => U11, 12 => U12, 13 => U13],
                [8 => U8, 12 => U12, 16 => U16]
            ),
            AeadKind::ChaCha20Poly1305 => made::<ChaCha20Poly1305>(bytes),
        };
        cipher.ok_or(CryptoError::Library("an authenticated cipher could not be set up"))
    }

    /// Encrypts in place and returns the tag.
    pub(super) fn seal(
        self,
        key: &Secret,
        iv: &[u8],
        additional: &[u8],
        data: &mut [u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let cipher = self.cipher(key, iv.len())?;
        let mut tag = cipher
            .seal(iv, additional, data)
            .ok_or(CryptoError::Library("an authenticated encryption failed"))?;
        tag.truncate(self.tag);
        Ok(tag)
    }

    /// Decrypts in place what the tag proves.
    pub(super) fn open(
        self,
        key: &Secret,
        iv: &[u8],
        additional: &[u8],
        data: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        if tag.len() != self.tag {
            return Err(CryptoError::Decryption);
        }
        let cipher = self.cipher(key, iv.len())?;
        if self.kind == AeadKind::ChaCha20Poly1305 && tag.len() < USUAL_TAG {
            return open_truncated(&*cipher, iv, additional, data, tag);
        }
        cipher.open(iv, additional, data, tag).ok_or(CryptoError::Decryption)
    }
}

/// Opens under a tag that was cut short, which the crate for ChaCha20-Poly1305 does not do: what the cipher makes of the
/// ciphertext is encrypted again, which tells the whole tag.
fn open_truncated(
    cipher: &dyn InPlace,
    iv: &[u8],
    additional: &[u8],
    data: &mut [u8],
    tag: &[u8],
) -> Result<(), CryptoError> {
    // A stream cipher: encrypting the ciphertext gives the plaintext.
    let failed = CryptoError::Library("an authenticated encryption failed");
    cipher.seal(iv, additional, data).ok_or(failed.clone())?;
    let mut again = zeroize::Zeroizing::new(data.to_vec());
    let whole = cipher.seal(iv, additional, &mut again).ok_or(failed)?;
    let same = whole
        .get(..tag.len())
        .is_some_and(|start| aws_lc_rs::constant_time::verify_slices_are_equal(start, tag).is_ok());
    if same { Ok(()) } else { Err(CryptoError::Decryption) }
}

/// A Tag Length in bytes as parameters state it; the longest where they state none.
pub(super) fn usual_tag(stated: Option<i32>) -> Result<usize, CryptoError> {
    match stated {
        None => Ok(USUAL_TAG),
        Some(bytes) => usize::try_from(bytes).map_err(|_| CryptoError::TagLength(0)),
    }
}
