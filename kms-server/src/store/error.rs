//! What can go wrong in the store: what, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Index;

/// Why the store refused or failed. Cloneable, since all commits of one group fail by the same cause.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record is not at the revision that the batch wanted to replace. Nothing was written.
    #[error("record {id:?} is {}, the batch expected it {}", revision(.found), revision(.expected))]
    Conflict {
        /// The record.
        id: String,
        /// The revision that the batch named; `None` for "must not exist".
        expected: Option<u64>,
        /// The revision that the store holds; `None` for "does not exist".
        found: Option<u64>,
    },
    /// A term that only one record may have would be held by two after the batch. Nothing was written.
    #[error("{index:?} of record {id:?} is already taken by record {holder:?}")]
    Duplicate {
        /// Which index.
        index: Index,
        /// The key that both want.
        key: Vec<u8>,
        /// The record that may not have it.
        id: String,
        /// The record that has it.
        holder: String,
    },
    /// Something exceeds a limit of [`super::limits`]. Nothing was written.
    #[error("{what} has {size}, the limit is {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The batch makes no sense: an ID twice, a term twice, an ID that is none. Nothing was written.
    #[error("{what} (record {id:?})")]
    Invalid {
        /// What is wrong.
        what: &'static str,
        /// The record that it was found in.
        id: String,
    },
    /// Another process has this store open.
    #[error("another server has the store {} open{}", path.display(), holder.as_deref().unwrap_or(""))]
    Locked {
        /// The store's folder.
        path: PathBuf,
        /// Which process, where that is known.
        holder: Option<String>,
    },
    /// The store was written in a format that this program does not know.
    #[error("the store {} has format {found}, this program knows {known}", path.display())]
    Format {
        /// The store's folder.
        path: PathBuf,
        /// The format in the store.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
    },
    /// What is in the store cannot be what the store wrote.
    #[error("the store is damaged: {what} at {at}")]
    Corrupt {
        /// What was found.
        what: String,
        /// Where: a record's ID, an entry's key or a file.
        at: String,
    },
    /// The database ends before a commit that was acknowledged. Nothing was served from it.
    #[error("the store {} ends with commit {last}, and commit {noted} was acknowledged: what came between is lost", path.display())]
    Lost {
        /// The store's folder.
        path: PathBuf,
        /// The last commit in the database.
        last: u64,
        /// The last commit that was noted as durable.
        noted: u64,
    },
    /// The operating system refused. Nothing was written that could be seen.
    #[error("{doing} {} failed: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk is nearly full. Nothing was written; writes go on by themselves once there is space.
    #[error("{} has {free} bytes free, and {reserve} must stay free", path.display())]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// What is free, in bytes.
        free: u64,
        /// What must stay free, in bytes.
        reserve: u64,
    },
    /// The batch was written but not confirmed: it may or may not be there, wholly, once the store is open
    /// again.
    #[error("the outcome of the commit is unknown: {cause}")]
    Unconfirmed {
        /// What failed.
        cause: String,
    },
    /// The store takes no writes since an earlier failure. Reads go on.
    #[error("the store is read-only since {cause}")]
    ReadOnly {
        /// The failure.
        cause: String,
    },
    /// Nothing is changed that cannot be recorded, and the audit log cannot be written. Nothing was written.
    #[error("the audit log cannot be written: {cause}")]
    Unrecorded {
        /// Why not.
        cause: String,
    },
    /// What followed the store's changes missed some: too many came, or the store was opened anew. Start again.
    #[error("the changes of the store were lost sight of: {cause}")]
    LostSight {
        /// Why.
        cause: &'static str,
    },
    /// The store is closed, or could not be opened again after a failure.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What the operator or the caller can do about it, in one sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "somebody changed the record meanwhile: fetch it again and retry",
            Self::Duplicate { .. } => "choose another name, or take it from its holder in the same batch",
            Self::TooLarge { .. } => "split it, or store less of it",
            Self::Invalid { .. } => "this is a defect of the server: please report it",
            Self::Locked { .. } => "stop the other server, or give this one a store of its own",
            Self::Format { .. } => "run the newer program that wrote it, or restore a backup of this format",
            Self::Corrupt { .. } => "stop the server, keep a copy of the folder, and restore the last backup",
            Self::Lost { .. } => {
                "keep a copy of the folder and restore the last backup; to go on with what is left, delete the file `last`"
            }
            Self::Io { source, .. } => io_hint(source),
            Self::Full { .. } => "free space on the store's disk",
            Self::Unconfirmed { .. } => "fetch the records and compare their revisions before trying again",
            Self::ReadOnly { .. } => "free space or mend the disk: the store then starts writing again",
            Self::Unrecorded { .. } => "free space on the audit log's disk; the server goes on by itself",
            Self::LostSight { .. } => "start again, at a time when less is changed",
            Self::Closed => "open the store again, or restart the server",
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(super) fn corrupt(what: impl Into<String>, at: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), at: at.into() }
    }
}

fn revision(revision: &Option<u64>) -> String {
    revision.map_or_else(|| "absent".to_owned(), |number| format!("at revision {number}"))
}

fn io_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on the store's disk",
        io::ErrorKind::ReadOnlyFilesystem => "mount the store's file system for writing",
        io::ErrorKind::PermissionDenied => "let the server's user read and write the store's folder",
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "check the store's path",
        _ => "check the disk and the system's log",
    }
}
