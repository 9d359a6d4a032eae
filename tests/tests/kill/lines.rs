//! Creations, rotations, destructions and encryptions together: after each end, every line of generations is whole, has one
//! newest, and opens whatever it ever closed.

use std::cell::RefCell;
use std::fs::DirBuilder;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_client::Error;
use kms_client::blocking::Client;
use kms_protocol::Version;
use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences, Name, RevocationReason,
};
use kms_protocol::enums::{LinkType, RevocationReasonCode, State};
use kms_protocol::operation::{
    ActivateRequest, DestroyRequest, GetAttributesRequest, LocateRequest, RekeyKeyPairRequest, RevokeRequest,
};
use kms_tests::chance::Chance;
use kms_tests::keys;
use kms_tests::process::{Server, finish};
use kms_tests::repository::program;
use kms_tests::skip;

use super::disk::Tools;
use super::pairs::pair_request;
use super::{client, link, move_clock, rounds};

/// Clients at a time.
const CLIENTS: u64 = 4;
/// One line in so many is RSA, which can encrypt and takes a hundred times as long to make.
const RSA_AMONG: usize = 3;
/// A client makes no more lines than this in a round, so that most of its requests go to old ones.
const LINES: usize = 6;

/// Pairs that follow each other under one name.
#[derive(Debug)]
struct Line {
    name: String,
    is_rsa: bool,
    /// Its policy rotates it, so there may be more generations than were heard of.
    by_policy: bool,
    /// Those that the server has acknowledged, the first one first.
    generations: Vec<Generation>,
}

#[derive(Debug)]
struct Generation {
    private: String,
    public: String,
    is_active: bool,
    end: End,
    /// What it has encrypted.
    closed: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What has become of a generation's private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    None,
    Asked,
    Acknowledged,
}

#[test]
fn lines_of_generations_outlive_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let told = run("lines", rounds(20), 100..800, &state, |round| {
        let server = Server::start(&state, "127.0.0.1:0");
        round(server, &|| {})
    });
    eprintln!("lines, kill -9: {told}");
    // What happened is in the audit log, whole, whatever was cut off when.
    let mut verify = std::process::Command::new(program("kms-server"));
    verify.args(["audit", "verify", "--folder"]).arg(state.join("audit"));
    assert_eq!(finish(&mut verify).success().code, Some(0));
}

#[test]
fn lines_of_generations_outlive_power_cuts() {
    let (tools, forgetful) = match Tools::find().and_then(|tools| Ok((tools, Tools::forgetful()?))) {
        Ok(found) => found,
        Err(why) => return skip("lines_of_generations_outlive_power_cuts", &why),
    };
    let (folder, kept) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let state = folder.path().join("state");
    std::fs::create_dir_all(&state).expect("the state folder");
    let store = state.join("store");
    let keep_in = |folder: &Path| {
        let _ = std::fs::remove_file(&store);
        std::os::unix::fs::symlink(folder.join("store"), &store).expect("a link");
    };
    let made = DirBuilder::new().mode(0o700).create(kept.path().join("store"));
    made.expect("the store's folder");
    keep_in(kept.path());
    let told = run("power", rounds(5), 500..2_000, &state, |round| {
        let disk = tools.mount(&forgetful, kept.path());
        keep_in(disk.path());
        let disk = RefCell::new(Some(disk));
        let server = Server::start(&state, "127.0.0.1:0");
        // The disk goes first: nothing that the server writes after that is kept.
        let lines = round(server, &|| drop(disk.take()));
        keep_in(kept.path());
        lines
    });
    eprintln!("lines, power cuts: {told}");
}

/// Starts a server again and again by `start`, ends it after so many milliseconds of load, and looks at what is left in
/// `state`.
fn run(
    test: &str,
    rounds: usize,
    millis: Range<usize>,
    state: &Path,
    start: impl Fn(&mut dyn FnMut(Server, &dyn Fn()) -> Vec<Line>) -> Vec<Line>,
) -> String {
    let mut chance = Chance::of_this_run(test);
    std::fs::create_dir_all(state).expect("the state folder");
    let policy = "[[policy]]\nname = \"often\"\nnames = \"rotating-*\"\nrotate-every = \"1d\"\n";
    std::fs::write(state.join("kms.toml"), policy).expect("kms.toml");
    // What a first start makes is not what this is about.
    assert!(Server::start(state, "127.0.0.1:0").stop().success());
    let mut all: Vec<Line> = Vec::new();
    let begun = Instant::now();
    for round in 0..rounds {
        let lines = start(&mut |server, strike| {
            let moment = millis.start + chance.below(millis.len());
            load(server, strike, round, moment, &mut chance)
        });
        let server = Server::start(state, "127.0.0.1:0");
        let client = client(&server.profile(), Version::V2_1);
        lines.iter().for_each(|line| check(&client, line));
        all.extend(lines);
        if round % 10 == 9 {
            eprintln!("{test}: round {} of {rounds}, {:?}", round + 1, begun.elapsed());
        }
        server.kill();
    }
    let server = Server::start(state, "127.0.0.1:0");
    let client = client(&server.profile(), Version::V2_1);
    all.iter().for_each(|line| check(&client, line));
    assert!(!server.log().contains("panicked"), "no panic: {}", server.log());

    let generations: Vec<_> = all.iter().flat_map(|line| &line.generations).collect();
    let rotated = all.iter().map(|line| line.generations.len().saturating_sub(1)).sum::<usize>();
    let destroyed = generations.iter().filter(|one| one.end == End::Acknowledged).count();
    let opened: usize =
        generations.iter().filter(|one| one.end == End::None).map(|one| one.closed.len()).sum();
    assert!(rotated > 0 && destroyed > 0 && opened > 0, "the load did all of it");
    format!(
        "{rounds} rounds, {} lines of {} generations acknowledged and found whole, each with one newest: {rotated} rotations, \
         {destroyed} destructions, {opened} ciphertexts opened",
        all.len(),
        generations.len(),
    )
}

