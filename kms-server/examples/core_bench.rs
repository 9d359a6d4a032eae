//! How much of a request's time the core takes: decode, run, encode, with the store warm and no connection.
//!
//! `cargo run --release -p kms-server --example core_bench`

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for people")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kms_protocol::attribute::{Attribute, AttributeKind, AttributeReference, AttributeReferences, Name};
use kms_protocol::enums::{CryptographicAlgorithm, ObjectType, ResultStatus};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{
    CreateKeyPairRequest, CreateKeyPairResponse, CreateRequest, CreateResponse, GetAttributesRequest,
    GetRequest, LocateRequest, Request,
};
use kms_protocol::ttlv::Value as _;
use kms_protocol::{DateTime, Secret, Version};
use kms_server::config::{Audit, Config};
use kms_server::crypto::Workers;
use kms_server::kms::Caller;
use kms_server::service::{self, Keep, Service};

const ROUNDS: u32 = 50_000;

fn main() {
    let folder = std::env::temp_dir().join(format!("kms-core-bench-{}", std::process::id()));
    measure(&folder, Audit { enabled: false, ..Audit::default() }, "no audit log");
    measure(&folder, Audit { folder: Some(folder.join("audit")), ..Audit::default() }, "audit log");
}

fn measure(folder: &Path, audit: Audit, title: &str) {
    let keep = Keep::Folder(folder.join("store"));
    let config = Config { audit, ..Config::default() };
    let workers = Arc::new(Workers::one_per_core().expect("threads"));
    let service = service::open(&keep, &Secret::new(vec![1; 32]), &config, &workers).expect("a store");
    let caller = Caller::named("bench");
    let pair = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(2048),
        ]
        .into(),
        public_key: vec![Attribute::Name(Name::text("bench"))].into(),
        ..CreateKeyPairRequest::default()
    };
    let answer = service.handle(message(&pair).expose(), &caller, DateTime(1));
    let mut response = ResponseMessage::read(answer.expose()).expect("a response");
    let payload = response.items.remove(0).payload.expect("a payload");
    let made = CreateKeyPairResponse::read(payload).expect("a pair");

    let public = || Some(made.public_key_unique_identifier.as_str().into());
    let all = GetAttributesRequest { unique_identifier: public(), ..GetAttributesRequest::default() };
    let some = GetAttributesRequest {
        unique_identifier: public(),
        attributes: AttributeReferences(
            [AttributeKind::State, AttributeKind::Link].map(AttributeReference::Standard).to_vec(),
        ),
    };
    let get = GetRequest { unique_identifier: public(), ..GetRequest::default() };
    let get_private = GetRequest {
        unique_identifier: Some(made.private_key_unique_identifier.as_str().into()),
        ..GetRequest::default()
    };
    let locate = LocateRequest {
        attributes: kms_protocol::attribute::AttributeList(vec![Attribute::Name(Name::text("bench"))]),
        ..LocateRequest::default()
    };
    let elliptic = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(256),
        ]
        .into(),
        ..CreateKeyPairRequest::default()
    };
    let key = symmetric_key(service.as_ref(), &caller);
    let all_of_key = GetAttributesRequest {
        unique_identifier: Some(key.as_str().into()),
        ..GetAttributesRequest::default()
    };
    println!("{:<34} {:>12}", format!("KMIP 1.4, {title}"), "µs");
    time(service.as_ref(), &caller, "Get Attributes, all", &message(&all), ROUNDS);
    time(service.as_ref(), &caller, "Get Attributes, all, AES key", &message(&all_of_key), ROUNDS);
    time(service.as_ref(), &caller, "Get Attributes, State and Link", &message(&some), ROUNDS);
    time(service.as_ref(), &caller, "Get, public key", &message(&get), ROUNDS);
    time(service.as_ref(), &caller, "Get, private key", &message(&get_private), ROUNDS);
    time(service.as_ref(), &caller, "Locate by Name", &message(&locate), ROUNDS);
    time(service.as_ref(), &caller, "Create Key Pair, P-256", &message(&elliptic), ROUNDS / 50);
    drop(service);
    std::fs::remove_dir_all(folder).expect("the store's folder");
}

fn symmetric_key(service: &dyn Service, caller: &Caller) -> String {
    let request = CreateRequest {
        object_type: ObjectType::SymmetricKey,
        attributes: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
            Attribute::CryptographicLength(256),
            Attribute::Name(Name::text("symmetric")),
        ]
        .into(),
        protection: None,
    };
    let answer = service.handle(message(&request).expose(), caller, DateTime(1));
    let mut response = ResponseMessage::read(answer.expose()).expect("a response");
    let payload = response.items.remove(0).payload.expect("a payload");
    CreateResponse::read(payload).expect("a key").unique_identifier
}

fn message<R: Request>(request: &R) -> Secret {
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(request, None);
    builder.finish()
}

fn time(service: &dyn Service, caller: &Caller, name: &str, request: &Secret, rounds: u32) {
    let ask = || {
        let answer = service.handle(request.expose(), caller, DateTime(2));
        let item = ResponseMessage::read(answer.expose()).expect("a response").items.remove(0);
        assert_eq!(item.result_status, ResultStatus::Success, "{name}: {:?}", item.result_message);
    };
    for _ in 0..rounds / 10 {
        ask();
    }
    let start = Instant::now();
    for _ in 0..rounds {
        ask();
    }
    println!("{name:<34} {:>12.2}", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}
