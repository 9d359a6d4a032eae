//! Private keys of certificates, and the forms that programs want them in.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use zeroize::Zeroizing;

use crate::Error;

/// What kind of key a certificate is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyKind {
    /// ECDSA on P-256: a third of RSA's cost for each handshake.
    #[default]
    EcdsaP256,
    /// RSA with 2048 bits, for clients that know nothing else.
    Rsa2048,
}

impl KeyKind {
    pub(crate) fn of(pair: &KeyPair) -> Self {
        if pair.is_compatible(&PKCS_RSA_SHA256) { Self::Rsa2048 } else { Self::EcdsaP256 }
    }

    pub(crate) fn generate(self) -> Result<KeyPair, Error> {
        Ok(match self {
            Self::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?,
        })
    }
}

/// The private key of a certificate. Zeroized on drop and not printable.
pub struct PrivateKey {
    kind: KeyKind,
    pkcs8_pem: Zeroizing<String>,
}

impl PrivateKey {
    pub(crate) fn new(kind: KeyKind, key: &KeyPair) -> Self {
        Self { kind, pkcs8_pem: Zeroizing::new(key.serialize_pem()) }
    }

    /// The key as PKCS#8 in PEM (`BEGIN PRIVATE KEY`), which most programs read.
    #[must_use]
    pub fn pkcs8_pem(&self) -> &str {
        &self.pkcs8_pem
    }

    /// The key as PKCS#1 in PEM (`BEGIN RSA PRIVATE KEY`), which some backup products insist on.
    ///
    /// # Errors
    /// [`Error::NotRsa`] for an ECDSA key.
    pub fn pkcs1_pem(&self) -> Result<Zeroizing<String>, Error> {
        if self.kind != KeyKind::Rsa2048 {
            return Err(Error::NotRsa);
        }
        let key = rsa::PrivateKey::from_pkcs8_pem(&self.pkcs8_pem).map_err(|_| Error::KeyForm("PKCS#1"))?;
        key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).map_err(|_| Error::KeyForm("PKCS#1"))
    }
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PrivateKey({:?})", self.kind)
    }
}
