//! The project's own client against the real server in each version: a job's key pair, its rotation and decryption.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use kms_client::{Finding, IssuedKey, KeySpec, KnownKey, WrappedKey};
use kms_protocol::Version;
use kms_protocol::enums::HashingAlgorithm;
use kms_tests::keys;
use kms_tests::process::Server;

const FILE_KEY: &[u8] = b"sixteen byte key";

#[test]
fn a_job_lives_in_1_2() {
    check(Version::V1_2);
}

#[test]
fn a_job_lives_in_1_3() {
    check(Version::V1_3);
}

#[test]
fn a_job_lives_in_1_4() {
    check(Version::V1_4);
}

#[test]
fn a_job_lives_in_2_0() {
    check(Version::V2_0);
}

#[test]
fn a_job_lives_in_2_1() {
    check(Version::V2_1);
}

fn check(version: Version) {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let client = server.client(version);
    let old = client.request_key("job", KeySpec::Rsa2048).expect("a key pair");
    assert_eq!(old.version, version, "the version that was asked for");
    let backup = wrap(&old);
    let known = KnownKey {
        public_id: old.public_id.clone(),
        private_id: old.private_id.clone(),
        name: "job".to_owned(),
        spec: KeySpec::Rsa2048,
    };
    let findings = client.rotation_info(std::slice::from_ref(&known)).expect("findings");
    assert!(matches!(findings.as_slice(), [Finding::Unchanged]), "{findings:?}");

    let _ = server.ctl(&["clock", "advance", "91d", "--json"]).success();
    let findings = client.rotation_info(std::slice::from_ref(&known)).expect("findings");
    let [Finding::Rotated { generations: 1, newest }] = findings.as_slice() else {
        panic!("rotated once, not {findings:?}")
    };
    assert_ne!(newest.private_id, old.private_id);
    assert_ne!(newest.public_key_spki, old.public_key_spki);
    let found = client.find_key("job", KeySpec::Rsa2048).expect("found").expect("the name has moved");
    assert_eq!(found, *newest);

    // Each backup is opened by the key that it names; one asked of the wrong key is not, and does not spoil the rest.
    let misdirected = WrappedKey { private_id: newest.private_id.clone(), ..backup.clone() };
    let opened = client.decrypt_all(&[backup, misdirected, wrap(newest)]);
    assert_eq!(opened[0].as_ref().expect("the old key decrypts").expose(), FILE_KEY);
    opened[1].as_ref().expect_err("another key's ciphertext");
    assert_eq!(opened[2].as_ref().expect("the new key decrypts").expose(), FILE_KEY);
    assert_eq!(client.keys_fetched(), 0, "the KMS decrypts in every version");
    assert_eq!(client.version().expect("a version"), version, "throughout");
}

/// A file key encrypted for a pair, as its version allows: the mask's hash can be stated from 1.4 on.
fn wrap(key: &IssuedKey) -> WrappedKey {
    let hash = if key.version >= Version::V1_4 { HashingAlgorithm::Sha256 } else { HashingAlgorithm::Sha1 };
    keys::wrap(key, hash, FILE_KEY)
}
