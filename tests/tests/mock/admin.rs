//! Faults and journal from any language: the admin API and `kms-server ctl`, on the program itself.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use kms_client::Profile;
use kms_protocol::Version;
use kms_protocol::operation::LocateRequest;
use kms_tests::process::{Finished, Server, finish};
use kms_tests::repository::program;
use serde_json::Value;

fn ask(server: &Server) -> Result<(), kms_client::Error> {
    let profile = Profile::load(&server.profile()).expect("a profile");
    let client = profile.builder().version(Version::V1_4).build()?;
    let client = kms_client::blocking::Client::new(client).expect("a client");
    client.locate(&LocateRequest::default()).map(drop)
}

fn lines(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn faults_are_armed_listed_and_reset_and_seen_in_the_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), "127.0.0.1:0", &["--ephemeral"]);
    // The profile of an ephemeral server lies where its state is.
    let status = server.ctl(&["status", "--json"]).success().json();
    assert_eq!(status["state"], Value::Null);
    let added = server.ctl(&[
        "--json",
        "fault",
        "add",
        "error:Permission Denied:closed for lunch",
        "--operation",
        "discover-versions",
        "--client",
        "client",
        "--count",
        "2",
    ]);
    assert_eq!(added.success().json()["id"], 1);
    let listed = server.ctl(&["fault", "list"]).success().stdout;
    assert!(listed.contains("operation Discover Versions  client client  fired 0, 2 left"), "{listed}");
    assert_eq!(server.ctl(&["--json", "fault", "reset"]).success().json()["disarmed"], 1);
    let wrong = server.ctl(&["fault", "add", "tls", "--operation", "Get"]);
    assert_eq!(wrong.code, Some(7), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("before anybody knows what is asked"), "{}", wrong.stderr);
    let wrong = server.ctl(&["fault", "add", "explode"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

#[test]
fn the_journal_is_listed_filtered_and_cleared() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "127.0.0.1:0");
    let fault =
        ["fault", "add", "error:Permission Denied:closed for lunch", "--count", "1", "--operation", "Locate"];
    let _ = server.ctl(&fault).success();
    let refused = ask(&server).expect_err("refused");
    assert!(refused.to_string().contains("closed for lunch"), "{refused}");
    ask(&server).expect("an answer");
    let all = lines(&server.ctl(&["--json", "journal", "--operation", "Locate"]).success());
    assert_eq!(all.len(), 2, "{all:?}");
    let failed = lines(&server.ctl(&["--json", "journal", "--failed", "--messages"]).success());
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["items"][0]["message"], "closed for lunch");
    assert_eq!(failed[0]["faults"][0]["id"], 1);
    assert!(failed[0]["request"].as_str().expect("text").contains("Locate"));
    let text = server.ctl(&["journal", "--faults"]).success().stdout;
    assert!(text.contains("fault 1: error:Permission Denied:closed for lunch"), "{text}");
    let _ = server.ctl(&["journal", "--clear"]).success();
    assert_eq!(server.ctl(&["journal"]).success().stdout, "");
}

#[test]
fn a_server_without_a_journal_keeps_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), "127.0.0.1:0", &["--journal", "0"]);
    ask(&server).expect("an answer");
    assert_eq!(server.ctl(&["journal"]).success().stdout, "");
}

#[test]
fn help_names_every_fault() {
    let help = finish(Command::new(program("kms-server")).args(["ctl", "fault", "add", "--help"])).success();
    for kind in [
        "delay:",
        "error:",
        "hang:",
        "close:",
        "reset:",
        "cut:",
        "slices:",
        "malformed:",
        "batch-count:",
        "tls",
        "refuse",
        "idle:",
        "store:",
    ] {
        assert!(help.stdout.contains(kind), "{kind} is missing in {}", help.stdout);
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let said = finish(Command::new(program("kms-server")).args(["completions", "bash"])).success().stdout;
    let folder = tempfile::tempdir().expect("a folder");
    let _ = finish(Command::new(program("kms-server")).arg("man").arg(folder.path())).success();
    for command in ["dev", "run", "ctl", "ttlv", "record", "replay", "seed", "certs"] {
        assert!(said.contains(command), "{command}");
        assert!(folder.path().join(format!("kms-server-{command}.1")).exists(), "kms-server-{command}.1");
    }
}

#[test]
fn a_broken_certificate_is_refused_for_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "127.0.0.1:0");
    for (broken, why) in [
        ("expired", "expired at"),
        ("not-yet-valid", "is not yet valid"),
        ("wrong-name", "names nobody"),
        ("wrong-usage", "lacks clientAuth"),
        ("no-usage", "lacks clientAuth"),
        ("other-authority", "comes from another authority"),
        ("self-signed", "signed itself"),
        ("revoked", "is revoked"),
    ] {
        let mut command = Command::new(program("kms-server"));
        let state = folder.path().display().to_string();
        let _ = finish(command.args(["certs", "client", broken, "--broken", broken, "--state", &state]))
            .success();
        let stem = server.pki().join(broken);
        let client = kms_client::Client::builder(&server.listen).ca_file(server.pki().join("ca.pem"));
        let client = client.identity_files(stem.with_extension("pem"), stem.with_extension("key"));
        let client = kms_client::blocking::Client::new(client.build().expect("a client")).expect("a client");
        assert!(client.locate(&LocateRequest::default()).is_err(), "{broken}");
        // Client and server end their halves of the handshake each in its own time.
        let deadline = Instant::now() + Duration::from_secs(30);
        while !server.log().contains(why) {
            assert!(Instant::now() < deadline, "{broken}: {}", server.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}
