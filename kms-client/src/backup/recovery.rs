//! Password loss protection: an Enterprise Manager that every file key is wrapped for as well.
//!
//! Its private key is kept elsewhere and never comes here. Where a KMS is gone for good, or a password forgotten, this side
//! writes a request with the wrapped file keys, the Enterprise Manager answers it, and the answer opens those files here and
//! nowhere else: it is encrypted for a key that this installation made for that request.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::x25519;
use serde::{Deserialize, Serialize};

use super::envelope::{StoredStanza, answer, read_answer};
use super::state::State;
use super::unlock::{LockedFile, Recovered};
use super::{BackupError, escape, limits};

/// Version of requests that this code writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What this side asks an Enterprise Manager.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Version of its layout.
    pub format: u32,
    /// Whom the answer is to be encrypted for.
    pub reply_to: String,
    /// The files that are to be opened.
    pub files: Vec<RequestedFile>,
}

/// A file that is to be opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RequestedFile {
    /// Its name, for whoever decides whether to answer.
    pub name: String,
    /// What wraps its file key.
    pub stanzas: Vec<StoredStanza>,
}

/// Makes an Enterprise Manager's key pair: writes the private key to a new file, and returns the public one.
///
/// # Errors
/// When the file is there already or cannot be written.
pub fn new_key(path: &Path) -> Result<String, BackupError> {
    let identity = x25519::Identity::generate();
    let public = identity.to_public().to_string();
    write_key(path, &identity)?;
    Ok(public)
}

fn write_key(path: &Path, identity: &x25519::Identity) -> Result<(), BackupError> {
    let failed = |error| BackupError::io("write the key", path)(error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let text = format!("# public key: {}\n", identity.to_public());
    let secret = identity.to_string();
    let write = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(secret.expose_secret().as_bytes()))
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    write.map_err(failed)
}

/// Reads a private key that [`new_key`] wrote, or `age-keygen`.
fn read_key(path: &Path) -> Result<x25519::Identity, BackupError> {
    let text = zeroize::Zeroizing::new(read_limited(path, limits::MAX_KEY_FILE)?);
    let text = core::str::from_utf8(&text).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1"));
    line.and_then(|line| line.trim().parse().ok()).ok_or_else(|| BackupError::Invalid {
        what: "Enterprise Manager's private key",
        value: path.display().to_string(),
        rule: "a file with a line AGE-SECRET-KEY-1…, as `recovery new` writes it",
    })
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, BackupError> {
    let failed = |error| BackupError::io("read", path)(error);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(io::Error::other(format!("it is longer than {limit} bytes"))));
    }
    Ok(bytes)
}

/// Checks a public key.
///
/// # Errors
/// When it is none.
pub fn check_recipient(text: &str) -> Result<(), BackupError> {
    let parsed: Result<x25519::Recipient, _> = text.parse();
    parsed.map(drop).map_err(|_| BackupError::Invalid {
        what: "Enterprise Manager key",
        value: text.chars().take(limits::MAX_ADDRESS).collect(),
        rule: "an age recipient (age1…), such as `recovery new` prints",
    })
}

fn keys_folder(state: &State) -> PathBuf {
    state.folder().join("recovery")
}

/// Asks for the keys of files. The private key that the answer will be for stays in the state folder.
///
/// # Errors
/// When a file's key is not wrapped for any Enterprise Manager, or the request's key cannot be kept.
pub fn request(state: &State, files: &[LockedFile]) -> Result<Request, BackupError> {
    if let Some(file) = files.iter().find(|file| file.locks.recovery.is_empty()) {
        return Err(BackupError::NotABackup {
            file: file.file.clone(),
            what: "it was written without password loss protection: no Enterprise Manager opens it"
                .to_owned(),
        });
    }
    let folder = keys_folder(state);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(BackupError::io("make the folder", &folder))?;
    let identity = x25519::Identity::generate();
    write_key(&folder.join(uuid::Uuid::new_v4().to_string()), &identity)?;
    let requested = |file: &LockedFile| {
        let name = file.file.file_name().unwrap_or_default();
        RequestedFile { name: escape::escape(name.as_encoded_bytes()), stanzas: file.locks.recovery.clone() }
    };
    let reply_to = identity.to_public().to_string();
    Ok(Request { format: FORMAT, reply_to, files: files.iter().map(requested).collect() })
}

/// Reads a request.
///
/// # Errors
/// When it is none, or of a newer version.
pub fn read_request(path: &Path) -> Result<Request, BackupError> {
    let bytes = read_limited(path, limits::MAX_RECOVERY)?;
    let not = |what: String| BackupError::NotABackup { file: path.to_owned(), what };
    let request: Request =
        serde_json::from_slice(&bytes).map_err(|error| not(format!("it is no recovery request: {error}")))?;
    if request.format > FORMAT {
        return Err(not(format!("its format is {}, this kms-client knows {FORMAT}", request.format)));
    }
    Ok(request)
}

/// Answers a request with the Enterprise Manager's private key; the second value says how many keys were unwrapped.
///
/// # Errors
/// When the private key cannot be read, or opens none of the files.
pub fn answer_request(key: &Path, path: &Path, request: &Request) -> Result<(Vec<u8>, usize), BackupError> {
    let not = |what: String| BackupError::NotABackup { file: path.to_owned(), what };
    let manager = read_key(key)?;
    let reply_to: x25519::Recipient =
        request.reply_to.parse().map_err(|_| not("its reply address is no age recipient".to_owned()))?;
    let stanzas: Vec<StoredStanza> = request.files.iter().flat_map(|file| file.stanzas.clone()).collect();
    let (encrypted, count) = answer(&manager, &stanzas, &reply_to).map_err(not)?;
    if count == 0 {
        return Err(not("this private key opens none of its files".to_owned()));
    }
    Ok((encrypted, count))
}

/// Reads an answer to a request of this installation.
///
/// # Errors
/// When it is damaged, or answers a request of another installation.
pub fn accept(state: &State, path: &Path) -> Result<Recovered, BackupError> {
    let encrypted = read_limited(path, limits::MAX_RECOVERY)?;
    let folder = keys_folder(state);
    let keys = match folder.read_dir() {
        Ok(keys) => keys.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
        Err(_) => Vec::new(),
    };
    for key in keys {
        if let Some(answers) = read_key(&key).ok().and_then(|own| read_answer(&encrypted, &own)) {
            return Ok(answers.into_iter().collect());
        }
    }
    Err(BackupError::NotABackup {
        file: path.to_owned(),
        what: "it answers no request of this installation, or is damaged".to_owned(),
    })
}
