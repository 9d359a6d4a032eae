//! Personas in front of the core: what they refuse, what they change, and that the rest of a batch goes on as it would.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use kms_protocol::attribute::{Attribute, CryptographicUsageMask};
use kms_protocol::enums::{
    BatchErrorContinuationOption, CryptographicAlgorithm, Operation, QueryFunction, ResultReason,
    ResultStatus,
};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseItem, ResponseMessage};
use kms_protocol::operation::{
    CreateKeyPairRequest, DiscoverVersionsRequest, DiscoverVersionsResponse, GetAttributesRequest,
    GetAttributesResponse, GetRequest, QueryRequest, QueryResponse, RekeyKeyPairRequest,
};
use kms_protocol::ttlv::Value as _;
use kms_protocol::{DateTime, Secret, Version};
use kms_server::config::Config;
use kms_server::crypto::Workers;
use kms_server::kms::Caller;
use kms_server::persona::{ALL, Persona};
use kms_server::service::{self, Keep, Service};

const NOW: DateTime = DateTime(1_800_000_000);

fn play(persona: &str) -> Arc<dyn Service> {
    let persona: Persona = persona.parse().expect("a persona");
    let config = Config { ready_pairs: Some(0), ..Config::default() };
    let workers = Arc::new(Workers::new(1).expect("a thread"));
    persona.play(service::open(&Keep::Memory, &Secret::new(vec![7; 32]), &config, &workers).expect("a store"))
}

fn handle(service: &Arc<dyn Service>, request: &[u8]) -> Secret {
    service.handle(request, &Caller::named("a"), NOW)
}

/// What an item asked, and why it failed where it did.
type Went = (Option<Operation>, Option<ResultReason>);

/// A request of several operations.
struct Ask(RequestBuilder);

impl Ask {
    fn new(version: Version, option: Option<BatchErrorContinuationOption>) -> Self {
        let mut header = RequestHeader::new(version);
        header.batch_error_continuation_option = option;
        Self(RequestBuilder::new(header))
    }

    fn and<R: kms_protocol::operation::Request>(mut self, request: &R) -> Self {
        self.0.push(request, None);
        self
    }

    /// The response's version, and how each item went.
    fn of(self, service: &Arc<dyn Service>) -> (Version, Vec<Went>) {
        let bytes = handle(service, self.0.finish().expose());
        let message = ResponseMessage::read(bytes.expose()).expect("a response");
        let items = message.items.iter();
        let items = items.map(|item| (item.operation, item.result_reason)).collect();
        (message.header.protocol_version, items)
    }

    /// The payload of the only item.
    fn payload<T>(self, service: &Arc<dyn Service>, read: impl Fn(ResponseItem<'_>) -> T) -> T {
        let bytes = handle(service, self.0.finish().expose());
        let mut message = ResponseMessage::read(bytes.expose()).expect("a response");
        let item = message.items.pop().expect("an item");
        assert_eq!(item.result_status, ResultStatus::Success, "{:?}", item.result_message);
        read(item)
    }
}

fn pair() -> CreateKeyPairRequest {
    CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(256),
        ]
        .into(),
        private_key: vec![Attribute::CryptographicUsageMask(CryptographicUsageMask::SIGN)].into(),
        public_key: vec![Attribute::CryptographicUsageMask(CryptographicUsageMask::VERIFY)].into(),
        ..CreateKeyPairRequest::default()
    }
}

const CONTINUE: Option<BatchErrorContinuationOption> = Some(BatchErrorContinuationOption::Continue);
const NOT_SUPPORTED: Option<ResultReason> = Some(ResultReason::OperationNotSupported);
const CREATE: Went = (Some(Operation::CreateKeyPair), None);
const REKEY: Went = (Some(Operation::RekeyKeyPair), NOT_SUPPORTED);
const ATTRIBUTES: Went = (Some(Operation::GetAttributes), None);

