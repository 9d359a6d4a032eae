//! A server that means harm, against everything that the client does: no panic, no hang.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kms_client::doctor::examine_protocol;
use kms_client::{Client, KeySpec, KeyTravel, KnownKey, WrappedKey, limits};
use kms_protocol::attribute::{Attribute, Link};
use kms_protocol::enums::{HashingAlgorithm, LinkType, Operation, ResultReason};
use kms_protocol::operation::QueryRequest;
use kms_protocol::{DateTime, Version};
use scripted::model::{Model, public_name};
use scripted::{Ask, InMemory, Reply, answer, in_1_4, outcomes, read_message, response};
use tokio::io::AsyncWriteExt as _;

/// Random enough, and the same again.
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end.max(1) as u64).expect("small")
    }
}

/// How an answer is spoilt. `earlier` is what was answered before.
type Spoil = fn(Vec<u8>, &mut Chance, earlier: &[u8]) -> Vec<u8>;

fn noise(mut bytes: Vec<u8>, chance: &mut Chance, _: &[u8]) -> Vec<u8> {
    for byte in bytes.iter_mut().skip(8) {
        if chance.below(40) == 0 {
            *byte = chance.number().to_be_bytes()[0];
        }
    }
    bytes
}

/// One length somewhere becomes another; the frame stays whole.
fn lengths(mut bytes: Vec<u8>, chance: &mut Chance, _: &[u8]) -> Vec<u8> {
    let places: Vec<_> =
        (8..bytes.len().saturating_sub(8)).step_by(8).filter(|at| bytes[*at] == 0x42).collect();
    if let Some(at) = places.get(chance.below(places.len())) {
        let lengths = [0, 1, 7, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFF8, u32::MAX];
        bytes[at + 4..at + 8].copy_from_slice(&lengths[chance.below(lengths.len())].to_be_bytes());
    }
    bytes
}

/// Structures in structures, as many as fit.
fn depth(_: Vec<u8>, _: &mut Chance, _: &[u8]) -> Vec<u8> {
    let levels = 50_000_u32;
    (0..levels)
        .flat_map(|level| {
            let rest = 8 * (levels - 1 - level);
            [[0x42, 0x00, if level == 0 { 0x7B } else { 0x0F }, 0x01], rest.to_be_bytes()].concat()
        })
        .collect()
}

fn repeated(right: Vec<u8>, _: &mut Chance, earlier: &[u8]) -> Vec<u8> {
    if earlier.is_empty() { right } else { earlier.to_vec() }
}

/// The right items, some twice, some not at all, in another order.
fn shuffled(right: Vec<u8>, chance: &mut Chance, _: &[u8]) -> Vec<u8> {
    let mut items = outcomes(&right);
    match chance.below(4) {
        0 => items.clear(),
        1 => items.extend(outcomes(&right)),
        2 => items.truncate(items.len() / 2),
        _ => {
            for _ in 0..3 {
                items.extend(outcomes(&right));
            }
            items.reverse();
        }
    }
    response(&items)
}

fn refusals(right: Vec<u8>, chance: &mut Chance, _: &[u8]) -> Vec<u8> {
    let reasons = [ResultReason::ItemNotFound, ResultReason::ResponseTooLarge, ResultReason::InvalidMessage];
    let reason = reasons[chance.below(reasons.len())];
    let mut items = outcomes(&right);
    for item in &mut items {
        if chance.below(2) == 0 {
            item.result_status = kms_protocol::enums::ResultStatus::OperationFailed;
            item.result_reason = Some(reason);
            item.result_message = Some("no ".repeat(chance.below(10_000)));
            item.payload = None;
        }
    }
    response(&items)
}

const SPOILS: [(&str, Spoil); 6] = [
    ("noise", noise),
    ("lengths", lengths),
    ("depth", depth),
    ("an answer to an earlier request", repeated),
    ("shuffled items", shuffled),
    ("refusals", refusals),
];

