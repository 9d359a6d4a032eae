//! What happens between the steps of a round: while its keys are generated, and while the server was down.

use std::sync::{Arc, Mutex};

use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{LinkType, ResultReason, RevocationReasonCode as Code, State};
use kms_protocol::operation::{GetRequest, RekeyKeyPairRequest};
use kms_protocol::{DateTime, Secret};
use kms_server::crypto::StoreKey;
use kms_server::kms::Kms;
use kms_server::kms::model::Object;
use kms_server::kms::notes::KeyNote;
use kms_server::store::{MemoryStore, Put, Store};

use crate::asking::{Asker, NOW};
use crate::{DAY, generating, p256, pair_of_kind, policies, server_on};

const MONTHLY: &str = "[[policy]]\nname = \"monthly\"\nrotate-every = \"30d\"\n";
const DUE: i64 = NOW + 30 * DAY;

/// What is done, once, when keys are generated for the n-th time.
type Interruption = Box<dyn FnOnce(&Asker) + Send>;

struct Interrupted {
    kms: Asker,
    plan: Arc<Mutex<Option<(usize, Interruption)>>>,
}

impl Interrupted {
    fn server(store: Arc<dyn Store>, config: &str) -> Self {
        let plan: Arc<Mutex<Option<(usize, Interruption)>>> = Arc::default();
        let asker: Arc<Mutex<Option<Asker>>> = Arc::default();
        let (hook, own) = (Arc::clone(&plan), Arc::clone(&asker));
        let kms = generating(store, config, move |spec| {
            let mut plan = hook.lock().unwrap();
            if let Some((wait, _)) = plan.as_mut() {
                *wait -= 1;
            }
            let now = plan.take_if(|(wait, _)| *wait == 0);
            drop(plan);
            let kms = own.lock().unwrap().clone();
            if let (Some((_, interrupt)), Some(kms)) = (now, kms) {
                interrupt(&kms);
            }
            pair_of_kind(spec)
        });
        let kms = Asker::on(kms);
        *asker.lock().unwrap() = Some(kms.clone());
        Self { kms, plan }
    }

    fn at_the(&self, generation: usize, interrupt: impl FnOnce(&Asker) + Send + 'static) {
        *self.plan.lock().unwrap() = Some((generation, Box::new(interrupt)));
    }
}

fn rekey(kms: &Asker, private: &str) {
    let request =
        RekeyKeyPairRequest { private_key_unique_identifier: Some(private.into()), ..Default::default() };
    kms.ask(&request).expect("re-keyed");
}

fn is_rotated(kms: &Asker, private: &str) -> bool {
    kms.link(private, LinkType::ReplacementObjectLink).is_some()
}

fn new_store_key(kms: &Arc<Kms>, byte: u8) {
    let key = StoreKey::from_bytes(Secret::new(vec![byte; 32])).expect("a key");
    let note = KeyNote::of(key.id().to_string());
    kms.rekey(key, note).expect("the store gets a new key");
}

fn kinds(kms: &Asker) -> Vec<&'static str> {
    kms.trail().events(0).expect("events").events.iter().map(|told| told.event.kind()).collect()
}

/// Overwrites an object's record with bytes that are none, where it is filed.
fn damage(store: &dyn Store, id: &str) {
    let record = store.fetch(id).unwrap().unwrap();
    let value = vec![0x54, 0, 1, 1, 0, 0, 0, 0];
    let put = Put { id: id.into(), replaces: Some(record.revision), value, terms: record.terms };
    store.commit(kms_server::store::Batch::new().put(put)).unwrap();
}

#[test]
fn a_pair_that_a_client_replaces_meanwhile_is_no_failure() {
    let server = Interrupted::server(Arc::new(MemoryStore::new()), MONTHLY);
    let kms = &server.kms;
    kms.pair(&p256("first", Vec::new()));
    let (second, public) = kms.at(NOW + 1).pair(&p256("second", Vec::new()));
    let target = second.clone();
    server.at_the(1, move |kms| rekey(&kms.at(DUE + 1), &target));
    assert_eq!(kms.run_due(DUE + 1).len(), 1, "the other one");
    assert!(is_rotated(kms, &second));
    assert!(!kinds(kms).contains(&"rotation-failed"), "{:?}", kinds(kms));
    for id in [&second, &public] {
        assert_eq!(kms.key(id).policy.as_deref(), Some("monthly"), "it stays under its policy");
    }
    assert_eq!(kms.keys().len(), 8);
}

