//! RSA with OAEP (RFC 8017 section 7.1): one data key in a block.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaKeyPair, RsaSignatureEncoding,
};
use kms_protocol::Secret;
use kms_protocol::enums::HashingAlgorithm;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::PublicKeyParts;
use sha1::Sha1;
use sha2::digest::{Digest, FixedOutputReset};
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use zeroize::Zeroizing;

use super::CryptoError;
use super::limits::OAEP_LABEL_BYTES;
use super::signature::{Padding, Scheme, unsupported};

/// The hashes that OAEP takes here, for itself and for its mask, in any combination.
pub const OAEP_HASHES: [HashingAlgorithm; 7] = [
    HashingAlgorithm::Sha1,
    HashingAlgorithm::Sha224,
    HashingAlgorithm::Sha256,
    HashingAlgorithm::Sha384,
    HashingAlgorithm::Sha512,
    HashingAlgorithm::Sha512_224,
    HashingAlgorithm::Sha512_256,
];

/// A hash of [`OAEP_HASHES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512T224,
    Sha512T256,
}

impl Hash {
    /// SHA-1 where nothing is stated.
    fn new(hash: Option<HashingAlgorithm>, what: &'static str) -> Result<Self, CryptoError> {
        Ok(match hash.unwrap_or(HashingAlgorithm::Sha1) {
            HashingAlgorithm::Sha1 => Self::Sha1,
            HashingAlgorithm::Sha224 => Self::Sha224,
            HashingAlgorithm::Sha256 => Self::Sha256,
            HashingAlgorithm::Sha384 => Self::Sha384,
            HashingAlgorithm::Sha512 => Self::Sha512,
            HashingAlgorithm::Sha512_224 => Self::Sha512T224,
            HashingAlgorithm::Sha512_256 => Self::Sha512T256,
            other => {
                return Err(CryptoError::Unsupported {
                    what,
                    asked: format!("{other} for OAEP"),
                    supported: format!("one of {}", OAEP_HASHES.map(|hash| hash.to_string()).join(", ")),
                });
            }
        })
    }

    /// Its output, in bytes.
    fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha512T224 => 28,
            Self::Sha256 | Self::Sha512T256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// OAEP's parameters, known to be supported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Oaep {
    hash: Hash,
    mask_hash: Hash,
    label: Box<[u8]>,
}

impl Oaep {
    /// The parameters of a request: its Hashing Algorithm, its Mask Generator Hashing Algorithm and its P Source
    /// (KMIP 1.4 section 3.6). Both hashes default to SHA-1, the second whatever the first is.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for a hash outside [`OAEP_HASHES`]; [`CryptoError::TooLong`] for the label.
    pub fn new(
        hash: Option<HashingAlgorithm>,
        mask_hash: Option<HashingAlgorithm>,
        label: &[u8],
    ) -> Result<Self, CryptoError> {
        if label.len() > OAEP_LABEL_BYTES {
            return Err(CryptoError::TooLong {
                what: "P Source",
                length: label.len(),
                limit: OAEP_LABEL_BYTES,
            });
        }
        Ok(Self {
            hash: Hash::new(hash, "Hashing Algorithm")?,
            mask_hash: Hash::new(mask_hash, "Mask Generator Hashing Algorithm")?,
            label: label.into(),
        })
    }

    /// The largest plaintext under a modulus of `modulus` bytes (RFC 8017 section 7.1.1, step 1b).
    fn plaintext_limit(&self, modulus: usize) -> usize {
        modulus.saturating_sub(2 * self.hash.bytes() + 2)
    }

    /// What aws-lc-rs calls these parameters, if it has them.
    fn in_aws_lc(&self) -> Option<&'static OaepAlgorithm> {
        match (self.hash, self.mask_hash) {
            (Hash::Sha1, Hash::Sha1) => Some(&OAEP_SHA1_MGF1SHA1),
            (Hash::Sha256, Hash::Sha256) => Some(&OAEP_SHA256_MGF1SHA256),
            (Hash::Sha384, Hash::Sha384) => Some(&OAEP_SHA384_MGF1SHA384),
            (Hash::Sha512, Hash::Sha512) => Some(&OAEP_SHA512_MGF1SHA512),
            _ => None,
        }
    }
}

