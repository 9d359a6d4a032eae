//! Headers written anew: the same file key for other recipients.
//!
//! An age header (age-encryption.org/v1) is its stanzas and an HMAC-SHA256 over them, keyed by HKDF-SHA256 of the file key.
//! What follows depends on the file key alone, so it stays as it is.

use std::io;

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::hkdf;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use kms_protocol::Secret;
use serde::{Deserialize, Serialize};

/// A stanza as records and messages hold it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredStanza {
    /// The kind of recipient.
    pub tag: String,
    /// What it says beside the wrapped key.
    pub args: Vec<String>,
    /// The wrapped file key.
    #[serde(with = "hex::serde")]
    pub body: Vec<u8>,
}

impl StoredStanza {
    /// The stanza as age has it.
    #[must_use]
    pub fn to_stanza(&self) -> Stanza {
        Stanza { tag: self.tag.clone(), args: self.args.clone(), body: self.body.clone() }
    }
}

impl From<&Stanza> for StoredStanza {
    fn from(stanza: &Stanza) -> Self {
        Self { tag: stanza.tag.clone(), args: stanza.args.clone(), body: stanza.body.clone() }
    }
}

/// The file key as age takes it; none when it is no file key.
fn file_key(secret: &Secret) -> Option<FileKey> {
    let bytes: [u8; FILE_KEY_BYTES] = secret.expose().try_into().ok()?;
    Some(FileKey::init_with_mut(|key| *key = bytes))
}

/// Begins an age file for `recipients`.
///
/// # Errors
/// When one of them fails, or they do not go together.
pub fn encryptor(recipients: &[&dyn age::Recipient]) -> io::Result<age::Encryptor> {
    age::Encryptor::with_recipients(recipients.iter().copied()).map_err(|error| match error {
        age::EncryptError::Io(error) => error,
        _ => io::Error::other("its recipients cannot be used together"),
    })
}

/// Wraps a file key for `recipients`.
///
/// # Errors
/// When one of them fails, or that is no file key.
pub fn wrap(secret: &Secret, recipients: &[&dyn age::Recipient]) -> io::Result<Vec<StoredStanza>> {
    let file_key = file_key(secret).ok_or_else(|| io::Error::other("this is no file key"))?;
    let mut all = Vec::new();
    for recipient in recipients {
        let wrapped = recipient.wrap_file_key(&file_key);
        let (stanzas, _) = wrapped.map_err(|_| io::Error::other("the file key cannot be wrapped"))?;
        all.extend(stanzas.iter().map(StoredStanza::from));
    }
    Ok(all)
}

/// Writes the header of a file whose file key the stanzas hold.
#[must_use]
pub fn write_header(secret: &Secret, stanzas: &[StoredStanza]) -> Vec<u8> {
    let mut text = String::from("age-encryption.org/v1\n");
    for stanza in stanzas {
        text.push_str("-> ");
        text.push_str(&stanza.tag);
        for arg in &stanza.args {
            text.push(' ');
            text.push_str(arg);
        }
        text.push('\n');
        let body = BASE64_STANDARD_NO_PAD.encode(&stanza.body);
        let mut rest = body.as_str();
        // Lines of 64 characters, the last of them shorter, if need be empty.
        while let Some((line, after)) = rest.split_at_checked(64) {
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str("---");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &hkdf(b"", b"header", secret.expose()));
    let mac = BASE64_STANDARD_NO_PAD.encode(hmac::sign(&key, text.as_bytes()).as_ref());
    format!("{text} {mac}\n").into_bytes()
}
