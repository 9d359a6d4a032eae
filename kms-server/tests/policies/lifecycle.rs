//! Every state by every event by version (KMIP 1.4 section 3.22, 2.1 section 4.57), the outcomes written out.

use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{HashingAlgorithm as Hash, ResultReason, RevocationReasonCode as Code, State};
use kms_protocol::operation::{ActivateRequest, GetRequest, RekeyKeyPairRequest};
use kms_protocol::{DateTime, Version};
use kms_server::kms::VERSIONS;

use crate::asking::{Answer, Asker, NOW, oaep, pair_request};
use crate::server;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    Activate,
    Revoke(Code),
    Destroy,
    ActivationDate,
    DeactivationDate,
    Rekey,
    Encrypt,
    Decrypt,
    Get,
}

/// What comes of an event.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    /// It is done, and the object is in this state.
    Is(State),
    /// It is refused for the object's state.
    WrongState,
    /// It is refused: Permission Denied in every version.
    Denied,
    /// There is no key material to be had.
    NoMaterial,
}

use Outcome::{Denied, Is, NoMaterial, WrongState};
use State::{Active, Compromised, Deactivated, Destroyed, DestroyedCompromised, PreActive};

const STATES: [State; 6] = [PreActive, Active, Deactivated, Compromised, Destroyed, DestroyedCompromised];

/// The outcomes in the order of [`STATES`]. Revocation reasons but the two compromises lead to Deactivated alike.
#[rustfmt::skip]
const TABLE: &[(Event, [Outcome; 6])] = &[
    (Event::Activate,                             [Is(Active),      WrongState,      WrongState,      WrongState,               WrongState,               WrongState]),
    (Event::Revoke(Code::Unspecified),            [WrongState,      Is(Deactivated), WrongState,      WrongState,               WrongState,               WrongState]),
    (Event::Revoke(Code::AffiliationChanged),     [WrongState,      Is(Deactivated), WrongState,      WrongState,               WrongState,               WrongState]),
    (Event::Revoke(Code::Superseded),             [WrongState,      Is(Deactivated), WrongState,      WrongState,               WrongState,               WrongState]),
    (Event::Revoke(Code::CessationOfOperation),   [WrongState,      Is(Deactivated), WrongState,      WrongState,               WrongState,               WrongState]),
    (Event::Revoke(Code::PrivilegeWithdrawn),     [WrongState,      Is(Deactivated), WrongState,      WrongState,               WrongState,               WrongState]),
    (Event::Revoke(Code::KeyCompromise),          [Is(Compromised), Is(Compromised), Is(Compromised), WrongState,               Is(DestroyedCompromised), WrongState]),
    (Event::Revoke(Code::CaCompromise),           [Is(Compromised), Is(Compromised), Is(Compromised), WrongState,               Is(DestroyedCompromised), WrongState]),
    (Event::Destroy,                              [Is(Destroyed),   WrongState,      Is(Destroyed),   Is(DestroyedCompromised), WrongState,               WrongState]),
    (Event::ActivationDate,                       [Is(Active),      Is(Active),      Is(Deactivated), Is(Compromised),          Is(Destroyed),            Is(DestroyedCompromised)]),
    (Event::DeactivationDate,                     [Is(Deactivated), Is(Deactivated), Is(Deactivated), Is(Compromised),          Is(Destroyed),            Is(DestroyedCompromised)]),
    (Event::Rekey,                                [Is(PreActive),   Is(Active),      Is(Deactivated), Is(Compromised),          Denied,                   Denied]),
    (Event::Encrypt,                              [WrongState,      Is(Active),      WrongState,      WrongState,               WrongState,               WrongState]),
    (Event::Decrypt,                              [WrongState,      Is(Active),      Is(Deactivated), Is(Compromised),          WrongState,               WrongState]),
    (Event::Get,                                  [Is(PreActive),   Is(Active),      Is(Deactivated), Is(Compromised),          NoMaterial,               NoMaterial]),
];

const ACTIVATION: i64 = NOW + 100;
const DEACTIVATION: i64 = NOW + 200;

/// A pair whose halves are both in `state`, with both dates still to come wherever that is possible.
fn pair_in(ask: &Asker, state: State, name: &str) -> (String, String) {
    let mut request = pair_request(name, 2048);
    request.common.list.push(Attribute::ActivationDate(DateTime(ACTIVATION)));
    request.common.list.push(Attribute::DeactivationDate(DateTime(DEACTIVATION)));
    let (private, public) = ask.pair(&request);
    for id in [&private, &public] {
        if matches!(state, Active | Deactivated) {
            ask.activate(id);
        }
        match state {
            Deactivated => drop(ask.revoke(id, Code::Unspecified).expect("revoked")),
            Compromised | DestroyedCompromised => {
                drop(ask.revoke(id, Code::KeyCompromise).expect("revoked"));
            }
            _ => {}
        }
        if matches!(state, Destroyed | DestroyedCompromised) {
            ask.destroy(id).expect("destroyed");
        }
        assert_eq!(ask.state(id), state);
    }
    (private, public)
}