/// A parsed RSA private key.
pub(super) struct RsaPrivateKey {
    key: PrivateDecryptingKey,
    oaep: OaepPrivateDecryptingKey,
    /// For masks that aws-lc-rs lacks; made when the first one comes. `None` inside: the `rsa` crate refuses the key.
    mixed: OnceLock<Option<Box<rsa::PrivateKey>>>,
    /// For signatures; made when the first one is asked for.
    signing: OnceLock<Option<Box<RsaKeyPair>>>,
}

impl RsaPrivateKey {
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| refused_private())?;
        let oaep = OaepPrivateDecryptingKey::new(key.clone()).map_err(|_| refused_private())?;
        Ok(Self { key, oaep, mixed: OnceLock::new(), signing: OnceLock::new() })
    }

    pub(super) fn bits(&self) -> usize {
        self.oaep.key_size_bits()
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, CryptoError> {
        let der: PublicKeyX509Der<'_> = self.key.public_key().as_der().map_err(|_| refused_private())?;
        Ok(der.as_ref().to_vec())
    }

    /// Signs a digest. What aws-lc-rs lacks (SHA-1, SHA-224, salts of another length) is the `rsa` crate's, blinded.
    pub(super) fn sign(&self, scheme: &Scheme, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let salt = match scheme.padding {
            Padding::Pss(salt) => salt.filter(|salt| *salt != digest.len()),
            _ => None,
        };
        let encoding: Option<&'static RsaSignatureEncoding> = match (scheme.padding, scheme.hash) {
            _ if salt.is_some() => None,
            (Padding::Pss(_), HashingAlgorithm::Sha256) => Some(&RSA_PSS_SHA256),
            (Padding::Pss(_), HashingAlgorithm::Sha384) => Some(&RSA_PSS_SHA384),
            (Padding::Pss(_), HashingAlgorithm::Sha512) => Some(&RSA_PSS_SHA512),
            (Padding::Pkcs1, HashingAlgorithm::Sha256) => Some(&RSA_PKCS1_SHA256),
            (Padding::Pkcs1, HashingAlgorithm::Sha384) => Some(&RSA_PKCS1_SHA384),
            (Padding::Pkcs1, HashingAlgorithm::Sha512) => Some(&RSA_PKCS1_SHA512),
            _ => None,
        };
        if let (Some(encoding), Some(pair)) = (encoding, self.signing.get_or_init(|| self.for_signing())) {
            let digest = imported(scheme.hash, digest)?;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign_digest(encoding, &digest, &mut signature)
                .map_err(|_| CryptoError::Library("an RSA signature failed"))?;
            return Ok(signature);
        }
        let key = self.mixed.get_or_init(|| self.for_mixed_masks()).as_deref();
        let key = key.ok_or(CryptoError::Library("the RSA key could not be parsed"))?;
        by_signing_hash(scheme, &Signing { key, scheme, digest, salt })
    }

    /// Decrypts one PKCS#1 v1.5 block (RFC 8017 section 7.2.2). What is padded wrongly gives bytes that follow from the
    /// ciphertext and look like any others, so that nobody learns of the padding (implicit rejection).
    pub(super) fn decrypt_pkcs1(&self, ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let key = self.mixed.get_or_init(|| self.for_mixed_masks()).as_deref();
        let key = key.ok_or(CryptoError::Library("the RSA key could not be parsed"))?;
        key.decrypt_blinded(&mut AwsLcRng, rsa::Pkcs1v15Encrypt, ciphertext)
            .map(Secret::new)
            .map_err(|_| CryptoError::Decryption)
    }

    fn for_signing(&self) -> Option<Box<RsaKeyPair>> {
        let der: Pkcs8V1Der<'_> = self.key.as_der().ok()?;
        RsaKeyPair::from_pkcs8(der.as_ref()).ok().map(Box::new)
    }

    pub(super) fn decrypt(&self, oaep: &Oaep, ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        if ciphertext.len() != self.oaep.key_size_bytes() {
            return Err(CryptoError::Decryption);
        }
        match oaep.in_aws_lc() {
            Some(algorithm) => {
                let mut buffer = Zeroizing::new(vec![0; self.oaep.min_output_size()]);
                let length = self
                    .oaep
                    .decrypt(algorithm, ciphertext, &mut buffer, Some(&oaep.label))
                    .map_err(|_| CryptoError::Decryption)?
                    .len();
                buffer.truncate(length);
                Ok(Secret::new(std::mem::take(&mut *buffer)))
            }
            // The rsa crate does not compare the block's first byte with zero; see the tests on Project Wycheproof.
            None => {
                let Some(key) = self.mixed.get_or_init(|| self.for_mixed_masks()).as_deref() else {
                    return Err(CryptoError::KeyRejected {
                        what: "the private key",
                        why: "it cannot decrypt where the mask hash differs from the hash",
                        hint: "state one hash for both, or use a key pair made by this server",
                    });
                };
                by_hashes::<Decrypt<'_>>(oaep, &Decrypt { key, ciphertext, label: &oaep.label })
            }
        }
    }

    fn for_mixed_masks(&self) -> Option<Box<rsa::PrivateKey>> {
        let der: Pkcs8V1Der<'_> = self.key.as_der().ok()?;
        rsa::PrivateKey::from_pkcs8_der(der.as_ref()).ok().map(Box::new)
    }
}

