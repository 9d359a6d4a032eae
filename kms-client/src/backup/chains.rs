//! Chains: a full backup and the incremental ones that build on it.
//!
//! A backup of a job into a folder goes on with the newest chain that the job has there for the same things, or begins one. Its
//! files are `STEM.age`, `STEM.0002.age` and so on, and `STEM.chain` says what they are ([`metadata`]). A file belongs to
//! a chain by what it says of itself inside the encryption, whatever its name.

mod backup;
pub mod metadata;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::archive::file_name;
use super::envelope::StoredStanza;
use super::escape;

pub use backup::{Plan, Wanted};

/// A chain that this installation knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chain {
    /// Its identifier, random.
    pub id: String,
    /// The job that writes it.
    pub job: String,
    /// What its files are named after.
    pub stem: String,
    /// The folder that they are in, escaped.
    repository: String,
    /// What is backed up, escaped.
    paths: Vec<String>,
    /// When it was begun, in seconds since 1970-01-01T00:00:00Z.
    pub created: i64,
    /// Number of the next file.
    pub next: u32,
    /// Number of the file that ends the newest complete point.
    pub complete: Option<u32>,
    /// Backups that were ended before they were whole since then, newest first.
    #[serde(default)]
    pub begun: Vec<Begun>,
    /// Whether its metadata is signed: then nothing but that says what its files are.
    #[serde(default)]
    pub signed: bool,
}

/// A backup that is not whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// The file of the chain that it began with.
    pub number: u32,
    /// How many bytes of its manifest count.
    pub length: u64,
}

impl Chain {
    /// A chain that was found in a folder.
    pub(super) fn found(id: String, job: String, stem: String, created: i64) -> Self {
        let (repository, paths, begun) = (String::new(), Vec::new(), Vec::new());
        let (complete, signed) = (None, false);
        Self { id, job, stem, repository, paths, created, next: 1, complete, begun, signed }
    }

    /// The chain as it is in `folder`, up to the point that file `newest` ends.
    pub(super) fn moved(&self, folder: &Path, newest: u32) -> Self {
        Self {
            repository: text_of(folder),
            next: newest + 1,
            complete: Some(newest),
            begun: Vec::new(),
            ..self.clone()
        }
    }

    /// The folder that its files are in.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        path_of(&self.repository)
    }

    /// Where its file `number` is.
    #[must_use]
    pub fn file(&self, number: u32) -> PathBuf {
        self.repository().join(file_name(&self.stem, number))
    }

    /// Where its metadata is.
    #[must_use]
    pub fn metadata(&self) -> PathBuf {
        self.repository().join(format!("{}.chain", self.stem))
    }
}

/// A file of a chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChainFile {
    /// Its number in the chain.
    pub number: u32,
    /// When its backup was begun, in seconds since 1970-01-01T00:00:00Z.
    pub created: i64,
    /// Whether it ends a point in time.
    pub complete: bool,
    /// What tells it from any other file.
    pub nonce: String,
    /// Bytes after the nonce.
    pub length: u64,
    /// What holds its file key: what its header says, or the same for a newer key.
    pub stanzas: Vec<StoredStanza>,
}

pub(super) fn text_of(path: &Path) -> String {
    escape::escape(path.as_os_str().as_encoded_bytes())
}

pub(super) fn path_of(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(escape::unescape(text).unwrap_or_default()).into()
}

/// The number of the chain file named so, and the stem of its chain.
#[must_use]
pub fn stem_and_number(file: &Path) -> Option<(String, u32)> {
    let stem = file.file_name()?.to_str()?.strip_suffix(".age")?;
    match stem.rsplit_once('.') {
        Some((chain, number)) if number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((chain.to_owned(), number.parse().ok()?))
        }
        _ => Some((stem.to_owned(), 1)),
    }
}
