//! Curve25519: signatures by Ed25519 (RFC 8032) and agreements by X25519 (RFC 7748). A private key is any 32 bytes; both
//! are encoded as RFC 8410 says.

use aws_lc_rs::agreement::{self, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::signature::{self, ED25519, Ed25519KeyPair, KeyPair as _};
use kms_protocol::Secret;
use kms_protocol::enums::CryptographicAlgorithm;
use rsa::pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use rsa::pkcs8::der::{Decode as _, Encode as _};
use rsa::pkcs8::{
    AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument, SubjectPublicKeyInfoRef,
};
use zeroize::Zeroizing;

use super::{CryptoError, KeyPair};

/// How long a private key, a public key and a shared secret are.
const BYTES: usize = 32;

/// What a key on the curve does: one of both, never the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// Ed25519.
    Sign,
    /// X25519.
    Agree,
}

impl Use {
    fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Sign => "1.3.101.112",
            Self::Agree => "1.3.101.110",
        })
    }

    pub(super) fn of_oid(oid: ObjectIdentifier) -> Option<Self> {
        [Self::Sign, Self::Agree].into_iter().find(|one| one.oid() == oid)
    }

    /// Which a key on CURVE25519 is, by its algorithm: the specification has a name for Ed25519 alone.
    pub(super) fn of(algorithm: Option<CryptographicAlgorithm>) -> Self {
        if algorithm == Some(CryptographicAlgorithm::Ed25519) { Self::Sign } else { Self::Agree }
    }

    /// Its Cryptographic Algorithm.
    pub(super) fn algorithm(self) -> CryptographicAlgorithm {
        match self {
            Self::Sign => CryptographicAlgorithm::Ed25519,
            Self::Agree => CryptographicAlgorithm::Ec,
        }
    }

    pub(super) fn generate(self) -> Result<KeyPair, CryptoError> {
        let failed = |_| CryptoError::Library("a pair on Curve25519 could not be generated");
        let seed: Curve25519SeedBin<'_> = match self {
            Self::Sign => {
                Ed25519KeyPair::generate().and_then(|key| key.seed()?.as_be_bytes()).map_err(failed)?
            }
            Self::Agree => {
                agreement::PrivateKey::generate(&X25519).and_then(|key| key.as_be_bytes()).map_err(failed)?
            }
        };
        self.pair_of(seed.as_ref())
    }

    /// The pair of a private key.
    pub(super) fn pair_of(self, private: &[u8]) -> Result<KeyPair, CryptoError> {
        let private = self.private_from_bytes(private)?;
        let public = PrivateKey::from_pkcs8(self, private.expose())?.public()?;
        Ok(KeyPair { private, public })
    }

    /// The 32 bytes of a private key in PKCS#8.
    pub(super) fn private_bytes(self, pkcs8: &[u8]) -> Result<Secret, CryptoError> {
        let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| refused())?;
        let bytes =
            <&OctetStringRef>::from_der(info.private_key.as_bytes()).map_err(|_| refused())?.as_bytes();
        let is_key =
            bytes.len() == BYTES && info.algorithm.oid == self.oid() && info.algorithm.parameters.is_none();
        if !is_key {
            return Err(refused());
        }
        if let Some(stated) = info.public_key {
            let key = PrivateKey::from_bytes(self, bytes)?;
            if stated.as_bytes() != Some(key.public_bytes()?.as_slice()) {
                return Err(refused());
            }
        }
        Ok(Secret::from(bytes))
    }

    /// PKCS#8 of the 32 bytes of a private key.
    pub(super) fn private_from_bytes(self, bytes: &[u8]) -> Result<Secret, CryptoError> {
        if bytes.len() != BYTES {
            return Err(refused());
        }
        let inner = OctetStringRef::new(bytes).and_then(|bytes| bytes.to_der()).map(Zeroizing::new);
        let inner = inner.map_err(|_| refused())?;
        let document = OctetStringRef::new(&inner)
            .and_then(|inner| SecretDocument::encode_msg(&PrivateKeyInfoRef::new(self.identifier(), inner)));
        Ok(Secret::from(document.map_err(|_| refused())?.as_bytes()))
    }

    /// The 32 bytes of a public key in `SubjectPublicKeyInfo`.
    pub(super) fn public_bytes(self, spki: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let info = SubjectPublicKeyInfoRef::try_from(spki).map_err(|_| refused())?;
        let bytes = info.subject_public_key.as_bytes().filter(|bytes| bytes.len() == BYTES);
        match bytes {
            Some(bytes) if info.algorithm == self.identifier() => Ok(bytes.to_vec()),
            _ => Err(refused()),
        }
    }

    /// `SubjectPublicKeyInfo` of the 32 bytes of a public key.
    pub(super) fn public_from_bytes(self, bytes: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if bytes.len() != BYTES {
            return Err(refused());
        }
        let info = BitStringRef::from_bytes(bytes).map(|subject_public_key| SubjectPublicKeyInfoRef {
            algorithm: self.identifier(),
            subject_public_key,
        });
        info.and_then(|info| info.to_der()).map_err(|_| refused())
    }

    fn identifier(self) -> AlgorithmIdentifierRef<'static> {
        AlgorithmIdentifierRef { oid: self.oid(), parameters: None }
    }
}

