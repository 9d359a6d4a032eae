//! The audit log and the events: everything is recorded, exactly once, and whatever was changed afterwards is found.
//!
//! `KMS_TESTS_ROUNDS` asks for more kills, `KMS_TESTS_REQUIRE_ALL=1` turns a skipped test into a failed one.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a child speaks, a skipped test complains")]

#[path = "../asking/mod.rs"]
#[allow(dead_code, reason = "other tests ask for more")]
mod asking;
#[path = "../disk/mod.rs"]
#[allow(dead_code, reason = "other tests break disks")]
mod disk;
mod followed;
mod full;
mod killed;
mod limits;
mod operators;
mod recorded;
mod tampered;
mod webhooks;

use std::path::Path;

use kms_server::audit::{Filter, Line, Report, show, verify};

use asking::Asker;

/// A server whose audit log is in `folder`, configured by `more`.
fn server(folder: &Path, more: &str) -> Asker {
    Asker::start(&format!("[audit]\nfolder = {:?}\n{more}", folder.display().to_string()))
}

/// The log's lines, as text and read.
fn lines(folder: &Path) -> Vec<(String, Line)> {
    let mut lines = Vec::new();
    show(folder, &Filter::default(), |text, line| {
        lines.push((text.to_owned(), line.clone()));
        Ok(())
    })
    .unwrap();
    lines
}

/// Checks the log and expects it to be whole.
fn whole(folder: &Path) -> Report {
    let report = verify(folder, None).unwrap();
    assert!(report.whole, "{report:#?}");
    report
}
