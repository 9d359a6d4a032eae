//! A backup product's whole conversation with the KMS, shaped as Veeam Backup & Replication holds it: KMIP 1.4 over
//! TLS 1.2 with ECDHE-RSA-AES-GCM. Its decoder accepts nothing that it does not expect, so each answer is compared as a
//! whole: these items, in this order, and no others.
//!
//! Numbers stand here as the specification's tables have them (1.4 section 9.1.3.2).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod ttlv;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kms_protocol::Tag;
use kms_tests::process::{Server, finish};
use kms_tests::repository::program;
use kms_tests::tls::{Stream, config_of_suites, connect};
use rsa::oaep::{DecryptingKey, EncryptingKey};
use rsa::pkcs1::{DecodeRsaPrivateKey as _, DecodeRsaPublicKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rsa::traits::{Decryptor as _, PublicKeyParts as _, RandomizedEncryptor as _};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::{CipherSuite, HandshakeKind};
use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::common::getrandom::SysRng;

use ttlv::{Node, Value, bytes, enumeration, exchange, integer, structure, text};

const CREATE_KEY_PAIR: u32 = 0x02;
const LOCATE: u32 = 0x08;
const GET: u32 = 0x0A;
const GET_ATTRIBUTES: u32 = 0x0B;
const ACTIVATE: u32 = 0x12;
const REVOKE: u32 = 0x13;
const DESTROY: u32 = 0x14;
const QUERY: u32 = 0x18;
const DECRYPT: u32 = 0x20;

const PUBLIC_KEY: u32 = 3;
const PRIVATE_KEY: u32 = 4;
const RSA: u32 = 4;
const PKCS_1: u32 = 3;
const PKCS_8: u32 = 4;
const X_509: u32 = 5;
const OAEP: u32 = 2;
const SHA_1: u32 = 4;
const SHA_256: u32 = 6;

const SUCCESS: u32 = 0;
const OPERATION_FAILED: u32 = 1;
const ITEM_NOT_FOUND: u32 = 1;
const ILLEGAL_OPERATION: u32 = 0x0B;

const SUITES: [CipherSuite; 2] =
    [CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];

/// The backup product's side of a connection.
struct Product(Stream);

impl Product {
    /// Sends one operation and returns the batch item that answers it, after checking all around it.
    fn exchange(&mut self, operation: u32, payload: Vec<Node>) -> Vec<Node> {
        let version = structure(
            Tag::PROTOCOL_VERSION,
            [integer(Tag::PROTOCOL_VERSION_MAJOR, 1), integer(Tag::PROTOCOL_VERSION_MINOR, 4)],
        );
        let item = [enumeration(Tag::OPERATION, operation), structure(Tag::REQUEST_PAYLOAD, payload)];
        let request = structure(
            Tag::REQUEST_MESSAGE,
            [
                structure(Tag::REQUEST_HEADER, [version.clone(), integer(Tag::BATCH_COUNT, 1)]),
                structure(Tag::BATCH_ITEM, item),
            ],
        );
        let response = exchange(&mut self.0, &request).into_items(Tag::RESPONSE_MESSAGE);
        let [header, item] = <[Node; 2]>::try_from(response).expect("a header and one item");
        let header = header.into_items(Tag::RESPONSE_HEADER);
        let Value::DateTime(now) = header[1].value else { panic!("a time in {header:?}") };
        assert!(now > 1_700_000_000, "{now} is long ago");
        let time_stamp = Node { tag: Tag::TIME_STAMP, value: Value::DateTime(now) };
        assert_eq!(header, [version, time_stamp, integer(Tag::BATCH_COUNT, 1)]);
        let item = item.into_items(Tag::BATCH_ITEM);
        assert_eq!(item[0], enumeration(Tag::OPERATION, operation));
        item
    }

    /// The payload of the answer to an operation that has to succeed.
    fn ask(&mut self, operation: u32, payload: impl Into<Vec<Node>>) -> Vec<Node> {
        let mut item = self.exchange(operation, payload.into());
        let payload = item.pop().expect("a payload").into_items(Tag::RESPONSE_PAYLOAD);
        let around = [enumeration(Tag::OPERATION, operation), enumeration(Tag::RESULT_STATUS, SUCCESS)];
        assert_eq!(item, around);
        payload
    }

    /// The Result Reason of the answer to an operation that has to fail.
    fn is_refused(&mut self, operation: u32, payload: impl Into<Vec<Node>>, reason: u32) {
        let mut item = self.exchange(operation, payload.into());
        let message = item.pop().expect("a message").into_text(Tag::RESULT_MESSAGE);
        assert!(!message.is_empty());
        let around = [
            enumeration(Tag::OPERATION, operation),
            enumeration(Tag::RESULT_STATUS, OPERATION_FAILED),
            enumeration(Tag::RESULT_REASON, reason),
        ];
        assert_eq!(item, around);
    }

    /// Get in a format, with the key's bytes out of an answer that holds nothing but them and what they are.
    fn get(&mut self, id: &str, object_type: u32, format: u32) -> Vec<u8> {
        let mut payload =
            self.ask(GET, [text(Tag::UNIQUE_IDENTIFIER, id), enumeration(Tag::KEY_FORMAT_TYPE, format)]);
        let tag = if object_type == PUBLIC_KEY { Tag::PUBLIC_KEY } else { Tag::PRIVATE_KEY };
        let mut object = payload.pop().expect("the object").into_items(tag);
        let around = [enumeration(Tag::OBJECT_TYPE, object_type), text(Tag::UNIQUE_IDENTIFIER, id)];
        assert_eq!(payload, around);
        let block = object.pop().expect("a key block").into_items(Tag::KEY_BLOCK);
        assert!(object.is_empty(), "{object:?}");
        let value = block.get(1).cloned().expect("a key value").into_items(Tag::KEY_VALUE);
        let [material] = <[Node; 1]>::try_from(value.clone()).expect("Key Material alone");
        let around = [
            enumeration(Tag::KEY_FORMAT_TYPE, format),
            structure(Tag::KEY_VALUE, value),
            enumeration(Tag::CRYPTOGRAPHIC_ALGORITHM, RSA),
            integer(Tag::CRYPTOGRAPHIC_LENGTH, 4096),
        ];
        assert_eq!(block, around);
        material.into_bytes(Tag::KEY_MATERIAL)
    }

    /// Decrypt with OAEP; the mask's hash is left out.
    fn decrypt(&mut self, id: &str, hash: u32, ciphertext: &[u8]) -> Vec<u8> {
        let parameters = [
            enumeration(Tag::PADDING_METHOD, OAEP),
            enumeration(Tag::HASHING_ALGORITHM, hash),
            enumeration(Tag::CRYPTOGRAPHIC_ALGORITHM, RSA),
        ];
        let request = [
            text(Tag::UNIQUE_IDENTIFIER, id),
            structure(Tag::CRYPTOGRAPHIC_PARAMETERS, parameters),
            bytes(Tag::DATA, ciphertext),
        ];
        let payload = self.ask(DECRYPT, request);
        let [key, data] = <[Node; 2]>::try_from(payload).expect("an ID and data");
        assert_eq!(key, text(Tag::UNIQUE_IDENTIFIER, id));
        data.into_bytes(Tag::DATA)
    }

    /// An operation on an object whose answer is the object's ID.
    fn on(&mut self, operation: u32, id: &str, more: impl IntoIterator<Item = Node>) {
        let mut request = vec![text(Tag::UNIQUE_IDENTIFIER, id)];
        request.extend(more);
        assert_eq!(self.ask(operation, request), [text(Tag::UNIQUE_IDENTIFIER, id)]);
    }

    fn create_pair(&mut self, name: &str, bits: i32) -> (String, String) {
        let half = |suffix: &str, usage| {
            [
                attribute("Name", name_value(&format!("{name}-{suffix}"))),
                attribute("Cryptographic Usage Mask", Value::Integer(usage)),
            ]
        };
        let common = [
            attribute("Cryptographic Algorithm", Value::Enumeration(RSA)),
            attribute("Cryptographic Length", Value::Integer(bits)),
        ];
        let request = [
            structure(Tag::COMMON_TEMPLATE_ATTRIBUTE, common),
            structure(Tag::PRIVATE_KEY_TEMPLATE_ATTRIBUTE, half("private", 0x08 | 0x20)),
            structure(Tag::PUBLIC_KEY_TEMPLATE_ATTRIBUTE, half("public", 0x04 | 0x10)),
        ];
        let payload = self.ask(CREATE_KEY_PAIR, request);
        let [private, public] = <[Node; 2]>::try_from(payload).expect("two IDs");
        (
            private.into_text(Tag::PRIVATE_KEY_UNIQUE_IDENTIFIER),
            public.into_text(Tag::PUBLIC_KEY_UNIQUE_IDENTIFIER),
        )
    }

    /// Locate by Name: its connection test.
    fn locate(&mut self, name: &str) -> Vec<Node> {
        self.ask(LOCATE, [attribute("Name", name_value(name))])
    }
}

/// An Attribute of 1.x, without an index.
fn attribute(name: &str, value: Value) -> Node {
    structure(Tag::ATTRIBUTE, [text(Tag::ATTRIBUTE_NAME, name), Node { tag: Tag::ATTRIBUTE_VALUE, value }])
}

fn name_value(name: &str) -> Value {
    Value::Structure(vec![text(Tag::NAME_VALUE, name), enumeration(Tag::NAME_TYPE, 1)])
}

/// Connects as the product does, and checks that the server showed its RSA certificate.
fn connect_by_rsa(server: &Server) -> Product {
    let config = Arc::new(config_of_suites(&server.pki(), "client", &SUITES));
    let stream = connect(&config, &server.listen);
    let suite = stream.conn.negotiated_cipher_suite().expect("a cipher suite");
    assert_eq!(suite.suite(), SUITES[0]);
    Product(stream)
}

#[test]
fn the_server_says_what_it_is() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let mut product = connect_by_rsa(&server);
    let functions = [1, 2, 3].map(|function| enumeration(Tag::QUERY_FUNCTION, function));
    let mut answer = product.ask(QUERY, functions);
    let more = answer.pop().expect("server information").into_items(Tag::SERVER_INFORMATION);
    assert!(more.is_empty(), "{more:?}");
    let vendor = answer.pop().expect("a vendor").into_text(Tag::VENDOR_IDENTIFICATION);
    assert!(vendor.starts_with("kms-server "), "{vendor}");
    let types = answer.iter().position(|item| item.tag == Tag::OBJECT_TYPE).expect("object types");
    let operations = &answer[..types];
    for needed in [CREATE_KEY_PAIR, LOCATE, GET, GET_ATTRIBUTES, ACTIVATE, REVOKE, DESTROY, QUERY, DECRYPT] {
        assert!(operations.contains(&enumeration(Tag::OPERATION, needed)), "{needed:X} in {operations:?}");
    }
    assert!(operations.iter().all(|item| item.tag == Tag::OPERATION));
    let types = &answer[types..];
    assert!(types.iter().all(|item| item.tag == Tag::OBJECT_TYPE), "{types:?}");
    for needed in [PUBLIC_KEY, PRIVATE_KEY] {
        assert!(types.contains(&enumeration(Tag::OBJECT_TYPE, needed)), "{needed} in {types:?}");
    }
    // Object types are left out where they are not asked for.
    let answer = product.ask(QUERY, [enumeration(Tag::QUERY_FUNCTION, 1)]);
    assert!(answer.iter().all(|item| item.tag == Tag::OPERATION), "{answer:?}");
}

