//! What nobody honest sends, over real connections: the server answers or closes, never panics, hangs or swells, and
//! the next honest client is served.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod corpus;
mod mutation;

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kms_protocol::enums::ResultStatus;
use kms_protocol::frame::message_length;
use kms_protocol::message::{RequestMessage, ResponseMessage};
use kms_protocol::{UniqueIdentifier, Version, frame};
use kms_server::{limits, wire};
use kms_tests::chance::Chance;
use kms_tests::process::Server;
use kms_tests::wire::{Answer, Dialler, Wire, bare, read_to_end};

const MUTANTS: usize = 10_000;
const CLIENTS: usize = 4;
const BARE: usize = 500;
const STALLED: usize = 100;
/// What the server may grow by, in KiB. Parsed keys, caches and buffers of a few connections take a fifth of it.
const GROWTH: usize = 128 << 10;
/// How the log tells of a peer that stalled for too long.
const GIVEN_UP: &str = "the TLS handshake was not finished within";

struct Bench {
    server: Server,
    dialler: Dialler,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("state"), "127.0.0.1:0");
        let dialler = Dialler::new(&server);
        Self { server, dialler, _folder: folder }
    }

    /// A new client makes a pair and is answered with success.
    fn serves_the_next(&self) {
        let answer = self.dialler.dial().ask(&corpus::message(Version::V1_4, &corpus::pair_request(None)));
        let response = ResponseMessage::read(&answer).expect("a response");
        assert!(
            response.items.iter().all(|item| item.result_status == ResultStatus::Success),
            "{response:?}"
        );
    }

    /// Resident memory of the server's process, in KiB; `None` where the system does not tell.
    fn memory(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Nothing of what was sent left a trace but refusals.
    fn is_unharmed(&self, memory_before: Option<usize>) {
        self.serves_the_next();
        let log = self.server.log();
        for trace in ["panicked", "defect", "ERROR"] {
            let line = log.lines().find(|line| line.contains(trace));
            assert_eq!(line, None, "in the server's log");
        }
        if let (Some(before), Some(after)) = (memory_before, self.memory()) {
            eprintln!("garbage: the server's memory went from {before} to {after} KiB");
            assert!(after < before + GROWTH, "the server's memory went from {before} to {after} KiB");
        }
    }
}

#[test]
fn ten_thousand_dishonest_messages() {
    let bench = Bench::new();
    let mut chance = Chance::of_this_run("garbage: messages");
    let target = corpus::target(&bench.dialler);
    let corpus = corpus::all(&target);
    for honest in &corpus {
        assert_well_formed(&bench.dialler.dial().ask(honest), honest);
    }
    let memory = bench.memory();
    let (answered, closed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (mut chance, corpus, bench) = (chance.branch(), &corpus, &bench);
            let (answered, closed) = (&answered, &closed);
            scope.spawn(move || {
                let mut wire = bench.dialler.dial();
                for _ in 0..MUTANTS / CLIENTS {
                    let bytes = mutation::mutant(corpus, &mut chance);
                    if try_one(&mut wire, &bytes) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        closed.fetch_add(1, Ordering::Relaxed);
                        wire = bench.dialler.dial();
                    }
                }
            });
        }
    });
    let (answered, closed) = (answered.into_inner(), closed.into_inner());
    eprintln!("garbage: {answered} messages answered, {closed} connections closed");
    assert!(answered > MUTANTS / 2, "most of them are whole messages: {answered}");
    bench.is_unharmed(memory);
}

/// Sends bytes and waits for what comes of them; whether the connection goes on.
fn try_one(wire: &mut Wire, bytes: &[u8]) -> bool {
    wire.send(bytes);
    if message_length(bytes, limits::MESSAGE) == Ok(Some(bytes.len())) {
        return match wire.answer() {
            Answer::Message(answer) => {
                assert_well_formed(&answer, bytes);
                true
            }
            Answer::Closed => panic!("a whole message was not answered: {}", hex::encode(bytes)),
        };
    }
    // No message, or a part of one, or more than one: nothing more comes, so the server has to come to an end.
    wire.finish();
    while let Answer::Message(answer) = wire.answer() {
        assert_well_formed(&answer, bytes);
    }
    false
}

fn assert_well_formed(answer: &[u8], request: &[u8]) {
    if let Err(error) = ResponseMessage::read(answer) {
        panic!("{error} in the answer {} to {}", hex::encode(answer), hex::encode(request));
    }
}

/// Messages that are decoded without a server, unless `KMS_TESTS_MUTANTS` says how many.
const DECODED: usize = 5_000;

