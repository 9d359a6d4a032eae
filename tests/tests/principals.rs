//! Who a certificate stands for, over real TLS: whoever renews it keeps the keys, others do not even see them, roles may do
//! what they may, and certificates go by the real time whatever the server's clock says.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::time::SystemTime;

use kms_certs::{Authority, KeyKind, Request};
use kms_client::blocking::Client;
use kms_client::{Error, IssuedKey, KeySpec, Profile};
use kms_protocol::attribute::{Attribute, AttributeList, Name};
use kms_protocol::enums::ResultReason;
use kms_protocol::operation::LocateRequest;
use kms_tests::keys;
use kms_tests::process::Server;

const CONFIG: &str = r#"
ready-pairs = 0

[[principal]]
name = "veeam"
subject = "CN=veeam*"

[[access]]
principals = "auditor"
owners = ["veeam"]
operations = ["Locate", "Get Attributes"]
"#;

struct Bench {
    server: Server,
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        fs::create_dir_all(&state).expect("the state folder");
        fs::write(state.join("kms.toml"), CONFIG).expect("kms.toml");
        let server = Server::start(&state, "127.0.0.1:0");
        let read = |name: &str| fs::read_to_string(server.pki().join(name)).expect("a PEM file");
        let authority = Authority::load(&read("ca.pem"), &read("ca.key")).expect("the server's authority");
        Self { server, folder, authority }
    }

    /// A client with a new certificate of this name.
    fn client(&self, name: &str, key: KeyKind) -> Client {
        let issued = self.authority.issue(&Request::client(name).key(key), SystemTime::now());
        let stem = format!("{name}-{}", fs::read_dir(self.folder.path()).expect("the folder").count());
        issued.expect("a certificate").write(self.folder.path(), &stem).expect("its files");
        let own = Profile::load(&self.server.profile()).expect("a profile");
        let file = |ending: &str| self.folder.path().join(format!("{stem}.{ending}"));
        let profile = Profile { certificate: file("pem"), key: file("key"), ..own };
        Client::new(profile.builder().build().expect("a client")).expect("a runtime")
    }
}

fn encrypt(client: &Client, key: &IssuedKey) -> Vec<u8> {
    keys::encrypt(client, &key.public_id, b"text").expect("encrypted")
}

fn decrypt(client: &Client, key: &IssuedKey, ciphertext: &[u8]) -> Result<Vec<u8>, Error> {
    keys::decrypt(client, &key.private_id, ciphertext).map(|opened| opened.expose().to_vec())
}

fn located(client: &Client, name: &str) -> usize {
    let name = Attribute::Name(Name::text(name));
    let request = LocateRequest { attributes: AttributeList(vec![name]), ..LocateRequest::default() };
    client.locate(&request).expect("located").unique_identifiers.len()
}

fn reason(result: Result<Vec<u8>, Error>) -> Option<ResultReason> {
    match result {
        Err(Error::Refused(refusal) | Error::NoSuchKey(refusal)) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_renewed_certificate_keeps_the_keys_and_a_role_may_do_what_it_may() {
    let bench = Bench::new();
    let first = bench.client("veeam-01", KeyKind::EcdsaP256);
    let key = first.request_key("job", KeySpec::Rsa2048).expect("a pair");
    let closed = encrypt(&first, &key);
    for (name, kind) in [("veeam-01", KeyKind::Rsa2048), ("veeam-02", KeyKind::EcdsaP256)] {
        let other = bench.client(name, kind);
        assert_eq!(decrypt(&other, &key, &closed).expect("the same principal"), b"text", "{name}");
    }
    let stranger = bench.client("stranger", KeyKind::EcdsaP256);
    assert_eq!(reason(decrypt(&stranger, &key, &closed)), Some(ResultReason::ItemNotFound));
    assert_eq!(located(&stranger, "job-private"), 0);
    stranger.request_key("job", KeySpec::Rsa2048).expect("a Name is unique for its owner alone");
    let auditor = bench.client("auditor", KeyKind::EcdsaP256);
    assert_eq!(located(&auditor, "job-private"), 1, "veeam's, and not the stranger's");
    assert_eq!(reason(decrypt(&auditor, &key, &closed)), Some(ResultReason::PermissionDenied));
}

#[test]
fn certificates_go_by_the_real_time() {
    let bench = Bench::new();
    let client = bench.client("veeam-01", KeyKind::EcdsaP256);
    let key = client.request_key("job", KeySpec::Rsa2048).expect("a pair");
    let closed = encrypt(&client, &key);
    // Far behind the end of every certificate of the server's and the client's.
    let _ = bench.server.ctl(&["clock", "advance", "20000d"]).success();
    let later = bench.client("veeam-01", KeyKind::EcdsaP256);
    assert_eq!(decrypt(&later, &key, &closed).expect("served"), b"text");
}
