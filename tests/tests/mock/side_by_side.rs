//! Tests with faults, side by side on one server: each has a client of its own, and sees its own faults alone.

use std::collections::BTreeSet;
use std::thread;

use kms_protocol::enums::Operation;
use kms_protocol::message::ResponseMessage;
use kms_server::faults::{Fault, Moment, Rule};
use kms_server::journal::Wanted;
use kms_server::testing::TestClient;
use kms_server::testing::blocking::TestServer;

use super::peer::{Peer, Seen, discover, message, pair};

/// Every kind of fault that can be scoped by client, at every moment.
const FAULTS: [&str; 18] = [
    "close:after-commit",
    "close:after-reading",
    "close:before-reading",
    "reset:after-commit",
    "reset:after-reading",
    "reset:before-reading",
    "hang:after-commit",
    "hang:after-reading",
    "hang:before-reading",
    "error:Permission Denied",
    "malformed:missing",
    "cut:9",
    "slices:7",
    "delay:5ms",
    "batch-count:5",
    "tls",
    "refuse",
    "idle:20ms",
];

/// Which kind a fault is. A new kind does not compile until it stands here, and fails until it is among [`FAULTS`].
fn kind(fault: &Fault) -> Option<usize> {
    Some(match fault {
        Fault::Delay { .. } => 0,
        Fault::Error { .. } => 1,
        Fault::Hang(_) => 2,
        Fault::Close(_) => 3,
        Fault::Reset(_) => 4,
        Fault::Cut(_) => 5,
        Fault::Slices { .. } => 6,
        Fault::Malformed(_) => 7,
        Fault::BatchCount(_) => 8,
        Fault::Tls => 9,
        Fault::Refuse => 10,
        Fault::Idle(_) => 11,
        // A disk fails for everybody.
        Fault::Store(_) => return None,
    })
}

/// Whether the fault strikes before anybody knows what is asked.
fn is_early(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Tls
            | Fault::Refuse
            | Fault::Idle(_)
            | Fault::Hang(Moment::BeforeReading)
            | Fault::Close(Moment::BeforeReading)
            | Fault::Reset(Moment::BeforeReading)
    )
}

/// Whether what was asked is done although the client may not know.
fn is_done(fault: &Fault) -> bool {
    match fault {
        Fault::Hang(moment) | Fault::Close(moment) | Fault::Reset(moment) => *moment == Moment::AfterCommit,
        Fault::Error { .. } | Fault::Tls | Fault::Refuse | Fault::Idle(_) => false,
        _ => true,
    }
}

/// Arms a fault, does what meets it, and says whether it was met.
fn meets(server: &TestServer, client: &TestClient, rule: Rule, key: &str) -> bool {
    let fault = rule.fault.clone();
    let arm = || server.faults().add(rule.times(1)).expect("armed");
    if matches!(fault, Fault::Tls | Fault::Refuse) {
        arm();
        return Peer::try_connect(server, client).is_err();
    }
    let mut peer = Peer::connect(server, client);
    arm();
    if matches!(fault, Fault::Idle(_)) {
        return peer.next() == Seen::Closed(0);
    }
    peer.send(&message(&pair(key)));
    let seen = if matches!(fault, Fault::Hang(_)) { peer.soon() } else { peer.next() };
    match (&fault, seen) {
        (Fault::Hang(_), seen) => seen == Seen::Silence,
        (Fault::Close(_) | Fault::Cut(_), seen) => matches!(seen, Seen::Closed(_)),
        (Fault::Reset(_), seen) => seen == Seen::Reset,
        (_, Seen::Answer(answer)) => match (&fault, ResponseMessage::read(&answer)) {
            (Fault::Error { .. }, Ok(message)) => message.items[0].result_reason.is_some(),
            (Fault::Malformed(_) | Fault::BatchCount(_), read) => read.is_err(),
            (_, read) => read.is_ok_and(|message| message.items[0].result_reason.is_none()),
        },
        _ => false,
    }
}

/// One such test: every second of its requests meets its fault, no other request does.
fn test(server: &TestServer, at: usize) {
    let name = format!("test-{at}");
    let client = server.client(&name);
    let text = FAULTS[at % FAULTS.len()];
    let fault: Fault = text.parse().expect("a fault");
    for round in 0..3 {
        let key = format!("{name}-{round}");
        let rule = Rule::new(fault.clone()).client(&name);
        let rule = if is_early(&fault) { rule } else { rule.operation(Operation::CreateKeyPair) };
        assert!(meets(server, &client, rule, &key), "{name}: {text}");
        assert_eq!(server.faults().reset_client(&name), 1);
        let mut peer = Peer::connect(server, &client);
        assert!(matches!(peer.ask(&discover()), Seen::Answer(_)), "{name}");
        assert_eq!(peer.named(&key), usize::from(is_done(&fault)), "{name}: {text}");
    }
    let wanted = Wanted { client: Some(name.clone()), faults: true, ..Wanted::default() };
    let fired: Vec<_> =
        server.journal().page(&wanted).exchanges.into_iter().flat_map(|one| one.faults).collect();
    assert_eq!(fired.len(), 3, "{name}");
    assert!(fired.iter().all(|fired| fired.fault == fault), "{name}: {fired:?}");
}

#[test]
fn fifty_tests_with_faults_do_not_disturb_each_other() {
    let faults = FAULTS.map(|text| text.parse::<Fault>().expect("a fault"));
    let kinds: BTreeSet<usize> = faults.iter().filter_map(kind).collect();
    assert!(kinds.into_iter().eq(0..12), "every kind is among them");
    let server = TestServer::start();
    thread::scope(|scope| {
        for at in 0..50 {
            let server = &server;
            scope.spawn(move || test(server, at));
        }
    });
    assert!(server.faults().list().is_empty());
}
