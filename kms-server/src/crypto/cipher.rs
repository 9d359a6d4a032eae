//! Symmetric encryption as Cryptographic Parameters describe it (KMIP 1.4 sections 3.6, 4.29 and 4.30), whole or in
//! parts. The ciphers and modes are those of the RustCrypto project; nothing of them is written here.

use block_padding::{AnsiX923, Iso10126, Padding as _, Pkcs7, ZeroPadding};
use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{BlockCipherMode, CryptographicAlgorithm, PaddingMethod};
use zeroize::Zeroizing;

use super::CryptoError;
use super::aead::Aead;
use super::limits::SEALED_STREAM_BYTES;
use super::modes::{self, Chain, Transform};

/// Which way data goes through a cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

/// A symmetric cipher with its mode and padding, known to be offered here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cipher {
    kind: Kind,
    padding: Pad,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Chain(Chain),
    Aead(Aead),
}

/// A padding that fills whole blocks, and comes off again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pad {
    None,
    Pkcs7,
    Zeros,
    AnsiX923,
    Iso10126,
}

/// What the last part of a stream brings.
#[derive(Debug, PartialEq, Eq)]
pub struct Last {
    /// The rest of the output.
    pub data: Secret,
    /// The authentication tag, of an encryption that has one.
    pub tag: Option<Vec<u8>>,
}

impl Cipher {
    /// The cipher of a key of `algorithm` under `parameters`, whose own Cryptographic Algorithm prevails.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for what is not offered, [`CryptoError::TagLength`].
    pub fn new(
        algorithm: CryptographicAlgorithm,
        parameters: &CryptographicParameters,
    ) -> Result<Self, CryptoError> {
        let algorithm = parameters.cryptographic_algorithm.unwrap_or(algorithm);
        let kind = match Aead::new(algorithm, parameters)? {
            Some(aead) => Kind::Aead(aead),
            None => Kind::Chain(Chain::new(algorithm, parameters)?),
        };
        let padding = match (kind, parameters.padding_method) {
            (Kind::Chain(chain), Some(method)) if chain.is_padded() => Pad::new(method)?,
            _ => Pad::None,
        };
        Ok(Self { kind, padding })
    }

    /// How long its initialization vector or nonce is, in bytes, where the server makes one; 0 where it takes none.
    #[must_use]
    pub fn iv_bytes(&self) -> usize {
        match self.kind {
            Kind::Chain(chain) => chain.iv_bytes(),
            Kind::Aead(aead) => aead.iv_bytes(),
        }
    }

    /// Whether it authenticates what it encrypts, by a tag.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        matches!(self.kind, Kind::Aead(_))
    }

    /// How long its authentication tag is, in bytes.
    #[must_use]
    pub fn tag_bytes(&self) -> usize {
        match self.kind {
            Kind::Chain(_) => 0,
            Kind::Aead(aead) => aead.tag_bytes(),
        }
    }

    /// Starts to encrypt or decrypt.
    ///
    /// # Errors
    /// [`CryptoError::KeyRejected`] for a key of a wrong length, [`CryptoError::IvLength`].
    pub fn start(
        &self,
        direction: Direction,
        key: &Secret,
        iv: &[u8],
        additional_data: &[u8],
    ) -> Result<Stream, CryptoError> {
        let work = match self.kind {
            Kind::Chain(chain) => Work::Chain {
                transform: modes::start(chain, direction, key, iv)?,
                chain,
                padding: self.padding,
            },
            Kind::Aead(aead) => {
                aead.check(key, iv)?;
                Work::Aead {
                    aead,
                    key: Secret::from(key.expose()),
                    iv: iv.to_vec(),
                    additional_data: additional_data.to_vec(),
                    told: 0,
                }
            }
        };
        Ok(Stream { direction, held: Zeroizing::default(), work })
    }

    /// Encrypts a secret all at once, for what is made of the ciphertext (Derive Key).
    ///
    /// # Errors
    /// As [`Cipher::start`] and [`Stream::finish`].
    pub fn encrypt_secret(&self, key: &Secret, iv: &[u8], data: &Secret) -> Result<Secret, CryptoError> {
        Ok(self.run(Direction::Encrypt, key, iv, b"", data.expose(), None)?.data)
    }

    /// Encrypts or decrypts all at once; `tag` is that of a decryption.
    ///
    /// # Errors
    /// As [`Cipher::start`] and [`Stream::finish`].
    pub fn run(
        &self,
        direction: Direction,
        key: &Secret,
        iv: &[u8],
        additional_data: &[u8],
        data: &[u8],
        tag: Option<&[u8]>,
    ) -> Result<Last, CryptoError> {
        self.start(direction, key, iv, additional_data)?.finish(data, tag)
    }
}

