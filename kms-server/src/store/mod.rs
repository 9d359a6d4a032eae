//! The store's contract: versioned records that are found by terms, changed by batches that are all or
//! nothing, and never acknowledged before they are durable.
//!
//! What every implementation promises, and the contract test in `tests/store_contract.rs` checks:
//! - **All or nothing.** A batch happens wholly or not at all, whatever fails and whenever.
//! - **Durable first.** [`Store::commit`] returns `Ok` only when a power cut cannot undo the batch. No reader
//!   sees any of it earlier: a client that was served a public key encrypts with it, so a key that a crash
//!   could still take away must not be served.
//! - **No lost update.** Each put and delete names the revision that it replaces. Revisions are numbers of
//!   commits, so none ever comes twice, not even for a record that was deleted and put anew.
//! - **Unique terms.** One record at most holds a term of a unique index, judged on the state after the
//!   whole batch: a rotation moves a name from the old record to the new one in one batch.
//! - **One state for each call.** A call sees the state between two commits; the next call may see a later one.
//! - **Copied while in use.** [`Store::follow`] and [`Store::changed`] let a copy that took a while become one state.
//! - **Bounded.** Every call does work in proportion to what it returns; limits are in [`limits`].
//!
//! The store knows nothing of keys or of KMIP: a value is bytes, sealed by its owner; a term is bytes, built
//! by its owner with [`Key`]. Only this module names a database; keep it so, and the engine stays replaceable.

mod commit;
pub mod copy;
mod error;
mod fault;
mod folder;
mod follow;
mod key;
mod layout;
pub mod limits;
mod mark;
mod memory;
mod sled;
mod view;
mod watch;

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

pub use self::error::StoreError;
pub use self::fault::{Faults, Step};
pub use self::follow::{Changed, Followed};
pub use self::key::Key;
pub use self::memory::MemoryStore;
pub use self::sled::{SledOptions, SledStore};

use self::limits::{
    MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_ID_BYTES, MAX_NOTE_BYTES, MAX_TERM_BYTES, MAX_TERMS,
    MAX_VALUE_BYTES,
};

/// What records are found by. The numbers are on disk: append, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Index {
    /// KMIP Name, behind the owner, of an object that has it for itself. The one unique index.
    Name = 1,
    /// An owner's objects by KMIP Initial Date.
    Owner = 2,
    /// KMIP Object Group, behind the owner.
    Group = 3,
    /// The other end of a KMIP Link, behind the owner.
    Link = 4,
    /// When a date of the object's own changes its State.
    Due = 5,
    /// The newest generation of each pair, by the policy that rotates it and its Initial Date.
    Rotation = 6,
    /// Old generations out of use, by the policy that may destroy them and since when.
    Retired = 7,
    /// KMIP Name, behind the owner, of an object that may share it with others.
    SharedName = 8,
}

impl Index {
    /// All indexes.
    pub const ALL: [Self; 8] = [
        Self::Name,
        Self::Owner,
        Self::Group,
        Self::Link,
        Self::Due,
        Self::Rotation,
        Self::Retired,
        Self::SharedName,
    ];

    /// Whether one record at most may hold a key in this index.
    #[must_use]
    pub const fn is_unique(self) -> bool {
        matches!(self, Self::Name)
    }

    const fn tag(self) -> u8 {
        self as u8
    }

    fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|index| index.tag() == tag)
    }
}

/// One way in which a record is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// In which index.
    pub index: Index,
    /// Under which key, up to [`limits::MAX_TERM_BYTES`].
    pub key: Vec<u8>,
}

impl Term {
    /// The term `key` of `index`.
    #[must_use]
    pub fn new(index: Index, key: impl Into<Vec<u8>>) -> Self {
        Self { index, key: key.into() }
    }
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of the commit that wrote it.
    pub revision: u64,
    /// What it holds: bytes that the store does not interpret.
    pub value: Vec<u8>,
    /// What it is found by, as it was put.
    pub terms: Vec<Term>,
}

