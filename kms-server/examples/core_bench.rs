//! How much of a request's time the core takes: decode, run, encode, with the store warm and no connection.
//!
//! `cargo run --release -p kms-server --example core_bench`

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for people")]

use std::sync::Arc;
use std::time::Instant;

use kms_protocol::attribute::{Attribute, AttributeKind, AttributeReference, AttributeReferences, Name};
use kms_protocol::enums::CryptographicAlgorithm;
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{
    CreateKeyPairRequest, CreateKeyPairResponse, GetAttributesRequest, GetRequest, LocateRequest, Request,
};
use kms_protocol::ttlv::Value as _;
use kms_protocol::{DateTime, Secret, Version};
use kms_server::config::Config;
use kms_server::crypto::Workers;
use kms_server::kms::Caller;
use kms_server::service::{self, Keep, Service};

const ROUNDS: u32 = 50_000;

fn main() {
    let folder = std::env::temp_dir().join(format!("kms-core-bench-{}", std::process::id()));
    let keep = Keep::Folder(folder.clone());
    let workers = Arc::new(Workers::one_per_core().expect("threads"));
    let service =
        service::open(&keep, &Secret::new(vec![1; 32]), &Config::default(), &workers).expect("a store");
    let caller = Caller { principal: "bench".into() };
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
    println!("{:<34} {:>12}", "operation, KMIP 1.4", "µs");
    time(service.as_ref(), &caller, "Get Attributes, all", &message(&all));
    time(service.as_ref(), &caller, "Get Attributes, State and Link", &message(&some));
    time(service.as_ref(), &caller, "Get, public key", &message(&get));
    time(service.as_ref(), &caller, "Get, private key", &message(&get_private));
    time(service.as_ref(), &caller, "Locate by Name", &message(&locate));
    drop(service);
    std::fs::remove_dir_all(folder).expect("the store's folder");
}

fn message<R: Request>(request: &R) -> Secret {
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(request, None);
    builder.finish()
}

fn time(service: &dyn Service, caller: &Caller, name: &str, request: &Secret) {
    for _ in 0..ROUNDS / 10 {
        let _ = service.handle(request.expose(), caller, DateTime(2));
    }
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let _ = service.handle(request.expose(), caller, DateTime(2));
    }
    println!("{name:<34} {:>12.2}", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}
