//! Passwords beside other keys: age's own passphrase stanza stands alone in a header, so this one is ours.
//!
//! A password becomes, by scrypt, the secret half of an X25519 pair. The public half is kept and encrypts, so that a backup
//! needs no password; file keys are wrapped for it as age's own recipients do. The stanza is
//!
//! ```text
//! -> kms-client-password salt=HEX work=N hint=TEXT share=SHARE
//! BODY
//! ```
//!
//! where SHARE and BODY are those of age's X25519 stanza and the hint is percent-encoded.

use std::collections::HashSet;
use std::io;

use age::x25519;
use age_core::format::{FileKey, Stanza};
use kms_protocol::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{HeaderError, percent_decode, percent_encode};
use crate::backup::{BackupError, limits};

/// Tag of the password's stanza.
pub const PASSWORD_TAG: &str = "kms-client-password";

/// A password as it is kept: what encrypts, and what the password has to be put through to decrypt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PasswordKey {
    /// The public half, as an age recipient.
    pub recipient: String,
    /// Salt of scrypt.
    #[serde(with = "hex::serde")]
    pub salt: Vec<u8>,
    /// Work factor of scrypt, as a power of two.
    pub work: u8,
    /// What reminds a person of the password; anybody can read it.
    pub hint: String,
    /// Since when the job uses it, in seconds since 1970-01-01T00:00:00Z.
    pub since: i64,
}

impl PasswordKey {
    /// Keeps a password.
    ///
    /// # Errors
    /// When it is too short or the hint too long.
    pub fn new(password: &Secret, hint: &str, since: i64) -> Result<Self, BackupError> {
        if password.len() < limits::MIN_PASSWORD {
            return Err(BackupError::Invalid {
                what: "password",
                value: "what was given".to_owned(),
                rule: "at least 8 bytes",
            });
        }
        if hint.len() > limits::MAX_HINT {
            return Err(BackupError::Invalid {
                what: "hint",
                value: hint.chars().take(limits::MAX_HINT).collect(),
                rule: "at most 128 bytes",
            });
        }
        let mut salt = vec![0; limits::PASSWORD_SALT];
        getrandom::fill(&mut salt).map_err(|_| BackupError::Chance)?;
        let work = limits::PASSWORD_WORK;
        let identity = derive(password, &salt, work).ok_or(BackupError::Chance)?;
        let recipient = identity.to_public().to_string();
        Ok(Self { recipient, salt, work, hint: hint.to_owned(), since })
    }

    /// A recipient for this password.
    ///
    /// # Errors
    /// When the kept public half is none.
    pub fn recipient(&self) -> Result<PasswordRecipient, BackupError> {
        let broken = |_| BackupError::Invalid {
            what: "recipient",
            value: self.recipient.clone(),
            rule: "the database was changed by something else",
        };
        Ok(PasswordRecipient { key: self.clone(), recipient: self.recipient.parse().map_err(broken)? })
    }
}

/// The secret half of the pair that a password stands for.
fn derive(password: &Secret, salt: &[u8], work: u8) -> Option<x25519::Identity> {
    let params = scrypt::Params::new(work, 8, 1, 32).ok()?;
    let mut bytes = Zeroizing::new([0_u8; 32]);
    scrypt::scrypt(password.expose(), salt, &params, &mut *bytes).ok()?;
    let prefix = bech32::Hrp::parse("age-secret-key-").ok()?;
    let text = Zeroizing::new(bech32::encode::<bech32::Bech32>(prefix, &*bytes).ok()?);
    let text = Zeroizing::new(text.to_uppercase());
    text.parse().ok()
}

/// Encrypts files so that a password opens them.
pub struct PasswordRecipient {
    key: PasswordKey,
    recipient: x25519::Recipient,
}

