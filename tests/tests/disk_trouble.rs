//! A disk that is full, and one that has become read-only: what changes nothing goes on, what changes something is refused
//! with the reason, and when the disk is well again so is the server, without a hand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../../kms-server/tests/store_durability/disk.rs"]
#[allow(dead_code, reason = "its other disk forgets")]
mod disk;

use std::fs::{self, DirBuilder};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use disk::Tools;
use kms_client::blocking::Client;
use kms_client::{Error, KeySpec, Profile};
use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{HashingAlgorithm, ResultReason};
use kms_protocol::operation::{DecryptRequest, EncryptRequest, GetRequest};
use kms_protocol::ttlv::Bytes;
use kms_tests::process::{Server, finish};
use kms_tests::repository::program;
use kms_tests::skip;

/// What goes on while the disk is in trouble.
const READS: usize = 300;

#[test]
fn a_full_disk_stops_changes_alone_and_is_got_over() {
    let folder = tempfile::tempdir().unwrap();
    if !mount("size=160m", folder.path()) {
        return skip("a_full_disk_stops_changes_alone_and_is_got_over", "mounting a tmpfs takes root");
    }
    let _unmount = Unmount(folder.path());
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
    let disk = tools.mount(&breaking(), kept.path());
    for part in ["store", "audit"] {
        DirBuilder::new().mode(0o700).create(disk.path().join(part)).unwrap();
        symlink(disk.path().join(part), state.join(part)).unwrap();
    }
    through(&state, || disk.order(".read-only"), || disk.order(".mend"));
}

/// A server before, during and after trouble.
fn through(state: &Path, begin: impl FnOnce(), end: impl FnOnce()) {
    fs::create_dir_all(state).unwrap();
    fs::write(state.join("kms.toml"), "ready-pairs = 0\n[audit]\non-full = \"continue-reads\"\n").unwrap();
    let server = Server::start(state, "127.0.0.1:0");
    let client = client(&server);
    let key = client.request_key("before", KeySpec::Rsa2048).unwrap();
    let closed = client.encrypt(&EncryptRequest {
        unique_identifier: Some(key.public_id.as_str().into()),
        cryptographic_parameters: Some(oaep()),
        data: Some(Secret::from(&b"before"[..])),
        ..EncryptRequest::default()
    });
    let closed = closed.unwrap().data.unwrap().0;
    let reads_on = |client: &Client| {
        let public =
            GetRequest { unique_identifier: Some(key.public_id.as_str().into()), ..GetRequest::default() };
        let opened = client.decrypt(&DecryptRequest {
            unique_identifier: Some(key.private_id.as_str().into()),
            cryptographic_parameters: Some(oaep()),
            data: Some(Bytes(closed.clone())),
            ..DecryptRequest::default()
        });
        client.get(&public).unwrap_or_else(|error| panic!("Get: {error}"));
        assert_eq!(
            opened.unwrap_or_else(|error| panic!("Decrypt: {error}")).data.unwrap().expose(),
            b"before"
        );
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
    reads_on(&self::client(&server));
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

fn breaking() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kms-server/tests/store_durability/brokenfs.py")
}

fn mount(options: &str, at: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
    mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn client(server: &Server) -> Client {
    let profile = Profile::load(&server.profile()).unwrap();
    Client::new(profile.builder().build().unwrap()).unwrap()
}

fn oaep() -> CryptographicParameters {
    CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256)
}
