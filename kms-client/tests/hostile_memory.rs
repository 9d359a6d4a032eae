//! What answers of the greatest length cost in memory. A test program of its own: it measures the whole process.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use kms_client::limits;
use kms_protocol::Tag;
use kms_protocol::attribute::{Attribute, write_attribute};
use kms_protocol::enums::{Operation, QueryFunction};
use kms_protocol::operation::{
    GetAttributesRequest, LocateRequest, LocateResponse, QueryRequest, QueryResponse,
};
use kms_protocol::ttlv::Writer;
use scripted::{Ask, InMemory, Reply, in_1_4, payload, yes};

/// The most that a small item may grow when it is read: a Rust value with its heap block in the place of 16 bytes.
const GROWTH: usize = 16;

/// The most memory that this process has had, in bytes, where the system tells.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok().map(|kilobytes| kilobytes << 10)
}

/// Answers that are as long as the client takes them, of items as small as they come.
fn greatest(ask: &Ask<'_>) -> Reply {
    let most = limits::RESPONSE - 4_096;
    match ask.operation() {
        Operation::Locate => {
            let unique_identifiers = vec!["x".to_owned(); most / 16];
            yes(ask, &LocateResponse { located_items: None, unique_identifiers })
        }
        Operation::Query => {
            let operations = vec![Operation::Get; most / 16];
            yes(ask, &QueryResponse { operations, ..QueryResponse::default() })
        }
        _ => {
            let mut head = Writer::new(ask.version);
            head.field(Tag::UNIQUE_IDENTIFIER, &"1".to_owned());
            let mut one = Writer::new(ask.version);
            write_attribute(&mut one, &Attribute::ObjectGroup("x".to_owned()), None);
            let one = one.into_bytes();
            Reply::Success(payload(&[head.into_bytes(), one.repeat(most / one.len())].concat()))
        }
    }
}

#[tokio::test]
async fn the_longest_answers_cost_no_more_than_a_few_times_their_length() {
    // What the server needs for its answers is part of the process too.
    let client = InMemory::replying(in_1_4(greatest)).client();
    client.version().await.expect("agreed");
    let Some(before) = peak() else {
        // Only Linux tells; the limits hold everywhere.
        return;
    };
    let found = client.locate(&LocateRequest::default()).await.expect("within the limit");
    assert!(found.unique_identifiers.len() > 500_000);
    drop(found);
    let listed = vec![QueryFunction::QueryOperations];
    let told = client.query(&QueryRequest::from(listed)).await.expect("within the limit");
    assert!(told.operations.len() > 500_000);
    drop(told);
    let about =
        GetAttributesRequest { unique_identifier: Some("1".into()), ..GetAttributesRequest::default() };
    let attributes = client.get_attributes(&about).await.expect("within the limit").attributes;
    assert!(attributes.0.len() > 100_000);
    let grown = peak().expect("told before") - before;
    println!("the longest answers: {} MB at most, server and client", grown >> 20);
    assert!(grown < GROWTH * limits::RESPONSE, "{} MB", grown >> 20);
}
