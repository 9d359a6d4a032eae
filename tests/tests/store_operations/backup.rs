use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kms_tests::process::finish;

use super::support::Site;

#[test]
fn two_servers_restored_from_one_backup_hold_the_same_keys() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let passphrase = site.secret("backup.pass", "correct horse battery staple\n");
    let server = site.start();
    let client = server.client();
    let keys: Vec<_> = (0..3)
        .map(|number| {
            let key = client.make(&format!("job-{number}"));
            let ciphertext = client.encrypt(&key, b"a file key");
            (key, ciphertext)
        })
        .collect();
    let report = server.ctl(&["store", "check", "--json"]).success().json();
    assert_eq!(
        (&report["sound"], &report["records"], &report["opened"]),
        (&true.into(), &6.into(), &3.into())
    );
    assert_eq!(report["newest"], 6);
    let _ = server.ctl(&["store", "backup", "online.age", "--passphrase-file", &passphrase]).success();
    let again = server.ctl(&["store", "backup", "online.age", "--passphrase-file", &passphrase]);
    assert_eq!(again.code, Some(1), "a backup overwrites nothing: {}", again.stderr);
    // The store is in use.
    let busy = site.kms(&["store", "check"]);
    assert_eq!(busy.code, Some(4));
    assert!(
        busy.stderr.contains("hint: a running server does the same with `kms-server ctl store"),
        "{}",
        busy.stderr
    );
    server.stop();

    let report = site.kms(&["store", "check", "--json"]).success().json();
    assert_eq!((&report["sound"], &report["opened"]), (&true.into(), &3.into()));
    let recipient = site.kms(&["store", "new-backup-key", "backup.key"]).success().stdout;
    let _ = site.kms(&["store", "backup", "offline.age", "--recipient", recipient.trim()]).success();

    for (number, backup, with) in [
        (1, "online.age", ["--passphrase-file", passphrase.as_str()]),
        (2, "offline.age", ["--key-file", "backup.key"]),
    ] {
        let folder = format!("restored-{number}");
        let restored = site
            .kms(&[&["store", "restore", backup, "--to", &folder, "--json"], &with[..]].concat())
            .success();
        assert_eq!(
            (&restored.json()["check"]["records"], &restored.json()["check"]["opened"]),
            (&6.into(), &3.into())
        );
        let config = format!("restored-{number}.toml");
        site.configure_as(&config, "store-key = \"store.key\"", &folder);
        let server = site.launch(&folder, &["--config", &config]).ready("active");
        let client = server.client();
        for (key, ciphertext) in &keys {
            assert_eq!(client.decrypt(key, ciphertext).unwrap(), b"a file key");
        }
        server.stop();
    }
}

#[test]
fn a_restore_is_whole_or_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let server = site.start();
    server.client().make("job");
    // A passphrase costs a second each time: one case has one.
    let passphrase = site.secret("right.pass", "right");
    let recipient = site.kms(&["store", "new-backup-key", "right.key"]).success().stdout;
    let _ = site.kms(&["store", "new-backup-key", "wrong.key"]).success();
    let _ = server.ctl(&["store", "backup", "good.age", "--recipient", recipient.trim()]).success();
    let _ = server.ctl(&["store", "backup", "phrase.age", "--passphrase-file", &passphrase]).success();
    server.stop();
    let bytes = fs::read(site.path("good.age")).unwrap();
    fs::write(site.path("cut.age"), &bytes[..bytes.len() - 1]).unwrap();
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(site.path("flipped.age"), flipped).unwrap();
    let _ = site.kms(&["store", "new-key", "other.key"]).success();
    site.configure_as("other.toml", "store-key = \"other.key\"", "store");
    let before: Vec<_> = list(&site);
    for (backup, key, to, config, code, expected) in [
        ("cut.age", "right.key", "to", "kms.toml", 1, "the file is damaged or cut off"),
        ("flipped.age", "right.key", "to", "kms.toml", 1, "the file is damaged or cut off"),
        ("good.age", "right.key", "to", "no.toml", 5, "name it with --config"),
        ("good.age", "wrong.key", "to", "kms.toml", 1, "the right passphrase or key"),
        ("phrase.age", "right.key", "to", "kms.toml", 1, "the right passphrase or key"),
        ("store.key", "right.key", "to", "kms.toml", 1, "store.key cannot be restored"),
        ("missing.age", "right.key", "to", "kms.toml", 1, "missing.age cannot be restored"),
        ("good.age", "right.key", "to", "other.toml", 4, "the store key is wrong"),
        ("good.age", "right.key", "store", "kms.toml", 4, "store is not empty"),
    ] {
        let arguments = ["store", "restore", backup, "--to", to, "--config", config, "--key-file", key];
        let refused = site.kms(&arguments);
        assert_eq!(refused.code, Some(code), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
        assert_eq!(list(&site), before, "{arguments:?} left something behind");
    }
    // An empty folder is as good as none.
    fs::create_dir(site.path("to")).unwrap();
    let arguments = ["store", "restore", "phrase.age", "--to", "to", "--passphrase-file", &passphrase];
    let _ = site.kms(&arguments).success();
    // With the store's key in the environment and a folder, no configuration is needed.
    let key = fs::read_to_string(site.path("store.key")).unwrap();
    fs::remove_file(site.path("kms.toml")).unwrap();
    let arguments = ["store", "restore", "good.age", "--to", "bare", "--key-file", "right.key"];
    let _ = finish(site.command(&arguments).env("KMS_STORE_KEY", key)).success();
    // A public key opens nothing, so it is not offered.
    let recipient = ["store", "restore", "good.age", "--to", "none", "--recipient", "age1x"];
    assert_eq!(site.kms(&recipient).code, Some(2));
}

fn list(site: &Site) -> Vec<String> {
    let names = fs::read_dir(&site.root).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_and_a_check_while_keys_are_made_are_sound() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let recipient = site.kms(&["store", "new-backup-key", "backup.key"]).success().stdout;
    let recipient = recipient.trim();
    let server = site.start();
    let client = server.client();
    client.make("first");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let client = server.client();
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                client.make(&format!("more-{number}"));
                number += 1;
            }
        });
        for round in 0..3 {
            let report = server.ctl(&["store", "check", "--json"]).success().json();
            assert_eq!(report["sound"], true, "{report}");
            let file = format!("{round}.age");
            let _ = server.ctl(&["store", "backup", &file, "--recipient", recipient]).success();
        }
        done.store(true, Ordering::Relaxed);
    });
    for round in 0..3 {
        let (file, to) = (format!("{round}.age"), format!("restored-{round}"));
        let arguments = ["store", "restore", &file, "--to", &to, "--json", "--key-file", "backup.key"];
        let restored = site.kms(&arguments).success().json();
        let records = restored["check"]["records"].as_u64().unwrap();
        assert!(records >= 2 && records.is_multiple_of(2), "halves of a pair come together: {records}");
        assert_eq!(restored["check"]["opened"].as_u64().unwrap() * 2, records);
    }
}
