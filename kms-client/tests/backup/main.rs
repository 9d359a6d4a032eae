//! The backup side, through its public interface, against a KMS in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes only functions marked as tests for tests, and not what they call"
)]

mod archive;
mod chains;
mod database;
mod envelope;
mod fake_kms;
mod flows;
mod forged;
mod hostile;
mod import;
mod recovery;
mod rewrap;
mod signed;
mod system;
mod tape;
mod trees;
