//! What operators change is recorded with who asked, also when nobody waits for the answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kms_protocol::{DateTime, Secret};
use kms_server::admin::{self, Admin, Operator};
use kms_server::audit::{self, Line, Outcome, Source, Trail};
use kms_server::clock::Clock;
use kms_server::config::{Config, PolicyBook};
use kms_server::crypto::{KeyPool, Keyring, StoreKey, Workers, generate};
use kms_server::kms::{Kms, Parts};
use kms_server::rotator::Rotator;
use kms_server::service::Service;
use kms_server::shutdown::{self, Trigger};
use kms_server::store::{MemoryStore, Store};
use tokio::runtime::Runtime;

use super::asking::{Asker, NOW, pair_request};
use super::lines;

/// Who is told that a key is about to be generated, and who gives leave.
type Gate = (Sender<()>, Receiver<()>);

/// A server with an admin API, whose generator of keys says when it begins and waits for leave, where it is told to.
struct Served {
    kms: Asker,
    address: String,
    gate: Arc<Mutex<Option<Gate>>>,
    _trigger: Trigger,
    _runtime: Runtime,
}

fn serve(folder: &Path) -> Served {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let options = audit::Options { folder: Some(folder.to_owned()), ..audit::Options::default() };
    let gate: Arc<Mutex<Option<Gate>>> = Arc::default();
    let hook = Arc::clone(&gate);
    let generator = move |spec| {
        if let Some((began, leave)) = hook.lock().unwrap().take() {
            began.send(()).unwrap();
            leave.recv().unwrap();
        }
        generate(spec)
    };
    let kms = Kms::new(Parts {
        trail: Arc::new(Trail::open(&options, &store).unwrap()),
        store,
        keyring: Keyring::new(StoreKey::from_bytes(Secret::new(vec![7; 32])).unwrap()),
        pool: Arc::new(KeyPool::with_generator(0, generator).unwrap()),
        workers: Arc::new(Workers::new(1).unwrap()),
    });
    let (trigger, stop) = shutdown::channel();
    let clock = Arc::new(Clock::frozen_at(DateTime(NOW)));
    let service = Arc::clone(&kms) as Arc<dyn Service>;
    let admin = Admin {
        clock: Arc::clone(&clock),
        rotator: Arc::new(Rotator::new(service, clock, stop.clone())),
        operator: Some(Operator::new(Arc::clone(&kms), PolicyBook::open(&Config::default(), None).unwrap())),
        started: Instant::now(),
        state: None,
        revocations: None,
        mock: None,
        stop: stop.clone(),
    };
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(admin::serve(listener, Arc::new(admin), stop));
    Served { kms: Asker::on(kms), address, gate, _trigger: trigger, _runtime: runtime }
}

impl Served {
    fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        let kind = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all((head + &kind).as_bytes()).unwrap();
        stream
    }
}

/// The operators' records, once there are `count` of them.
fn recorded(folder: &Path, count: usize) -> Vec<Line> {
    let begin = Instant::now();
    loop {
        let all = lines(folder).into_iter().map(|(_, line)| line);
        let found: Vec<Line> = all.filter(|line| line.record.source == Source::Operator).collect();
        if found.len() >= count {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{count} records, not {found:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_change_is_recorded_with_its_request_also_when_the_operator_hangs_up() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let (private, _) = served.kms.pair(&pair_request("job", 2048));
    let ((began, begun), (go, leave)) = (channel(), channel());
    *served.gate.lock().unwrap() = Some((began, leave));
    let stream = served.send("POST", &format!("/v1/keys/{private}"), "\"rotate\"");
    begun.recv().unwrap();
    drop(stream);
    // The server notices at once that the peer is gone; a moment later it would have forgotten the request.
    std::thread::sleep(Duration::from_millis(100));
    go.send(()).unwrap();

    let records = recorded(folder.path(), 2);
    let of = |operation: &str| {
        let found = records.iter().find(|line| line.record.operation.starts_with(operation));
        found.unwrap_or_else(|| panic!("{operation} in {records:#?}"))
    };
    let (change, request) = (of("rotate"), of("POST /v1/keys/"));
    assert!(change.marks.commit.is_some() && change.record.event.is_some());
    assert_eq!(request.record.outcome, Outcome::Success);
    assert!(!change.record.correlation.is_empty());
    assert_eq!(change.record.correlation, request.record.correlation, "they belong together");
    assert!(change.record.peer.is_some_and(|peer| peer.ip().is_loopback()));
    assert_eq!(change.record.peer, request.record.peer);
}

#[test]
fn a_method_that_is_none_is_recorded_in_brief() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut answer = String::new();
    served.send(&"X".repeat(4_000), "/v1/clock", "").read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let records = recorded(folder.path(), 1);
    assert_eq!(records[0].record.operation, format!("{} /v1/clock", "X".repeat(audit::limits::TEXT)));
}
