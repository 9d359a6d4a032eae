//! Requests whose answers come later: Asynchronous Indicator, Poll, Cancel, Process, Query Asynchronous Requests.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use kms_protocol::attribute::Name;
use kms_protocol::enums::{
    AsynchronousIndicator, BatchErrorContinuationOption, CancellationResult, Operation, ProcessingStage,
    ResultReason, ResultStatus,
};
use kms_protocol::message::{Asynchronous, RequestBuilder, RequestHeader, ResponseItem, ResponseMessage};
use kms_protocol::operation::{
    CancelRequest, CreateKeyPairResponse, CreateRequest, GetAttributesRequest, GetAttributesResponse,
    GetRequest, Operations, PingRequest, PollRequest, ProcessRequest, QueryAsynchronousRequestsRequest,
};
use kms_protocol::ttlv::{Bytes, Value as _};
use kms_protocol::{DateTime, Secret, Version};
use kms_server::audit::{self, Trail};
use kms_server::crypto::{KeyPool, KeySpec, Keyring, StoreKey, Workers, generate};
use kms_server::kms::{Caller, Kms, Parts};
use kms_server::store::{MemoryStore, Store};

use crate::asking::{Asker, NOW, pair_request};

/// A server that generates an RSA pair only once `Gate::open` is dropped, and says when it has begun.
struct Gate {
    begun: Receiver<()>,
    open: Sender<()>,
}

fn gated() -> (Asker, Gate) {
    let ((said, begun), (open, opened)) = (channel(), channel::<()>());
    let (said, opened) = (Mutex::new(said), Mutex::new(opened));
    let generator = move |spec| {
        if spec == KeySpec::Rsa2048 {
            said.lock().expect("a sender").send(()).expect("a test");
            // It ends when the gate does.
            let _ = opened.lock().expect("a receiver").recv();
        }
        generate(spec)
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let kms = Kms::new(Parts {
        trail: Arc::new(Trail::open(&audit::Options::default(), &store).expect("a trail")),
        store,
        keyring: Keyring::new(StoreKey::from_bytes(Secret::new(vec![7; 32])).expect("a key")),
        pool: Arc::new(KeyPool::with_generator(0, generator).expect("a pool")),
        workers: Arc::new(Workers::new(1).expect("workers")),
    });
    (Asker::on(kms).speaking(Version::V2_1), Gate { begun, open })
}

fn later(version: Version, indicator: AsynchronousIndicator) -> RequestBuilder {
    let mut header = RequestHeader::new(version);
    header.asynchronous_indicator = Some(Asynchronous(indicator));
    RequestBuilder::new(header)
}

fn mandatory() -> RequestBuilder {
    later(Version::V2_1, AsynchronousIndicator::Mandatory)
}

fn send(ask: &Asker, principal: &str, builder: RequestBuilder) -> Secret {
    ask.service.handle(builder.finish().expose(), &Caller::named(principal), DateTime(NOW))
}

fn items(answer: &Secret) -> Vec<ResponseItem<'_>> {
    ResponseMessage::read(answer.expose()).expect("a response").items
}

/// The correlation values of what was put off.
fn put_off(ask: &Asker, builder: RequestBuilder) -> Vec<Bytes> {
    let answer = send(ask, "a", builder);
    let values = items(&answer).into_iter().map(|item| {
        assert_eq!(item.result_status, ResultStatus::OperationPending, "{item:?}");
        assert!(item.payload.is_none() && item.operation.is_some());
        item.asynchronous_correlation_value.expect("a correlation value")
    });
    values.collect()
}

fn put_off_one<R: kms_protocol::operation::Request>(ask: &Asker, request: &R) -> Bytes {
    let mut builder = mandatory();
    builder.push(request, None);
    put_off(ask, builder).pop().expect("one")
}

/// Asks by Poll, in a batch item called 9.
fn poll(ask: &Asker, by: &str, correlation: &Bytes, version: Version) -> Secret {
    let mut builder = RequestBuilder::new(RequestHeader::new(version));
    builder.push(&PollRequest { asynchronous_correlation_value: correlation.clone() }, Some(Bytes(vec![9])));
    send(ask, by, builder)
}

