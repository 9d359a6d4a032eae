//! What can go wrong on the backup side, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::kms::{KmsError, KmsErrorKind};

/// An error of the backup side: what failed and why; [`BackupError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Another process has the configuration database.
    #[error("the configuration database in {} is in use by another process", folder.display())]
    Locked {
        /// The state folder.
        folder: PathBuf,
    },
    /// The configuration database failed.
    #[error("the configuration database in {}: {what}", folder.display())]
    Database {
        /// The state folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No such job or server.
    #[error("there is no {what} named {name:?}")]
    Unknown {
        /// `job` or `server`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The name is taken.
    #[error("a {what} named {name:?} exists already")]
    Exists {
        /// `job` or `server`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Something that the caller gave is not acceptable.
    #[error("{value:?} is no {what}: {rule}")]
    Invalid {
        /// What it should have been.
        what: &'static str,
        /// What it was.
        value: String,
        /// What is acceptable.
        rule: &'static str,
    },
    /// The KMS did not do what was asked.
    #[error("KMS server {server:?}: {source}")]
    Kms {
        /// The server's name.
        server: String,
        /// Its answer.
        source: Box<KmsError>,
    },
    /// The KMS has been down for longer than the job may go on without it.
    #[error("KMS server {server:?} is down, and job {job:?} may not go on without it any more: {source}")]
    OfflineOver {
        /// The job.
        job: String,
        /// The server's name.
        server: String,
        /// Its answer.
        source: Box<KmsError>,
    },
    /// The KMS answered with a key that must not be used.
    #[error("KMS server {server:?} gave a public key that cannot be used: {what}")]
    UnusableKey {
        /// The server's name.
        server: String,
        /// Why.
        what: String,
    },
    /// The job must not encrypt.
    #[error("job {job:?} has no key to encrypt with: {reason}")]
    Blocked {
        /// The job's name.
        job: String,
        /// Why.
        reason: String,
    },
    /// Another process changed the job while this one was talking to the KMS.
    #[error("job {job:?} was changed by another process meanwhile")]
    Overtaken {
        /// The job's name.
        job: String,
    },
    /// Not a backup file, or one that this version does not know.
    #[error("{}: {what}", file.display())]
    NotABackup {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// A backup file that was altered or cut.
    #[error("{} is damaged: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found, and where.
        what: String,
    },
    /// A backup file needs a KMS that this installation is not connected to.
    #[error(
        "{} needs key {private_id} of KMS server {server:?} at {address}, which this installation does not know",
        file.display()
    )]
    UnknownServer {
        /// The file.
        file: PathBuf,
        /// The server's name where the file was written.
        server: String,
        /// Its address there.
        address: String,
        /// Unique Identifier of the private key.
        private_id: String,
    },
    /// The key of a backup file could not be unwrapped.
    #[error("{} cannot be opened: key {private_id} of KMS server {server:?}: {source}", file.display())]
    KeyUnavailable {
        /// The file.
        file: PathBuf,
        /// The server's name.
        server: String,
        /// Unique Identifier of the private key.
        private_id: String,
        /// The KMS' answer.
        source: Box<KmsError>,
    },
    /// A restore would mix with what is there.
    #[error("{} is not empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A restore would have to remove a folder to put something else in its place.
    #[error("{} is a folder, but the backup has something else of that name", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// A chain lacks a file that a point needs.
    #[error("file {number} of the chain is missing")]
    MissingFile {
        /// Its number in the chain.
        number: u32,
    },
    /// What must not run twice at once runs already.
    #[error("{what} runs already")]
    Running {
        /// What runs.
        what: String,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Chance,
    /// A backup file needs a password that was not given.
    #[error("{} needs a password (hint: {hint:?})", file.display())]
    NeedsPassword {
        /// The file.
        file: PathBuf,
        /// What reminds of it.
        hint: String,
    },
    /// No password that was given opens a file.
    #[error("no password that was given opens {} (hint: {hint:?})", file.display())]
    WrongPassword {
        /// The file.
        file: PathBuf,
        /// What reminds of the right one.
        hint: String,
    },
    /// A catalogue job of a new installation met tapes of both kinds.
    #[error(
        "{kms} of these tapes are encrypted by KMS keys (of {servers}) and {passwords} by passwords (hints: {hints}): \
         a new installation takes a job for each kind"
    )]
    MixedTapes {
        /// How many a KMS key encrypts.
        kms: usize,
        /// The KMS servers.
        servers: String,
        /// How many a password encrypts.
        passwords: usize,
        /// What reminds of the passwords.
        hints: String,
    },
    /// A set of tapes lacks a volume.
    #[error("volume {volume} of {volumes} of the set {set} of media pool {pool:?} is not among these tapes")]
    MissingVolume {
        /// The media pool.
        pool: String,
        /// The set.
        set: String,
        /// The volume.
        volume: u32,
        /// How many there are.
        volumes: u32,
    },
    /// An error that several files have.
    #[error(transparent)]
    Shared(std::sync::Arc<Self>),
    /// The same name twice in one backup.
    #[error("two of the folders to back up are called {name:?}")]
    SameName {
        /// The name.
        name: String,
    },
}

