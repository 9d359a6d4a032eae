//! Parsed keys, ready to work.

use kms_protocol::Secret;
use kms_protocol::enums::{CryptographicAlgorithm, RecommendedCurve};
use rsa::pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};

use super::curve25519::{self, Use};
use super::ec::{Curve, EcPrivateKey, EcPublicKey};
use super::limits::ENCODED_KEY_BYTES;
use super::rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use super::signature::Scheme;
use super::{CryptoError, SUPPORTED_KEYS};

/// id-ecPublicKey (RFC 5480 section 2.1.1).
const EC_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// rsaEncryption (RFC 8017 appendix A.1).
pub(super) const RSA_OID: ObjectIdentifier = rsa::pkcs1::ALGORITHM_OID;

/// A parsed private key. Parsing costs 150 to 190 µs for RSA-2048, so keep it: see [`KeyCache`](super::KeyCache).
///
/// Zeroized when dropped. May be used by many threads at once.
pub struct PrivateKey(Private);

enum Private {
    Rsa(Box<RsaPrivateKey>),
    Ec(Box<EcPrivateKey>),
    Curve25519(Box<curve25519::PrivateKey>),
}

impl PrivateKey {
    /// Parses PKCS#8 DER. Whether the parts fit together is checked, whether the primes are prime is not: that is
    /// for [`PrivateKey::prove`], once, when a key enters.
    ///
    /// # Errors
    /// [`CryptoError::KeyRejected`], [`CryptoError::TooLong`], or [`CryptoError::Unsupported`] for an algorithm or
    /// curve that is not offered here.
    pub fn from_pkcs8(pkcs8: &Secret) -> Result<Self, CryptoError> {
        let bytes = within_limit("the private key", pkcs8.expose())?;
        Ok(Self(match kind_of_private(pkcs8)? {
            Kind::Rsa => Private::Rsa(Box::new(RsaPrivateKey::from_pkcs8(bytes)?)),
            Kind::Ec(curve) => Private::Ec(Box::new(EcPrivateKey::from_pkcs8(curve, bytes)?)),
            Kind::Curve25519(does) => {
                Private::Curve25519(Box::new(curve25519::PrivateKey::from_pkcs8(does, bytes)?))
            }
        }))
    }

    /// Shows that the key works, by using both halves once. Costs one public and one private operation and, for
    /// RSA, a second parsing by the other library; meant for keys that enter from outside.
    ///
    /// # Errors
    /// [`CryptoError::KeyRejected`] for a key whose halves do not undo each other.
    pub fn prove(&self) -> Result<(), CryptoError> {
        let refused = CryptoError::KeyRejected {
            what: "the private key",
            why: "what its public half encrypts it does not decrypt",
            hint: "the key is damaged: take it from its source again",
        };
        match &self.0 {
            Private::Rsa(key) => {
                let public = RsaPublicKey::from_spki(&key.public()?)?;
                let sample = b"the two halves of this key belong together";
                // One hash of each library: a key must serve both.
                for mask in [None, Some(kms_protocol::enums::HashingAlgorithm::Sha256)] {
                    let oaep = Oaep::new(None, mask, b"")?;
                    match key.decrypt(&oaep, &public.encrypt(&oaep, sample)?) {
                        Ok(back) if back.expose() == sample => {}
                        _ => return Err(refused),
                    }
                }
                Ok(())
            }
            // The halves of these are compared whenever one is parsed.
            Private::Ec(_) | Private::Curve25519(_) => self.public().map(drop),
        }
    }

    fn kind(&self) -> Kind {
        match &self.0 {
            Private::Rsa(_) => Kind::Rsa,
            Private::Ec(key) => Kind::Ec(key.curve()),
            Private::Curve25519(key) => Kind::Curve25519(key.does()),
        }
    }

    /// Its algorithm: RSA, EC or Ed25519.
    #[must_use]
    pub fn algorithm(&self) -> CryptographicAlgorithm {
        self.kind().algorithm()
    }

    /// Its curve, of a key that has one to name.
    #[must_use]
    pub fn curve(&self) -> Option<RecommendedCurve> {
        self.kind().curve()
    }

