//! How fast a backup and its restore are on this machine, without a KMS.
//!
//! `cargo run --release -p kms-client --example backup_throughput -- [MEGABYTES] [FOLDER]`
//!
//! Makes that much data (1,000 MB by default) in FOLDER (by default the system's temporary one), half of it in large
//! files and half in files of 100 KB, half of each not compressible, and leaves nothing behind. FOLDER in memory (`/dev/shm`)
//! leaves the disk out.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measuring")]

use std::fs;
use std::io::{BufWriter, Write};
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
    let clock = Clock::start();
    let summary = write(&request, &[&key.to_public()], &Unobserved).expect("a backup");
    clock.report("backup", summary.contents.bytes);
    println!(
        "{} files, {} MB in a file of {} MB",
        summary.contents.files,
        megabytes,
        summary.size / 1_000_000
    );

    let target = folder.path().join("restored");
    let clock = Clock::start();
    let options = RestoreOptions::default();
    let restored = restore(&summary.file, &key, &target, options, &Unobserved).expect("a restore");
    clock.report("restore", restored.contents.bytes);
    println!("memory at most {} MB", peak_memory() / 1000);
}

/// Wall-clock and processor time since this was made; the latter says more on a machine that does other work too.
struct Clock {
    start: Instant,
    processor: f64,
}

impl Clock {
    fn start() -> Self {
        Self { start: Instant::now(), processor: processor_seconds() }
    }

    fn report(&self, what: &str, bytes: u64) {
        let megabytes = bytes as f64 / 1e6;
        let (wall, processor) = (self.start.elapsed().as_secs_f64(), processor_seconds() - self.processor);
        println!(
            "{what}: {wall:.2} s, {:.0} MB/s; processor {processor:.2} s, {:.0} MB/s of one core",
            megabytes / wall,
            megabytes / processor
        );
    }
}

/// Processor time of this process so far, from the system's ticks of 1/100 s.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap_or(0.0));
    ticks.sum::<f64>() / 100.0
}

fn make(folder: &Path, megabytes: usize) {
    fs::create_dir_all(folder).expect("a folder");
    let mut state = 1_u64;
    let mut file = |name: String, length: usize| {
        let file = fs::File::create(folder.join(name)).expect("a file");
        let mut output = BufWriter::with_capacity(MEGABYTE, file);
        for at in (0..length).step_by(8) {
            // xorshift64* for one half, the count of what is there already for the other.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let noise = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
            let text = format!("{:08}", at / 640);
            let word = if at / 65_536 % 2 == 0 { &noise } else { text.as_bytes() };
            output.write_all(word).expect("room");
        }
        output.flush().expect("room");
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
