//! How fast the store is: commits by writers, fetches and scans at sizes.
//!
//! `cargo run --release -p kms-server --example store_bench -- [FOLDER [RECORDS…]]`; the folder is created, and must
//! be new and on the disk to measure, not in memory. It is left: a second run with
//! the same sizes finds the records there, and its memory is that of reading alone.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that fails may stop")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use kms_server::store::{Batch, Index, Key, Keys, Order, Put, Scan, SledOptions, SledStore, Store, Term};

/// What a sealed RSA-4096 private key and its attributes take.
const VALUE_BYTES: usize = 3_000;
const TIMED: u32 = 20_000;

fn main() {
    let mut arguments = env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "store-bench".into()));
    let mut sizes: Vec<u32> = arguments.map(|size| size.to_string_lossy().parse().unwrap()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 100_000];
        println!("| Writers | commits/s | commit p50 | p99 |\n| --- | --- | --- | --- |");
        for writers in [1, 4, 16, 64] {
            commits(&folder.join(format!("writers-{writers}")), writers);
        }
        println!();
    }
    println!(
        "| Records | open | fetch p50 | p99 | by name p50 | p99 | newest 100 p50 | p99 | memory | disk |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for size in sizes {
        reads(&folder.join(format!("records-{size}")), size);
    }
}

fn record(number: u32) -> Put {
    let owner = Key::new().text("backup-1");
    let term = |index, key: Key| Term::new(index, key.bytes());
    let terms = vec![
        term(Index::Name, owner.clone().text(&format!("job-{number:07}"))),
        term(Index::Owner, owner),
        term(Index::Rotation, Key::new().text("policy").number(number)),
        term(Index::Due, Key::new().date(kms_protocol::DateTime(1_700_000_000 + i64::from(number)))),
    ];
    // Like sealed bytes: nothing to compress, all different.
    let mut state = u64::from(number) | 1;
    let value = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    Put { id: id(number), replaces: None, value: value.take(VALUE_BYTES).collect(), terms }
}

/// IDs as UUIDs are: scattered.
fn id(number: u32) -> String {
    let scattered = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{scattered:016x}-{number:019}")
}

fn commits(folder: &Path, writers: u32) {
    let store = SledStore::open(folder, SledOptions::default()).unwrap();
    let (next, lasting) = (AtomicU32::new(0), Duration::from_secs(5));
    let start = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let writer = || {
            let mut times = Vec::new();
            while start.elapsed() < lasting {
                let batch = Batch::new().put(record(next.fetch_add(1, Ordering::Relaxed)));
                let began = Instant::now();
                store.commit(batch).unwrap();
                times.push(began.elapsed());
            }
            times
        };
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(writer)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    println!("| {writers} | {rate:.0} | {} |", percentiles(&mut times));
}

fn reads(folder: &Path, size: u32) {
    let open = || SledStore::open(folder, SledOptions::default()).unwrap();
    let mut store = open();
    if store.records(None, 1).unwrap().is_empty() {
        for first in (0..size).step_by(500) {
            let puts = (first..(first + 500).min(size)).map(record).collect();
            store.commit(Batch { puts, deletes: vec![] }).unwrap();
        }
        // sled keeps a page table when it is opened; until then opening reads all that was written since.
        drop(store);
        store = open();
    }
    drop(store);
    let began = Instant::now();
    let store = open();
    let opened = began.elapsed().as_millis();
    let scattered = |turn: u32| (u64::from(turn) * 7_919 % u64::from(size)) as u32;
    let fetch = timed(|turn| assert!(store.fetch(&id(scattered(turn))).unwrap().is_some()));
    let by_name = timed(|turn| {
        let key = Key::new().text("backup-1").text(&format!("job-{:07}", scattered(turn))).bytes();
        let hits = store.scan(&Scan::new(Index::Name, Keys::Exactly(key))).unwrap();
        assert_eq!(hits.len(), 1);
    });
    let newest = timed(|_| {
        let scan = Scan { order: Order::Descending, limit: 100, ..Scan::new(Index::Due, Keys::All) };
        assert_eq!(store.scan(&scan).unwrap().len(), 100);
    });
    let memory = fs::read_to_string("/proc/self/status").unwrap();
    let memory = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
    let disk = fs::metadata(folder.join("db")).unwrap().len() / (1024 * 1024);
    println!("| {size} | {opened} ms | {fetch} | {by_name} | {newest} | {memory} | {disk} MiB |");
}

fn timed(mut work: impl FnMut(u32)) -> String {
    let mut times: Vec<Duration> = (0..TIMED)
        .map(|turn| {
            let began = Instant::now();
            work(turn);
            began.elapsed()
        })
        .collect();
    percentiles(&mut times)
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_nanos() as f64 / 1_000.0;
    format!("{:.1} µs | {:.1} µs", at(50), at(99))
}
