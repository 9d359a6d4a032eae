//! `kms-client doctor` on the real server, and on what cannot be reached or trusted.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use kms_certs::{Authority, Flaw, Request};
use kms_tests::process::{Finished, Server, finish_within};
use kms_tests::repository::program;
use serde_json::Value;

fn doctor(profile: &Path, options: &[&str]) -> Finished {
    let mut command = Command::new(program("kms-client"));
    command.args(["--json", "doctor", "--profile"]).arg(profile).args(options);
    finish_within(&mut command, Duration::from_secs(60))
}

fn outcome<'a>(report: &'a Value, check: &str) -> &'a str {
    let entries = report["entries"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["check"] == check).unwrap_or_else(|| panic!("{check}"));
    entry["outcome"].as_str().unwrap()
}

fn said(report: &Value, check: &str) -> String {
    let entries = report["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["check"] == check).unwrap()["saw"].to_string()
}

#[test]
fn our_own_server_lacks_nothing_that_backups_need() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let port = server.listen.rsplit_once(':').unwrap().1;
    let done = doctor(&server.profile(), &["--server", &format!("localhost:{port}")]);
    let report = done.json();
    for entry in report["entries"].as_array().unwrap() {
        assert_eq!(entry["outcome"], "passed", "{entry}");
    }
    assert!(said(&report, "server-certificate").contains("/ca.crl: it is not revoked"), "{report}");
    for check in ["derive-key", "sign"] {
        assert!(said(&report, check).contains(": works"), "{report}");
    }
    assert_eq!((report["lacks"].as_array().unwrap().len(), done.code), (0, Some(0)), "{report}");
    assert_eq!(report["verdict"][2], "rotation: yes, by Re-key Key Pair, and found");
    let keys = server.ctl(&["keys", "list", "--json"]).stdout;
    assert!(!keys.contains("Active"), "nothing usable is left: {keys}");
}

#[test]
fn where_nothing_listens_the_rest_is_skipped() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = doctor(&server.profile(), &["--server", &free.to_string()]);
    let report = done.json();
    assert_eq!(done.code, Some(3));
    assert_eq!(outcome(&report, "connect"), "failed");
    assert_eq!(outcome(&report, "client-certificate"), "passed", "what can be looked at still is");
    assert_eq!(outcome(&report, "create-key-pair"), "skipped");
    let unknown = doctor(&server.profile(), &["--server", "kms.invalid"]);
    assert_eq!((unknown.code, outcome(&unknown.json(), "resolve")), (Some(3), "failed"));
}

#[test]
fn a_certificate_that_is_refused_is_looked_at_all_the_same() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let other = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let authority = Authority::generate(now).unwrap();
    authority.write(other.path()).unwrap();
    let late = Request::client("late").flaw(Flaw::Expired);
    authority.issue(&late, now).unwrap().write(other.path(), "client").unwrap();
    let profile = other.path().join("client.toml");
    let text = format!(
        "server = \"{}\"\nca = \"ca.pem\"\ncertificate = \"client.pem\"\nkey = \"client.key\"\n",
        server.listen
    );
    std::fs::write(&profile, text).unwrap();
    let done = doctor(&profile, &[]);
    let report = done.json();
    assert_eq!((done.code, outcome(&report, "handshake")), (Some(3), "failed"));
    assert!(said(&report, "handshake").contains("issued by a CA that is not among the trusted ones"));
    assert!(said(&report, "server-certificate").contains("CN=localhost"), "{report}");
    assert_eq!(outcome(&report, "client-certificate"), "lacking");
    assert!(report["lacks"].to_string().contains("which expired at"), "it is told when: {report}");
}
