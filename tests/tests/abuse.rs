//! Well-formed requests of a trusted client that ask for too much: they must not harm the server or its other clients.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, AttributeList, CustomAttribute, Name};
use kms_protocol::enums::{BatchErrorContinuationOption, CryptographicAlgorithm, ResultReason, ResultStatus};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{
    CreateKeyPairRequest, CreateKeyPairResponse, GetAttributesRequest, LocateRequest, Request,
};
use kms_protocol::ttlv::{Interval, RawValue, Value as _};
use kms_server::limits;
use kms_tests::process::{Server, finish};
use kms_tests::repository::program;
use kms_tests::wire::Dialler;
use serde_json::Value;

/// A server whose policies rotate pairs called `rotating…` each second, and all others that say nothing daily.
struct Bench {
    server: Server,
    dialler: Dialler,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let policies = "[[policy]]\nname = \"often\"\nnames = \"rotating*\"\nrotate-every = \"1s\"\n\n\
            [[policy]]\nname = \"daily\"\nrotate-every = \"1d\"\n";
        std::fs::create_dir_all(&state).expect("the state folder");
        std::fs::write(state.join("kms.toml"), policies).expect("kms.toml");
        let server = Server::start(&state, "127.0.0.1:0");
        let dialler = Dialler::new(&server);
        Self { server, dialler, _folder: folder }
    }

    /// Asks all in one batch that goes on after failures.
    fn ask<R: Request>(&self, version: Version, requests: &[R]) -> Vec<Result<R::Response, ResultReason>> {
        let bytes = self.dialler.dial().ask(&batch(version, requests));
        assert!(bytes.len() < limits::RESPONSE + limits::MESSAGE, "a response of {} bytes", bytes.len());
        answers::<R>(&bytes)
    }

    fn advance(&self, by: &str) -> (Value, usize) {
        let moved = self.server.ctl(&["clock", "advance", by, "--json"]).success().json();
        let fired = moved["fired"].as_array().expect("a list").len();
        let omitted = moved["omitted"].as_u64().expect("a number");
        let all = fired + usize::try_from(omitted).expect("few");
        (moved, all)
    }
}

fn batch<R: Request>(version: Version, requests: &[R]) -> Vec<u8> {
    let mut header = RequestHeader::new(version);
    header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Continue);
    let mut builder = RequestBuilder::new(header);
    requests.iter().for_each(|request| builder.push(request, None));
    builder.finish().expose().to_vec()
}

fn answers<R: Request>(bytes: &[u8]) -> Vec<Result<R::Response, ResultReason>> {
    let message = ResponseMessage::read(bytes).expect("a response");
    let read = |item: kms_protocol::message::ResponseItem<'_>| match item.result_status {
        ResultStatus::Success => Ok(R::Response::read(item.payload.expect("a payload")).expect("a response")),
        _ => Err(item.result_reason.expect("a reason")),
    };
    message.items.into_iter().map(read).collect()
}

fn pair(more: Vec<Attribute>) -> CreateKeyPairRequest {
    let mut common = vec![
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
        Attribute::CryptographicLength(256),
    ];
    common.extend(more);
    CreateKeyPairRequest { common: common.into(), ..CreateKeyPairRequest::default() }
}

fn padding(bytes: usize) -> Attribute {
    let value = RawValue::text(&"x".repeat(bytes));
    Attribute::Custom(CustomAttribute { vendor: "x".into(), name: "padding".into(), value })
}

fn made(answers: &[Result<CreateKeyPairResponse, ResultReason>]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}

#[test]
fn a_small_message_cannot_ask_for_a_huge_answer() {
    let bench = Bench::new();
    let created = bench.ask(Version::V1_4, &[pair(vec![padding(limits::ATTRIBUTES - 1_000)])]);
    let id = created[0].as_ref().expect("a pair").private_key_unique_identifier.clone();
    let question = || GetAttributesRequest {
        unique_identifier: Some(id.as_str().into()),
        ..GetAttributesRequest::default()
    };
    let answers = bench.ask(Version::V1_4, &(0..1_000).map(|_| question()).collect::<Vec<_>>());
    assert_eq!(answers.len(), 1_000);
    let whole = answers.iter().take_while(|answer| answer.is_ok()).count();
    assert!(whole > 100, "{whole} fit");
    let refused =
        answers.iter().filter(|answer| matches!(answer, Err(ResultReason::ResponseTooLarge))).count();
    assert_eq!(whole + refused, 1_000);
}

#[test]
fn a_batch_of_locates_looks_at_a_limited_number_of_objects() {
    let bench = Bench::new();
    assert_eq!(made(&bench.ask(Version::V1_4, &(0..500).map(|_| pair(vec![])).collect::<Vec<_>>())), 500);
    // Each looks at all 1,000 objects and finds none.
    let nothing = || LocateRequest {
        attributes: AttributeList(vec![Attribute::CryptographicLength(77)]),
        ..LocateRequest::default()
    };
    let answers = bench.ask(Version::V1_4, &(0..200).map(|_| nothing()).collect::<Vec<_>>());
    let answered = answers.iter().take_while(|answer| answer.is_ok()).count();
    assert_eq!(answered, limits::LOOKED_AT / 1_000 + 1);
    assert!(answers[answered..].iter().all(|answer| matches!(answer, Err(ResultReason::GeneralFailure))));
}

