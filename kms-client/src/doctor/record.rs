//! Running checks one after another and writing down what they find.

use core::time::Duration;

use tokio::time::Instant;

use crate::decrypt::is_inability;
use crate::error::Error;

use super::report::{Check, Entry, Lack, Outcome, Report};

/// What a check has seen so far.
#[derive(Default)]
pub(super) struct Notes {
    saw: Vec<String>,
    lacks: Vec<Lack>,
}

impl Notes {
    pub(super) fn saw(&mut self, line: impl Into<String>) {
        self.saw.push(line.into());
    }

    pub(super) fn lacks(&mut self, what: impl Into<String>, means: &str) {
        self.lacks.push(Lack::new(what, means));
    }

    pub(super) fn lack(&mut self, lack: Lack) {
        self.lacks.push(lack);
    }
}

/// All checks so far.
pub(super) struct Record<'a> {
    entries: Vec<Entry>,
    tell: &'a (dyn Fn(&Entry) + Sync),
}

impl<'a> Record<'a> {
    pub(super) fn new(tell: &'a (dyn Fn(&Entry) + Sync)) -> Self {
        Self { entries: Vec::new(), tell }
    }

    /// Runs a check. What it lacks makes it lacking; an error makes it failed, or lacking where the server says that it
    /// cannot do this.
    pub(super) async fn check<T>(
        &mut self,
        check: Check,
        work: impl AsyncFnOnce(&mut Notes) -> Result<T, Error>,
    ) -> Option<T> {
        let started = Instant::now();
        let mut notes = Notes::default();
        let result = work(&mut notes).await;
        let took = started.elapsed();
        let (outcome, hint) = match &result {
            Ok(_) if notes.lacks.is_empty() => (Outcome::Passed, None),
            Ok(_) => (Outcome::Lacking, None),
            Err(error) => {
                notes.saw(error.to_string());
                notes.lack(check.lack());
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
