//! The crate kmip-protocol as an independent client of the real server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use kms_protocol::enums::State;
use kms_tests::process::{Server, finish_within};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;

#[test]
fn every_operation_that_the_crate_has_is_done() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let mut client = Command::new(env!("CARGO_BIN_EXE_kmip_protocol_client"));
    client.arg(&server.listen).arg(server.pki()).arg("foreign");
    let done = finish_within(&mut client, Duration::from_secs(30)).success().json();
    let field = |name: &str| done.get(name).and_then(|value| value.as_str()).expect("a text").to_owned();

    let key = hex::decode(field("key")).expect("hexadecimal");
    let key = rsa::PublicKey::from_pkcs1_der(&key).expect("a public key");
    assert_eq!(key.n().bit_width(), 2048);

    for half in ["private", "public"] {
        // Attributes outlive the key.
        assert_eq!(server.state_of(&field(half)), State::Destroyed, "{half}");
    }
}
