//! `docs/kmip-support.md` says what the server does: held against what it tells a client of each version, and against what its
//! cryptography takes.
//!
//! `KMS_WRITE_DOCS=1 cargo test -p kms-tests --test kmip_support` writes the tables anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use kms_client::{Connection, Profile};
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{
    BlockCipherMode, CryptographicAlgorithm, Enumeration, HashingAlgorithm, Operation, PaddingMethod,
    QueryFunction,
};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{QueryRequest, QueryResponse, brought_by};
use kms_protocol::ttlv::Value as _;
use kms_protocol::{Secret, Version};
use kms_server::crypto::mac::Coder;
use kms_server::crypto::signature::Scheme;
use kms_server::crypto::{Cipher, KeyPair, KeySpec, Oaep, PrivateKey, PublicKey, format, generate, hash};
use kms_tests::process::Server;
use kms_tests::repository::root;
use tokio::runtime::Builder;
use tokio::time::Instant;

const VERSIONS: [Version; 7] =
    [Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4, Version::V2_0, Version::V2_1];

/// Between these lines stands what this test writes.
const START: &str = "<!-- operations: held against the server by tests/tests/kmip_support.rs -->\n";
const END: &str = "<!-- end of operations -->\n";
const ALGORITHMS_START: &str =
    "<!-- algorithms: held against the server's cryptography by tests/tests/kmip_support.rs -->\n";
const ALGORITHMS_END: &str = "<!-- end of algorithms -->\n";

/// The operations that the server tells a client of this version.
fn told(server: &Server, version: Version) -> Vec<Operation> {
    let connector = Profile::load(&server.profile()).expect("a profile").builder().connector().expect("TLS");
    let mut request = RequestBuilder::new(RequestHeader::new(version));
    request.push(&QueryRequest::from(vec![QueryFunction::QueryOperations]), None);
    let request = request.finish();
    let answer = Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut connection = Connection::over(connector.connect().await.expect("TLS"), connector.address());
        let deadline = Instant::now() + Duration::from_secs(60);
        connection.exchange(request.expose(), deadline).await.expect("an answer")
    });
    let answer = ResponseMessage::read(answer.expose()).expect("a response");
    let payload = answer.items.into_iter().next().and_then(|item| item.payload).expect("a payload");
    QueryResponse::read(payload).expect("a Query response").operations
}

fn table() -> String {
    let state = tempfile::tempdir().expect("a folder");
    let server = Server::start(state.path(), "127.0.0.1:0");
    let told = VERSIONS.map(|version| told(&server, version));
    let mut out = String::from("| Operation |");
    for version in VERSIONS {
        let _ = write!(out, " {version} |");
    }
    let _ = writeln!(out, "\n| --- |{}", " --- |".repeat(VERSIONS.len()));
    for operation in Operation::ALL {
        let _ = write!(out, "| {operation} |");
        for (version, told) in VERSIONS.into_iter().zip(&told) {
            let exists = brought_by(*operation) <= version;
            assert!(exists || !told.contains(operation), "{operation} is newer than {version}");
            let mark = match (exists, told.contains(operation)) {
                (false, _) => "",
                (true, true) => "yes",
                (true, false) => "no",
            };
            let _ = write!(out, " {mark} |");
        }
        out.push('\n');
    }
    out
}