/// A record to write, new or in place of an old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The record's ID: 1 to [`limits::MAX_ID_BYTES`] bytes without control characters.
    pub id: String,
    /// The revision that it replaces; `None` if no such record may exist.
    pub replaces: Option<u64>,
    /// The new value, up to [`limits::MAX_VALUE_BYTES`].
    pub value: Vec<u8>,
    /// All that it is found by from now on; no term twice.
    pub terms: Vec<Term>,
}

/// A record to delete, with its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The record's ID.
    pub id: String,
    /// The revision that is deleted.
    pub replaces: u64,
}

/// Changes that happen together or not at all. No ID may occur twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records to write.
    pub puts: Vec<Put>,
    /// Records to delete.
    pub deletes: Vec<Delete>,
}

impl Batch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record to write.
    #[must_use]
    pub fn put(mut self, put: Put) -> Self {
        self.puts.push(put);
        self
    }

    /// Adds a record to delete.
    #[must_use]
    pub fn delete(mut self, id: impl Into<String>, replaces: u64) -> Self {
        self.deletes.push(Delete { id: id.into(), replaces });
        self
    }

    /// The IDs that the batch touches.
    fn ids(&self) -> impl Iterator<Item = &String> {
        self.puts.iter().map(|put| &put.id).chain(self.deletes.iter().map(|delete| &delete.id))
    }

    /// Bytes of values and terms: what the batch weighs in memory and on disk.
    fn weight(&self) -> usize {
        let terms = |put: &Put| put.terms.iter().map(|term| term.key.len()).sum::<usize>();
        self.puts.iter().map(|put| put.value.len() + terms(put)).sum()
    }

    /// What can be judged without looking at the store.
    fn check(&self) -> Result<(), StoreError> {
        within("a batch in records", self.puts.len() + self.deletes.len(), MAX_BATCH_RECORDS)?;
        within("a batch in bytes", self.weight(), MAX_BATCH_BYTES)?;
        let mut seen = HashSet::new();
        for id in self.ids() {
            check_id(id)?;
            if !seen.insert(id) {
                return Err(StoreError::Invalid { what: "a batch names a record twice", id: id.clone() });
            }
        }
        for put in &self.puts {
            within("a value in bytes", put.value.len(), MAX_VALUE_BYTES)?;
            within("a record in terms", put.terms.len(), MAX_TERMS)?;
            let mut terms = HashSet::new();
            for term in &put.terms {
                within("a term in bytes", key::escaped_len(&term.key), MAX_TERM_BYTES)?;
                if !terms.insert(term) {
                    return Err(StoreError::Invalid {
                        what: "a record names a term twice",
                        id: put.id.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), StoreError> {
    if size > limit { Err(StoreError::TooLarge { what, size, limit }) } else { Ok(()) }
}

fn check_id(id: &str) -> Result<(), StoreError> {
    within("an ID in bytes", id.len(), MAX_ID_BYTES)?;
    if id.is_empty() || id.chars().any(char::is_control) {
        return Err(StoreError::Invalid {
            what: "an ID is empty or has control characters",
            id: id.to_owned(),
        });
    }
    Ok(())
}

fn check_note(name: &str, value: Option<&[u8]>) -> Result<(), StoreError> {
    check_id(name)?;
    within("a note in bytes", name.len() + value.map_or(0, <[u8]>::len), MAX_NOTE_BYTES)
}

/// Which keys of an index a scan covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The whole index.
    All,
    /// This key alone.
    Exactly(Vec<u8>),
    /// Every key that begins so.
    Prefix(Vec<u8>),
    /// From the first key, included, to the second, excluded.
    Between(Vec<u8>, Vec<u8>),
}

impl Keys {
    /// The first key, and the first key beyond the last; `None` where there is no end.
    fn bounds(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Self::All => (Vec::new(), None),
            Self::Exactly(key) => (key.clone(), Some([key.as_slice(), &[0]].concat())),
            Self::Prefix(prefix) => (prefix.clone(), successor(prefix)),
            Self::Between(from, below) => (from.clone(), Some(below.clone())),
        }
    }
}

/// The part of an ordered map that a page is read from, its cursor applied; `None` if nothing is in it.
fn page<K: Ord>(from: K, below: Option<K>, order: Order, after: Option<K>) -> Option<(Bound<K>, Bound<K>)> {
    let (lower, upper) = match (order, after) {
        (Order::Ascending, Some(after)) if after >= from => (Bound::Excluded(after), below),
        (Order::Descending, Some(after)) if below.as_ref().is_none_or(|below| after < *below) => {
            (Bound::Included(from), Some(after))
        }
        _ => (Bound::Included(from), below),
    };
    match (&lower, &upper) {
        (Bound::Included(first) | Bound::Excluded(first), Some(below)) if first >= below => None,
        _ => Some((lower, upper.map_or(Bound::Unbounded, Bound::Excluded))),
    }
}

/// The first key above all that begin with `prefix`; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut key = prefix.get(..=last)?.to_vec();
    *key.last_mut()? += 1;
    Some(key)
}

/// Which end of an index a scan begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    #[default]
    Ascending,
    /// Largest key first.
    Descending,
}

/// One page of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Which index.
    pub index: Index,
    /// Which of its keys.
    pub keys: Keys,
    /// From which end.
    pub order: Order,
    /// Where the last page ended; `None` for the first page.
    pub after: Option<Hit>,
    /// How many hits at most; more than [`limits::MAX_SCAN_HITS`] count as that many.
    pub limit: usize,
}

