//! A disk whose writes or syncs fail.

use std::sync::Arc;

use kms_server::store::{Batch, Index, Keys, Put, Scan, SledOptions, SledStore, Store, StoreError, Term};

use super::disk::{Disk, Tools, skip};
use super::{in_time, rounds};

#[test]
fn failing_writes_stop_writes_and_are_got_over() {
    match Tools::find() {
        Ok(tools) => break_disk(&tools, ".fail-writes"),
        Err(why) => skip("failing_writes_stop_writes_and_are_got_over", &why),
    }
}

#[test]
fn failing_syncs_stop_writes_and_are_got_over() {
    match Tools::find() {
        Ok(tools) => break_disk(&tools, ".fail-syncs"),
        Err(why) => skip("failing_syncs_stop_writes_and_are_got_over", &why),
    }
}

fn put(number: usize) -> Batch {
    let (value, terms) = (vec![number as u8; 3_000], vec![Term::new(Index::Group, "g")]);
    Batch::new().put(Put { id: format!("{number:05}"), replaces: None, value, terms })
}

fn break_disk(tools: &Tools, order: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(tools.mount(&Tools::broken(), folder.path()));
    let path = disk.path().join("store");
    let mut there = 0;
    for _ in 0..rounds(5) {
        let (disk, path) = (Arc::clone(&disk), path.clone());
        there = in_time(move || break_once(&disk, &path, order, there));
    }
}

/// Breaks the disk under a store of `there` records and mends it. Returns how many are there then.
fn break_once(disk: &Disk, path: &std::path::Path, order: &str, there: usize) -> usize {
    let store = SledStore::open(path, SledOptions::default()).unwrap();
    for number in there..there + 10 {
        store.commit(put(number)).unwrap();
    }
    let there = there + 10;
    disk.order(order);
    let error = store.commit(put(there)).unwrap_err();
    assert!(matches!(error, StoreError::Unconfirmed { .. } | StoreError::Io { .. }), "{error}");
    let refused = store.commit(put(there)).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
    if let Ok(record) = store.fetch(&format!("{there:05}")) {
        assert_eq!(record, None, "what was not confirmed is not served");
    }
    let readable =
        (0..there).filter(|number| store.fetch(&format!("{number:05}")).is_ok_and(|r| r.is_some()));
    assert!(readable.count() + 20 >= there, "reads go on");
    store.recover().unwrap_err();
    disk.order(".mend");
    store.recover().unwrap();
    store.writable().unwrap();
    // Wholly or not at all.
    let happened = store.fetch(&format!("{there:05}")).unwrap().is_some();
    let there = there + usize::from(happened);
    assert_eq!(store.scan(&Scan::new(Index::Group, Keys::All)).unwrap().len(), there);
    store.commit(put(there)).unwrap();
    there + 1
}
