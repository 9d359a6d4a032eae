//! What many objects cost: start, Locate by name, Get Attributes, Create, Rotate, memory and disk, by number of objects.
//!
//! `cargo run --release -p kms-server --example store_scale -- [FOLDER [OBJECTS…]]`; FOLDER is created, must be on the disk
//! to measure, and is left. One million objects take about 6 GB there and a quarter of an hour to make:
//! `cargo run --release -p kms-server --example store_scale -- /var/tmp/scale 1000000`.
//!
//! Objects come as pairs with Names, an Object Group, links and dates. Their key material is random and of the size of
//! RSA-4096; only generating real keys, which would take a week, is left out. Each size is measured by a process of its own.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that fails may stop")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use kms_protocol::attribute::{Attribute, CryptographicUsageMask, Link, Name};
use kms_protocol::enums::{CryptographicAlgorithm, LinkType, ObjectType, RecommendedCurve, State};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{
    CreateKeyPairRequest, GetAttributesRequest, LocateRequest, RekeyKeyPairRequest, Request,
};
use kms_protocol::ttlv::{Bytes, Value as _};
use kms_protocol::{DateTime, Secret, Version};
use kms_server::config::Config;
use kms_server::crypto::StoreKey;
use kms_server::kms::model::{Material, Object};
use kms_server::kms::{Caller, Kms};
use kms_server::service;
use kms_server::store::{Batch, SledOptions, SledStore, Store};
use kms_server::store_key::Given;

/// Bytes of a private key of RSA-4096 in PKCS#8, and of its public half.
const PRIVATE_BYTES: usize = 2_375;
const PUBLIC_BYTES: usize = 550;
const READS: u32 = 20_000;
const WRITES: u32 = 200;
const NOW: DateTime = DateTime(1_800_000_000);
const OWNER: &str = "backup-1";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [measure, folder, objects] = arguments.as_slice()
        && measure == "--measure"
    {
        return print_row(Path::new(folder), objects.parse().unwrap());
    }
    let mut arguments = arguments.into_iter();
    let root = PathBuf::from(arguments.next().unwrap_or_else(|| "store-scale".into()));
    let sizes: Vec<u32> = arguments.map(|size| size.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    println!(
        "| Objects | open | start | Locate by name p50 | p99 | Get Attributes p50 | Create p50 | Rotate p50 | memory | disk |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for size in sizes {
        let folder = root.join(format!("objects-{size}"));
        fill(&folder, size);
        // A process of its own, so that memory is that of a server which has just started.
        let mut measure = Command::new(env::current_exe().unwrap());
        measure.arg("--measure").arg(&folder).arg(size.to_string());
        assert!(measure.status().unwrap().success());
    }
}

fn key() -> Given {
    Given::Key(Secret::from([7; 32].as_slice()))
}

fn private_id(number: u32) -> String {
    id(number, u64::from(number))
}

fn public_id(number: u32) -> String {
    id(number, u64::from(number) | 1 << 40)
}

/// As the server makes them: the time, then random bytes.
fn id(number: u32, seed: u64) -> String {
    let millis = u64::try_from(initial_date(number).0).unwrap() * 1_000;
    let random: [u8; 10] = random(seed, 10).try_into().unwrap();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}

fn initial_date(number: u32) -> DateTime {
    DateTime(NOW.0 - 80 * 86_400 + i64::from(number % 6_000_000))
}

/// Bytes that look random and are the same each time.
fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn fill(folder: &Path, objects: u32) {
    let store = SledStore::open(folder, SledOptions::default()).unwrap();
    service_on(Arc::new(store));
    let store = SledStore::open(folder, SledOptions::default()).unwrap();
    let key = StoreKey::from_bytes(Secret::from([7; 32].as_slice())).unwrap();
    for first in (0..objects / 2).step_by(250) {
        let mut batch = Batch::new();
        for number in first..(first + 250).min(objects / 2) {
            let (private, public) = pair(number, &key);
            batch = batch.put(private.put()).put(public.put());
        }
        store.commit(batch).unwrap();
    }
}

