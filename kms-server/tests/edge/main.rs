//! The server's edge, seen from outside: real TLS on a free port, or a client and a server joined in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy spares only the test functions themselves"
)]

mod admin;
mod clock;
mod command;
mod connection;
mod dev;
mod https;
mod openapi;
mod rotator;
mod support;
mod tls;
