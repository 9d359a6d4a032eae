//! Where the log ended, as the store knows it.
//!
//! The store holds every change's records until they are in the log. Beside that it notes how far the log had come when it
//! last let go of some, so that a log whose end was taken away, or which begins anew, is no longer taken for this store's.

use std::path::Path;

use super::chain::{OpenError, segments_from};
use super::line::{self, Position};
use super::segment::{self, Lines};
use crate::store::{Batch, Put, Store, StoreError};

/// What the record is called. It comes before all entries, so that whoever looks for those does not read it.
const ID: &str = "~audit-end";

/// What the store knows, and the revision of the record that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// Where the log ended; line 0 where the store knows of none.
    pub end: Position,
    revision: Option<u64>,
}

impl Known {
    /// What `store` knows.
    ///
    /// # Errors
    /// When the store cannot be read, or says nonsense.
    pub fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let Some(record) = store.fetch(ID)? else { return Ok(Self::default()) };
        let end = std::str::from_utf8(&record.value).ok().and_then(|text| text.parse().ok());
        let end = end.ok_or_else(|| StoreError::Corrupt { what: "no end of a log".into(), at: ID.into() })?;
        Ok(Self { end, revision: Some(record.revision) })
    }

    /// The change that makes the store know this `end` instead.
    pub fn put(&self, end: &Position) -> Put {
        let value = end.to_string().into_bytes();
        Put { id: ID.into(), replaces: self.revision, value, terms: Vec::new() }
    }

    /// That change was committed at `revision`.
    pub fn moved(&mut self, end: Position, revision: u64) {
        (self.end, self.revision) = (end, Some(revision));
    }

    /// Whether the log in `folder`, which ends at `end`, is the one that the store knows. A line that was given up with its
    /// segment cannot be looked at any more.
    ///
    /// # Errors
    /// [`OpenError::Other`] when it is another or ends before; [`OpenError::Io`].
    pub fn check(&self, folder: &Path, end: &Position) -> Result<(), OpenError> {
        let other = || OpenError::Other { path: folder.to_owned(), found: *end, known: self.end };
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        let Some(before) = self.end.line.checked_sub(1) else { return Ok(()) };
        if end.line < self.end.line {
            return Err(other());
        }
        let Some(number) = segments_from(folder, before).map_err(failed)?.first().copied() else {
            return Err(other());
        };
        let mut lines = Lines::open(&segment::path(folder, number)).map_err(failed)?;
        while let Some(text) = lines.next_line().map_err(failed)? {
            let number = line::read(text).map_err(|error| failed(error.into()))?.n;
            if number == self.end.line && line::hash_of(text) != Some(self.end.hash) {
                return Err(other());
            }
            if number >= self.end.line {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Has a store know of no log: for one that was restored, whose log is elsewhere. Whether it knew of one.
///
/// # Errors
/// When the store fails.
pub fn forget(store: &dyn Store) -> Result<bool, StoreError> {
    let Some(record) = store.fetch(ID)? else { return Ok(false) };
    store.commit(Batch::new().delete(ID, record.revision)).map(|_| true)
}
