//! Events: in order, numbered across restarts, from memory or from the log.

use std::path::Path;
use std::sync::Arc;

use kms_protocol::DateTime;
use kms_protocol::operation::{DestroyRequest, RekeyKeyPairRequest};
use kms_server::audit::{Events, Options, Segments, Source, Told, Trail, limits};
use kms_server::kms::{Cause, Event};
use kms_server::store::{MemoryStore, Store};

use super::asking::{Asker, NOW, pair_request};
use super::server;

/// All events behind `after`, however many answers that takes.
fn all(trail: &Trail, mut after: u64) -> Vec<Told> {
    let mut told = Vec::new();
    loop {
        let Events { events, next, .. } = trail.events(after).unwrap();
        if events.is_empty() && next == after {
            return told;
        }
        told.extend(events);
        after = next;
    }
}

/// Waits until the last event is there: it follows its commit at once, not at the same moment.
fn kinds(kms: &Asker, after: u64, count: usize) -> Vec<&'static str> {
    let begin = std::time::Instant::now();
    loop {
        let told = all(kms.trail(), after);
        assert!(told.windows(2).all(|pair| pair[0].n < pair[1].n), "{told:#?}");
        if told.len() >= count || begin.elapsed() > std::time::Duration::from_secs(60) {
            return told.iter().map(|told| told.event.kind()).collect();
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn lead(kms: &Asker) {
    let (private, public) = kms.pair(&pair_request("job", 2048));
    kms.activate(&private);
    let rekey = RekeyKeyPairRequest {
        private_key_unique_identifier: Some(private.as_str().into()),
        ..RekeyKeyPairRequest::default()
    };
    kms.ask(&rekey).unwrap();
    kms.ask(&DestroyRequest { unique_identifier: Some(public.as_str().into()) }).unwrap();
}

const LED: [&str; 4] = ["created", "state-changed", "rotated", "destroyed"];

#[test]
fn events_come_in_order_and_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let kms = server(folder.path(), "");
    lead(&kms);
    assert_eq!(kinds(&kms, 0, 4), LED);
    let second = all(kms.trail(), 0)[1].n;
    assert_eq!(kinds(&kms, second, 2), LED[2..]);
    let last = kms.trail().last();
    drop(kms);

    // The memory store forgets the keys; the log does not forget what was done with them.
    let kms = server(folder.path(), "");
    assert_eq!(kinds(&kms, 0, 4), LED);
    assert_eq!(kinds(&kms, second, 2), LED[2..]);
    lead(&kms);
    assert_eq!(kinds(&kms, last, 4), LED);
    assert_eq!(kinds(&kms, second, 6), [&LED[2..], &LED].concat());
}

#[test]
fn without_a_log_events_are_told_all_the_same() {
    let kms = Asker::start("[[policy]]\nname = \"p\"\nrotate-every = \"1d\"");
    let mut news = kms.trail().follow();
    let (private, _) = kms.pair(&pair_request("job", 2048));
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    assert_eq!(kms.run_due(NOW + 86_400).len(), 1);
    assert!(news.has_changed().unwrap());
    assert_eq!(kinds(&kms, 0, 2), ["created", "rotated"]);
    let rotated = all(kms.trail(), 0).pop().unwrap();
    assert_eq!(rotated.kmip_time.unwrap().as_second(), NOW + 86_400);
    let Event::Rotated { cause, old, names, .. } = rotated.event else { panic!("{rotated:?}") };
    assert_eq!((cause, old.private), (Cause::Policy { policy: "p".into() }, private));
    assert_eq!(names, ["job-private", "job-public"]);
    let text = serde_json::to_value(all(kms.trail(), 0).pop().unwrap()).unwrap();
    assert_eq!((&text["kind"], &text["generation"]), (&"rotated".into(), &1.into()));
}

#[test]
fn what_the_operator_and_policies_bring_about_is_told_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let day = 86_400;
    let kms = server(
        folder.path(),
        "[[policy]]\nname = \"p\"\nafter-rotation = \"deactivate\"\ndestroy-after = \"1d\"\ndeletion-window = \"1d\"",
    );
    let (private, public) = kms.pair(&pair_request("job", 2048));
    kms.activate(&private);
    kms.activate(&public);
    kms.service.rotate_key(&private, DateTime(NOW)).unwrap();
    kms.run_due(NOW + day);
    kms.service.undelete_key(&public, DateTime(NOW + day)).unwrap();
    kms.run_due(NOW + 3 * day);
    let after = ["destroyed", "destroyed", "undeleted", "purged"];
    assert_eq!(kinds(&kms, 0, 10)[6..], after);
    let told = all(kms.trail(), 0).into_iter().map(|told| serde_json::to_value(told).unwrap());
    let told: Vec<_> = told.collect();
    let of = |kind: &str| told.iter().filter(|told| told["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("rotated")[0]["cause"], "operator");
    assert!(of("destroyed").iter().all(|told| told["policy"] == "p"), "{told:#?}");
    assert_eq!(of("purged")[0]["id"], private.as_str(), "{told:#?}");
}

/// More events than are held in memory, and more segments than are kept.
#[test]
fn a_follower_that_was_away_gets_what_is_kept_and_is_told_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let trail = open(folder.path(), 1_000);
    let count = limits::EVENTS + 500;
    for _ in 0..count {
        trail.note(trail.record(Source::Server, "store").with(Event::StoreWritable));
    }
    trail.close();
    assert_eq!(all(&trail, 0).len(), count);
    drop(trail);
    let trail = open(folder.path(), 3);
    for _ in 0..100 {
        trail.note(trail.record(Source::Server, "store").with(Event::StoreWritable));
    }
    trail.close();
    let first = trail.events(0).unwrap();
    assert!(first.lost_up_to.is_some_and(|lost| lost > 0), "{first:?}");
    let told = all(&trail, 0);
    assert!(told.len() < count && told.last().unwrap().n + 1 == trail.last(), "{}", told.len());
}

fn open(folder: &Path, keep: u32) -> Trail {
    let segments = Segments { bytes: 16_384, keep };
    let options = Options { folder: Some(folder.to_owned()), segments, ..Options::default() };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    Trail::open(&options, &store).unwrap()
}
