//! Curves with keys of SEC1: ECDSA (FIPS 186-5) and Diffie-Hellman key agreement (NIST SP 800-56A), on which Derive Key by
//! Asymmetric Key stands.
//!
//! aws-lc does what it offers: signatures with the curve's own hash, and agreements on NIST's curves. The RustCrypto
//! project's crates do the rest: other hashes, and agreements on secp256k1.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, PublicKeyX509Der};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1,
    ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair as _,
};
use kms_protocol::Secret;
use kms_protocol::enums::{HashingAlgorithm, RecommendedCurve};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::elliptic_curve::sec1::ToSec1Point;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, ObjectIdentifier};
use sec1::der::Decode as _;
use zeroize::{Zeroize, Zeroizing};

use super::rsa::{imported, wrong_digest};
use super::signature::unsupported;
use super::{CryptoError, KeyPair, hash};

/// A curve whose keys work here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
    Secp256k1,
}

/// The same with the curve's own crate under one name.
macro_rules! by_curve {
    ($curve:expr, $lib:ident => $work:expr) => {
        match $curve {
            Curve::P256 => {
                use p256 as $lib;
                $work
            }
            Curve::P384 => {
                use p384 as $lib;
                $work
            }
            Curve::P521 => {
                use p521 as $lib;
                $work
            }
            Curve::Secp256k1 => {
                use k256 as $lib;
                $work
            }
        }
    };
}

impl Curve {
    pub(super) const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::Secp256k1];

    /// RFC 5480 section 2.1.1.1; SEC 2 section A.2.
    pub(super) fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::P256 => "1.2.840.10045.3.1.7",
            Self::P384 => "1.3.132.0.34",
            Self::P521 => "1.3.132.0.35",
            Self::Secp256k1 => "1.3.132.0.10",
        })
    }

    pub(super) fn of_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid() == oid)
    }

    pub(super) fn recommended(self) -> RecommendedCurve {
        match self {
            Self::P256 => RecommendedCurve::P256,
            Self::P384 => RecommendedCurve::P384,
            Self::P521 => RecommendedCurve::P521,
            Self::Secp256k1 => RecommendedCurve::Secp256K1,
        }
    }

    pub(super) fn of(curve: RecommendedCurve) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.recommended() == curve)
    }

    pub(super) fn bits(self) -> usize {
        match self {
            Self::P256 | Self::Secp256k1 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// How long a coordinate and a private key are.
    fn bytes(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// The hash of the curve's strength, which aws-lc signs with.
    fn own_hash(self) -> HashingAlgorithm {
        match self {
            Self::P256 | Self::Secp256k1 => HashingAlgorithm::Sha256,
            Self::P384 => HashingAlgorithm::Sha384,
            Self::P521 => HashingAlgorithm::Sha512,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
            Self::Secp256k1 => &ECDSA_P256K1_SHA256_ASN1_SIGNING,
        }
    }

    fn verifying(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
            Self::Secp256k1 => &ECDSA_P256K1_SHA256_ASN1,
        }
    }

    fn agreement(self) -> Option<&'static agreement::Algorithm> {
        match self {
            Self::P256 => Some(&ECDH_P256),
            Self::P384 => Some(&ECDH_P384),
            Self::P521 => Some(&ECDH_P521),
            Self::Secp256k1 => None,
        }
    }

    /// A new pair.
    pub(super) fn generate(self) -> Result<KeyPair, CryptoError> {
        let failed = |_| CryptoError::Library("a pair on an elliptic curve could not be generated");
        let key = EcdsaKeyPair::generate(self.signing()).map_err(failed)?;
        let private = key.to_pkcs8v1().map_err(failed)?;
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(failed)?;
        Ok(KeyPair { private: Secret::from(private.as_ref()), public: public.as_ref().to_vec() })
    }

    /// The pair of a private scalar that `fill` gives; what is none of the curve it is asked to give anew.
    pub(super) fn pair_of(self, mut fill: impl FnMut(&mut [u8])) -> Result<KeyPair, CryptoError> {
        loop {
            let mut scalar = Zeroizing::new(vec![0; self.bytes()]);
            fill(&mut scalar);
            // The order of P-521 has one bit in its first byte.
            if let (Self::P521, Some(first)) = (self, scalar.first_mut()) {
                *first &= 1;
            }
            let Ok(private) = self.private_from_scalar(&Secret::from(scalar.as_slice())) else { continue };
            let public = EcPrivateKey::from_pkcs8(self, private.expose())?.public()?;
            return Ok(KeyPair { private, public });
        }
    }

    /// PKCS#8 to SEC1 (RFC 5915), with its curve and public half.
    pub(super) fn to_sec1(self, pkcs8: &[u8]) -> Result<Secret, CryptoError> {
        // The same bytes as the RustCrypto project's, in a tenth of the time: each new pair's digest is of these.
        let key = EcdsaKeyPair::from_pkcs8(self.signing(), pkcs8).map_err(|_| refused())?;
        let der: EcPrivateKeyRfc5915Der<'_> = key.private_key().as_der().map_err(|_| refused())?;
        Ok(Secret::from(der.as_ref()))
    }

    /// The private scalar, of full length.
    pub(super) fn scalar(self, pkcs8: &[u8]) -> Result<Secret, CryptoError> {
        by_curve!(self, lib => {
            let mut scalar = lib::SecretKey::from_pkcs8_der(pkcs8).map_err(|_| refused())?.to_bytes();
            let out = Secret::from(scalar.as_slice());
            scalar.as_mut_slice().zeroize();
            Ok(out)
        })
    }

    /// PKCS#8 of a private scalar, whose leading zeros may be absent or too many, as a Big Integer has them.
    pub(super) fn private_from_scalar(self, scalar: &Secret) -> Result<Secret, CryptoError> {
        let padded = left_padded(scalar, self.bytes()).ok_or_else(refused)?;
        by_curve!(self, lib => {
            let key = lib::SecretKey::from_slice(padded.expose()).map_err(|_| refused())?;
            Ok(Secret::from(key.to_pkcs8_der().map_err(|_| refused())?.as_bytes()))
        })
    }

    /// The uncompressed point.
    pub(super) fn point(self, spki: &[u8]) -> Result<Vec<u8>, CryptoError> {
        by_curve!(self, lib => {
            let key = lib::PublicKey::from_public_key_der(spki).map_err(|_| refused())?;
            Ok(key.to_sec1_point(false).as_bytes().to_vec())
        })
    }

    /// `SubjectPublicKeyInfo` of a point, compressed or not.
    pub(super) fn public_from_point(self, point: &[u8]) -> Result<Vec<u8>, CryptoError> {
        by_curve!(self, lib => {
            let key = lib::PublicKey::from_sec1_bytes(point).map_err(|_| refused())?;
            Ok(key.to_public_key_der().map_err(|_| refused())?.into_vec())
        })
    }
}

