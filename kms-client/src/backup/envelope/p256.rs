//! File keys wrapped for keys on P-256: ECDH with a pair made for one file, then HKDF-SHA256 and ChaCha20-Poly1305.
//!
//! ```text
//! -> kmip-p256 share=HEX recipient=HEX key=ID generation=N server=NAME address=HOST:PORT
//! BODY
//! ```
//!
//! SHARE is the public half of the file's own pair as a DER `SubjectPublicKeyInfo`, RECIPIENT the SHA-256 of the recipient's.
//! The wrapping key is HKDF-SHA256 of the shared x-coordinate, with SHARE and RECIPIENT together as its salt and [`LABEL`] as
//! its info: as age's own X25519 stanza, for another curve. BODY is the file key under it with a nonce of zeros, since each
//! wrapping key is used once. The private half of the file's pair is forgotten at once; the KMS agrees with the public one.

use std::io;

use age_core::format::FILE_KEY_BYTES;
use age_core::primitives::{aead_decrypt, aead_encrypt, hkdf};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use kms_protocol::Secret;
use zeroize::Zeroizing;

use super::PublicKeyError;
use crate::agreement::is_p256;
use crate::backup::kms::Share;

/// Tag of the stanza.
pub const P256_TAG: &str = "kmip-p256";
/// What the wrapping key is for.
const LABEL: &[u8] = b"kms-client/kmip-p256";

/// A public key on P-256 that file keys are wrapped for.
pub(super) struct P256Recipient {
    spki: Vec<u8>,
    hash: [u8; 32],
}

impl P256Recipient {
    pub(super) fn new(spki: &[u8]) -> Result<Self, PublicKeyError> {
        if !is_p256(spki) {
            return Err(PublicKeyError::NotP256);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, spki).as_ref());
        Ok(Self { spki: spki.to_vec(), hash })
    }

    pub(super) fn wrap(&self, file_key: &[u8]) -> io::Result<(Share, Vec<u8>)> {
        let failed = |_| io::Error::other("no key agreement on P-256");
        let own = PrivateKey::generate(&ECDH_P256).map_err(failed)?;
        let public: PublicKeyX509Der<'_> =
            own.compute_public_key().and_then(|key| key.as_der()).map_err(failed)?;
        let share = Share { public: public.as_ref().to_vec(), recipient: self.hash };
        let peer = UnparsedPublicKey::new(&ECDH_P256, self.spki.as_slice());
        let key = agree(&own, peer, io::Error::other("no key agreement on P-256"), |shared| {
            Ok(share.wrapping_key(shared))
        })?;
        let body = aead_encrypt(&key, file_key);
        Ok((share, body))
    }
}

impl Share {
    /// Unwraps a file key with the secret that the recipient's private key shares with this; none where it is not the one.
    #[must_use]
    pub fn open(&self, shared: &Secret, body: &[u8]) -> Option<Secret> {
        let key = self.wrapping_key(shared.expose());
        aead_decrypt(&key, FILE_KEY_BYTES, body).ok().map(Secret::new)
    }

    fn wrapping_key(&self, shared: &[u8]) -> Zeroizing<[u8; 32]> {
        let salt = [self.public.as_slice(), &self.recipient].concat();
        Zeroizing::new(hkdf(&salt, LABEL, shared))
    }

    /// Out of a stanza's arguments.
    pub(super) fn read(public: &str, recipient: &str) -> Option<Self> {
        let public = hex::decode(public).ok().filter(|spki| is_p256(spki))?;
        let recipient = hex::decode(recipient).ok()?.try_into().ok()?;
        Some(Self { public, recipient })
    }
}
