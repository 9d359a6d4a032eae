//! Backup files: tar in zstd in age.
//!
//! Any implementation of the three opens one: `age -d FILE | zstd -d | tar x`. Names and link targets longer than tar's
//! header go into GNU long-name entries, times finer than a second into pax headers. The first entry is a
//! global pax header whose `comment` is a JSON object that says what the file is ([`Description`]).
//!
//! Both directions run on two threads joined by a pipe, so that compression and encryption use a core each,
//! and take the same memory whatever the size of the data.

mod entry;
mod read;
mod walk;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::limits;

pub use read::{RestoreOptions, RestoreSummary, restore};
pub use walk::{Totals, measure};
pub use write::{BackupRequest, BackupSummary, write};

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
