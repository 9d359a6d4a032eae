//! Making key pairs.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use kms_protocol::Secret;
use kms_protocol::enums::{CryptographicAlgorithm, RecommendedCurve};

use super::CryptoError;
use super::curve25519::Use;
use super::ec::Curve;
use super::key::Kind;

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
    /// The same of 384 bits.
    P384,
    /// The same of 521 bits.
    P521,
    /// The elliptic curve secp256k1, for ECDSA and ECDH.
    Secp256k1,
    /// Ed25519, for signatures alone.
    Ed25519,
    /// X25519, for agreements alone.
    X25519,
}

/// The curves that an EC pair can be made on.
const CURVES: &str = "P-256, P-384, P-521, SECP256K1 or CURVE25519";

impl KeySpec {
    /// All of them, the cheapest to generate first.
    pub const ALL: [Self; 9] = [
        Self::P256,
        Self::Ed25519,
        Self::X25519,
        Self::Secp256k1,
        Self::P384,
        Self::P521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
    ];

    /// The specification that a request asks for: its Cryptographic Algorithm, its Cryptographic Length in bits and
    /// the Recommended Curve of its Cryptographic Domain Parameters (KMIP 1.4 sections 3.4, 3.5, 3.7).
    ///
    /// For EC, ECDSA and ECDH either of length and curve will do, a length meaning NIST's curve; stated both, they must
    /// agree. EC and ECDH on CURVE25519 are X25519.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], naming what is supported.
    pub fn new(
        algorithm: CryptographicAlgorithm,
        length: Option<i32>,
        curve: Option<RecommendedCurve>,
    ) -> Result<Self, CryptoError> {
        use CryptographicAlgorithm::{Ec, Ecdh, Ecdsa, Ed25519, Rsa};
        let spec = match (algorithm, curve) {
            (Rsa, _) => match length {
                Some(2048) => Self::Rsa2048,
                Some(3072) => Self::Rsa3072,
                Some(4096) => Self::Rsa4096,
                other => return Err(unsupported_length(algorithm, other, "2048, 3072 or 4096".to_owned())),
            },
            (Ed25519, None | Some(RecommendedCurve::Curve25519)) => Self::Ed25519,
            (Ed25519, Some(other)) => return Err(unsupported_curve(other, "CURVE25519, or none")),
            (Ec | Ecdh, Some(RecommendedCurve::Curve25519)) => Self::X25519,
            (Ec | Ecdsa | Ecdh, Some(curve)) => match Curve::of(curve) {
                Some(Curve::P256) => Self::P256,
                Some(Curve::P384) => Self::P384,
                Some(Curve::P521) => Self::P521,
                Some(Curve::Secp256k1) => Self::Secp256k1,
                None => return Err(unsupported_curve(curve, CURVES)),
            },
            (Ec | Ecdsa | Ecdh, None) => match length {
                Some(256) => Self::P256,
                Some(384) => Self::P384,
                Some(521) => Self::P521,
                other => {
                    let supported = format!("256, 384 or 521, or a Recommended Curve: {CURVES}");
                    return Err(unsupported_length(algorithm, other, supported));
                }
            },
            (other, _) => {
                return Err(CryptoError::Unsupported {
                    what: "Cryptographic Algorithm",
                    asked: format!("{other} for a key pair"),
                    supported: format!("RSA of 2048, 3072 or 4096 bits, EC on {CURVES}, or Ed25519"),
                });
            }
        };
        match length {
            Some(length) if length != spec.bits() => {
                Err(unsupported_length(algorithm, Some(length), format!("{} ({spec})", spec.bits())))
            }
            _ => Ok(spec),
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => Kind::Rsa,
            Self::P256 => Kind::Ec(Curve::P256),
            Self::P384 => Kind::Ec(Curve::P384),
            Self::P521 => Kind::Ec(Curve::P521),
            Self::Secp256k1 => Kind::Ec(Curve::Secp256k1),
            Self::Ed25519 => Kind::Curve25519(Use::Sign),
            Self::X25519 => Kind::Curve25519(Use::Agree),
        }
    }

    /// The key's Cryptographic Algorithm.
    #[must_use]
    pub fn algorithm(self) -> CryptographicAlgorithm {
        self.kind().algorithm()
    }

    /// Whether generating a pair takes microseconds, not a good part of a second.
    #[must_use]
    pub fn is_quick(self) -> bool {
        self.kind() != Kind::Rsa
    }

    /// The key's Cryptographic Length in bits.
    #[must_use]
    pub fn bits(self) -> i32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::P256 | Self::Secp256k1 | Self::Ed25519 | Self::X25519 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// The curve, of a specification that has one to name.
    #[must_use]
    pub fn curve(self) -> Option<RecommendedCurve> {
        self.kind().curve()
    }

    /// The pair whose private key `fill` gives, bytes that nobody else may know; not RSA's.
    pub(super) fn pair_of(self, mut fill: impl FnMut(&mut [u8])) -> Option<Result<KeyPair, CryptoError>> {
        match self.kind() {
            Kind::Rsa => None,
            Kind::Ec(curve) => Some(curve.pair_of(fill)),
            Kind::Curve25519(does) => {
                let mut private = zeroize::Zeroizing::new([0; 32]);
                fill(&mut *private);
                Some(does.pair_of(&*private))
            }
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
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
        })
    }
}

fn unsupported_curve(curve: RecommendedCurve, supported: &str) -> CryptoError {
    CryptoError::Unsupported {
        what: "Recommended Curve",
        asked: curve.to_string(),
        supported: supported.to_owned(),
    }
}

fn unsupported_length(
    algorithm: CryptographicAlgorithm,
    length: Option<i32>,
    supported: String,
) -> CryptoError {
    CryptoError::Unsupported {
        what: "Cryptographic Length",
        asked: match length {
            Some(bits) => format!("{bits} for {algorithm}"),
            None => format!("(none given) for {algorithm}"),
        },
        supported,
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
    match (spec, spec.kind()) {
        (_, Kind::Ec(curve)) => curve.generate(),
        (_, Kind::Curve25519(does)) => does.generate(),
        (KeySpec::Rsa4096, Kind::Rsa) => generate_rsa(KeySize::Rsa4096),
        (KeySpec::Rsa3072, Kind::Rsa) => generate_rsa(KeySize::Rsa3072),
        (_, Kind::Rsa) => generate_rsa(KeySize::Rsa2048),
    }
}

fn generate_rsa(size: KeySize) -> Result<KeyPair, CryptoError> {
    let failed = |_| CryptoError::Library("an RSA pair could not be generated");
    let key = PrivateDecryptingKey::generate(size).map_err(failed)?;
    let private: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(failed)?;
    Ok(KeyPair { private: Secret::from(private.as_ref()), public: public.as_ref().to_vec() })
}
