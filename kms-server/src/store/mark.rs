//! How far the store had come, noted beside the database.
//!
//! sled takes a damaged file for one whose last writes were torn by a power cut, and drops what it cannot read: a file that
//! was cut short or emptied opens as a smaller store, or an empty one, without a word. So the number of each commit also
//! goes to a file of our own, after the commit is durable: the database can be ahead of it, never behind.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::StoreError;

/// The file's name in the store's folder.
const NAME: &str = "last";

/// The file that holds the number of the last commit, in eight bytes.
pub struct Mark(File);

impl Mark {
    /// Opens the mark of the store in `folder`, whose database ends with commit `last`.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when a later commit was noted.
    pub fn open(folder: &Path, last: u64) -> Result<Self, StoreError> {
        let path = folder.join(NAME);
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mark = Self(file.map_err(|error| StoreError::io("opening", &path, error))?);
        let noted = mark.read().map_err(|error| StoreError::io("reading", &path, error))?;
        if noted > last {
            return Err(StoreError::Lost { path: folder.to_owned(), last, noted });
        }
        mark.note(last);
        Ok(mark)
    }

    /// Notes a commit that is durable.
    ///
    /// It is not synced, and a failure is passed over: a mark that lags only tells of fewer losses.
    pub fn note(&self, last: u64) {
        if let Err(error) = self.0.write_all_at(&last.to_be_bytes(), 0) {
            tracing::debug!(%error, "the last commit was not noted");
        }
    }

    /// What is noted; nothing in a new file, or in one that a power cut left empty.
    fn read(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        match self.0.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(u64::from_be_bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }
}