fn pair(number: u32, key: &StoreKey) -> (Object, Object) {
    let half = |id: String, object_type, suffix: &str, usage, link_type, other: &str| {
        let attributes = vec![
            Attribute::Name(Name::text(format!("job-{number:07}-{suffix}"))),
            Attribute::ObjectGroup(format!("job-{number:07}")),
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(4096),
            Attribute::CryptographicUsageMask(usage),
            Attribute::Link(Link::to(link_type, other)),
            Attribute::State(State::Active),
            Attribute::InitialDate(initial_date(number)),
            Attribute::ActivationDate(NOW),
            Attribute::LastChangeDate(NOW),
        ];
        Object::new(id, OWNER, object_type, attributes)
    };
    let (private_id, public_id) = (private_id(number), public_id(number));
    let mut private = half(
        private_id.clone(),
        ObjectType::PrivateKey,
        "private",
        CryptographicUsageMask::DECRYPT,
        LinkType::PublicKeyLink,
        &public_id,
    );
    let mut public = half(
        public_id,
        ObjectType::PublicKey,
        "public",
        CryptographicUsageMask::ENCRYPT,
        LinkType::PrivateKeyLink,
        &private_id,
    );
    let material = Secret::new(random(u64::from(number) | 1 << 41, PRIVATE_BYTES));
    private.material = Some(Material::Sealed(Bytes(key.seal(&private.id, &material).unwrap())));
    public.material = Some(Material::Public(Bytes(random(u64::from(number) | 1 << 42, PUBLIC_BYTES))));
    (private, public)
}

fn service_on(store: Arc<dyn Store>) -> Arc<Kms> {
    let config = Config { ready_pairs: Some(0), ..Config::default() };
    service::start(store, &key(), &config, &Arc::new(kms_server::crypto::Workers::new(2).unwrap())).unwrap()
}

fn print_row(folder: &Path, objects: u32) {
    let began = Instant::now();
    let store = SledStore::open(folder, SledOptions::default()).unwrap();
    let open = began.elapsed();
    let kms = service_on(Arc::new(store));
    let start = began.elapsed();
    let pairs = objects / 2;
    let scattered = |turn: u32| (u64::from(turn) * 7_919 % u64::from(pairs)) as u32;
    let locate = timed(READS, |turn| {
        let name = format!("job-{:07}-private", scattered(turn));
        let request = LocateRequest {
            attributes: kms_protocol::attribute::AttributeList(vec![Attribute::Name(Name::text(name))]),
            ..LocateRequest::default()
        };
        assert_eq!(ask(&kms, &request).unique_identifiers.len(), 1);
    });
    let attributes = timed(READS, |turn| {
        let request = GetAttributesRequest {
            unique_identifier: Some(private_id(scattered(turn)).as_str().into()),
            attributes: kms_protocol::attribute::AttributeReferences(Vec::new()),
        };
        assert!(!ask(&kms, &request).attributes.0.is_empty());
    });
    // P-256, so that what is measured is the store and not the generation of keys.
    let create = |name: String| {
        let request = CreateKeyPairRequest {
            common: vec![
                Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
                Attribute::CryptographicDomainParameters(
                    kms_protocol::attribute::CryptographicDomainParameters {
                        qlength: None,
                        recommended_curve: Some(RecommendedCurve::P256),
                    },
                ),
            ]
            .into(),
            private_key: vec![Attribute::Name(Name::text(name))].into(),
            ..CreateKeyPairRequest::default()
        };
        ask(&kms, &request).private_key_unique_identifier
    };
    let mut made = Vec::new();
    let run = std::process::id();
    let created = timed(WRITES, |turn| made.push(create(format!("new-{run}-{turn}"))));
    let rotated = timed(WRITES, |turn| {
        let request = RekeyKeyPairRequest {
            private_key_unique_identifier: Some(made[turn as usize].as_str().into()),
            ..RekeyKeyPairRequest::default()
        };
        ask(&kms, &request);
    });
    let memory = fs::read_to_string("/proc/self/status").unwrap();
    let memory = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
    let disk = fs::metadata(folder.join("db")).unwrap().len() >> 20;
    println!(
        "| {objects} | {} ms | {} ms | {} | {} | {} | {} | {} | {memory} | {disk} MiB |",
        open.as_millis(),
        start.as_millis(),
        locate[0],
        locate[1],
        attributes[0],
        created[0],
        rotated[0],
    );
}

fn ask<R: Request>(kms: &Kms, request: &R) -> R::Response {
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(request, None);
    let caller = Caller::named(OWNER);
    let bytes = kms.handle(builder.finish().expose(), &caller, NOW);
    let mut message = ResponseMessage::read(bytes.expose()).unwrap();
    R::Response::read(message.items.remove(0).payload.unwrap()).unwrap()
}

/// The median and the 99th percentile.
fn timed(turns: u32, mut work: impl FnMut(u32)) -> [String; 2] {
    let mut times: Vec<Duration> = (0..turns)
        .map(|turn| {
            let began = Instant::now();
            work(turn);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    [50, 99].map(|percent| {
        let time = times[(times.len() - 1) * percent / 100];
        format!("{:.1} µs", time.as_nanos() as f64 / 1_000.0)
    })
}
