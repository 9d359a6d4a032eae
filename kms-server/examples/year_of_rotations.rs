//! A year of daily rotations by the moved clock: every pair genuinely generated, everything on disk.
//!
//! `cargo run --release -p kms-server --example year_of_rotations -- [PAIRS [DAYS]]`; 1,000 pairs and 365 days unless
//! told otherwise. It checks that each rotation came at its time, that each line has one newest generation of the right
//! number, and that no key occurs twice.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for people")]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use kms_protocol::attribute::{Attribute, CryptographicDomainParameters, Name};
use kms_protocol::enums::{CryptographicAlgorithm, ObjectType, RecommendedCurve};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{CreateKeyPairRequest, GetRequest, GetResponse, Request};
use kms_protocol::ttlv::Value as _;
use kms_protocol::{DateTime, Secret, Version};
use kms_server::clock::{Change, Clock};
use kms_server::config::Config;
use kms_server::crypto::{self, Workers};
use kms_server::kms::{Caller, KeyQuery, KeyView, Kms};
use kms_server::rotator::Rotator;
use kms_server::service::{self, Keep, Service};
use kms_server::shutdown;

#[global_allocator]
static ALLOCATOR: crypto::Allocator = crypto::ALLOCATOR;

const START: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const POLICY: &str = "[[policy]]\nname = \"daily\"\nrotate-every = \"1d\"\nafter-rotation = \"deactivate\"\n";

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("a number"));
    let (pairs, days) = (arguments.next().unwrap_or(1_000), arguments.next().unwrap_or(365));
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::parse(POLICY, "the policy").expect("a policy");
    // What is rotated is generated on the way; there is nobody to keep pairs ready for.
    config.ready_pairs = Some(0);
    let keep = Keep::Folder(folder.path().join("store"));
    let workers = Arc::new(Workers::one_per_core().expect("threads"));
    let kms = service::open(&keep, &Secret::new(vec![1; 32]), &config, &workers).expect("a store");
    for number in 0..pairs {
        create(&kms, number);
    }
    let clock = Arc::new(Clock::frozen_at(DateTime(START)));
    let (_trigger, stop) = shutdown::channel();
    let rotator = Rotator::new(Arc::clone(&kms) as Arc<dyn Service>, Arc::clone(&clock), stop);

    let begin = Instant::now();
    let moved = rotator.move_clock(&Change::Advance(format!("{days}d"))).expect("a movable clock");
    let took = begin.elapsed();
    let fired = moved.fired.len() + moved.omitted;
    let expected = usize::try_from(pairs).expect("small") * usize::try_from(days).expect("small");
    assert_eq!(fired, expected, "one rotation of each pair each day");
    println!(
        "{fired} rotations of {pairs} pairs over {days} days in {:.1} s: {:.0} each second",
        took.as_secs_f64(),
        f64::from(pairs) * f64::from(days) / took.as_secs_f64()
    );
    check(&kms, pairs, days, moved.now);
}

fn create(kms: &Arc<Kms>, number: u32) {
    let request = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicDomainParameters(CryptographicDomainParameters {
                qlength: None,
                recommended_curve: Some(RecommendedCurve::P256),
            }),
            Attribute::ActivationDate(DateTime(START)),
        ]
        .into(),
        public_key: vec![Attribute::Name(Name::text(format!("job {number}")))].into(),
        ..CreateKeyPairRequest::default()
    };
    let _ = ask(kms, &request);
}

fn ask<R: Request>(kms: &Arc<Kms>, request: &R) -> R::Response {
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(request, None);
    let caller = Caller::named("year");
    let answer = kms.handle(builder.finish().expose(), &caller, DateTime(START));
    let mut response = ResponseMessage::read(answer.expose()).expect("a response");
    R::Response::read(response.items.remove(0).payload.expect("success")).expect("a payload")
}

fn check(kms: &Arc<Kms>, pairs: u32, days: u32, now: DateTime) {
    let mut public_keys = HashSet::new();
    let mut newest = 0;
    let mut query = KeyQuery { limit: 1_000, ..KeyQuery::default() };
    loop {
        let page = kms.keys(&query, now).expect("the store");
        for key in page.keys.iter().filter(|key| key.object_type == ObjectType::PublicKey) {
            newest += u32::from(key.successor.is_none());
            check_dates(key, days);
            let request =
                GetRequest { unique_identifier: Some(key.id.as_str().into()), ..GetRequest::default() };
            let got: GetResponse = ask(kms, &request);
            let bytes = got.object.key_bytes().expect("a public key").expose().to_vec();
            assert!(public_keys.insert(bytes), "{} has the key of another pair", key.id);
        }
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(newest, pairs, "one newest generation of each pair");
    assert_eq!(public_keys.len(), usize::try_from(pairs * (days + 1)).expect("small"), "all are there");
    println!("{} public keys, all different, each at its date, {newest} of them newest", public_keys.len());
}

fn check_dates(key: &KeyView, days: u32) {
    let made = START + i64::from(key.generation) * DAY;
    assert_eq!(key.initial_date, Some(DateTime(made)), "generation {} of {}", key.generation, key.id);
    assert_eq!(key.activation_date, Some(DateTime(made)));
    assert_eq!(key.successor.is_none(), key.generation == i32::try_from(days).expect("small"));
    let end = key.successor.is_some().then_some(DateTime(made + DAY));
    assert_eq!(key.deactivation_date, end, "it ends when its successor begins");
}