/// A parsed private key.
pub(super) enum PrivateKey {
    Sign(Ed25519KeyPair),
    Agree(agreement::PrivateKey),
}

impl PrivateKey {
    pub(super) fn from_pkcs8(with: Use, pkcs8: &[u8]) -> Result<Self, CryptoError> {
        Self::from_bytes(with, with.private_bytes(pkcs8)?.expose())
    }

    fn from_bytes(with: Use, bytes: &[u8]) -> Result<Self, CryptoError> {
        Ok(match with {
            Use::Sign => Self::Sign(Ed25519KeyPair::from_seed_unchecked(bytes).map_err(|_| refused())?),
            Use::Agree => {
                Self::Agree(agreement::PrivateKey::from_private_key(&X25519, bytes).map_err(|_| refused())?)
            }
        })
    }

    pub(super) fn does(&self) -> Use {
        match self {
            Self::Sign(_) => Use::Sign,
            Self::Agree(_) => Use::Agree,
        }
    }

    fn public_bytes(&self) -> Result<Vec<u8>, CryptoError> {
        match self {
            Self::Sign(key) => Ok(key.public_key().as_ref().to_vec()),
            Self::Agree(key) => {
                let key = key.compute_public_key().map_err(|_| {
                    CryptoError::Library("the public key of a pair on Curve25519 could not be computed")
                })?;
                Ok(key.as_ref().to_vec())
            }
        }
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, CryptoError> {
        self.does().public_from_bytes(&self.public_bytes()?)
    }

    /// Signs a message as it is (RFC 8032 section 5.1.6).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match self {
            Self::Sign(key) => {
                let signature = key.try_sign(message);
                let signature = signature.map_err(|_| CryptoError::Library("an Ed25519 signature failed"))?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Agree(_) => {
                Err(CryptoError::WrongAlgorithm { operation: "a signature", needs: "Ed25519", is: "X25519" })
            }
        }
    }

    /// The shared secret, 32 bytes.
    pub(super) fn agree(&self, peer: &PublicKey) -> Result<Secret, CryptoError> {
        let refused = CryptoError::KeyRejected {
            what: "the peer's public key",
            why: "it is no X25519 key, or one that shares the same with everybody",
            hint: "both keys of an agreement are X25519 keys",
        };
        match (self, peer.does) {
            (Self::Agree(key), Use::Agree) => {
                let peer = UnparsedPublicKey::new(&X25519, &peer.bytes);
                agreement::agree(key, peer, refused, |shared| Ok(Secret::from(shared)))
            }
            (Self::Agree(_), Use::Sign) => Err(refused),
            (Self::Sign(_), _) => {
                Err(CryptoError::WrongAlgorithm { operation: "a key agreement", needs: "EC", is: "Ed25519" })
            }
        }
    }
}

/// A public key.
pub(super) struct PublicKey {
    does: Use,
    bytes: Vec<u8>,
}

impl PublicKey {
    pub(super) fn from_spki(does: Use, spki: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self { does, bytes: does.public_bytes(spki)? })
    }

    pub(super) fn does(&self) -> Use {
        self.does
    }

    /// Whether a signature is that of a message.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        match self.does {
            Use::Sign => {
                let key = signature::UnparsedPublicKey::new(&ED25519, &self.bytes);
                Ok(key.verify(message, signature).is_ok())
            }
            Use::Agree => {
                Err(CryptoError::WrongAlgorithm { operation: "a signature", needs: "Ed25519", is: "X25519" })
            }
        }
    }
}

fn refused() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the Ed25519 or X25519 key",
        why: "it is not 32 bytes in the encoding of RFC 8410",
        hint: "check it with `openssl pkey -text -noout -in FILE`",
    }
}
