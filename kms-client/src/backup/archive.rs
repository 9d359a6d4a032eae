//! Backup files: tar in zstd in age.
//!
//! Any implementation of the three opens one: `age -d FILE | zstd -d | tar x`. Names and link targets longer than tar's
//! header go into GNU long-name entries, times finer than a second into pax headers. The first entry is a
//! global pax header whose `comment` is a JSON object that says what the file is ([`Description`]).
//!
//! Both directions run on two threads joined by a pipe, so that compression and encryption use a core each,
//! and take the same memory whatever the size of the data.

mod contents;
mod earlier;
mod entry;
mod estimate;
mod manifest;
mod placing;
mod point;
mod read;
mod walk;
mod write;

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::envelope::Header;
use super::{BackupError, limits};

pub use earlier::EarlierState;
pub use estimate::{Estimate, estimate};
pub use manifest::ManifestExtent;
pub use point::{PointFile, copy_manifest, restore_point};
pub(super) use read::open;
pub use read::{RestoreOptions, RestoreSummary, prove, restore};
pub use walk::{Root, roots};
pub use write::{BackupRequest, BackupSummary, Continuation, WrittenFile, file_name, write, write_point};

/// Version of the archive's layout that this code writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What a backup file says of itself, inside the encryption.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Description {
    /// Version of the archive's layout.
    pub format: u32,
    /// The job that wrote it.
    pub job: String,
    /// When it was begun, in seconds since 1970-01-01T00:00:00Z.
    pub created: i64,
    /// The chain that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainPosition>,
}

/// A backup file's place in a chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChainPosition {
    /// The chain's identifier.
    pub id: String,
    /// 1 for the first file.
    pub number: u32,
}

/// What tells a backup file from any other, whatever keys open it: it stays when the header is written anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The 16 random bytes that age begins what is encrypted with, in hexadecimal digits.
    pub nonce: String,
    /// Bytes after them.
    pub length: u64,
    /// Which keys open the file.
    pub header: Header,
}

/// Reads what tells a file from any other; no key is needed for that.
///
/// # Errors
/// When it is no backup file.
pub fn facts(file: &Path) -> Result<Facts, BackupError> {
    facts_of(File::open(file).map_err(BackupError::io("open", file))?, file)
}

/// The same of a file that is open, from its beginning; `file` is its name for messages.
fn facts_of(opened: File, file: &Path) -> Result<Facts, BackupError> {
    let length = opened.metadata().map_err(BackupError::io("read", file))?.len();
    let mut input = BufReader::new(opened);
    let not_a_backup = |what: String| BackupError::NotABackup { file: file.to_owned(), what };
    let header = Header::read(&mut input).map_err(|error| not_a_backup(error.to_string()))?;
    let mut nonce = [0; 16];
    input.read_exact(&mut nonce).map_err(|_| not_a_backup("the file ends after its header".to_owned()))?;
    let after = (header.length() + nonce.len()) as u64;
    Ok(Facts { nonce: hex::encode(nonce), length: length.saturating_sub(after), header })
}

/// Follows a backup or restore while it runs; called from another thread than the one that started it.
pub trait Observer: Sync {
    /// `bytes` more of the files' contents are done.
    fn advanced(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Something was left out or is not as it should be; the work goes on.
    fn warned(&self, warning: &Warning) {
        let _ = warning;
    }
}

/// An observer that looks away.
pub struct Unobserved;

impl Observer for Unobserved {}

/// Something that a backup left out, or could not read as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The file or folder.
    pub path: PathBuf,
    /// What is the matter with it.
    pub problem: Problem,
}

/// What can be the matter with a file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It was there when its folder was listed and gone when it was to be read.
    #[error("vanished before it was read: left out")]
    Vanished,
    /// It cannot be opened.
    #[error("cannot be opened ({0}): left out")]
    Unreadable(String),
    /// Reading failed after its beginning was written.
    #[error("cannot be read to its end ({0}): the rest is stored as zeros")]
    ReadFailed(String),
    /// It was written to while it was read.
    #[error("changed while it was read: stored as a mixture of old and new")]
    Changed,
    /// Neither file, folder nor symbolic link.
    #[error("is neither file, folder nor symbolic link: left out")]
    Special,
    /// Too many folders inside folders.
    #[error("lies more than {} folders deep: left out", limits::MAX_DEPTH)]
    TooDeep,
    /// A restore that was to go on could not bring it back.
    #[error("is lost: {0}")]
    Lost(String),
    /// The folder that backups are written to lies within what is backed up.
    #[error("is the folder that backups go to: left out")]
    Target,
}

/// Counts all warnings and keeps the first thousand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Warnings {
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Warning>,
}

impl Warnings {
    fn add(&mut self, observer: &dyn Observer, path: &Path, problem: Problem) {
        let warning = Warning { path: path.to_owned(), problem };
        observer.warned(&warning);
        self.count += 1;
        if self.first.len() < limits::MAX_WARNINGS {
            self.first.push(warning);
        }
    }
}

/// What a backup file held, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Symbolic links.
    pub links: u64,
    /// The files' contents, in bytes.
    pub bytes: u64,
}
