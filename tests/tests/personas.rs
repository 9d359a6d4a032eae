//! The client against every server that a development server can play: keys are made, rotations found and backups opened
//! by the ways that each of them leaves, and the doctor names what it lacks.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use kms_client::{Error, Finding, IssuedKey, KeySpec, KeyTravel, KnownKey, Profile, blocking};
use kms_protocol::Version;
use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences, CryptographicUsageMask,
    Link,
};
use kms_protocol::enums::{
    CryptographicAlgorithm, HashingAlgorithm, KeyFormatType, LinkType, ObjectType, Operation, QueryFunction,
    ResultReason, State,
};
use kms_protocol::operation::{
    CreateKeyPairRequest, GetAttributeListRequest, GetRequest, LocateRequest, QueryRequest,
};
use kms_server::persona;
use kms_tests::keys::{successor, wrap};
use kms_tests::process::{Client, Server, finish_within};
use kms_tests::repository::{program, root};
use tempfile::TempDir;

const SHA1: HashingAlgorithm = HashingAlgorithm::Sha1;
const SHA256: HashingAlgorithm = HashingAlgorithm::Sha256;

fn play(persona: &str) -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), "127.0.0.1:0", &["--persona", persona]);
    (server, folder)
}

fn client(server: &Server, travel: KeyTravel) -> blocking::Client {
    let profile = Profile::load(&server.profile()).unwrap();
    blocking::Client::new(profile.builder().key_travel(travel).build().unwrap()).unwrap()
}

/// What is expected of a persona.
struct Expected {
    persona: &'static str,
    /// Whether Re-key Key Pair rotates; otherwise a second pair in the group takes the first one's place.
    rekeys: bool,
    /// The OAEP hashes that it decrypts with; for others its private keys travel.
    decrypts: &'static [HashingAlgorithm],
    /// What the doctor names, besides the certificate's missing CRL distribution point.
    lacks: &'static [&'static str],
}

impl Expected {
    /// Leads a key through its life, then asks the doctor.
    fn holds(&self) {
        let (server, folder) = play(self.persona);
        let client = client(&server, KeyTravel::WhereNeeded);
        assert_eq!(client.version().unwrap(), Version::V1_4);
        let key = client.request_key("nightly", KeySpec::Rsa2048).unwrap();
        assert_eq!(client.find_key("nightly", KeySpec::Rsa2048).unwrap().as_ref(), Some(&key));
        let known = KnownKey {
            public_id: key.public_id.clone(),
            private_id: key.private_id.clone(),
            name: "nightly".to_owned(),
            spec: KeySpec::Rsa2048,
        };
        let unchanged = client.rotation_info(std::slice::from_ref(&known)).unwrap();
        assert!(matches!(unchanged.as_slice(), [Finding::Unchanged]), "{unchanged:?}");
        let newest = self.rotate(&client, &key, known);
        self.open(&client, &[&key, &newest]);
        self.restore(&server, folder.path());
        self.examine(&server);
    }

    /// Rotates the key in the way that there is, and returns what the client finds then.
    fn rotate(&self, client: &blocking::Client, key: &IssuedKey, known: KnownKey) -> IssuedKey {
        let made = if self.rekeys {
            let made = client.rotate_key(&key.private_id, KeySpec::Rsa2048).unwrap();
            (made.private_id, made.public_id)
        } else {
            let refused = client.rotate_key(&key.private_id, KeySpec::Rsa2048).unwrap_err();
            assert_eq!(refused.reason(), Some(ResultReason::OperationNotSupported), "{refused}");
            // Initial Dates are whole seconds.
            thread::sleep(Duration::from_millis(1_100));
            successor(client, "nightly")
        };
        let found = client.rotation_info(&[known]).unwrap().pop();
        let newest = match (self.rekeys, found) {
            (true, Some(Finding::Rotated { generations: 1, newest })) => newest,
            (false, Some(Finding::Moved { newest })) => newest,
            (_, found) => panic!("{}: {found:?}", self.persona),
        };
        assert_eq!((&newest.private_id, &newest.public_id), (&made.0, &made.1));
        newest
    }

