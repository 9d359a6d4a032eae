//! A store that keeps nothing: for servers that are thrown away, and the model that tests compare with.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::follow::Followers;
use super::limits::{MAX_PAGE_BYTES, MAX_SCAN_HITS};
use super::{
    Batch, Changed, Faults, Followed, Hit, Index, Order, Put, Record, Scan, Step, Store, StoreError,
    check_note,
};

/// A [`Store`] in memory. It is as durable as its process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    records: BTreeMap<String, Record>,
    terms: BTreeMap<Place, String>,
    notes: BTreeMap<String, Vec<u8>>,
    followers: Followers,
    read_only: Option<String>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that fails when `faults` says so.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self { state: RwLock::default(), faults }
    }

    // A panic cannot leave the state half changed in a way that matters more than the panic itself.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch) -> Result<u64, StoreError> {
        batch.check()?;
        let mut state = self.write();
        if let Some(cause) = &state.read_only {
            return Err(StoreError::ReadOnly { cause: cause.clone() });
        }
        let full = |_| StoreError::Full { path: "memory".into(), free: 0, reserve: 1 };
        self.faults.reach(Step::Room).map_err(full)?;
        let revision = state.last + 1;
        let changed: Vec<String> = batch.ids().cloned().collect();
        let undo = state.apply(batch, revision)?;
        if let Err(source) = self.faults.reach(Step::Apply) {
            state.undo(undo);
            return Err(StoreError::io("writing to", "memory".as_ref(), source));
        }
        if let Err(error) = self.faults.reach(Step::Sync) {
            state.undo(undo);
            let cause = format!("syncing memory failed: {error}");
            state.read_only = Some(cause.clone());
            return Err(StoreError::Unconfirmed { cause });
        }
        state.last = revision;
        state.followers.tell(&changed);
        self.faults.reach(Step::Acknowledge).map_err(|error| StoreError::Unconfirmed {
            cause: format!("the commit is durable, its answer was lost: {error}"),
        })?;
        Ok(revision)
    }

    fn fetch(&self, id: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.read().records.get(id).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let (from, below) = scan.keys.bounds();
        let from = (scan.index, from, String::new());
        let below = match below {
            Some(key) => Some((scan.index, key, String::new())),
            None => Index::from_tag(scan.index.tag() + 1).map(|next| (next, Vec::new(), String::new())),
        };
        let after = scan.after.as_ref().map(|hit| place(scan.index, &hit.key, &hit.id));
        let Some(range) = super::page(from, below, scan.order, after) else { return Ok(Vec::new()) };
        let state = self.read();
        let terms = state.terms.range(range);
        let hit = |((_, key, _), id): (&Place, &String)| Hit { key: key.clone(), id: id.clone() };
        let limit = scan.limit.min(MAX_SCAN_HITS);
        Ok(match scan.order {
            Order::Ascending => terms.map(hit).take(limit).collect(),
            Order::Descending => terms.rev().map(hit).take(limit).collect(),
        })
    }

    fn records(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Record)>, StoreError> {
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = 0;
        let mut page = Vec::new();
        for (id, record) in self.read().records.range::<str, _>((first, Bound::Unbounded)) {
            if page.len() >= limit || bytes >= MAX_PAGE_BYTES {
                break;
            }
            bytes += record.value.len();
            page.push((id.clone(), record.clone()));
        }
        Ok(page)
    }

    fn notes(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        Ok(self.read().notes.clone())
    }

    fn note(&self, name: &str, value: Option<&[u8]>) -> Result<(), StoreError> {
        check_note(name, value)?;
        let mut state = self.write();
        match value {
            Some(value) => state.notes.insert(name.to_owned(), value.to_vec()),
            None => state.notes.remove(name),
        };
        Ok(())
    }

    fn follow(&self) -> Followed {
        self.write().followers.add()
    }

    fn changed(&self, followed: &Followed, limit: usize) -> Result<Changed, StoreError> {
        let state = self.read();
        followed.take(limit, |id| Ok(state.records.get(id).cloned()))
    }

    fn writable(&self) -> Result<(), StoreError> {
        match &self.read().read_only {
            None => Ok(()),
            Some(cause) => Err(StoreError::ReadOnly { cause: cause.clone() }),
        }
    }

    fn recover(&self) -> Result<(), StoreError> {
        self.write().read_only = None;
        Ok(())
    }
}

/// Where an index holds an ID: by its key alone if that is unique, or by key and ID.
type Place = (Index, Vec<u8>, String);

fn place(index: Index, key: &[u8], id: &str) -> Place {
    (index, key.to_vec(), if index.is_unique() { String::new() } else { id.to_owned() })
}

/// What the touched records were before.
type Undo = Vec<(String, Option<Record>)>;

impl State {
    fn apply(&mut self, batch: Batch, revision: u64) -> Result<Undo, StoreError> {
        let puts = batch.puts.iter().map(|put| (&put.id, put.replaces));
        let deletes = batch.deletes.iter().map(|delete| (&delete.id, Some(delete.replaces)));
        for (id, expected) in deletes.chain(puts) {
            let found = self.records.get(id).map(|record| record.revision);
            if found != expected {
                return Err(StoreError::Conflict { id: id.clone(), expected, found });
            }
        }
        let ids: Vec<String> = batch.ids().cloned().collect();
        let undo: Undo = ids.into_iter().map(|id| (id.clone(), self.remove(&id))).collect();
        for put in &batch.puts {
            if let Some(duplicate) = self.duplicate(put) {
                self.undo(undo);
                return Err(duplicate);
            }
            let (value, terms) = (put.value.clone(), put.terms.clone());
            self.insert(&put.id, Record { revision, value, terms });
        }
        Ok(undo)
    }

    fn duplicate(&self, put: &Put) -> Option<StoreError> {
        put.terms.iter().filter(|term| term.index.is_unique()).find_map(|term| {
            let holder = self.terms.get(&place(term.index, &term.key, &put.id))?;
            let (index, key) = (term.index, term.key.clone());
            Some(StoreError::Duplicate { index, key, id: put.id.clone(), holder: holder.clone() })
        })
    }

    fn undo(&mut self, undo: Undo) {
        for (id, _) in &undo {
            self.remove(id);
        }
        for (id, record) in undo {
            if let Some(record) = record {
                self.insert(&id, record);
            }
        }
    }

    fn remove(&mut self, id: &str) -> Option<Record> {
        let record = self.records.remove(id)?;
        for term in &record.terms {
            self.terms.remove(&place(term.index, &term.key, id));
        }
        Some(record)
    }

    fn insert(&mut self, id: &str, record: Record) {
        for term in &record.terms {
            self.terms.insert(place(term.index, &term.key, id), id.to_owned());
        }
        self.records.insert(id.to_owned(), record);
    }
}
