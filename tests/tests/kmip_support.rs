//! `docs/kmip-support.md` says what the server does: held against what it tells a client of each version.
//!
//! `KMS_WRITE_DOCS=1 cargo test -p kms-tests --test kmip_support` writes the table anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use kms_client::{Connection, Profile};
use kms_protocol::Version;
use kms_protocol::enums::{Enumeration as _, Operation, QueryFunction};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{QueryRequest, QueryResponse, brought_by};
use kms_protocol::ttlv::Value as _;
use kms_tests::process::Server;
use kms_tests::repository::root;
use tokio::runtime::Builder;
use tokio::time::Instant;

const VERSIONS: [Version; 7] =
    [Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4, Version::V2_0, Version::V2_1];

/// Between these lines stands what this test writes.
const START: &str = "<!-- operations: held against the server by tests/tests/kmip_support.rs -->\n";
const END: &str = "<!-- end of operations -->\n";

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

#[test]
fn the_documented_operations_are_those_that_the_server_tells_of() {
    let path = root().join("docs/kmip-support.md");
    let document = fs::read_to_string(&path).expect("docs/kmip-support.md");
    let (before, rest) = document.split_once(START).expect("the start of the table");
    let (documented, after) = rest.split_once(END).expect("the end of the table");
    let table = format!("\n{}\n", table());
    if std::env::var_os("KMS_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{START}{table}{END}{after}")).expect("written");
        return;
    }
    assert_eq!(
        documented, table,
        "KMS_WRITE_DOCS=1 cargo test -p kms-tests --test kmip_support writes it anew"
    );
}
