//! The load generator, against a server in memory.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kms_client::bench::{Operation, Plan, run};
use kms_protocol::Secret;
use kms_protocol::enums::{Operation as Asked, ResultReason};
use kms_protocol::operation::{
    DecryptRequest, DecryptResponse, DestroyRequest, DestroyResponse, RevokeRequest, RevokeResponse,
};
use scripted::model::Model;
use scripted::{Ask, InMemory, Journal, Reply, in_1_4, yes};

/// A KMS whose Decrypt answers with `plaintext`, or is refused after `good` times.
fn kms(plaintext: &'static [u8], good: usize, journal: Journal) -> InMemory {
    kms_of(&Model::default(), plaintext, good, journal)
}

fn kms_of(model: &Model, plaintext: &'static [u8], good: usize, journal: Journal) -> InMemory {
    let model = model.clone();
    let decrypted = Arc::new(AtomicUsize::new(0));
    InMemory::replying(in_1_4(move |ask: &Ask<'_>| {
        journal.note(ask);
        match ask.operation() {
            Asked::Decrypt if decrypted.fetch_add(1, Ordering::SeqCst) >= good => {
                Reply::No(ResultReason::CryptographicFailure)
            }
            Asked::Decrypt => {
                let request: DecryptRequest = ask.read();
                assert_eq!(request.data.expect("a ciphertext").0.len(), 256);
                let (unique_identifier, data) = ("private-1".to_owned(), Some(Secret::from(plaintext)));
                yes(ask, &DecryptResponse { unique_identifier, data, correlation_value: None })
            }
            Asked::Revoke => {
                let request: RevokeRequest = ask.read();
                let id = request.unique_identifier.expect("an identifier");
                yes(ask, &RevokeResponse { unique_identifier: id.as_text().expect("text").to_owned() })
            }
            Asked::Destroy => {
                let request: DestroyRequest = ask.read();
                let id = request.unique_identifier.expect("an identifier");
                let id = id.as_text().expect("text").to_owned();
                model.lock().objects.remove(&id);
                yes(ask, &DestroyResponse { unique_identifier: id })
            }
            _ => model.reply(ask),
        }
    }))
}

const PLAINTEXT: &[u8] = &[0x5A; 32];

#[tokio::test(start_paused = true)]
async fn each_operation_is_counted_and_the_key_destroyed() {
    for (operation, asked) in [
        (Operation::Decrypt, Asked::Decrypt),
        (Operation::Get, Asked::Get),
        (Operation::Locate, Asked::Locate),
    ] {
        let journal = Journal::default();
        let client = kms(PLAINTEXT, usize::MAX, journal.clone()).client();
        // At a given rate the clock that the runtime moves makes the count exact: from half a second on, for a second.
        let plan = Plan {
            connections: 2,
            rate: Some(100.0),
            duration: Duration::from_secs(1),
            ..Plan::new(operation)
        };
        let report = run(&client, &plan).await.expect("a report");
        assert_eq!((report.operations, report.errors), (100, 0), "{operation:?}");
        assert!((report.per_second - 100.0).abs() < 0.01);
        assert!(journal.count(asked) >= 150);
        assert_eq!((journal.count(Asked::Revoke), journal.count(Asked::Destroy)), (2, 2));
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["operations"], 100);
        assert_eq!(json["latency"]["p50"], report.latency.p50);
    }
}

#[tokio::test(start_paused = true)]
async fn what_create_makes_is_destroyed() {
    let journal = Journal::default();
    let client = kms(PLAINTEXT, usize::MAX, journal.clone()).client();
    let plan = Plan { rate: Some(10.0), duration: Duration::from_secs(1), ..Plan::new(Operation::Create) };
    let report = run(&client, &plan).await.expect("a report");
    assert_eq!((report.operations, report.errors), (10, 0));
    // Both halves of each pair: of those that are counted, of those before, and of the one that every run makes.
    let made = journal.count(Asked::CreateKeyPair);
    assert!(made >= 12, "{made}");
    assert_eq!(journal.count(Asked::Destroy), 2 * made);
}

#[tokio::test(start_paused = true)]
async fn batch_items_are_counted_one_by_one() {
    let client = kms(PLAINTEXT, usize::MAX, Journal::default()).client();
    let plan = Plan {
        rate: Some(10.0),
        batch: 50,
        duration: Duration::from_secs(1),
        ..Plan::new(Operation::Decrypt)
    };
    let report = run(&client, &plan).await.expect("a report");
    assert_eq!(report.operations, 500);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_errors_and_a_wrong_plaintext_ends_it() {
    let client = kms(PLAINTEXT, 60, Journal::default()).client();
    let plan = Plan { rate: Some(100.0), duration: Duration::from_secs(1), ..Plan::new(Operation::Decrypt) };
    let report = run(&client, &plan).await.expect("a report");
    assert_eq!(report.operations + report.errors, 100);
    assert!(report.operations < 15 && report.first_error.expect("one").contains("CryptographicFailure"));
    let journal = Journal::default();
    let error = run(&kms(&[0; 32], usize::MAX, journal.clone()).client(), &plan).await.expect_err("wrong");
    assert!(error.to_string().contains("wrong"), "{error}");
    assert_eq!(journal.count(Asked::Destroy), 2, "the key is destroyed all the same");
}

#[tokio::test(start_paused = true)]
async fn keys_of_others_survive_a_server_that_ignores_filters() {
    let model = Model::default();
    model.lock().quirks.locate_ignores_filters = true;
    model.public("production", 2048, Vec::new());
    let client = kms_of(&model, PLAINTEXT, usize::MAX, Journal::default()).client();
    let plan = Plan { rate: Some(10.0), duration: Duration::from_secs(1), ..Plan::new(Operation::Create) };
    run(&client, &plan).await.expect("a report");
    let left: Vec<_> = model.lock().objects.keys().cloned().collect();
    assert_eq!(left, ["production"]);
}
