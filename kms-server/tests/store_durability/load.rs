//! A child that rotates keys without end, and the check of what is left of it.
//!
//! Each writer has a chain of records `WRITER-NUMBER`. One commit adds the next record and moves the writer's name
//! to it from the one before, which stays in the group; every third commit also deletes an old record.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use kms_server::store::{Batch, Index, Key, Keys, Put, Scan, SledOptions, SledStore, Store, Term, limits};

pub const WRITERS: u32 = 4;
const FOLDER: &str = "KMS_TESTS_STORE";
/// How far behind the newest record deletions go on.
const KEPT: u32 = 30;

/// The last number of each writer that was acknowledged.
pub type Acknowledged = BTreeMap<u32, u32>;

#[test]
#[ignore = "the child that the tests here start and kill"]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let store = SledStore::open(Path::new(&folder), SledOptions::default()).unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || write(store, writer));
        }
    });
}

fn write(store: &SledStore, writer: u32) {
    let mut number = newest(store, writer);
    loop {
        let next = number.map_or(0, |number| number + 1);
        store.commit(rotation(store, writer, next)).unwrap();
        let mut stdout = std::io::stdout().lock();
        // One line in one call: a kill leaves no half of it.
        stdout.write_all(format!("ack {writer} {next}\n").as_bytes()).unwrap();
        stdout.flush().unwrap();
        number = Some(next);
    }
}

fn id(writer: u32, number: u32) -> String {
    format!("{writer}-{number:06}")
}

fn terms(writer: u32, latest: bool) -> Vec<Term> {
    let key = Key::new().number(writer).bytes();
    let mut terms = vec![Term::new(Index::Group, key.clone())];
    if latest {
        terms.push(Term::new(Index::Name, key));
    }
    terms
}

/// Different in size and bytes for each record: some take several pieces.
fn value(writer: u32, number: u32) -> Vec<u8> {
    let size = if number % 7 == 3 { 3 * limits::CHUNK_BYTES } else { 2_500 + (number % 13) as usize };
    let seed = writer.wrapping_mul(7_919).wrapping_add(number.wrapping_mul(104_729));
    (0..size as u32).map(|at| (at.wrapping_mul(31).wrapping_add(seed) >> 3) as u8).collect()
}

fn rotation(store: &SledStore, writer: u32, next: u32) -> Batch {
    let put = |number, replaces, latest| {
        let (value, terms) = (value(writer, number), terms(writer, latest));
        Put { id: id(writer, number), replaces, value, terms }
    };
    let revision = |number| store.fetch(&id(writer, number)).unwrap().unwrap().revision;
    let mut batch = Batch::new().put(put(next, None, true));
    if let Some(old) = next.checked_sub(1) {
        batch = batch.put(put(old, Some(revision(old)), false));
    }
    match deleted_with(next) {
        Some(old) => batch.delete(id(writer, old), revision(old)),
        None => batch,
    }
}

/// The record that goes when `number` comes.
fn deleted_with(number: u32) -> Option<u32> {
    number.checked_sub(KEPT).filter(|old| old % 3 == 0)
}

fn newest(store: &SledStore, writer: u32) -> Option<u32> {
    let key = Key::new().number(writer).bytes();
    let hits = store.scan(&Scan::new(Index::Name, Keys::Exactly(key))).unwrap();
    hits.first().map(|hit| hit.id.split_once('-').unwrap().1.parse().unwrap())
}

/// Starts the child on the folder. Its acknowledgements arrive on the channel, which closes when it is gone.
pub fn start(folder: &Path) -> (Child, Receiver<(u32, u32)>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "load::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout: ChildStdout = child.stdout.take().unwrap();
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The test harness puts words of its own in front of the first line.
            let Some((_, ack)) = line.split_once("ack ") else { continue };
            let (writer, number) = ack.split_once(' ').unwrap();
            let _ = send.send((writer.parse().unwrap(), number.parse().unwrap()));
        }
    });
    (child, receive)
}

/// Lets the child work for a while after its first acknowledgement, ends it by `strike`, and returns all that it
/// said until then.
pub fn strike_at(millis: u64, acks: &Receiver<(u32, u32)>, strike: impl FnOnce()) -> Vec<(u32, u32)> {
    let first = acks.recv_timeout(Duration::from_secs(60));
    thread::sleep(Duration::from_millis(millis));
    strike();
    let first = first.expect("the child opens the store and acknowledges something");
    std::iter::once(first).chain(acks.iter()).collect()
}

/// Everything acknowledged is there, at most one commit more of each writer, nothing by halves.
pub fn verify(folder: &Path, acknowledged: &Acknowledged) {
    let store = SledStore::open(folder, SledOptions::default()).unwrap();
    let mut there = 0;
    for writer in 0..WRITERS {
        let newest = newest(&store, writer);
        let acknowledged = acknowledged.get(&writer).copied();
        assert!(
            newest >= acknowledged,
            "writer {writer}: {acknowledged:?} acknowledged, {newest:?} is there"
        );
        let in_flight = acknowledged.map_or(0, |number| number + 1);
        assert!(
            newest <= Some(in_flight),
            "writer {writer}: {acknowledged:?} acknowledged, {newest:?} is there"
        );
        let deleted: Vec<u32> = (0..=newest.unwrap_or(0)).filter_map(deleted_with).collect();
        for number in newest.iter().flat_map(|&newest| 0..=newest) {
            let record = store.fetch(&id(writer, number)).unwrap();
            assert_eq!(record.is_none(), deleted.contains(&number), "writer {writer}, record {number}");
            let Some(record) = record else { continue };
            assert_eq!(record.value, value(writer, number), "writer {writer}, record {number}");
            assert_eq!(
                record.terms,
                terms(writer, Some(number) == newest),
                "writer {writer}, record {number}"
            );
            there += 1;
        }
    }
    consistent(&store, there);
}

/// Where each writer is. What was in flight when a child died may be there, and must stay from here on.
pub fn state(folder: &Path) -> Acknowledged {
    let store = SledStore::open(folder, SledOptions::default()).unwrap();
    (0..WRITERS).filter_map(|writer| Some((writer, newest(&store, writer)?))).collect()
}

/// The indexes say what the records say, and nothing else is in the store.
fn consistent(store: &SledStore, records: usize) {
    let mut found = Vec::new();
    for index in Index::ALL {
        let mut scan = Scan::new(index, Keys::All);
        loop {
            let page = store.scan(&scan).unwrap();
            let Some(last) = page.last() else { break };
            scan.after = Some(last.clone());
            found.extend(page.into_iter().map(|hit| (hit.id, Term::new(index, hit.key))));
        }
    }
    let (mut told, mut count, mut after) = (Vec::new(), 0, None);
    loop {
        let page = store.records(after.as_deref(), 100).unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        count += page.len();
        told.extend(page.into_iter().flat_map(|(id, record)| {
            record.terms.into_iter().map(move |term| (id.clone(), term)).collect::<Vec<_>>()
        }));
    }
    found.sort();
    told.sort();
    assert_eq!(found, told, "the indexes and the records differ");
    assert_eq!(count, records, "the store holds records that nobody wrote");
}
