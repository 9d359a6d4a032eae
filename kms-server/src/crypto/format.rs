//! The encodings of keys, from one to another (KMIP 1.4 section 9.1.3.2.3, Key Format Type).
//!
//! Inside this server a private key is PKCS#8 and a public key SubjectPublicKeyInfo ("X.509"); these functions are
//! for what clients send and ask for. Converting what came from outside does not prove it: parse the result with
//! [`PrivateKey`](super::PrivateKey) or [`PublicKey`](super::PublicKey).

use kms_protocol::Secret;
use kms_protocol::enums::{CryptographicAlgorithm, RecommendedCurve};
use rsa::BoxedUint;
use rsa::pkcs1::der::asn1::{BitStringRef, OctetStringRef, UintRef};
use rsa::pkcs1::der::{Decode, Encode};
use rsa::pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use rsa::pkcs8::{
    EncodePrivateKey, EncodePublicKey, PrivateKeyInfoRef, SecretDocument, SubjectPublicKeyInfoRef,
};
use rsa::traits::PublicKeyParts;

use super::CryptoError;
use super::curve25519::Use;
use super::ec::{self, Curve};
use super::key::{Kind, RSA_OID, kind_of_private, kind_of_public, within_limit};
use super::limits::{RSA_MAX_BITS, RSA_MIN_BITS};

/// The public exponent of practically every RSA key, assumed where a Transparent RSA Private Key states none.
const USUAL_EXPONENT: [u8; 3] = [1, 0, 1];

/// The longest public exponent that the libraries take is below 2^33.
const PUBLIC_EXPONENT_BYTES: usize = 5;

/// The parts of an RSA private key: big-endian, unsigned, without leading zeros (KMIP 1.4 section 2.1.7.4).
#[derive(Debug, PartialEq, Eq)]
pub struct RsaPrivateParts {
    /// n.
    pub modulus: Vec<u8>,
    /// e.
    pub public_exponent: Vec<u8>,
    /// d.
    pub private_exponent: Secret,
    /// The first prime.
    pub p: Secret,
    /// The second prime.
    pub q: Secret,
    /// d mod (p - 1).
    pub prime_exponent_p: Secret,
    /// d mod (q - 1).
    pub prime_exponent_q: Secret,
    /// The inverse of q modulo p.
    pub crt_coefficient: Secret,
}

/// What a client may state of an RSA private key: the modulus, and the Private Exponent or both primes.
///
/// The CRT values are not asked for: they follow from these.
#[derive(Debug, Clone, Copy)]
pub struct RsaPrivateInput<'a> {
    /// n.
    pub modulus: &'a [u8],
    /// e; 65537 if absent.
    pub public_exponent: Option<&'a [u8]>,
    /// d.
    pub private_exponent: Option<&'a Secret>,
    /// Both primes.
    pub primes: Option<(&'a Secret, &'a Secret)>,
}

/// The parts of an RSA public key: big-endian, unsigned, without leading zeros (KMIP 1.4 section 2.1.7.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicParts {
    /// n.
    pub modulus: Vec<u8>,
    /// e.
    pub public_exponent: Vec<u8>,
}

/// The same key again, where two owners need it at a time.
#[must_use]
pub fn copy(key: &Secret) -> Secret {
    Secret::from(key.expose())
}

/// PKCS#8 to PKCS#1 (RFC 8017 appendix A.1.2).
///
/// # Errors
/// [`CryptoError::KeyRejected`] for anything but an RSA key in PKCS#8.
pub fn pkcs8_to_pkcs1(pkcs8: &Secret) -> Result<Secret, CryptoError> {
    let inner = rsa_inside_pkcs8(pkcs8)?;
    read_pkcs1(inner)?;
    Ok(Secret::from(inner))
}

/// PKCS#1 to PKCS#8.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for anything but an RSA private key in PKCS#1.
pub fn pkcs1_to_pkcs8(pkcs1: &Secret) -> Result<Secret, CryptoError> {
    let bytes = within_limit("the private key", pkcs1.expose())?;
    read_pkcs1(bytes)?;
    let document = OctetStringRef::new(bytes)
        .and_then(|inner| {
            SecretDocument::encode_msg(&PrivateKeyInfoRef::new(rsa::pkcs1::ALGORITHM_ID, inner))
        })
        .map_err(|_| not_pkcs1())?;
    Ok(Secret::from(document.as_bytes()))
}

