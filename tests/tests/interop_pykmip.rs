//! PyKMIP's client, of PyPI, as an independent client of the real server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use kms_protocol::enums::State;
use kms_tests::process::{Server, finish_within};
use kms_tests::{repository, skip};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/pykmip_client.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/requirements.txt");

#[test]
fn in_1_2_over_tls_1_2() {
    check("in_1_2_over_tls_1_2", "1.2", "PROTOCOL_TLSv1_2", "TLSv1.2");
}

#[test]
fn in_1_4_over_tls_1_3() {
    check("in_1_4_over_tls_1_3", "1.4", "PROTOCOL_TLS", "TLSv1.3");
}

/// Has PyKMIP lead a pair through its life in `version`, and looks at the pair from our side.
fn check(test: &str, version: &str, tls: &str, spoken: &str) {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => return skip(test, reason),
    };
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let (host, port) = server.listen.rsplit_once(':').expect("an address");
    let mut client = Command::new(python);
    client.args([SCRIPT, host, port]).arg(server.pki()).args([version, tls, "py"]);
    let done = finish_within(&mut client, Duration::from_secs(60)).success().json();
    let field = |name: &str| done.get(name).and_then(|value| value.as_str()).expect("a text").to_owned();
    assert_eq!(field("tls"), spoken, "with {}", field("suite"));

    for half in ["private", "public"] {
        // Attributes outlive the key.
        assert_eq!(server.state_of(&field(half)), State::Destroyed, "{half}");
    }
}

/// A Python that has PyKMIP, in an environment under `target/`, made by whichever test comes first; or why there is none.
fn python() -> Result<&'static Path, &'static str> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(environment).as_deref().map_err(String::as_str)
}

fn environment() -> Result<PathBuf, String> {
    let folder = repository::root().join("target/interop");
    fs::create_dir_all(&folder).expect("a folder under target/");
    // Another test program may be making it at the same moment.
    let lock = File::create(folder.join("pykmip-venv.lock")).expect("a lock file");
    lock.lock().expect("locked");
    let environment = folder.join("pykmip-venv");
    let python = environment.join("bin/python");
    let wanted = fs::read(REQUIREMENTS).expect("the requirements");
    let made = environment.join("made-of.txt");
    if fs::read(&made).is_ok_and(|has| has == wanted) {
        return Ok(python);
    }
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err("there is no python3".to_owned());
    }
    let mut create = Command::new("python3");
    run(create.args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]);
    run(install.args(["--timeout", "20", "--requirement", REQUIREMENTS]))?;
    fs::write(&made, wanted).expect("a note of what is in it");
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = finish_within(command, Duration::from_secs(300));
    if done.code == Some(0) { Ok(()) } else { Err(format!("{command:?}: {}", done.stderr)) }
}
