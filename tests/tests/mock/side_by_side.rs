//! Tests with faults, side by side on one server: each has a client of its own, and sees its own faults alone.

use std::thread;

use kms_protocol::enums::Operation;
use kms_protocol::message::ResponseMessage;
use kms_server::faults::Rule;
use kms_server::journal::Wanted;
use kms_server::testing::blocking::TestServer;

use super::peer::{Peer, Seen, discover, message, pair};

const FAULTS: [&str; 5] =
    ["close:after-commit", "reset", "error:Permission Denied", "malformed:missing", "cut:9"];

/// One such test: every second of its requests meets its fault, no other request does.
fn test(server: &TestServer, at: usize) {
    let name = format!("test-{at}");
    let certificate = server.client(&name);
    let fault = FAULTS[at % FAULTS.len()];
    for round in 0..4 {
        let key = format!("{name}-{round}");
        let mut peer = Peer::connect(server, &certificate);
        let rule = Rule::new(fault.parse().expect("a fault")).client(&name);
        server.faults().add(rule.operation(Operation::CreateKeyPair).times(1)).expect("armed");
        let met = match peer.ask(&message(&pair(&key))) {
            Seen::Answer(answer) => match ResponseMessage::read(&answer) {
                Ok(message) => message.items[0].result_reason.is_some(),
                Err(_) => true,
            },
            _ => true,
        };
        assert!(met, "{name}: {fault}");
        assert_eq!(server.faults().reset_client(&name), 1);
        let mut peer = Peer::connect(server, &certificate);
        assert!(matches!(peer.ask(&discover()), Seen::Answer(_)), "{name}");
        let is_done = usize::from(!fault.starts_with("error") && fault != "reset");
        assert_eq!(peer.named(&key), is_done, "{name}: {fault}");
    }
    let wanted = Wanted { client: Some(name.clone()), faults: true, ..Wanted::default() };
    let fired: Vec<_> =
        server.journal().page(&wanted).exchanges.into_iter().flat_map(|one| one.faults).collect();
    assert_eq!(fired.len(), 4, "{name}");
    assert!(fired.iter().all(|fired| fired.fault.to_string().starts_with(fault)), "{name}: {fired:?}");
}

#[test]
fn fifty_tests_with_faults_do_not_disturb_each_other() {
    let server = TestServer::start();
    thread::scope(|scope| {
        for at in 0..50 {
            let server = &server;
            scope.spawn(move || test(server, at));
        }
    });
    assert!(server.faults().list().is_empty());
}