/// SubjectPublicKeyInfo to the PKCS#1 public key (RFC 8017 appendix A.1.1).
///
/// # Errors
/// [`CryptoError::KeyRejected`] for anything but an RSA key in SubjectPublicKeyInfo.
pub fn spki_to_pkcs1(spki: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let inner = rsa_inside_spki(spki)?;
    RsaPublicKeyRef::from_der(inner).map_err(|_| not_spki())?;
    Ok(inner.to_vec())
}

/// The PKCS#1 public key to SubjectPublicKeyInfo.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for anything but an RSA public key in PKCS#1.
pub fn pkcs1_to_spki(pkcs1: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let refused = |_| CryptoError::KeyRejected {
        what: "the public key",
        why: "it is not an RSA public key in PKCS#1 DER",
        hint: "convert it with `openssl rsa -pubin -RSAPublicKey_out -outform DER`",
    };
    let bytes = within_limit("the public key", pkcs1)?;
    RsaPublicKeyRef::from_der(bytes).map_err(refused)?;
    let subject_public_key = BitStringRef::from_bytes(bytes).map_err(refused)?;
    SubjectPublicKeyInfoRef { algorithm: rsa::pkcs1::ALGORITHM_ID, subject_public_key }
        .to_der()
        .map_err(refused)
}

/// PKCS#8 to SEC1, KMIP's EC Private Key format (RFC 5915), with its curve and public half.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for a key that is none of SEC1's.
pub fn pkcs8_to_sec1(pkcs8: &Secret) -> Result<Secret, CryptoError> {
    match kind_of_private(pkcs8)? {
        Kind::Ec(curve) => curve.to_sec1(pkcs8.expose()),
        Kind::Rsa | Kind::Curve25519(_) => Err(ec::refused()),
    }
}

/// SEC1 to PKCS#8. A key that does not name its curve is on NIST's of its length.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for anything but a key on a supported curve in SEC1.
pub fn sec1_to_pkcs8(sec1: &Secret) -> Result<Secret, CryptoError> {
    ec::sec1_to_pkcs8(within_limit("the private key", sec1.expose())?)
}

/// The parts of an RSA private key in PKCS#8, for a Transparent RSA Private Key.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for anything but an RSA key in PKCS#8.
pub fn rsa_private_parts(pkcs8: &Secret) -> Result<RsaPrivateParts, CryptoError> {
    let key = read_pkcs1(rsa_inside_pkcs8(pkcs8)?)?;
    let secret = |part: UintRef<'_>| Secret::from(part.as_bytes());
    Ok(RsaPrivateParts {
        modulus: key.modulus.as_bytes().to_vec(),
        public_exponent: key.public_exponent.as_bytes().to_vec(),
        private_exponent: secret(key.private_exponent),
        p: secret(key.prime1),
        q: secret(key.prime2),
        prime_exponent_p: secret(key.exponent1),
        prime_exponent_q: secret(key.exponent2),
        crt_coefficient: secret(key.coefficient),
    })
}

