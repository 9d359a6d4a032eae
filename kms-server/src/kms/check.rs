//! Looks at everything in a store and says what is not as it should be, also while the store is in use.
//!
//! Each look is at one state, the next perhaps at a later one. So whatever looks wrong is looked at again, and told only
//! when it stays wrong.

use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{LinkType, State};
use serde::{Deserialize, Serialize};

use super::model::Object;
use super::notes::is_object;
use crate::crypto::Keyring;
use crate::limits::{LOOKS, PROBLEMS};
use crate::store::limits::COPY_PAGE;
use crate::store::{Hit, Index, Keys, Record, Scan, Store, StoreError, Term};

/// What a look at a store found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Whether all is as it should be.
    pub sound: bool,
    /// Managed objects read.
    pub records: u64,
    /// Sealed key material that opened under the store's key.
    pub opened: u64,
    /// Sealed key material that nobody tried to open, since no key was given.
    pub unopened: u64,
    /// Links followed.
    pub links: u64,
    /// Entries of indexes followed.
    pub entries: u64,
    /// Newest generations: each line of rotations has one.
    pub newest: u64,
    /// What is not as it should be.
    pub problems: Vec<Problem>,
    /// How many problems more there are than are listed.
    pub omitted: u64,
}

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// Where: an object's identifier, or an entry of an index.
    pub at: String,
    /// What.
    pub what: String,
}

/// Checks `store`: that every record can be read, that records and indexes agree in both directions, that links lead
/// somewhere and back, that every line of rotations has one newest generation, and that what is sealed opens under
/// `keyring`, where there is one. What it opens it does not keep.
///
/// # Errors
/// Where the store cannot be read at all; damage to a part of it is in the report.
pub fn check(store: &dyn Store, keyring: Option<&Keyring>) -> Result<Report, StoreError> {
    let mut checker = Checker { store, keyring, report: Report::default() };
    if store.has_strays()? {
        checker.problem("blobs/", "there is something that is never synced");
    }
    checker.records()?;
    for index in Index::ALL {
        checker.index(index)?;
    }
    let mut report = checker.report;
    report.sound = report.problems.is_empty();
    Ok(report)
}

struct Checker<'a> {
    store: &'a dyn Store,
    keyring: Option<&'a Keyring>,
    report: Report,
}

/// What one look at a record found.
#[derive(Default)]
struct Look {
    problems: Vec<String>,
    links: u64,
    is_opened: bool,
    is_unopened: bool,
    is_newest: bool,
}

