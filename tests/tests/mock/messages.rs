//! `kms-server ttlv`: messages by themselves; and what TLS sessions leave behind for Wireshark.

use std::fs;
use std::process::Command;

use kms_protocol::Version;
use kms_protocol::operation::LocateRequest;
use kms_tests::process::{Finished, Server, finish};
use kms_tests::repository::program;

use super::peer::{discover, message, pair};

fn ttlv(arguments: &[&str]) -> Finished {
    finish(Command::new(program("kms-server")).arg("ttlv").args(arguments))
}

#[test]
fn a_message_goes_through_every_form_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = message(&pair("nightly"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("binary"), &bytes).expect("written");
    let shown = ttlv(&["decode", &path("binary")]).success().stdout;
    assert!(shown.contains("Operation = CreateKeyPair (0x00000002)"), "{shown}");
    for form in ["xml", "json"] {
        let text = ttlv(&["decode", "--to", form, &path("binary")]).success().stdout;
        fs::write(path(form), text).expect("written");
        let made = ttlv(&["encode", &path(form)]).success().stdout;
        assert_eq!(made.trim(), hex::encode(&bytes), "{form}");
    }
    assert_eq!(
        ttlv(&["diff", &path("binary"), &path("xml")]).success().stdout.trim(),
        "the messages are alike"
    );
}

#[test]
fn lint_names_the_byte_and_diff_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("sound"), hex::encode(discover())).expect("written");
    let sound = ttlv(&["lint", &path("sound")]).success();
    assert_eq!(sound.stdout.trim(), "1 messages are sound");
    let mut broken = discover();
    broken[11] = 0x7F;
    fs::write(path("broken"), hex::encode(&broken)).expect("written");
    let found = ttlv(&["lint", &path("broken")]);
    assert_eq!(found.code, Some(1));
    assert!(found.stdout.contains("byte 11 (0xb): 0x7F is no item type"), "{found:?}");
    assert!(found.stdout.contains("section 9.1.1.2"), "{found:?}");
    fs::write(path("one"), message(&pair("one"))).expect("written");
    fs::write(path("two"), message(&pair("two"))).expect("written");
    let differs = ttlv(&["diff", &path("one"), &path("two")]);
    assert_eq!(differs.code, Some(1));
    let changed: Vec<&str> = differs.stdout.lines().filter(|line| line.starts_with(['-', '+'])).collect();
    assert!(
        matches!(changed.as_slice(), [old, new] if old.contains("\"one\"") && new.contains("\"two\"")),
        "{differs:?}"
    );
}

#[test]
fn the_secrets_of_sessions_are_written_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("keys.log");
    let server = Server::start_with(folder.path(), "127.0.0.1:0", &["--key-log", &log.display().to_string()]);
    server.client(Version::V1_4).locate(&LocateRequest::default()).expect("an answer");
    let secrets = fs::read_to_string(&log).expect("the key log");
    assert!(secrets.lines().any(|line| line.starts_with("SERVER_TRAFFIC_SECRET_0 ")), "{secrets}");
    assert!(secrets.lines().all(|line| line.split(' ').count() == 3));
}
