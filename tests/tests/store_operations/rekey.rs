use std::fs;
use std::time::Duration;

use super::support::{Running, Site};

fn rekeyed(server: &Running) -> bool {
    server.status()["store"]["previous_key"].is_null()
}

#[test]
fn a_running_server_gets_a_new_key_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let server = site.start();
    let client = server.client();
    let key = client.make("job");
    let ciphertext = client.encrypt(&key, b"before");
    let old = server.status()["store"]["key"].clone();
    // As it is when the configuration names it already: nothing to do.
    let same = server.ctl(&["store", "rekey", "--key-file", "store.key"]);
    assert_eq!(same.code, Some(7));
    assert!(same.stderr.contains("with this very key"), "{}", same.stderr);

    let _ = site.kms(&["store", "new-key", "new.key"]).success();
    let done = server.ctl(&["store", "rekey", "--key-file", "new.key", "--wait", "--json"]).success().json();
    assert_eq!((&done["rekey"]["running"], &done["rekey"]["resealed"]), (&false.into(), &1.into()), "{done}");
    assert_ne!(done["key"], old);
    assert_eq!(client.decrypt(&key, &ciphertext).unwrap(), b"before");
    let after = client.make("after");
    let report = server.ctl(&["store", "check", "--json"]).success().json();
    assert_eq!((&report["sound"], &report["opened"]), (&true.into(), &2.into()));
    server.stop();

    // The configuration still names the old key, and the new one is where it was: the server comes up and says so.
    let server = site.start();
    assert_eq!(server.client().decrypt(&key, &ciphertext).unwrap(), b"before");
    assert!(server.log().contains("the configuration names the store key of before"), "{}", server.log());
    server.stop();
    // That is for the key of before alone: any other is as wrong as it always was.
    let _ = site.kms(&["store", "new-key", "other.key"]).success();
    site.configure("store-key = \"other.key\"");
    let (code, log) = site.launch("wrong", &[]).refused();
    assert_eq!(code, 4);
    assert!(log.contains("the store key is wrong") && log.contains("new.key"), "{log}");
    site.configure("store-key = \"store.key\"");
    // Without the new key nothing starts.
    fs::rename(site.path("new.key"), site.path("moved.key")).unwrap();
    let (code, log) = site.launch("refused", &[]).refused();
    assert_eq!(code, 4);
    assert!(log.contains("the store key is wrong") && log.contains("new.key"), "{log}");
    site.configure("store-key = \"moved.key\"");
    let server = site.start();
    let client = server.client();
    assert_eq!(client.decrypt(&after, &client.encrypt(&after, b"x")).unwrap(), b"x");
}

#[test]
fn a_server_killed_while_it_seals_anew_goes_on_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let mut server = site.start();
    let client = server.client();
    let keys: Vec<_> = (0..8)
        .map(|number| {
            let key = client.make(&format!("job-{number}"));
            let ciphertext = client.encrypt(&key, b"x");
            (key, ciphertext)
        })
        .collect();
    drop(client);
    for round in 0..4_u64 {
        let file = format!("{round}.key");
        let _ = site.kms(&["store", "new-key", &file]).success();
        let _ = server.ctl(&["store", "rekey", "--key-file", &file]).success();
        std::thread::sleep(Duration::from_millis(round * 7));
        server.kill();
        if round == 0 {
            // Nobody has named the new key yet.
            site.launch("late", &[]).ready("active").kill();
        }
        site.configure(&format!("store-key = \"{file}\""));
        server = site.start();
        while !rekeyed(&server) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let client = server.client();
        for (key, ciphertext) in &keys {
            assert_eq!(client.decrypt(key, ciphertext).unwrap(), b"x", "round {round}");
        }
        let report = server.ctl(&["store", "check", "--json"]).success().json();
        assert_eq!((&report["sound"], &report["opened"]), (&true.into(), &8.into()), "{report}");
    }
}

#[test]
fn a_passphrase_opens_the_store_and_can_be_changed() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    site.secret("pass", "first passphrase\n");
    site.secret("second", "second passphrase");
    site.secret("wrong", "another passphrase");
    site.configure("store-passphrase = \"pass\"");
    let server = site.start();
    let client = server.client();
    let key = client.make("job");
    let ciphertext = client.encrypt(&key, b"x");
    server.stop();

    site.configure("store-passphrase = \"wrong\"");
    let (code, log) = site.launch("refused", &[]).refused();
    assert_eq!(code, 4);
    assert!(log.contains("the passphrase is wrong") && log.contains("hint: "), "{log}");
    site.configure("store-key = \"store.key\"");
    assert_eq!(site.launch("refused", &[]).refused().0, 4);

    site.configure("store-passphrase = \"pass\"");
    let server = site.start();
    let _ = server.ctl(&["store", "rekey", "--passphrase-file", "second", "--wait"]).success();
    server.stop();
    site.configure("store-passphrase = \"second\"");
    let server = site.start();
    assert_eq!(server.client().decrypt(&key, &ciphertext).unwrap(), b"x");
    assert!(!server.log().contains("names an old"), "{}", server.log());
}
