//! The store in sled 0.34, made durable.
//!
//! sled's own `flush` ends in `sync_file_range`, which does not survive a power cut. So one thread (`commit`)
//! makes all changes, flushes, and then syncs the file `db` itself. Everything that sled writes is in that file as
//! long as no page exceeds a quarter of a segment, for which [`super::limits`] provides.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use super::commit::{Committer, Job};
use super::folder::Folder;
use super::limits::{
    DEFAULT_CACHE_BYTES, DEFAULT_RESERVE_BYTES, MAX_PAGE_BYTES, MAX_SCAN_HITS, MAX_WAITING_COMMITS,
};
use super::view::View;
use super::{
    Batch, Changed, Faults, Followed, Hit, Record, Scan, Store, StoreError, check_id, check_note, layout,
};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// sled's page cache, in bytes on disk; at least [`super::limits::MIN_CACHE_BYTES`].
    pub cache_bytes: u64,
    /// What must stay free on the disk, in bytes: with less, commits are refused.
    pub reserve_bytes: u64,
    /// Failures on demand.
    pub faults: Faults,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: DEFAULT_CACHE_BYTES,
            reserve_bytes: DEFAULT_RESERVE_BYTES,
            faults: Faults::none(),
        }
    }
}

/// A [`Store`] in a folder, which it holds alone. Dropping it finishes the commits under way and closes it.
#[derive(Debug)]
pub struct SledStore {
    view: Arc<RwLock<View>>,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    folder: Arc<Folder>,
}

impl SledStore {
    /// Whether there is a store in the folder `path`.
    #[must_use]
    pub fn is_in(path: &Path) -> bool {
        path.join("db").is_file()
    }

    /// Opens the store in the folder `path`, creating it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it open, [`StoreError::Format`] if a newer program
    /// wrote it, [`StoreError::Corrupt`] or [`StoreError::Io`] if it cannot be read or created.
    pub fn open(path: &Path, options: SledOptions) -> Result<Self, StoreError> {
        let folder = Arc::new(Folder::lock(path, options.cache_bytes, options.reserve_bytes)?);
        let opened = folder.open()?;
        let view = Arc::new(RwLock::new(View { db: Some(opened.db.clone()), ..View::default() }));
        let committer = Committer::new(Arc::clone(&view), Arc::clone(&folder), opened, options.faults);
        let (jobs, waiting) = sync_channel(MAX_WAITING_COMMITS);
        let thread = std::thread::Builder::new()
            .name("store-commit".to_owned())
            .spawn(move || committer.run(&waiting))
            .map_err(|error| StoreError::io("starting the commit thread of", path, error))?;
        Ok(Self { view, jobs: Some(jobs), thread: Some(thread), folder })
    }

    /// The folder that holds the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        // Whoever panicked while holding the lock changed nothing by halves: each change is one assignment.
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, job: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job(reply)).map_err(|_| StoreError::Closed)?;
        answer.recv().map_err(|_| StoreError::Unconfirmed { cause: "the commit thread ended".to_owned() })?
    }
}

impl Store for SledStore {
    fn commit(&self, batch: Batch) -> Result<u64, StoreError> {
        batch.check()?;
        self.ask(|reply| Job::Commit(batch, reply))
    }

    fn fetch(&self, id: &str) -> Result<Option<Record>, StoreError> {
        if check_id(id).is_err() {
            return Ok(None);
        }
        let view = self.view();
        Ok(layout::read_record(id, |key| view.value(key))?.map(|(record, _)| record))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let (from, below) = layout::entries(scan);
        let after = scan.after.as_ref().map(|hit| layout::cursor(scan.index, hit));
        let Some(range) = super::page(from, Some(below), scan.order, after) else { return Ok(Vec::new()) };
        let limit = scan.limit.min(MAX_SCAN_HITS);
        let mut hits = Vec::new();
        self.view().walk(range, scan.order, |key, value| {
            if hits.len() >= limit {
                return Ok(ControlFlow::Break(()));
            }
            hits.push(layout::read_entry(scan.index, key, value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(hits)
    }

    fn records(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Record)>, StoreError> {
        let (from, below) = layout::pieces_after(after);
        let Some(range) = super::page(from, Some(below), super::Order::Ascending, None) else {
            return Ok(Vec::new());
        };
        let view = self.view();
        let mut bytes = 0;
        let mut page = Vec::new();
        view.walk(range, super::Order::Ascending, |key, _| {
            let (id, number) = layout::read_piece_key(key)?;
            if number != 0 {
                return Ok(ControlFlow::Continue(()));
            }
            if page.len() >= limit || bytes >= MAX_PAGE_BYTES {
                return Ok(ControlFlow::Break(()));
            }
            let (record, _) = layout::read_record(id, |key| view.value(key))?
                .ok_or_else(|| StoreError::corrupt("a piece without a record", id))?;
            bytes += record.value.len();
            page.push((id.to_owned(), record));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    fn notes(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let (from, below) = layout::notes();
        let mut notes = BTreeMap::new();
        let range = (Bound::Included(from), Bound::Excluded(below));
        self.view().walk(range, super::Order::Ascending, |key, value| {
            notes.insert(layout::read_note_key(key)?.to_owned(), value.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(notes)
    }

    fn note(&self, name: &str, value: Option<&[u8]>) -> Result<(), StoreError> {
        check_note(name, value)?;
        self.ask(|reply| Job::Note(layout::note_key(name), value.map(<[u8]>::to_vec), reply))
    }

    fn follow(&self) -> Followed {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.followers.add()
    }

    fn changed(&self, followed: &Followed, limit: usize) -> Result<Changed, StoreError> {
        let view = self.view();
        followed
            .take(limit, |id| Ok(layout::read_record(id, |key| view.value(key))?.map(|(record, _)| record)))
    }

    fn has_strays(&self) -> Result<bool, StoreError> {
        let found = self.folder.has_blobs();
        found.map_err(|error| StoreError::io("reading the folder blobs in", self.folder.path(), error))
    }

    fn writable(&self) -> Result<(), StoreError> {
        let view = self.view();
        view.db()?;
        match &view.read_only {
            None => self.folder.check_room(),
            Some(cause) => Err(StoreError::ReadOnly { cause: cause.clone() }),
        }
    }

    fn recover(&self) -> Result<(), StoreError> {
        self.ask(Job::Recover)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        close(view.db.take());
    }
}

/// Closes the database. sled panics if its last sync fails; what was acknowledged is synced already.
pub(super) fn close(db: Option<::sled::Db>) {
    if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
        tracing::error!("the database could not be closed cleanly; nothing acknowledged is lost");
    }
}
