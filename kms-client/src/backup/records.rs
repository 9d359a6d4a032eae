//! What the configuration database holds.

use std::path::PathBuf;

use kms_protocol::DateTime;
use serde::{Deserialize, Serialize};

use super::chains::{path_of, text_of};
use super::envelope::PasswordKey;
use super::kms::{KeyAlgorithm, KnownKey, Scheme};
use super::{BackupError, limits};
use crate::Profile;

/// A KMS server that this installation knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerEntry {
    /// The name that jobs call it by.
    pub name: String,
    /// `HOST:PORT`.
    pub address: String,
    /// Addresses of servers with the same keys, which stand in while it fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// PEM file with the certificates that may vouch for the server.
    pub ca: PathBuf,
    /// PEM file with this client's certificate.
    pub certificate: PathBuf,
    /// PEM file with this client's private key.
    pub key: PathBuf,
    /// The user name that the server wants besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File with that user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether a private key may be fetched where the KMS cannot decrypt with it.
    #[serde(default)]
    pub keys_may_travel: bool,
}

impl ServerEntry {
    /// How the client reaches it.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile {
            server: self.address.clone(),
            encoding: kms_protocol::encoding::Encoding::Ttlv,
            standby: self.standby.clone(),
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            user: self.username.clone().zip(self.password_file.clone()),
        }
    }
}

/// A backup job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its name, part of its backup files' names.
    pub name: String,
    /// When it was created, in seconds since 1970-01-01T00:00:00Z.
    pub created: i64,
    /// Its key pair in a KMS, if it has one.
    #[serde(default)]
    pub kms: Option<JobKms>,
    /// Its password; where there is one, it encrypts and not the KMS key.
    #[serde(default)]
    pub password: Option<PasswordKey>,
    /// What signs its chains' metadata, if anything does.
    #[serde(default)]
    pub signing: Option<SigningKey>,
}

impl Job {
    /// One that has nothing to encrypt with yet.
    #[must_use]
    pub fn new(name: &str, now: DateTime) -> Self {
        Self { name: name.to_owned(), created: now.0, kms: None, password: None, signing: None }
    }
}

/// A pair in a KMS that signs for a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SigningKey {
    /// The KMS server that holds it.
    pub server: String,
    /// Name of the pair in the KMS.
    pub name: String,
    /// Unique Identifier of the private half, which signs.
    pub private_id: String,
    /// Unique Identifier of the public half, which verifies.
    pub public_id: String,
    /// Since when this generation is used, in seconds since 1970-01-01T00:00:00Z.
    pub since: i64,
}

/// A job's key pair in a KMS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobKms {
    /// The KMS server that holds its keys.
    pub server: String,
    /// The kind of its keys.
    pub algorithm: KeyAlgorithm,
    /// Name of its key pair in the KMS.
    pub key_name: String,
    /// Generation of the key that encrypts; none while the key was requested but not received.
    pub generation: Option<u32>,
    /// Why the key must not encrypt any more, as the last sync found.
    pub blocked: Option<String>,
    /// For how many seconds after the KMS was last found working the job goes on with the public key that it has.
    #[serde(default)]
    pub offline: Option<u64>,
}

/// A folder that backups go to, by a name of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// The folder, escaped.
    folder: String,
    /// The job whose key or password encrypts backups of jobs that have none.
    pub key_of: Option<String>,
}

impl Repository {
    /// A repository in `folder`.
    ///
    /// # Errors
    /// When the name is not acceptable.
    pub fn new(name: &str, folder: &std::path::Path, key_of: Option<String>) -> Result<Self, BackupError> {
        check_name("repository name", name)?;
        Ok(Self { name: name.to_owned(), folder: text_of(folder), key_of })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        path_of(&self.folder)
    }
}

/// The Enterprise Manager that every file key is wrapped for as well.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recovery {
    /// Its public key, as an age recipient.
    pub recipient: String,
    /// Since when, in seconds since 1970-01-01T00:00:00Z.
    pub since: i64,
}

/// How a KMS server was when it was last asked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Contact {
    /// When it last answered, in seconds since 1970-01-01T00:00:00Z.
    pub answered: Option<i64>,
    /// Since when it has not; none while it does.
    pub failing_since: Option<i64>,
    /// What was wrong the last time.
    pub error: Option<String>,
}

/// One generation of a job's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobKey {
    /// 1 for the key that the job began with, one more for each replacement.
    pub generation: u32,
    /// Unique Identifier of the private half in the KMS.
    pub private_id: String,
    /// Unique Identifier of the public half in the KMS.
    pub public_id: String,
    /// The public half as a DER SubjectPublicKeyInfo.
    #[serde(with = "hex::serde")]
    pub public_key: Vec<u8>,
    /// How file keys are wrapped for it.
    #[serde(rename = "oaep")]
    pub scheme: Scheme,
    /// When this installation took it over, in seconds since 1970-01-01T00:00:00Z.
    pub adopted: i64,
}

impl JobKey {
    /// The key as a question to the KMS.
    #[must_use]
    pub fn known(&self, kms: &JobKms) -> KnownKey {
        KnownKey {
            public_id: self.public_id.clone(),
            private_id: self.private_id.clone(),
            name: kms.key_name.clone(),
            algorithm: kms.algorithm,
        }
    }
}

/// One run of the system job against one server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SyncRun {
    /// When, in seconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// Which server.
    pub server: String,
    /// How many keys were asked about.
    pub asked: u32,
    /// Everything but unchanged keys.
    pub changes: Vec<Change>,
    /// Certificates that are about to expire.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why the run failed as a whole.
    pub error: Option<String>,
}

/// What a sync found about one job's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// The job.
    pub job: String,
    /// Generation that the job had.
    pub generation: u32,
    /// What was found, and done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a sync found about a key, and did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The job encrypts with a newer key from now on.
    Rotated {
        /// Its generation.
        to_generation: u32,
        /// Unique Identifier of the old private half.
        from_private_id: String,
        /// Unique Identifier of the new private half.
        to_private_id: String,
    },
    /// A newer key exists but is not Active yet.
    Pending,
    /// The job has no key to encrypt with any more.
    Blocked {
        /// Why.
        reason: String,
    },
    /// The KMS offered a successor that cannot be taken.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// Checks a name of a job or server: it becomes part of file names and database keys.
///
/// # Errors
/// When it is empty, longer than 64 bytes, or has other characters than letters, digits, `.`, `_` and `-`.
pub fn check_name(what: &'static str, name: &str) -> Result<(), BackupError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && name.len() <= limits::MAX_NAME && name.bytes().all(plain) {
        return Ok(());
    }
    Err(BackupError::Invalid {
        what,
        value: name.chars().take(limits::MAX_NAME).collect(),
        rule: "1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit",
    })
}
