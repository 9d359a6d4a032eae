//! A key that was let go of is nowhere in this process's memory: not on the heap, not on a stack, not in a buffer.
//!
//! A process of its own, with one test, so that no other test's keys are about.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeSet;
use std::ops::Range;

use kms_protocol::enums::HashingAlgorithm;
use kms_server::crypto::{
    self, KeyCache, KeyPool, KeySpec, Oaep, PrivateKey, PublicKey, Secret, StoreKey, Workers, format,
};
use kms_tests::memory::Memory;

const NEEDLE: usize = 16;

/// What is looked for, kept inverted, so that the search does not find itself.
struct Needle {
    name: String,
    inverted: Vec<u8>,
}

#[global_allocator]
static ALLOCATOR: crypto::Allocator = crypto::ALLOCATOR;

impl Needle {
    /// The middle: what is freed keeps most of its bytes, but an allocator overwrites the first ones.
    fn new(name: &str, bytes: &[u8]) -> [Self; 2] {
        let part = &bytes[bytes.len() / 2 - NEEDLE / 2..bytes.len() / 2 + NEEDLE / 2];
        let inverted: Vec<u8> = part.iter().map(|byte| !byte).collect();
        // As a number lies in the memory of a little-endian machine.
        let backwards = inverted.iter().rev().copied().collect();
        [
            Self { name: name.to_owned(), inverted },
            Self { name: format!("{name}, backwards"), inverted: backwards },
        ]
    }
}

/// The names of those needles that are somewhere in the writable memory of this process.
#[inline(never)]
fn found(needles: &[Needle]) -> BTreeSet<&str> {
    let memory = Memory::of("self").unwrap();
    let mut begins_one = [false; 256];
    for needle in needles {
        begins_one[usize::from(!needle.inverted[0])] = true;
    }
    let mut names = BTreeSet::new();
    let mut buffer = vec![0_u8; 1 << 20];
    for Range { start: mut at, end } in memory.ranges() {
        while at < end {
            let length = usize::try_from(end - at).unwrap().min(buffer.len());
            let seen = &mut buffer[..length];
            // What the kernel does not let anybody read holds no key.
            if memory.read(seen, at).is_err() {
                break;
            }
            for window in seen.windows(NEEDLE).filter(|window| begins_one[usize::from(window[0])]) {
                names.extend(
                    needles
                        .iter()
                        .filter(|needle| window.iter().zip(&needle.inverted).all(|(byte, not)| *byte == !not))
                        .map(|needle| needle.name.as_str()),
                );
            }
            // It is a copy of what is looked for.
            seen.fill(0);
            std::hint::black_box(seen);
            let step = if length == buffer.len() { length - NEEDLE } else { length };
            at += u64::try_from(step).unwrap();
        }
    }
    names
}

#[test]
fn released_keys_leave_nothing_behind() {
    // The first is aws-lc's work, the second the `rsa` crate's.
    for mask in [HashingAlgorithm::Sha256, HashingAlgorithm::Sha1] {
        let needles = use_a_key(mask);
        assert_eq!(found(&needles), BTreeSet::new(), "after decryption with the mask hash {mask}");
    }
}

/// The life of a key: made, sealed, opened, parsed, kept, used, forgotten.
#[inline(never)]
fn use_a_key(mask: HashingAlgorithm) -> Vec<Needle> {
    let pool = KeyPool::new(1).unwrap();
    let workers = Workers::new(2).unwrap();
    let cache = KeyCache::new(8);
    let store_key = StoreKey::generate().unwrap();
    pool.warm(KeySpec::Rsa2048);
    pool.wait_until_ready(KeySpec::Rsa2048, 1);
    let pair = pool.take(KeySpec::Rsa2048).unwrap();
    drop(pool);
    let needles = needles(&pair.private, &store_key);

    let sealed = store_key.seal("id", &pair.private).unwrap();
    let oaep = Oaep::new(Some(HashingAlgorithm::Sha256), Some(mask), b"").unwrap();
    let public = PublicKey::from_spki(&pair.public).unwrap();
    drop(pair);
    let key =
        cache.find_or_load("id", || PrivateKey::from_pkcs8(&store_key.open("id", &sealed).unwrap())).unwrap();
    let plaintext: Vec<u8> = (0..32).map(|number| number * 7 + 3).collect();
    let ciphertext = public.encrypt(&oaep, &plaintext).unwrap();
    let answer = workers.run(move || key.decrypt(&oaep, &ciphertext).unwrap()).unwrap();
    assert_eq!(answer.expose(), plaintext);

    // The search finds what is there: each number as aws-lc keeps it, and the store key.
    let live = found(&needles);
    for name in ["p", "q", "d", "d mod (p - 1)"] {
        assert!(live.contains(format!("{name}, backwards").as_str()), "{name} is not in {live:?}");
    }
    assert!(live.contains("the store key"), "{live:?}");
    cache.forget("id");
    needles
}

fn needles(private: &Secret, store_key: &StoreKey) -> Vec<Needle> {
    let parts = format::rsa_private_parts(private).unwrap();
    [
        ("p", &parts.p),
        ("q", &parts.q),
        ("d", &parts.private_exponent),
        ("d mod (p - 1)", &parts.prime_exponent_p),
        ("d mod (q - 1)", &parts.prime_exponent_q),
        ("1/q mod p", &parts.crt_coefficient),
        ("the store key", store_key.secret()),
    ]
    .into_iter()
    .flat_map(|(name, secret)| Needle::new(name, secret.expose()))
    .collect()
}
