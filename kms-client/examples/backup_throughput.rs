//! How fast a backup and its restore are on this machine, without a KMS.
//!
//! `cargo run --release -p kms-client --example backup_throughput -- [MEGABYTES] [FOLDER]`
//!
//! Makes that much data (1,000 MB by default) in FOLDER (by default the system's temporary one), half of it in large
//! files and half in files of 100 KB, half of each not compressible, and leaves nothing behind.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measuring")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use kms_client::backup::archive::{BackupRequest, RestoreOptions, Unobserved, restore, write};
use kms_protocol::DateTime;

const MEGABYTE: usize = 1_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let megabytes = arguments.next().map_or(1000, |number| number.parse().expect("a number of megabytes"));
    let parent = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent).expect("a folder to work in");
    let data = folder.path().join("data");
    make(&data, megabytes);

    let key = age::x25519::Identity::generate();
    let request = BackupRequest {
        job: "throughput".to_owned(),
        paths: vec![data],
        target: folder.path().join("backups"),
        now: DateTime(0),
    };
    let start = Instant::now();
    let summary = write(&request, &[&key.to_public()], &Unobserved).expect("a backup");
    report("backup", summary.contents.bytes, start);
    println!(
        "{} files, {} MB in a file of {} MB",
        summary.contents.files,
        megabytes,
        summary.size / 1_000_000
    );

    let target = folder.path().join("restored");
    let start = Instant::now();
    let options = RestoreOptions::default();
    let restored = restore(&summary.file, &key, &target, options, &Unobserved).expect("a restore");
    report("restore", restored.contents.bytes, start);
    println!("memory at most {} MB", peak_memory() / 1000);
}

fn report(what: &str, bytes: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {seconds:.2} s, {:.0} MB/s", bytes as f64 / 1e6 / seconds);
}

fn make(folder: &Path, megabytes: usize) {
    fs::create_dir_all(folder).expect("a folder");
    let mut state = 1_u64;
    let mut file = |name: String, length: usize| {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            // xorshift64* for one half, the count of what is there already for the other.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let noise = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
            let text = format!("{:08}", bytes.len() / 640);
            bytes.extend_from_slice(if bytes.len() / 65_536 % 2 == 0 { &noise } else { text.as_bytes() });
        }
        bytes.truncate(length);
        fs::write(folder.join(name), bytes).expect("a file");
    };
    let half = megabytes * MEGABYTE / 2;
    let large = half.div_ceil(4);
    (0..4).for_each(|number| file(format!("large {number}"), large));
    (0..half / 100_000).for_each(|number| file(format!("small {number}"), 100_000));
}

/// The most memory that this process ever had, in kilobytes; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
