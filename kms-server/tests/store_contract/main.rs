//! What every implementation of the store promises, checked on each of them.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod copy;
mod faults;
mod model;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use self::copy::{
    a_copy_made_while_records_change_is_one_state, a_copy_that_is_not_whole_is_refused,
    notes_are_kept_replaced_and_forgotten, what_changes_is_told_to_whoever_follows,
};
use self::faults::{
    a_failed_sync_stops_writes_not_reads, a_failure_before_writing_leaves_the_store_as_it_was,
    a_lost_answer_leaves_a_durable_commit,
};
use kms_protocol::DateTime;
use kms_server::store::{
    Batch, Faults, Hit, Index, Key, Keys, MemoryStore, Order, Put, Scan, SledOptions, SledStore, Store,
    StoreError, Term, limits,
};

/// Runs each test on each implementation.
macro_rules! contract {
    ($($test:ident)*) => {
        mod memory {
            $(#[test]
            fn $test() {
                super::$test(&|faults| Box::new(super::MemoryStore::with_faults(faults)));
            })*
        }
        mod sled {
            $(#[test]
            fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let options = |faults| super::SledOptions { faults, ..super::SledOptions::default() };
                super::$test(&|faults| {
                    Box::new(super::SledStore::open(folder.path(), options(faults)).unwrap())
                });
                let blobs = std::fs::read_dir(folder.path().join("blobs")).unwrap();
                assert_eq!(blobs.count(), 0, "sled put something where it is not synced");
            })*
        }
    };
}

contract! {
    a_record_comes_back_as_it_was_put
    a_missing_record_is_none_and_so_is_an_impossible_id
    revisions_grow_and_never_come_twice
    a_put_at_the_wrong_revision_is_a_conflict_and_changes_nothing
    a_delete_takes_the_terms_along
    a_batch_is_all_or_nothing
    a_name_belongs_to_one_record
    a_batch_may_move_and_swap_names
    two_records_of_a_batch_cannot_share_a_name
    a_scan_finds_exact_keys_prefixes_and_ranges
    a_scan_goes_in_pages_both_ways
    terms_with_awkward_bytes_keep_their_order
    records_are_walked_in_pages
    large_values_come_back_and_limits_hold
    the_largest_entries_stay_in_one_file
    what_makes_no_sense_is_refused
    concurrent_writers_lose_no_update
    concurrent_writers_share_no_name
    readers_see_whole_batches
    a_failure_before_writing_leaves_the_store_as_it_was
    a_failed_sync_stops_writes_not_reads
    a_lost_answer_leaves_a_durable_commit
    notes_are_kept_replaced_and_forgotten
    what_changes_is_told_to_whoever_follows
    a_copy_made_while_records_change_is_one_state
    a_copy_that_is_not_whole_is_refused
}

type Open<'a> = &'a dyn Fn(Faults) -> Box<dyn Store>;

fn put(id: &str, replaces: Option<u64>, value: &str, terms: &[Term]) -> Put {
    Put { id: id.to_owned(), replaces, value: value.as_bytes().to_vec(), terms: terms.to_vec() }
}

fn new(id: &str, terms: &[Term]) -> Put {
    put(id, None, "", terms)
}

fn name(name: &str) -> Term {
    Term::new(Index::Name, Key::new().text("owner").text(name).bytes())
}

fn group(group: &str) -> Term {
    Term::new(Index::Group, Key::new().text(group).bytes())
}

fn ids(store: &dyn Store, scan: &Scan) -> Vec<String> {
    store.scan(scan).unwrap().into_iter().map(|hit| hit.id).collect()
}

fn found(store: &dyn Store, term: &Term) -> Vec<String> {
    ids(store, &Scan::new(term.index, Keys::Exactly(term.key.clone())))
}

fn revision(store: &dyn Store, id: &str) -> Option<u64> {
    store.fetch(id).unwrap().map(|record| record.revision)
}

fn a_record_comes_back_as_it_was_put(open: Open) {
    let store = open(Faults::none());
    let terms = [name("a"), group("g"), Term::new(Index::Link, [2])];
    let revision = store.commit(Batch::new().put(put("id-1", None, "value", &terms))).unwrap();
    let record = store.fetch("id-1").unwrap().unwrap();
    assert_eq!((record.revision, record.value.as_slice()), (revision, b"value".as_slice()));
    assert_eq!(record.terms, terms);
    for term in &terms {
        assert_eq!(found(&*store, term), ["id-1"], "{term:?}");
    }
}

