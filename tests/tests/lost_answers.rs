//! The server is killed between its commit and its answer: nothing is ever made twice.
//!
//! Two of three kills come when the answer is on its way, so that it was committed; the others at a random moment after the
//! request. A few rounds; `KMS_TEST_ROUNDS` says how many (`tests/scripts/lost-answers.sh`).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;
use std::time::{Duration, Instant};

use kms_client::{Error, IssuedKey, KeySpec, PRIVATE_SUFFIX, PUBLIC_SUFFIX, Profile, blocking};
use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences, Name,
};
use kms_protocol::enums::{LinkType, ObjectType};
use kms_protocol::operation::{GetAttributesRequest, LocateRequest};
use kms_tests::chance::Chance;
use kms_tests::process::Server;
use kms_tests::proxy::{Moment, Proxy};

const SPEC: KeySpec = KeySpec::Rsa2048;

fn rounds() -> usize {
    std::env::var("KMS_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

/// A server behind a proxy, to be killed and started again.
struct Bench {
    state: tempfile::TempDir,
    server: Option<Server>,
    proxy: Proxy,
    chance: Chance,
    at_answer: usize,
}

impl Bench {
    fn new(test: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let server = Server::start(state.path(), "127.0.0.1:0");
        let proxy = Proxy::to(&server.listen);
        Self { state, server: Some(server), proxy, chance: Chance::of_this_run(test), at_answer: 0 }
    }

    fn client(&self) -> blocking::Client {
        let profile = Profile::load(&self.state.path().join("client.toml")).unwrap();
        let profile = Profile { server: self.proxy.address.clone(), ..profile };
        let patience = Duration::from_secs(20);
        let client = profile.builder().patience(patience).deadline(Duration::from_secs(60)).build();
        blocking::Client::new(client.unwrap()).unwrap()
    }

    /// Asks for something, kills the server while it is under way, and starts it again.
    fn ask<T: Send>(&mut self, ask: impl FnOnce(&blocking::Client) -> T + Send) -> T {
        let client = self.client();
        // The connection that the request goes over is open, so that what comes next is the request and its answer.
        client.version().unwrap();
        let at_answer = !self.chance.once_in(3);
        let moment = if at_answer { Moment::Answer } else { Moment::Request };
        let pause = Duration::from_millis(self.chance.below(60) as u64);
        self.at_answer += usize::from(at_answer);
        let waiting = self.proxy.watch_for(moment);
        thread::scope(|scope| {
            let asking = scope.spawn(move || ask(&client));
            waiting.recv_timeout(Duration::from_secs(60)).expect("a request was made");
            if !at_answer {
                thread::sleep(pause);
            }
            self.server.take().unwrap().kill();
            let server = Server::start(self.state.path(), "127.0.0.1:0");
            self.proxy.lead_to(&server.listen);
            self.server = Some(server);
            asking.join().unwrap()
        })
    }

    fn hits(&self, attribute: Attribute, object_type: ObjectType) -> usize {
        let attributes = AttributeList(vec![Attribute::ObjectType(object_type), attribute]);
        let found = self.client().locate(&LocateRequest { attributes, ..LocateRequest::default() }).unwrap();
        found.unique_identifiers.len()
    }
}

/// What a backup product does with a request whose outcome nobody knows: looks once more, and only then asks again.
fn request_key(client: &blocking::Client, name: &str) -> (IssuedKey, bool) {
    match client.request_key(name, SPEC) {
        Ok(key) => (key, false),
        Err(Error::OutcomeUnknown { .. }) => match client.find_key(name, SPEC).unwrap() {
            Some(key) => (key, false),
            None => (client.request_key(name, SPEC).unwrap(), true),
        },
        Err(error) => panic!("{name}: {error}"),
    }
}

#[test]
fn never_two_pairs() {
    let mut bench = Bench::new("never_two_pairs");
    let begun = Instant::now();
    let mut again = 0;
    for round in 0..rounds() {
        let name = format!("job-{round}");
        let (key, twice) = bench.ask(|client| request_key(client, &name));
        again += usize::from(twice);
        for (suffix, half) in
            [(PUBLIC_SUFFIX, ObjectType::PublicKey), (PRIVATE_SUFFIX, ObjectType::PrivateKey)]
        {
            let by_name = Attribute::Name(Name::text(format!("{name}{suffix}")));
            assert_eq!(bench.hits(by_name, half), 1, "{name}{suffix}");
            assert_eq!(bench.hits(Attribute::ObjectGroup(name.clone()), half), 1, "the group {name}");
        }
        let found = bench.client().find_key(&name, SPEC).unwrap();
        assert_eq!(found, Some(key), "what was handed out is what is there");
    }
    println!(
        "Create Key Pair: {} kills, {} of them when the answer was on its way; {again} were not done and asked again; \
         never two pairs ({:.0?})",
        rounds(),
        bench.at_answer,
        begun.elapsed()
    );
}

#[test]
fn never_two_rotations() {
    let mut bench = Bench::new("never_two_rotations");
    let begun = Instant::now();
    let mut key = bench.client().request_key("rotating", SPEC).unwrap();
    let mut again = 0;
    for generation in 2..rounds() + 2 {
        let (next, twice) = bench.ask(|client| match client.rotate_key(&key.private_id, SPEC) {
            Ok(next) => (next, false),
            Err(Error::OutcomeUnknown { .. }) => (client.rotate_key(&key.private_id, SPEC).unwrap(), true),
            Err(error) => panic!("generation {generation}: {error}"),
        });
        again += usize::from(twice);
        let group = Attribute::ObjectGroup("rotating".to_owned());
        assert_eq!(bench.hits(group, ObjectType::PublicKey), generation, "one more generation");
        assert_eq!(replacement(&bench.client(), &key.private_id), next.private_id);
        assert_eq!(replacement(&bench.client(), &key.public_id), next.public_id);
        key = next;
    }
    println!(
        "Re-key Key Pair: {} kills, {} of them when the answer was on its way; {again} were not done and asked again; \
         never two rotations ({:.0?})",
        rounds(),
        bench.at_answer,
        begun.elapsed()
    );
}

/// What a key was replaced by.
fn replacement(client: &blocking::Client, id: &str) -> String {
    let request = GetAttributesRequest {
        unique_identifier: Some(id.into()),
        attributes: AttributeReferences(vec![AttributeReference::Standard(AttributeKind::Link)]),
    };
    let links: Vec<_> = client
        .get_attributes(&request)
        .unwrap()
        .attributes
        .0
        .into_iter()
        .filter_map(|attribute| match attribute {
            Attribute::Link(link) if link.link_type == LinkType::ReplacementObjectLink => {
                link.target.as_text().map(str::to_owned)
            }
            _ => None,
        })
        .collect();
    let [only] = links.as_slice() else { panic!("{id} is replaced by {links:?}") };
    only.clone()
}
