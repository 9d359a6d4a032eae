//! The seven points, each from the command line with the real programs.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, AttributeKind, AttributeReference, AttributeReferences};
use kms_protocol::enums::{CryptographicAlgorithm, State};
use kms_protocol::operation::GetAttributesRequest;
use kms_tests::process::Server;
use kms_tests::repository::program;

use crate::support::{Place, assert_same, file_of, restore};

fn algorithm(server: &Server, id: &str) -> CryptographicAlgorithm {
    let wanted = AttributeReference::Standard(AttributeKind::CryptographicAlgorithm);
    let request = GetAttributesRequest {
        unique_identifier: Some(id.into()),
        attributes: AttributeReferences(vec![wanted]),
    };
    let answer = server.client(Version::V1_4).get_attributes(&request).unwrap();
    match answer.attributes.0.as_slice() {
        [Attribute::CryptographicAlgorithm(algorithm)] => *algorithm,
        other => panic!("one algorithm, not {other:?}"),
    }
}

#[test]
fn point_1_the_kms_creates_an_asymmetric_key_pair_for_a_job() {
    let place = Place::connected();
    let job = place.run(["job", "create", "nightly"]);
    assert_eq!(job["job"]["kms"]["algorithm"], "rsa-4096");
    for half in ["private_id", "public_id"] {
        let id = job["keys"][0][half].as_str().unwrap();
        assert_eq!(place.server.state_of(id), State::Active);
        assert_eq!(algorithm(&place.server, id), CryptographicAlgorithm::Rsa);
    }
}

#[test]
fn point_2_the_public_key_is_in_the_configuration_database_and_encrypts_from_then_on() {
    let place = Place::with_job();
    let shown = place.run(["job", "show", "docs"]);
    let public_key = hex::decode(shown["keys"][0]["public_key"].as_str().unwrap()).unwrap();
    assert_eq!(kms_client::backup::envelope::public_key_bits(&public_key), Ok(2048));
    let file = file_of(&place.back_up());
    let header = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    let private_id = shown["keys"][0]["private_id"].as_str().unwrap();
    let stanza = format!("key={private_id} generation=1 server=lab address={}", place.server.listen);
    assert!(header.contains(&stanza), "{}", &header[..300]);
}

#[test]
fn point_3_the_private_key_stays_in_the_kms_which_decrypts_with_it() {
    let place = Place::with_job();
    let file = file_of(&place.back_up());
    // Nothing that this installation keeps opens the backup: not a byte of a private key is among it.
    let files = |folder: &str| {
        let mut files = Vec::new();
        let mut pending = vec![place.path(folder)];
        while let Some(path) = pending.pop() {
            if path.is_dir() {
                pending.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            } else {
                files.push(fs::read(path).unwrap());
            }
        }
        files
    };
    assert!(files("state").iter().all(|bytes| !bytes.windows(11).any(|window| window == b"PRIVATE KEY")));
    place.assert_restores(&place.client, &file, "restored");
    let private_id = place.run(["job", "show", "docs"])["keys"][0]["private_id"].as_str().unwrap().to_owned();
    place.destroy(&private_id);
    let refused = restore(&place.client, &file, &place.path("refused"));
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains(&private_id), "{}", refused.stderr);
    assert!(!place.path("refused").exists());
}

#[test]
fn point_4_the_kms_rotates_the_pair_at_the_interval_of_its_policy() {
    let place = Place::with_job();
    let first = file_of(&place.back_up());
    let _ = place.server.ctl(&["clock", "advance", "89d"]).success();
    assert_eq!(place.run(["sync"])["changes"].as_array().unwrap().len(), 0, "not yet");
    let _ = place.server.ctl(&["clock", "advance", "2d"]).success();
    let run = place.run(["sync"]);
    assert_eq!(run["changes"][0]["outcome"], "rotated", "{run}");
    assert_eq!(run["changes"][0]["to_generation"], 2);
    fs::write(place.path("tree/after the rotation"), b"x").unwrap();
    let second = file_of(&place.back_up());
    assert!(String::from_utf8_lossy(&fs::read(&second).unwrap()).contains("generation=2 "));
    place.assert_restores(&place.client, &second, "second");
    let _ = restore(&place.client, &first, &place.path("first")).success();
}