fn a_missing_record_is_none_and_so_is_an_impossible_id(open: Open) {
    let store = open(Faults::none());
    assert_eq!(store.fetch("nobody").unwrap(), None);
    for id in ["", "a\0b", &"x".repeat(10_000)] {
        assert_eq!(store.fetch(id).unwrap(), None);
    }
}

fn revisions_grow_and_never_come_twice(open: Open) {
    let store = open(Faults::none());
    let first = store.commit(Batch::new().put(new("a", &[])).put(new("b", &[]))).unwrap();
    assert_eq!((revision(&*store, "a"), revision(&*store, "b")), (Some(first), Some(first)));
    let second = store.commit(Batch::new().put(put("a", Some(first), "2", &[]))).unwrap();
    assert!(second > first);
    assert_eq!((revision(&*store, "a"), revision(&*store, "b")), (Some(second), Some(first)));
    let third = store.commit(Batch::new().delete("a", second)).unwrap();
    let fourth = store.commit(Batch::new().put(new("a", &[]))).unwrap();
    assert!(fourth > third && third > second, "a record put anew must not look like the old one");
}

fn a_put_at_the_wrong_revision_is_a_conflict_and_changes_nothing(open: Open) {
    let store = open(Faults::none());
    let first = store.commit(Batch::new().put(put("a", None, "1", &[group("g")]))).unwrap();
    let cases = [
        (Batch::new().put(new("a", &[])), "a", None, Some(first)),
        (Batch::new().put(put("a", Some(first + 7), "x", &[])), "a", Some(first + 7), Some(first)),
        (Batch::new().put(put("b", Some(first), "x", &[])), "b", Some(first), None),
        (Batch::new().delete("a", first + 7), "a", Some(first + 7), Some(first)),
        (Batch::new().delete("b", 1), "b", Some(1), None),
    ];
    for (batch, at, wanted, held) in cases {
        match store.commit(batch.clone()) {
            Err(StoreError::Conflict { id, expected, found }) => {
                assert_eq!((id.as_str(), expected, found), (at, wanted, held), "{batch:?}");
            }
            other => panic!("{batch:?}: {other:?}"),
        }
    }
    assert_eq!(store.fetch("a").unwrap().unwrap().value, b"1");
    assert_eq!(found(&*store, &group("g")), ["a"]);
    assert_eq!(store.fetch("b").unwrap(), None);
}

fn a_delete_takes_the_terms_along(open: Open) {
    let store = open(Faults::none());
    let terms = [name("n"), group("g")];
    let first = store.commit(Batch::new().put(new("a", &terms)).put(new("b", &[group("g")]))).unwrap();
    store.commit(Batch::new().delete("a", first)).unwrap();
    assert_eq!(store.fetch("a").unwrap(), None);
    assert_eq!(found(&*store, &name("n")), [""; 0]);
    assert_eq!(found(&*store, &group("g")), ["b"]);
    store.commit(Batch::new().put(new("c", &terms))).unwrap();
}

fn a_batch_is_all_or_nothing(open: Open) {
    let store = open(Faults::none());
    let first = store.commit(Batch::new().put(put("a", None, "1", &[name("a"), group("g")]))).unwrap();
    let refused = [
        Batch::new().put(new("b", &[name("b")])).put(put("a", Some(first), "2", &[])).delete("ghost", 1),
        Batch::new().delete("a", first).put(new("b", &[name("b")])).put(new("c", &[name("b")])),
        Batch::new().put(new("b", &[group("g")])).put(new("c", &[name("a")])),
    ];
    for batch in refused {
        store.commit(batch.clone()).unwrap_err();
        assert_eq!(store.fetch("a").unwrap().unwrap().value, b"1", "{batch:?}");
        assert_eq!(store.records(None, 10).unwrap().len(), 1, "{batch:?}");
        assert_eq!(ids(&*store, &Scan::new(Index::Name, Keys::All)), ["a"], "{batch:?}");
        assert_eq!(found(&*store, &group("g")), ["a"], "{batch:?}");
    }
}

