//! Kinds of key pairs: what is asked for, and what fits.

use core::fmt;

use kms_protocol::attribute::{Attribute, CryptographicDomainParameters, CryptographicUsageMask};
use kms_protocol::enums::{CryptographicAlgorithm, RecommendedCurve};

use crate::keys::View;

/// What kind of key pair.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[non_exhaustive]
pub enum KeySpec {
    /// RSA, 2,048 bits.
    Rsa2048,
    /// RSA, 3,072 bits.
    Rsa3072,
    /// RSA, 4,096 bits: what backup products use.
    #[default]
    Rsa4096,
    /// The elliptic curve P-256.
    P256,
}

impl KeySpec {
    /// The length of the modulus, or of the curve's field.
    #[must_use]
    pub const fn bits(self) -> i32 {
        match self {
            Self::P256 => 256,
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// Whether a key that the server says this of may be such a key, or for RSA a longer one.
    pub(crate) fn fits(self, view: &View) -> bool {
        use CryptographicAlgorithm::{Ec, Ecdh, Ecdsa, Rsa};
        let is_such = |algorithm| match self {
            Self::P256 => matches!(algorithm, Ec | Ecdh | Ecdsa),
            _ => algorithm == Rsa,
        };
        view.algorithm.is_none_or(is_such) && view.length.is_none_or(|bits| self.takes(bits))
    }

    /// Whether a key of so many bits will do.
    pub(crate) fn takes(self, bits: i32) -> bool {
        match self {
            Self::P256 => bits == self.bits(),
            _ => bits >= self.bits(),
        }
    }

    /// What a request says of the kind of pair.
    pub(crate) fn attributes(self) -> Vec<Attribute> {
        let algorithm = match self {
            Self::P256 => CryptographicAlgorithm::Ec,
            _ => CryptographicAlgorithm::Rsa,
        };
        let mut attributes =
            vec![Attribute::CryptographicAlgorithm(algorithm), Attribute::CryptographicLength(self.bits())];
        if self == Self::P256 {
            let parameters = CryptographicDomainParameters {
                qlength: None,
                recommended_curve: Some(RecommendedCurve::P256),
            };
            attributes.push(Attribute::CryptographicDomainParameters(parameters));
        }
        attributes
    }

    /// What a pair's halves are for: the private and the public one.
    pub(crate) fn usage(self) -> [CryptographicUsageMask; 2] {
        use CryptographicUsageMask as Mask;
        match self {
            // What is encrypted to it is opened by an agreement.
            Self::P256 => {
                [Mask::DERIVE_KEY.with(Mask::KEY_AGREEMENT), Mask::DERIVE_KEY.with(Mask::KEY_AGREEMENT)]
            }
            _ => [Mask::DECRYPT, Mask::ENCRYPT],
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("p-256"),
            _ => write!(f, "rsa-{}", self.bits()),
        }
    }
}
