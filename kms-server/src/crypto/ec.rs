//! P-256: Diffie-Hellman key agreement (NIST SP 800-56A), on which Derive Key by Asymmetric Key stands, and ECDSA.

use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use kms_protocol::Secret;

use super::CryptoError;
use super::signature::{Message, Scheme};

/// A parsed P-256 private key.
pub(super) struct EcPrivateKey {
    agreeing: agreement::PrivateKey,
    signing: EcdsaKeyPair,
}

impl EcPrivateKey {
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let refused = |_| CryptoError::KeyRejected {
            what: "the EC private key",
            why: "it is not a valid key on P-256",
            hint: "check it with `openssl pkey -check -noout -in FILE`; other curves are not supported",
        };
        let agreeing = agreement::PrivateKey::from_private_key_der(&ECDH_P256, pkcs8).map_err(refused)?;
        let signing = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8);
        Ok(Self { agreeing, signing: signing.map_err(refused)? })
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, CryptoError> {
        let failed = |_| CryptoError::Library("a P-256 public key could not be encoded");
        let der: PublicKeyX509Der<'_> =
            self.agreeing.compute_public_key().and_then(|key| key.as_der()).map_err(failed)?;
        Ok(der.as_ref().to_vec())
    }

    /// The shared secret: the x-coordinate, 32 bytes.
    pub(super) fn agree(&self, peer: &EcPublicKey) -> Result<Secret, CryptoError> {
        let peer = UnparsedPublicKey::new(&ECDH_P256, &peer.0);
        agreement::agree(&self.agreeing, peer, refused_public(), |shared| Ok(Secret::from(shared)))
    }

    /// ECDSA, as the DER of r and s.
    pub(super) fn sign(&self, scheme: Scheme, message: Message<'_>) -> Result<Vec<u8>, CryptoError> {
        let signed = self.signing.sign_digest(&scheme.digest(message)?);
        signed.map(|signature| signature.as_ref().to_vec()).map_err(|_| CryptoError::Library("ECDSA"))
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

    pub(super) fn spki(&self) -> &[u8] {
        &self.0
    }
}

fn refused_public() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the EC public key",
        why: "it is not a point on P-256",
        hint: "both keys of an agreement are on P-256; other curves are not supported",
    }
}
