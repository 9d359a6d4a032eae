//! Running checks one after another and writing down what they find.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::decrypt::is_inability;
use crate::error::Error;

use super::report::{Check, Entry, Lack, Outcome, Report};

/// What the check under way has seen so far. Shared with the work that it is.
#[derive(Default)]
pub(super) struct Notes(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    saw: Vec<String>,
    lacks: Vec<Lack>,
}

impl Notes {
    pub(super) fn saw(&self, line: impl Into<String>) {
        self.inner().saw.push(line.into());
    }

    pub(super) fn lacks(&self, what: impl Into<String>, means: &str) {
        self.lack(Lack::new(what, means));
    }

    pub(super) fn lack(&self, lack: Lack) {
        self.inner().lacks.push(lack);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All checks so far.
pub(super) struct Record<'a> {
    entries: Vec<Entry>,
    notes: Arc<Notes>,
    tell: &'a (dyn Fn(&Entry) + Sync),
}

impl<'a> Record<'a> {
    pub(super) fn new(tell: &'a (dyn Fn(&Entry) + Sync)) -> Self {
        Self { entries: Vec::new(), notes: Arc::default(), tell }
    }

    /// Where checks write down what they see.
    pub(super) fn notes(&self) -> Arc<Notes> {
        Arc::clone(&self.notes)
    }

    /// Runs a check. What it lacks makes it lacking; an error makes it failed, or lacking where the server says that it
    /// cannot do this.
    pub(super) async fn check<T>(
        &mut self,
        check: Check,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        let started = Instant::now();
        let result = work.await;
        let took = started.elapsed();
        let mut notes = core::mem::take(&mut *self.notes.inner());
        let (outcome, hint) = match &result {
            Ok(_) if notes.lacks.is_empty() => (Outcome::Passed, None),
            Ok(_) => (Outcome::Lacking, None),
            Err(error) => {
                notes.saw.push(error.to_string());
                notes.lacks.push(check.lack());
                if is_inability(error) { (Outcome::Lacking, None) } else { (Outcome::Failed, error.hint()) }
            }
        };
        self.add(Entry { check, outcome, saw: notes.saw, took, lacks: notes.lacks, hint });
        result.ok()
    }

    pub(super) fn skip(&mut self, checks: impl IntoIterator<Item = Check>, why: &str) {
        for check in checks {
            self.add(Entry {
                check,
                outcome: Outcome::Skipped,
                saw: vec![why.to_owned()],
                took: Duration::ZERO,
                lacks: Vec::new(),
                hint: None,
            });
        }
    }

    fn add(&mut self, entry: Entry) {
        (self.tell)(&entry);
        self.entries.push(entry);
    }

    pub(super) fn report(self, server: &str) -> Report {
        Report::new(server, self.entries)
    }
}
