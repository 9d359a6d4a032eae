//! A conversation with a real server, recorded and replayed without it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kms_client::{KeySpec, Profile};
use kms_tests::process::Server;
use kms_tests::repository::program;

struct Running {
    child: Child,
    profile: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &Path, arguments: &[String]) -> Running {
    let ready = folder.join("ready.json");
    let _ = fs::remove_file(&ready);
    let mut command = Command::new(program("kms-server"));
    command.args(arguments).args(["--listen", "127.0.0.1:0", "--state"]).arg(folder);
    command.arg("--ready-file").arg(&ready).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.spawn().expect("started");
    let running = Running { child, profile: folder.join("client.toml") };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "it is not ready");
        thread::sleep(Duration::from_millis(10));
    }
    running
}

fn client(profile: &Path) -> kms_client::blocking::Client {
    let profile = Profile::load(profile).expect("a profile");
    kms_client::blocking::Client::new(profile.builder().build().expect("a client")).expect("a client")
}

#[test]
fn what_was_recorded_is_replayed_without_its_server_and_without_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let (real, proxy) = (folder.path().join("real"), folder.path().join("proxy"));
    fs::create_dir_all(&proxy).expect("a folder");
    let cassette = folder.path().join("conversation.jsonl");
    let server = Server::start(&real, "127.0.0.1:0");
    let pki = |name: &str| server.pki().join(name).display().to_string();
    let [upstream, ca, certificate, key] =
        [server.listen.clone(), pki("ca.pem"), pki("client.pem"), pki("client.key")];
    let recorded = {
        let arguments =
            ["record", "--upstream", &upstream, "--ca", &ca, "--certificate", &certificate, "--key", &key];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(cassette.display().to_string());
        let recorder = start(&proxy, &arguments);
        let client = client(&recorder.profile);
        client.request_key("nightly", KeySpec::Rsa2048).expect("a key of the real server")
    };
    server.kill();
    let replay = start(&proxy, &["replay".to_owned(), cassette.display().to_string()]);
    let replayed = client(&replay.profile).request_key("nightly", KeySpec::Rsa2048);
    assert_eq!(replayed.expect("the same key"), recorded);
    let unheard = client(&replay.profile).request_key("weekly", KeySpec::Rsa2048).expect_err("not recorded");
    assert!(unheard.to_string().contains("the cassette has no answer"), "{unheard}");
    let taped = kms_server::cassette::read(&cassette).expect("a cassette");
    assert!(taped.iter().any(|taped| taped.client == "client"), "{taped:?}");
}
