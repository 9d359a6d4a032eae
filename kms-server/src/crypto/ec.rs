//! P-256: Diffie-Hellman key agreement (NIST SP 800-56A), on which Derive Key by Asymmetric Key stands.

use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA384_ASN1,
    ECDSA_P256_SHA512_ASN1, EcdsaKeyPair,
};
use kms_protocol::Secret;
use kms_protocol::enums::HashingAlgorithm;

use super::CryptoError;
use super::rsa::imported;
use super::signature::unsupported;

/// A parsed P-256 private key.
pub(super) struct EcPrivateKey {
    key: agreement::PrivateKey,
    signing: EcdsaKeyPair,
}

impl EcPrivateKey {
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let refused = || CryptoError::KeyRejected {
            what: "the EC private key",
            why: "it is not a valid key on P-256",
            hint: "check it with `openssl pkey -check -noout -in FILE`; other curves are not supported",
        };
        let key = agreement::PrivateKey::from_private_key_der(&ECDH_P256, pkcs8).map_err(|_| refused())?;
        let signing =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).map_err(|_| refused())?;
        Ok(Self { key, signing })
    }

    /// Signs a digest by ECDSA; the signature is DER (RFC 3279 section 2.2.3).
    pub(super) fn sign(&self, hash: HashingAlgorithm, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if hash != HashingAlgorithm::Sha256 {
            return Err(unsupported("Hashing Algorithm", &hash, "SHA-256 for ECDSA on P-256"));
        }
        let signature = self.signing.sign_digest(&imported(hash, digest)?);
        Ok(signature.map_err(|_| CryptoError::Library("an ECDSA signature failed"))?.as_ref().to_vec())
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, CryptoError> {
        let failed = |_| CryptoError::Library("a P-256 public key could not be encoded");
        let der: PublicKeyX509Der<'_> =
            self.key.compute_public_key().and_then(|key| key.as_der()).map_err(failed)?;
        Ok(der.as_ref().to_vec())
    }

    /// The shared secret: the x-coordinate, 32 bytes.
    pub(super) fn agree(&self, peer: &EcPublicKey) -> Result<Secret, CryptoError> {
        agreement::agree(&self.key, UnparsedPublicKey::new(&ECDH_P256, &peer.0), refused_public(), |shared| {
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

    /// Whether a signature, in DER, is that of a digest.
    pub(super) fn verify(
        &self,
        hash: HashingAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let algorithm = match hash {
            HashingAlgorithm::Sha256 => &ECDSA_P256_SHA256_ASN1,
            HashingAlgorithm::Sha384 => &ECDSA_P256_SHA384_ASN1,
            HashingAlgorithm::Sha512 => &ECDSA_P256_SHA512_ASN1,
            other => return Err(unsupported("Hashing Algorithm", &other, "SHA-256, SHA-384 or SHA-512")),
        };
        let key = signature::UnparsedPublicKey::new(algorithm, &self.0);
        Ok(key.verify_digest(&imported(hash, digest)?, signature).is_ok())
    }
}

fn refused_public() -> CryptoError {
    CryptoError::KeyRejected {
        what: "the EC public key",
        why: "it is not a point on P-256",
        hint: "both keys of an agreement are on P-256; other curves are not supported",
    }
}