    /// Its length in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match &self.0 {
            Private::Rsa(key) => key.bits(),
            Private::Ec(key) => key.curve().bits(),
            Private::Curve25519(_) => 256,
        }
    }

    /// Its public half as SubjectPublicKeyInfo DER.
    ///
    /// # Errors
    /// [`CryptoError::Library`] when memory runs out.
    pub fn public(&self) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Private::Rsa(key) => key.public(),
            Private::Ec(key) => key.public(),
            Private::Curve25519(key) => key.public(),
        }
    }

    /// Decrypts one RSA-OAEP block (RFC 8017 section 7.1.2).
    ///
    /// # Errors
    /// [`CryptoError::Decryption`] whatever is wrong with the ciphertext, always the same;
    /// [`CryptoError::WrongAlgorithm`] for a key that is not RSA.
    pub fn decrypt(&self, oaep: &Oaep, ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        match &self.0 {
            Private::Rsa(key) => key.decrypt(oaep, ciphertext),
            _ => Err(wrong_algorithm("Decrypt", "RSA", self.kind().name())),
        }
    }

    /// Decrypts one RSA block padded by PKCS#1 v1.5, with implicit rejection.
    ///
    /// # Errors
    /// [`CryptoError::Decryption`] for a block of another length; [`CryptoError::WrongAlgorithm`] for a key that is not RSA.
    pub fn decrypt_pkcs1(&self, ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        match &self.0 {
            Private::Rsa(key) => key.decrypt_pkcs1(ciphertext),
            _ => Err(wrong_algorithm("Decrypt", "RSA", self.kind().name())),
        }
    }

    /// Signs what [`Message::finish`](super::signature::Message::finish) gives: the digest of the data, or for Ed25519 the
    /// data.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for a hash that the scheme does not take here, [`CryptoError::KeyRejected`] for a
    /// digest of another length, [`CryptoError::WrongAlgorithm`] for a scheme of another kind of key.
    pub fn sign(&self, scheme: &Scheme, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Private::Rsa(key) => key.sign(scheme, digest),
            Private::Ec(key) => key.sign(scheme.ecdsa_hash()?, digest),
            Private::Curve25519(key) => {
                scheme.check_ed25519()?;
                key.sign(digest)
            }
        }
    }

    /// The secret that this key and a peer's public key share, by ECDH: as long as a coordinate of their curve.
    ///
    /// # Errors
    /// [`CryptoError::WrongAlgorithm`] for keys that agree on nothing, [`CryptoError::KeyRejected`] for a peer on another
    /// curve.
    pub fn agree(&self, peer: &PublicKey) -> Result<Secret, CryptoError> {
        match (&self.0, &peer.0) {
            (Private::Ec(key), Public::Ec(peer)) => key.agree(peer),
            (Private::Curve25519(key), Public::Curve25519(peer)) => key.agree(peer),
            (Private::Rsa(_), _) | (_, Public::Rsa(_)) => {
                Err(wrong_algorithm("a key agreement", "EC", "RSA"))
            }
            _ => Err(CryptoError::KeyRejected {
                what: "the peer's public key",
                why: "it is on another curve than the private key",
                hint: "both keys of an agreement are on one curve",
            }),
        }
    }
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PrivateKey({} of {} bits)", self.algorithm(), self.bits())
    }
}

/// A parsed public key.
pub struct PublicKey(Public);

enum Public {
    Rsa(Box<RsaPublicKey>),
    Ec(EcPublicKey),
    Curve25519(curve25519::PublicKey),
}

impl PublicKey {
    /// Parses SubjectPublicKeyInfo DER (RFC 5280 section 4.1.2.7), which is KMIP's X.509 key format.
    ///
    /// # Errors
    /// [`CryptoError::KeyRejected`], [`CryptoError::TooLong`], or [`CryptoError::Unsupported`] for an algorithm or
    /// curve that is not offered here.
    pub fn from_spki(spki: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self(match kind_of_public(spki)? {
            Kind::Rsa => Public::Rsa(Box::new(RsaPublicKey::from_spki(spki)?)),
            Kind::Ec(curve) => Public::Ec(EcPublicKey::from_spki(curve, spki)?),
            Kind::Curve25519(does) => Public::Curve25519(curve25519::PublicKey::from_spki(does, spki)?),
        }))
    }

    /// The same of bytes that came where secrets may stand.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki`].
    pub fn from_secret_spki(spki: &Secret) -> Result<Self, CryptoError> {
        Self::from_spki(spki.expose())
    }

    fn kind(&self) -> Kind {
        match &self.0 {
            Public::Rsa(_) => Kind::Rsa,
            Public::Ec(key) => Kind::Ec(key.curve()),
            Public::Curve25519(key) => Kind::Curve25519(key.does()),
        }
    }

    /// Its algorithm: RSA, EC or Ed25519.
    #[must_use]
    pub fn algorithm(&self) -> CryptographicAlgorithm {
        self.kind().algorithm()
    }

    /// Its curve, of a key that has one to name.
    #[must_use]
    pub fn curve(&self) -> Option<RecommendedCurve> {
        self.kind().curve()
    }

    /// Its length in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match &self.0 {
            Public::Rsa(key) => key.bits(),
            Public::Ec(key) => key.curve().bits(),
            Public::Curve25519(_) => 256,
        }
    }

    /// Encrypts one RSA-OAEP block (RFC 8017 section 7.1.1).
    ///
    /// # Errors
    /// [`CryptoError::PlaintextTooLong`]; [`CryptoError::WrongAlgorithm`] for a key that is not RSA.
    pub fn encrypt(&self, oaep: &Oaep, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Public::Rsa(key) => key.encrypt(oaep, plaintext),
            _ => Err(wrong_algorithm("Encrypt", "RSA", self.kind().name())),
        }
    }

    /// Encrypts one RSA block padded by PKCS#1 v1.5.
    ///
    /// # Errors
    /// As [`PublicKey::encrypt`].
    pub fn encrypt_pkcs1(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Public::Rsa(key) => key.encrypt_pkcs1(plaintext),
            _ => Err(wrong_algorithm("Encrypt", "RSA", self.kind().name())),
        }
    }

    /// Whether a signature is that of a digest.
    ///
    /// # Errors
    /// As [`PrivateKey::sign`].
    pub fn verify(&self, scheme: &Scheme, digest: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        match &self.0 {
            Public::Rsa(key) => key.verify(scheme, digest, signature),
            Public::Ec(key) => key.verify(scheme.ecdsa_hash()?, digest, signature),
            Public::Curve25519(key) => {
                scheme.check_ed25519()?;
                key.verify(digest, signature)
            }
        }
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PublicKey({} of {} bits)", self.algorithm(), self.bits())
    }
}

