//! Every fault, from a client's side.

use std::time::Duration;

use kms_client::Profile;
use kms_protocol::Version;
use kms_protocol::enums::{Operation, ResultReason, ResultStatus};
use kms_protocol::frame::message_length;
use kms_protocol::message::ResponseMessage;
use kms_protocol::operation::{ActivateRequest, CreateKeyPairResponse, DiscoverVersionsRequest};
use kms_server::faults::{Fault, Malformation, Rule};
use kms_server::journal::Wanted;
use kms_server::testing::blocking::TestServer;

use super::peer::{Peer, Seen, batch, discover, message, pair};

fn arm(server: &TestServer, fault: &str) -> Rule {
    let rule = Rule::new(fault.parse::<Fault>().expect("a fault")).times(1);
    server.faults().add(rule.clone()).expect("armed");
    rule
}

/// What was made to go wrong, by the journal.
fn fired(server: &TestServer) -> Vec<String> {
    let page = server.journal().page(&Wanted { faults: true, ..Wanted::default() });
    page.exchanges.iter().flat_map(|exchange| &exchange.faults).map(|fired| fired.fault.to_string()).collect()
}

#[test]
fn an_exchange_ends_when_and_how_it_was_told_to() {
    let server = TestServer::start();
    let client = server.client("a");
    for (fault, seen, is_done) in [
        ("close:before-reading", Seen::Closed(0), false),
        ("close:after-reading", Seen::Closed(0), false),
        ("close:after-commit", Seen::Closed(0), true),
        ("reset:before-reading", Seen::Reset, false),
        ("reset:after-reading", Seen::Reset, false),
        ("reset:after-commit", Seen::Reset, true),
        ("hang:before-reading", Seen::Silence, false),
        ("hang:after-reading", Seen::Silence, false),
        ("hang:after-commit", Seen::Silence, true),
    ] {
        let mut peer = Peer::connect(&server, &client);
        arm(&server, fault);
        peer.send(&message(&pair(fault)));
        let came = if seen == Seen::Silence { peer.soon() } else { peer.next() };
        assert_eq!(came, seen, "{fault}");
        assert_eq!(fired(&server).last().map(String::as_str), Some(fault));
        let mut other = Peer::connect(&server, &client);
        assert_eq!(other.named(fault), usize::from(is_done), "{fault}");
        server.faults().reset();
        if seen == Seen::Silence {
            assert_eq!(peer.next(), Seen::Closed(0), "a reset lets go of what hangs by {fault}");
        }
    }
}

#[test]
fn a_delay_delays_by_what_it_says_and_its_jitter_at_most() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("a"));
    arm(&server, "delay:20ms~30ms");
    assert!(matches!(peer.ask(&discover()), Seen::Answer(_)));
    let page = server.journal().page(&Wanted { faults: true, ..Wanted::default() });
    assert!(page.exchanges[0].took_us >= 20_000, "{} µs", page.exchanges[0].took_us);
    assert_eq!(page.exchanges[0].faults.len(), 1);
}

#[test]
fn one_item_of_a_batch_is_refused_for_any_reason_and_the_others_are_done() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("a"));
    let fault = "error:Response Too Large:on purpose";
    let rule = Rule::new(fault.parse().expect("a fault")).operation(Operation::CreateKeyPair).item(2);
    server.faults().add(rule).expect("armed");
    let Seen::Answer(answer) = peer.ask(&batch(&[pair("one"), pair("two"), pair("three")])) else {
        panic!("an answer")
    };
    let message = ResponseMessage::read(&answer).expect("a response");
    let statuses: Vec<_> =
        message.items.iter().map(|item| (item.result_status, item.result_reason)).collect();
    let success = (ResultStatus::Success, None);
    let failure = (ResultStatus::OperationFailed, Some(ResultReason::ResponseTooLarge));
    assert_eq!(statuses, [success, failure, success]);
    assert_eq!(message.items[1].result_message.as_deref(), Some("on purpose"));
    assert_eq!(["one", "two", "three"].map(|name| peer.named(name)), [1, 0, 1]);
    server.journal().assert_called(Operation::CreateKeyPair).refused(ResultReason::ResponseTooLarge).times(1);
}

#[test]
fn a_fault_finds_its_key_by_identifier_and_by_name() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("a"));
    let made: Vec<CreateKeyPairResponse> =
        ["nightly", "weekly"].map(|name| peer.call(&pair(name))).into_iter().collect();
    server
        .faults()
        .add(Rule::new("error:Permission Denied".parse().expect("a fault")).key("night*"))
        .expect("armed");
    let activate = |made: &CreateKeyPairResponse| ActivateRequest {
        unique_identifier: Some(made.private_key_unique_identifier.as_str().into()),
    };
    let Seen::Answer(answer) = peer.ask(&batch(&[activate(&made[0]), activate(&made[1])])) else {
        panic!("an answer")
    };
    let message = ResponseMessage::read(&answer).expect("a response");
    let reasons: Vec<_> = message.items.iter().map(|item| item.result_reason).collect();
    assert_eq!(reasons, [Some(ResultReason::PermissionDenied), None]);
    server.faults().reset();
    let id = made[1].private_key_unique_identifier.as_str();
    server.faults().add(Rule::new("close".parse().expect("a fault")).key(id)).expect("armed");
    assert!(matches!(peer.ask(&message_of(&activate(&made[0]))), Seen::Answer(_)));
    assert_eq!(peer.ask(&message_of(&activate(&made[1]))), Seen::Closed(0));
}

fn message_of(request: &ActivateRequest) -> Vec<u8> {
    message(request)
}