/// The store's key is changed while pairs are generated: nothing waits for the end of that, and what was sealed with the
/// old key before is planned anew, also where its end has come since it was due.
#[test]
fn a_pair_that_was_due_before_its_end_is_rotated_whatever_keeps_the_round_from_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let server = Interrupted::server(Arc::clone(&store), MONTHLY);
    let kms = &server.kms;
    let end = vec![Attribute::DeactivationDate(DateTime(DUE + DAY))];
    let (first, _) = kms.pair(&p256("first", end.clone()));
    let (second, _) = kms.at(NOW + 1).pair(&p256("second", end));
    server.at_the(2, |kms| new_store_key(&kms.service, 8));
    let late = DUE + 2 * DAY;
    let rotated = |fired: Vec<String>| fired.iter().filter(|what| what.contains("rotated")).count();
    // The second may meet its own record being sealed anew, and wait for the next round too.
    let at_once = rotated(kms.run_due(late));
    assert!(!is_rotated(kms, &first), "it was sealed with the old key");
    assert_eq!(kms.at(late).state(&first), State::Deactivated, "as its date says");
    while kms.service.rekey_progress().running {
        std::thread::yield_now();
    }
    assert_eq!(at_once + rotated(kms.run_due(late)), 2);
    assert!(is_rotated(kms, &first) && is_rotated(kms, &second));
    assert_eq!(kms.next_due(), Some(late + 30 * DAY), "nothing is left over");
}

#[test]
fn what_a_round_has_no_time_for_is_rotated_in_the_next() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), MONTHLY));
    let end = vec![Attribute::DeactivationDate(DateTime(DUE + DAY))];
    let pairs: Vec<String> =
        (0..3).map(|number| kms.at(NOW + number).pair(&p256(&format!("{number}"), end.clone())).0).collect();
    for expected in 1..=3 {
        let round = kms.service.run_due(DateTime(DUE + 2 * DAY), &|| false);
        assert!(round.error.is_none());
        assert_eq!(round.is_cut_short, expected < 3);
        assert_eq!(pairs.iter().filter(|pair| is_rotated(&kms, pair)).count(), expected, "one in each round");
    }
}

#[test]
fn keys_are_generated_without_keeping_a_change_of_the_stores_key() {
    let server = Interrupted::server(Arc::new(MemoryStore::new()), "");
    server.at_the(1, |kms| new_store_key(&kms.service, 8));
    let (private, _) = server.kms.pair(&p256("job", Vec::new()));
    while server.kms.service.rekey_progress().running {
        std::thread::yield_now();
    }
    server.at_the(1, |kms| new_store_key(&kms.service, 9));
    rekey(&server.kms, &private);
}

#[test]
fn a_new_pair_is_filed_by_the_policies_that_allowed_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let server = Interrupted::server(Arc::clone(&store), MONTHLY);
    server.at_the(1, |kms| {
        let strict = "[[policy]]\nname = \"strict\"\nallowed-pairs = [\"RSA-4096\"]\n";
        kms.service.adopt(policies(strict)).expect("adopted");
    });
    let (private, _) = server.kms.pair(&p256("job", Vec::new()));
    let record = store.fetch(&private).unwrap().unwrap();
    let object = Object::from_record(&private, &record).unwrap();
    assert_eq!(object.policy.as_deref(), Some("monthly"), "the strict one would not have let it be made");
}

#[test]
fn a_pair_that_cannot_be_rotated_stays_under_its_policy() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let config = format!("{MONTHLY}private-keys-may-leave = \"never\"\n");
    let kms = Asker::on(server_on(Arc::clone(&store), &config));
    let (private, public) = kms.pair(&p256("job", Vec::new()));
    // Its public half was lost.
    let revision = store.fetch(&public).unwrap().unwrap().revision;
    store.commit(kms_server::store::Batch::new().delete(public, revision)).unwrap();
    kms.run_due(DUE);
    kms.run_due(DUE + DAY);
    assert_eq!(kinds(&kms), ["created", "rotation-failed"], "told once");
    assert_eq!(kms.next_due(), None);
    assert_eq!(kms.key(&private).rotates_at, None);
    assert_eq!(kms.key(&private).policy.as_deref(), Some("monthly"));
    let get = GetRequest { unique_identifier: Some(private.as_str().into()), ..GetRequest::default() };
    assert_eq!(kms.ask(&get).map(drop).expect_err("by policy").0, ResultReason::PermissionDenied);
}

