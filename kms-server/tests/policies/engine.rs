//! One newest generation, whatever fails and whoever races.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kms_protocol::DateTime;
use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{LinkType, ObjectType, ResultReason, RevocationReasonCode};
use kms_protocol::operation::RekeyKeyPairRequest;
use kms_server::kms::{KeyView, Round};
use kms_server::store::{Faults, MemoryStore, SledOptions, SledStore, Step, Store};

use crate::asking::{Answer, Asker, NOW};
use crate::{DAY, p256, server_on};

const MONTHLY: &str = "[[policy]]\nname = \"monthly\"\nrotate-every = \"30d\"\n";
const DUE: i64 = NOW + 30 * DAY;

/// A store that fails at one step of the next commit, when told so.
fn failing() -> (Arc<MemoryStore>, Arc<Mutex<Option<Step>>>) {
    let armed: Arc<Mutex<Option<Step>>> = Arc::default();
    let hook = Arc::clone(&armed);
    let faults = Faults::new(move |step| match hook.lock().unwrap().take_if(|armed| *armed == step) {
        Some(_) => Err(io::Error::other("injected")),
        None => Ok(()),
    });
    (Arc::new(MemoryStore::with_faults(faults)), armed)
}

fn rekey(ask: &Asker, private: &str) -> Answer<String> {
    let request = RekeyKeyPairRequest {
        private_key_unique_identifier: Some(private.into()),
        ..RekeyKeyPairRequest::default()
    };
    ask.ask(&request).map(|response| response.private_key_unique_identifier)
}

/// The three ways to the engine. `Err` only says that its caller saw a failure.
fn rotate(kms: &Asker, by: &str, private: &str) -> Result<(), String> {
    match by {
        "policy" => {
            // The failure is the store's and goes to the log; the caller sees that nothing fired.
            let Round { fired, error, .. } = kms.service.run_due(DateTime(DUE), &|| true);
            error.map_or(Ok(()), |error| Err(error.to_string()))?;
            if fired.is_empty() { Err("nothing fired".into()) } else { Ok(()) }
        }
        "wire" => rekey(&kms.at(DUE), private).map(drop).map_err(|(_, message)| message),
        _ => {
            let rotated = kms.service.rotate_key(private, DateTime(DUE));
            rotated.map(drop).map_err(|refusal| refusal.message.into_owned())
        }
    }
}

/// Every line of generations is a chain with one newest generation, and both halves agree on it.
fn check_lines(keys: &[KeyView]) -> usize {
    let by_id: HashMap<&str, &KeyView> = keys.iter().map(|key| (key.id.as_str(), key)).collect();
    let other = |key: &KeyView| by_id[key.other_half.as_deref().expect("another half")];
    let mut lines = 0;
    for first in
        keys.iter().filter(|key| key.object_type == ObjectType::PrivateKey && key.predecessor.is_none())
    {
        lines += 1;
        let mut key = first;
        let mut generation = 0;
        loop {
            assert_eq!((key.generation, other(key).generation), (generation, generation));
            assert_eq!(other(other(key)).id, key.id);
            let Some(next) = key.successor.as_deref() else { break };
            let next = by_id[next];
            assert_eq!(next.predecessor.as_ref(), Some(&key.id), "links point both ways");
            assert_eq!(other(key).successor.as_ref(), Some(&other(next).id), "both halves moved on together");
            key = next;
            generation += 1;
        }
        assert!(other(key).successor.is_none());
    }
    let newest = keys.iter().filter(|key| key.successor.is_none()).count();
    assert_eq!(newest, lines * 2, "one newest generation for each line");
    lines
}

#[test]
fn a_failure_at_any_step_leaves_all_or_nothing_and_the_client_can_find_out_which() {
    for by in ["policy", "wire", "operator"] {
        for step in Step::ALL {
            let (store, armed) = failing();
            let kms = Asker::on(server_on(Arc::clone(&store) as Arc<dyn Store>, MONTHLY));
            let (private, public) = kms.pair(&p256("job", Vec::new()));
            *armed.lock().unwrap() = Some(step);
            let failed = rotate(&kms, by, &private);
            assert!(failed.is_err(), "{by} {step:?}");
            assert!(armed.lock().unwrap().is_none(), "the fault was met");

            // The client lost its answer; the links tell it what happened, on both halves alike.
            let found = kms.link(&private, LinkType::ReplacementObjectLink);
            let happened = step == Step::Acknowledge;
            assert_eq!(found.is_some(), happened, "{by} {step:?}");
            assert_eq!(kms.link(&public, LinkType::ReplacementObjectLink).is_some(), happened);
            assert_eq!(kms.names(&private).is_empty(), happened, "Names move with the links");
            assert_eq!(kms.keys().len(), if happened { 4 } else { 2 });
            assert_eq!(check_lines(&kms.keys()), 1);

            store.recover().expect("writable again");
            let again = rotate(&kms, by, &private);
            assert_eq!(
                again.is_ok(),
                !happened,
                "{by} {step:?}: what happened does not happen twice: {again:?}"
            );
            assert_eq!(kms.keys().len(), 4, "{by} {step:?}");
            assert_eq!(check_lines(&kms.keys()), 1);
        }
    }
}