fn polled(ask: &Asker, correlation: &Bytes) -> (ResultStatus, Option<ResultReason>) {
    let answer = poll(ask, "a", correlation, Version::V2_1);
    let item = items(&answer).pop().expect("an answer");
    (item.result_status, item.result_reason)
}

fn cancel(ask: &Asker, correlation: &Bytes) -> CancellationResult {
    let request = CancelRequest { asynchronous_correlation_value: correlation.clone() };
    let answer = ask.ask(&request).expect("answered");
    assert_eq!(answer.asynchronous_correlation_value, *correlation);
    answer.cancellation_result
}

fn process(ask: &Asker, correlation: &Bytes) -> Result<(), ResultReason> {
    let request = ProcessRequest { asynchronous_correlation_value: correlation.clone() };
    ask.ask(&request).map(drop).map_err(|(reason, _)| reason)
}

fn outstanding(ask: &Asker) -> Vec<(Bytes, Operation, ProcessingStage)> {
    let all = ask.ask(&QueryAsynchronousRequestsRequest::default()).expect("answered").requests;
    let all = all.into_iter().map(|one| {
        assert_eq!(one.submission_date.0, NOW * 1_000_000);
        (one.asynchronous_correlation_value, one.operation, one.processing_stage)
    });
    all.collect()
}

const PENDING: (ResultStatus, Option<ResultReason>) = (ResultStatus::OperationPending, None);
const UNKNOWN: (ResultStatus, Option<ResultReason>) =
    (ResultStatus::OperationFailed, Some(ResultReason::InvalidAsynchronousCorrelationValue));

#[test]
fn a_batch_that_was_put_off_is_worked_in_order_and_answered_by_poll() {
    let (ask, gate) = gated();
    let mut builder = mandatory();
    builder.push(&pair_request("later", 2_048), Some(Bytes(vec![1])));
    builder.push(&GetAttributesRequest::default(), Some(Bytes(vec![2])));
    let values = put_off(&ask, builder);
    assert_ne!(values[0], values[1]);
    gate.begun.recv().expect("it is under way");
    assert_eq!(polled(&ask, &values[0]), PENDING);
    let still = poll(&ask, "a", &values[0], Version::V2_1);
    assert_eq!(items(&still)[0].asynchronous_correlation_value.as_ref(), Some(&values[0]));
    let mut told = outstanding(&ask);
    told.sort_by_key(|(_, operation, _)| *operation != Operation::CreateKeyPair);
    let expected = [
        (values[0].clone(), Operation::CreateKeyPair, ProcessingStage::InProcess),
        (values[1].clone(), Operation::GetAttributes, ProcessingStage::Submitted),
    ];
    assert_eq!(told, expected);
    let only = QueryAsynchronousRequestsRequest {
        correlation_values: None,
        operations: Some(Operations { operations: vec![Operation::GetAttributes] }),
    };
    assert_eq!(ask.ask(&only).expect("answered").requests.len(), 1);

    let other = ask.by("b");
    assert!(outstanding(&other).is_empty(), "others learn nothing of it");
    assert_eq!(cancel(&other, &values[0]), CancellationResult::Unavailable);
    assert_eq!(process(&other, &values[0]), Err(ResultReason::InvalidAsynchronousCorrelationValue));
    let foreign = poll(&ask, "b", &values[0], Version::V2_1);
    assert_eq!(items(&foreign)[0].result_reason, UNKNOWN.1);

    assert_eq!(cancel(&ask, &values[0]), CancellationResult::UnableToCancel);
    drop(gate.open);
    process(&ask, &values[0]).expect("done");
    process(&ask, &values[1]).expect("done, whoever did it");
    assert_eq!(process(&ask, &values[1]), Err(ResultReason::DuplicateProcessRequest));
    assert_eq!(cancel(&ask, &values[0]), CancellationResult::Completed);

    let made = poll(&ask, "a", &values[0], Version::V2_1);
    let item = items(&made).pop().expect("an answer");
    assert_eq!(
        (item.operation, item.unique_batch_item_id),
        (Some(Operation::CreateKeyPair), Some(Bytes(vec![9])))
    );
    assert!(item.asynchronous_correlation_value.is_none());
    let pair = CreateKeyPairResponse::read(item.payload.expect("a payload")).expect("a pair");
    let about = poll(&ask, "a", &values[1], Version::V2_1);
    let payload = items(&about).pop().and_then(|item| item.payload).expect("a payload");
    let about = GetAttributesResponse::read(payload).expect("attributes");
    assert_eq!(about.unique_identifier, pair.private_key_unique_identifier, "the ID Placeholder");
    assert_eq!(polled(&ask, &values[0]), UNKNOWN, "an outcome is given once");
    assert!(outstanding(&ask).is_empty());
}