impl age::Recipient for PasswordRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let (stanzas, labels) = self.recipient.wrap_file_key(file_key)?;
        let wrapped = stanzas.into_iter().next();
        let wrapped = wrapped.and_then(|stanza| Some((stanza.args.into_iter().next()?, stanza.body)));
        let none = || age::EncryptError::Io(io::Error::other("age wrapped nothing"));
        let (share, body) = wrapped.ok_or_else(none)?;
        let PasswordKey { salt, work, hint, .. } = &self.key;
        let stanza = PasswordStanza { salt: salt.clone(), work: *work, hint: hint.clone(), share, body };
        Ok((vec![stanza.to_stanza()], labels))
    }
}

/// A file key as a password's stanza holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasswordStanza {
    /// Salt of scrypt: the same password kept twice has two.
    pub salt: Vec<u8>,
    /// Work factor of scrypt, as a power of two.
    pub work: u8,
    /// What reminds a person of the password.
    pub hint: String,
    share: String,
    body: Vec<u8>,
}

impl PasswordStanza {
    /// The stanza as age writes it.
    #[must_use]
    pub fn to_stanza(&self) -> Stanza {
        Stanza {
            tag: PASSWORD_TAG.to_owned(),
            args: vec![
                format!("salt={}", hex::encode(&self.salt)),
                format!("work={}", self.work),
                format!("hint={}", percent_encode(&self.hint)),
                format!("share={}", self.share),
            ],
            body: self.body.clone(),
        }
    }

    /// Reads a password's stanza out of an age header; `None` when it is another's.
    ///
    /// # Errors
    /// When it is a password's, but damaged.
    pub fn parse(stanza: &Stanza) -> Option<Result<Self, HeaderError>> {
        (stanza.tag == PASSWORD_TAG).then(|| Self::parse_ours(stanza))
    }

    fn parse_ours(stanza: &Stanza) -> Result<Self, HeaderError> {
        let argument = |name: &'static str| {
            let prefix = format!("{name}=");
            let mut values = stanza.args.iter().filter_map(|arg| arg.strip_prefix(prefix.as_str()));
            values.next().ok_or(HeaderError::Stanza(name))
        };
        let work: u8 = argument("work")?.parse().map_err(|_| HeaderError::Stanza("work"))?;
        let salt = hex::decode(argument("salt")?).map_err(|_| HeaderError::Stanza("salt"))?;
        let hint = percent_decode(argument("hint")?).ok_or(HeaderError::Stanza("hint"))?;
        if !(1..=limits::MAX_PASSWORD_WORK).contains(&work) {
            return Err(HeaderError::Stanza("work"));
        }
        if salt.len() != limits::PASSWORD_SALT || hint.len() > limits::MAX_HINT {
            return Err(HeaderError::Stanza("salt or hint"));
        }
        let (share, body) = (argument("share")?.to_owned(), stanza.body.clone());
        Ok(Self { salt, work, hint, share, body })
    }

    /// The identity that `password` is for stanzas of this salt: costly, so once for many files.
    #[must_use]
    pub fn identity(&self, password: &Secret) -> Option<PasswordIdentity> {
        derive(password, &self.salt, self.work).map(PasswordIdentity)
    }
}

/// A password, put through scrypt.
pub struct PasswordIdentity(x25519::Identity);

impl PasswordIdentity {
    /// Unwraps the file key; none when the password is another.
    #[must_use]
    pub fn unwrap(&self, stanza: &PasswordStanza) -> Option<Secret> {
        let inner =
            Stanza { tag: "X25519".to_owned(), args: vec![stanza.share.clone()], body: stanza.body.clone() };
        unwrap_with(&self.0, &inner)
    }
}

/// Has one of age's identities unwrap one stanza.
pub fn unwrap_with(identity: &dyn age::Identity, stanza: &Stanza) -> Option<Secret> {
    use age::secrecy::ExposeSecret;
    let file_key = identity.unwrap_stanza(stanza)?.ok()?;
    Some(Secret::from(&file_key.expose_secret()[..]))
}
