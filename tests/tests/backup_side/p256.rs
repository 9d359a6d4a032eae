//! Backups with keys on P-256: what the file's own pair and the key agree on, the KMS derives.

use std::ffi::OsStr;
use std::fs;

use crate::plugin::{rage, run};
use crate::support::{Place, file_of, restore};

/// What was derived for a restore is destroyed by the time that it ends.
#[track_caller]
fn assert_nothing_derived_is_left(place: &Place) {
    let keys = place.server.ctl(&["key", "list", "--json"]).success().stdout;
    let derived: Vec<&str> = keys.lines().filter(|line| line.contains("Secret Data")).collect();
    assert!(!derived.is_empty(), "{keys}");
    assert!(derived.iter().all(|line| line.contains("\"Destroyed\"")), "{derived:?}");
}

#[test]
fn p256_keys_encrypt_rotate_restore_import_and_rewrap() {
    let place = Place::with_key("p-256");
    let first = file_of(&place.back_up());
    let header = String::from_utf8_lossy(&fs::read(&first).unwrap()).into_owned();
    let key = place.run(["job", "show", "docs"])["keys"][0]["private_id"].as_str().unwrap().to_owned();
    assert!(header.starts_with("age-encryption.org/v1\n-> kmip-p256 share="), "{}", &header[..200]);
    assert!(header.contains(&format!(" key={key} generation=1 server=lab address=")), "{}", &header[..600]);
    place.assert_restores(&place.client, &first, "first");
    assert_nothing_derived_is_left(&place);

    place.rotate();
    fs::write(place.path("tree/second"), b"x").unwrap();
    let second = file_of(&place.back_up());
    assert!(String::from_utf8_lossy(&fs::read(&second).unwrap()).contains("generation=2 "));
    place.assert_restores(&place.client, &second, "second");
    let metadata = first.with_extension("chain");
    for (name, what) in [("by metadata", &metadata), ("by file", &first)] {
        let new = place.other(name, true);
        let imported = new.run([OsStr::new("import"), what.as_ref()]).success().json();
        assert_eq!((&imported["event"], &imported["files"]), (&"imported".into(), &2.into()));
        place.assert_restores(&new, &second, &format!("restored {name}"));
    }

    place.rotate();
    let done = place.run(["rewrap", "docs"]);
    assert_eq!((&done["changed"], &done["failed"]), (&2.into(), &0.into()));
    assert!(String::from_utf8_lossy(&fs::read(&first).unwrap()).contains("generation=3 "));
    place.assert_restores(&place.client, &second, "rewrapped");
    assert_nothing_derived_is_left(&place);
}

#[test]
fn a_job_goes_from_rsa_to_p256_by_rewrap_with_another_jobs_key() {
    let place = Place::with_job();
    let file = file_of(&place.back_up());
    place.run(["job", "create", "curves", "--key", "p-256"]);
    let done = place.run(["rewrap", "docs", "--with", "curves"]);
    assert_eq!((&done["changed"], &done["failed"]), (&1.into(), &0.into()));
    assert!(String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("-> kmip-p256 "));
    place.assert_restores(&place.client, &file, "restored");
}

#[test]
fn a_key_on_p256_that_is_destroyed_opens_nothing() {
    let place = Place::with_key("p-256");
    let file = file_of(&place.back_up());
    let key = place.run(["job", "show", "docs"])["keys"][0]["private_id"].as_str().unwrap().to_owned();
    place.destroy(&key);
    let refused = restore(&place.client, &file, &place.path("refused"));
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains(&key), "{}", refused.stderr);
    assert!(!place.path("refused").exists());
}

#[test]
fn an_unmodified_rage_encrypts_to_and_decrypts_with_a_key_on_p256() {
    let Some(rage) = rage("an_unmodified_rage_with_a_key_on_p256") else { return };
    let place = Place::with_key("p-256");
    let (note, sealed, identity) = (place.path("note"), place.path("note.age"), place.path("identity"));
    fs::write(&note, "to be read by whoever may use the key").unwrap();
    let text = |line: [&str; 3], field: &str| place.run(line)[field].as_str().unwrap().to_owned();
    fs::write(&identity, text(["plugin", "identity", "lab"], "identity")).unwrap();
    let recipient = text(["plugin", "recipient", "docs"], "recipient");
    let encrypt = ["-r", &recipient, "-o"].map(OsStr::new);
    let _ = run(&rage, encrypt.into_iter().chain([sealed.as_os_str(), note.as_os_str()])).success();
    for (file, opened) in [(sealed, "note again"), (file_of(&place.back_up()), "archive")] {
        let to = place.path(opened);
        let decrypt = [OsStr::new("-d"), "-i".as_ref(), identity.as_ref(), "-o".as_ref(), to.as_ref()];
        let _ = run(&rage, decrypt.into_iter().chain([file.as_os_str()])).success();
    }
    assert_eq!(fs::read(place.path("note again")).unwrap(), fs::read(&note).unwrap());
    assert!(fs::read(place.path("archive")).unwrap().starts_with(&[0x28, 0xB5, 0x2F, 0xFD]), "zstd");
}