#[test]
fn point_5_the_system_job_puts_new_public_keys_into_the_database() {
    let place = Place::with_job();
    let mut daemon = Command::new(program("kms-client"));
    daemon
        .arg("--state")
        .arg(place.path("state"))
        .args(["--json", "daemon", "--every", "1s", "--jitter", "0s"]);
    let mut daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let private_id = place.run(["job", "show", "docs"])["keys"][0]["private_id"].as_str().unwrap().to_owned();
    let _ = place.server.ctl(&["key", "rotate", &private_id]).success();
    let deadline = Instant::now() + Duration::from_secs(60);
    let adopted = loop {
        let keys = place.run(["job", "show", "docs"])["keys"].as_array().unwrap().clone();
        if keys.len() == 2 || Instant::now() > deadline {
            break keys;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(adopted.len(), 2, "the daemon adopted the new key");
    let history = place.client.run(["sync", "--history"]).success().stdout;
    assert!(history.contains("\"outcome\":\"rotated\""), "{history}");
}

#[test]
fn point_6_imports_are_automatic_where_the_kms_is_connected_and_manual_in_three_situations() {
    let place = Place::with_job();
    place.back_up();
    place.rotate();
    fs::write(place.path("tree/second"), b"x").unwrap();
    let newest = file_of(&place.back_up());
    let full = newest.to_string_lossy().replace(".0002.age", ".age");
    let metadata = full.replace(".age", ".chain");
    for (name, what) in [("by metadata", &metadata), ("by file", &full)] {
        let new = place.other(name, true);
        let imported = new.run([OsStr::new("import"), what.as_ref()]).success().json();
        assert_eq!((&imported["event"], &imported["files"]), (&"imported".into(), &2.into()));
        place.assert_restores(
            &new,
            imported["restore"].as_str().unwrap().as_ref(),
            &format!("restored {name}"),
        );
    }

    // a: this installation is not connected to that KMS yet.
    let new = place.other("unconnected", false);
    let waits = new.run([OsStr::new("import"), metadata.as_ref()]);
    assert!(waits.stderr.contains("of KMS server \"lab\" at 127.0.0.1:"), "{}", waits.stderr);
    let pki = place.server.pki();
    let added = new.run([
        "server".as_ref(),
        "add".as_ref(),
        "again".as_ref(),
        "--address".as_ref(),
        OsStr::new(&place.server.listen),
        "--ca".as_ref(),
        pki.join("ca.pem").as_os_str(),
        "--certificate".as_ref(),
        pki.join("client.pem").as_os_str(),
        "--key".as_ref(),
        pki.join("client.key").as_os_str(),
    ]);
    assert_eq!(added.success().json()["event"], "imported", "it goes on by itself");
    place.assert_restores(&new, &newest, "after adding");

    // b: one chain mixes KMS-encrypted and password-encrypted files, and is imported from its full backup file.
    let secret = place.path("secret");
    fs::write(&secret, "correct horse battery\n").unwrap();
    let set = ["job", "set", "docs", "--hint", "animal and device", "--password-file"];
    place.run(set.map(OsStr::new).into_iter().chain([secret.as_os_str()]));
    fs::write(place.path("tree/third"), b"x").unwrap();
    let mixed = file_of(&place.back_up());
    let new = place.other("mixed", true);
    let asks = new.run([OsStr::new("import"), full.as_ref()]);
    assert!(asks.stderr.contains("needs a password (hint: \"animal and device\")"), "{}", asks.stderr);
    let with = [OsStr::new("--password-file"), secret.as_os_str()];
    let _ = new.run([OsStr::new("import"), full.as_ref()].into_iter().chain(with)).success();
    let target = place.path("mixed restored");
    let line = [OsStr::new("restore"), mixed.as_os_str(), "--to".as_ref(), target.as_os_str()];
    let _ = new.run(line.into_iter().chain(with)).success();
    assert_same(&place.path("tree"), &target.join("tree"));

    tapes(&place, &mixed, &secret);
}

/// c: on a new installation, catalogue jobs run separately over tapes encrypted by KMS and tapes encrypted by password.
fn tapes(place: &Place, file: &std::path::Path, secret: &std::path::Path) {
    place.run(["job", "create", "vault", "--key", "rsa-2048"]);
    place.run(["job", "create", "offsite", "--password-file", secret.to_str().unwrap(), "--hint", "animal"]);
    let tapes = place.path("tapes");
    for pool in ["vault", "offsite"] {
        let line = ["tape", "write", pool].map(OsStr::new).into_iter();
        place.run(line.chain([file.as_os_str(), "--to".as_ref(), tapes.as_os_str()]));
    }
    let new = place.other("tapes of another", true);
    let catalog = [OsStr::new("tape"), "catalog".as_ref(), tapes.as_os_str()];
    let with = [OsStr::new("--password-file"), secret.as_os_str()];
    let refused = new.run(catalog.into_iter().chain(with));
    assert!(refused.stderr.contains("a new installation takes a job for each kind"), "{}", refused.stderr);
    let _ = new.run(catalog.into_iter().chain([OsStr::new("--by-kms")])).success();
    let _ = new.run(catalog.into_iter().chain([OsStr::new("--by-password")]).chain(with)).success();
    assert_eq!(new.run(["tape", "list"]).success().stdout.lines().count(), 2);
    let read = place.path("read from tape");
    let line = [OsStr::new("tape"), "read".as_ref(), tapes.as_os_str(), "--by-kms".as_ref(), "--to".as_ref()];
    let _ = new.run(line.into_iter().chain([read.as_os_str()])).success();
    assert_eq!(fs::read(read.join(file.file_name().unwrap())).unwrap(), fs::read(file).unwrap());
}

#[test]
fn point_7_while_the_kms_is_down_its_jobs_fail_and_the_enterprise_manager_opens_backups() {
    let place = Place::with_job();
    let secret = place.path("secret");
    fs::write(&secret, "correct horse battery\n").unwrap();
    place.run(["job", "create", "other", "--hint", "animal", "--password-file", secret.to_str().unwrap()]);
    // The Enterprise Manager is elsewhere.
    let manager = place.other("enterprise manager", false);
    let (key, request, answer) = (place.path("em.key"), place.path("request"), place.path("answer"));
    let made = manager.run([OsStr::new("recovery"), "new".as_ref(), "--out".as_ref(), key.as_os_str()]);
    place.run(["recovery", "enable", made.success().json()["public_key"].as_str().unwrap()]);
    place.back_up();
    fs::write(place.path("tree/second"), b"x").unwrap();
    let newest = file_of(&place.back_up());
    let before = place.path("backups").read_dir().unwrap().count();

    let Place { folder, server, client } = place;
    let path = |name: &str| folder.path().join(name);
    server.kill();
    let (tree, backups) = (path("tree"), path("backups"));
    let backup = |job: &'static str| {
        client.run([OsStr::new("backup"), job.as_ref(), tree.as_ref(), "--to".as_ref(), backups.as_ref()])
    };
    let failed = backup("docs");
    assert_eq!(failed.code, Some(3), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint: "), "{}", failed.stderr);
    assert_eq!(backups.read_dir().unwrap().count(), before, "nothing was written");
    let _ = backup("other").success();
    let status = client.run(["status"]);
    assert!(status.stdout.contains("\"down_since\":1"), "{}", status.stdout);

    // The KMS never comes back.
    let line =
        [OsStr::new("recovery"), "request".as_ref(), newest.as_os_str(), "--out".as_ref(), request.as_ref()];
    let _ = client.run(line).success();
    let line =
        [OsStr::new("recovery"), "answer".as_ref(), request.as_os_str(), "--key".as_ref(), key.as_ref()];
    let _ = manager.run(line.into_iter().chain([OsStr::new("--out"), answer.as_os_str()])).success();
    let target = path("restored");
    let line = [OsStr::new("restore"), newest.as_os_str(), "--to".as_ref(), target.as_os_str()];
    let _ = client.run(line.into_iter().chain([OsStr::new("--recovery"), answer.as_os_str()])).success();
    assert_same(&tree, &target.join("tree"));
}