#[test]
fn an_object_holds_a_limited_amount_of_attributes() {
    let bench = Bench::new();
    let answers = bench.ask(Version::V1_4, &[pair(vec![padding(limits::ATTRIBUTES)])]);
    assert_eq!(made(&answers), 0, "{answers:?}");
    let found = bench.ask(Version::V1_4, &[LocateRequest::default()]);
    assert!(found[0].as_ref().expect("an answer").unique_identifiers.is_empty(), "nothing was kept");
}

#[test]
fn large_pairs_hold_up_nobodys_rotation() {
    let bench = Bench::new();
    // Together more than the store takes in one commit.
    let large: Vec<_> = (0..15).map(|_| pair(vec![padding(limits::ATTRIBUTES - 1_000)])).collect();
    for _ in 0..3 {
        assert_eq!(made(&bench.ask(Version::V1_4, &large)), large.len());
    }
    assert_eq!(made(&bench.ask(Version::V1_4, &[pair(vec![])])), 1);
    let (_, fired) = bench.advance("1d");
    assert_eq!(fired, 3 * large.len() + 1);
}

#[test]
fn many_pairs_that_wish_to_rotate_at_the_same_time_do() {
    let bench = Bench::new();
    // More than the store takes in one commit.
    let wishes = || vec![Attribute::RotateInterval(Interval(3_600)), Attribute::RotateAutomatic(true)];
    let requests: Vec<_> = (0..300).map(|_| pair(wishes())).collect();
    let _ = bench.server.ctl(&["clock", "freeze"]).success();
    assert_eq!(made(&bench.ask(Version::V2_1, &requests)), requests.len());
    assert_eq!(bench.advance("1h").1, requests.len());
    assert_eq!(bench.advance("59m").1, 0);
}

#[test]
fn a_rotation_without_pause_is_refused() {
    let bench = Bench::new();
    let endless = vec![Attribute::RotateInterval(Interval(0)), Attribute::RotateAutomatic(true)];
    let answers = bench.ask(Version::V2_1, &[pair(endless)]);
    assert!(matches!(answers[0], Err(ResultReason::InvalidField)), "{answers:?}");
}

#[test]
fn a_century_of_rotations_each_second_comes_to_an_end() {
    let bench = Bench::new();
    let _ = bench.server.ctl(&["clock", "freeze"]).success();
    let often = pair(vec![]);
    let often =
        CreateKeyPairRequest { private_key: vec![Attribute::Name(Name::text("rotating"))].into(), ..often };
    assert_eq!(made(&bench.ask(Version::V1_4, &[often])), 1);
    let (moved, fired) = bench.advance("5200w");
    assert_eq!(moved["is_cut_short"], Value::Bool(true));
    assert_eq!(fired, limits::CLOCK_STEPS + 1);
    assert!(bench.server.log().contains("more due times than it steps through"), "it is in the log");
    assert_eq!(made(&bench.ask(Version::V1_4, &[pair(vec![])])), 1, "and the server goes on");
}

#[test]
fn key_generation_for_a_crowd_holds_up_nobody_else() {
    let bench = Bench::new();
    let slow = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(4_096),
        ]
        .into(),
        ..CreateKeyPairRequest::default()
    };
    // Hours of work, for more clients than the server has threads.
    let slow = batch(Version::V1_4, &vec![slow; 100]);
    let crowd: Vec<_> = (0..600)
        .map(|_| {
            let mut wire = bench.dialler.dial();
            wire.send(&slow);
            wire
        })
        .collect();
    assert!(bench.ask(Version::V1_4, &[LocateRequest::default()])[0].is_ok());
    let (_, fired) = bench.advance("1s");
    assert_eq!(fired, 0);
    assert!(bench.server.stop().success(), "and it stops in good order");
    drop(crowd);
}

#[cfg(target_os = "linux")]
#[test]
fn peers_that_use_up_all_file_descriptors_do_not_stop_the_store() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let bench = Bench::new();
    let mut early = bench.dialler.dial();
    let _ = early.ask(&batch(Version::V1_4, &[pair(vec![])]));
    let pid = bench.server.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").count() as u64;
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process")).expect("a process");
    // As if it had been started with few, and told nobody.
    let few = Rlimit { current: Some(open + 5), maximum: Some(open + 5) };
    prlimit(Some(pid), Resource::Nofile, few).expect("a limit");
    let crowd: Vec<_> =
        (0..100).map(|_| TcpStream::connect(&bench.server.listen).expect("connected")).collect();
    while !bench.server.log().contains("Too many open files") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for _ in 0..10 {
        let answer = early.ask(&batch(Version::V1_4, &[pair(vec![])]));
        assert_eq!(made(&answers::<CreateKeyPairRequest>(&answer)), 1);
    }
    drop(crowd);
    assert_eq!(made(&bench.ask(Version::V1_4, &[pair(vec![])])), 1, "a new client is served");
}

#[cfg(not(target_os = "linux"))]
#[test]
fn peers_that_use_up_all_file_descriptors_do_not_stop_the_store() {
    kms_tests::skip("abuse: file descriptors", "only Linux lets the limits of another process be changed");
}

#[test]
fn the_command_line_does_not_wait_for_ever_for_a_server_that_is_none() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let ended = finish(Command::new(program("kms-server")).args(["ctl", "--admin", &address, "status"]));
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
}