fn a_name_belongs_to_one_record(open: Open) {
    let store = open(Faults::none());
    let first = store.commit(Batch::new().put(new("a", &[name("n")]))).unwrap();
    match store.commit(Batch::new().put(new("b", &[name("n")]))) {
        Err(StoreError::Duplicate { index, key, id, holder }) => {
            assert_eq!((index, key), (Index::Name, name("n").key));
            assert_eq!((id.as_str(), holder.as_str()), ("b", "a"));
        }
        other => panic!("{other:?}"),
    }
    // It may be kept, and given up for another to take.
    let second = store.commit(Batch::new().put(put("a", Some(first), "", &[name("n"), name("m")]))).unwrap();
    assert_eq!(found(&*store, &name("m")), ["a"]);
    store.commit(Batch::new().put(put("a", Some(second), "", &[name("m")]))).unwrap();
    store.commit(Batch::new().put(new("b", &[name("n")]))).unwrap();
    assert_eq!(found(&*store, &name("n")), ["b"]);
}

fn a_batch_may_move_and_swap_names(open: Open) {
    let store = open(Faults::none());
    let first = store.commit(Batch::new().put(new("old", &[name("n")]))).unwrap();
    // The taker stands before the giver: the state after the batch is what counts.
    let moved = Batch::new().put(new("new", &[name("n")])).put(put("old", Some(first), "", &[]));
    let second = store.commit(moved).unwrap();
    assert_eq!(found(&*store, &name("n")), ["new"]);
    let third = store.commit(Batch::new().put(put("old", Some(second), "", &[name("m")]))).unwrap();
    let swapped = Batch::new().put(put("old", Some(third), "", &[name("n")])).put(put(
        "new",
        Some(second),
        "",
        &[name("m")],
    ));
    let fourth = store.commit(swapped).unwrap();
    assert_eq!(
        (found(&*store, &name("n")), found(&*store, &name("m"))),
        (vec!["old".into()], vec!["new".into()])
    );
    // From a record that is deleted.
    store.commit(Batch::new().put(new("heir", &[name("n")])).delete("old", fourth)).unwrap();
    assert_eq!(found(&*store, &name("n")), ["heir"]);
}

fn two_records_of_a_batch_cannot_share_a_name(open: Open) {
    let store = open(Faults::none());
    let batch = Batch::new().put(new("a", &[name("n")])).put(new("b", &[name("n")]));
    assert!(matches!(store.commit(batch), Err(StoreError::Duplicate { .. })));
    // Other indexes are shared freely.
    store.commit(Batch::new().put(new("a", &[group("g")])).put(new("b", &[group("g")]))).unwrap();
    assert_eq!(found(&*store, &group("g")), ["a", "b"]);
}

fn date(seconds: i64) -> Vec<u8> {
    Key::new().date(DateTime(seconds)).bytes()
}

fn a_scan_finds_exact_keys_prefixes_and_ranges(open: Open) {
    let store = open(Faults::none());
    let mut batch = Batch::new();
    for (id, owner, name, due) in [
        ("1", "ann", "job", -5),
        ("2", "ann", "job-2", 0),
        ("3", "anna", "job", 256),
        ("4", "bob", "job", 257),
    ] {
        let key = Key::new().text(owner).text(name).bytes();
        batch = batch.put(new(id, &[Term::new(Index::Name, key), Term::new(Index::Due, date(due))]));
    }
    store.commit(batch).unwrap();
    let scan = |index, keys| ids(&*store, &Scan::new(index, keys));
    let owned = |owner| Keys::Prefix(Key::new().text(owner).bytes());
    assert_eq!(scan(Index::Name, Keys::All), ["1", "2", "3", "4"]);
    assert_eq!(scan(Index::Name, owned("ann")), ["1", "2"]);
    assert_eq!(scan(Index::Name, owned("an")), [""; 0]);
    assert_eq!(scan(Index::Name, Keys::Prefix(b"an".to_vec())), ["1", "2", "3"]);
    assert_eq!(scan(Index::Name, Keys::Prefix(Vec::new())), ["1", "2", "3", "4"]);
    let exactly = |name| Keys::Exactly(Key::new().text("ann").text(name).bytes());
    assert_eq!(scan(Index::Name, exactly("job")), ["1"]);
    assert_eq!(scan(Index::Name, exactly("jo")), [""; 0]);
    assert_eq!(scan(Index::Due, Keys::Between(date(i64::MIN), date(1))), ["1", "2"]);
    assert_eq!(scan(Index::Due, Keys::Between(date(0), date(257))), ["2", "3"]);
    assert_eq!(scan(Index::Due, Keys::Between(date(257), date(0))), [""; 0], "an empty range is no error");
    assert_eq!(scan(Index::Due, Keys::Between(date(0), date(0))), [""; 0]);
    assert_eq!(scan(Index::Rotation, Keys::All), [""; 0], "the last index has an end");
    let hits = store.scan(&Scan::new(Index::Due, Keys::Exactly(date(256)))).unwrap();
    assert_eq!(hits, [Hit { key: date(256), id: "3".into() }]);
}

