//! Block ciphers in their modes, and ChaCha20 (RFC 8439): encryption without authentication.

use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
    InnerIvInit, KeyInit, KeyIvInit, StreamCipher,
};
use aes::{Aes128, Aes192, Aes256};
use blowfish::Blowfish;
use chacha20::{ChaCha20, ChaCha20Legacy};
use des::{TdesEde2, TdesEde3};
use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{BlockCipherMode, CryptographicAlgorithm};
use xts_mode::Xts128;

use super::CryptoError;
use super::cipher::Direction;

/// A cipher and its mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chain {
    cipher: BlockCipher,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BlockCipher {
    Aes,
    TripleDes,
    Blowfish,
    ChaCha20,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Ecb,
    Cbc,
    Cfb,
    Ofb,
    Ctr,
    Xts,
    Stream,
}

/// Works data in place: whole blocks, or any length for a mode that makes a stream cipher.
pub(super) type Transform = Box<dyn FnMut(&mut [u8]) -> Result<(), CryptoError> + Send>;

impl Chain {
    pub(super) fn new(
        algorithm: CryptographicAlgorithm,
        parameters: &CryptographicParameters,
    ) -> Result<Self, CryptoError> {
        use CryptographicAlgorithm as Algorithm;
        let cipher = match algorithm {
            Algorithm::Aes => BlockCipher::Aes,
            Algorithm::TripleDes => BlockCipher::TripleDes,
            Algorithm::Blowfish => BlockCipher::Blowfish,
            Algorithm::ChaCha20 => BlockCipher::ChaCha20,
            other => {
                return Err(CryptoError::Unsupported {
                    what: "Cryptographic Algorithm",
                    asked: other.to_string(),
                    supported: "AES, 3DES, Blowfish, ChaCha20 or ChaCha20Poly1305".to_owned(),
                });
            }
        };
        let mode = match (cipher, parameters.block_cipher_mode) {
            (BlockCipher::ChaCha20, None) => Mode::Stream,
            (BlockCipher::ChaCha20, Some(mode)) => return Err(unsupported(mode, "none for ChaCha20")),
            (_, Some(BlockCipherMode::Ecb)) => Mode::Ecb,
            (_, Some(BlockCipherMode::Cbc)) => Mode::Cbc,
            (_, Some(BlockCipherMode::Cfb)) => Mode::Cfb,
            (_, Some(BlockCipherMode::Ofb)) => Mode::Ofb,
            (_, Some(BlockCipherMode::Ctr)) => Mode::Ctr,
            (BlockCipher::Aes, Some(BlockCipherMode::Xts)) => Mode::Xts,
            (_, Some(mode)) => {
                return Err(unsupported(mode, "ECB, CBC, CFB, OFB or CTR, and GCM, CCM or XTS for AES"));
            }
            (_, None) => {
                return Err(CryptoError::Unsupported {
                    what: "Block Cipher Mode",
                    asked: "(none given)".to_owned(),
                    supported: "ECB, CBC, CFB, OFB or CTR, and GCM, CCM or XTS for AES".to_owned(),
                });
            }
        };
        Ok(Self { cipher, mode })
    }

    /// Whether a padding fills its last block.
    pub(super) fn is_padded(self) -> bool {
        matches!(self.mode, Mode::Ecb | Mode::Cbc)
    }

    /// Whether it works its data as one: a part would begin anew.
    pub(super) fn is_whole(self) -> bool {
        self.mode == Mode::Xts
    }

    /// What it works at a time, in bytes.
    pub(super) fn block_bytes(self) -> usize {
        match (self.mode, self.cipher) {
            (Mode::Ecb | Mode::Cbc, BlockCipher::Aes) => 16,
            (Mode::Ecb | Mode::Cbc, _) => 8,
            _ => 1,
        }
    }

    pub(super) fn iv_bytes(self) -> usize {
        match (self.mode, self.cipher) {
            (Mode::Ecb, _) => 0,
            (_, BlockCipher::Aes) => 16,
            (_, BlockCipher::ChaCha20) => 12,
            _ => 8,
        }
    }
}

/// Sets up a cipher under a key and an initialization vector.
pub(super) fn start(
    chain: Chain,
    direction: Direction,
    key: &Secret,
    iv: &[u8],
) -> Result<Transform, CryptoError> {
    let bytes = key.expose();
    let lengths: &[usize] = match chain.cipher {
        BlockCipher::ChaCha20 => &[8, 12],
        _ if chain.mode == Mode::Ecb => &[iv.len()],
        BlockCipher::Aes => &[16],
        _ => &[8],
    };
    if !lengths.contains(&iv.len()) {
        return Err(CryptoError::IvLength { needs: chain.iv_bytes(), has: iv.len() });
    }
    match (chain.cipher, chain.mode) {
        (BlockCipher::ChaCha20, _) if iv.len() == 8 => {
            stream(ChaCha20Legacy::new_from_slices(bytes, iv).ok())
        }
        (BlockCipher::ChaCha20, _) => stream(ChaCha20::new_from_slices(bytes, iv).ok()),
        (BlockCipher::Aes, Mode::Xts) => match bytes.len() {
            32 => xts::<Aes128>(direction, bytes, iv),
            64 => xts::<Aes256>(direction, bytes, iv),
            _ => Err(key_length()),
        },
        (cipher, Mode::Ctr | Mode::Ofb) => keystream(cipher, chain.mode, bytes, iv),
        (BlockCipher::Aes, mode) => match bytes.len() {
            16 => block::<Aes128>(mode, direction, bytes, iv),
            24 => block::<Aes192>(mode, direction, bytes, iv),
            32 => block::<Aes256>(mode, direction, bytes, iv),
            _ => Err(key_length()),
        },
        (BlockCipher::TripleDes, mode) => match bytes.len() {
            16 => block::<TdesEde2>(mode, direction, bytes, iv),
            24 => block::<TdesEde3>(mode, direction, bytes, iv),
            _ => Err(key_length()),
        },
        (BlockCipher::Blowfish, mode) => block::<Blowfish>(mode, direction, bytes, iv),
    }
}

