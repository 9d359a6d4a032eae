use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::support::Site;

fn health(admin: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    let request = format!("GET /v1/health HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_standby_says_so_and_takes_over_when_the_first_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let mut active = site.launch("first", &[]).ready("active");
    let client = active.client();
    let key = client.make("job");
    let ciphertext = client.encrypt(&key, b"x");
    for round in 0..3 {
        let mut standby = site.launch(&format!("standby-{round}"), &[]).ready("standby");
        assert!(standby.ready["listen"].is_null(), "a standby takes no requests: {}", standby.ready);
        let admin = standby.ready["admin"].as_str().unwrap().to_owned();
        assert!(health(&admin).ends_with(r#"{"status":"standby"}"#), "{}", health(&admin));
        assert_eq!(
            (&standby.status()["role"], &active.status()["role"]),
            (&"standby".into(), &"active".into())
        );
        let refused = standby.ctl(&["store", "check"]);
        assert_eq!(refused.code, Some(7));
        assert!(refused.stderr.contains("this server is a standby"), "{}", refused.stderr);
        let said = format!("another server (process {}) has the store open", active.pid());
        assert!(standby.log().contains(&said), "{}", standby.log());

        let killed = Instant::now();
        active.kill();
        standby.wait_for("active");
        println!("round {round}: took over {} ms after the kill", killed.elapsed().as_millis());
        assert_eq!(standby.ready["admin"], admin.as_str(), "the admin API stays where it was");
        assert!(health(&admin).ends_with(r#"{"status":"ok"}"#));
        assert_eq!(standby.client().decrypt(&key, &ciphertext).unwrap(), b"x");
        active = standby;
    }
}

#[test]
fn a_standby_takes_over_with_the_key_that_the_store_got_while_it_waited() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let active = site.launch("first", &[]).ready("active");
    let client = active.client();
    let key = client.make("job");
    let ciphertext = client.encrypt(&key, b"x");
    let mut standby = site.launch("standby", &[]).ready("standby");
    // As docs/production.md says.
    let _ = site.kms(&["store", "new-key", "new.key"]).success();
    let _ = active.ctl(&["store", "rekey", "--key-file", "new.key", "--wait"]).success();
    std::fs::rename(site.path("new.key"), site.path("store.key")).unwrap();
    active.kill();
    standby.wait_for("active");
    assert_eq!(standby.client().decrypt(&key, &ciphertext).unwrap(), b"x");
    assert!(!standby.log().contains("names the store key of before"), "{}", standby.log());
}

#[test]
fn without_a_store_nothing_starts_but_the_first_time() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let refused = site.kms(&["run"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("there is no store in") && refused.stderr.contains("--new-store"));
    assert!(!site.path("store").exists(), "nothing was made");
    site.start().stop();
    assert!(site.path("store/db").is_file());
}

#[test]
fn a_standby_whose_admin_port_is_taken_still_takes_over_and_one_that_is_stopped_stops() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let active = site.launch("first", &[]).ready("active");
    let taken = active.ready["admin"].as_str().unwrap().to_owned();
    let mut standby = site.launch("standby", &["--admin", &taken]).ready("standby");
    assert!(standby.ready["admin"].is_null(), "{}", standby.ready);
    assert!(standby.log().contains("name another port with --admin"), "{}", standby.log());
    site.launch("other", &[]).ready("standby").stop();
    active.kill();
    standby.wait_for("active");
    assert_eq!(standby.ready["admin"], taken.as_str());
    assert_eq!(standby.status()["role"], "active");
}
