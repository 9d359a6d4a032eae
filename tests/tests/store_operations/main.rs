//! The store in operation, with real processes: checked, backed up, restored, sealed anew, taken over, on a full disk.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod audit;
mod backup;
#[path = "../../../kms-server/tests/disk/mod.rs"]
#[allow(dead_code, reason = "other disks of it forget or break")]
mod disk;
mod full;
#[cfg(target_os = "linux")]
mod memory;
mod needles;
mod production;
mod rekey;
mod secrets;
mod standby;
mod support;
