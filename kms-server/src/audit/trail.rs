//! The door to the audit log: what happened goes in, and what must not happen unrecorded is held back here.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use super::chain::{Chain, OpenError, Segments};
use super::end::Known;
use super::events::{self, Events, Ring};
use super::limits;
use super::line::Position;
use super::outbox::Commit;
use super::record::{Record, Source};
use super::writer::Writer;
use crate::store::{Batch, Store, StoreError};

/// What the server does once the log cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// Nothing any more.
    #[default]
    Refuse,
    /// What changes nothing, as long as the reserve lasts.
    ContinueReads,
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The log's folder; without one nothing is written down, and events are told all the same.
    pub folder: Option<PathBuf>,
    /// What the server does once the log cannot be written.
    pub on_full: OnFull,
    /// How it is cut into files.
    pub segments: Segments,
    /// Whether to begin where the store knows of another log, or of more of this one.
    pub accept_loss: bool,
    /// Tells the real time.
    pub now: fn() -> Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        let segments = Segments { bytes: limits::SEGMENT_BYTES, keep: limits::KEEP };
        Self {
            folder: None,
            on_full: OnFull::Refuse,
            segments,
            accept_loss: false,
            now: crate::clock::timestamp,
        }
    }
}

/// Whether something only looks, or changes something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It only looks.
    Read,
    /// It changes something.
    Change,
}

/// Why nothing may happen at the moment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the audit log cannot be written: {cause}")]
pub struct Shut {
    /// What is wrong.
    pub cause: String,
}

/// How a log is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Where it ends. Who notes that elsewhere can tell later whether anything up to it was changed.
    pub end: Position,
    /// Why it cannot be written, if it cannot.
    pub trouble: Option<String>,
    /// Whether what changes nothing goes on meanwhile.
    pub reads_go_on: bool,
}

/// What may happen: everything, what changes nothing, nothing.
pub(super) mod gate {
    pub const OPEN: u8 = 0;
    pub const READS: u8 = 1;
    pub const SHUT: u8 = 2;
}

/// What those who record and the thread that writes share.
#[derive(Debug)]
pub(super) struct Shared {
    pub now: fn() -> Timestamp,
    pub buffer: Mutex<Buffer>,
    pub wake: Condvar,
    pub gate: AtomicU8,
    pub cause: Mutex<String>,
    /// How many were turned away since the gate was open.
    pub refused: AtomicU64,
    /// Bytes of records that wait in memory.
    pub waiting_bytes: AtomicUsize,
    /// Commits whose records are not in the log yet.
    pub waiting_commits: AtomicUsize,
    /// The store's entries of commits of which nobody knows yet whether they happened.
    pub unconfirmed: Mutex<Vec<String>>,
    /// Whether there were commits since the store was last looked at.
    pub committed: AtomicBool,
    pub ring: Mutex<Ring>,
    pub latest: watch::Sender<u64>,
    /// Where the log ends.
    pub end: Mutex<Position>,
}

/// Records of what changed nothing, before they are written.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub records: Vec<Record>,
    pub connections: Window,
    /// Whether the thread shall not wait for more.
    pub is_urgent: bool,
    pub is_stopping: bool,
}

/// Refused connections in one second.
#[derive(Debug, Default)]
pub(super) struct Window {
    second: i64,
    noted: u32,
    left_out: u64,
}

/// The audit log of a running server, and the events that come with it.
#[derive(Debug)]
pub struct Trail {
    shared: Arc<Shared>,
    folder: Option<PathBuf>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What the correlation values of this run begin with, and how many there were.
    run: String,
    requests: AtomicU64,
}

/// Why a trail cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrailError {
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The store cannot tell what belongs into the log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread.
    #[error("cannot start the thread that writes the audit log: {0}")]
    Thread(io::Error),
}

impl TrailError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Log(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Thread(_) => "let the server have more threads",
        }
    }
}

