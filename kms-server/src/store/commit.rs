//! The one thread that changes the database.
//!
//! It takes the commits that wait, judges each against the state that those before it leave, writes all that fit as
//! one atomic batch, flushes, syncs, and only then answers. So one sync serves many commits, and a commit is
//! judged and written with nobody in between.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use super::folder::{Blobs, Folder, Opened};
use super::layout::{self, LAST_KEY};
use super::limits::{MAX_GROUP_BYTES, MAX_GROUP_COMMITS};
use super::mark::Mark;
use super::view::{Before, View, caught, engine, read};
use super::watch::{LOOK, Watch};
use super::{Batch, Faults, Record, Step, StoreError, sled};

type Reply<T> = SyncSender<Result<T, StoreError>>;

/// What the thread is asked to do.
pub enum Job {
    /// Make this batch happen.
    Commit(Batch, Reply<u64>),
    /// Write this entry, or remove it.
    Note(Vec<u8>, Option<Vec<u8>>, Reply<()>),
    /// Take writes again.
    Recover(Reply<()>),
}

/// Entries to write; `None` removes.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The thread's state.
pub struct Committer {
    view: Arc<RwLock<View>>,
    folder: Arc<Folder>,
    file: File,
    blobs: Blobs,
    mark: Mark,
    last: u64,
    faults: Faults,
    watch: Watch,
}

impl Committer {
    /// A committer for what was opened.
    pub fn new(view: Arc<RwLock<View>>, folder: Arc<Folder>, opened: Opened, faults: Faults) -> Self {
        let seen = Arc::clone(&view);
        let watch = Watch::new(LOOK, move || flush_aside(&seen));
        let Opened { file, blobs, mark, last, .. } = opened;
        Self { view, folder, file, blobs, mark, last, faults, watch }
    }