    /// Opens what each key has encrypted with each hash. No key travels for what the server decrypts itself.
    fn open(&self, client: &blocking::Client, keys: &[&IssuedKey]) {
        for hash in [SHA1, SHA256] {
            let wrapped: Vec<_> = (0..20)
                .map(|at| wrap(keys.get(at % keys.len()).unwrap(), hash, text(at).as_bytes()))
                .collect();
            let before = client.keys_fetched();
            for (at, opened) in client.decrypt_all(&wrapped).into_iter().enumerate() {
                assert_eq!(opened.unwrap().expose(), text(at).as_bytes(), "{}", self.persona);
            }
            let travelled = client.keys_fetched() - before;
            let expected = if self.decrypts.contains(&hash) { 0 } else { keys.len() as u64 };
            assert_eq!(travelled, expected, "{}: keys fetched for OAEP with {hash}", self.persona);
        }
    }

    /// Makes a backup with the client's program and restores it, where private keys have to travel for that only once they
    /// may.
    fn restore(&self, server: &Server, folder: &Path) {
        let data = folder.join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("letter.txt"), "dear backup").unwrap();
        let program = Client::new(&folder.join("backup-side"), &server.profile());
        let path = |path: &Path| path.display().to_string();
        let _ = program.run(["job", "create", "weekly", "--key", "rsa-2048"]).success();
        let to = folder.join("backups");
        let made = program.run(["backup", "weekly", &path(&data), "--to", &path(&to)]).success().json();
        let file = made["file"].as_str().expect("the file").to_owned();
        let restored = folder.join("restored");
        let done = program.run(["restore", &file, "--to", &path(&restored)]);
        if self.decrypts.contains(&SHA256) {
            let _ = done.success();
        } else {
            assert_ne!(done.code, Some(0), "{}: {}", self.persona, done.stdout);
            let elsewhere = Client::new(&folder.join("elsewhere"), &server.profile());
            let _ = elsewhere.run(["server", "add", "lab", "--keys-may-travel"]).success();
            let _ = elsewhere.run(["restore", &file, "--to", &path(&restored)]).success();
        }
        assert_eq!(fs::read_to_string(restored.join("data/letter.txt")).unwrap(), "dear backup");
    }

    fn examine(&self, server: &Server) {
        let mut command = Command::new(program("kms-client"));
        command.args(["--json", "doctor", "--profile"]).arg(server.profile());
        let done = finish_within(&mut command, Duration::from_secs(60));
        let code = if self.lacks.is_empty() { 0 } else { 4 };
        assert_eq!(done.code, Some(code), "{}{}{}", done.stdout, done.stderr, server.log());
        let report = done.json();
        let all = report["lacks"].as_array().unwrap().iter();
        let lacks: Vec<_> = all.map(|lack| lack["what"].as_str().unwrap()).collect();
        assert_eq!(lacks, self.lacks, "{}", self.persona);
        let failed = report["entries"].as_array().unwrap().iter().find(|entry| entry["outcome"] == "failed");
        assert_eq!(failed, None, "{}", self.persona);
    }
}

fn text(at: usize) -> String {
    format!("file key {at}")
}

const BOTH: &[HashingAlgorithm] = &[SHA1, SHA256];

#[test]
fn pykmip_leaves_creation_location_and_keys_that_travel() {
    // The same as the real one lacks: tests/interop_pykmip_server.rs.
    let lacks = &[
        "TLS 1.2 with ECDHE-RSA-AES-GCM",
        "Re-key Key Pair",
        "Public Key and Private Key in Query's objects",
        "Links between the halves of a pair",
        "Decrypt with RSA-OAEP",
    ];
    Expected { persona: "pykmip", rekeys: false, decrypts: &[], lacks }.holds();
}

#[test]
fn cosmian_leaves_everything_but_get_of_what_was_rotated() {
    Expected { persona: "cosmian", rekeys: true, decrypts: BOTH, lacks: &[] }.holds();
}

#[test]
fn vault_leaves_everything_a_moment_later() {
    let lacks = &["Reads that show what was just written"];
    Expected { persona: "vault", rekeys: true, decrypts: BOTH, lacks }.holds();
}

