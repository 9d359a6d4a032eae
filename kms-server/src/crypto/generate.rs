//! Making key pairs.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use kms_protocol::Secret;
use kms_protocol::enums::{CryptographicAlgorithm, RecommendedCurve};

use super::CryptoError;

/// A kind of key pair that can be made here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum KeySpec {
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
    /// The elliptic curve P-256, for ECDSA and ECDH.
    P256,
}

impl KeySpec {
    /// All of them, the cheapest to generate first.
    pub const ALL: [Self; 4] = [Self::P256, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The specification that a request asks for: its Cryptographic Algorithm, its Cryptographic Length in bits and
    /// the Recommended Curve of its Cryptographic Domain Parameters (KMIP 1.4 sections 3.4, 3.5, 3.7).
    ///
    /// For EC, ECDSA and ECDH either of length and curve will do; stated both, they must agree.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], naming what is supported.
    pub fn new(
        algorithm: CryptographicAlgorithm,
        length: Option<i32>,
        curve: Option<RecommendedCurve>,
    ) -> Result<Self, CryptoError> {
        use CryptographicAlgorithm::{Ec, Ecdh, Ecdsa, Rsa};
        match algorithm {
            Rsa => match length {
                Some(2048) => Ok(Self::Rsa2048),
                Some(3072) => Ok(Self::Rsa3072),
                Some(4096) => Ok(Self::Rsa4096),
                other => Err(unsupported_length(algorithm, other, "2048, 3072 or 4096")),
            },
            Ec | Ecdsa | Ecdh => match (curve, length) {
                (Some(RecommendedCurve::P256), None | Some(256)) | (None, Some(256)) => Ok(Self::P256),
                (Some(RecommendedCurve::P256) | None, other) => {
                    Err(unsupported_length(algorithm, other, "256 (the curve P-256)"))
                }
                (Some(other), _) => Err(CryptoError::Unsupported {
                    what: "Recommended Curve",
                    asked: other.to_string(),
                    supported: RecommendedCurve::P256.to_string(),
                }),
            },
            other => Err(CryptoError::Unsupported {
                what: "Cryptographic Algorithm",
                asked: format!("{other} for a key pair"),
                supported: "RSA of 2048, 3072 or 4096 bits, or EC on P-256".to_owned(),
            }),
        }
    }

    /// Whether generating a pair takes microseconds, not a good part of a second.
    #[must_use]
    pub fn is_quick(self) -> bool {
        self == Self::P256
    }

    /// The key's Cryptographic Length in bits.
    #[must_use]
    pub fn bits(self) -> i32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::P256 => 256,
        }
    }

    /// The curve, of a specification that has one.
    #[must_use]
    pub fn curve(self) -> Option<RecommendedCurve> {
        match self {
            Self::P256 => Some(RecommendedCurve::P256),
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => None,
        }
    }
}

impl core::fmt::Display for KeySpec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::P256 => "P-256",
        })
    }
}

fn unsupported_length(
    algorithm: CryptographicAlgorithm,
    length: Option<i32>,
    supported: &'static str,
) -> CryptoError {
    CryptoError::Unsupported {
        what: "Cryptographic Length",
        asked: match length {
            Some(bits) => format!("{bits} for {algorithm}"),
            None => format!("(none given) for {algorithm}"),
        },
        supported: supported.to_owned(),
    }
}

/// A private key and its public half.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// PKCS#8 DER.
    pub private: Secret,
    /// SubjectPublicKeyInfo DER.
    pub public: Vec<u8>,
}

/// Makes a pair on the calling thread. Medians on one core: P-256 14 µs, RSA-2048 60 to 80 ms, RSA-4096 570 to 740 ms.
///
/// The private key is copied once, from aws-lc-rs's own zeroizing buffer into the [`Secret`].
///
/// # Errors
/// [`CryptoError::Library`] when there is no randomness or no memory.
pub fn generate(spec: KeySpec) -> Result<KeyPair, CryptoError> {
    match spec {
        KeySpec::Rsa2048 => generate_rsa(KeySize::Rsa2048),
        KeySpec::Rsa3072 => generate_rsa(KeySize::Rsa3072),
        KeySpec::Rsa4096 => generate_rsa(KeySize::Rsa4096),
        KeySpec::P256 => generate_p256(),
    }
}

fn generate_rsa(size: KeySize) -> Result<KeyPair, CryptoError> {
    let failed = |_| CryptoError::Library("an RSA pair could not be generated");
    let key = PrivateDecryptingKey::generate(size).map_err(failed)?;
    let private: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(failed)?;
    Ok(KeyPair { private: Secret::from(private.as_ref()), public: public.as_ref().to_vec() })
}

fn generate_p256() -> Result<KeyPair, CryptoError> {
    let failed = |_| CryptoError::Library("a P-256 pair could not be generated");
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let private = key.to_pkcs8v1().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(failed)?;
    Ok(KeyPair { private: Secret::from(private.as_ref()), public: public.as_ref().to_vec() })
}