#[test]
fn an_answer_is_cut_or_comes_in_slices() {
    let server = TestServer::start();
    let client = server.client("a");
    let mut peer = Peer::connect(&server, &client);
    let Seen::Answer(whole) = peer.ask(&discover()) else { panic!("an answer") };
    arm(&server, "slices:7/1ms");
    assert_eq!(peer.ask(&discover()), Seen::Answer(whole.clone()));
    arm(&server, "cut:17");
    assert_eq!(peer.ask(&discover()), Seen::Closed(17));
    assert_eq!(peer.rest(), &whole[..17]);
    assert_eq!(fired(&server), ["slices:7/1ms", "cut:17"]);
}

#[test]
fn every_malformed_answer_is_an_error_to_a_client_and_the_next_one_is_sound() {
    let server = TestServer::start();
    let profile = Profile::load(&server.client("a").profile()).expect("a profile");
    // What takes a lenient reader: fields out of order, padding, a status that nobody knows, something behind the end.
    let lenient = [Malformation::OutOfOrder, Malformation::Padding, Malformation::Trailing];
    for (how, name) in Malformation::NAMES {
        let client = profile.builder().version(Version::V1_4).deadline(Duration::from_millis(500));
        let client = kms_client::blocking::Client::new(client.build().expect("a client")).expect("a client");
        client.discover_versions(&DiscoverVersionsRequest::default()).expect("sound before");
        // A client asks again where it may: it has to fail as often.
        let rule = Rule::new(Fault::Malformed(how));
        server.faults().add(rule).expect("armed");
        let answer = client.discover_versions(&DiscoverVersionsRequest::default());
        assert_eq!(answer.is_ok(), lenient.contains(&how), "{name}: {answer:?}");
        server.faults().reset();
        client.discover_versions(&DiscoverVersionsRequest::default()).expect("sound after");
    }
}

#[test]
fn an_answer_states_a_batch_count_that_is_none_of_its_own() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("a"));
    arm(&server, "batch-count:5");
    let Seen::Answer(answer) = peer.ask(&discover()) else { panic!("an answer") };
    assert_eq!(message_length(&answer, 1 << 20), Ok(Some(answer.len())));
    let error = ResponseMessage::read(&answer).expect_err("five items are stated");
    assert!(error.to_string().contains("Batch Count"), "{error}");
}

#[test]
fn a_handshake_fails_for_one_client_and_works_for_another() {
    let server = TestServer::start();
    let (a, b) = (server.client("a"), server.client("b"));
    server.faults().add(Rule::new(Fault::Tls).client("a").times(1)).expect("armed");
    Peer::connect(&server, &b);
    let error = Peer::try_connect(&server, &a).err().expect("no handshake");
    assert!(error.to_string().contains("HandshakeFailure"), "{error}");
    Peer::connect(&server, &a);
    assert_eq!(fired(&server), ["tls"]);
}

#[test]
fn new_connections_are_refused_to_all_or_to_one_client() {
    let server = TestServer::start();
    let (a, b) = (server.client("a"), server.client("b"));
    let mut old = Peer::connect(&server, &a);
    arm(&server, "refuse");
    assert!(Peer::try_connect(&server, &b).is_err());
    Peer::connect(&server, &b);
    server.faults().add(Rule::new(Fault::Refuse).client("a")).expect("armed");
    assert!(Peer::try_connect(&server, &a).is_err());
    Peer::connect(&server, &b);
    assert!(matches!(old.ask(&discover()), Seen::Answer(_)), "an old connection is left alone");
    assert_eq!(fired(&server), ["refuse", "refuse"]);
}

#[test]
fn an_idle_connection_ends_also_where_the_fault_was_armed_while_it_was_idle() {
    let server = TestServer::start();
    let mut idle = Peer::connect(&server, &server.client("a"));
    let mut other = Peer::connect(&server, &server.client("b"));
    server.faults().add(Rule::new("idle:10ms".parse().expect("a fault")).client("a")).expect("armed");
    assert_eq!(idle.next(), Seen::Closed(0));
    assert!(matches!(other.ask(&discover()), Seen::Answer(_)));
    assert_eq!(fired(&server), ["idle:10ms"]);
}

#[test]
fn a_commit_fails_as_a_disk_makes_it() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("a"));
    for (fault, is_done) in [("store:full", 0), ("store:apply", 0), ("store:acknowledge", 1)] {
        arm(&server, fault);
        let Seen::Answer(answer) = peer.ask(&message(&pair(fault))) else { panic!("an answer") };
        let message = ResponseMessage::read(&answer).expect("a response");
        assert_eq!(message.items[0].result_reason, Some(ResultReason::GeneralFailure), "{fault}");
        assert_eq!(peer.named(fault), is_done, "{fault}");
    }
    assert_eq!(fired(&server), ["store:full", "store:apply", "store:acknowledge"]);
}

#[test]
fn chance_follows_from_the_seed() {
    let row = |seed: u32| -> Vec<bool> {
        let server = TestServer::start();
        let mut peer = Peer::connect(&server, &server.client("a"));
        let rule = Rule::new("error:General Failure".parse().expect("a fault")).probability(0.5, seed);
        server.faults().add(rule).expect("armed");
        let asked = (0..32).map(|_| {
            let Seen::Answer(answer) = peer.ask(&discover()) else { panic!("an answer") };
            ResponseMessage::read(&answer).expect("a response").items[0].result_reason.is_some()
        });
        asked.collect()
    };
    let first = row(1);
    assert_eq!(first, row(1));
    assert_ne!(first, row(2));
    assert!(first.contains(&true) && first.contains(&false));
}
