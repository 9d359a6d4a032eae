//! Signatures (KMIP 1.4 sections 4.31 and 4.32): RSA by PKCS#1 v1.5 and PSS (RFC 8017 section 8), ECDSA (FIPS 186-5),
//! Ed25519 (RFC 8032).
//!
//! All but Ed25519 sign a digest, so that data may come in parts; what Ed25519 signs is held until its end.

use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{
    CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, PaddingMethod,
};

use super::CryptoError;
use super::hash::{self, Hasher};
use super::limits::SEALED_STREAM_BYTES;

/// The longest salt of PSS, in bytes: none fits under the longest modulus that is longer.
const SALT_BYTES: usize = super::limits::RSA_MAX_BITS / 8;

/// A way to sign, known to be offered here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheme {
    pub(super) padding: Padding,
    pub(super) hash: HashingAlgorithm,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Padding {
    Pkcs1,
    /// With the length of its salt, in bytes; where absent, that of the hash to sign with, and any to verify.
    Pss(Option<usize>),
    Ecdsa,
    Ed25519,
}

impl Scheme {
    /// The scheme of a key of `algorithm` and of `bits` under `parameters`. A Digital Signature Algorithm states scheme and
    /// hash in one. ECDSA without a hash has that of the curve's strength.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], [`CryptoError::WrongAlgorithm`] for the scheme of another kind of key.
    pub fn new(
        algorithm: CryptographicAlgorithm,
        bits: Option<i32>,
        parameters: &CryptographicParameters,
    ) -> Result<Self, CryptoError> {
        use CryptographicAlgorithm as Algorithm;
        if algorithm == Algorithm::Ed25519 {
            return Self::ed25519(parameters);
        }
        let salt = parameters.salt_length.map(usize::try_from).transpose();
        let salt = salt.ok().filter(|salt| salt.is_none_or(|salt| salt <= SALT_BYTES)).ok_or_else(|| {
            unsupported(
                "Salt Length",
                &parameters.salt_length.unwrap_or_default(),
                "one that fits under the modulus",
            )
        })?;
        let named = parameters.digital_signature_algorithm.map(|stated| in_one(stated, salt)).transpose()?;
        let padding = match (algorithm, parameters.padding_method, named) {
            (Algorithm::Rsa, Some(PaddingMethod::Pss), _) => Padding::Pss(salt),
            (Algorithm::Rsa, Some(PaddingMethod::Pkcs1V1_5), _) => Padding::Pkcs1,
            (Algorithm::Rsa, Some(other), _) => {
                return Err(unsupported("Padding Method", &other, "PSS or PKCS1 v1.5"));
            }
            (_, _, Some((padding, _))) => padding,
            (Algorithm::Rsa, None, None) => {
                return Err(unsupported(
                    "Padding Method",
                    &"(none given)",
                    "PSS or PKCS1 v1.5, or a Digital Signature Algorithm",
                ));
            }
            (_, _, None) => Padding::Ecdsa,
        };
        let by_name = named.and_then(|(_, hash)| hash);
        let hash = parameters.hashing_algorithm.or(by_name);
        let is_contradiction =
            named.is_some_and(|(named, _)| named != padding) || (by_name.is_some() && hash != by_name);
        if let (true, Some(stated)) = (is_contradiction, parameters.digital_signature_algorithm) {
            return Err(unsupported(
                "Digital Signature Algorithm",
                &stated,
                "the one that fits the Padding Method and the Hashing Algorithm",
            ));
        }
        if let (Padding::Pss(_), Some(mask)) = (padding, parameters.mask_generator_hashing_algorithm)
            && Some(mask) != hash
        {
            return Err(unsupported(
                "Mask Generator Hashing Algorithm",
                &mask,
                "the Hashing Algorithm of the signature",
            ));
        }
        let usual = (padding == Padding::Ecdsa).then_some(match bits {
            Some(384) => HashingAlgorithm::Sha384,
            Some(521) => HashingAlgorithm::Sha512,
            _ => HashingAlgorithm::Sha256,
        });
        let hash = hash
            .or(usual)
            .ok_or_else(|| unsupported("Hashing Algorithm", &"(none given)", "SHA-1, a SHA-2 or a SHA-3"))?;
        let of_the_key = (padding == Padding::Ecdsa) != (algorithm == Algorithm::Rsa);
        if !of_the_key {
            return Err(CryptoError::WrongAlgorithm {
                operation: "this signature",
                needs: if padding == Padding::Ecdsa { "EC" } else { "RSA" },
                is: if algorithm == Algorithm::Rsa { "RSA" } else { "EC" },
            });
        }
        Ok(Self { padding, hash })
    }