fn refused_private() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the RSA private key",
        why: "its parts do not fit together, or its length is not between 2048 and 8192 bits",
        hint: "check it with `openssl pkey -check -noout -in FILE`",
    }
}

/// A parsed RSA public key.
pub(super) struct RsaPublicKey {
    oaep: OaepPublicEncryptingKey,
    mixed: rsa::PublicKey,
}

impl RsaPublicKey {
    pub(super) fn from_spki(spki: &[u8]) -> Result<Self, CryptoError> {
        let refused = || CryptoError::KeyRejected {
            what: "the RSA public key",
            why: "its modulus or exponent cannot be used",
            hint: "the modulus has 2048 to 8192 bits and the exponent is odd, usually 65537",
        };
        let key = PublicEncryptingKey::from_der(spki).map_err(|_| refused())?;
        let oaep = OaepPublicEncryptingKey::new(key).map_err(|_| refused())?;
        let mixed = rsa::PublicKey::from_public_key_der(spki).map_err(|_| refused())?;
        Ok(Self { oaep, mixed })
    }

    pub(super) fn bits(&self) -> usize {
        self.oaep.key_size_bits()
    }

    /// Encrypts one PKCS#1 v1.5 block (RFC 8017 section 7.2.1).
    pub(super) fn encrypt_pkcs1(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let limit = self.oaep.key_size_bytes().saturating_sub(11);
        if plaintext.len() > limit {
            return Err(CryptoError::PlaintextTooLong { length: plaintext.len(), limit });
        }
        self.mixed
            .encrypt(&mut AwsLcRng, rsa::Pkcs1v15Encrypt, plaintext)
            .map_err(|_| CryptoError::Library("RSA encryption"))
    }

    /// Whether a signature is that of a digest.
    pub(super) fn verify(
        &self,
        scheme: &Scheme,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        by_signing_hash(scheme, &Verifying { key: &self.mixed, scheme, digest, signature })
    }

    pub(super) fn encrypt(&self, oaep: &Oaep, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let limit = oaep.plaintext_limit(self.oaep.key_size_bytes());
        if plaintext.len() > limit {
            return Err(CryptoError::PlaintextTooLong { length: plaintext.len(), limit });
        }
        match oaep.in_aws_lc() {
            Some(algorithm) => {
                let mut out = vec![0; self.oaep.ciphertext_size()];
                let length = self
                    .oaep
                    .encrypt(algorithm, plaintext, &mut out, Some(&oaep.label))
                    .map_err(|_| CryptoError::Library("RSA-OAEP encryption"))?
                    .len();
                out.truncate(length);
                Ok(out)
            }
            None => {
                by_hashes::<Encrypt<'_>>(oaep, &Encrypt { key: &self.mixed, plaintext, label: &oaep.label })
            }
        }
    }
}