#[test]
fn a_pair_that_was_replaced_is_not_replaced_again() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), MONTHLY));
    let (private, public) = kms.pair(&p256("job", Vec::new()));
    let new = kms.service.rotate_key(&public, DateTime(NOW)).expect("named by either half");
    assert_eq!(new.private.predecessor.as_deref(), Some(private.as_str()));
    assert_eq!(new.private.policy.as_deref(), Some("monthly"));
    for by in ["wire", "operator"] {
        let refused = rotate(&kms, by, &private).expect_err("it has a successor");
        assert!(refused.contains(&new.private.id), "{refused}");
    }
    assert_eq!(rekey(&kms, &private).expect_err("it has a successor").0, ResultReason::PermissionDenied);
    assert_eq!(kms.next_due(), Some(DUE), "the successor is due, not the old pair");
}

fn race(store: Arc<dyn Store>, pairs: usize) {
    let kms = Asker::on(server_on(store, MONTHLY));
    let private: Vec<String> =
        (0..pairs).map(|number| kms.pair(&p256(&format!("job {number}"), Vec::new())).0).collect();
    let by_hand = AtomicUsize::new(0);
    let by_policy = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (kms, private, by_hand) = (&kms, &private, &by_hand);
            scope.spawn(move || {
                for id in private.iter().cycle().skip(thread * pairs / 3).take(pairs) {
                    let way = if thread == 0 { "operator" } else { "wire" };
                    match rotate(kms, way, id) {
                        Ok(()) => drop(by_hand.fetch_add(1, Ordering::Relaxed)),
                        Err(refused) => assert!(refused.contains("has a replacement"), "{refused}"),
                    }
                }
            });
        }
        for _ in 0..2 {
            let (kms, by_policy) = (&kms, &by_policy);
            scope.spawn(move || {
                for _ in 0..10 {
                    by_policy.fetch_add(kms.run_due(DUE).len(), Ordering::Relaxed);
                }
            });
        }
    });
    let keys = kms.keys();
    assert_eq!(check_lines(&keys), pairs);
    assert!(keys.iter().all(|key| key.policy.as_deref() == Some("monthly")), "all stay under their policy");
    let told = kms.trail().events(0).expect("events").events;
    assert!(told.iter().all(|told| told.event.kind() != "rotation-failed"), "nobody gave up: {told:#?}");
    let rotations = by_hand.into_inner() + by_policy.into_inner();
    assert_eq!(rotations, pairs, "each pair was rotated by exactly one of them");
    assert_eq!(keys.len(), 4 * pairs);
}

#[test]
fn requests_the_operator_and_two_rotators_race_and_each_pair_has_one_successor() {
    race(Arc::new(MemoryStore::new()), 60);
}

#[test]
fn and_so_it_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    race(Arc::new(SledStore::open(&folder.path().join("store"), SledOptions::default()).unwrap()), 30);
}

#[test]
fn more_pairs_than_one_commit_takes_rotate_at_once() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), MONTHLY));
    for number in 0..300 {
        kms.pair(&p256(&format!("job {number}"), Vec::new()));
    }
    assert_eq!(kms.run_due(DUE).len(), 300);
    assert_eq!(kms.next_due(), Some(DUE + 30 * DAY));
}

#[test]
fn a_revocation_is_no_lifetime_and_what_was_planned_still_is() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), MONTHLY));
    let planned =
        vec![Attribute::ActivationDate(DateTime(NOW)), Attribute::DeactivationDate(DateTime(NOW + 90 * DAY))];
    let revoked_at = NOW + DAY;
    let later = DateTime(NOW + 2 * DAY);
    for (number, (attributes, halves, expected)) in (0_u8..).zip([
        (Vec::new(), [true, true], None),
        (Vec::new(), [true, false], None),
        (Vec::new(), [false, true], None),
        (planned.clone(), [true, false], Some(later.plus(90 * DAY))),
        (planned.clone(), [true, true], None),
        (planned, [false, false], Some(later.plus(90 * DAY))),
    ]) {
        let (private, public) = kms.pair(&p256(&format!("job {number}: {halves:?}"), attributes));
        for (id, _) in [&private, &public].into_iter().zip(halves).filter(|(_, revoked)| *revoked) {
            kms.at(revoked_at).revoke(id, RevocationReasonCode::CessationOfOperation).expect("revoked");
        }
        let new = kms.service.rotate_key(&private, later).expect("rotated");
        let ends = [new.private.deactivation_date, new.public.deactivation_date];
        assert_eq!(ends, [expected, expected], "{halves:?}");
    }
}