fn a_scan_goes_in_pages_both_ways(open: Open) {
    let store = open(Faults::none());
    let mut batch = Batch::new();
    for number in 0..50_u32 {
        let key = Key::new().number(number / 7).bytes();
        let terms =
            [Term::new(Index::Group, key), name(&format!("{number:02}")), Term::new(Index::Owner, [9])];
        batch = batch.put(new(&format!("id-{number:02}"), &terms));
    }
    store.commit(batch).unwrap();
    for index in [Index::Group, Index::Name, Index::Owner] {
        let whole = store.scan(&Scan::new(index, Keys::All)).unwrap();
        assert_eq!(whole.len(), 50);
        assert!(whole.is_sorted());
        for order in [Order::Ascending, Order::Descending] {
            let mut scan = Scan { order, limit: 8, ..Scan::new(index, Keys::All) };
            let mut all = Vec::new();
            loop {
                let page = store.scan(&scan).unwrap();
                assert!(page.len() <= 8);
                let Some(last) = page.last() else { break };
                scan.after = Some(last.clone());
                all.extend(page);
            }
            if order == Order::Descending {
                all.reverse();
            }
            assert_eq!(all, whole, "{index:?} {order:?}");
        }
    }
    let scan = Scan { limit: 0, ..Scan::new(Index::Name, Keys::All) };
    assert_eq!(store.scan(&scan).unwrap(), []);
    // A cursor outside the range does not lead out of it.
    let key = |number| Key::new().number(number).bytes();
    let hit = |number| Some(Hit { key: key(number), id: "id".into() });
    let (keys, limit) = (Keys::Between(key(2), key(4)), 100);
    for (order, after, count) in [
        (Order::Ascending, hit(0), 14),
        (Order::Ascending, hit(6), 0),
        (Order::Descending, hit(6), 14),
        (Order::Descending, hit(0), 0),
    ] {
        let scan = Scan { index: Index::Group, keys: keys.clone(), order, after, limit };
        assert_eq!(store.scan(&scan).unwrap().len(), count, "{scan:?}");
    }
}

fn terms_with_awkward_bytes_keep_their_order(open: Open) {
    let store = open(Faults::none());
    let keys: BTreeSet<Vec<u8>> = [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\x01",
        b"\x01",
        b"\x01\0",
        b"\x01\x01",
        b"\x01\x02",
        b"\x02",
        b"a",
        b"a\0",
        b"a\0b",
        b"a\x01",
        b"a\xff",
        b"ab",
        b"\xff",
        b"\xff\xff",
    ]
    .into_iter()
    .map(<[u8]>::to_vec)
    .collect();
    let mut batch = Batch::new();
    for (number, key) in keys.iter().enumerate() {
        let terms = [Term::new(Index::Name, key.as_slice()), Term::new(Index::Group, key.as_slice())];
        // IDs in the opposite order, so that they cannot help.
        batch = batch.put(new(&format!("{:02}", 99 - number), &terms));
    }
    store.commit(batch).unwrap();
    for index in [Index::Name, Index::Group] {
        let scan = |keys| -> Vec<Vec<u8>> {
            store.scan(&Scan::new(index, keys)).unwrap().into_iter().map(|hit| hit.key).collect()
        };
        assert_eq!(scan(Keys::All), keys.iter().cloned().collect::<Vec<_>>());
        for key in &keys {
            assert_eq!(scan(Keys::Exactly(key.clone())), std::slice::from_ref(key));
            let prefixed: Vec<_> = keys.iter().filter(|other| other.starts_with(key)).cloned().collect();
            assert_eq!(scan(Keys::Prefix(key.clone())), prefixed, "{key:?}");
            for end in &keys {
                let within: Vec<_> =
                    keys.iter().filter(|other| *other >= key && *other < end).cloned().collect();
                assert_eq!(scan(Keys::Between(key.clone(), end.clone())), within, "{key:?} {end:?}");
            }
        }
    }
}