/// A digest that was made elsewhere, for aws-lc-rs.
pub(super) fn imported(
    hash: HashingAlgorithm,
    bytes: &[u8],
) -> Result<aws_lc_rs::digest::Digest, CryptoError> {
    use aws_lc_rs::digest;
    let algorithm = match hash {
        HashingAlgorithm::Sha256 => &digest::SHA256,
        HashingAlgorithm::Sha384 => &digest::SHA384,
        HashingAlgorithm::Sha512 => &digest::SHA512,
        other => return Err(unsupported("Hashing Algorithm", &other, "SHA-256, SHA-384 or SHA-512")),
    };
    digest::Digest::import_less_safe(bytes, algorithm).map_err(|_| wrong_digest())
}

pub(super) fn wrong_digest() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the Digested Data",
        why: "it has another length than its Hashing Algorithm's",
        hint: "state the Hashing Algorithm that it was made by",
    }
}

/// Work of the `rsa` crate that needs the hash of a signature as a type.
trait ByHash {
    type Output;
    fn run<D: Digest + FixedOutputReset + rsa::pkcs8::AssociatedOid>(
        &self,
    ) -> Result<Self::Output, CryptoError>;
}

struct Signing<'a> {
    key: &'a rsa::PrivateKey,
    scheme: &'a Scheme,
    digest: &'a [u8],
    salt: Option<usize>,
}

impl ByHash for Signing<'_> {
    type Output = Vec<u8>;

    fn run<D: Digest + FixedOutputReset + rsa::pkcs8::AssociatedOid>(&self) -> Result<Vec<u8>, CryptoError> {
        if self.digest.len() != <D as Digest>::output_size() {
            return Err(wrong_digest());
        }
        let signed = match self.scheme.padding {
            Padding::Pss(_) => {
                let salt = self.salt.unwrap_or(self.digest.len());
                if salt + self.digest.len() + 2 > self.key.size() {
                    return Err(unsupported("Salt Length", &salt, "one that fits under the modulus"));
                }
                self.key.sign_with_rng(&mut AwsLcRng, rsa::Pss::<D>::new_blinded_with_salt(salt), self.digest)
            }
            _ => self.key.sign_with_rng(&mut AwsLcRng, rsa::Pkcs1v15Sign::new::<D>(), self.digest),
        };
        signed.map_err(|_| CryptoError::Library("an RSA signature failed"))
    }
}

struct Verifying<'a> {
    key: &'a rsa::PublicKey,
    scheme: &'a Scheme,
    digest: &'a [u8],
    signature: &'a [u8],
}

impl ByHash for Verifying<'_> {
    type Output = bool;

    fn run<D: Digest + FixedOutputReset + rsa::pkcs8::AssociatedOid>(&self) -> Result<bool, CryptoError> {
        if self.digest.len() != <D as Digest>::output_size() {
            return Err(wrong_digest());
        }
        let verified = match self.scheme.padding {
            Padding::Pss(salt) => {
                let scheme = rsa::Pss::<D> { salt_len: salt, ..rsa::Pss::new() };
                self.key.verify(scheme, self.digest, self.signature)
            }
            _ => self.key.verify(rsa::Pkcs1v15Sign::new::<D>(), self.digest, self.signature),
        };
        Ok(verified.is_ok())
    }
}

fn by_signing_hash<W: ByHash>(scheme: &Scheme, work: &W) -> Result<W::Output, CryptoError> {
    match scheme.hash {
        HashingAlgorithm::Sha1 => work.run::<Sha1>(),
        HashingAlgorithm::Sha224 => work.run::<Sha224>(),
        HashingAlgorithm::Sha256 => work.run::<Sha256>(),
        HashingAlgorithm::Sha384 => work.run::<Sha384>(),
        HashingAlgorithm::Sha512 => work.run::<Sha512>(),
        HashingAlgorithm::Sha512_224 => work.run::<Sha512_224>(),
        HashingAlgorithm::Sha512_256 => work.run::<Sha512_256>(),
        HashingAlgorithm::Sha3_224 => work.run::<Sha3_224>(),
        HashingAlgorithm::Sha3_256 => work.run::<Sha3_256>(),
        HashingAlgorithm::Sha3_384 => work.run::<Sha3_384>(),
        HashingAlgorithm::Sha3_512 => work.run::<Sha3_512>(),
        other => Err(unsupported("Hashing Algorithm", &other, "SHA-1, a SHA-2 or a SHA-3")),
    }
}