/// A server that spoils one answer in `every`.
fn spoiling(spoil: Spoil, seed: u64, every: usize) -> Client {
    let model = Model::default();
    let chain = |at: usize, link| Attribute::Link(Link::to(link, format!("public-{at}").as_str()));
    for at in 0..4 {
        let linked = vec![public_name("job"), chain((at + 1) % 4, LinkType::ReplacementObjectLink)];
        model.public(&format!("public-{at}"), 2048, linked);
    }
    let seeds = Arc::new(AtomicU64::new(seed));
    let server = InMemory::new(move |_, mut stream| {
        let model = model.clone();
        let mut chance = Chance(seeds.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        async move {
            let mut earlier = Vec::new();
            while let Some(request) = read_message(&mut stream).await {
                let right = answer(&request, &in_1_4(|ask: &Ask<'_>| -> Reply { model.reply(ask) }));
                let bytes = if chance.below(every) == 0 {
                    spoil(right.clone(), &mut chance, &earlier)
                } else {
                    right.clone()
                };
                earlier = right;
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    });
    server.builder().key_travel(KeyTravel::WhereNeeded).deadline(DEADLINE).build().expect("settings")
}

const DEADLINE: Duration = Duration::from_secs(2);

/// What each call may take: its requests one after another, each until its deadline, and all pauses between look-ups.
const BOUND: Duration = Duration::from_secs(300);

/// Everything that the client does, one call after another.
async fn everything(client: Client) {
    let wrapped = WrappedKey {
        private_id: "private-1".to_owned(),
        ciphertext: vec![1; 256],
        hash: HashingAlgorithm::Sha256,
        mask_hash: HashingAlgorithm::Sha256,
    };
    let known = KnownKey {
        public_id: "public-0".to_owned(),
        private_id: "private-0".to_owned(),
        name: "job".to_owned(),
        spec: KeySpec::Rsa2048,
    };
    let now = DateTime(1_700_000_000);
    within("version", client.version()).await.ok();
    within("request_key", client.request_key("new", KeySpec::Rsa2048)).await.ok();
    within("find_key", client.find_key("job", KeySpec::Rsa2048)).await.ok();
    within("rotate_key", client.rotate_key("private-1", KeySpec::Rsa2048)).await.ok();
    within("rotation_info", client.rotation_info(std::slice::from_ref(&known))).await.ok();
    within("rotation_info_since", client.rotation_info_since(&[known], now, now)).await.ok();
    within("query", client.query(&QueryRequest::default())).await.ok();
    let opened = within("decrypt_all", client.decrypt_all(&vec![wrapped; 3])).await;
    assert_eq!(opened.len(), 3, "each is answered");
    assert!(opened.iter().all(Result::is_err), "nothing of that opens");
    let report = within("doctor", examine_protocol(&client, false, KeySpec::Rsa2048, now, &|_| {})).await;
    assert!(!report.entries.is_empty());
}

async fn within<T>(what: &str, call: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, call).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

#[tokio::test(start_paused = true)]
async fn spoilt_answers_neither_panic_nor_hang() {
    for (what, spoil) in SPOILS {
        for seed in 1..8 {
            for every in [1, 3] {
                tokio::spawn(everything(spoiling(spoil, seed * 1_000, every)))
                    .await
                    .unwrap_or_else(|error| panic!("{what}, seed {seed}, one in {every}: {error}"));
            }
        }
    }
}

/// Servers that keep the client waiting, each in another way.
fn waiting(how: usize) -> Client {
    let server = InMemory::new(move |_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            let right = answer(&request, &in_1_4(|_: &Ask<'_>| Reply::No(ResultReason::GeneralFailure)));
            let longest = u32::try_from(limits::RESPONSE - 8).expect("small");
            let promised = [[0x42, 0x00, 0x7B, 0x01], longest.to_be_bytes()].concat();
            match how {
                // Nothing at all.
                0 => std::future::pending().await,
                // A byte a second.
                1 => {
                    for byte in right {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        if stream.write_all(&[byte]).await.is_err() {
                            return;
                        }
                    }
                }
                // The longest answer that is allowed, promised and not sent.
                2 => {
                    let _ = stream.write_all(&promised).await;
                    std::future::pending().await
                }
                // Half an answer, then the end.
                _ => {
                    let _ = stream.write_all(&right[..right.len() / 2]).await;
                    return;
                }
            }
        }
    });
    server.builder().deadline(DEADLINE).build().expect("settings")
}

#[tokio::test(start_paused = true)]
async fn servers_that_keep_it_waiting_are_left_at_the_deadline() {
    for how in 0..4 {
        let client = waiting(how);
        let start = tokio::time::Instant::now();
        client.query(&QueryRequest::default()).await.expect_err("no answer");
        assert!(start.elapsed() <= DEADLINE, "{how}: {:?}", start.elapsed());
        tokio::spawn(everything(client)).await.unwrap_or_else(|error| panic!("{how}: {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn versions_of_a_liar_end_the_call() {
    let server = InMemory::replying(|ask| match ask.operation() {
        Operation::DiscoverVersions => scripted::yes(
            ask,
            &kms_protocol::operation::DiscoverVersionsResponse {
                versions: vec![Version { major: i32::MAX, minor: i32::MIN }; 100_000],
            },
        ),
        _ => Reply::No(ResultReason::GeneralFailure),
    });
    let error = server.client().version().await.expect_err("nothing in common");
    assert!(error.to_string().len() < 1_000, "{error}");
}