#[test]
fn ovh_leaves_creation_location_and_keys_that_travel() {
    let lacks = &["Decrypt with RSA-OAEP", "Re-key Key Pair"];
    Expected { persona: "ovh", rekeys: false, decrypts: &[], lacks }.holds();
}

#[test]
fn ciphertrust_leaves_everything_to_whoever_is_not_idle() {
    Expected { persona: "ciphertrust", rekeys: true, decrypts: BOTH, lacks: &[] }.holds();
}

#[test]
fn an_idle_hsm_leaves_everything_to_whoever_is_not_idle() {
    Expected { persona: "idle-hsm", rekeys: true, decrypts: BOTH, lacks: &[] }.holds();
}

#[test]
fn veeam_strict_leaves_what_veeam_asks_for() {
    let lacks = &[
        "Re-key Key Pair",
        "Decrypt with OAEP SHA-256 with a mask of SHA-256",
        "Decrypt with OAEP SHA-256 with a mask of SHA-1",
        "Decrypt with OAEP SHA-384 with a mask of SHA-384",
        "Decrypt with OAEP SHA-512 with a mask of SHA-512",
    ];
    Expected { persona: "veeam-strict", rekeys: false, decrypts: &[SHA1], lacks }.holds();
}

fn reference(kind: AttributeKind) -> AttributeReference {
    AttributeReference::Standard(kind)
}

#[test]
fn pykmip_tells_of_few_attributes_and_takes_no_other_filters() {
    let (server, _folder) = play("pykmip");
    let client = client(&server, KeyTravel::Never);
    let key = client.request_key("nightly", KeySpec::Rsa2048).unwrap();
    let request = GetAttributeListRequest { unique_identifier: Some(key.public_id.as_str().into()) };
    let AttributeReferences(kept) = client.get_attribute_list(&request).unwrap().attributes;
    assert!(kept.contains(&reference(AttributeKind::Name)), "{kept:?}");
    for kind in [AttributeKind::Link, AttributeKind::ActivationDate, AttributeKind::Digest] {
        assert!(!kept.contains(&reference(kind)), "{kept:?}");
    }
    let link = Attribute::Link(Link::to(LinkType::PrivateKeyLink, "nobody"));
    let by_link = LocateRequest {
        attributes: AttributeList(vec![Attribute::ObjectType(ObjectType::PublicKey), link]),
        ..LocateRequest::default()
    };
    assert_eq!(client.locate(&by_link).unwrap().unique_identifiers, [key.public_id], "the Link is ignored");
    let wants = vec![QueryFunction::QueryOperations, QueryFunction::QueryServerInformation];
    let said = client.query(&QueryRequest::from(wants)).unwrap();
    assert_eq!(said.vendor_identification.as_deref(), Some("PyKMIP 0.11.0 Software Server"));
    assert!(said.operations.contains(&Operation::CreateKeyPair), "{:?}", said.operations);
    assert!(!said.operations.contains(&Operation::RekeyKeyPair), "{:?}", said.operations);
}

#[test]
fn cosmian_deactivates_what_it_rotates_and_keeps_it_to_itself() {
    let (server, _folder) = play("cosmian");
    let client = client(&server, KeyTravel::Never);
    let old = client.request_key("nightly", KeySpec::Rsa2048).unwrap();
    let get = GetRequest {
        unique_identifier: Some(old.private_id.as_str().into()),
        key_format_type: Some(KeyFormatType::Pkcs8),
        ..GetRequest::default()
    };
    client.get(&get).expect("an Active key may be fetched");
    let _ = server.ctl(&["clock", "advance", "91d"]).success();
    let known = KnownKey {
        public_id: old.public_id.clone(),
        private_id: old.private_id.clone(),
        name: "nightly".to_owned(),
        spec: KeySpec::Rsa2048,
    };
    let found = client.rotation_info(&[known]).unwrap();
    assert!(matches!(found.as_slice(), [Finding::Rotated { .. }]), "{found:?}");
    assert_eq!(server.state_of(&old.private_id), State::Deactivated);
    assert_eq!(client.get(&get).unwrap_err().reason(), Some(ResultReason::PermissionDenied));
    let opened = client.decrypt_all(&[wrap(&old, SHA256, text(0).as_bytes())]).pop().unwrap();
    assert_eq!(opened.unwrap().expose(), text(0).as_bytes());
}