    fn ed25519(parameters: &CryptographicParameters) -> Result<Self, CryptoError> {
        let nothing = "none for Ed25519: it is a scheme with a hash of its own";
        if let Some(stated) = parameters.hashing_algorithm {
            return Err(unsupported("Hashing Algorithm", &stated, nothing));
        }
        if let Some(stated) = parameters.digital_signature_algorithm {
            return Err(unsupported("Digital Signature Algorithm", &stated, nothing));
        }
        match parameters.padding_method {
            Some(stated) => Err(unsupported("Padding Method", &stated, nothing)),
            None => Ok(Self { padding: Padding::Ed25519, hash: HashingAlgorithm::Sha512 }),
        }
    }

    /// Begins to take what is signed.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for a hash that is not offered here.
    pub fn start(&self) -> Result<Message, CryptoError> {
        Ok(match self.padding {
            Padding::Ed25519 => Message(Taken::Whole(Vec::new())),
            _ => Message(Taken::Hashed(hash::start(self.hash)?)),
        })
    }

    /// Whether it signs a digest, which may come from elsewhere.
    #[must_use]
    pub fn takes_digest(&self) -> bool {
        self.padding != Padding::Ed25519
    }

    pub(super) fn ecdsa_hash(&self) -> Result<HashingAlgorithm, CryptoError> {
        match self.padding {
            Padding::Ecdsa => Ok(self.hash),
            _ => Err(CryptoError::WrongAlgorithm { operation: "this signature", needs: "RSA", is: "EC" }),
        }
    }

    pub(super) fn check_ed25519(&self) -> Result<(), CryptoError> {
        match self.padding {
            Padding::Ed25519 => Ok(()),
            _ => Err(CryptoError::WrongAlgorithm { operation: "ECDSA", needs: "EC", is: "X25519" }),
        }
    }
}

/// What is being signed, as far as it has come.
pub struct Message(Taken);

enum Taken {
    Hashed(Hasher),
    Whole(Vec<u8>),
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Message")
    }
}

impl Message {
    /// Takes the next part.
    ///
    /// # Errors
    /// [`CryptoError::TooLong`] for a message that has to be held and is longer than what is held.
    pub fn update(&mut self, data: &[u8]) -> Result<(), CryptoError> {
        match &mut self.0 {
            Taken::Hashed(hasher) => hasher.update(data),
            Taken::Whole(message) => {
                let length = message.len().saturating_add(data.len());
                if length > SEALED_STREAM_BYTES {
                    return Err(CryptoError::TooLong {
                        what: "the data to sign by Ed25519",
                        length,
                        limit: SEALED_STREAM_BYTES,
                    });
                }
                message.extend_from_slice(data);
            }
        }
        Ok(())
    }

    /// What [`PrivateKey::sign`](super::PrivateKey::sign) signs: the digest, or the whole.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Taken::Hashed(hasher) => hasher.finalize().into_vec(),
            Taken::Whole(message) => message,
        }
    }
}

fn in_one(
    stated: DigitalSignatureAlgorithm,
    salt: Option<usize>,
) -> Result<(Padding, Option<HashingAlgorithm>), CryptoError> {
    use DigitalSignatureAlgorithm as Algorithm;
    let (padding, hash) = match stated {
        Algorithm::Sha1WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha1),
        Algorithm::Sha224WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha224),
        Algorithm::Sha256WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha256),
        Algorithm::Sha384WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha384),
        Algorithm::Sha512WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha512),
        Algorithm::Sha3_256WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha3_256),
        Algorithm::Sha3_384WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha3_384),
        Algorithm::Sha3_512WithRsaEncryption => (Padding::Pkcs1, HashingAlgorithm::Sha3_512),
        Algorithm::RsassaPss => return Ok((Padding::Pss(salt), None)),
        Algorithm::EcdsaWithSha1 => (Padding::Ecdsa, HashingAlgorithm::Sha1),
        Algorithm::EcdsaWithSha224 => (Padding::Ecdsa, HashingAlgorithm::Sha224),
        Algorithm::EcdsaWithSha256 => (Padding::Ecdsa, HashingAlgorithm::Sha256),
        Algorithm::EcdsaWithSha384 => (Padding::Ecdsa, HashingAlgorithm::Sha384),
        Algorithm::EcdsaWithSha512 => (Padding::Ecdsa, HashingAlgorithm::Sha512),
        other => {
            return Err(unsupported(
                "Digital Signature Algorithm",
                &other,
                "RSA with SHA-1, a SHA-2 or a SHA-3, or ECDSA with SHA-1 or a SHA-2",
            ));
        }
    };
    Ok((padding, Some(hash)))
}

pub(super) fn unsupported(
    what: &'static str,
    asked: &dyn core::fmt::Display,
    supported: &str,
) -> CryptoError {
    CryptoError::Unsupported { what, asked: asked.to_string(), supported: supported.to_owned() }
}
