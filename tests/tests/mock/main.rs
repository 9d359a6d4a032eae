//! The mock, seen from where its users are: real clients and tests.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod admin;
mod certificates;
mod doors;
mod explained;
mod faults;
mod first;
mod https;
mod journal;
mod lifetimes;
mod messages;
mod notifications;
mod peer;
mod seeds;
mod side_by_side;
