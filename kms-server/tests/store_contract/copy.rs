//! Notes, and copies that are made while the store is in use.

use std::io::{self, Write};

use kms_server::store::copy::{self, CopyError};
use kms_server::store::{Batch, Faults, MemoryStore, Store, limits};

use super::{Open, found, name, new, put};

pub fn notes_are_kept_replaced_and_forgotten(open: Open) {
    let store = open(Faults::none());
    assert!(store.notes().unwrap().is_empty());
    store.note("a", Some(b"1")).unwrap();
    store.note("b", Some(b"2")).unwrap();
    store.note("a", Some(b"3")).unwrap();
    store.commit(Batch::new().put(new("a", &[]))).unwrap();
    drop(store.records(None, 10).unwrap());
    let notes: Vec<_> = store.notes().unwrap().into_iter().collect();
    assert_eq!(notes, [("a".to_owned(), b"3".to_vec()), ("b".to_owned(), b"2".to_vec())]);
    store.note("a", None).unwrap();
    assert_eq!(store.notes().unwrap().len(), 1);
    assert_eq!(store.records(None, 10).unwrap().len(), 1, "a note is no record");
    store.note("big", Some(&vec![0; limits::MAX_NOTE_BYTES + 1])).unwrap_err();
    store.note("", Some(b"x")).unwrap_err();
}

pub fn what_changes_is_told_to_whoever_follows(open: Open) {
    let store = open(Faults::none());
    let first = store.commit(Batch::new().put(new("a", &[])).put(new("b", &[])).put(new("c", &[]))).unwrap();
    let followed = store.follow();
    assert_eq!(store.changed(&followed, 10).unwrap().records, []);
    store.commit(Batch::new().put(put("b", Some(first), "2", &[])).delete("c", first)).unwrap();
    store.commit(Batch::new().put(new("d", &[]))).unwrap();
    store.commit(Batch::new().put(new("a", &[]))).unwrap_err();
    let some = store.changed(&followed, 2).unwrap();
    let told: Vec<_> = some.records.iter().map(|(id, record)| (id.as_str(), record.is_some())).collect();
    assert_eq!((told.as_slice(), some.is_all), ([("b", true), ("c", false)].as_slice(), false));
    assert_eq!(some.records[0].1.as_ref().unwrap().value, b"2");
    let rest = store.changed(&followed, 2).unwrap();
    assert_eq!((rest.records.len(), rest.is_all), (1, true));
}

/// Changes the store a little with everything that is written.
struct Meddling<'a> {
    store: &'a dyn Store,
    turn: usize,
    bytes: Vec<u8>,
}

const RECORDS: usize = 700;

impl Meddling<'_> {
    /// Moves the one name and a baton to another record, makes one record and deletes one; all in one commit.
    fn meddle(&mut self) {
        if self.turn >= 400 {
            return;
        }
        let (from, to) = (holder(self.turn), holder(self.turn + 1));
        let at = |id: &str| self.store.fetch(id).unwrap().unwrap().revision;
        let mut batch = Batch::new()
            .put(put(&from, Some(at(&from)), "", &[]))
            .put(put(&to, Some(at(&to)), "baton", &[name("one")]))
            .put(put(&format!("z{:05}", self.turn), None, "new", &[name(&format!("new {}", self.turn))]));
        if let Some(before) = self.turn.checked_sub(1).map(|turn| format!("z{turn:05}")) {
            batch = batch.delete(before.clone(), at(&before));
        }
        self.store.commit(batch).unwrap();
        self.turn += 1;
    }
}

impl Write for Meddling<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend(bytes);
        if self.bytes.len().is_multiple_of(3) {
            self.meddle();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who has the baton in a turn: all over the IDs, before and behind wherever the copy is.
fn holder(turn: usize) -> String {
    format!("r{:05}", turn * 331 % RECORDS)
}

fn filled(store: &dyn Store) {
    for first in (0..RECORDS).step_by(100) {
        let puts = (first..first + 100).fold(Batch::new(), |batch, number| {
            let id = format!("r{number:05}");
            batch.put(if id == holder(0) {
                put(&id, None, "baton", &[name("one")])
            } else {
                put(&id, None, "", &[])
            })
        });
        store.commit(puts).unwrap();
    }
    store.note("note", Some(b"kept")).unwrap();
}

pub fn a_copy_made_while_records_change_is_one_state(open: Open) {
    let store = open(Faults::none());
    filled(&*store);
    let mut meddling = Meddling { store: &*store, turn: 0, bytes: Vec::new() };
    copy::write(&*store, &mut meddling).unwrap();
    let (turn, bytes) = (meddling.turn, meddling.bytes);
    assert!(turn > 300, "it was changed while it was copied: {turn}");

    let contents = copy::verify(&mut bytes.as_slice()).unwrap();
    let restored = MemoryStore::new();
    copy::fill(&restored, &mut bytes.as_slice(), &contents).unwrap();
    let all = restored.records(None, usize::MAX).unwrap();
    let batons: Vec<_> = all.iter().filter(|(_, record)| record.value == b"baton").collect();
    assert_eq!(batons.len(), 1, "one commit was there by halves");
    assert_eq!(found(&restored, &name("one")), [batons[0].0.clone()]);
    let made: Vec<_> = all.iter().filter(|(id, _)| id.starts_with('z')).collect();
    assert_eq!((all.len(), made.len()), (RECORDS + 1, 1), "one is made and one deleted each time");
    let turn: usize = made[0].0[1..].parse().unwrap();
    assert_eq!(batons[0].0, holder(turn + 1), "both are of the same commit");
    assert_eq!(restored.notes().unwrap()["note"], b"kept");

    // The state that it is in is the last one of all: nothing changed since.
    for (id, record) in &all {
        let original = store.fetch(id).unwrap().unwrap();
        assert_eq!((&record.value, &record.terms), (&original.value, &original.terms), "{id}");
    }
}

pub fn a_copy_that_is_not_whole_is_refused(open: Open) {
    let store = open(Faults::none());
    filled(&*store);
    let mut bytes = Vec::new();
    copy::write(&*store, &mut bytes).unwrap();
    copy::verify(&mut bytes.as_slice()).unwrap();
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        let error = copy::verify(&mut &bytes[..length]).unwrap_err();
        assert!(matches!(error, CopyError::Broken(_)), "{length} bytes: {error}");
    }
    let more = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(copy::verify(&mut more.as_slice()), Err(CopyError::Broken(_))));
    // Without one entry, but with an end.
    let second = 12 + 5 + u32::from_be_bytes(bytes[13..17].try_into().unwrap()) as usize;
    let less = [&bytes[..12], &bytes[second..]].concat();
    assert!(matches!(copy::verify(&mut less.as_slice()), Err(CopyError::Broken(_))));
    let newer = [b"kms-store 2\n", &bytes[12..]].concat();
    let error = copy::verify(&mut newer.as_slice()).unwrap_err();
    assert!(matches!(&error, CopyError::Newer(format) if format == "kms-store 2"), "{error}");
    let huge = [&bytes[..13], &[0xFF; 4]].concat();
    assert!(matches!(copy::verify(&mut huge.as_slice()), Err(CopyError::Broken(_))));
}