impl Trail {
    /// Opens the log, and begins to write into it what `store` holds for it and what is recorded from now on.
    ///
    /// # Errors
    /// [`TrailError`].
    pub fn open(options: &Options, store: &Arc<dyn Store>) -> Result<Self, TrailError> {
        let Some(folder) = &options.folder else { return Ok(Self::new(options.now, None, 0)) };
        let known = Known::read(store.as_ref())?;
        let open = |known: &Known| Chain::open(folder, &options.segments, known, (options.now)());
        let (chain, lost) = match open(&known) {
            Err(OpenError::Other { .. }) if options.accept_loss => (
                open(&Known::default())?,
                Some(format!("the store knew of a log that went to {}", known.end)),
            ),
            other => (other?, None),
        };
        let mut trail = Self::new(options.now, Some(folder.clone()), chain.end().line);
        let shared = Arc::clone(&trail.shared);
        let writer = Writer::new(shared, Arc::clone(store), chain, known, options.on_full)?;
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run());
        trail.thread = Mutex::new(Some(thread.map_err(TrailError::Thread)?));
        trail.note(trail.record(Source::Server, "start"));
        if let Some(lost) = lost {
            tracing::warn!(lost, "the audit log is not whole, and that was accepted");
            trail.note(trail.record(Source::Server, "accept audit loss").detail(lost));
        }
        Ok(trail)
    }

    fn new(now: fn() -> Timestamp, folder: Option<PathBuf>, last: u64) -> Self {
        let shared = Shared {
            now,
            buffer: Mutex::default(),
            wake: Condvar::new(),
            gate: AtomicU8::new(gate::OPEN),
            cause: Mutex::default(),
            refused: AtomicU64::new(0),
            waiting_bytes: AtomicUsize::new(0),
            waiting_commits: AtomicUsize::new(0),
            unconfirmed: Mutex::default(),
            committed: AtomicBool::new(true),
            ring: Mutex::new(Ring::behind(last)),
            latest: watch::Sender::new(last),
            end: Mutex::default(),
        };
        let run = Uuid::new_v4().simple().to_string().chars().take(8).collect();
        let (thread, requests) = (Mutex::default(), AtomicU64::new(0));
        Self { shared: Arc::new(shared), folder, thread, run, requests }
    }

    /// Whether anything is written down.
    fn is_written(&self) -> bool {
        self.folder.is_some()
    }

    /// How the log is; `None` where nothing is written down.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.folder.as_ref()?;
        let gate = self.shared.gate.load(Ordering::Acquire);
        let trouble = (gate != gate::OPEN).then(|| lock(&self.shared.cause).clone());
        Some(Status { end: *lock(&self.shared.end), trouble, reads_go_on: gate != gate::SHUT })
    }

    /// The real time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.shared.now)()
    }

    /// A record of `operation` by `source`, now.
    #[must_use]
    pub fn record(&self, source: Source, operation: &'static str) -> Record {
        Record::new(self.now(), source, operation)
    }

    /// A value that no other request of this server or of another run has.
    #[must_use]
    pub fn correlation(&self) -> String {
        format!("{}-{}", self.run, self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whether something may happen: whether it can be recorded.
    ///
    /// # Errors
    /// [`Shut`] says why not.
    pub fn admit(&self, access: Access) -> Result<(), Shut> {
        let shared = &self.shared;
        let cause = match (shared.gate.load(Ordering::Acquire), access) {
            (gate::OPEN, _) | (gate::READS, Access::Read) => {
                if shared.waiting_bytes.load(Ordering::Relaxed) > limits::WAITING_BYTES {
                    "too many records wait for the disk".to_owned()
                } else if access == Access::Change
                    && shared.waiting_commits.load(Ordering::Relaxed) > limits::WAITING_COMMITS
                {
                    "too many commits wait to be recorded".to_owned()
                } else {
                    return Ok(());
                }
            }
            _ => lock(&shared.cause).clone(),
        };
        shared.refused.fetch_add(1, Ordering::Relaxed);
        Err(Shut { cause })
    }

    /// Records what changed nothing. It is in the log within [`limits::DELAY`] and a sync.
    pub fn note(&self, record: Record) {
        if !self.is_written() {
            return self.shared.tell(record);
        }
        let mut buffer = lock(&self.shared.buffer);
        self.shared.push(&mut buffer, record);
    }

    /// Records that a connection was refused; beyond [`limits::REFUSED_CONNECTIONS`] in a second they are counted.
    pub fn note_refused(&self, record: Record) {
        if !self.is_written() {
            return;
        }
        let mut buffer = lock(&self.shared.buffer);
        let second = record.time.as_second();
        if buffer.connections.second != second {
            self.shared.close_window(&mut buffer);
            buffer.connections.second = second;
        }
        if buffer.connections.noted < limits::REFUSED_CONNECTIONS {
            buffer.connections.noted += 1;
            self.shared.push(&mut buffer, record);
        } else {
            buffer.connections.left_out += 1;
        }
    }

    /// Makes a change happen together with its records: both or neither.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`StoreError::Unrecorded`] while the log cannot be written.
    pub fn commit(&self, store: &dyn Store, batch: Batch, records: Vec<Record>) -> Result<u64, StoreError> {
        self.admit(Access::Change).map_err(|shut| StoreError::Unrecorded { cause: shut.cause })?;
        if !self.is_written() {
            let revision = store.commit(batch)?;
            records.into_iter().for_each(|record| self.shared.tell(record));
            return Ok(revision);
        }
        let after = lock(&self.shared.ring).last();
        let put = Commit { after, records }.put()?;
        let entry = put.id.clone();
        self.shared.waiting_commits.fetch_add(1, Ordering::Relaxed);
        let committed = store.commit(batch.put(put));
        match &committed {
            Ok(_) => {}
            // Whether it happened is seen once the store can be read again.
            Err(StoreError::Unconfirmed { .. }) => lock(&self.shared.unconfirmed).push(entry),
            Err(_) => self.shared.one_commit_less(),
        }
        self.shared.committed.store(true, Ordering::Release);
        let mut buffer = lock(&self.shared.buffer);
        buffer.is_urgent = true;
        self.shared.wake.notify_one();
        committed
    }

    /// Events behind number `after`, up to [`limits::EVENTS_LISTED`]. May read a file.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn events(&self, after: u64) -> io::Result<Events> {
        let limit = limits::EVENTS_LISTED;
        let ring = lock(&self.shared.ring);
        match (ring.after(after, limit), &self.folder) {
            (Some(events), _) => Ok(events),
            (None, None) => Ok(ring.rest(after, limit)),
            (None, Some(folder)) => {
                let last = ring.last();
                drop(ring);
                events::read(folder, after, last, limit)
            }
        }
    }

    /// The number of the last line, which is at least that of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        lock(&self.shared.ring).last()
    }

    /// Changes whenever there is a new event.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.shared.latest.subscribe()
    }

    /// Writes what waits and ends. What is recorded later is lost, so nothing may happen any more.
    pub fn close(&self) {
        let Some(thread) = lock(&self.thread).take() else { return };
        self.note(self.record(Source::Server, "stop"));
        lock(&self.shared.buffer).is_stopping = true;
        self.shared.wake.notify_one();
        let _ = thread.join();
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn push(&self, buffer: &mut Buffer, record: Record) {
        let bytes = record.weight();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        buffer.records.push(record);
        if waiting > limits::WAITING_BYTES / 4 && !buffer.is_urgent {
            buffer.is_urgent = true;
            self.wake.notify_one();
        } else if buffer.records.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// Says how many refused connections of a second were left out.
    pub fn close_window(&self, buffer: &mut Buffer) {
        let Window { left_out, .. } = std::mem::take(&mut buffer.connections);
        if left_out > 0 {
            let record = Record::new((self.now)(), Source::Connection, "connect").refused("Refused");
            self.push(buffer, record.detail(format!("{left_out} more connections were refused in a second")));
        }
    }

    /// One commit's records are in the log, or there is no such commit.
    pub fn one_commit_less(&self) {
        let less = |count: usize| count.checked_sub(1);
        let _ = self.waiting_commits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Tells those who follow of line `n`.
    pub fn publish(&self, n: u64, record: Record) {
        if lock(&self.ring).push(n, record) {
            self.latest.send_replace(n);
        }
    }

    /// Tells those who follow, where nothing is written down.
    fn tell(&self, record: Record) {
        if record.event.is_some() {
            let mut ring = lock(&self.ring);
            let n = ring.last() + 1;
            ring.push(n, record);
            drop(ring);
            self.latest.send_replace(n);
        }
    }
}

/// Whoever panicked while holding one of these locks left nothing by halves: each holds a list or a text.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
