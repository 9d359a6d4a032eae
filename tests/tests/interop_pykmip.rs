//! PyKMIP's client, of PyPI, as an independent client of the real server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use kms_protocol::enums::State;
use kms_tests::process::{Server, finish_within};
use kms_tests::{pykmip, skip};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/pykmip_client.py");

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
    let python = match pykmip::python() {
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