#[test]
fn a_job_gets_its_key_pair_decrypts_with_it_and_gives_it_back() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let mut product = connect_by_rsa(&server);
    assert!(product.locate("job-public").is_empty(), "an empty payload");
    let (private, public) = product.create_pair("job", 4096);
    product.on(ACTIVATE, &private, []);
    product.on(ACTIVATE, &public, []);
    assert_eq!(product.locate("job-public"), [text(Tag::UNIQUE_IDENTIFIER, &public)]);

    // The private key is found by the public key's Link.
    let request = [text(Tag::UNIQUE_IDENTIFIER, &public), text(Tag::ATTRIBUTE_NAME, "Link")];
    let to_private = Value::Structure(vec![
        enumeration(Tag::LINK_TYPE, 0x103),
        text(Tag::LINKED_OBJECT_IDENTIFIER, &private),
    ]);
    let expected = [text(Tag::UNIQUE_IDENTIFIER, &public), attribute("Link", to_private)];
    assert_eq!(product.ask(GET_ATTRIBUTES, request), expected);

    let key = rsa::PublicKey::from_pkcs1_der(&product.get(&public, PUBLIC_KEY, PKCS_1)).expect("PKCS#1");
    let same = rsa::PublicKey::from_public_key_der(&product.get(&public, PUBLIC_KEY, X_509)).expect("X.509");
    assert_eq!(key, same);
    assert_eq!(key.n().bit_width(), 4096);

    let data_key = [0x5A; 32];
    let by_sha1 = key.oaep_encrypt::<Sha1>(&data_key).expect("encrypted");
    assert_eq!(product.decrypt(&private, SHA_1, &by_sha1), data_key);
    // The mask's hash is SHA-1 where it is not stated, whatever the other is (section 3.6).
    let by_sha256 = EncryptingKey::<Sha256, Sha1>::new(key).encrypt_with_rng(&mut SysRng, &data_key);
    let by_sha256 = by_sha256.expect("encrypted");
    assert_eq!(product.decrypt(&private, SHA_256, &by_sha256), data_key);

    // What it does against a KMS that cannot decrypt: fetch the private key and decrypt itself.
    let pkcs1 = product.get(&private, PRIVATE_KEY, PKCS_1);
    let pkcs1 = rsa::PrivateKey::from_pkcs1_der(&pkcs1).expect("PKCS#1");
    let pkcs8 = product.get(&private, PRIVATE_KEY, PKCS_8);
    let pkcs8 = rsa::PrivateKey::from_pkcs8_der(&pkcs8).expect("PKCS#8");
    assert_eq!(pkcs1, pkcs8);
    assert_eq!(DecryptingKey::<Sha1>::new(pkcs1).decrypt(&by_sha1).expect("decrypted"), data_key);
    let mixed = DecryptingKey::<Sha256, Sha1>::new(pkcs8);
    assert_eq!(mixed.decrypt(&by_sha256).expect("decrypted"), data_key);

    let cessation = [enumeration(Tag::REVOCATION_REASON_CODE, 6)];
    for id in [&private, &public] {
        product.on(REVOKE, id, [structure(Tag::REVOCATION_REASON, cessation.clone())]);
        product.on(DESTROY, id, []);
        product.is_refused(GET, [text(Tag::UNIQUE_IDENTIFIER, id)], ILLEGAL_OPERATION);
    }
}

#[test]
fn a_resumed_session_keeps_its_identity() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    issue_client(state.path(), "other");
    let owned = {
        let mut product = connect_by_rsa(&server);
        product.create_pair("resumed", 2048).1
    };
    for how in [Tls12Resumption::SessionIdOnly, Tls12Resumption::SessionIdOrTickets] {
        for (client, owns) in [("client", true), ("other", false)] {
            let mut config = config_of_suites(&server.pki(), client, &SUITES);
            config.resumption = Resumption::in_memory_sessions(8).tls12_resumption(how);
            let config = Arc::new(config);
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
                let mut product = Product(connect(&config, &server.listen));
                assert_eq!(product.0.conn.handshake_kind(), Some(kind), "{how:?}");
                let id = [text(Tag::UNIQUE_IDENTIFIER, &owned)];
                if owns {
                    product.ask(GET, id);
                } else {
                    product.is_refused(GET, id, ITEM_NOT_FOUND);
                }
            }
        }
    }
}

/// Another client of the same authority.
fn issue_client(state: &Path, name: &str) {
    let mut command = Command::new(program("kms-server"));
    command.args(["certs", "client", name, "--state"]).arg(state);
    let _ = finish(&mut command).success();
}
