//! Parsed private keys, kept while they are in use: parsing one costs as much as decrypting with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{PrivateKey, lock};

/// A bounded cache of parsed private keys by object ID, which forgets the least recently used.
///
/// A key is kept for one revision of its object: a lookup that names another revision misses. A key leaves memory,
/// zeroized, when the cache has let go of it and the last operation that uses it has ended.
#[derive(Debug)]
pub struct KeyCache {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<String, Entry>,
    /// Counts lookups: the time by which the least recently used entry is known.
    lookups: u64,
}

#[derive(Debug)]
struct Entry {
    revision: u64,
    key: Arc<PrivateKey>,
    last_used: u64,
}

impl KeyCache {
    /// A cache of at most `capacity` keys; none are kept for 0.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// The key of an object at a revision, if it is kept.
    #[must_use]
    pub fn find(&self, id: &str, revision: u64) -> Option<Arc<PrivateKey>> {
        let mut entries = lock(&self.entries);
        entries.lookups += 1;
        let now = entries.lookups;
        let entry = entries.by_id.get_mut(id).filter(|entry| entry.revision == revision)?;
        entry.last_used = now;
        Some(Arc::clone(&entry.key))
    }

    /// The key of an object at a revision, loaded if it is not kept.
    ///
    /// Loading happens outside the lock; two that miss at the same time both load, and one result is kept.
    ///
    /// # Errors
    /// What `load` returns.
    pub fn find_or_load<E>(
        &self,
        id: &str,
        revision: u64,
        load: impl FnOnce() -> Result<PrivateKey, E>,
    ) -> Result<Arc<PrivateKey>, E> {
        if let Some(key) = self.find(id, revision) {
            return Ok(key);
        }
        let key = Arc::new(load()?);
        self.keep(id, revision, Arc::clone(&key));
        Ok(key)
    }

    /// Forgets an object, at every revision: it was destroyed, or its key must not be used again.
    ///
    /// A load under way may bring it back once; a caller that destroys names a new revision afterwards.
    pub fn forget(&self, id: &str) {
        let forgotten = lock(&self.entries).by_id.remove(id);
        drop(forgotten);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let forgotten = std::mem::take(&mut lock(&self.entries).by_id);
        drop(forgotten);
    }

    /// How many keys are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.entries).by_id.len()
    }

    /// Whether none are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys are let go of after the lock: freeing one zeroizes it, which takes its time.
    fn keep(&self, id: &str, revision: u64, key: Arc<PrivateKey>) {
        if self.capacity == 0 {
            return;
        }
        let mut entries = lock(&self.entries);
        let last_used = entries.lookups;
        let known = entries.by_id.get(id).map(|entry| entry.revision);
        if known.is_some_and(|known| known > revision) {
            return;
        }
        let evicted =
            if known.is_none() && entries.by_id.len() >= self.capacity { entries.evict() } else { None };
        let replaced = entries.by_id.insert(id.to_owned(), Entry { revision, key, last_used });
        drop(entries);
        drop((evicted, replaced));
    }
}

impl Entries {
    /// Looks at every entry: for 4,096 of them a twentieth of the time of the parsing that made this necessary.
    fn evict(&mut self) -> Option<Entry> {
        let oldest = self.by_id.iter().min_by_key(|(_, entry)| entry.last_used)?.0.clone();
        self.by_id.remove(&oldest)
    }
}