/// SEC1 to PKCS#8. A key that does not name its curve is on that of its length.
pub(super) fn sec1_to_pkcs8(sec1: &[u8]) -> Result<Secret, CryptoError> {
    let key = sec1::EcPrivateKey::from_der(sec1).map_err(|_| refused())?;
    let curve = match key.parameters.and_then(sec1::EcParameters::named_curve) {
        Some(oid) => Curve::of_oid(oid),
        None => Curve::ALL.into_iter().find(|curve| curve.bytes() == key.private_key.len()),
    };
    by_curve!(curve.ok_or_else(refused)?, lib => {
        let key = lib::SecretKey::from_sec1_der(sec1).map_err(|_| refused())?;
        Ok(Secret::from(key.to_pkcs8_der().map_err(|_| refused())?.as_bytes()))
    })
}

/// A parsed private key.
pub(super) struct EcPrivateKey {
    curve: Curve,
    /// For what aws-lc does not offer.
    pkcs8: Secret,
    signing: EcdsaKeyPair,
    agreement: Option<agreement::PrivateKey>,
}

impl EcPrivateKey {
    pub(super) fn from_pkcs8(curve: Curve, pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let agreement =
            curve.agreement().map(|with| agreement::PrivateKey::from_private_key_der(with, pkcs8));
        Ok(Self {
            curve,
            pkcs8: Secret::from(pkcs8),
            signing: EcdsaKeyPair::from_pkcs8(curve.signing(), pkcs8).map_err(|_| refused())?,
            agreement: agreement.transpose().map_err(|_| refused())?,
        })
    }

    pub(super) fn curve(&self) -> Curve {
        self.curve
    }

