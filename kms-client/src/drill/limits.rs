//! Every limit of drills, with its reason.

use core::time::Duration;

/// A drill file, in bytes: the longest of those that come along has 3 kB.
pub const FILE: u64 = 256 * 1024;
/// How long a drill may take where its file says nothing: ready ones take 10 to 20 s, on a busy machine twice that.
pub const USUAL: Duration = Duration::from_secs(60);
/// The longest time that a file may state: every operation of the load is kept until the report is written.
pub const LONGEST: Duration = Duration::from_secs(600);
/// Servers of one drill: each is a process with two threads for each core.
pub const SERVERS: usize = 8;
/// Steps of one drill: more than anybody reads in a report.
pub const STEPS: usize = 200;
/// Threads of one kind of load: more tell nothing about a server on the same machine.
pub const WORKERS: u8 = 8;
/// Key pairs made beforehand: each takes a tenth of a second.
pub const KEYS: u8 = 32;
/// The shortest pause between two operations of a thread: it bounds what is kept of a load.
pub const LEAST_PAUSE: Duration = Duration::from_millis(5);
/// How much longer than others creations, backups and restores pause: each costs as much as many decryptions.
pub const HEAVY: u32 = 10;
/// How long a server may take to be ready: on a busy machine a debug build takes two seconds.
pub const START: Duration = Duration::from_secs(20);
/// How long a server may take to end when it is asked to.
pub const STOP: Duration = Duration::from_secs(10);
/// How long the admin API may take to answer: a moved clock may have many keys made.
pub const ADMIN: Duration = Duration::from_secs(20);
/// How often processes and the time of the next step are looked at: it is how far off a step may be.
pub const TICK: Duration = Duration::from_millis(5);
/// How long a drill that is broken off waits for its load's threads: one that waits for a dead server ends with the process.
pub const FAREWELL: Duration = Duration::from_millis(1_500);
/// Files of the folder that is backed up.
pub const TREE_FILES: u64 = 12;
/// Bytes in each: small, since the drill is about keys.
pub const TREE_BYTES: usize = 4096;
/// How many failures of each kind are told in full; all are counted.
pub const TOLD: usize = 5;
/// Bytes of the end of a server's log that are told when it ended by itself.
pub const LOG_END: usize = 2000;
/// Keys of one page of the admin API.
pub const PAGE: usize = 500;
/// Bytes of one read of the forwarder: more than any message of a load.
pub const CHUNK: usize = 16 * 1024;