#[test]
fn what_was_not_begun_is_canceled_and_never_done() {
    let (ask, gate) = gated();
    let first = put_off_one(&ask, &pair_request("first", 2_048));
    gate.begun.recv().expect("it is under way");
    // Two threads work: the second is busy with the second, or about to be, and nobody is left for the third.
    let second = put_off_one(&ask, &pair_request("second", 2_048));
    let third = put_off_one(&ask, &pair_request("third", 2_048));
    assert_eq!(cancel(&ask, &third), CancellationResult::Canceled);
    assert_eq!(cancel(&ask, &third), CancellationResult::Canceled);
    process(&ask, &third).expect("its outcome is there");
    assert_eq!(outstanding(&ask).len(), 2);
    let canceled = (ResultStatus::OperationFailed, Some(ResultReason::OperationCanceledByRequester));
    assert_eq!(polled(&ask, &third), canceled);
    assert_eq!(polled(&ask, &third), UNKNOWN);
    drop(gate.open);
    for one in [&first, &second] {
        process(&ask, one).expect("done");
        assert_eq!(polled(&ask, one), (ResultStatus::Success, None));
    }
    ask.ask(&pair_request("third", 2_048)).expect("its Names are free: it was never made");
}

#[test]
fn a_failure_stops_a_batch_unless_it_goes_on() {
    let (ask, _gate) = gated();
    let batch = |continues: Option<BatchErrorContinuationOption>| {
        let mut header = RequestHeader::new(Version::V2_1);
        header.asynchronous_indicator = Some(Asynchronous(AsynchronousIndicator::Mandatory));
        header.batch_error_continuation_option = continues;
        let mut builder = RequestBuilder::new(header);
        builder
            .push(&GetRequest { unique_identifier: Some("nothing".into()), ..GetRequest::default() }, None);
        builder.push(&PingRequest::default(), None);
        put_off(&ask, builder)
    };
    let finished = |values: &[Bytes]| {
        values.iter().for_each(|one| process(&ask, one).expect("done"));
        assert_eq!(cancel(&ask, &values[0]), CancellationResult::Failed);
        let outcomes: Vec<_> = values.iter().map(|one| polled(&ask, one)).collect();
        outcomes
    };
    let failed = |reason| (ResultStatus::OperationFailed, Some(reason));
    let stopped = finished(&batch(None));
    assert_eq!(stopped, [failed(ResultReason::ObjectNotFound), failed(ResultReason::GeneralFailure)]);
    let on = finished(&batch(Some(BatchErrorContinuationOption::Continue)));
    assert_eq!(on, [failed(ResultReason::ObjectNotFound), (ResultStatus::Success, None)]);
}

