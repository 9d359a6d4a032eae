//! Parsed private keys, kept while they are in use: parsing one costs as much as decrypting with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{PrivateKey, lock};

/// A bounded cache of parsed private keys by object ID, which forgets the least recently used.
///
/// A key leaves memory, zeroized, when the cache has let go of it and the last operation that uses it has ended.
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
    /// Counts what was forgotten: what was loaded before is not kept after.
    forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    key: Arc<PrivateKey>,
    last_used: u64,
}

impl KeyCache {
    /// A cache of at most `capacity` keys; none are kept for 0.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// The key of an object, loaded if it is not kept.
    ///
    /// Loading happens outside the lock; two that miss at the same time both load, and one result is kept. None is if
    /// something was [forgotten](Self::forget) meanwhile: so a key that is forgotten once its object is destroyed does
    /// not come back, as long as `load` reads the object itself.
    ///
    /// # Errors
    /// What `load` returns.
    pub fn find_or_load<E>(
        &self,
        id: &str,
        load: impl FnOnce() -> Result<PrivateKey, E>,
    ) -> Result<Arc<PrivateKey>, E> {
        let forgotten = {
            let mut entries = lock(&self.entries);
            entries.lookups += 1;
            let now = entries.lookups;
            if let Some(entry) = entries.by_id.get_mut(id) {
                entry.last_used = now;
                return Ok(Arc::clone(&entry.key));
            }
            entries.forgotten
        };
        let key = Arc::new(load()?);
        self.keep(id, forgotten, Arc::clone(&key));
        Ok(key)
    }

    /// Forgets an object for good: it was destroyed, or its key must not be used again.
    pub fn forget(&self, id: &str) {
        let mut entries = lock(&self.entries);
        entries.forgotten += 1;
        let forgotten = entries.by_id.remove(id);
        drop(entries);
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
    fn keep(&self, id: &str, forgotten: u64, key: Arc<PrivateKey>) {
        let mut entries = lock(&self.entries);
        if self.capacity == 0 || entries.forgotten != forgotten {
            return;
        }
        let last_used = entries.lookups;
        let is_full = entries.by_id.len() >= self.capacity && !entries.by_id.contains_key(id);
        let evicted = if is_full { entries.evict() } else { None };
        let replaced = entries.by_id.insert(id.to_owned(), Entry { key, last_used });
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