/// What the event comes to, and at which time its result is looked at.
fn happen(ask: &Asker, event: Event, private: &str, public: &str, ciphertext: &[u8]) -> (Answer<()>, i64) {
    let id = || Some(private.into());
    let answer = match event {
        Event::Activate => ask.ask(&ActivateRequest { unique_identifier: id() }).map(drop),
        Event::Revoke(code) => ask.revoke(private, code).map(drop),
        Event::Destroy => ask.destroy(private).map(drop),
        Event::ActivationDate => return (Ok(()), ACTIVATION),
        Event::DeactivationDate => return (Ok(()), DEACTIVATION),
        Event::Rekey => {
            let request =
                RekeyKeyPairRequest { private_key_unique_identifier: id(), ..RekeyKeyPairRequest::default() };
            ask.ask(&request).map(drop)
        }
        Event::Encrypt => ask.try_encrypt(public, oaep(Hash::Sha1, Hash::Sha1), b"data").map(drop),
        Event::Decrypt => ask.decrypt(private, oaep(Hash::Sha1, Hash::Sha1), ciphertext).map(|plain| {
            assert_eq!(plain.expose(), b"data");
        }),
        Event::Get => ask.ask(&GetRequest { unique_identifier: id(), ..GetRequest::default() }).map(drop),
    };
    (answer, NOW)
}

fn reason(outcome: Outcome, version: Version) -> ResultReason {
    match outcome {
        WrongState if version.is_2x() => ResultReason::WrongKeyLifecycleState,
        WrongState | Denied => ResultReason::PermissionDenied,
        NoMaterial if version.is_2x() => ResultReason::ObjectDestroyed,
        NoMaterial => ResultReason::IllegalOperation,
        Is(state) => panic!("{state} is no refusal"),
    }
}

#[test]
fn every_state_by_every_event_by_version() {
    let kms = server("");
    let (_, public) = pair_in(&kms, Active, "key");
    let ciphertext = kms.encrypt(&public, oaep(Hash::Sha1, Hash::Sha1), b"data");
    let mut cells = 0;
    for version in VERSIONS {
        for (event, outcomes) in TABLE {
            for (state, outcome) in STATES.into_iter().zip(outcomes) {
                let cell = format!("{state}, {event:?}, {version}");
                let ask = kms.speaking(version);
                let (private, public) = pair_in(&ask, state, &cell);
                let (answer, at) = happen(&ask, *event, &private, &public, &ciphertext);
                let is_unknown = match event {
                    Event::Encrypt | Event::Decrypt => version < Version::V1_2,
                    Event::Rekey => version < Version::V1_1,
                    _ => false,
                };
                let after = match outcome {
                    _ if is_unknown => {
                        let refused = answer.expect_err(&cell).0;
                        assert_eq!(refused, ResultReason::OperationNotSupported, "{cell}");
                        state
                    }
                    Is(state) => {
                        answer.unwrap_or_else(|refused| panic!("{cell}: {refused:?}"));
                        *state
                    }
                    refused => {
                        assert_eq!(answer.expect_err(&cell).0, reason(*refused, version), "{cell}");
                        state
                    }
                };
                assert_eq!(ask.at(at).state(&private), after, "{cell}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 7 * 15 * 6);
}

#[test]
fn what_dates_bring_about_is_written_down_on_time_and_without_a_request() {
    for state in STATES {
        let kms = server("");
        let (private, public) = pair_in(&kms, state, "job");
        let dated = matches!(state, PreActive | Active);
        assert_eq!(kms.run_due(ACTIVATION - 1), Vec::<String>::new(), "{state}");
        let fired = kms.run_due(ACTIVATION);
        assert_eq!(fired.len(), if state == PreActive { 2 } else { 0 }, "{state}: {fired:?}");
        assert_eq!(kms.next_due(), dated.then_some(DEACTIVATION), "{state}");
        let fired = kms.run_due(DEACTIVATION);
        assert_eq!(fired.len(), if dated { 2 } else { 0 }, "{state}: {fired:?}");
        assert_eq!(kms.next_due(), None, "{state}");
        // At the time of creation again: the state now follows from what is written alone.
        let written = if dated { Deactivated } else { state };
        assert_eq!((kms.state(&private), kms.state(&public)), (written, written));
    }
}

#[test]
fn after_downtime_both_dates_have_passed_at_once() {
    let kms = server("");
    let (private, _) = pair_in(&kms, PreActive, "job");
    let fired = kms.run_due(DEACTIVATION + 1_000);
    assert_eq!(fired.len(), 2, "{fired:?}");
    assert!(fired.iter().all(|what| what.ends_with("is Deactivated")), "{fired:?}");
    assert_eq!(kms.state(&private), Deactivated);
}
