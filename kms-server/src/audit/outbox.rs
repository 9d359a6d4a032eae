//! Records of commits, kept in the store from their commit until they are in the log.
//!
//! A change and its records are one batch: either both happen or none does. Afterwards the records are written into the
//! log and then deleted from the store. A crash between the two leaves entries that are in the log already; each has an
//! identifier that stands in its lines too, and a line's number that they all come behind, so that few lines have to be
//! looked at to tell.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::limits::PAGE;
use super::record::Record;
use crate::store::{Put, Store, StoreError};

/// What the identifiers of entries begin with. No managed object is called so: theirs are UUIDs, which all come before,
/// so that whoever looks for entries reads nothing else.
const PREFIX: &str = "~audit/";

/// Whether a record of the store is such an entry, and no managed object.
#[must_use]
pub fn is_entry(id: &str) -> bool {
    id.starts_with(PREFIX)
}

/// The records of one commit.
#[derive(Debug, Serialize, Deserialize)]
pub struct Commit {
    /// A line of the log that was written before it.
    pub after: u64,
    /// What it did.
    pub records: Vec<Record>,
}

/// An entry as it was found in the store.
#[derive(Debug)]
pub struct Found {
    /// The commit's identifier, as it stands in the log.
    pub commit: String,
    /// Where it stands in the order of commits.
    pub revision: u64,
    /// What it holds.
    pub holds: Commit,
}

impl Commit {
    /// The change that writes the entry.
    ///
    /// # Errors
    /// When a record cannot be written down.
    pub fn put(&self) -> Result<Put, StoreError> {
        let value = serde_json::to_vec(self)
            .map_err(|error| StoreError::Corrupt { what: error.to_string(), at: "an audit record".into() })?;
        Ok(Put { id: store_id(&Uuid::new_v4().to_string()), replaces: None, value, terms: Vec::new() })
    }
}

/// What the entry of a commit is called in the store.
#[must_use]
pub fn store_id(commit: &str) -> String {
    format!("{PREFIX}{commit}")
}

/// The commit whose entry is called so.
#[must_use]
pub fn commit_of(id: &str) -> Option<&str> {
    id.strip_prefix(PREFIX)
}

/// The entries in the store, in the order of their commits, but for those that `skip` knows. Whatever was committed
/// before this was called is among them.
///
/// # Errors
/// When the store cannot be read or an entry is none.
pub fn waiting(store: &dyn Store, skip: impl Fn(&str) -> bool) -> Result<Vec<Found>, StoreError> {
    let (mut found, pages) = read_all(store, &skip)?;
    if pages > 1 {
        // Each page sees the store a little later, so something may have been missed that was committed before
        // something found. It is not missed the second time; what came since is left for the next time.
        let latest = found.iter().map(|entry| entry.revision).max();
        (found, _) = read_all(store, &skip)?;
        found.retain(|entry| latest.is_some_and(|latest| entry.revision <= latest));
    }
    found.sort_by_key(|entry| entry.revision);
    Ok(found)
}

/// The entries in order of their names, and on how many pages they were.
fn read_all(store: &dyn Store, skip: &impl Fn(&str) -> bool) -> Result<(Vec<Found>, usize), StoreError> {
    let (mut found, mut after, mut pages) = (Vec::new(), PREFIX.to_owned(), 0);
    loop {
        let page = store.records(Some(&after), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok((found, pages)) };
        after.clone_from(last);
        pages += 1;
        for (id, record) in page {
            let Some(commit) = id.strip_prefix(PREFIX).filter(|commit| !skip(commit)) else { continue };
            let holds = serde_json::from_slice(&record.value).map_err(|error| StoreError::Corrupt {
                what: format!("an audit record that cannot be read: {error}"),
                at: id.clone(),
            })?;
            found.push(Found { commit: commit.to_owned(), revision: record.revision, holds });
        }
    }
}
