//! The audit log of a running server, taken away and put back.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::{Running, Site};

fn health(server: &Running) -> Value {
    let admin = server.ready["admin"].as_str().unwrap();
    let mut stream = TcpStream::connect(admin).unwrap();
    let request = format!("GET /v1/health HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn wait_for_trouble(server: &Running, expected: bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let status = server.status();
        if status["audit"]["trouble"].is_string() == expected {
            return status;
        }
        assert!(Instant::now() < end, "trouble {expected}: {status}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_log_that_is_moved_away_stops_the_server_which_says_so_until_it_is_back() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let server = site.start();
    let client = server.client();
    let key = client.make("job");
    let ciphertext = client.encrypt(&key, b"x");
    assert_eq!(health(&server), serde_json::json!({"status": "ok"}));
    for (path, aside) in [("audit/000001.jsonl", "taken.jsonl"), ("audit", "taken")] {
        fs::rename(site.path(path), site.path(aside)).unwrap();
        let status = wait_for_trouble(&server, true);
        assert_eq!(status["store"]["audit"], status["audit"]["trouble"]);
        assert!(health(&server)["trouble"].is_string());
        assert!(client.decrypt(&key, &ciphertext).is_err(), "what cannot be recorded does not happen");
        let told =
            server.ctl(&["status"]).success().stdout + &server.ctl(&["store", "status"]).success().stdout;
        assert!(
            told.contains("every request is refused") && told.contains("nothing is changed in it"),
            "{told}"
        );
        assert!(server.ctl(&["store", "check"]).success().stdout.contains("records"), "a look is no change");
        let refused = server.ctl(&["policy", "set", "p", "names=x"]);
        assert!(refused.stderr.contains("the audit log cannot be written"), "{}", refused.stderr);
        fs::rename(site.path(aside), site.path(path)).unwrap();
        wait_for_trouble(&server, false);
        assert_eq!(client.decrypt(&key, &ciphertext).unwrap(), b"x");
    }
    let end = server.status()["audit"]["end"].as_str().unwrap().to_owned();
    server.stop();
    let audit = ["audit", "verify", "--folder", "audit", "--known", &end];
    assert!(site.kms(&audit).success().stdout.contains("whole"));
}

#[test]
fn a_log_whose_end_was_taken_away_is_not_taken_for_whole() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let server = site.start();
    server.client().make("job");
    server.stop();
    fs::remove_dir_all(site.path("audit")).unwrap();
    let (code, log) = site.launch("refused", &[]).refused();
    assert_eq!(code, 4);
    assert!(log.contains("ends at line 0") && log.contains("hint: "), "{log}");
    let server = site.launch("accepted", &["--accept-audit-loss"]).ready("active");
    server.stop();
    let shown = site.kms(&["audit", "show", "--folder", "audit"]).success().stdout;
    assert!(shown.contains("accept audit loss") && shown.contains("the store knew of a log"), "{shown}");
    site.start().stop();

    // A restored store has its log elsewhere.
    let _ = site.kms(&["store", "new-backup-key", "backup.key"]).success();
    let _ = site.kms(&["store", "backup", "copy.age", "--key-file", "backup.key"]).success();
    let _ = site
        .kms(&["store", "restore", "copy.age", "--key-file", "backup.key", "--to", "new/store"])
        .success();
    site.configure_as("new.toml", "store-key = \"store.key\"", "new/store");
    site.launch("restored", &["--config", "new.toml"]).ready("active").stop();
}