/// PKCS#8 of a Transparent RSA Private Key. Its parts are checked against each other.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for parts that are missing, too long, or do not fit together.
pub fn rsa_private_from_parts(parts: &RsaPrivateInput<'_>) -> Result<Secret, CryptoError> {
    let refused = |why| CryptoError::KeyRejected {
        what: "the Transparent RSA Private Key",
        why,
        hint: "state Modulus and Private Exponent, or Modulus, P and Q, and the Public Exponent unless it is 65537",
    };
    let misfit = || refused("its parts do not fit together");
    let modulus = without_leading_zeros(parts.modulus);
    if !(RSA_MIN_BITS / 8..=RSA_MAX_BITS / 8).contains(&modulus.len()) {
        return Err(refused("its Modulus has fewer than 2048 or more than 8192 bits"));
    }
    let exponent = without_leading_zeros(parts.public_exponent.unwrap_or(&USUAL_EXPONENT));
    if exponent.len() > PUBLIC_EXPONENT_BYTES || is_even(exponent) {
        return Err(refused("its Public Exponent is even or longer than 40 bits"));
    }
    // The rsa crate panics on some numbers that no key has, a Private Exponent of 0 among them.
    let part = |secret: &Secret, limit: usize| {
        let bytes = without_leading_zeros(secret.expose());
        if bytes.len() > limit || is_even(bytes) { Err(misfit()) } else { number(bytes).ok_or_else(misfit) }
    };
    // Both primes of a key have half the length of its modulus.
    let primes = match parts.primes {
        Some((p, q)) => {
            let limit = modulus.len().div_ceil(2);
            Some((part(p, limit)?, part(q, limit)?))
        }
        None => None,
    };
    let length = modulus.len();
    let modulus = number(modulus).ok_or_else(misfit)?;
    let exponent = number(exponent).ok_or_else(misfit)?;
    let key = match (parts.private_exponent, primes) {
        (Some(d), primes) => {
            let d = part(d, length)?;
            let primes = primes.map_or_else(Vec::new, |(p, q)| vec![p, q]);
            rsa::PrivateKey::from_components(modulus, exponent, d, primes).map_err(|_| misfit())?
        }
        (None, Some((p, q))) => {
            let key = rsa::PrivateKey::from_p_q(p, q, exponent).map_err(|_| misfit())?;
            if key.n().as_ref() != &modulus {
                return Err(refused("the Modulus is not the product of P and Q"));
            }
            key
        }
        (None, None) => return Err(refused("it has neither the Private Exponent nor P and Q")),
    };
    let document = key.to_pkcs8_der().map_err(|_| refused("it cannot be encoded"))?;
    Ok(Secret::from(document.as_bytes()))
}

/// The parts of an RSA public key in SubjectPublicKeyInfo, for a Transparent RSA Public Key.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for anything but an RSA key in SubjectPublicKeyInfo.
pub fn rsa_public_parts(spki: &[u8]) -> Result<RsaPublicParts, CryptoError> {
    let key = RsaPublicKeyRef::from_der(rsa_inside_spki(spki)?).map_err(|_| not_spki())?;
    Ok(RsaPublicParts {
        modulus: key.modulus.as_bytes().to_vec(),
        public_exponent: key.public_exponent.as_bytes().to_vec(),
    })
}

/// SubjectPublicKeyInfo of a Transparent RSA Public Key.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for a modulus or exponent that no RSA key has.
pub fn rsa_public_from_parts(parts: &RsaPublicParts) -> Result<Vec<u8>, CryptoError> {
    let refused = || CryptoError::KeyRejected {
        what: "the Transparent RSA Public Key",
        why: "its Modulus or Public Exponent cannot be used",
        hint: "the Modulus is odd and has at most 8192 bits; the Public Exponent is odd, usually 65537",
    };
    let modulus = without_leading_zeros(&parts.modulus);
    let exponent = without_leading_zeros(&parts.public_exponent);
    if modulus.len() > RSA_MAX_BITS / 8 || exponent.len() > PUBLIC_EXPONENT_BYTES {
        return Err(refused());
    }
    let modulus = number(modulus).ok_or_else(refused)?;
    let exponent = number(exponent).ok_or_else(refused)?;
    let key = rsa::PublicKey::new(modulus, exponent).map_err(|_| refused())?;
    Ok(key.to_public_key_der().map_err(|_| refused())?.into_vec())
}

/// The curve and D of a Transparent EC Private Key: as long as the curve's order, or the 32 bytes of RFC 8032 or RFC 7748 in
/// their own order.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for an RSA key, and for what is no PKCS#8.
pub fn ec_private_scalar(pkcs8: &Secret) -> Result<(RecommendedCurve, Secret), CryptoError> {
    match kind_of_private(pkcs8)? {
        Kind::Rsa => Err(ec::refused()),
        Kind::Ec(curve) => Ok((curve.recommended(), curve.scalar(pkcs8.expose())?)),
        Kind::Curve25519(does) => Ok((RecommendedCurve::Curve25519, does.private_bytes(pkcs8.expose())?)),
    }
}

