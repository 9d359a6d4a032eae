//! How fast one call opens many wrapped keys, beside what `openssl speed` does on the same cores.
//!
//! `cargo run --release -p kms-client --example decrypt_many -- [KEYS] [PROFILE]`
//!
//! Wraps KEYS data keys (10,000 by default) with one RSA-2048 pair that the server in PROFILE (`.kms-dev/client.toml` by
//! default) makes, and opens them all with one `decrypt_all`, four times over. Compares the median of the last three with
//! the private-key operations a second of `openssl speed -multi 2 rsa2048`, the better of one run before and one after.
//! Pin server, this and openssl to the same two cores:
//!
//! ```sh
//! taskset -c 0,1 cargo run --release -p kms-server -- dev --ephemeral --listen 127.0.0.1:5696 &
//! taskset -c 0,1 cargo run --release -p kms-client --example decrypt_many
//! ```
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a program for measuring"
)]

use std::process::Command;
use std::time::Instant;

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use kms_client::{Client, IssuedKey, KeySpec, Profile, WrappedKey};
use kms_protocol::attribute::RevocationReason;
use kms_protocol::enums::{HashingAlgorithm, RevocationReasonCode};
use kms_protocol::operation::{DestroyRequest, RevokeRequest};

/// How often all are opened after a first time, which fills caches and is not counted; odd, for the median.
const ROUNDS: usize = 3;

/// What the aim is: so much of what the bare cryptography does.
const AIM: f64 = 0.8;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(10_000, |number| number.parse().expect("a number of keys"));
    let profile = arguments.next().unwrap_or_else(|| ".kms-dev/client.toml".to_owned());
    let profile = Profile::load(profile.as_ref()).expect("a profile: start `kms-server dev`");
    let client = profile.builder().build().expect("a client");
    let name = format!("decrypt-many-{}", uuid::Uuid::new_v4());
    let key = client.request_key(&name, KeySpec::Rsa2048).await.expect("a key pair");
    let wrapped = wrap(&key, count);

    let before = openssl();
    let mut rates = Vec::new();
    for round in 0..=ROUNDS {
        let started = Instant::now();
        let opened = client.decrypt_all(&wrapped).await;
        let rate = count as f64 / started.elapsed().as_secs_f64();
        for (at, opened) in opened.iter().enumerate() {
            match opened {
                Ok(opened) => assert_eq!(opened.expose(), data_key(at), "key {at}"),
                Err(error) => panic!("key {at}: {error}"),
            }
        }
        println!("round {round}: {count} keys in one call, {rate:.0}/s");
        rates.extend((round > 0).then_some(rate));
    }
    rates.sort_by(f64::total_cmp);
    let median = rates[ROUNDS / 2];
    let after = openssl();
    discard(&client, &key).await;

    let bare = before.max(after);
    println!("openssl speed -multi 2 rsa2048: {before:.0}/s before, {after:.0}/s after");
    let share = median / bare;
    let verdict = if share >= AIM { "reached" } else { "missed" };
    println!("{:.0} % of it; the aim of {:.0} % is {verdict}", share * 100.0, AIM * 100.0);
}

/// 32 bytes that are different for each.
fn data_key(at: usize) -> [u8; 32] {
    let mut bytes = [0x5A; 32];
    bytes[..8].copy_from_slice(&at.to_be_bytes());
    bytes
}

fn wrap(key: &IssuedKey, count: usize) -> Vec<WrappedKey> {
    let public = PublicEncryptingKey::from_der(&key.public_key_spki).expect("a public key");
    let public = OaepPublicEncryptingKey::new(public).expect("an RSA key");
    let wrap = |at| {
        let mut room = vec![0; public.ciphertext_size()];
        let ciphertext = public.encrypt(&OAEP_SHA256_MGF1SHA256, &data_key(at), &mut room, None);
        WrappedKey {
            private_id: key.private_id.clone(),
            ciphertext: ciphertext.expect("a ciphertext").to_vec(),
            hash: HashingAlgorithm::Sha256,
            mask_hash: HashingAlgorithm::Sha256,
        }
    };
    (0..count).map(wrap).collect()
}

/// Private-key operations of RSA-2048 a second, on two cores: the last line of its report is
/// `rsa  2048 bits 0.000317s 0.000009s   3150.1 105230.4`, where the number before the last counts signatures.
fn openssl() -> f64 {
    let mut command = Command::new("openssl");
    let done =
        command.args(["speed", "-multi", "2", "-seconds", "5", "rsa2048"]).output().expect("openssl runs");
    let report = String::from_utf8_lossy(&done.stdout).into_owned();
    let line = report.lines().rev().find(|line| line.trim_start().starts_with("rsa")).expect("its result");
    let rates: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // Words without a unit: bits, signatures and verifications a second; newer versions have encryptions after them.
    *rates.get(1).unwrap_or_else(|| panic!("what does this mean? {line}"))
}

async fn discard(client: &Client, key: &IssuedKey) {
    for id in [&key.private_id, &key.public_id] {
        let reason = RevocationReason { code: RevocationReasonCode::CessationOfOperation, message: None };
        let revoke = RevokeRequest {
            unique_identifier: Some(id.as_str().into()),
            revocation_reason: reason,
            compromise_occurrence_date: None,
        };
        client.revoke(&revoke).await.expect("revoked");
        let destroy = DestroyRequest { unique_identifier: Some(id.as_str().into()) };
        client.destroy(&destroy).await.expect("destroyed");
    }
}