fn records_are_walked_in_pages(open: Open) {
    let store = open(Faults::none());
    let mut batch = Batch::new();
    for number in 0..30 {
        let value = "x".repeat(number * 1_000);
        batch = batch.put(put(&format!("id-{number:02}"), None, &value, &[name(&number.to_string())]));
    }
    // IDs of which one begins with the other.
    store.commit(batch.put(new("id", &[])).put(new("id-0", &[])).put(new("ie", &[]))).unwrap();
    let mut seen = Vec::new();
    loop {
        let page = store.records(seen.last().map(String::as_str), 7).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7);
        for (id, record) in page {
            assert_eq!(store.fetch(&id).unwrap(), Some(record));
            seen.push(id);
        }
    }
    assert_eq!(seen.len(), 33);
    assert!(seen.is_sorted());
    assert_eq!(store.records(Some("zzz"), 7).unwrap(), []);
    // Large records end a page before they fill the memory.
    let large = "y".repeat(limits::MAX_VALUE_BYTES);
    for number in 0..6 {
        store.commit(Batch::new().put(put(&format!("large-{number}"), None, &large, &[]))).unwrap();
    }
    let page = store.records(Some("ie"), 100).unwrap();
    assert_eq!(page.len(), limits::MAX_PAGE_BYTES / limits::MAX_VALUE_BYTES);
}

fn large_values_come_back_and_limits_hold(open: Open) {
    let store = open(Faults::none());
    for size in [0, 1, limits::CHUNK_BYTES - 12, limits::CHUNK_BYTES, 100_000, limits::MAX_VALUE_BYTES] {
        let value: Vec<u8> = (0..size).map(|at| (at / 7) as u8).collect();
        let put =
            Put { id: format!("{size}"), replaces: None, value: value.clone(), terms: vec![group("g")] };
        let first = store.commit(Batch::new().put(put)).unwrap();
        assert_eq!(store.fetch(&format!("{size}")).unwrap().unwrap().value, value);
        // A smaller value leaves nothing of the larger one.
        store.commit(Batch::new().put(self::put(&format!("{size}"), Some(first), "small", &[]))).unwrap();
        assert_eq!(store.fetch(&format!("{size}")).unwrap().unwrap().value, b"small");
    }
    let many = |count: usize| (0..count).map(|number| group(&number.to_string())).collect::<Vec<_>>();
    let at_most = |length: usize| [Term::new(Index::Group, vec![b'x'; length])];
    let value = |length: usize| put("v", None, &"x".repeat(length), &[]);
    let puts = |count: usize| Batch {
        puts: (0..count).map(|n| new(&n.to_string(), &[])).collect(),
        deletes: vec![],
    };
    let weight = |count: usize| Batch {
        puts: (0..count).map(|n| put(&n.to_string(), None, &"x".repeat(1024 * 1024), &[])).collect(),
        deletes: vec![],
    };
    let refused = [
        Batch::new().put(value(limits::MAX_VALUE_BYTES + 1)),
        Batch::new().put(new(&"x".repeat(limits::MAX_ID_BYTES + 1), &[])),
        Batch::new().put(new("t", &many(limits::MAX_TERMS + 1))),
        Batch::new().put(new("t", &at_most(limits::MAX_TERM_BYTES + 1))),
        Batch::new().put(new("t", &[Term::new(Index::Group, vec![0; limits::MAX_TERM_BYTES / 2 + 1])])),
        puts(limits::MAX_BATCH_RECORDS + 1),
        weight(limits::MAX_BATCH_BYTES / (1024 * 1024) + 1),
    ];
    for batch in refused {
        match store.commit(batch) {
            Err(StoreError::TooLarge { size, limit, .. }) => assert!(size > limit),
            other => panic!("{other:?}"),
        }
    }
    let longest = "x".repeat(limits::MAX_ID_BYTES);
    store.commit(Batch::new().put(new(&longest, &many(limits::MAX_TERMS)))).unwrap();
    store.commit(Batch::new().put(new("t", &at_most(limits::MAX_TERM_BYTES)))).unwrap();
    assert_eq!(found(&*store, &at_most(limits::MAX_TERM_BYTES)[0]), ["t"]);
    assert!(revision(&*store, &longest).is_some());
}