impl Pad {
    fn new(method: PaddingMethod) -> Result<Self, CryptoError> {
        Ok(match method {
            PaddingMethod::None => Self::None,
            PaddingMethod::Pkcs5 => Self::Pkcs7,
            PaddingMethod::Zeros => Self::Zeros,
            PaddingMethod::AnsiX9_23 => Self::AnsiX923,
            PaddingMethod::Iso10126 => Self::Iso10126,
            other => {
                return Err(CryptoError::Unsupported {
                    what: "Padding Method",
                    asked: other.to_string(),
                    supported: "None, PKCS5, Zeros, ANSI X9.23 or ISO 10126".to_owned(),
                });
            }
        })
    }

    /// Appends the padding to the rest of a message, up to a whole block.
    fn pad(self, rest: &mut Vec<u8>, block: usize) -> Result<(), CryptoError> {
        let filled = rest.len() % block;
        match self {
            Self::None if filled == 0 => return Ok(()),
            Self::None => return Err(CryptoError::NotWholeBlocks(block)),
            Self::Zeros if filled == 0 => return Ok(()),
            _ => {}
        }
        let start = rest.len() - filled;
        rest.resize(start + block, 0);
        let last = rest.get_mut(start..).unwrap_or_default();
        match self {
            Self::None => {}
            Self::Pkcs7 => Pkcs7::raw_pad(last, filled),
            Self::Zeros => ZeroPadding::raw_pad(last, filled),
            Self::AnsiX923 => AnsiX923::raw_pad(last, filled),
            // Any bytes before the length are in order, zeros too.
            Self::Iso10126 => AnsiX923::raw_pad(last, filled),
        }
        Ok(())
    }

    /// How much of the last blocks is data.
    fn unpadded(self, last: &[u8], block: usize) -> Result<usize, CryptoError> {
        if self == Self::None || last.is_empty() {
            return if self == Self::None || self == Self::Zeros {
                Ok(last.len())
            } else {
                Err(CryptoError::Decryption)
            };
        }
        let before = last.len() - block;
        let end = last.get(before..).unwrap_or_default();
        let data = match self {
            Self::Zeros => ZeroPadding::raw_unpad(end),
            Self::AnsiX923 => AnsiX923::raw_unpad(end),
            Self::Iso10126 => Iso10126::raw_unpad(end),
            Self::None | Self::Pkcs7 => Pkcs7::raw_unpad(end),
        };
        data.map(|data| before + data.len()).map_err(|_| CryptoError::Decryption)
    }
}

/// An encryption or decryption under way. What it holds back is zeroized.
pub struct Stream {
    direction: Direction,
    /// What came in and is still to be worked; for an AEAD, everything that came in.
    held: Zeroizing<Vec<u8>>,
    work: Work,
}

enum Work {
    Chain { transform: Transform, chain: Chain, padding: Pad },
    Aead { aead: Aead, key: Secret, iv: Vec<u8>, additional_data: Vec<u8>, told: usize },
}

impl core::fmt::Debug for Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Stream({:?})", self.direction)
    }
}

impl Stream {
    /// How long the tag is that authenticates its data, in bytes; 0 where none does.
    #[must_use]
    pub fn tag_bytes(&self) -> usize {
        match &self.work {
            Work::Chain { .. } => 0,
            Work::Aead { aead, .. } => aead.tag_bytes(),
        }
    }

    /// Works a part that is not the last. What a decryption has to authenticate comes out at the end alone.
    ///
    /// # Errors
    /// [`CryptoError::TooLong`] for more than an authenticated stream holds, [`CryptoError::Library`].
    pub fn update(&mut self, data: &[u8]) -> Result<Secret, CryptoError> {
        match &mut self.work {
            Work::Chain { transform, chain, padding } => {
                self.held.extend_from_slice(data);
                let block = chain.block_bytes();
                let mut ready = self.held.len() - self.held.len() % block;
                // The last block of a decryption may be padding.
                if self.direction == Direction::Decrypt && *padding != Pad::None && ready == self.held.len() {
                    ready = ready.saturating_sub(block);
                }
                if chain.is_whole() {
                    bounded(self.held.len())?;
                    ready = 0;
                }
                let mut out: Vec<u8> = self.held.drain(..ready).collect();
                if !out.is_empty() {
                    transform(&mut out)?;
                }
                Ok(Secret::new(out))
            }
            Work::Aead { aead, key, iv, additional_data, told } => {
                bounded(self.held.len() + data.len())?;
                self.held.extend_from_slice(data);
                if self.direction == Direction::Decrypt {
                    return Ok(Secret::default());
                }
                // What is encrypted does not depend on what comes behind it, so the whole is encrypted anew each time:
                // no kept crate encrypts with a tag part by part.
                let mut all = self.held.to_vec();
                aead.seal(key, iv, additional_data, &mut all)?;
                let out = Secret::from(all.get(*told..).unwrap_or_default());
                *told = all.len();
                Ok(out)
            }
        }
    }