/// The bytes, unless no key is that long.
pub(super) fn within_limit<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], CryptoError> {
    if bytes.len() > ENCODED_KEY_BYTES {
        return Err(CryptoError::TooLong { what, length: bytes.len(), limit: ENCODED_KEY_BYTES });
    }
    Ok(bytes)
}

/// What kind a key is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Rsa,
    Ec(Curve),
    Curve25519(Use),
}

impl Kind {
    pub(super) fn algorithm(self) -> CryptographicAlgorithm {
        match self {
            Self::Rsa => CryptographicAlgorithm::Rsa,
            Self::Ec(_) => CryptographicAlgorithm::Ec,
            Self::Curve25519(does) => does.algorithm(),
        }
    }

    /// Ed25519 says it by its name.
    pub(super) fn curve(self) -> Option<RecommendedCurve> {
        match self {
            Self::Rsa | Self::Curve25519(Use::Sign) => None,
            Self::Ec(curve) => Some(curve.recommended()),
            Self::Curve25519(Use::Agree) => Some(RecommendedCurve::Curve25519),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Ec(_) => "EC",
            Self::Curve25519(Use::Sign) => "Ed25519",
            Self::Curve25519(Use::Agree) => "X25519",
        }
    }
}

/// What kind a private key in PKCS#8 is.
pub(super) fn kind_of_private(pkcs8: &Secret) -> Result<Kind, CryptoError> {
    let bytes = within_limit("the private key", pkcs8.expose())?;
    let info = PrivateKeyInfoRef::try_from(bytes).map_err(|_| CryptoError::KeyRejected {
        what: "the private key",
        why: "it is not PKCS#8 DER",
        hint: "convert it with `openssl pkcs8 -topk8 -nocrypt -outform DER`",
    })?;
    kind(&info.algorithm)
}

/// What kind a public key in `SubjectPublicKeyInfo` is.
pub(super) fn kind_of_public(spki: &[u8]) -> Result<Kind, CryptoError> {
    let bytes = within_limit("the public key", spki)?;
    let info = SubjectPublicKeyInfoRef::try_from(bytes).map_err(|_| CryptoError::KeyRejected {
        what: "the public key",
        why: "it is not SubjectPublicKeyInfo DER",
        hint: "convert it with `openssl pkey -pubin -pubout -outform DER`",
    })?;
    kind(&info.algorithm)
}

/// A curve is taken by its name only: aws-lc also takes explicit parameters, which have been used for forgeries
/// (CVE-2020-0601) and by nobody else.
fn kind(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Kind, CryptoError> {
    let unsupported =
        |what, asked| CryptoError::Unsupported { what, asked, supported: SUPPORTED_KEYS.to_owned() };
    match algorithm.oid {
        RSA_OID => Ok(Kind::Rsa),
        EC_OID => match algorithm.parameters_oid() {
            Ok(curve) => Curve::of_oid(curve)
                .map(Kind::Ec)
                .ok_or_else(|| unsupported("the key's curve", curve.to_string())),
            Err(_) => Err(unsupported("the key's curve", "(not named by an OID)".to_owned())),
        },
        other => Use::of_oid(other)
            .map(Kind::Curve25519)
            .ok_or_else(|| unsupported("the key's algorithm", other.to_string())),
    }
}

fn wrong_algorithm(operation: &'static str, needs: &'static str, is: &'static str) -> CryptoError {
    CryptoError::WrongAlgorithm { operation, needs, is }
}
