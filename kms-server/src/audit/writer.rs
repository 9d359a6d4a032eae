//! The one thread that writes the log.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::chain::{Chain, Entry};
use super::end::Known;
use super::limits::{DELAY, DELETED_AT_ONCE, DELETED_TOGETHER, END_NOTED, RETRY};
use super::line::Marks;
use super::outbox::{self, Found};
use super::record::{Record, Source, brief};
use super::trail::{OnFull, Shared, TrailError, gate, lock};
use crate::kms::Event;
use crate::store::{Batch, Store, StoreError};

/// The thread's state.
pub struct Writer {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    chain: Chain,
    on_full: OnFull,
    waiting: VecDeque<Entry>,
    /// Commits that were taken out of the store and are still in it, with their revisions.
    taken: HashMap<String, u64>,
    /// Commits of which every record is in the log, so that they can go from the store.
    done: Vec<String>,
    /// How many records each commit has of which not all are in the log.
    parts: HashMap<String, u32>,
    /// Where the log ended, as the store knows, and when it learnt that.
    known: Known,
    noted: Option<Timestamp>,
    is_store_writable: bool,
}

impl Writer {
    /// A writer that goes on where the last one was.
    pub fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        chain: Chain,
        known: Known,
        on_full: OnFull,
    ) -> Result<Self, TrailError> {
        let mut writer = Self {
            shared,
            store,
            chain,
            on_full,
            waiting: VecDeque::new(),
            taken: HashMap::new(),
            done: Vec::new(),
            parts: HashMap::new(),
            known,
            noted: None,
            is_store_writable: true,
        };
        *lock(&writer.shared.end) = writer.chain.end();
        writer.resume()?;
        Ok(writer)
    }

    /// Takes what the last writer left in the store, less what it had written already.
    fn resume(&mut self) -> Result<(), TrailError> {
        let left = outbox::waiting(self.store.as_ref(), |_| false)?;
        let Some(after) = left.iter().map(|entry| entry.holds.after).min() else { return Ok(()) };
        let written = self.chain.commits_after(after).map_err(|error| {
            TrailError::Store(StoreError::Corrupt {
                what: format!("the audit log cannot be read: {error}"),
                at: "the audit log".into(),
            })
        })?;
        self.shared.waiting_commits.fetch_add(left.len(), Ordering::Relaxed);
        for entry in left {
            let from = written.get(&entry.commit).copied().unwrap_or(0);
            self.take(entry, from);
        }
        Ok(())
    }

    /// Works until told to stop.
    pub fn run(mut self) {
        let guard = ShutWhenGone(Arc::clone(&self.shared));
        let mut looked = None;
        loop {
            let is_stopping = self.wait();
            let now = (self.shared.now)();
            // Also when the system's clock was set back.
            let is_tick = looked.is_none_or(|looked| now.duration_since(looked).unsigned_abs() >= RETRY);
            if is_tick {
                looked = Some(now);
                self.look();
            }
            self.collect();
            self.write();
            let is_time =
                self.noted.is_none_or(|noted| now.duration_since(noted).unsigned_abs() >= END_NOTED);
            if !self.done.is_empty() && (is_tick || self.done.len() >= DELETED_TOGETHER)
                || is_time
                || is_stopping
            {
                self.forget(now);
            }
            if is_stopping {
                break;
            }
        }
        if !self.waiting.is_empty() {
            tracing::error!(records = self.waiting.len(), "the audit log could not be written to its end");
        }
        drop(guard);
    }

    /// Waits for records, a commit, or the time to look around; takes the records. Whether it is time to stop.
    fn wait(&mut self) -> bool {
        let mut buffer = lock(&self.shared.buffer);
        let idle = |buffer: &mut super::trail::Buffer| !buffer.is_urgent && !buffer.is_stopping;
        let wake = &self.shared.wake;
        if let Ok((again, _)) = wake.wait_timeout_while(buffer, RETRY, |b| idle(b) && b.records.is_empty()) {
            buffer = again;
        } else {
            return true;
        }
        if !buffer.records.is_empty() {
            // Records of what changed nothing wait for others of their kind: one sync serves all.
            match wake.wait_timeout_while(buffer, DELAY, idle) {
                Ok((again, _)) => buffer = again,
                Err(_) => return true,
            }
        }
        buffer.is_urgent = false;
        let records = mem::take(&mut buffer.records);
        let is_stopping = buffer.is_stopping;
        drop(buffer);
        self.waiting.extend(records.into_iter().map(|record| Entry { record, marks: Marks::default() }));
        is_stopping
    }

    /// Looks what has changed by itself: the store, and the room on the log's disk.
    fn look(&mut self) {
        self.chain.restock();
        self.shared.close_window(&mut lock(&self.shared.buffer));
        let writable = self.store.writable();
        if writable.is_ok() && !lock(&self.shared.unconfirmed).is_empty() {
            // What was not confirmed may have happened, and can be seen from now on.
            self.shared.committed.store(true, Ordering::Release);
        }
        let event = match (writable, self.is_store_writable) {
            (Err(error), true) => {
                tracing::error!(%error, hint = error.hint(), "the store takes no writes");
                Event::StoreReadOnly { reason: brief(error.to_string()) }
            }
            (Ok(()), false) => {
                tracing::info!("the store takes writes");
                Event::StoreWritable
            }
            _ => return,
        };
        self.is_store_writable = !self.is_store_writable;
        self.say(self.record("store").with(event));
    }

    fn record(&self, operation: &'static str) -> Record {
        Record::new((self.shared.now)(), Source::Server, operation)
    }

    fn say(&mut self, record: Record) {
        self.queue(record, Marks::default());
    }

    fn queue(&mut self, record: Record, marks: Marks) {
        self.shared.waiting_bytes.fetch_add(record.weight(), Ordering::Relaxed);
        self.waiting.push_back(Entry { record, marks });
    }

    /// Takes what commits have put into the store since the last time.
    fn collect(&mut self) {
        if !self.shared.committed.swap(false, Ordering::AcqRel) {
            return;
        }
        let unconfirmed = mem::take(&mut *lock(&self.shared.unconfirmed));
        match outbox::waiting(self.store.as_ref(), |commit| self.taken.contains_key(commit)) {
            Ok(found) => {
                found.into_iter().for_each(|entry| self.take(entry, 0));
                self.confirm(unconfirmed);
            }
            Err(error) => {
                tracing::error!(%error, "the store does not tell what belongs into the audit log; it is asked again");
                self.shared.committed.store(true, Ordering::Release);
                lock(&self.shared.unconfirmed).extend(unconfirmed);
            }
        }
    }

    /// Counts commits out that have not happened, as the store says once it works again.
    fn confirm(&mut self, unconfirmed: Vec<String>) {
        for entry in unconfirmed {
            if outbox::commit_of(&entry).is_some_and(|commit| self.taken.contains_key(commit)) {
                continue;
            }
            if self.store.writable().is_ok() {
                self.shared.one_commit_less();
            } else {
                lock(&self.shared.unconfirmed).push(entry);
            }
        }
    }

    /// Takes the records of a commit, less the first `from`, which are in the log.
    fn take(&mut self, entry: Found, from: u32) {
        let Found { commit, revision, holds } = entry;
        self.taken.insert(commit.clone(), revision);
        let records = (0..).zip(holds.records).skip(usize::try_from(from).unwrap_or(usize::MAX));
        let before = self.waiting.len();
        for (part, record) in records {
            self.queue(record, Marks { commit: Some(commit.clone()), part: Some(part), ..Marks::default() });
        }
        match u32::try_from(self.waiting.len() - before) {
            Ok(0) => self.finish(commit),
            Ok(left) => _ = self.parts.insert(commit, left),
            Err(_) => {}
        }
    }

    /// Every record of a commit is in the log.
    fn finish(&mut self, commit: String) {
        self.shared.one_commit_less();
        self.done.push(commit);
    }

    /// Writes what waits, and lets happen what can be recorded from here on.
    fn write(&mut self) {
        if let Err(cause) = self.chain.check_place() {
            return self.set_gate(gate::SHUT, &cause);
        }
        let mut finished = Vec::new();
        let (shared, parts) = (&self.shared, &mut self.parts);
        let result = self.chain.append(&mut self.waiting, (shared.now)(), |n, entry| {
            shared.waiting_bytes.fetch_sub(entry.record.weight(), Ordering::Relaxed);
            shared.publish(n, entry.record);
            let Some(commit) = entry.marks.commit else { return };
            let left = parts.get(&commit).copied().unwrap_or(1) - 1;
            if left == 0 {
                parts.remove(&commit);
                finished.push(commit);
            } else {
                parts.insert(commit, left);
            }
        });
        *lock(&shared.end) = self.chain.end();
        finished.into_iter().for_each(|commit| self.finish(commit));
        match result {
            // The reserve on disk is used up.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.set_gate(gate::SHUT, &error.to_string());
            }
            // What cannot be written now waits in memory, as much as `WAITING_BYTES`.
            Err(error) => self.set_gate(self.troubled(), &error.to_string()),
            Ok(()) if self.chain.has_reserve() => self.set_gate(gate::OPEN, ""),
            Ok(()) => self
                .set_gate(self.troubled(), "the disk is full, and what was kept aside for the log is in use"),
        }
    }

    /// What may still happen.
    fn troubled(&self) -> u8 {
        match self.on_full {
            OnFull::Refuse => gate::SHUT,
            OnFull::ContinueReads => gate::READS,
        }
    }

    fn set_gate(&mut self, to: u8, cause: &str) {
        if to != gate::OPEN {
            *lock(&self.shared.cause) = cause.to_owned();
        }
        if self.shared.gate.swap(to, Ordering::AcqRel) == to {
            return;
        }
        match to {
            gate::OPEN => {
                let refused = self.shared.refused.swap(0, Ordering::Relaxed);
                tracing::info!(refused, "the audit log can be written again; the server operates");
                self.say(
                    self.record("resume")
                        .detail(format!("{refused} were refused since it could not be written")),
                );
            }
            gate::READS => {
                tracing::error!(cause, "the audit log cannot go on; only what changes nothing is done")
            }
            _ => tracing::error!(cause, "the audit log cannot be written; the server refuses to operate"),
        }
    }

    /// Deletes from the store what is in the log, and has it know where the log ends.
    fn forget(&mut self, now: Timestamp) {
        if self.chain.check_place().is_err() {
            return;
        }
        while !self.done.is_empty() || self.known.end != self.chain.end() {
            let count = self.done.len().min(DELETED_AT_ONCE);
            let end = self.chain.end();
            let batch = Batch::new().put(self.known.put(&end));
            let batch = self.done.iter().take(count).fold(batch, |batch, commit| {
                batch.delete(outbox::store_id(commit), self.taken.get(commit).copied().unwrap_or(0))
            });
            match self.store.commit(batch) {
                Ok(revision) => {
                    self.known.moved(end, revision);
                    self.noted = Some(now);
                    self.done.drain(..count).for_each(|commit| _ = self.taken.remove(&commit));
                }
                Err(error) => {
                    tracing::debug!(%error, "what is in the audit log stays in the store a while longer");
                    if matches!(error, StoreError::Conflict { .. }) {
                        self.look_again();
                    }
                    return;
                }
            }
        }
    }

    /// A commit of these deletions whose outcome was unknown has happened.
    fn look_again(&mut self) {
        if let Ok(known) = Known::read(self.store.as_ref()) {
            self.known = known;
        }
        let (store, taken) = (&self.store, &mut self.taken);
        self.done.retain(|commit| {
            let is_gone = matches!(store.fetch(&outbox::store_id(commit)), Ok(None));
            if is_gone {
                taken.remove(commit);
            }
            !is_gone
        });
    }
}

/// Nothing may happen that nobody records, not even after a defect.
struct ShutWhenGone(Arc<Shared>);

impl Drop for ShutWhenGone {
    fn drop(&mut self) {
        *lock(&self.0.cause) = "the thread that writes it has ended".to_owned();
        self.0.gate.store(gate::SHUT, Ordering::Release);
    }
}
