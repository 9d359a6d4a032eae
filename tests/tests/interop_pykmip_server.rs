//! PyKMIP's server, of PyPI: a foreign KMS that lacks most of what backups like. The client has to say exactly what, and
//! to serve backups by the ways that remain.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::thread;
use std::time::Duration;

use kms_client::{Finding, KeySpec, KeyTravel, KnownKey, Profile, blocking};
use kms_protocol::Version;
use kms_protocol::enums::HashingAlgorithm;
use kms_tests::keys::{successor, wrap};
use kms_tests::process::{Finished, finish_within};
use kms_tests::pykmip::{self, Server};
use kms_tests::repository::program;
use kms_tests::skip;

use serde_json::json;

/// A PyKMIP server in a folder of its own, or the reason why there is none.
fn server() -> Result<(Server, tempfile::TempDir), &'static str> {
    let python = pykmip::python()?;
    let folder = tempfile::tempdir().unwrap();
    Ok((Server::start(python, folder.path()), folder))
}

fn doctor(server: &Server, options: &[&str]) -> Finished {
    let mut command = Command::new(program("kms-client"));
    command.args(["doctor", "--profile"]).arg(server.profile()).args(options);
    finish_within(&mut command, Duration::from_secs(60))
}

#[test]
fn the_doctor_names_exactly_what_it_lacks() {
    let (server, _folder) = match server() {
        Ok(server) => server,
        Err(reason) => return skip("the_doctor_names_exactly_what_it_lacks", reason),
    };
    let done = doctor(&server, &["--json"]);
    assert_eq!(done.code, Some(4), "something is missing: {}{}", done.stdout, server.log());
    let report = done.json();
    let lacks: Vec<_> = report["lacks"].as_array().unwrap().iter().map(|lack| &lack["what"]).collect();
    assert_eq!(
        lacks,
        [
            "TLS 1.2 with ECDHE-RSA-AES-GCM",
            "a CRL distribution point in the server's certificate",
            "Re-key Key Pair",
            "Public Key and Private Key in Query's objects",
            "Links between the halves of a pair",
            "Decrypt with RSA-OAEP",
        ]
    );
    let entries = report["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 25, "every check has its entry");
    let outcome = |check: &str| {
        let entry = entries.iter().find(|entry| entry["check"] == check).expect("the check");
        entry["outcome"].clone()
    };
    for check in ["create-key-pair", "activate", "get-public-key", "get-private-key", "rotation-discovery"] {
        assert_eq!(outcome(check), "passed", "{check}");
    }
    for check in ["decrypt-with-old", "revoke", "destroy", "clean-up", "tls-resumption"] {
        assert_eq!(outcome(check), "passed", "{check}");
    }
    assert_eq!(
        report["verdict"],
        json!([
            "new backups: yes, it makes key pairs",
            "restores: only by fetching private keys out of it (key travel has to be allowed)",
            "rotation: found, though not by way of a faultless Re-key Key Pair",
        ])
    );

    let text = doctor(&server, &[]).stdout;
    assert!(text.contains("lacking  decrypt "), "{text}");
    let looked = doctor(&server, &["--read-only", "--json"]).json();
    let skipped = looked["entries"].as_array().unwrap().iter().filter(|entry| entry["outcome"] == "skipped");
    assert_eq!(skipped.count(), 15);
}

#[test]
fn keys_are_made_rotations_found_and_backups_restored_by_the_ways_that_remain() {
    let test = "keys_are_made_rotations_found_and_backups_restored_by_the_ways_that_remain";
    let (server, _folder) = match server() {
        Ok(server) => server,
        Err(reason) => return skip(test, reason),
    };
    let profile = Profile::load(&server.profile()).unwrap();
    let client = profile.builder().key_travel(KeyTravel::WhereNeeded).build().unwrap();
    let client = blocking::Client::new(client).unwrap();
    assert_eq!(client.version().unwrap(), Version::V1_4);
    let key = client.request_key("nightly", KeySpec::Rsa2048).unwrap();
    let found = client.find_key("nightly", KeySpec::Rsa2048).unwrap();
    assert_eq!(found.as_ref(), Some(&key), "found again by its name, without Links");

    let known = KnownKey {
        public_id: key.public_id.clone(),
        private_id: key.private_id.clone(),
        name: "nightly".to_owned(),
        spec: KeySpec::Rsa2048,
    };
    let unchanged = client.rotation_info(std::slice::from_ref(&known)).unwrap();
    assert!(matches!(unchanged.as_slice(), [Finding::Unchanged]), "{unchanged:?}");
    // Initial Dates are whole seconds.
    thread::sleep(Duration::from_millis(1_100));
    let (private_id, public_id) = successor(&client, "nightly");
    let moved = client.rotation_info(&[known]).unwrap();
    let [Finding::Moved { newest }] = moved.as_slice() else { panic!("{moved:?}") };
    assert_eq!((&newest.private_id, &newest.public_id), (&private_id, &public_id));

    let wrapped: Vec<_> = (0..20)
        .map(|number| {
            let key = if number % 2 == 0 { &key } else { newest };
            wrap(key, HashingAlgorithm::Sha256, format!("file key {number}").as_bytes())
        })
        .collect();
    for (number, opened) in client.decrypt_all(&wrapped).into_iter().enumerate() {
        assert_eq!(opened.unwrap().expose(), format!("file key {number}").as_bytes());
    }
    assert_eq!(client.keys_fetched(), 2, "each key once");
}