#[test]
fn vault_shows_a_new_key_to_the_second_who_asks() {
    let (server, _folder) = play("vault");
    let client = client(&server, KeyTravel::Never);
    let request = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(2048),
        ]
        .into(),
        private_key: vec![Attribute::CryptographicUsageMask(CryptographicUsageMask::DECRYPT)].into(),
        public_key: vec![Attribute::CryptographicUsageMask(CryptographicUsageMask::ENCRYPT)].into(),
        ..CreateKeyPairRequest::default()
    };
    let made = client.create_key_pair(&request).unwrap();
    let public = made.public_key_unique_identifier;
    let get = GetRequest { unique_identifier: Some(public.as_str().into()), ..GetRequest::default() };
    assert!(matches!(client.get(&get), Err(Error::NoSuchKey(_))));
    assert_eq!(client.get(&get).unwrap().unique_identifier, public);
    let all = LocateRequest {
        attributes: AttributeList(vec![Attribute::ObjectType(ObjectType::PrivateKey)]),
        ..LocateRequest::default()
    };
    assert_eq!(client.locate(&all).unwrap().unique_identifiers, [""; 0]);
    let found = client.locate(&all).unwrap().unique_identifiers;
    assert_eq!(found, [made.private_key_unique_identifier]);
}

#[test]
fn a_client_that_comes_back_to_an_hsm_after_a_while_does_not_notice_that_it_was_dropped() {
    let (server, _folder) = play("idle-hsm:1s");
    let client = client(&server, KeyTravel::Never);
    let key = client.request_key("nightly", KeySpec::Rsa2048).unwrap();
    for round in 0..2 {
        let dropped = server.log().matches("dropped without a word").count();
        let opened = client.decrypt_all(&[wrap(&key, SHA256, text(round).as_bytes())]).pop().unwrap();
        assert_eq!(opened.unwrap().expose(), text(round).as_bytes());
        let end = Instant::now() + Duration::from_secs(30);
        while server.log().matches("dropped without a word").count() == dropped {
            assert!(Instant::now() < end, "the HSM keeps idle connections: {}", server.log());
            thread::sleep(Duration::from_millis(20));
        }
        // What must not be repeated is asked over a fresh connection.
        client.request_key(&format!("weekly-{round}"), KeySpec::Rsa2048).unwrap();
    }
}

#[test]
fn only_a_development_server_plays_and_only_what_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let mut command = Command::new(program("kms-server"));
        let done = finish_within(command.args(arguments).current_dir(&folder), Duration::from_secs(30));
        assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
        done.stderr
    };
    let refused = said(&["run", "--persona", "pykmip"]);
    assert!(refused.contains("unexpected argument '--persona'"), "{refused}");
    let unknown = said(&["dev", "--persona", "nobody"]);
    for row in persona::ALL {
        assert!(unknown.contains(row.name), "{unknown}");
    }
    assert!(said(&["dev", "--persona", "vault:5s"]).contains("leave the time out"));
    assert!(said(&["dev", "--persona", "idle-hsm:soon"]).contains("write it like 30s"));
    assert!(said(&["dev", "--persona", "idle-hsm:0s"]).contains("a second at least"));
}

#[test]
fn every_deviation_stands_in_the_documentation_with_its_source() {
    let documented = fs::read_to_string(root().join("docs/personas.md")).unwrap();
    let rows = documented.lines().filter(|line| line.starts_with("| `")).count();
    let all: Vec<_> = persona::ALL
        .iter()
        .flat_map(|row| row.deviations.iter().map(move |deviation| (row, deviation)))
        .collect();
    for (row, deviation) in &all {
        let line = format!("| `{}` | {} | {} |", row.name, deviation.says, deviation.source);
        assert!(documented.contains(&line), "docs/personas.md lacks:\n{line}");
    }
    assert_eq!(rows, all.len(), "docs/personas.md says more than the server does");
}