    /// Signs a digest by ECDSA; the signature is DER (RFC 3279 section 2.2.3).
    pub(super) fn sign(&self, hash: HashingAlgorithm, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let failed = || CryptoError::Library("an ECDSA signature failed");
        if hash == self.curve.own_hash() {
            let signature = self.signing.sign_digest(&imported(hash, digest)?);
            return Ok(signature.map_err(|_| failed())?.as_ref().to_vec());
        }
        check_length(hash, digest)?;
        by_curve!(self.curve, lib => {
            let key = lib::SecretKey::from_pkcs8_der(self.pkcs8.expose()).map_err(|_| refused())?;
            let signature: lib::ecdsa::DerSignature =
                lib::ecdsa::SigningKey::from(&key).sign_prehash(digest).map_err(|_| failed())?;
            Ok(signature.as_bytes().to_vec())
        })
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, CryptoError> {
        let der: Result<PublicKeyX509Der<'_>, _> = self.signing.public_key().as_der();
        let der = der.map_err(|_| CryptoError::Library("an EC public key could not be encoded"))?;
        Ok(der.as_ref().to_vec())
    }

    /// The shared secret: the x-coordinate, of full length.
    pub(super) fn agree(&self, peer: &EcPublicKey) -> Result<Secret, CryptoError> {
        if peer.curve != self.curve {
            return Err(CryptoError::KeyRejected {
                what: "the peer's public key",
                why: "it is on another curve than the private key",
                hint: "both keys of an agreement are on one curve",
            });
        }
        match (&self.agreement, self.curve.agreement()) {
            (Some(key), Some(with)) => {
                let peer = UnparsedPublicKey::new(with, &peer.spki);
                agreement::agree(key, peer, refused_public(), |shared| Ok(Secret::from(shared)))
            }
            _ => {
                let own = k256::SecretKey::from_pkcs8_der(self.pkcs8.expose()).map_err(|_| refused())?;
                let peer = k256::PublicKey::from_public_key_der(&peer.spki).map_err(|_| refused_public())?;
                Ok(Secret::from(own.diffie_hellman(&peer).raw_secret_bytes().as_slice()))
            }
        }
    }
}

/// A public key whose point is known to lie on its curve, as `SubjectPublicKeyInfo`.
pub(super) struct EcPublicKey {
    curve: Curve,
    spki: Vec<u8>,
}

impl EcPublicKey {
    pub(super) fn from_spki(curve: Curve, spki: &[u8]) -> Result<Self, CryptoError> {
        let is_point = match curve.agreement() {
            Some(with) => agreement::ParsedPublicKey::try_from(UnparsedPublicKey::new(with, spki))
                .is_ok_and(|key| key.alg() == with),
            None => k256::PublicKey::from_public_key_der(spki).is_ok(),
        };
        if is_point { Ok(Self { curve, spki: spki.to_vec() }) } else { Err(refused_public()) }
    }

    pub(super) fn curve(&self) -> Curve {
        self.curve
    }

    /// Whether a signature, in DER, is that of a digest.
    pub(super) fn verify(
        &self,
        hash: HashingAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        if hash == self.curve.own_hash() {
            let key = signature::UnparsedPublicKey::new(self.curve.verifying(), &self.spki);
            return Ok(key.verify_digest(&imported(hash, digest)?, signature).is_ok());
        }
        check_length(hash, digest)?;
        by_curve!(self.curve, lib => {
            let key = lib::PublicKey::from_public_key_der(&self.spki).map_err(|_| refused_public())?;
            let Ok(signature) = lib::ecdsa::Signature::from_der(signature) else { return Ok(false) };
            // k256 takes one of the two signatures that are equally valid; others make either.
            let signature = signature.normalize_s();
            Ok(lib::ecdsa::VerifyingKey::from(&key).verify_prehash(digest, &signature).is_ok())
        })
    }
}

fn check_length(hash: HashingAlgorithm, digest: &[u8]) -> Result<(), CryptoError> {
    if hash == HashingAlgorithm::Md5 {
        return Err(unsupported("Hashing Algorithm", &hash, "SHA-1, a SHA-2 or a SHA-3"));
    }
    if hash::start(hash)?.output_size() == digest.len() { Ok(()) } else { Err(wrong_digest()) }
}

/// A number as that many bytes, unless it is longer.
pub(super) fn left_padded(number: &Secret, bytes: usize) -> Option<Secret> {
    let zeros = number.expose().iter().take_while(|byte| **byte == 0).count();
    let significant = number.expose().get(zeros..)?;
    let mut padded = Zeroizing::new(vec![0; bytes]);
    padded.get_mut(bytes.checked_sub(significant.len())?..)?.copy_from_slice(significant);
    Some(Secret::from(padded.as_slice()))
}

pub(super) fn refused() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the EC key",
        why: "it is not a valid key on its curve in the encoding that was stated",
        hint: "check it with `openssl pkey -check -noout -in FILE`; P-256, P-384, P-521 and secp256k1 are supported",
    }
}

fn refused_public() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the EC public key",
        why: "it is not a point on its curve",
        hint: "check it with `openssl pkey -pubin -pubcheck -noout -in FILE`",
    }
}