/// PKCS#8 of D on a curve, `None` for a curve that is not supported. Leading zeros may be absent or too many, as a Big
/// Integer has them. The algorithm tells Ed25519 from X25519.
///
/// # Errors
/// [`CryptoError::KeyRejected`] unless D is between 1 and the curve's order.
pub fn ec_private_from_scalar(
    algorithm: Option<CryptographicAlgorithm>,
    curve: RecommendedCurve,
    scalar: &Secret,
) -> Result<Option<Secret>, CryptoError> {
    match (curve, Curve::of(curve)) {
        (RecommendedCurve::Curve25519, _) => {
            let padded = ec::left_padded(scalar, 32).ok_or_else(ec::refused)?;
            Use::of(algorithm).private_from_bytes(padded.expose()).map(Some)
        }
        (_, Some(curve)) => curve.private_from_scalar(scalar).map(Some),
        (_, None) => Ok(None),
    }
}

/// The curve and Q String of a Transparent EC Public Key: the uncompressed point, or the 32 bytes of RFC 8032 or RFC 7748.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for an RSA key, and for what is no `SubjectPublicKeyInfo`.
pub fn ec_public_point(spki: &[u8]) -> Result<(RecommendedCurve, Vec<u8>), CryptoError> {
    match kind_of_public(spki)? {
        Kind::Rsa => Err(ec::refused()),
        Kind::Ec(curve) => Ok((curve.recommended(), curve.point(spki)?)),
        Kind::Curve25519(does) => Ok((RecommendedCurve::Curve25519, does.public_bytes(spki)?)),
    }
}

/// `SubjectPublicKeyInfo` of a point on a curve, compressed or not; `None` for a curve that is not supported. The algorithm
/// tells Ed25519 from X25519.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for bytes that are no point of the curve.
pub fn ec_public_from_point(
    algorithm: Option<CryptographicAlgorithm>,
    curve: RecommendedCurve,
    point: &[u8],
) -> Result<Option<Vec<u8>>, CryptoError> {
    match (curve, Curve::of(curve)) {
        (RecommendedCurve::Curve25519, _) => Use::of(algorithm).public_from_bytes(point).map(Some),
        (_, Some(curve)) => curve.public_from_point(point).map(Some),
        (_, None) => Ok(None),
    }
}

fn rsa_inside_pkcs8(pkcs8: &Secret) -> Result<&[u8], CryptoError> {
    let bytes = within_limit("the private key", pkcs8.expose())?;
    let info = PrivateKeyInfoRef::try_from(bytes).map_err(|_| not_pkcs8())?;
    if info.algorithm.oid != RSA_OID {
        return Err(not_pkcs8());
    }
    Ok(info.private_key.as_bytes())
}

fn rsa_inside_spki(spki: &[u8]) -> Result<&[u8], CryptoError> {
    let info =
        SubjectPublicKeyInfoRef::try_from(within_limit("the public key", spki)?).map_err(|_| not_spki())?;
    if info.algorithm.oid != RSA_OID {
        return Err(not_spki());
    }
    info.subject_public_key.as_bytes().ok_or_else(not_spki)
}

/// Two primes only: aws-lc takes no more, and nobody makes such keys.
fn read_pkcs1(bytes: &[u8]) -> Result<RsaPrivateKeyRef<'_>, CryptoError> {
    RsaPrivateKeyRef::from_der(bytes).ok().filter(|key| key.other_prime_infos.is_none()).ok_or_else(not_pkcs1)
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Nothing at all is the number 0.
fn is_even(bytes: &[u8]) -> bool {
    bytes.last().is_none_or(|last| last % 2 == 0)
}

/// The unsigned number that these bytes are; its length is the caller's to check. Nothing is no number.
fn number(bytes: &[u8]) -> Option<BoxedUint> {
    let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8).filter(|bits| *bits > 0)?;
    BoxedUint::from_be_slice(bytes, bits).ok()
}

fn not_pkcs8() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the private key",
        why: "it is not an RSA key in PKCS#8 DER",
        hint: "convert it with `openssl pkcs8 -topk8 -nocrypt -outform DER`",
    }
}

fn not_pkcs1() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the private key",
        why: "it is not an RSA private key of two primes in PKCS#1 DER",
        hint: "convert it with `openssl rsa -traditional -outform DER`",
    }
}

fn not_spki() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the public key",
        why: "it is not an RSA key in SubjectPublicKeyInfo DER",
        hint: "convert it with `openssl pkey -pubin -pubout -outform DER`",
    }
}