/// Has clients work until the server dies under them; what it acknowledged until then.
fn load(server: Server, strike: &dyn Fn(), round: usize, millis: usize, chance: &mut Chance) -> Vec<Line> {
    let struck = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (profile, mut chance, struck) = (server.profile(), chance.branch(), Arc::clone(&struck));
            thread::spawn(move || {
                let client = client(&profile, Version::V2_1);
                let mut lines = Vec::new();
                let prefix = format!("{round}-{number}");
                loop {
                    if let Err(error) = act(&client, &mut lines, &prefix, number == 0, &mut chance) {
                        // A disk that is gone is a reason to refuse; a server that lives has none.
                        let is_refused = matches!(error, Error::Refused(_));
                        assert!(!is_refused || struck.load(Ordering::SeqCst), "{error}");
                        return lines;
                    }
                }
            })
        })
        .collect();
    let clock = chance.once_in(2).then(|| {
        let admin = server.admin.clone();
        thread::spawn(move || move_clock(&admin))
    });
    thread::sleep(Duration::from_millis(millis as u64));
    struck.store(true, Ordering::SeqCst);
    strike();
    server.kill();
    clock.into_iter().for_each(|clock| clock.join().expect("it ends with its server"));
    threads.into_iter().flat_map(|thread| thread.join().expect("a client ends with its server")).collect()
}

/// One step of a client, chosen by chance.
fn act(
    client: &Client,
    lines: &mut Vec<Line>,
    prefix: &str,
    with_policy: bool,
    chance: &mut Chance,
) -> Result<(), Error> {
    if lines.is_empty() || (lines.len() < LINES && chance.once_in(4)) {
        let by_policy = with_policy && lines.is_empty();
        let name = if by_policy { format!("rotating-{prefix}") } else { format!("{prefix}-{}", lines.len()) };
        lines.push(Line { name, is_rsa: chance.once_in(RSA_AMONG), by_policy, generations: Vec::new() });
        let line = lines.last_mut().expect("just pushed");
        return create(client, line);
    }
    let at = chance.below(lines.len());
    let line = &mut lines[at];
    match chance.below(5) {
        0 if line.generations.len() > 1 => destroy(client, line, chance),
        1 | 2 if line.is_rsa => close(client, line, chance),
        _ if !line.by_policy => rotate(client, line),
        _ => Ok(()),
    }
}

fn create(client: &Client, line: &mut Line) -> Result<(), Error> {
    let made = client.create_key_pair(&pair_request(&line.name, line.is_rsa))?;
    line.generations
        .push(Generation::new(made.private_key_unique_identifier, made.public_key_unique_identifier));
    let first = line.generations.last_mut().expect("just pushed");
    for id in [&first.public, &first.private] {
        client.activate(&ActivateRequest { unique_identifier: Some(id.as_str().into()) })?;
    }
    first.is_active = true;
    Ok(())
}

fn rotate(client: &Client, line: &mut Line) -> Result<(), Error> {
    let Some(newest) = line.generations.last() else { return Ok(()) };
    let made = client.rekey_key_pair(&RekeyKeyPairRequest {
        private_key_unique_identifier: Some(newest.private.as_str().into()),
        ..RekeyKeyPairRequest::default()
    })?;
    let is_active = newest.is_active;
    let next = Generation::new(made.private_key_unique_identifier, made.public_key_unique_identifier);
    line.generations.push(Generation { is_active, ..next });
    Ok(())
}

fn destroy(client: &Client, line: &mut Line, chance: &mut Chance) -> Result<(), Error> {
    let at = chance.below(line.generations.len() - 1);
    let old = &mut line.generations[at];
    if old.end != End::None {
        return Ok(());
    }
    old.end = End::Asked;
    let id = || Some(old.private.as_str().into());
    let revocation_reason =
        RevocationReason { code: RevocationReasonCode::CessationOfOperation, message: None };
    client.revoke(&RevokeRequest {
        unique_identifier: id(),
        revocation_reason,
        compromise_occurrence_date: None,
    })?;
    client.destroy(&DestroyRequest { unique_identifier: id() })?;
    old.end = End::Acknowledged;
    Ok(())
}

