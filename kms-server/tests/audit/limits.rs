//! What is too long is cut, what was given up is not missed, and what nobody confirmed is not forgotten.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kms_server::audit::limits::LINE_BYTES;
use kms_server::audit::{Filter, Options, Segments, Source, Trail, show, verify};
use kms_server::kms::Event;
use kms_server::store::{Batch, Faults, MemoryStore, SledOptions, SledStore, Step, Store, StoreError};

use super::{lines, server, whole};

fn open(folder: &std::path::Path, store: &Arc<dyn Store>, segments: Segments) -> Trail {
    Trail::open(&Options { folder: Some(folder.to_owned()), segments, ..Options::default() }, store).unwrap()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

#[test]
fn a_server_starts_again_however_many_policies_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let policies: String = (0..1_000)
        .map(|number| format!("[[policy]]\nname = \"{number:0128}\"\nnames = \"{number}\"\n"))
        .collect();
    for _ in 0..2 {
        drop(server(folder.path(), &policies));
    }
    whole(folder.path());
}

#[test]
fn a_record_that_is_longer_than_a_line_is_cut_and_one_that_is_not_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let usual = Options::default().segments;
    let trail = open(folder.path(), &memory(), usual.clone());
    for length in (LINE_BYTES - 400..LINE_BYTES).step_by(7) {
        let event = Event::StoreReadOnly { reason: "x".repeat(length) };
        trail.note(trail.record(Source::Server, "store").with(event));
    }
    drop(trail);
    whole(folder.path());
    let told: Vec<_> =
        lines(folder.path()).into_iter().filter(|(_, line)| line.record.operation == "store").collect();
    assert_eq!(told.len(), 400_usize.div_ceil(7));
    let (cut, uncut): (Vec<_>, Vec<_>) = told.iter().partition(|(_, line)| line.record.event.is_none());
    assert!(!cut.is_empty() && !uncut.is_empty(), "{} cut, {} not", cut.len(), uncut.len());
    assert!(uncut.iter().all(|(text, _)| text.len() < LINE_BYTES));
    for (_, line) in &cut {
        let detail = line.record.detail.as_deref().unwrap();
        assert!(detail.contains("was cut") && detail.contains("store-read-only"), "{detail}");
    }
    drop(open(folder.path(), &memory(), usual));
    whole(folder.path());
}

#[test]
fn a_log_is_read_while_its_oldest_files_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let trail = open(folder.path(), &memory(), Segments { bytes: 8_192, keep: 2 });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3_000 {
                trail.note(trail.record(Source::Server, "store").with(Event::StoreWritable));
                if trail.admit(kms_server::audit::Access::Change).is_err() {
                    std::thread::yield_now();
                }
            }
            trail.close();
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            verify(folder.path(), None).expect("the log can be read");
            show(folder.path(), &Filter::default(), |_, _| Ok(())).expect("the log can be shown");
            trail.events(0).expect("events can be read");
        }
    });
    whole(folder.path());
}

/// Faults that come once, at the step that is armed.
fn faults() -> (Faults, Arc<Mutex<Option<Step>>>) {
    let armed = Arc::new(Mutex::new(None));
    let hook = Arc::clone(&armed);
    let faults = Faults::new(move |at| match hook.lock().unwrap().take_if(|armed: &mut Step| *armed == at) {
        Some(_) => Err(io::Error::other("injected")),
        None => Ok(()),
    });
    (faults, armed)
}

#[test]
fn a_commit_that_nobody_confirmed_is_told_once_the_store_works_again() {
    let mut told = 0;
    for step in [Step::Sync, Step::Acknowledge] {
        for on_disk in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (faults, armed) = faults();
            let store: Arc<dyn Store> = match on_disk {
                false => Arc::new(MemoryStore::with_faults(faults)),
                true => {
                    let options = SledOptions { faults, ..SledOptions::default() };
                    Arc::new(SledStore::open(&folder.path().join("store"), options).unwrap())
                }
            };
            let audit = folder.path().join("audit");
            let trail = open(&audit, &store, Options::default().segments);
            *armed.lock().unwrap() = Some(step);
            let record = trail.record(Source::Server, "unconfirmed");
            let failed = trail.commit(store.as_ref(), Batch::new(), vec![record]);
            let is_unknown = matches!(failed, Err(StoreError::Unconfirmed { .. }));
            assert!(failed.is_err(), "{step:?} {on_disk}");
            // Long enough for the log to look once while the store is away.
            std::thread::sleep(Duration::from_millis(20));
            let _ = store.recover();
            let happened = || lines(&audit).iter().any(|(_, line)| line.record.operation == "unconfirmed");
            let is_stored = || {
                let page = store.records(None, 100).unwrap();
                page.iter().any(|(id, _)| kms_server::audit::is_entry(id))
            };
            let begin = Instant::now();
            if is_unknown && (is_stored() || happened()) {
                while !happened() {
                    assert!(begin.elapsed() < Duration::from_secs(60), "{step:?} {on_disk}");
                    std::thread::sleep(Duration::from_millis(5));
                }
                told += 1;
            }
            drop(trail);
            whole(&audit);
        }
    }
    assert!(told > 0, "no commit was without confirmation");
}

#[test]
fn a_secret_is_read_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let most = kms_server::limits::SECRET;
    fs::write(&file, "x".repeat(most)).unwrap();
    assert_eq!(kms_server::store_key::read_secret(&file).unwrap().len(), most);
    fs::write(&file, "x".repeat(most + 1)).unwrap();
    let refused = kms_server::store_key::read_secret(&file).unwrap_err().to_string();
    assert!(refused.contains("more than"), "{refused}");
}
