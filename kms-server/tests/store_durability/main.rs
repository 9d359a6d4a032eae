//! What was acknowledged is there after a kill, a power cut, a full disk; and what is there is whole.
//!
//! The tests start this program again as a child that writes as fast as it can and says what was acknowledged.
//! `KMS_TESTS_ROUNDS` asks for more rounds, `KMS_TESTS_REQUIRE_ALL=1` turns a skipped test into a failed one, and
//! `KMS_TESTS_PYTHON` names a Python that has fusepy.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a child speaks, a skipped test complains")]

mod broken;
mod damage;
#[path = "../disk/mod.rs"]
mod disk;
mod full;
mod kill;
mod load;
mod power;

use std::env;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How often a test that strikes at random instants does so.
fn rounds(usual: u32) -> u32 {
    env::var("KMS_TESTS_ROUNDS").map_or(usual, |rounds| rounds.parse().unwrap())
}

/// A number below `limit` that differs each time.
fn random(limit: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % limit
}

/// Runs `work` on a thread of its own: a store that hangs must fail the test, not hang it.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = channel();
    thread::spawn(move || send.send(work()));
    receive.recv_timeout(Duration::from_secs(120)).expect("the store answers")
}
