//! A disk that is full, really.

use kms_server::store::{Batch, Index, Keys, Put, Scan, SledOptions, SledStore, Store, StoreError, Term};

use super::disk::{TAKES_ROOT, Tmpfs, skip};
use super::in_time;

fn put(number: usize) -> Put {
    let terms = vec![Term::new(Index::Group, "g")];
    Put { id: format!("{number:05}"), replaces: None, value: vec![number as u8; 30_000], terms }
}

/// Writes until the disk has no room left. Returns how many records are there, and the error.
fn fill(store: &SledStore) -> (usize, StoreError) {
    let mut written = 0;
    loop {
        match store.commit(Batch::new().put(put(written))) {
            Ok(_) => written += 1,
            Err(error) => return (written, error),
        }
    }
}

#[test]
fn a_full_disk_stops_writes_not_reads_until_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Tmpfs::mount(90, folder.path()) else {
        return skip("a_full_disk_stops_writes_not_reads_until_there_is_room_again", TAKES_ROOT);
    };
    let path = folder.path().join("store");
    in_time(move || {
        let store = SledStore::open(&path, SledOptions::default()).unwrap();
        let (written, error) = fill(&store);
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_eq!(error.hint(), "free space on the store's disk");
        assert!(written > 100);
        assert!(matches!(store.writable(), Err(StoreError::Full { .. })));
        all_there(&store, written);

        Tmpfs::resize(160, path.parent().unwrap());
        store.writable().unwrap();
        for number in written..written + 50 {
            store.commit(Batch::new().put(put(number))).unwrap();
        }
        drop(store);
        all_there(&SledStore::open(&path, SledOptions::default()).unwrap(), written + 50);
    });
}

/// Without the reserve, and so as if another program had filled the disk between the look and the write.
#[test]
fn a_write_that_fails_stops_writes_not_reads_and_is_got_over() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Tmpfs::mount(24, folder.path()) else {
        return skip("a_write_that_fails_stops_writes_not_reads_and_is_got_over", TAKES_ROOT);
    };
    let path = folder.path().join("store");
    in_time(move || {
        let options = SledOptions { reserve_bytes: 0, ..SledOptions::default() };
        let store = SledStore::open(&path, options).unwrap();
        let (written, error) = fill(&store);
        println!("after {written} records: {error}");
        assert!(matches!(error, StoreError::Unconfirmed { .. } | StoreError::Io { .. }), "{error}");
        assert!(written > 100);
        let refused = store.commit(Batch::new().put(put(written))).unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
        assert!(!refused.hint().is_empty());
        nothing_wrong(&store, written);

        let still = store.recover().unwrap_err();
        assert_eq!(still.hint(), "free space on the store's disk", "{still}");
        nothing_wrong(&store, written);
        assert!(matches!(store.writable(), Err(StoreError::ReadOnly { .. })));

        Tmpfs::resize(96, path.parent().unwrap());
        store.recover().unwrap();
        store.writable().unwrap();
        let unconfirmed = store.fetch(&put(written).id).unwrap().is_some();
        let written = written + usize::from(unconfirmed);
        all_there(&store, written);
        for number in written..written + 50 {
            store.commit(Batch::new().put(put(number))).unwrap();
        }
        drop(store);
        all_there(&SledStore::open(&path, SledOptions::default()).unwrap(), written + 50);
    });
}

fn all_there(store: &SledStore, count: usize) {
    let hits = store.scan(&Scan::new(Index::Group, Keys::All)).unwrap();
    let wanted: Vec<_> = (0..count).map(|number| put(number).id).collect();
    assert_eq!(hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>(), wanted);
    for number in 0..count {
        assert_eq!(store.fetch(&put(number).id).unwrap().unwrap().value, put(number).value);
    }
    assert_eq!(store.fetch(&put(count).id).unwrap(), None);
}

/// A page that the failed commit was changing may have become unreadable; all else reads on, and nothing reads wrong.
fn nothing_wrong(store: &SledStore, count: usize) {
    let mut unreadable = 0;
    for number in 0..count {
        match store.fetch(&put(number).id) {
            Ok(record) => assert_eq!(record.unwrap().value, put(number).value),
            Err(StoreError::Io { .. }) => unreadable += 1,
            Err(error) => panic!("{error}"),
        }
    }
    println!("{unreadable} of {count} records cannot be read");
    assert!(unreadable <= 20, "{unreadable} of {count} records cannot be read");
    if let Ok(record) = store.fetch(&put(count).id) {
        assert_eq!(record, None, "what was not confirmed is not served");
    }
}