#[test]
fn what_takes_long_is_put_off_where_the_client_allows_it() {
    let (ask, gate) = gated();
    for version in [Version::V1_4, Version::V2_1] {
        let allowed = |request: &kms_protocol::operation::CreateKeyPairRequest| {
            let mut builder = later(version, AsynchronousIndicator::Optional);
            builder.push(request, None);
            let answer = send(&ask, "a", builder);
            let item = items(&answer).pop().expect("an answer");
            (item.result_status, item.asynchronous_correlation_value)
        };
        let (status, correlation) = allowed(&pair_request(&format!("rsa {version}"), 2_048));
        assert_eq!(status, ResultStatus::OperationPending, "{version}");
        let pending = poll(&ask, "a", &correlation.expect("a value"), version);
        assert_eq!(items(&pending)[0].result_status, ResultStatus::OperationPending);
        let mut at_once = later(version, AsynchronousIndicator::Optional);
        at_once
            .push(&GetAttributesRequest { unique_identifier: Some("x".into()), ..Default::default() }, None);
        let answer = send(&ask, "a", at_once);
        assert_eq!(items(&answer)[0].result_status, ResultStatus::OperationFailed, "it is quick: no object");
    }
    drop(gate.open);
    let mut builder = later(Version::V2_1, AsynchronousIndicator::Prohibited);
    builder.push(&pair_request("now", 2_048), None);
    let answer = send(&ask, "a", builder);
    assert_eq!(items(&answer)[0].result_status, ResultStatus::Success);
}

#[test]
fn one_client_puts_off_so_much_and_for_so_long() {
    let (ask, _gate) = gated();
    let many = || {
        let mut builder = mandatory();
        (0..256_u16)
            .for_each(|at| builder.push(&PingRequest::default(), Some(Bytes(at.to_be_bytes().to_vec()))));
        builder
    };
    let values = put_off(&ask, many());
    let one = || {
        let mut builder = mandatory();
        builder.push(&PingRequest::default(), None);
        builder
    };
    let answer = send(&ask, "a", one());
    assert_eq!(items(&answer)[0].result_reason, Some(ResultReason::ServerLimitExceeded));
    let answer = send(&ask, "b", one());
    assert_eq!(items(&answer)[0].result_status, ResultStatus::OperationPending, "others have room");
    process(&ask, &values[0]).expect("done");
    assert_eq!(polled(&ask, &values[0]).0, ResultStatus::Success);
    put_off(&ask, one());
    let after = ask.at(NOW + 3_601);
    let gone = PollRequest { asynchronous_correlation_value: values[1].clone() };
    process(&ask, &values[1]).expect("done");
    assert_eq!(after.ask(&gone).expect_err("too late").0, ResultReason::InvalidAsynchronousCorrelationValue);
}

#[test]
fn what_is_about_requests_themselves_is_never_put_off() {
    let (ask, _gate) = gated();
    let unknown = || PollRequest { asynchronous_correlation_value: Bytes(vec![1]) };
    let mut alone = mandatory();
    alone.push(&unknown(), None);
    let answer = send(&ask, "a", alone);
    assert_eq!(items(&answer)[0].result_reason, UNKNOWN.1, "answered at once");
    let mut mixed = mandatory();
    mixed.push(&unknown(), Some(Bytes(vec![1])));
    mixed.push(&aes_request(), Some(Bytes(vec![2])));
    let answer = send(&ask, "a", mixed);
    assert_eq!(items(&answer)[0].result_reason, Some(ResultReason::FeatureNotSupported));
    let mut header = RequestHeader::new(Version::V2_1);
    header.asynchronous_indicator = Some(Asynchronous(AsynchronousIndicator::Mandatory));
    header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Undo);
    let mut undone = RequestBuilder::new(header);
    undone.push(&PingRequest::default(), None);
    let answer = send(&ask, "a", undone);
    assert_eq!(items(&answer)[0].result_reason, Some(ResultReason::FeatureNotSupported));
    let old = ask.speaking(Version::V1_0).ask(&unknown()).expect_err("nothing");
    assert_eq!(old.0, ResultReason::ItemNotFound);
}

fn aes_request() -> CreateRequest {
    use kms_protocol::attribute::{Attribute, CryptographicUsageMask};
    use kms_protocol::enums::{CryptographicAlgorithm, ObjectType};
    CreateRequest {
        object_type: ObjectType::SymmetricKey,
        attributes: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
            Attribute::CryptographicLength(128),
            Attribute::CryptographicUsageMask(CryptographicUsageMask::ENCRYPT),
            Attribute::Name(Name::text("aes")),
        ]
        .into(),
        protection: None,
    }
}