    /// Works until nobody can ask any more.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        let mut next = VecDeque::new();
        while let Some(job) = next.pop_front().or_else(|| jobs.recv().ok()) {
            match job {
                Job::Recover(reply) => {
                    let _ = reply.send(self.recover());
                }
                Job::Note(key, value, reply) => {
                    let noted = self.ready().and_then(|()| {
                        // It counts as a commit, so that losing it is noticed too.
                        self.last += 1;
                        self.write(Changes::from([(key, value)]))
                    });
                    let _ = reply.send(noted);
                }
                Job::Commit(batch, reply) => {
                    let group = gather((batch, reply), jobs, &mut next);
                    self.commit(group);
                }
            }
        }
    }

    fn commit(&mut self, group: Vec<(Batch, Reply<u64>)>) {
        if let Err(error) = self.ready() {
            return refuse(group.into_iter().map(|(_, reply)| reply), &error);
        }
        let mut changes = Changes::new();
        let mut written = Vec::new();
        for (batch, reply) in group {
            match self.judge(&changes, batch) {
                Ok(fits) => {
                    self.last += 1;
                    changes.extend(fits);
                    written.push((self.last, reply));
                }
                Err(error) => refuse([reply], &self.noted(error)),
            }
        }
        if written.is_empty() {
            return;
        }
        match self.write(changes) {
            Ok(()) => written.into_iter().for_each(|(revision, reply)| _ = reply.send(Ok(revision))),
            Err(error) => refuse(written.into_iter().map(|(_, reply)| reply), &error),
        }
    }

    /// Whether a commit may be tried.
    fn ready(&self) -> Result<(), StoreError> {
        match &self.read().read_only {
            Some(cause) => Err(StoreError::ReadOnly { cause: cause.clone() }),
            None => {
                self.faults.reach(Step::Room).map_err(|_| self.folder.full(0))?;
                self.folder.check_room()
            }
        }
    }

    /// What the batch changes in the database, given what the group before it changes.
    fn judge(&self, group: &Changes, batch: Batch) -> Result<Changes, StoreError> {
        let view = self.read();
        let mut draft = Draft { db: view.db()?, group, own: Changes::new(), revision: self.last + 1 };
        draft.apply(batch)?;
        Ok(draft.own)
    }

    /// Makes the changes durable and then visible.
    fn write(&mut self, mut changes: Changes) -> Result<(), StoreError> {
        changes.insert(LAST_KEY.to_vec(), Some(self.last.to_be_bytes().to_vec()));
        let records: Vec<String> = changes.keys().filter_map(|key| layout::changed_record(key)).collect();
        let db = self.read().db()?.clone();
        let reached = self.faults.reach(Step::Apply);
        reached.map_err(|error| StoreError::io("writing to", self.folder.path(), error))?;
        let mut before = Before::new();
        for key in changes.keys() {
            before.insert(key.clone(), read(&db, key).map_err(|error| self.noted(error))?);
        }
        // Most of what a record is found by stays as it was; writing it anew would cost what writing the record does.
        changes
            .retain(|key, value| before.get(key).is_none_or(|before| before.as_deref() != value.as_deref()));
        before.retain(|key, _| changes.contains_key(key));
        self.change().hidden = before;
        if let Err(error) = self.apply_and_sync(&db, changes) {
            let cause = error.to_string();
            self.stop(&cause);
            return Err(StoreError::Unconfirmed { cause });
        }
        self.mark.note(self.last);
        let mut view = self.change();
        view.hidden.clear();
        view.followers.tell(&records);
        drop(view);
        self.faults.reach(Step::Acknowledge).map_err(|error| StoreError::Unconfirmed {
            cause: format!("the commit is durable, its answer was lost: {error}"),
        })
    }

    /// Once sled's file has failed it, sled fails every write until it is opened anew.
    fn noted(&self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Io { .. }) {
            self.stop(&error.to_string());
        }
        error
    }

    /// Takes no more writes. What the database believes beyond the last sync stays hidden.
    fn stop(&self, cause: &str) {
        tracing::error!(cause, "the store stops taking writes");
        self.change().read_only = Some(cause.to_owned());
    }

    fn apply_and_sync(&mut self, db: &::sled::Db, changes: Changes) -> Result<(), StoreError> {
        let keys: Vec<_> = changes.keys().cloned().collect();
        let mut batch = ::sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        let applied =
            caught("a commit", || db.apply_batch(batch).map_err(|error| engine("writing to", &error)));
        if let Err(error) = applied {
            self.take_back(db);
            return Err(error);
        }
        let _watched = self.watch.begin();
        // sled splits and merges pages on the next visit, be it a read, which fails once writing does. Visiting
        // them now keeps reads apart from writes.
        for key in keys {
            read(db, &key)?;
        }
        let path = self.folder.path();
        self.faults.reach(Step::Sync).map_err(|error| StoreError::io("syncing", path, error))?;
        caught("a commit", || db.flush().map_err(|error| engine("flushing", &error)))?;
        self.file.sync_data().map_err(|error| StoreError::io("syncing", path, error))?;
        match self.blobs.has_any() {
            Ok(false) => Ok(()),
            Ok(true) => Err(StoreError::corrupt("an entry too large for the file that is synced", "blobs/")),
            Err(error) => Err(StoreError::io("reading the folder blobs in", path, error)),
        }
    }

    /// Undoes a batch of which sled applied a part. Where its file cannot be written any more this fails, but
    /// then sled does not write that part either; where only a page could not be read, it does.
    fn take_back(&self, db: &::sled::Db) {
        let mut batch = ::sled::Batch::default();
        for (key, value) in &self.read().hidden {
            match value {
                Some(value) => batch.insert(key.as_slice(), value),
                None => batch.remove(key.as_slice()),
            }
        }
        let _ = caught("a commit", || db.apply_batch(batch).map_err(|error| engine("writing to", &error)));
    }

    /// Opens the database again, now that the disk may work: what it then holds is durable.
    fn recover(&mut self) -> Result<(), StoreError> {
        if self.read().read_only.is_none() && self.read().db.is_some() {
            return Ok(());
        }
        self.folder.probe()?;
        self.folder.write_again(&self.file)?;
        let view = Arc::clone(&self.view);
        let mut view = view.write().unwrap_or_else(PoisonError::into_inner);
        view.followers.lose("the store was opened anew after a failure");
        sled::close(view.db.take());
        let opened = self.folder.open()?;
        self.file = opened.file;
        self.blobs = opened.blobs;
        self.mark = opened.mark;
        self.last = opened.last;
        *view = View { db: Some(opened.db), ..View::default() };
        tracing::info!("the store takes writes again");
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flushes on a thread of its own, since it may have to wait too.
fn flush_aside(view: &RwLock<View>) {
    let view = view.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(db) = view.db.clone() {
        let flush = move || _ = caught("a flush", || Ok(db.flush()));
        let _ = thread::Builder::new().name("store-flush".to_owned()).spawn(flush);
    }
}

/// Answers with an error. A caller that waits no more is none of our business.
fn refuse(replies: impl IntoIterator<Item = Reply<u64>>, error: &StoreError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}

/// The commits that wait, up to a group's size. What is no commit, or comes behind that, is left in `next`.
fn gather(
    first: (Batch, Reply<u64>),
    jobs: &Receiver<Job>,
    next: &mut VecDeque<Job>,
) -> Vec<(Batch, Reply<u64>)> {
    let mut bytes = first.0.weight();
    let mut group = vec![first];
    while group.len() < MAX_GROUP_COMMITS && bytes < MAX_GROUP_BYTES {
        match jobs.try_recv() {
            Ok(Job::Commit(batch, reply)) => {
                bytes += batch.weight();
                group.push((batch, reply));
            }
            Ok(other) => {
                next.push_back(other);
                break;
            }
            Err(_) => break,
        }
    }
    group
}

/// A batch on its way into the database: what it changes, over what its group changes, over the database.
struct Draft<'a> {
    db: &'a ::sled::Db,
    group: &'a Changes,
    own: Changes,
    revision: u64,
}

