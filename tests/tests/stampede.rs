//! A hundred clients lose their server and come back to it: spread out, and each once.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use kms_client::{Client, Profile};
use kms_protocol::operation::LocateRequest;
use kms_tests::process::Server;
use kms_tests::proxy::Proxy;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

const CLIENTS: usize = 100;

/// How long the server is away.
const AWAY: Duration = Duration::from_millis(1_500);

/// What connections are counted by.
const BUCKET: Duration = Duration::from_millis(100);

async fn ask_all(clients: &[Client]) -> Vec<Duration> {
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for client in clients {
        let client = client.clone();
        all.spawn(async move { client.locate(&LocateRequest::default()).await.map(|_| begun.elapsed()) });
    }
    let mut took = Vec::new();
    while let Some(done) = all.join_next().await {
        took.push(done.unwrap().expect("no client gives up"));
    }
    took
}

#[test]
fn a_hundred_clients_come_back_spread_out_and_once_each() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1:0");
    let proxy = Proxy::to(&server.listen);
    let profile = Profile { server: proxy.address.clone(), ..Profile::load(&server.profile()).unwrap() };
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| profile.builder().patience(Duration::from_secs(30)).build().unwrap()).collect();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(ask_all(&clients));

    server.kill();
    let asking = {
        let clients = clients.clone();
        runtime.spawn(async move { ask_all(&clients).await })
    };
    thread::sleep(AWAY);
    let server = Server::start(state.path(), "127.0.0.1:0");
    let back = Instant::now();
    proxy.lead_to(&server.listen);
    let took = runtime.block_on(asking).unwrap();

    let accepted = proxy.accepted();
    let (mut buckets, mut tries) = (BTreeMap::<u128, usize>::new(), 0);
    for at in &accepted {
        match at.checked_duration_since(back) {
            Some(after) => *buckets.entry(after.as_millis() / BUCKET.as_millis()).or_default() += 1,
            None => tries += 1,
        }
    }
    let after: usize = buckets.values().sum();
    let last = took.iter().max().unwrap();
    println!(
        "stampede: {CLIENTS} clients, {tries} connections before the server was back, {after} after; at most {} in \
         {BUCKET:?}; all were served {last:.1?} after the kill; by {BUCKET:?}: {buckets:?}",
        buckets.values().max().unwrap_or(&0),
    );
    assert_eq!(took.len(), CLIENTS);
    assert!(after <= CLIENTS + CLIENTS / 10, "one connection each: {after}");
    assert!(buckets.len() >= 3, "they do not come all at once: {buckets:?}");
}
