//! Signatures (KMIP 1.4 sections 4.31 and 4.32): RSA by PKCS#1 v1.5 and PSS (RFC 8017 section 8), ECDSA (FIPS 186-5).
//!
//! All of them sign a digest, so that data may come in parts.

use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{
    CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, PaddingMethod,
};

use super::CryptoError;

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
}

impl Scheme {
    /// The scheme of a key of `algorithm` under `parameters`. A Digital Signature Algorithm states scheme and hash in one.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`].
    pub fn new(
        algorithm: CryptographicAlgorithm,
        parameters: &CryptographicParameters,
    ) -> Result<Self, CryptoError> {
        use CryptographicAlgorithm as Algorithm;
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
        let usual = (padding == Padding::Ecdsa).then_some(HashingAlgorithm::Sha256);
        let hash = hash.or(usual).ok_or_else(|| {
            unsupported("Hashing Algorithm", &"(none given)", "SHA-256, SHA-384 or SHA-512")
        })?;
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

    /// The hash of the data.
    #[must_use]
    pub fn hash(&self) -> HashingAlgorithm {
        self.hash
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
                "RSA or ECDSA with SHA-1 or a SHA-2",
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
