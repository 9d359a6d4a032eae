//! What holds when a commit fails at one of its steps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kms_server::store::{Batch, Faults, Index, Keys, Order, Scan, Step, StoreError};

use super::{Open, found, group, ids, name, new, put, revision};

/// A fault that strikes once, when the step is reached for the time after `spared`.
fn once(at: Step, spared: usize) -> Faults {
    let reached = Arc::new(AtomicUsize::new(0));
    Faults::new(move |step| {
        if step == at && reached.fetch_add(1, Ordering::Relaxed) == spared {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    })
}

pub fn a_failure_before_writing_leaves_the_store_as_it_was(open: Open) {
    let store = open(once(Step::Apply, 1));
    let first = store.commit(Batch::new().put(put("a", None, "1", &[group("g")]))).unwrap();
    let batch = Batch::new().put(put("a", Some(first), "2", &[])).put(new("b", &[]));
    let error = store.commit(batch.clone()).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert_eq!(error.hint(), "free space on the store's disk");
    assert_eq!(store.fetch("a").unwrap().unwrap().value, b"1");
    assert_eq!((store.fetch("b").unwrap(), found(&*store, &group("g"))), (None, vec!["a".into()]));
    store.writable().unwrap();
    store.commit(batch).unwrap();
    assert_eq!(store.fetch("a").unwrap().unwrap().value, b"2");
}

pub fn a_failed_sync_stops_writes_not_reads(open: Open) {
    let store = open(once(Step::Sync, 1));
    let terms = [name("a"), group("g")];
    let first =
        store.commit(Batch::new().put(put("a", None, "1", &terms)).put(new("z", &[group("g")]))).unwrap();
    let batch = Batch::new().put(put("a", Some(first), "2", &[group("h")])).put(new("b", &[group("g")]));
    let error = store.commit(batch.delete("z", first)).unwrap_err();
    assert!(matches!(error, StoreError::Unconfirmed { .. }), "{error}");

    // What was not confirmed is not served, by any way of asking.
    for _ in 0..2 {
        assert_eq!(store.fetch("a").unwrap().unwrap().value, b"1");
        assert_eq!((store.fetch("b").unwrap(), revision(&*store, "z")), (None, Some(first)));
        assert_eq!(found(&*store, &group("g")), ["a", "z"]);
        assert_eq!(found(&*store, &group("h")), [""; 0]);
        assert_eq!(found(&*store, &name("a")), ["a"]);
        let down = Scan { order: Order::Descending, ..Scan::new(Index::Group, Keys::All) };
        assert_eq!(ids(&*store, &down), ["z", "a"]);
        let all: Vec<_> = store.records(None, 9).unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!(all, ["a", "z"]);
        let refused = store.commit(Batch::new().put(new("c", &[]))).unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
        assert!(refused.to_string().contains("sync"), "{refused}");
        assert!(matches!(store.writable(), Err(StoreError::ReadOnly { .. })));
    }

    // The disk works again: writes go on, and the unconfirmed commit happened wholly or not at all.
    store.recover().unwrap();
    store.writable().unwrap();
    let happened = store.fetch("b").unwrap().is_some();
    let value = store.fetch("a").unwrap().unwrap().value;
    assert_eq!(value, if happened { b"2" } else { b"1" });
    assert_eq!(found(&*store, &group("g")), if happened { ["b"].as_slice() } else { &["a", "z"] });
    assert_eq!(found(&*store, &name("a")).is_empty(), happened);
    let next = store.commit(Batch::new().put(new("c", &[]))).unwrap();
    assert!(next > first);
    assert_eq!(revision(&*store, "c"), Some(next));
    store.recover().unwrap();
    assert_eq!(revision(&*store, "c"), Some(next), "nothing to recover, nothing done");
}

pub fn a_lost_answer_leaves_a_durable_commit(open: Open) {
    let store = open(once(Step::Acknowledge, 0));
    let error = store.commit(Batch::new().put(new("a", &[name("n")]))).unwrap_err();
    assert!(matches!(error, StoreError::Unconfirmed { .. }), "{error}");
    let first = revision(&*store, "a").unwrap();
    store.writable().unwrap();
    assert!(store.commit(Batch::new().put(put("a", Some(first), "", &[]))).unwrap() > first);
}
