//! Parsed keys, ready to work.

use kms_protocol::Secret;
use kms_protocol::enums::CryptographicAlgorithm;
use rsa::pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};

use super::CryptoError;
use super::ec::{EcPrivateKey, EcPublicKey};
use super::limits::ENCODED_KEY_BYTES;
use super::rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use super::signature::Scheme;

/// id-ecPublicKey (RFC 5480 section 2.1.1).
const EC_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp256r1 (RFC 5480 section 2.1.1.1), also called P-256.
const P256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// rsaEncryption (RFC 8017 appendix A.1).
pub(super) const RSA_OID: ObjectIdentifier = rsa::pkcs1::ALGORITHM_OID;

/// A parsed private key. Parsing costs 150 to 190 µs for RSA-2048, so keep it: see [`KeyCache`](super::KeyCache).
///
/// Zeroized when dropped. May be used by many threads at once.
pub struct PrivateKey(Private);

enum Private {
    Rsa(Box<RsaPrivateKey>),
    P256(Box<EcPrivateKey>),
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
        let info = PrivateKeyInfoRef::try_from(bytes).map_err(|_| CryptoError::KeyRejected {
            what: "the private key",
            why: "it is not PKCS#8 DER",
            hint: "convert it with `openssl pkcs8 -topk8 -nocrypt -outform DER`",
        })?;
        match kind(&info.algorithm)? {
            Kind::Rsa => Ok(Self(Private::Rsa(Box::new(RsaPrivateKey::from_pkcs8(bytes)?)))),
            Kind::P256 => Ok(Self(Private::P256(Box::new(EcPrivateKey::from_pkcs8(bytes)?)))),
        }
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
            // aws-lc compares the halves of an EC key whenever it parses one.
            Private::P256(key) => key.public().map(drop),
        }
    }

    /// Its algorithm: RSA or EC.
    #[must_use]
    pub fn algorithm(&self) -> CryptographicAlgorithm {
        match &self.0 {
            Private::Rsa(_) => CryptographicAlgorithm::Rsa,
            Private::P256(_) => CryptographicAlgorithm::Ec,
        }
    }

    /// Its length in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match &self.0 {
            Private::Rsa(key) => key.bits(),
            Private::P256(_) => 256,
        }
    }

    /// Its public half as SubjectPublicKeyInfo DER.
    ///
    /// # Errors
    /// [`CryptoError::Library`] when memory runs out.
    pub fn public(&self) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Private::Rsa(key) => key.public(),
            Private::P256(key) => key.public(),
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
            Private::P256(_) => Err(wrong_algorithm("Decrypt", "RSA", "EC")),
        }
    }

    /// Decrypts one RSA block padded by PKCS#1 v1.5, with implicit rejection.
    ///
    /// # Errors
    /// [`CryptoError::Decryption`] for a block of another length; [`CryptoError::WrongAlgorithm`] for a key that is not RSA.
    pub fn decrypt_pkcs1(&self, ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        match &self.0 {
            Private::Rsa(key) => key.decrypt_pkcs1(ciphertext),
            Private::P256(_) => Err(wrong_algorithm("Decrypt", "RSA", "EC")),
        }
    }

    /// Signs the digest of what is to be signed.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for a hash that the scheme does not take here, [`CryptoError::KeyRejected`] for a
    /// digest of another length.
    pub fn sign(&self, scheme: &Scheme, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Private::Rsa(key) => key.sign(scheme, digest),
            Private::P256(key) => key.sign(scheme.hash(), digest),
        }
    }

    /// The secret that this key and a peer's public key share, by ECDH: 32 bytes for P-256.
    ///
    /// # Errors
    /// [`CryptoError::WrongAlgorithm`] unless both keys are EC.
    pub fn agree(&self, peer: &PublicKey) -> Result<Secret, CryptoError> {
        match (&self.0, &peer.0) {
            (Private::P256(key), Public::P256(peer)) => key.agree(peer),
            _ => Err(wrong_algorithm("a key agreement", "EC", "RSA")),
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
    P256(EcPublicKey),
}

impl PublicKey {
    /// Parses SubjectPublicKeyInfo DER (RFC 5280 section 4.1.2.7), which is KMIP's X.509 key format.
    ///
    /// # Errors
    /// [`CryptoError::KeyRejected`], [`CryptoError::TooLong`], or [`CryptoError::Unsupported`] for an algorithm or
    /// curve that is not offered here.
    pub fn from_spki(spki: &[u8]) -> Result<Self, CryptoError> {
        let bytes = within_limit("the public key", spki)?;
        let info = SubjectPublicKeyInfoRef::try_from(bytes).map_err(|_| CryptoError::KeyRejected {
            what: "the public key",
            why: "it is not SubjectPublicKeyInfo DER",
            hint: "convert it with `openssl pkey -pubin -pubout -outform DER`",
        })?;
        match kind(&info.algorithm)? {
            Kind::Rsa => Ok(Self(Public::Rsa(Box::new(RsaPublicKey::from_spki(bytes)?)))),
            Kind::P256 => Ok(Self(Public::P256(EcPublicKey::from_spki(bytes)?))),
        }
    }

    /// The same of bytes that came where secrets may stand.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki`].
    pub fn from_secret_spki(spki: &Secret) -> Result<Self, CryptoError> {
        Self::from_spki(spki.expose())
    }

    /// Its algorithm: RSA or EC.
    #[must_use]
    pub fn algorithm(&self) -> CryptographicAlgorithm {
        match &self.0 {
            Public::Rsa(_) => CryptographicAlgorithm::Rsa,
            Public::P256(_) => CryptographicAlgorithm::Ec,
        }
    }

    /// Its length in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match &self.0 {
            Public::Rsa(key) => key.bits(),
            Public::P256(_) => 256,
        }
    }

    /// Encrypts one RSA-OAEP block (RFC 8017 section 7.1.1).
    ///
    /// # Errors
    /// [`CryptoError::PlaintextTooLong`]; [`CryptoError::WrongAlgorithm`] for a key that is not RSA.
    pub fn encrypt(&self, oaep: &Oaep, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Public::Rsa(key) => key.encrypt(oaep, plaintext),
            Public::P256(_) => Err(wrong_algorithm("Encrypt", "RSA", "EC")),
        }
    }

    /// Encrypts one RSA block padded by PKCS#1 v1.5.
    ///
    /// # Errors
    /// As [`PublicKey::encrypt`].
    pub fn encrypt_pkcs1(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            Public::Rsa(key) => key.encrypt_pkcs1(plaintext),
            Public::P256(_) => Err(wrong_algorithm("Encrypt", "RSA", "EC")),
        }
    }

    /// Whether a signature is that of a digest.
    ///
    /// # Errors
    /// As [`PrivateKey::sign`].
    pub fn verify(&self, scheme: &Scheme, digest: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        match &self.0 {
            Public::Rsa(key) => key.verify(scheme, digest, signature),
            Public::P256(key) => key.verify(scheme.hash(), digest, signature),
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

enum Kind {
    Rsa,
    P256,
}

/// A curve is taken by its name only: aws-lc also takes explicit parameters, which have been used for forgeries
/// (CVE-2020-0601) and by nobody else.
fn kind(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Kind, CryptoError> {
    match (algorithm.oid, algorithm.parameters_oid()) {
        (RSA_OID, _) => Ok(Kind::Rsa),
        (EC_OID, Ok(P256_OID)) => Ok(Kind::P256),
        (EC_OID, curve) => Err(CryptoError::Unsupported {
            what: "the key's curve",
            asked: curve.map_or_else(|_| "(not named by an OID)".to_owned(), |oid| oid.to_string()),
            supported: format!("P-256 ({P256_OID})"),
        }),
        (other, _) => Err(CryptoError::Unsupported {
            what: "the key's algorithm",
            asked: other.to_string(),
            supported: format!("RSA ({RSA_OID}), or EC ({EC_OID}) on P-256"),
        }),
    }
}

fn wrong_algorithm(operation: &'static str, needs: &'static str, is: &'static str) -> CryptoError {
    CryptoError::WrongAlgorithm { operation, needs, is }
}