#[test]
fn what_is_refused_in_a_batch_leaves_the_rest_as_it_is() {
    let service = play("ovh");
    let all = |option| {
        Ask::new(Version::V1_4, option)
            .and(&pair())
            .and(&RekeyKeyPairRequest::default())
            // Of the ID Placeholder, which the creation has set.
            .and(&GetAttributesRequest::default())
            .of(&service)
            .1
    };
    assert_eq!(all(CONTINUE), [CREATE, REKEY, ATTRIBUTES]);
    assert_eq!(all(None), [CREATE, REKEY], "it stops at the first failure");
    // A failure of the real service before it stops the batch as well.
    let missing = GetRequest { unique_identifier: Some("nobody".into()), ..GetRequest::default() };
    let stopped =
        Ask::new(Version::V1_4, None).and(&missing).and(&RekeyKeyPairRequest::default()).of(&service);
    assert_eq!(stopped.1, [(Some(Operation::Get), Some(ResultReason::ItemNotFound))]);
    let alone = Ask::new(Version::V1_4, None).and(&RekeyKeyPairRequest::default()).of(&service);
    assert_eq!(alone, (Version::V1_4, vec![REKEY]));
}

#[test]
fn versions_that_are_not_spoken_are_refused_and_not_listed() {
    let wrong = vec![(None, Some(ResultReason::InvalidMessage))];
    for (persona, asked, answered) in [
        ("vault", Version::V2_1, Version::V1_4),
        ("pykmip", Version::V2_1, Version::V2_0),
        ("veeam-strict", Version::V1_2, Version::V1_4),
        ("ovh", Version::V2_0, Version::V1_4),
    ] {
        let answer = Ask::new(asked, None).and(&QueryRequest::default()).of(&play(persona));
        assert_eq!(answer, (answered, wrong.clone()), "{persona}");
    }
    let listed = Ask::new(Version::V1_4, None).and(&DiscoverVersionsRequest::default());
    let listed = listed.payload(&play("veeam-strict"), |item| {
        DiscoverVersionsResponse::read(item.payload.expect("a payload")).expect("readable").versions
    });
    assert_eq!(listed, [Version::V1_4]);
}

#[test]
fn what_a_persona_does_not_change_comes_through_in_every_version() {
    for version in [Version::V1_0, Version::V1_4, Version::V2_0, Version::V2_1] {
        let service = play("ciphertrust");
        let made = Ask::new(version, None).and(&pair()).and(&GetAttributesRequest::default()).of(&service);
        assert_eq!(made, (version, vec![CREATE, ATTRIBUTES]));
        let query = QueryRequest::from(vec![QueryFunction::QueryObjects]);
        let objects = Ask::new(version, None).and(&query).payload(&service, |item| {
            QueryResponse::read(item.payload.expect("a payload")).expect("readable").object_types
        });
        assert_eq!(objects.len(), 2);
    }
    let told = Ask::new(Version::V1_4, None).and(&pair()).and(&GetAttributesRequest::default());
    let service = play("pykmip");
    let bytes = handle(&service, told.0.finish().expose());
    let message = ResponseMessage::read(bytes.expose()).expect("a response");
    let payload = message.items[1].payload.clone().expect("a payload");
    let told = GetAttributesResponse::read(payload).expect("readable").attributes.0;
    assert!(told.iter().any(|attribute| matches!(attribute, Attribute::State(_))), "{told:?}");
    assert!(!told.iter().any(|attribute| matches!(attribute, Attribute::Link(_))), "{told:?}");
}

#[test]
fn garbage_is_answered_as_without_a_persona() {
    for row in ALL {
        let service = play(row.name);
        let request = Ask::new(Version::V1_4, None).and(&pair()).0.finish();
        let request = request.expose();
        for at in 8..request.len() {
            let mut changed = request.to_vec();
            changed[at] ^= 0x41;
            let answer = handle(&service, &changed);
            ResponseMessage::read(answer.expose()).expect("a response to whatever it was");
            let cut = handle(&service, &request[..at]);
            let cut = ResponseMessage::read(cut.expose()).expect("a response to what was cut off");
            assert_eq!(cut.items[0].result_status, ResultStatus::OperationFailed);
        }
    }
}
