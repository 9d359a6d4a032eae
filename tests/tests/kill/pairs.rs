//! Creations alone, as fast as five clients can: what was acknowledged is there afterwards, whole.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use kms_client::Error;
use kms_client::blocking::Client;
use kms_protocol::Version;
use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeReference, AttributeReferences, CryptographicUsageMask, Name,
};
use kms_protocol::enums::{CryptographicAlgorithm, KeyFormatType, LinkType, State};
use kms_protocol::operation::{ActivateRequest, CreateKeyPairRequest, GetAttributesRequest, GetRequest};
use kms_tests::chance::Chance;
use kms_tests::keys;
use kms_tests::process::Server;
use p256::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};

use super::{client, link, move_clock, rounds};

/// About half a minute.
const ROUNDS: usize = 16;
/// Clients at a time. The first of them ask for P-256, the others for RSA, which takes most of the time.
const CLIENTS: usize = 5;
const P256_CLIENTS: usize = 3;
/// How many items a batch has when everything is looked at.
const BATCH: usize = 200;

/// What a server has acknowledged of a pair.
#[derive(Clone, Debug)]
struct Pair {
    private_id: String,
    public_id: String,
    /// The public key that was handed out, and its format.
    public_key: Option<Vec<u8>>,
    is_active: bool,
    is_rsa: bool,
}

#[test]
fn what_was_acknowledged_outlives_kills() {
    let rounds = rounds(ROUNDS);
    let mut chance = Chance::of_this_run("kill");
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    // Rotations are cut off as well: of one pair a round, so that a round does not take longer than the one before.
    let policy = "[[policy]]\nname = \"often\"\nnames = \"rotating-*\"\nrotate-every = \"1d\"\n";
    std::fs::create_dir_all(&state).expect("the state folder");
    std::fs::write(state.join("kms.toml"), policy).expect("kms.toml");

    let mut all: Vec<Pair> = Vec::new();
    let mut starts = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        let server = Server::start(&state, "127.0.0.1:0");
        starts.push(begun.elapsed());
        let pairs = load_and_kill(server, round, &mut chance);
        let server = Server::start(&state, "127.0.0.1:0");
        check(&server.profile(), &pairs);
        all.extend(pairs);
        // Half of the servers that were only asked are killed as well.
        if chance.once_in(2) {
            server.kill();
        } else {
            assert!(server.stop().success(), "it stops in good order");
        }
    }
    let server = Server::start(&state, "127.0.0.1:0");
    check(&server.profile(), &all);
    assert!(!server.log().contains("panicked"), "no panic: {}", server.log());

    let count = |of: fn(&Pair) -> bool| all.iter().filter(|pair| of(pair)).count();
    eprintln!(
        "kill: {rounds} rounds, {} pairs acknowledged and found whole: {} RSA-2048 that decrypt, {} P-256 whose halves fit; \
         a start took {:?} at most",
        all.len(),
        count(|pair| pair.is_rsa),
        count(|pair| !pair.is_rsa),
        starts.iter().max().unwrap_or(&Duration::ZERO),
    );
    assert!(count(|pair| pair.is_rsa && pair.is_active) > 0, "the load made RSA pairs");
    assert!(count(|pair| !pair.is_rsa && pair.public_key.is_some()) > rounds, "the load made P-256 pairs");
}

/// Has clients ask for pairs until the server dies under them; what it acknowledged until then.
fn load_and_kill(server: Server, round: usize, chance: &mut Chance) -> Vec<Pair> {
    let (acknowledged, pairs) = channel();
    let mut threads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (profile, acknowledged) = (server.profile(), acknowledged.clone());
            let is_rsa = number >= P256_CLIENTS;
            thread::spawn(move || load(&profile, &format!("{round}-{number}"), is_rsa, &acknowledged))
        })
        .collect();
    drop(acknowledged);
    let moment = Duration::from_millis(chance.below(1_000) as u64);
    if chance.once_in(2) {
        let admin = server.admin.clone();
        threads.push(thread::spawn(move || move_clock(&admin)));
    }
    thread::sleep(moment);
    server.kill();
    for thread in threads {
        thread.join().expect("a client ends when its server does");
    }
    let mut known: Vec<Pair> = Vec::new();
    for pair in pairs {
        match known.iter_mut().find(|earlier| earlier.private_id == pair.private_id) {
            Some(earlier) => *earlier = pair,
            None => known.push(pair),
        }
    }
    known
}

fn load(profile: &Path, name: &str, is_rsa: bool, acknowledged: &Sender<Pair>) {
    let client = client(profile, Version::V1_4);
    for number in 0.. {
        let first = number == 0 && !is_rsa;
        let name = if first { format!("rotating-{name}") } else { format!("{name}-{number}") };
        if let Err(error) = create(&client, &name, is_rsa, acknowledged) {
            assert!(!matches!(error, Error::Refused(_)), "a server that lives refuses nothing here: {error}");
            return;
        }
    }
}