impl Checker<'_> {
    fn problem(&mut self, at: &str, what: impl Into<String>) {
        if self.report.problems.len() < PROBLEMS {
            self.report.problems.push(Problem { at: at.to_owned(), what: what.into() });
        } else {
            self.report.omitted += 1;
        }
    }

    fn records(&mut self) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        let mut limit = COPY_PAGE;
        loop {
            let page = match self.store.records(after.as_deref(), limit) {
                Err(StoreError::Corrupt { .. }) if limit > 1 => {
                    limit = 1;
                    continue;
                }
                Err(StoreError::Corrupt { what, at }) => {
                    self.problem(&at, format!("{what}; records behind it were found through indexes alone"));
                    return Ok(());
                }
                other => other?,
            };
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (id, record) in page.into_iter().filter(|(id, _)| is_object(id)) {
                self.record(&id, record)?;
            }
        }
    }

    /// Looks at a record until it stays the same from one look to the next.
    fn record(&mut self, id: &str, mut record: Record) -> Result<(), StoreError> {
        self.report.records += 1;
        for _ in 0..LOOKS {
            let look = self.look(id, &record)?;
            if !look.problems.is_empty() {
                let again = self.store.fetch(id)?;
                let Some(again) = again else { return Ok(()) };
                if again.revision != record.revision {
                    record = again;
                    continue;
                }
            }
            self.report.links += look.links;
            self.report.opened += u64::from(look.is_opened);
            self.report.unopened += u64::from(look.is_unopened);
            self.report.newest += u64::from(look.is_newest);
            for what in look.problems {
                self.problem(id, what);
            }
            return Ok(());
        }
        Ok(())
    }

    fn look(&self, id: &str, record: &Record) -> Result<Look, StoreError> {
        let mut look = Look::default();
        let object = match Object::from_record(id, record) {
            Ok(object) => object,
            Err(error) => {
                look.problems.push(error.to_string());
                return Ok(look);
            }
        };
        self.look_at_terms(&object, record, &mut look)?;
        self.look_at_material(&object, &mut look);
        for link in object.links() {
            look.links += 1;
            let target = link.target.as_text().unwrap_or_default();
            match self.fetch(target)? {
                None => look
                    .problems
                    .push(format!("its {} leads to {target}, which is not there", link.link_type)),
                Some(other) if other.owner != object.owner => {
                    look.problems.push(format!("its {} leads to {target} of another owner", link.link_type));
                }
                Some(_) => {}
            }
        }
        self.look_at_generation(&object, &mut look)?;
        Ok(look)
    }

    fn look_at_terms(&self, object: &Object, record: &Record, look: &mut Look) -> Result<(), StoreError> {
        let sorted = |mut terms: Vec<Term>| {
            terms.sort_unstable();
            terms
        };
        if sorted(object.terms()) != sorted(record.terms.clone()) {
            look.problems.push("it is filed under other terms than follow from it".into());
        }
        for term in &record.terms {
            if !self.is_filed(term, &object.id)? {
                look.problems.push(format!("the index {:?} does not lead to it", term.index));
            }
        }
        Ok(())
    }

    fn look_at_material(&self, object: &Object, look: &mut Look) {
        let destroyed =
            matches!(object.written_state(), Some(State::Destroyed | State::DestroyedCompromised));
        match &object.material {
            Some(_) if destroyed => look.problems.push("it is destroyed and has key material".into()),
            None if !destroyed && !object.is_elsewhere() => {
                look.problems.push("its key material is missing".into())
            }
            _ => {}
        }
        // What a deletion window keeps must open as well.
        let withheld = object.withheld.as_ref().map(|withheld| &withheld.material);
        for material in object.material.iter().chain(withheld) {
            match (material.sealed(), self.keyring) {
                (Some(sealed), Some(keyring)) => match keyring.open(&object.id, &sealed.0) {
                    Ok(_) => look.is_opened = true,
                    Err(error) => look.problems.push(error.to_string()),
                },
                (Some(_), None) => look.is_unopened = true,
                (None, _) => {}
            }
        }
    }

    /// A line of rotations is a chain: each generation leads to the next and back, and the last alone is the newest.
    fn look_at_generation(&self, object: &Object, look: &mut Look) -> Result<(), StoreError> {
        let says_newest =
            |object: &Object, newest| object.attributes.contains(&Attribute::RotateLatest(newest));
        let generation = object.generation().unwrap_or(0);
        let Some(next) = object.linked(LinkType::ReplacementObjectLink) else {
            look.is_newest = true;
            if says_newest(object, false) {
                look.problems.push("nothing replaced it, and it says that it is not the newest".into());
            }
            return Ok(());
        };
        if !says_newest(object, false) {
            look.problems.push("it was replaced, and does not say that it is not the newest".into());
        }
        if let Some(successor) = self.fetch(next)? {
            if successor.linked(LinkType::ReplacedObjectLink) != Some(object.id.as_str()) {
                look.problems.push(format!("{next} replaced it, and does not say so"));
            }
            if successor.generation() != generation.checked_add(1) {
                look.problems.push(format!("{next} replaced it, and is not the next generation"));
            }
        }
        Ok(())
    }

    fn fetch(&self, id: &str) -> Result<Option<Object>, StoreError> {
        match self.store.fetch(id) {
            // It is told where it is met itself.
            Err(StoreError::Corrupt { .. }) => Ok(None),
            other => other?.map(|record| Object::from_record(id, &record)).transpose().or(Ok(None)),
        }
    }

    fn is_filed(&self, term: &Term, id: &str) -> Result<bool, StoreError> {
        let mut scan = Scan::new(term.index, Keys::Exactly(term.key.clone()));
        loop {
            let hits = self.store.scan(&scan)?;
            if hits.iter().any(|hit| hit.id == id) {
                return Ok(true);
            }
            let Some(last) = hits.last() else { return Ok(false) };
            scan.after = Some(last.clone());
        }
    }

    fn index(&mut self, index: Index) -> Result<(), StoreError> {
        let mut scan = Scan { limit: COPY_PAGE, ..Scan::new(index, Keys::All) };
        loop {
            let hits = match self.store.scan(&scan) {
                Err(error @ StoreError::Corrupt { .. }) => {
                    self.problem(&format!("index {index:?}"), error.to_string());
                    return Ok(());
                }
                other => other?,
            };
            let Some(last) = hits.last() else { return Ok(()) };
            scan.after = Some(last.clone());
            for hit in &hits {
                self.entry(index, hit)?;
            }
        }
    }

    fn entry(&mut self, index: Index, hit: &Hit) -> Result<(), StoreError> {
        self.report.entries += 1;
        let term = Term::new(index, hit.key.clone());
        let at = format!("index {index:?}, entry {}", hex::encode(&hit.key));
        for _ in 0..LOOKS {
            let record = match self.store.fetch(&hit.id) {
                Err(error @ StoreError::Corrupt { .. }) => {
                    self.problem(&hit.id, error.to_string());
                    return Ok(());
                }
                other => other?,
            };
            if record.as_ref().is_some_and(|record| record.terms.contains(&term)) {
                return Ok(());
            }
            // It may have been changed since the index was read.
            if !self.is_filed(&term, &hit.id)? {
                return Ok(());
            }
            let again = self.store.fetch(&hit.id)?;
            if again.as_ref().map(|record| record.revision) == record.as_ref().map(|record| record.revision) {
                let what = match record {
                    Some(_) => format!("it leads to {}, which is filed elsewhere", hit.id),
                    None => format!("it leads to {}, which is not there", hit.id),
                };
                self.problem(&at, what);
                return Ok(());
            }
        }
        Ok(())
    }
}