impl Scan {
    /// The first page of `keys`, smallest first, as large as a page can be.
    #[must_use]
    pub fn new(index: Index, keys: Keys) -> Self {
        Self { index, keys, order: Order::Ascending, after: None, limit: limits::MAX_SCAN_HITS }
    }
}

/// A record that a scan found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The key that it was found under.
    pub key: Vec<u8>,
    /// The record's ID.
    pub id: String,
}

/// A store of records. All calls block; `commit` for as long as the disk takes to sync.
pub trait Store: Send + Sync {
    /// Makes the batch happen, durably, and returns the revision that its records have from now on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::Duplicate`], [`StoreError::TooLarge`] or
    /// [`StoreError::Invalid`] if the batch does not fit the state or the limits; [`StoreError::Full`],
    /// [`StoreError::Io`] or [`StoreError::ReadOnly`] if nothing was written; [`StoreError::Unconfirmed`] if that
    /// is not known.
    fn commit(&self, batch: Batch) -> Result<u64, StoreError>;

    /// The record `id`, or `None`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Io`] or [`StoreError::Closed`] if it cannot be read.
    fn fetch(&self, id: &str) -> Result<Option<Record>, StoreError>;

    /// One page of an index, in order of key and then ID. An empty page is the end.
    ///
    /// # Errors
    /// As [`Store::fetch`].
    fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError>;

    /// One page of all records in order of ID, behind the ID `after`: up to `limit` of them, fewer when they
    /// are large. An empty page is the end.
    ///
    /// # Errors
    /// As [`Store::fetch`].
    fn records(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Record)>, StoreError>;

    /// What was noted about the store as a whole, by name.
    ///
    /// # Errors
    /// As [`Store::fetch`].
    fn notes(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError>;

    /// Notes something about the store as a whole, durably; `None` forgets it.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn note(&self, name: &str, value: Option<&[u8]>) -> Result<(), StoreError>;

    /// Remembers from now on which records change, for whoever copies the store while it is in use.
    fn follow(&self) -> Followed;

    /// Takes up to `limit` of the records that changed since [`Store::follow`] or the last call, as they are now;
    /// and whether they are all that changed. Where they are, everything read so far and these are one state.
    ///
    /// # Errors
    /// [`StoreError::LostSight`] when not all changes were remembered; as [`Store::fetch`].
    fn changed(&self, followed: &Followed, limit: usize) -> Result<Changed, StoreError>;

    /// Whether the engine put something where it would not be synced. It never should.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn has_strays(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Whether the store takes writes.
    ///
    /// # Errors
    /// [`StoreError::Full`] while the disk is, [`StoreError::ReadOnly`] with the failure since which it does not,
    /// [`StoreError::Closed`].
    fn writable(&self) -> Result<(), StoreError>;

    /// Tries to take writes again after a failure; nothing to do if the store is writable. Reads wait meanwhile.
    ///
    /// # Errors
    /// Why it is still impossible, mostly [`StoreError::Io`].
    fn recover(&self) -> Result<(), StoreError>;
}