/// Full pieces side by side and the longest keys, made so that the engine can share no prefix.
fn the_largest_entries_stay_in_one_file(open: Open) {
    let store = open(Faults::none());
    let value = "v".repeat(limits::CHUNK_BYTES * 3);
    for batch in 0..12 {
        let mut puts = Vec::new();
        for number in 0..40 {
            let id = format!("{:02}{batch:02}{}", number * 7 % 40, "i".repeat(limits::MAX_ID_BYTES - 4));
            let terms = (0..8).map(|term| {
                let mut key = format!("{:02}{number:02}{batch:02}", term * 13 % 89).into_bytes();
                key.resize(limits::MAX_TERM_BYTES - 1, b'k');
                key.push(b'0' + (term % 2) as u8);
                Term::new(if term % 2 == 0 { Index::Name } else { Index::Group }, key)
            });
            puts.push(put(&id, None, &value, &terms.collect::<Vec<_>>()));
        }
        store.commit(Batch { puts, deletes: vec![] }).unwrap();
    }
    assert_eq!(store.scan(&Scan::new(Index::Group, Keys::All)).unwrap().len(), 12 * 40 * 4);
}

fn what_makes_no_sense_is_refused(open: Open) {
    let store = open(Faults::none());
    let refused = [
        Batch::new().put(new("a", &[])).put(new("a", &[])),
        Batch::new().put(new("a", &[])).delete("a", 1),
        Batch::new().put(new("", &[])),
        Batch::new().put(new("a\0", &[])),
        Batch::new().put(new("a\nb", &[])),
        Batch::new().put(new("a", &[group("g"), group("g")])),
    ];
    for batch in refused {
        match store.commit(batch.clone()) {
            Err(error @ StoreError::Invalid { .. }) => assert!(!error.hint().is_empty()),
            other => panic!("{batch:?}: {other:?}"),
        }
    }
    store.commit(Batch::new()).unwrap();
    assert_eq!(store.records(None, 1).unwrap(), []);
}

fn concurrent_writers_lose_no_update(open: Open) {
    let store = open(Faults::none());
    store.commit(Batch::new().put(put("counter", None, "0", &[]))).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut done = 0;
                while done < 10 {
                    let record = store.fetch("counter").unwrap().unwrap();
                    let count: u32 = String::from_utf8(record.value).unwrap().parse().unwrap();
                    let next = put("counter", Some(record.revision), &(count + 1).to_string(), &[]);
                    match store.commit(Batch::new().put(next)) {
                        Ok(_) => done += 1,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(store.fetch("counter").unwrap().unwrap().value, b"80");
}

fn concurrent_writers_share_no_name(open: Open) {
    let store = open(Faults::none());
    let won = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..8 {
            let (store, won) = (&store, &won);
            scope.spawn(move || {
                for number in 0..20 {
                    let batch =
                        Batch::new().put(new(&format!("{writer}-{number}"), &[name(&number.to_string())]));
                    match store.commit(batch) {
                        Ok(_) => _ = won.fetch_add(1, Ordering::Relaxed),
                        Err(StoreError::Duplicate { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(won.into_inner(), 20);
    assert_eq!(ids(&*store, &Scan::new(Index::Name, Keys::All)).len(), 20);
    assert_eq!(store.records(None, 100).unwrap().len(), 20);
}

/// One writer moves a group's members from one record to the next; readers never see two or none.
fn readers_see_whole_batches(open: Open) {
    let store = open(Faults::none());
    let mut last = store.commit(Batch::new().put(new("0", &[group("latest")]))).unwrap();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) == 0 {
                    for order in [Order::Ascending, Order::Descending] {
                        let scan = Scan { order, ..Scan::new(Index::Group, Keys::All) };
                        assert_eq!(store.scan(&scan).unwrap().len(), 1);
                    }
                }
            });
        }
        for number in 1..100 {
            let new = new(&number.to_string(), &[group("latest")]);
            let old = put(&(number - 1).to_string(), Some(last), "", &[]);
            last = store.commit(Batch::new().put(new).put(old)).unwrap();
        }
        done.store(1, Ordering::Relaxed);
    });
}
