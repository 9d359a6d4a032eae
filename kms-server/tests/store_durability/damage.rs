//! What is in a store's folder, and what is made of a folder that holds something else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use kms_server::store::{Batch, Put, SledOptions, SledStore, Store, StoreError};

use super::random;

fn open(path: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(path, SledOptions::default())
}

fn put(id: &str, value: Vec<u8>) -> Batch {
    Batch::new().put(Put { id: id.to_owned(), replaces: None, value, terms: vec![] })
}

#[test]
fn a_store_is_held_by_one_and_says_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/store");
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Locked { .. }), "{text}");
    assert!(
        text.contains("another server has the store") && text.contains(&path.display().to_string()),
        "{text}"
    );
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert!(error.hint().contains("stop the other server"));
    first.commit(put("a", vec![1])).unwrap();
    drop(first);
    assert_eq!(open(&path).unwrap().fetch("a").unwrap().unwrap().value, [1]);
}

#[test]
fn only_its_owner_may_enter_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let _store = open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let raw = || sled::Config::new().path(folder.path()).segment_size(1024 * 1024).open().unwrap();
    let db = raw();
    db.insert("mformat", &7_u32.to_be_bytes()).unwrap();
    drop(db);
    match open(folder.path()) {
        Err(error @ StoreError::Format { found: 7, known: 1, .. }) => {
            assert!(error.to_string().contains("format 7"), "{error}");
            assert!(error.hint().contains("newer program"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(raw().get("mformat").unwrap().unwrap().as_ref(), 7_u32.to_be_bytes());
}

#[test]
fn somebody_elses_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = sled::Config::new().path(folder.path()).segment_size(1024 * 1024).open().unwrap();
    db.insert("cats", "dogs").unwrap();
    drop(db);
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("without a format"), "{error}");
}

/// A copy of a closed store whose database is replaced, or taken away.
fn copy_with(store: &Path, db: Option<&[u8]>) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(store).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    match db {
        Some(bytes) => fs::write(copy.path().join("db"), bytes).unwrap(),
        None => fs::remove_file(copy.path().join("db")).unwrap(),
    }
    copy
}

#[test]
fn a_database_that_ends_before_what_was_acknowledged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    let store = open(folder.path()).unwrap();
    store.commit(put("a", vec![1; 5_000])).unwrap();
    let earlier = fs::read(&file).unwrap();
    store.commit(put("b", vec![2; 5_000])).unwrap();
    let whole = fs::read(&file).unwrap();
    // As a kill leaves it: without what a clean end would add.
    let copy = |db| copy_with(folder.path(), db);
    for lost in [Some(&earlier[..]), Some(&whole[..10_000]), Some(&[]), None] {
        match open(copy(lost).path()) {
            Err(error @ StoreError::Lost { noted: 2, .. }) => assert!(error.hint().contains("backup")),
            other => panic!("{:?} bytes: {other:?}", lost.map(<[u8]>::len)),
        }
    }
    assert!(open(copy(Some(&whole)).path()).unwrap().fetch("b").unwrap().is_some(), "the whole file");
    // A note counts as a commit.
    store.note("a note", Some(b"x")).unwrap();
    match open(copy(Some(&whole)).path()) {
        Err(StoreError::Lost { last: 2, noted: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Somebody who has restored an older database, and means it.
    let restored = copy(Some(&earlier));
    fs::remove_file(restored.path().join("last")).unwrap();
    assert!(open(restored.path()).unwrap().fetch("a").unwrap().is_some());
}

#[test]
fn a_snapshot_that_was_never_finished_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4_usize {
        let store = open(folder.path()).unwrap();
        store.commit(put(&round.to_string(), vec![1; 1_000])).unwrap();
        drop(store);
        let unfinished = folder.path().join("snap.00000000FFFFFFFF.generating");
        fs::write(&unfinished, vec![7; round * 20]).unwrap();
        assert!(open(folder.path()).unwrap().fetch(&round.to_string()).unwrap().is_some());
        assert!(!unfinished.exists());
    }
}

#[test]
fn a_path_that_cannot_be_a_folder_is_an_error_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let error = open(&folder.path().join("file/store")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("file/store"), "{error}");
    assert_eq!(error.hint(), "check the store's path");
}

/// Flips bytes and cuts the file short. Whatever the outcome, there is one: no panic, no wrong value.
#[test]
fn damage_is_an_error_or_a_missing_record_never_a_panic_or_a_wrong_value() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let value = |number: usize| vec![number as u8; 1_000 + number * 10];
    for number in 0..200 {
        store.commit(put(&format!("{number:03}"), value(number))).unwrap();
    }
    drop(store);
    let file = folder.path().join("db");
    let good = fs::read(&file).unwrap();
    let mut errors = 0;
    for round in 0..40 {
        let mut bad = good.clone();
        for _ in 0..=round % 4 * 5 {
            let at = random(bad.len() as u64) as usize;
            bad[at] ^= 1 << random(8);
        }
        if round % 5 == 4 {
            bad.truncate(random(bad.len() as u64) as usize);
        }
        fs::write(&file, bad).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| -> Result<(), StoreError> {
            let store = open(folder.path())?;
            for number in 0..200 {
                if let Some(record) = store.fetch(&format!("{number:03}"))? {
                    assert_eq!(record.value, value(number), "a wrong value");
                }
            }
            store.records(None, 1_000)?;
            Ok(())
        }));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                errors += 1;
                assert!(!error.to_string().is_empty());
            }
            Err(panic) => panic!("round {round}: {:?}", panic.downcast_ref::<String>()),
        }
    }
    println!("{errors} of 40 damaged stores were refused");
}
