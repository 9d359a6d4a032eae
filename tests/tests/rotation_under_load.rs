//! Pairs rotate each second while clients encrypt with what they know and decrypt what they have.
//!
//! `KMS_TEST_SECONDS` sets how long (`tests/scripts/rotation-under-load.sh` runs ten minutes).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use kms_client::blocking::Client;
use kms_client::{Finding, KeySpec, KnownKey, Profile};
use kms_tests::chance::Chance;
use kms_tests::keys;
use kms_tests::process::Server;
use rsa::PublicKey;
use rsa::oaep::EncryptingKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::RandomizedEncryptor as _;
use sha2::Sha256;
use sha2::digest::common::getrandom::SysRng;

/// Long enough for each pair to go through many generations.
const SECONDS: u64 = 20;
/// Pairs that rotate.
const PAIRS: usize = 2;
/// Clients that encrypt and decrypt.
const CLIENTS: usize = 3;
/// Ciphertexts that each client keeps, of all generations so far, to decrypt them again.
const KEPT: usize = 500;

/// A pair as the client side knows it.
#[derive(Clone)]
struct Known {
    key: KnownKey,
    public: PublicKey,
}

struct Closed {
    private_id: String,
    ciphertext: Vec<u8>,
    plaintext: Vec<u8>,
}

#[test]
fn no_decrypt_fails_while_pairs_rotate_each_second() {
    let seconds = std::env::var("KMS_TEST_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("KMS_TEST_SECONDS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let policy =
        "[[policy]]\nname = \"each-second\"\nrotate-every = \"1s\"\nafter-rotation = \"deactivate\"\n";
    std::fs::write(folder.path().join("kms.toml"), policy).expect("kms.toml");
    let server = Server::start(folder.path(), "127.0.0.1:0");
    let client = client(&server.profile());
    let known: Vec<_> = (0..PAIRS)
        .map(|number| {
            let name = format!("load-{number}");
            let issued = client.request_key(&name, KeySpec::Rsa2048).expect("a pair");
            let public = PublicKey::from_public_key_der(&issued.public_key_spki).expect("a public key");
            let (public_id, private_id) = (issued.public_id, issued.private_id);
            Mutex::new(Known {
                key: KnownKey { public_id, private_id, name, spec: KeySpec::Rsa2048 },
                public,
            })
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut chance = Chance::of_this_run("rotation under load");
    let (generations, decrypted) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (profile, known, mut chance) = (server.profile(), &known, chance.branch());
                scope.spawn(move || close_and_open(&profile, known, end, &mut chance))
            })
            .collect();
        let generations = learn(&client, &known, end);
        let decrypted = clients.into_iter().map(|client| client.join().expect("no decrypt fails"));
        (generations, decrypted.sum::<usize>())
    });
    eprintln!(
        "rotation under load: {seconds} s, {generations} rotations learnt of, {decrypted} decryptions, none failed"
    );
    // How many there can be depends on the machine; that there were many shows that this was the load that it claims.
    assert!(generations as u64 >= PAIRS as u64 * seconds / 4, "{generations} rotations in {seconds} s");
    assert!(decrypted > generations, "{decrypted} decryptions");
}

/// Learns of rotations as a backup side does; how many there were.
fn learn(client: &Client, known: &[Mutex<Known>], end: Instant) -> usize {
    let mut generations = 0;
    while Instant::now() < end {
        let keys: Vec<_> = known.iter().map(|one| one.lock().expect("no panic").key.clone()).collect();
        for (one, finding) in known.iter().zip(client.rotation_info(&keys).expect("findings")) {
            let newest = match finding {
                Finding::Unchanged => continue,
                Finding::Rotated { generations: passed, newest } => {
                    generations += passed as usize;
                    newest
                }
                // It was rotated after its links were read and before its name was looked for.
                Finding::Moved { newest } => {
                    generations += 1;
                    newest
                }
                other => panic!("{other:?}"),
            };
            let public = PublicKey::from_public_key_der(&newest.public_key_spki).expect("a public key");
            let mut one = one.lock().expect("no panic");
            one.key.public_id = newest.public_id;
            one.key.private_id = newest.private_id;
            one.public = public;
        }
        thread::sleep(Duration::from_millis(50));
    }
    generations
}

/// Encrypts with the newest key that is known, decrypts that and something from before; how many decryptions there were.
fn close_and_open(profile: &Path, known: &[Mutex<Known>], end: Instant, chance: &mut Chance) -> usize {
    let client = client(profile);
    let mut kept: Vec<Closed> = Vec::new();
    let mut decrypted = 0;
    while Instant::now() < end {
        let Known { key, public } = known[chance.below(known.len())].lock().expect("no panic").clone();
        let plaintext = chance.bytes(32);
        let ciphertext = EncryptingKey::<Sha256>::new(public).encrypt_with_rng(&mut SysRng, &plaintext);
        let closed =
            Closed { private_id: key.private_id, ciphertext: ciphertext.expect("encrypted"), plaintext };
        open(&client, &closed);
        if kept.len() < KEPT {
            kept.push(closed);
        } else {
            let at = chance.below(KEPT);
            kept[at] = closed;
        }
        open(&client, chance.choose(&kept));
        decrypted += 2;
    }
    decrypted
}

fn open(client: &Client, closed: &Closed) {
    let opened = keys::decrypt(client, &closed.private_id, &closed.ciphertext);
    let opened = opened.unwrap_or_else(|error| panic!("{}: {error}", closed.private_id));
    assert_eq!(opened.expose(), closed.plaintext, "{}", closed.private_id);
}

fn client(profile: &Path) -> Client {
    let profile = Profile::load(profile).expect("a profile");
    Client::new(profile.builder().build().expect("a client")).expect("a runtime")
}
