//! One store: a standby takes over from a server that is killed, or the server comes back itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_client::{Error, IssuedKey, KeySpec, PUBLIC_SUFFIX, Profile, blocking};
use kms_protocol::attribute::{Attribute, AttributeList};
use kms_protocol::enums::ObjectType;
use kms_protocol::operation::LocateRequest;

use super::load::{Load, Summary, wrapped};
use super::site::{Site, free_address};
use super::{alone, length};

/// What a backup job has before it gives up.
const BUDGET: Duration = Duration::from_secs(30);

const CREATORS: usize = 4;

/// A client that waits for a server to come back.
fn client(profile: &Profile) -> blocking::Client {
    blocking::Client::new(profile.builder().patience(BUDGET).build().unwrap()).unwrap()
}

/// A key that was handed out, under which name, and how long that took.
struct Made {
    name: String,
    key: IssuedKey,
    took: Duration,
}

/// Asks for key pairs until it is told to stop.
fn create(profile: &Profile, creator: usize, stop: &AtomicBool) -> Vec<Made> {
    let client = client(profile);
    let mut made = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("load-{creator}-{number}");
        let begun = Instant::now();
        let key = match client.request_key(&name, KeySpec::Rsa2048) {
            // It was not done, as far as anybody can tell: what a backup product does then is look once more, and ask again.
            Err(Error::OutcomeUnknown { .. }) => match client.find_key(&name, KeySpec::Rsa2048).unwrap() {
                Some(key) => key,
                None => client.request_key(&name, KeySpec::Rsa2048).unwrap(),
            },
            answer => answer.unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        made.push(Made { name, key, took: begun.elapsed() });
    }
    made
}

/// How many public keys are in the group that a request for a key makes.
fn pairs_in_group(client: &blocking::Client, name: &str) -> usize {
    let attributes = AttributeList(vec![
        Attribute::ObjectType(ObjectType::PublicKey),
        Attribute::ObjectGroup(name.to_owned()),
    ]);
    client.locate(&LocateRequest { attributes, ..LocateRequest::default() }).unwrap().unique_identifiers.len()
}

#[test]
fn a_standby_takes_over_and_nothing_is_lost_or_doubled() {
    let _alone = alone();
    let mut site = Site::new(&[]);
    let (active, standby) = (free_address(), free_address());
    site.make_keys(&active);
    let mut first = site.server("active", &active, "first", "server").start("active");
    let mut second = site.server("standby", &standby, "first", "server").start("standby");
    let profile = site.profile(&[&active, &standby]);
    let load = Load::start(profile.builder().patience(BUDGET).build().unwrap(), wrapped(&site.keys));
    let stop = AtomicBool::new(false);
    let (broken, made) = thread::scope(|scope| {
        let creators: Vec<_> = (0..CREATORS)
            .map(|creator| {
                let (profile, stop) = (&profile, &stop);
                scope.spawn(move || create(profile, creator, stop))
            })
            .collect();
        thread::sleep(length() / 3);
        let broken = Instant::now();
        first.kill();
        second.wait_for("active");
        println!("takeover: the standby is active {:.1?} after the kill", broken.elapsed());
        thread::sleep(length() / 3);
        stop.store(true, Ordering::SeqCst);
        let made: Vec<_> = creators.into_iter().flat_map(|creator| creator.join().unwrap()).collect();
        (broken, made)
    });
    let summary = Summary::new("takeover", &load.finish(), broken);
    let longest = made.iter().map(|made| made.took).max().unwrap_or_default();
    println!("{summary}\ntakeover: {} pairs made, the slowest after {longest:.1?}", made.len());
    assert!(summary.failures.is_empty(), "{:?}", summary.failures.first());
    assert!(made.len() > CREATORS, "there was a load");
    let client = client(&profile);
    for Made { name, key, .. } in &made {
        let found = client.find_key(name, KeySpec::Rsa2048).unwrap();
        assert_eq!(found.as_ref(), Some(key), "{name} is what was handed out, under {name}{PUBLIC_SUFFIX}");
        assert_eq!(pairs_in_group(&client, name), 1, "{name} was made once");
    }
}

#[test]
fn a_restart_within_two_seconds_fails_no_job() {
    let _alone = alone();
    let mut site = Site::new(&[]);
    let listen = free_address();
    site.make_keys(&listen);
    let mut server = site.server("only", &listen, "first", "server").start("active");
    let profile = site.profile(&[&listen]);
    let load = Load::start(profile.builder().patience(BUDGET).build().unwrap(), wrapped(&site.keys));
    thread::sleep(length() / 4);
    let broken = Instant::now();
    server.kill();
    thread::sleep(Duration::from_millis(1_500));
    server.launch();
    server.wait_for("active");
    println!("restart: the server is back {:.1?} after the kill", broken.elapsed());
    thread::sleep(length() / 2);
    let summary = Summary::new("restart", &load.finish(), broken);
    println!("{summary}");
    assert!(summary.failures.is_empty(), "{:?}", summary.failures.first());
}
