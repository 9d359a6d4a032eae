//! Policies changed under keys that are there.

use std::sync::Arc;

use kms_server::store::{MemoryStore, Store};

use crate::asking::{Asker, NOW};
use crate::{DAY, p256, policies, server_on};

const MONTHLY: &str = "[[policy]]\nname = \"monthly\"\nrotate-every = \"30d\"\n";
const SPLIT: &str = "[[policy]]\nname = \"tape\"\nnames = \"tape*\"\nrotate-every = \"10d\"\n\
                     [[policy]]\nname = \"monthly\"\nrotate-every = \"30d\"\n";

fn filed(kms: &Asker) -> Vec<(String, Option<String>)> {
    let mut keys: Vec<_> = kms.keys().into_iter().map(|key| (key.names[0].clone(), key.policy)).collect();
    keys.sort();
    keys
}

fn finish(kms: &Asker) {
    while kms.service.adopt_some().expect("the store") {}
}

#[test]
fn keys_are_filed_under_changed_policies_and_fall_due_by_them() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), MONTHLY));
    finish(&kms);
    kms.pair(&p256("tape-1", Vec::new()));
    kms.pair(&p256("disk-1", Vec::new()));
    assert_eq!(kms.next_due(), Some(NOW + 30 * DAY));
    kms.service.adopt(policies(SPLIT)).expect("adopted");
    kms.pair(&p256("tape-2", Vec::new()));
    finish(&kms);
    assert_eq!(kms.next_due(), Some(NOW + 10 * DAY));
    let of = |name: &str, policy: &str| (name.to_owned(), Some(policy.to_owned()));
    assert_eq!(
        filed(&kms),
        [
            of("disk-1-private", "monthly"),
            of("disk-1-public", "monthly"),
            of("tape-1-private", "tape"),
            of("tape-1-public", "tape"),
            of("tape-2-private", "tape"),
            of("tape-2-public", "tape"),
        ]
    );
    assert_eq!(kms.run_due(NOW + 10 * DAY).len(), 2);
    assert_eq!(kms.run_due(NOW + 30 * DAY).len(), 3);
}

#[test]
fn a_changed_interval_counts_at_once_and_touches_no_record() {
    let store = Arc::new(MemoryStore::new());
    let kms = Asker::on(server_on(Arc::clone(&store) as Arc<dyn Store>, MONTHLY));
    finish(&kms);
    let (private, _) = kms.pair(&p256("job", Vec::new()));
    let before = store.fetch(&private).unwrap().unwrap().revision;
    kms.service.adopt(policies(&MONTHLY.replace("30d", "7d"))).expect("adopted");
    assert_eq!(kms.next_due(), Some(NOW + 7 * DAY));
    finish(&kms);
    assert_eq!(store.fetch(&private).unwrap().unwrap().revision, before);
}

#[test]
fn a_changed_jitter_files_pairs_anew() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), MONTHLY));
    finish(&kms);
    let pairs: Vec<_> =
        (0..8).map(|number| kms.pair(&p256(&format!("job {number}"), Vec::new())).0).collect();
    assert_eq!(kms.next_due(), Some(NOW + 30 * DAY));
    kms.service.adopt(policies(&format!("{MONTHLY}jitter = \"3d\"\n"))).expect("adopted");
    finish(&kms);
    let due: Vec<_> = pairs.iter().map(|id| kms.key(id).rotates_at.expect("a date").0).collect();
    assert!(due.iter().all(|at| (NOW + 27 * DAY..=NOW + 30 * DAY).contains(at)), "{due:?}");
    assert!(due.iter().any(|at| *at < NOW + 30 * DAY), "{due:?}");
    assert_eq!(kms.next_due(), due.iter().copied().min());
    kms.service.adopt(policies(MONTHLY)).expect("adopted");
    finish(&kms);
    assert_eq!(kms.next_due(), Some(NOW + 30 * DAY));
    assert_eq!(kms.run_due(NOW + 30 * DAY).len(), pairs.len());
}

#[test]
fn a_server_that_stopped_half_way_finishes_after_its_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let kms = Asker::on(server_on(Arc::clone(&store), MONTHLY));
    finish(&kms);
    for number in 0..200 {
        kms.pair(&p256(&format!("tape-{number}"), Vec::new()));
    }
    kms.service.adopt(policies(SPLIT)).expect("adopted");
    assert!(kms.service.adopt_some().expect("the store"), "one page of two");
    let moved = |kms: &Asker| kms.keys().iter().filter(|key| key.policy.as_deref() == Some("tape")).count();
    let half_way = moved(&kms);
    assert!((1..400).contains(&half_way), "{half_way}");
    assert!(kms.keys().iter().all(|key| key.policy.is_some()), "each is filed under some policy");

    let again = Asker::on(server_on(Arc::clone(&store), SPLIT));
    finish(&again);
    assert_eq!(moved(&again), 400);
    assert_eq!(again.next_due(), Some(NOW + 10 * DAY));

    // All is filed: the next start has nothing to look at.
    let third = Asker::on(server_on(store, SPLIT));
    assert!(!third.service.adopt_some().expect("the store"));
}

#[test]
fn requests_go_on_while_keys_are_filed_anew() {
    let kms = Asker::on(server_on(Arc::new(MemoryStore::new()), MONTHLY));
    finish(&kms);
    for number in 0..100 {
        kms.pair(&p256(&format!("tape-{number}"), Vec::new()));
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let kms = kms.clone();
            scope.spawn(move || {
                for number in 0..50 {
                    let (private, _) = kms.pair(&p256(&format!("tape-{thread}-{number}"), Vec::new()));
                    kms.revoke(&private, kms_protocol::enums::RevocationReasonCode::Unspecified)
                        .expect("no request loses against the filing");
                }
            });
        }
        for round in 0..20 {
            kms.service.adopt(policies(if round % 2 == 0 { SPLIT } else { MONTHLY })).expect("adopted");
            finish(&kms);
        }
        kms.service.adopt(policies(SPLIT)).expect("adopted");
        finish(&kms);
    });
    finish(&kms);
    assert_eq!(kms.keys().len(), 600);
    assert!(kms.keys().iter().all(|key| key.policy.as_deref() == Some("tape")));
}