#[test]
fn until_it_is_filed_anew_a_pair_is_governed_by_what_matches_either_half() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), ""));
    let (private, _) = kms.pair(&p256("job", Vec::new()));
    let never = "[[policy]]\nname = \"p\"\nnames = \"job-public\"\nprivate-keys-may-leave = \"never\"\n";
    kms.service.adopt(policies(never)).expect("adopted");
    assert!(kms.service.is_adopting());
    let get = GetRequest { unique_identifier: Some(private.as_str().into()), ..GetRequest::default() };
    assert_eq!(kms.ask(&get).map(drop).expect_err("by policy").0, ResultReason::PermissionDenied);
    while kms.service.adopt_some().expect("the store") {}
    assert!(!kms.service.is_adopting());
    assert_eq!(kms.ask(&get).map(drop).expect_err("by policy").0, ResultReason::PermissionDenied);
}

#[test]
fn a_damaged_record_keeps_nobody_else_waiting() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let kms = Asker::on(server_on(Arc::clone(&store), MONTHLY));
    let (damaged, _) = kms.pair(&p256("damaged", vec![Attribute::DeactivationDate(DateTime(DUE - 5))]));
    let (halved, lost) = kms.pair(&p256("halved", Vec::new()));
    let (sound, public) =
        kms.at(NOW + 1).pair(&p256("sound", vec![Attribute::DeactivationDate(DateTime(DUE + 9))]));
    // As every store has it from its first start: without it the first record, which may be a damaged one, tells the key.
    KeyNote::of(kms.service.keyring().current().to_string()).write(&*store).expect("noted");
    damage(&*store, &damaged);
    damage(&*store, &lost);
    kms.run_due(DUE + 1);
    assert!(is_rotated(&kms, &sound));
    assert!(!is_rotated(&kms, &halved), "it is not given up either");
    assert_eq!(kms.service.damaged(), 2);
    kms.run_due(DUE + 9);
    // At the time of creation: what is written.
    assert_eq!((kms.state(&sound), kms.state(&public)), (State::Deactivated, State::Deactivated));

    kms.service.adopt(policies(&MONTHLY.replace("monthly", "other"))).expect("adopted");
    while kms.service.adopt_some().expect("the store") {}
    assert_eq!(kms.key(&sound).policy.as_deref(), Some("other"));

    // The key that the damaged record is sealed with is kept.
    let old = kms.service.keyring().current();
    new_store_key(&kms.service, 8);
    while kms.service.rekey_progress().running {
        std::thread::yield_now();
    }
    let progress = kms.service.rekey_progress();
    assert_eq!(progress.left_out, 2, "{progress:?}");
    assert!(progress.failed.is_some_and(|why| why.contains("damaged")));
    assert_eq!(kms.service.keyring().previous(), Some(old));
    assert!(KeyNote::read(&*store).unwrap().unwrap().previous.is_some(), "on disk too");
}

#[test]
fn records_that_weigh_more_than_a_commit_takes_get_the_new_key_one_by_one() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), ""));
    for number in 0..80 {
        let groups = (0..32).map(|part| Attribute::ObjectGroup(format!("{number}-{part}")));
        let comment = Attribute::Comment("x".repeat(60_000));
        kms.pair(&p256(&format!("{number}"), groups.chain([comment]).collect()));
    }
    new_store_key(&kms.service, 8);
    while kms.service.rekey_progress().running {
        assert_eq!(kms.service.rekey_progress().failed, None);
        std::thread::yield_now();
    }
    assert_eq!((kms.service.rekey_progress().resealed, kms.service.keyring().previous()), (80, None));
}

#[test]
fn what_expired_unseen_is_told_by_whoever_sees_it_first() {
    let expiring = |kms: &Asker, name: &str| {
        kms.pair(&p256(name, vec![Attribute::DeactivationDate(DateTime(NOW + 10))]))
    };
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), ""));
    let (private, _) = expiring(&kms, "revoked");
    let later = kms.at(NOW + 20);
    later.revoke(&private, Code::KeyCompromise).expect("revoked");
    assert_eq!(kinds(&kms), ["created", "state-changed", "state-changed"], "Deactivated, then Compromised");
    let (private, _) = expiring(&kms, "destroyed");
    later.destroy(&private).expect("destroyed");
    assert_eq!(kinds(&kms)[3..], ["created", "state-changed", "destroyed"]);
    let (private, _) = expiring(&kms, "re-keyed");
    rekey(&later, &private);
    assert_eq!(kinds(&kms)[6..], ["created", "rotated", "state-changed", "state-changed"], "both halves");
}