    /// Works the last part; `tag` is the one that a decryption has to prove.
    ///
    /// # Errors
    /// [`CryptoError::Decryption`] for what does not decrypt, [`CryptoError::NotWholeBlocks`] and what [`Stream::update`]
    /// says.
    pub fn finish(mut self, data: &[u8], tag: Option<&[u8]>) -> Result<Last, CryptoError> {
        match self.work {
            Work::Chain { mut transform, chain, padding } => {
                self.held.extend_from_slice(data);
                let block = chain.block_bytes();
                let mut rest = core::mem::take(&mut *self.held);
                match self.direction {
                    Direction::Encrypt => padding.pad(&mut rest, block)?,
                    Direction::Decrypt if !rest.len().is_multiple_of(block) => {
                        return Err(CryptoError::NotWholeBlocks(block));
                    }
                    Direction::Decrypt => {}
                }
                transform(&mut rest)?;
                if self.direction == Direction::Decrypt {
                    let length = padding.unpadded(&rest, block);
                    let mut plain = Zeroizing::new(rest);
                    plain.truncate(length?);
                    return Ok(Last { data: Secret::new(core::mem::take(&mut *plain)), tag: None });
                }
                Ok(Last { data: Secret::new(rest), tag: None })
            }
            Work::Aead { aead, key, iv, additional_data, told } => {
                bounded(self.held.len() + data.len())?;
                self.held.extend_from_slice(data);
                let mut all = core::mem::take(&mut *self.held);
                match self.direction {
                    Direction::Encrypt => {
                        let tag = aead.seal(&key, &iv, &additional_data, &mut all)?;
                        let data = Secret::from(all.get(told..).unwrap_or_default());
                        Ok(Last { data, tag: Some(tag) })
                    }
                    Direction::Decrypt => {
                        let mut all = Zeroizing::new(all);
                        aead.open(
                            &key,
                            &iv,
                            &additional_data,
                            &mut all,
                            tag.ok_or(CryptoError::Decryption)?,
                        )?;
                        Ok(Last { data: Secret::new(core::mem::take(&mut *all)), tag: None })
                    }
                }
            }
        }
    }
}

fn bounded(length: usize) -> Result<(), CryptoError> {
    if length > SEALED_STREAM_BYTES {
        let limit = SEALED_STREAM_BYTES;
        return Err(CryptoError::TooLong { what: "the data of an authenticated stream", length, limit });
    }
    Ok(())
}

/// Fills a new initialization vector or nonce.
///
/// # Errors
/// [`CryptoError::Library`] when there is no randomness.
pub fn random(bytes: usize) -> Result<Vec<u8>, CryptoError> {
    let mut out = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut out).map_err(|_| CryptoError::Library("there is no randomness"))?;
    Ok(out)
}

/// The lengths of keys of a symmetric algorithm, in bits; `None` for an algorithm that is not offered here.
#[must_use]
pub fn key_bits(algorithm: CryptographicAlgorithm) -> Option<&'static [i32]> {
    use CryptographicAlgorithm as Algorithm;
    Some(match algorithm {
        Algorithm::Aes => &[128, 192, 256],
        Algorithm::TripleDes => &[112, 128, 168, 192],
        Algorithm::Blowfish => &[128, 192, 256, 448],
        Algorithm::ChaCha20 | Algorithm::ChaCha20Poly1305 => &[256],
        _ => return None,
    })
}

/// Whether a mode is one that wraps keys, and not one for data.
#[must_use]
pub fn wraps_keys(mode: BlockCipherMode) -> bool {
    matches!(mode, BlockCipherMode::NistKeyWrap | BlockCipherMode::AesKeyWrapPadding)
}