impl BackupError {
    /// Wraps an I/O error with what was tried on what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Wraps what the KMS `server` did not do.
    pub(crate) fn kms_failed(server: &str) -> impl FnOnce(KmsError) -> Self {
        move |source| Self::Kms { server: server.to_owned(), source: Box::new(source) }
    }

    /// The KMS' failure behind this error, if that is what it is.
    #[must_use]
    pub fn kms(&self) -> Option<&KmsError> {
        match self {
            Self::Kms { source, .. }
            | Self::KeyUnavailable { source, .. }
            | Self::OfflineOver { source, .. } => Some(source.as_ref()),
            Self::Shared(error) => error.kms(),
            _ => None,
        }
    }

    /// Whether the KMS could not be reached.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.kms().is_some_and(|error| error.kind == KmsErrorKind::Unreachable)
    }

    /// Whether a backup file is damaged or no backup file at all.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        let undecryptable =
            self.kms().is_some_and(|error| matches!(error.kind, KmsErrorKind::DecryptionFailed));
        match self {
            Self::Shared(error) => error.is_damage(),
            Self::Damaged { .. } | Self::NotABackup { .. } | Self::MissingFile { .. } => true,
            _ => undecryptable,
        }
    }

    /// What to do about it, where something can be done.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Locked { .. } => {
                "wait until the other kms-client is done, or give another folder with --state"
            }
            Self::Database { .. } => "restore the state folder from a copy, or begin a new one with --state",
            Self::Unknown { what: "job", .. } => {
                "`kms-client job list` shows the jobs, `job create` makes one"
            }
            Self::Unknown { what: "chain", .. } => "`kms-client chain list` shows the chains",
            Self::Unknown { .. } => "`kms-client server list` shows the servers, `server add` registers one",
            Self::Exists { what: "record", .. } => "give a new state folder with --state",
            Self::Exists { .. } => "choose another name",
            Self::Kms { source, .. } => return source.hint.clone(),
            Self::OfflineOver { .. } => {
                "bring the KMS back, allow a longer time with `job set --offline`, or use a password"
            }
            Self::KeyUnavailable { source, .. } => match source.kind {
                KmsErrorKind::NoSuchKey => {
                    "the key was destroyed, or belongs to another client: ask the KMS administrator for its owner"
                }
                KmsErrorKind::DecryptionFailed => {
                    "the file's header is damaged: restore from another copy of it"
                }
                _ => return source.hint.clone(),
            },
            Self::UnusableKey { .. } => "check the key's algorithm and length in the KMS",
            Self::Blocked { .. } => "have the KMS rotate the key, run `kms-client sync`, then try again",
            Self::Overtaken { .. } => "try again",
            Self::NotABackup { .. } => {
                "give a file that `kms-client backup` wrote, with a kms-client not older"
            }
            Self::Damaged { .. } => {
                "restore from another copy of this file; --salvage restores what the chain's other files hold"
            }
            Self::UnknownServer { .. } => {
                "register that KMS with `kms-client server add`, or name one that has its keys with --server"
            }
            Self::NotEmpty { .. } => "give a new folder, or allow to replace files there with --overwrite",
            Self::InTheWay { .. } => "move that folder away, or restore into a new one",
            Self::SameName { .. } => "back them up by two commands, or back up a folder that holds both",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::AlreadyExists => "move it away, or choose another folder",
                io::ErrorKind::StorageFull => "free some space and try again",
                io::ErrorKind::PermissionDenied => "check the permissions, or run as a user who has them",
                _ => return None,
            },
            Self::MissingFile { .. } => {
                "put the chain's files into one folder; --salvage restores what the others hold"
            }
            Self::MixedTapes { .. } => {
                "run it once with --by-kms, where the KMS is connected, and once with --by-password and a --password-file"
            }
            Self::MissingVolume { .. } => "load that tape, and name it too",
            Self::Running { .. } => "wait until it is done",
            Self::NeedsPassword { .. } | Self::WrongPassword { .. } => {
                "give the password in a file with --password-file, or run the command in a terminal to be asked"
            }
            Self::Shared(error) => return error.hint(),
            Self::Invalid { .. } | Self::Chance => return None,
        };
        Some(text.to_owned())
    }
}