fn block<C>(mode: Mode, direction: Direction, key: &[u8], iv: &[u8]) -> Result<Transform, CryptoError>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser + KeyInit + Clone + Send + 'static,
{
    use Direction::{Decrypt, Encrypt};
    let cipher = C::new_from_slice(key).map_err(|_| key_length())?;
    if mode == Mode::Ecb {
        return Ok(Box::new(move |data| {
            let (blocks, _) = Array::slice_as_chunks_mut(data);
            match direction {
                Encrypt => cipher.encrypt_blocks(blocks),
                Decrypt => cipher.decrypt_blocks(blocks),
            }
            Ok(())
        }));
    }
    let iv_length = |_| CryptoError::IvLength { needs: C::block_size(), has: iv.len() };
    Ok(match (mode, direction) {
        (Mode::Cbc, Encrypt) => {
            let mut mode = cbc::Encryptor::inner_iv_slice_init(cipher, iv).map_err(iv_length)?;
            Box::new(move |data| {
                mode.encrypt_blocks(Array::slice_as_chunks_mut(data).0);
                Ok(())
            })
        }
        (Mode::Cbc, Decrypt) => {
            let mut mode = cbc::Decryptor::inner_iv_slice_init(cipher, iv).map_err(iv_length)?;
            Box::new(move |data| {
                mode.decrypt_blocks(Array::slice_as_chunks_mut(data).0);
                Ok(())
            })
        }
        (Mode::Cfb, Encrypt) => {
            let mut mode = cfb_mode::BufEncryptor::inner_iv_slice_init(cipher, iv).map_err(iv_length)?;
            Box::new(move |data| {
                mode.encrypt(data);
                Ok(())
            })
        }
        _ => {
            let mut mode = cfb_mode::BufDecryptor::inner_iv_slice_init(cipher, iv).map_err(iv_length)?;
            Box::new(move |data| {
                mode.decrypt(data);
                Ok(())
            })
        }
    })
}

/// The modes that turn a block cipher into a stream cipher. The counter is as wide as the block (NIST SP 800-38A
/// section 6.5).
fn keystream(cipher: BlockCipher, mode: Mode, key: &[u8], iv: &[u8]) -> Result<Transform, CryptoError> {
    macro_rules! of {
        ($counter:ident, $cipher:ty) => {
            match mode {
                Mode::Ctr => stream(ctr::$counter::<$cipher>::new_from_slices(key, iv).ok()),
                _ => stream(ofb::Ofb::<$cipher>::new_from_slices(key, iv).ok()),
            }
        };
    }
    match (cipher, key.len()) {
        (BlockCipher::Aes, 16) => of!(Ctr128BE, Aes128),
        (BlockCipher::Aes, 24) => of!(Ctr128BE, Aes192),
        (BlockCipher::Aes, 32) => of!(Ctr128BE, Aes256),
        (BlockCipher::TripleDes, 16) => of!(Ctr64BE, TdesEde2),
        (BlockCipher::TripleDes, 24) => of!(Ctr64BE, TdesEde3),
        (BlockCipher::Blowfish, _) => of!(Ctr64BE, Blowfish),
        _ => Err(key_length()),
    }
}

fn stream<S: StreamCipher + Send + 'static>(cipher: Option<S>) -> Result<Transform, CryptoError> {
    let mut cipher = cipher.ok_or_else(key_length)?;
    Ok(Box::new(move |data| {
        cipher
            .try_apply_keystream(data)
            .map_err(|_| CryptoError::Library("the key stream of this initialization vector is used up"))
    }))
}

/// XTS (IEEE 1619): two keys in one, and the tweak as initialization vector.
fn xts<C>(direction: Direction, key: &[u8], iv: &[u8]) -> Result<Transform, CryptoError>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + 'static,
{
    let (data_key, tweak_key) = key.split_at(key.len() / 2);
    let new = |key| C::new_from_slice(key).map_err(|_| key_length());
    let cipher = Xts128::new(new(data_key)?, new(tweak_key)?);
    let tweak: [u8; 16] = iv.try_into().map_err(|_| CryptoError::IvLength { needs: 16, has: iv.len() })?;
    Ok(Box::new(move |data| {
        if data.len() < 16 {
            return Err(CryptoError::NotWholeBlocks(16));
        }
        match direction {
            Direction::Encrypt => cipher.encrypt_sector(data, tweak.into()),
            Direction::Decrypt => cipher.decrypt_sector(data, tweak.into()),
        }
        Ok(())
    }))
}

pub(super) fn key_length() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the symmetric key",
        why: "its length is none of its algorithm's",
        hint: "AES takes 128, 192 or 256 bits (XTS twice 128 or 256), 3DES 128 or 192, ChaCha20 256",
    }
}

fn unsupported(mode: BlockCipherMode, supported: &str) -> CryptoError {
    CryptoError::Unsupported {
        what: "Block Cipher Mode",
        asked: mode.to_string(),
        supported: supported.to_owned(),
    }
}