impl Draft<'_> {
    fn apply(&mut self, batch: Batch) -> Result<(), StoreError> {
        // All removals come first, so that what is left is the state on which uniqueness is judged.
        for delete in batch.deletes {
            self.remove(&delete.id, Some(delete.replaces))?;
        }
        for put in &batch.puts {
            self.remove(&put.id, put.replaces)?;
        }
        for put in batch.puts {
            for term in &put.terms {
                let (key, value) = layout::entry(term, &put.id);
                if term.index.is_unique()
                    && let Some(holder) = self.value(&key)?
                {
                    let holder = String::from_utf8_lossy(&holder).into_owned();
                    let (index, key) = (term.index, term.key.clone());
                    return Err(StoreError::Duplicate { index, key, id: put.id, holder });
                }
                self.own.insert(key, Some(value));
            }
            for (number, piece) in (0..).zip(layout::pieces(self.revision, &put.terms, &put.value)) {
                self.own.insert(layout::piece_key(&put.id, number), Some(piece));
            }
        }
        Ok(())
    }

    /// Takes away a record that must be at this revision.
    fn remove(&mut self, id: &str, expected: Option<u64>) -> Result<(), StoreError> {
        let stored = layout::read_record(id, |key| self.value(key))?;
        let found = stored.as_ref().map(|(record, _)| record.revision);
        if found != expected {
            return Err(StoreError::Conflict { id: id.to_owned(), expected, found });
        }
        let Some((Record { terms, .. }, pieces)) = stored else { return Ok(()) };
        for term in &terms {
            self.own.insert(layout::entry(term, id).0, None);
        }
        for number in 0..pieces {
            self.own.insert(layout::piece_key(id, number), None);
        }
        Ok(())
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.own.get(key).or_else(|| self.group.get(key)) {
            Some(value) => Ok(value.clone()),
            None => Ok(read(self.db, key)?.map(|value| value.to_vec())),
        }
    }
}
