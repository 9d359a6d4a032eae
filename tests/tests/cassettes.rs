//! A conversation with a real server, recorded and replayed without it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kms_client::{KeySpec, Profile};
use kms_protocol::attribute::{Attribute, AttributeList, Name};
use kms_protocol::enums::ResultStatus;
use kms_protocol::message::{
    Outcome, RequestBuilder, RequestHeader, ResponseHeader, ResponseMessage, write_response,
};
use kms_protocol::operation::{GetAttributesRequest, LocateRequest, LocateResponse, Request};
use kms_protocol::ttlv::{Value as _, Writer};
use kms_protocol::{DateTime, Secret, Tag, Version};
use kms_server::cassette::{Replayer, Taped};
use kms_server::kms::Caller;
use kms_server::service::Service as _;
use kms_tests::process::Server;
use kms_tests::repository::program;

struct Running {
    child: Child,
    profile: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &Path, arguments: &[String]) -> Running {
    let ready = folder.join("ready.json");
    let _ = fs::remove_file(&ready);
    let mut command = Command::new(program("kms-server"));
    command.args(arguments).args(["--listen", "127.0.0.1:0", "--state"]).arg(folder);
    command.arg("--ready-file").arg(&ready).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.spawn().expect("started");
    let running = Running { child, profile: folder.join("client.toml") };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "it is not ready");
        thread::sleep(Duration::from_millis(10));
    }
    running
}

fn client(profile: &Path) -> kms_client::blocking::Client {
    let profile = Profile::load(profile).expect("a profile");
    kms_client::blocking::Client::new(profile.builder().build().expect("a client")).expect("a client")
}

#[test]
fn what_was_recorded_is_replayed_without_its_server_and_without_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let (real, proxy) = (folder.path().join("real"), folder.path().join("proxy"));
    fs::create_dir_all(&proxy).expect("a folder");
    let cassette = folder.path().join("conversation.jsonl");
    let server = Server::start(&real, "127.0.0.1:0");
    let pki = |name: &str| server.pki().join(name).display().to_string();
    let [upstream, ca, certificate, key] =
        [server.listen.clone(), pki("ca.pem"), pki("client.pem"), pki("client.key")];
    let recorded = {
        let arguments =
            ["record", "--upstream", &upstream, "--ca", &ca, "--certificate", &certificate, "--key", &key];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(cassette.display().to_string());
        let recorder = start(&proxy, &arguments);
        let client = client(&recorder.profile);
        client.request_key("nightly", KeySpec::Rsa2048).expect("a key of the real server")
    };
    server.kill();
    let replay = start(&proxy, &["replay".to_owned(), cassette.display().to_string()]);
    let replayed = client(&replay.profile).request_key("nightly", KeySpec::Rsa2048);
    assert_eq!(replayed.expect("the same key"), recorded);
    let own_words = client(&replay.profile).request_key("weekly", KeySpec::Rsa2048);
    assert_eq!(own_words.expect("its own Name stands for the recorded one"), recorded);
    let unheard = client(&replay.profile).locate(&LocateRequest::default()).expect_err("not recorded");
    assert!(unheard.to_string().contains("the cassette has no answer to this Locate"), "{unheard}");
    assert!(unheard.to_string().contains("every exchange in it was asked for"), "{unheard}");
    let taped = kms_server::cassette::read(&cassette).expect("a cassette");
    assert!(taped.iter().any(|taped| taped.client == "client"), "{taped:?}");
}

fn asked<R: Request>(request: &R) -> Secret {
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(request, None);
    builder.finish()
}

fn named(name: &str) -> Secret {
    let attributes = AttributeList(vec![Attribute::Name(Name::text(name))]);
    asked(&LocateRequest { attributes, ..LocateRequest::default() })
}

fn attributes_of(id: &str) -> Secret {
    asked(&GetAttributesRequest { unique_identifier: Some(id.into()), ..GetAttributesRequest::default() })
}

/// An answer that holds nothing but an identifier.
fn located(id: &str) -> Secret {
    let payload = LocateResponse { located_items: None, unique_identifiers: vec![id.to_owned()] };
    let mut writer = Writer::new(Version::V1_4);
    payload.write(&mut writer, Tag::RESPONSE_PAYLOAD);
    let outcome = Outcome {
        operation: None,
        unique_batch_item_id: None,
        result_status: ResultStatus::Success,
        result_reason: None,
        result_message: None,
        asynchronous_correlation_value: None,
        payload: Some(Secret::new(writer.into_bytes())),
    };
    write_response(ResponseHeader::new(Version::V1_4, DateTime(0)), &[outcome])
}

/// What a recorded server that has objects of these Names and identifiers said.
fn taped(objects: &[(&str, &str)]) -> Vec<Taped> {
    let tape = |request: Secret, id: &str| {
        let (request, response) = (hex::encode(request.expose()), hex::encode(located(id).expose()));
        Taped { client: "a".into(), request, response }
    };
    let exchanges = |(name, id): &(&str, &str)| [tape(named(name), id), tape(attributes_of(id), id)];
    objects.iter().flat_map(exchanges).collect()
}

/// The identifier in the answer, or why there is none.
fn replayed(replayer: &Replayer, client: &str, request: &Secret) -> Result<String, String> {
    let answer = replayer.handle(request.expose(), &Caller::named(client), DateTime(0));
    let item = ResponseMessage::read(answer.expose()).expect("an answer").items.remove(0);
    match item.payload {
        Some(payload) => Ok(LocateResponse::read(payload).expect("a payload").unique_identifiers.remove(0)),
        None => Err(item.result_message.expect("why not")),
    }
}

#[test]
fn other_names_and_identifiers_stand_for_the_recorded_ones_where_that_is_unambiguous() {
    let replayer = Replayer::new(&taped(&[("nightly", "id-1")])).expect("a cassette");
    assert_eq!(replayed(&replayer, "b", &attributes_of("my-own")), Ok("my-own".into()), "in answers too");
    assert_eq!(replayed(&replayer, "b", &named("weekly")), Ok("my-own".into()));
    assert_eq!(replayed(&replayer, "a", &named("nightly")), Ok("id-1".into()), "nobody else is concerned");
    let second = replayed(&replayer, "b", &attributes_of("another")).expect_err("there is but one object");
    assert!(second.contains("no answer to this Get Attributes"), "{second}");
}

#[test]
fn what_could_stand_for_several_recorded_ones_is_refused_with_those() {
    let replayer = Replayer::new(&taped(&[("nightly", "id-1"), ("weekly", "id-2")])).expect("a cassette");
    let unclear = replayed(&replayer, "b", &attributes_of("my-own")).expect_err("which one?");
    for told in ["line 2, Get Attributes of id-1", "line 4, Get Attributes of id-2"] {
        assert!(unclear.contains(told), "{unclear}");
    }
    let unheard = replayed(&replayer, "b", &asked(&LocateRequest::default())).expect_err("not recorded");
    assert!(unheard.contains("not asked for yet is line 1, Locate of nightly"), "{unheard}");
    assert_eq!(replayed(&replayer, "b", &named("weekly")), Ok("id-2".into()));
    assert_eq!(replayed(&replayer, "b", &attributes_of("id-2")), Ok("id-2".into()));
}