/// Work of the `rsa` crate that needs both hashes as types.
trait MixedMask {
    type Output;
    fn run<D, M>(&self) -> Result<Self::Output, CryptoError>
    where
        D: Digest + FixedOutputReset,
        M: Digest + FixedOutputReset;
}

struct Decrypt<'a> {
    key: &'a rsa::PrivateKey,
    ciphertext: &'a [u8],
    label: &'a [u8],
}

impl MixedMask for Decrypt<'_> {
    type Output = Secret;

    fn run<D, M>(&self) -> Result<Secret, CryptoError>
    where
        D: Digest + FixedOutputReset,
        M: Digest + FixedOutputReset,
    {
        let padding = rsa::Oaep::<D, M>::new_with_mgf_hash_and_label(self.label);
        self.key
            .decrypt_blinded(&mut AwsLcRng, padding, self.ciphertext)
            .map(Secret::new)
            .map_err(|_| CryptoError::Decryption)
    }
}

struct Encrypt<'a> {
    key: &'a rsa::PublicKey,
    plaintext: &'a [u8],
    label: &'a [u8],
}

impl MixedMask for Encrypt<'_> {
    type Output = Vec<u8>;

    fn run<D, M>(&self) -> Result<Vec<u8>, CryptoError>
    where
        D: Digest + FixedOutputReset,
        M: Digest + FixedOutputReset,
    {
        let padding = rsa::Oaep::<D, M>::new_with_mgf_hash_and_label(self.label);
        self.key
            .encrypt(&mut AwsLcRng, padding, self.plaintext)
            .map_err(|_| CryptoError::Library("RSA-OAEP encryption"))
    }
}

fn by_hashes<W: MixedMask>(oaep: &Oaep, work: &W) -> Result<W::Output, CryptoError> {
    match oaep.hash {
        Hash::Sha1 => by_mask::<Sha1, W>(oaep, work),
        Hash::Sha224 => by_mask::<Sha224, W>(oaep, work),
        Hash::Sha384 => by_mask::<Sha384, W>(oaep, work),
        Hash::Sha512 => by_mask::<Sha512, W>(oaep, work),
        Hash::Sha512T224 => by_mask::<Sha512_224, W>(oaep, work),
        Hash::Sha512T256 => by_mask::<Sha512_256, W>(oaep, work),
        Hash::Sha256 => by_mask::<Sha256, W>(oaep, work),
    }
}

fn by_mask<D, W>(oaep: &Oaep, work: &W) -> Result<W::Output, CryptoError>
where
    D: Digest + FixedOutputReset,
    W: MixedMask,
{
    match oaep.mask_hash {
        Hash::Sha1 => work.run::<D, Sha1>(),
        Hash::Sha224 => work.run::<D, Sha224>(),
        Hash::Sha384 => work.run::<D, Sha384>(),
        Hash::Sha512 => work.run::<D, Sha512>(),
        Hash::Sha512T224 => work.run::<D, Sha512_224>(),
        Hash::Sha512T256 => work.run::<D, Sha512_256>(),
        Hash::Sha256 => work.run::<D, Sha256>(),
    }
}

/// aws-lc's random generator, as the RustCrypto project's crates want to see it.
pub(super) struct AwsLcRng;

/// No randomness could be had.
#[derive(Debug, thiserror::Error)]
#[error("no randomness")]
pub(super) struct NoRandomness;

impl TryRng for AwsLcRng {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), NoRandomness> {
        aws_lc_rs::rand::fill(out).map_err(|_| NoRandomness)
    }
}

impl TryCryptoRng for AwsLcRng {}