/// Creates, activates and fetches a pair, and tells each step that was acknowledged.
fn create(client: &Client, name: &str, is_rsa: bool, acknowledged: &Sender<Pair>) -> Result<(), Error> {
    let made = client.create_key_pair(&pair_request(name, is_rsa))?;
    let mut pair = Pair {
        private_id: made.private_key_unique_identifier,
        public_id: made.public_key_unique_identifier,
        public_key: None,
        is_active: false,
        is_rsa,
    };
    let tell = |pair: &Pair| acknowledged.send(pair.clone()).expect("somebody listens");
    tell(&pair);
    pair.public_key = Some(key_bytes(client, &pair.public_id, public_format(is_rsa))?);
    tell(&pair);
    for id in [&pair.public_id, &pair.private_id] {
        client.activate(&ActivateRequest { unique_identifier: Some(id.as_str().into()) })?;
    }
    pair.is_active = true;
    tell(&pair);
    Ok(())
}

/// Looks at every pair: both halves there, linked, the public key the one handed out, the private key its other half.
fn check(profile: &Path, pairs: &[Pair]) {
    let client = client(profile, Version::V1_4);
    for some in pairs.chunks(BATCH) {
        let requests: Vec<_> = some.iter().map(|pair| attributes_request(&pair.private_id)).collect();
        for (pair, attributes) in some.iter().zip(client.batch(&requests)) {
            let attributes =
                attributes.unwrap_or_else(|error| panic!("{pair:?} is lost: {error}")).attributes.0;
            assert_eq!(link(&attributes, LinkType::PublicKeyLink), Some(pair.public_id.as_str()), "{pair:?}");
            if pair.is_active {
                assert!(attributes.contains(&Attribute::State(State::Active)), "{pair:?}: {attributes:?}");
            }
            if let Some(successor) = link(&attributes, LinkType::ReplacementObjectLink) {
                let successor = client.get_attributes(&attributes_request(successor));
                let successor = successor.expect("a successor that is named is there").attributes.0;
                let back = link(&successor, LinkType::ReplacedObjectLink);
                assert_eq!(back, Some(pair.private_id.as_str()), "{pair:?}");
            }
        }
        for pair in some {
            check_key(&client, pair);
        }
    }
}

fn check_key(client: &Client, pair: &Pair) {
    let public = key_bytes(client, &pair.public_id, public_format(pair.is_rsa));
    let public = public.unwrap_or_else(|error| panic!("{pair:?} lost its public half: {error}"));
    if let Some(handed_out) = &pair.public_key {
        assert_eq!(handed_out, &public, "{pair:?}");
    }
    if pair.is_rsa && pair.is_active {
        let secret = b"what was encrypted before the kill";
        let closed = keys::encrypt(client, &pair.public_id, secret).expect("encrypted");
        let opened = keys::decrypt(client, &pair.private_id, &closed).expect("decrypted");
        assert_eq!(opened.expose(), secret, "{pair:?}");
    } else if !pair.is_rsa {
        let private = key_bytes(client, &pair.private_id, KeyFormatType::Pkcs8).expect("the private half");
        let private = p256::SecretKey::from_pkcs8_der(&private).expect("a private key");
        let fitting = private.public_key().to_public_key_der().expect("a public key");
        assert_eq!(fitting.as_bytes(), public, "{pair:?}");
    }
}

pub fn pair_request(name: &str, is_rsa: bool) -> CreateKeyPairRequest {
    let (algorithm, length) =
        if is_rsa { (CryptographicAlgorithm::Rsa, 2048) } else { (CryptographicAlgorithm::Ec, 256) };
    let (private, public) = if is_rsa {
        (CryptographicUsageMask::DECRYPT, CryptographicUsageMask::ENCRYPT)
    } else {
        (CryptographicUsageMask::SIGN, CryptographicUsageMask::VERIFY)
    };
    let half = |ending: &str, usage| {
        vec![
            Attribute::Name(Name::text(format!("{name}-{ending}"))),
            Attribute::CryptographicUsageMask(usage),
        ]
    };
    CreateKeyPairRequest {
        common: vec![Attribute::CryptographicAlgorithm(algorithm), Attribute::CryptographicLength(length)]
            .into(),
        private_key: half("private", private).into(),
        public_key: half("public", public).into(),
        ..CreateKeyPairRequest::default()
    }
}

fn public_format(is_rsa: bool) -> KeyFormatType {
    if is_rsa { KeyFormatType::Pkcs1 } else { KeyFormatType::X509 }
}

fn key_bytes(client: &Client, id: &str, format: KeyFormatType) -> Result<Vec<u8>, Error> {
    let request = GetRequest {
        unique_identifier: Some(id.into()),
        key_format_type: Some(format),
        ..GetRequest::default()
    };
    let key = client.get(&request)?;
    Ok(key.object.key_bytes().expect("a key in the clear").expose().to_vec())
}

fn attributes_request(id: &str) -> GetAttributesRequest {
    let wanted = [AttributeKind::Link, AttributeKind::State].map(AttributeReference::Standard);
    GetAttributesRequest {
        unique_identifier: Some(id.into()),
        attributes: AttributeReferences(wanted.into()),
    }
}
