//! P-256: Diffie-Hellman key agreement (NIST SP 800-56A), on which Derive Key by Asymmetric Key stands.

use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use kms_protocol::Secret;

use super::CryptoError;

/// A parsed P-256 private key.
pub(super) struct EcPrivateKey(agreement::PrivateKey);

impl EcPrivateKey {
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        agreement::PrivateKey::from_private_key_der(&ECDH_P256, pkcs8).map(Self).map_err(|_| {
            CryptoError::KeyRejected {
                what: "the EC private key",
                why: "it is not a valid key on P-256",
                hint: "check it with `openssl pkey -check -noout -in FILE`; other curves are not supported",
            }
        })
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, CryptoError> {
        let failed = |_| CryptoError::Library("a P-256 public key could not be encoded");
        let der: PublicKeyX509Der<'_> =
            self.0.compute_public_key().and_then(|key| key.as_der()).map_err(failed)?;
        Ok(der.as_ref().to_vec())
    }

    /// The shared secret: the x-coordinate, 32 bytes.
    pub(super) fn agree(&self, peer: &EcPublicKey) -> Result<Secret, CryptoError> {
        agreement::agree(&self.0, UnparsedPublicKey::new(&ECDH_P256, &peer.0), refused_public(), |shared| {
            Ok(Secret::from(shared))
        })
    }
}

/// A P-256 public key whose point is known to lie on the curve, as SubjectPublicKeyInfo.
pub(super) struct EcPublicKey(Vec<u8>);

impl EcPublicKey {
    pub(super) fn from_spki(spki: &[u8]) -> Result<Self, CryptoError> {
        agreement::ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, spki))
            .ok()
            .filter(|key| key.alg() == &ECDH_P256)
            .map(|_| Self(spki.to_vec()))
            .ok_or_else(refused_public)
    }
}

fn refused_public() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the EC public key",
        why: "it is not a point on P-256",
        hint: "both keys of an agreement are on P-256; other curves are not supported",
    }
}