/// What of a table of the specification is offered.
fn offered<E: Enumeration + core::fmt::Display>(is_offered: impl Fn(E) -> bool) -> String {
    let all = E::ALL.iter().copied().filter(|one| is_offered(*one));
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

/// The hashes that a pair signs with under these parameters.
fn hashes(pair: &KeyPair, padding: Option<PaddingMethod>) -> String {
    let private = PrivateKey::from_pkcs8(&pair.private).expect("a private key");
    offered(|stated: HashingAlgorithm| {
        let how = CryptographicParameters {
            padding_method: padding,
            hashing_algorithm: Some(stated),
            ..CryptographicParameters::default()
        };
        let Ok(scheme) = Scheme::new(private.algorithm(), None, &how) else { return false };
        hash::digest(stated, b"").is_ok_and(|digest| private.sign(&scheme, &digest).is_ok())
    })
}

fn pair_row(name: &str, pair: &KeyPair) -> String {
    let private = PrivateKey::from_pkcs8(&pair.private).expect("a private key");
    let public = PublicKey::from_spki(&pair.public).expect("a public key");
    let mut does = Vec::new();
    if Oaep::new(None, None, b"").and_then(|oaep| public.encrypt(&oaep, b"x")).is_ok() {
        does.push("OAEP, PKCS#1 v1.5".to_owned());
    }
    let paddings: &[_] = match private.algorithm() {
        CryptographicAlgorithm::Rsa => {
            &[(" by PKCS#1 v1.5", Some(PaddingMethod::Pkcs1V1_5)), (" by PSS", Some(PaddingMethod::Pss))]
        }
        _ => &[("", None)],
    };
    for (how, padding) in paddings.iter().copied() {
        match hashes(pair, padding) {
            hashes if hashes.is_empty() => {}
            hashes => does.push(format!("signs{how} with {hashes}")),
        }
    }
    let whole = Scheme::new(private.algorithm(), None, &CryptographicParameters::default());
    if whole.is_ok_and(|scheme| !scheme.takes_digest() && private.sign(&scheme, b"data").is_ok()) {
        does.push("signs data".to_owned());
    }
    if private.agree(&public).is_ok() {
        does.push("agrees (Derive Key, Asymmetric Key)".to_owned());
    }
    let mut formats = vec!["PKCS#8", "PKCS#12", "X.509"];
    formats.extend(format::pkcs8_to_pkcs1(&pair.private).ok().map(|_| "PKCS#1"));
    formats.extend(format::pkcs8_to_sec1(&pair.private).ok().map(|_| "EC Private Key"));
    formats.extend(format::rsa_private_parts(&pair.private).ok().map(|_| "Transparent RSA"));
    formats.extend(format::ec_private_scalar(&pair.private).ok().map(|_| "Transparent EC, ECDSA, ECDH"));
    format!("| {name} | {} | {} |\n", does.join("; "), formats.join(", "))
}

fn algorithms() -> String {
    let mut out = String::from("| Pair | What it does | Formats |\n| --- | --- | --- |\n");
    // All RSA pairs do the same; one of them is quick to make.
    let (quick, rsa): (Vec<KeySpec>, Vec<KeySpec>) =
        KeySpec::ALL.into_iter().partition(|spec| spec.is_quick());
    let names: Vec<String> = rsa.iter().map(ToString::to_string).collect();
    out += &pair_row(&names.join(", "), &generate(KeySpec::Rsa2048).expect("a pair"));
    for spec in quick {
        out += &pair_row(&spec.to_string(), &generate(spec).expect("a pair"));
    }
    out += "\n| Key | Block Cipher Modes |\n| --- | --- |\n";
    let with =
        |mode| CryptographicParameters { block_cipher_mode: mode, ..CryptographicParameters::default() };
    for algorithm in CryptographicAlgorithm::ALL {
        let without = Cipher::new(*algorithm, &with(None)).is_ok();
        let mut modes = offered(|mode: BlockCipherMode| {
            let wraps = matches!(mode, BlockCipherMode::NistKeyWrap | BlockCipherMode::AesKeyWrapPadding);
            Cipher::new(*algorithm, &with(Some(mode))).is_ok()
                || (wraps && *algorithm == CryptographicAlgorithm::Aes)
        });
        if without {
            modes = "none needed".to_owned();
        }
        if !modes.is_empty() {
            let _ = writeln!(out, "| {algorithm} | {modes} |");
        }
    }
    let key = Secret::new(vec![7; 24]);
    let codes =
        offered(|algorithm: CryptographicAlgorithm| Coder::new(Some(algorithm), &with(None), &key).is_ok());
    let cmac = offered(|algorithm: CryptographicAlgorithm| {
        Coder::new(Some(algorithm), &with(Some(BlockCipherMode::Cmac)), &key).is_ok()
            && Coder::new(Some(algorithm), &with(None), &key).is_err()
    });
    let hashes = offered(|algorithm: HashingAlgorithm| hash::start(algorithm).is_ok());
    let _ = writeln!(out, "\n| Work | Algorithms |\n| --- | --- |\n| Hash | {hashes} |");
    let _ = writeln!(out, "| MAC | {codes}; CMAC of {cmac} |");
    out
}

#[test]
fn the_documented_tables_are_what_the_server_does() {
    let path = root().join("docs/kmip-support.md");
    let document = fs::read_to_string(&path).expect("docs/kmip-support.md");
    let mut written = document.clone();
    for (start, end, table) in [(START, END, table()), (ALGORITHMS_START, ALGORITHMS_END, algorithms())] {
        let (before, rest) = written.split_once(start).expect("the start of a table");
        let (_, after) = rest.split_once(end).expect("the end of a table");
        written = format!("{before}{start}\n{table}\n{end}{after}");
    }
    if std::env::var_os("KMS_WRITE_DOCS").is_some() {
        fs::write(&path, written).expect("written");
        return;
    }
    assert_eq!(
        document, written,
        "KMS_WRITE_DOCS=1 cargo test -p kms-tests --test kmip_support writes it anew"
    );
}
