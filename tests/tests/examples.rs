//! The examples in examples/, as their readers run them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kms_tests::process::{Server, finish_within};
use kms_tests::repository::{program, root};
use kms_tests::{pykmip, skip};

fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// The PATH with this repository's programs on it.
fn path() -> std::ffi::OsString {
    let own = program("kms-server").parent().expect("a folder").to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&others))).expect("a PATH")
}

#[test]
fn pykmip_creates_a_key_in_three_commands() {
    let python = match pykmip::python() {
        Ok(python) => python,
        Err(reason) => return skip("pykmip_creates_a_key_in_three_commands", reason),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let _server = Server::start_with(folder.path(), "127.0.0.1:0", &["--ephemeral"]);
    let mut run = Command::new(python);
    run.arg(example("create_key.py")).arg(folder.path().join("ready.json"));
    let said = finish_within(&mut run, Duration::from_secs(60)).success().stdout;
    assert!(said.starts_with("created "), "{said}");
    assert!(said.contains("\nlost "), "{said}");
    assert!(said.contains("client Create Key Pair Success ['close:after-commit']"), "{said}");
}

#[test]
fn a_shell_breaks_a_server_and_asks_what_it_saw() {
    let mut run = Command::new(example("mock.sh"));
    run.env("PATH", path());
    let said = finish_within(&mut run, Duration::from_secs(60)).success();
    assert!(said.stdout.contains("sync failed, as it was told to"), "{said:?}");
    assert!(said.stdout.contains("General Failure: out of paper"), "{said:?}");
    assert!(said.stdout.contains("rotated"), "{said:?}");
}

#[test]
fn the_documentation_shows_the_three_commands() {
    let script = std::fs::read_to_string(example("create_key.py")).expect("the example");
    let docs = std::fs::read_to_string(root().join("docs/mock.md")).expect("docs/mock.md");
    let commands = script.lines().filter_map(|line| line.strip_prefix("    ")).take(3);
    for command in commands {
        let shown = command.replace("create_key.py", "examples/create_key.py");
        assert!(docs.contains(&shown), "docs/mock.md does not show {shown}");
    }
}