/// Encrypts by the newest generation.
fn close(client: &Client, line: &mut Line, chance: &mut Chance) -> Result<(), Error> {
    let Some(newest) = line.generations.last_mut().filter(|newest| newest.is_active) else { return Ok(()) };
    let text = chance.bytes(32);
    let closed = keys::encrypt(client, &newest.public, &text)?;
    newest.closed.push((closed, text));
    Ok(())
}

impl Generation {
    fn new(private: String, public: String) -> Self {
        Self { private, public, is_active: false, end: End::None, closed: Vec::new() }
    }
}

/// What a server says of one private key.
struct Seen {
    id: String,
    attributes: Vec<Attribute>,
}

impl Seen {
    fn of(client: &Client, id: &str) -> Self {
        let wanted = [
            AttributeKind::Link,
            AttributeKind::State,
            AttributeKind::RotateLatest,
            AttributeKind::RotateGeneration,
        ];
        let request = GetAttributesRequest {
            unique_identifier: Some(id.into()),
            attributes: AttributeReferences(wanted.map(AttributeReference::Standard).into()),
        };
        let attributes =
            client.get_attributes(&request).unwrap_or_else(|error| panic!("{id} is lost: {error}"));
        Self { id: id.to_owned(), attributes: attributes.attributes.0 }
    }

    fn has(&self, attribute: &Attribute) -> bool {
        self.attributes.contains(attribute)
    }
}

/// The newest generation of a line, the only one that its Name leads to.
fn newest(client: &Client, line: &Line) -> Option<Seen> {
    let name = Attribute::Name(Name::text(format!("{}-private", line.name)));
    let request = LocateRequest { attributes: AttributeList(vec![name]), ..LocateRequest::default() };
    loop {
        let found = client.locate(&request).expect("located").unique_identifiers;
        let seen = match found.as_slice() {
            [] if line.generations.is_empty() => return None,
            [newest] => Seen::of(client, newest),
            _ => panic!("{found:?} are all the newest of {line:#?}"),
        };
        // A server that was cut off while the clock was moved goes on with what that made due.
        if !line.by_policy || link(&seen.attributes, LinkType::ReplacementObjectLink).is_none() {
            return Some(seen);
        }
    }
}

/// Looks at a line: from its newest generation back to the first everything that was acknowledged, in order.
fn check(client: &Client, line: &Line) {
    let Some(newest) = newest(client, line) else { return };
    let mut chain = vec![newest];
    while let Some(older) = link(&chain[chain.len() - 1].attributes, LinkType::ReplacedObjectLink) {
        chain.push(Seen::of(client, older));
    }
    chain.reverse();
    for (number, seen) in chain.iter().enumerate() {
        // A pair that was never rotated says neither (2.1 sections 4.50 and 4.52).
        if chain.len() > 1 {
            let is_newest = number + 1 == chain.len();
            assert!(seen.has(&Attribute::RotateLatest(is_newest)), "{:?} of {line:#?}", seen.attributes);
            let generation = Attribute::RotateGeneration(i32::try_from(number).expect("a small number"));
            assert!(seen.has(&generation), "{:?} is number {number} of {line:#?}", seen.attributes);
        }
        let successor = link(&seen.attributes, LinkType::ReplacementObjectLink);
        assert_eq!(successor, chain.get(number + 1).map(|next| next.id.as_str()), "{line:#?}");
    }
    let known = line.generations.len();
    assert!(chain.len() >= known, "of {known} generations {} are there: {line:#?}", chain.len());
    assert!(line.by_policy || chain.len() <= known + 1, "one request was under way, not more: {line:#?}");
    for (generation, seen) in line.generations.iter().zip(&chain) {
        assert_eq!(generation.private, seen.id, "{line:#?}");
        let public = link(&seen.attributes, LinkType::PublicKeyLink);
        assert_eq!(public, Some(generation.public.as_str()), "{line:#?}");
        let is_destroyed = seen.has(&Attribute::State(State::Destroyed));
        match generation.end {
            End::None => assert!(!is_destroyed, "{generation:?}"),
            End::Asked => {}
            End::Acknowledged => assert!(is_destroyed, "{generation:?}: {:?}", seen.attributes),
        }
        if generation.end == End::None {
            generation
                .closed
                .iter()
                .for_each(|(closed, text)| open(client, &generation.private, closed, text));
        }
    }
}

fn open(client: &Client, private: &str, closed: &[u8], text: &[u8]) {
    let opened = keys::decrypt(client, private, closed);
    let opened = opened.unwrap_or_else(|error| panic!("{private} opens no longer what it closed: {error}"));
    assert_eq!(opened.expose(), text, "{private}");
}