#[test]
fn of_dishonest_messages_each_that_cannot_be_read_has_its_wrong_byte_named() {
    let mut chance = Chance::of_this_run("garbage: decoded");
    let wanted = std::env::var("KMS_TESTS_MUTANTS").ok();
    let wanted = wanted.map_or(DECODED, |text| text.parse().expect("KMS_TESTS_MUTANTS is a number"));
    let corpus = corpus::all(&["0a1b2c3d", "1b2c3d4e"].map(UniqueIdentifier::from));
    for honest in &corpus {
        assert_eq!(wire::lint(honest), None, "{}", hex::encode(honest));
    }
    let mut malformed = 0;
    for _ in 0..wanted {
        let bytes = mutation::mutant(&corpus, &mut chance);
        let found = wire::lint(&bytes);
        if let Some(finding) = &found {
            assert!(finding.offset < bytes.len().max(1), "{finding} in {}", hex::encode(&bytes));
        }
        if RequestMessage::read(&bytes).is_err() {
            malformed += 1;
            assert!(found.is_some(), "no byte is named in {}", hex::encode(&bytes));
        }
        let mut tree = String::new();
        let shown = wire::tree(&bytes, true, &mut tree);
        assert!(
            shown.is_ok() || found.is_some(),
            "shown up to a byte that nobody names: {}",
            hex::encode(&bytes)
        );
        let _ = wire::messages(&bytes);
        let _ = wire::differences(&bytes, &corpus[0], true);
        let _ = kms_protocol::encoding::to_xml(&bytes);
        let _ = kms_protocol::encoding::to_json(&bytes);
    }
    eprintln!("garbage: {wanted} messages decoded, {malformed} of them malformed as messages");
    assert!(malformed > wanted / 10, "they are no honest ones: {malformed}");
}

#[test]
fn versions_that_never_were() {
    let bench = Bench::new();
    let mut wire = bench.dialler.dial();
    for number in [i32::MIN, -1, 0, 3, i32::MAX] {
        for version in [Version { major: number, minor: 4 }, Version { major: 1, minor: number }] {
            let message = corpus::message(version, &corpus::pair_request(None));
            let answer = wire.ask(&message);
            let response = ResponseMessage::read(&answer).expect("a response");
            assert!(corpus::VERSIONS.contains(&response.header.protocol_version), "{response:?}");
        }
    }
    bench.is_unharmed(None);
}

#[test]
fn garbage_on_the_bare_port() {
    let bench = Bench::new();
    let mut chance = Chance::of_this_run("garbage: bare port");
    let kmip = corpus::message(Version::V1_4, &corpus::pair_request(None));
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03];
    let memory = bench.memory();
    for number in 0..BARE {
        let bytes = match number % 6 {
            0 => kmip.clone(),
            1 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            // A record or a handshake message that states more than comes, or more than TLS allows.
            2 => hello.to_vec(),
            3 => [&[0x16, 0x03, 0x01, 0xFF, 0xFF][..], &chance.bytes(400)].concat(),
            4 => {
                [&[0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0xFF, 0xFF, 0xFF][..], &chance.bytes(16_380)].concat()
            }
            _ => {
                let length = chance.below(2_000);
                chance.bytes(length)
            }
        };
        let mut stream = bare(&bench.server.listen);
        // The server may be through with it before everything is sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let answer = read_to_end(&mut stream);
        assert!(!answer.windows(4).any(|part| part == [0x42, 0x00, 0x7B, 0x01]), "KMIP without TLS");
    }
    bench.is_unharmed(memory);
}

#[test]
fn peers_that_stall_hold_up_nobody() {
    let bench = Bench::new();
    let memory = bench.memory();
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03];
    let stalled: Vec<_> = (0..STALLED)
        .map(|number| {
            let mut stream = bare(&bench.server.listen);
            stream.write_all(&hello[..number % hello.len()]).expect("sent");
            stream
        })
        .collect();
    // Others are through the handshake and send their request byte by byte.
    let message = corpus::message(Version::V1_4, &corpus::pair_request(None));
    let mut slow: Vec<Wire> = (0..20).map(|_| bench.dialler.dial()).collect();
    for byte in message.iter().take(40) {
        slow.iter_mut().for_each(|wire| wire.send(&[*byte]));
    }
    bench.serves_the_next();
    let given_up = bench.server.log().contains(GIVEN_UP);
    assert!(!given_up, "an honest client was served only after the server gave the stalled up");
    for wire in &mut slow {
        assert_well_formed(&wire.ask(&message[40..]), &message);
    }
    for mut stream in stalled {
        read_to_end(&mut stream);
    }
    let log = bench.server.log();
    assert!(log.contains(GIVEN_UP), "the stalled are in the log: {log}");
    bench.is_unharmed(memory);
}

#[test]
fn stated_lengths_are_believed_up_to_the_limit() {
    let bench = Bench::new();
    let memory = bench.memory();
    for stated in [limits::MESSAGE as u32 - frame::HEADER as u32 + 1, 1 << 24, i32::MAX as u32, u32::MAX] {
        let mut wire = bench.dialler.dial();
        wire.send(&[&[0x42, 0x00, 0x78, 0x01][..], &stated.to_be_bytes()].concat());
        assert!(matches!(wire.answer(), Answer::Closed), "{stated} bytes are too many");
    }
    // As much as may be, of something that means nothing; many at a time, so that each costs what it holds.
    let inside = limits::MESSAGE - frame::HEADER;
    let mut largest = vec![0x42, 0x00, 0x78, 0x01];
    largest.extend((inside as u32).to_be_bytes());
    largest.resize(limits::MESSAGE, 0x42);
    let mut wires: Vec<Wire> = (0..16).map(|_| bench.dialler.dial()).collect();
    for wire in &mut wires {
        assert_well_formed(&wire.ask(&largest), &largest[..16]);
    }
    assert!(bench.server.log().contains("the limit is 1048576"), "too long a message is in the log");
    bench.is_unharmed(memory);
}
