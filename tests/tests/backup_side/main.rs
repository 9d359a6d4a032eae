//! The backup side with a real KMS, by the real programs: the seven points of the system that the project implements, and
//! what its backups survive.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod bytes;
mod chains;
mod documented;
mod killed;
mod p256;
mod plugin;
mod points;
mod round_trips;
mod signed;
mod support;
