//! Chains: a full backup and the incremental ones that build on it.
//!
//! A backup of a job into a folder goes on with the newest chain that the job has there for the same things, or begins one. Its
//! files are `STEM.age`, `STEM.0002.age` and so on, and `STEM.chain` says what they are ([`metadata`]). A file belongs to
//! a chain by what it says of itself inside the encryption, whatever its name.

mod backup;
pub mod metadata;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::archive::{Facts, ManifestExtent, facts, file_name};
use super::envelope::StoredStanza;
use super::records::check_name;
use super::{BackupError, escape, limits};

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
    /// The manifest of that point as it was written.
    #[serde(default)]
    pub manifest: Option<ManifestExtent>,
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
    /// How much of its manifest counts.
    pub manifest: ManifestExtent,
}

impl Chain {
    /// A chain that was found in a folder.
    pub(super) fn found(id: String, job: String, stem: String, created: i64) -> Self {
        let (repository, paths, begun) = (String::new(), Vec::new(), Vec::new());
        let (complete, manifest, signed) = (None, None, false);
        Self { id, job, stem, repository, paths, created, next: 1, complete, manifest, begun, signed }
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

    /// What a chain says of itself becomes part of the names of files: one that leads elsewhere no backup has written. What is
    /// wrong with it, where something is.
    pub(super) fn oddity(&self) -> Option<String> {
        let id = uuid::Uuid::parse_str(&self.id).is_ok_and(|id| id.to_string() == self.id);
        if check_name("job name", &self.job).is_err() {
            return Some(format!("it names the job {:?}, as no job is named", shortened(&self.job)));
        }
        if !id {
            return Some(format!("its chain has the identifier {:?}, as none has", shortened(&self.id)));
        }
        let plain = !self.stem.is_empty() && !self.stem.contains(['/', '\0']);
        (!plain).then(|| format!("its chain is named {:?}, as none is", shortened(&self.stem)))
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
    /// The Enterprise Manager that its header is for, as an age recipient; none where there is none or that is not known.
    #[serde(default)]
    pub recovery: Option<String>,
}

impl ChainFile {
    /// What the file at `path` says of itself, where it is this one.
    ///
    /// # Errors
    /// When it cannot be looked at, or is another.
    pub(super) fn facts_at(&self, path: &Path) -> Result<Facts, BackupError> {
        let facts = facts(path)?;
        if facts.nonce == self.nonce && facts.length == self.length {
            return Ok(facts);
        }
        let what = "it is not the file that its chain was made with, or its end is missing".to_owned();
        Err(BackupError::Damaged { file: path.to_owned(), what })
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(limits::MAX_NAME).collect()
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
    let numbered = stem.rsplit_once('.').and_then(|(chain, digits)| {
        let number: u32 = digits.parse().ok()?;
        let same = format!("{number:04}") == digits;
        (same && (2..=limits::MAX_CHAIN_FILES).contains(&number)).then(|| (chain.to_owned(), number))
    });
    Some(numbered.unwrap_or_else(|| (stem.to_owned(), 1)))
}
