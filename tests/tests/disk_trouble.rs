//! A disk that is full, and one that has become read-only: what changes nothing goes on, what changes something is refused
//! with the reason, and when the disk is well again so is the server, without a hand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../../kms-server/tests/disk/mod.rs"]
#[allow(dead_code, reason = "another of its disks forgets")]
mod disk;

use std::fs::{self, DirBuilder};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use disk::{TAKES_ROOT, Tmpfs, Tools, skip};
use kms_client::blocking;
use kms_client::{Error, KeySpec};
use kms_protocol::Version;
use kms_protocol::enums::ResultReason;
use kms_protocol::operation::GetRequest;
use kms_tests::chance::Chance;
use kms_tests::keys;
use kms_tests::process::{Client, Server, finish};
use kms_tests::repository::program;

/// What goes on while the disk is in trouble.
const READS: usize = 300;

#[test]
fn a_full_disk_stops_changes_alone_and_is_got_over() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Tmpfs::mount(160, folder.path()) else {
        return skip("a_full_disk_stops_changes_alone_and_is_got_over", TAKES_ROOT);
    };
    let state = folder.path().join("state");
    let stuffing = folder.path().join("stuffing");
    through(&state, || fill(&stuffing), || fs::remove_file(&stuffing).unwrap());
}

#[test]
fn a_read_only_disk_stops_changes_alone_and_is_got_over() {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(why) => return skip("a_read_only_disk_stops_changes_alone_and_is_got_over", &why),
    };
    let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let state = folder.path().join("state");
    fs::create_dir_all(&state).unwrap();
    let disk = tools.mount(&Tools::broken(), kept.path());
    for part in ["store", "audit"] {
        DirBuilder::new().mode(0o700).create(disk.path().join(part)).unwrap();
        symlink(disk.path().join(part), state.join(part)).unwrap();
    }
    through(&state, || disk.order(".read-only"), || disk.order(".mend"));
}

#[test]
fn a_backup_side_whose_disk_is_full_says_so_and_leaves_nothing_half_done() {
    let (folder, small) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_disk) = Tmpfs::mount(4, small.path()) else {
        return skip("a_backup_side_whose_disk_is_full_says_so_and_leaves_nothing_half_done", TAKES_ROOT);
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    let on_small = |name: &str| small.path().join(name).display().to_string();
    fs::create_dir(path("data")).unwrap();
    fs::write(path("data/noise"), Chance::of_this_run("full disks").bytes(6_000_000)).unwrap();
    fs::write(path("secret"), "correct horse battery\n").unwrap();
    let client = Client::new(&folder.path().join("state"), &folder.path().join("none"));
    let _ = client.run(["job", "create", "docs", "--password-file", &path("secret")]).success();
    let full = |line: &[&str]| {
        let ended = client.run(line);
        assert_eq!(ended.code, Some(1), "{line:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("hint: free some space"), "{line:?}: {}", ended.stderr);
    };
    full(&["backup", "docs", &path("data"), "--to", &on_small("backups")]);
    assert_eq!(fs::read_dir(on_small("backups")).unwrap().count(), 0);

    let made = client.run(["backup", "docs", &path("data"), "--to", &path("backups")]).success().json();
    let file = made["file"].as_str().expect("the file").to_owned();
    full(&["restore", &file, "--to", &on_small("restored"), "--password-file", &path("secret")]);
    assert!(!Path::new(&on_small("restored")).exists());

    full(&["tape", "write", "docs", &file, "--to", &on_small("tapes")]);
    assert_eq!(fs::read_dir(on_small("tapes")).unwrap().count(), 0);
    let _ = client.run(["tape", "write", "docs", &file, "--to", &path("tapes")]).success();
    let password = path("secret");
    full(&["tape", "read", &path("tapes"), "--to", &on_small("read"), "--password-file", &password]);
    assert_eq!(fs::read_dir(on_small("read")).unwrap().count(), 0);
    // The state itself has no room: nothing is in place that is not noted.
    let state = Client::new(&small.path().join("state"), &folder.path().join("none"));
    let _ = state.run(["job", "create", "docs", "--password-file", &path("secret")]).success();
    fill(&small.path().join("stuffing"));
    let ended = state.run(["backup", "docs", &path("data"), "--to", &path("others")]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    fs::remove_file(small.path().join("stuffing")).unwrap();
    let made = state.run(["backup", "docs", &path("data"), "--to", &path("others")]).success().json();
    let file = made["file"].as_str().expect("the file").to_owned();
    let line = ["restore", &file, "--to", &path("well again"), "--password-file", &path("secret")];
    let _ = state.run(line).success();
    assert_eq!(fs::read(path("well again/data/noise")).unwrap(), fs::read(path("data/noise")).unwrap());
}

/// A server before, during and after trouble.
fn through(state: &Path, begin: impl FnOnce(), end: impl FnOnce()) {
    fs::create_dir_all(state).unwrap();
    fs::write(state.join("kms.toml"), "ready-pairs = 0\n[audit]\non-full = \"continue-reads\"\n").unwrap();
    let server = Server::start(state, "127.0.0.1:0");
    let client = server.client(Version::V1_4);
    let key = client.request_key("before", KeySpec::Rsa2048).unwrap();
    let closed = keys::encrypt(&client, &key.public_id, b"before").unwrap();
    let reads_on = |client: &blocking::Client| {
        let public =
            GetRequest { unique_identifier: Some(key.public_id.as_str().into()), ..GetRequest::default() };
        let opened = keys::decrypt(client, &key.private_id, &closed);
        client.get(&public).unwrap_or_else(|error| panic!("Get: {error}"));
        assert_eq!(opened.unwrap_or_else(|error| panic!("Decrypt: {error}")).expose(), b"before");
    };
    reads_on(&client);

    begin();
    let refusal = until("a change is refused", || match client.request_key("during", KeySpec::Rsa2048) {
        Err(Error::Refused(refusal)) => Some(refusal),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    });
    eprintln!("refused: {refusal}");
    assert_eq!(refusal.reason, Some(ResultReason::GeneralFailure), "{refusal}");
    // Whichever of the two notices first, on the one disk that both are on.
    let says_why = |message: &str| message.contains("disk") || message.contains("audit log");
    assert!(refusal.message.as_deref().is_some_and(says_why), "{refusal}");
    for _ in 0..READS {
        reads_on(&client);
    }
    let again = client.request_key("during", KeySpec::Rsa2048);
    assert!(matches!(again, Err(Error::Refused(_))), "{again:?}");

    end();
    until("changes are taken again", || client.request_key("after", KeySpec::Rsa2048).ok());
    reads_on(&client);
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(server.stop().success());
    let server = Server::start(state, "127.0.0.1:0");
    reads_on(&server.client(Version::V1_4));
    drop(server);
    let mut verify = Command::new(program("kms-server"));
    verify.args(["audit", "verify", "--folder"]).arg(state.join("audit"));
    assert_eq!(finish(&mut verify).success().code, Some(0));
}

/// What comes of asking again and again, within a minute.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Writes until the disk has no room left.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let block = vec![1; 64 << 10];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
}
