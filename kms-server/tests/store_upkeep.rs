//! What is told of a damaged store, and how a server gets over a disk that fails.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "what each test needs of it differs")]
mod asking;

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use asking::{Asker, oaep, pair_request};
use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{HashingAlgorithm, LinkType};
use kms_protocol::operation::RekeyKeyPairRequest;
use kms_protocol::{DateTime, Secret};
use kms_server::backup::{self, Seal};
use kms_server::config::Config;
use kms_server::crypto::{Keyring, StoreKey};
use kms_server::kms::Kms;
use kms_server::kms::check::{Report, check};
use kms_server::kms::model::{Material, Object};
use kms_server::kms::notes::{KeyNote, MovedClock};
use kms_server::service::{self, Service};
use kms_server::store::{
    Batch, Faults, Index, MemoryStore, Put, SledOptions, SledStore, Step, Store, StoreError, Term, copy,
};
use kms_server::store_key::Given;

const KEY: [u8; 32] = [7; 32];

fn workers() -> Arc<kms_server::crypto::Workers> {
    Arc::new(kms_server::crypto::Workers::new(2).unwrap())
}

fn start(store: &Arc<dyn Store>) -> Arc<Kms> {
    let config = Config { ready_pairs: Some(0), ..Config::default() };
    service::start(Arc::clone(store), &Given::Key(Secret::from(KEY.as_slice())), &config, &workers()).unwrap()
}

fn keyring() -> Keyring {
    Keyring::new(StoreKey::from_bytes(Secret::from(KEY.as_slice())).unwrap())
}

fn looked_at(store: &dyn Store) -> Report {
    check(store, Some(&keyring())).unwrap()
}

/// A pair that was rotated once: its IDs, the old ones first.
fn rotated(store: &Arc<dyn Store>) -> [String; 4] {
    let asker = Asker::on(start(store));
    let (private, public) = asker.pair(&pair_request("job", 2048));
    let request = RekeyKeyPairRequest {
        private_key_unique_identifier: Some(private.as_str().into()),
        ..RekeyKeyPairRequest::default()
    };
    let new = asker.ask(&request).unwrap();
    [private, public, new.private_key_unique_identifier, new.public_key_unique_identifier]
}

fn object(store: &dyn Store, id: &str) -> Object {
    Object::from_record(id, &store.fetch(id).unwrap().unwrap()).unwrap()
}

#[test]
fn a_sound_store_is_said_to_be_sound() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    rotated(&store);
    // What the server keeps beside objects is none of the check's business.
    let own = Put { id: "~audit/1".into(), replaces: None, value: vec![1, 2, 3], terms: Vec::new() };
    store.commit(Batch::new().put(own)).unwrap();
    let report = looked_at(&*store);
    assert!(report.sound, "{report:?}");
    assert_eq!((report.records, report.opened, report.unopened, report.newest), (4, 2, 0, 2));
    assert!(report.links >= 8 && report.entries >= 14, "{report:?}");
    let blind = check(&*store, None).unwrap();
    assert_eq!((blind.sound, blind.opened, blind.unopened), (true, 0, 2));
}

type Damage = fn(&dyn Store, &[String; 4]);

#[test]
fn every_kind_of_damage_is_found_where_it_is() {
    let damages: [(&str, usize, Damage); 9] = [
        ("leads to", 2, |store, ids| {
            let revision = store.fetch(&ids[3]).unwrap().unwrap().revision;
            store.commit(Batch::new().delete(ids[3].clone(), revision)).unwrap();
        }),
        ("another owner", 2, |store, ids| {
            let mut public = object(store, &ids[3]);
            public.owner = "somebody else".into();
            store.commit(Batch::new().put(public.put())).unwrap();
        }),
        ("is filed under other terms", 0, |store, ids| {
            let mut put = object(store, &ids[0]).put();
            put.terms.push(Term::new(Index::Group, [9; 4]));
            store.commit(Batch::new().put(put)).unwrap();
        }),
        ("is damaged, or belongs to another object", 0, |store, ids| {
            let (mut one, other) = (object(store, &ids[0]), object(store, &ids[2]));
            one.material = other.material;
            store.commit(Batch::new().put(one.put())).unwrap();
        }),
        ("sealed with store key", 0, |store, ids| {
            let mut private = object(store, &ids[0]);
            let other = StoreKey::from_bytes(Secret::from([8; 32].as_slice())).unwrap();
            let sealed = other.seal(&ids[0], &Secret::from([1; 9].as_slice())).unwrap();
            private.material = Some(Material::Sealed(kms_protocol::ttlv::Bytes(sealed)));
            store.commit(Batch::new().put(private.put())).unwrap();
        }),
        ("key material is missing", 1, |store, ids| {
            let mut public = object(store, &ids[1]);
            public.material = None;
            store.commit(Batch::new().put(public.put())).unwrap();
        }),
        ("does not say that it is not the newest", 0, |store, ids| {
            let mut private = object(store, &ids[0]);
            private.set(Attribute::RotateLatest(true));
            store.commit(Batch::new().put(private.put())).unwrap();
        }),
        ("does not say so", 1, |store, ids| {
            let mut public = object(store, &ids[3]);
            public.set_link(LinkType::ReplacedObjectLink, &ids[0]);
            store.commit(Batch::new().put(public.put())).unwrap();
        }),
        ("missing", 1, |store, ids| {
            let record = store.fetch(&ids[1]).unwrap().unwrap();
            let put = Put {
                id: ids[1].clone(),
                replaces: Some(record.revision),
                value: vec![0x54, 0, 1, 1, 0, 0, 0, 0],
                terms: record.terms,
            };
            store.commit(Batch::new().put(put)).unwrap();
        }),
    ];
    for (expected, at, damage) in damages {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let ids = rotated(&store);
        assert!(looked_at(&*store).sound);
        damage(&*store, &ids);
        let report = looked_at(&*store);
        assert!(!report.sound, "{expected}");
        let found =
            report.problems.iter().any(|problem| problem.what.contains(expected) && problem.at == ids[at]);
        assert!(found, "{expected:?} at {} is not in {:#?}", ids[at], report.problems);
    }
}

/// Index entries and records that sled holds one without the other.
#[test]
fn indexes_and_records_are_compared_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SledStore::open(folder.path(), SledOptions::default()).unwrap());
    let ids = rotated(&store);
    drop(store);
    let raw = sled::Config::new().path(folder.path()).segment_size(1024 * 1024).open().unwrap();
    let of_link = raw
        .scan_prefix([b'i', Index::Link as u8])
        .keys()
        .map(Result::unwrap)
        .find(|key| key.ends_with(ids[2].as_bytes()))
        .unwrap();
    raw.remove(&of_link).unwrap();
    let strange = [&[b'i', Index::Group as u8, b'g', 0], ids[0].as_bytes()].concat();
    raw.insert(strange, &[]).unwrap();
    let nobody = "11111111-2222-4333-8444-555555555555";
    raw.insert([&[b'i', Index::Due as u8, b'd', 0], nobody.as_bytes()].concat(), &[]).unwrap();
    drop(raw);
    let store = SledStore::open(folder.path(), SledOptions::default()).unwrap();
    let report = looked_at(&store);
    let told: Vec<_> =
        report.problems.iter().map(|problem| format!("{}: {}", problem.at, problem.what)).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[0], format!("{}: the index Link does not lead to it", ids[2]));
    assert!(told[1].contains("index Group") && told[1].contains("which is filed elsewhere"), "{told:#?}");
    assert!(told[2].contains("index Due") && told[2].contains("which is not there"), "{told:#?}");
}

#[test]
fn a_disk_that_fails_stops_writes_alone_until_it_works_again() {
    let folder = tempfile::tempdir().unwrap();
    // 0: works; 1: mounted read-only; 2: fails to sync.
    let disk = Arc::new(AtomicU8::new(0));
    let seen = Arc::clone(&disk);
    let faults = Faults::new(move |step| match (seen.load(Ordering::Relaxed), step) {
        (1, Step::Apply) => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        (2, Step::Sync) => Err(io::Error::other("the disk is gone")),
        _ => Ok(()),
    });
    let options = SledOptions { faults, ..SledOptions::default() };
    let store: Arc<dyn Store> = Arc::new(SledStore::open(folder.path(), options).unwrap());
    let service = start(&store);
    let asker = Asker::on(Arc::clone(&service));
    let (private, public) = asker.pair(&pair_request("job", 2048));
    asker.activate(&private);
    asker.activate(&public);
    let sha256 = oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256);
    let ciphertext = asker.encrypt(&public, sha256.clone(), b"x");
    disk.store(1, Ordering::Relaxed);
    let (_, said) = asker.ask(&pair_request("read-only", 2048)).unwrap_err();
    assert!(said.contains("the server's disk is read-only"), "{said}");
    assert_eq!(asker.decrypt(&private, sha256.clone(), &ciphertext).unwrap().expose(), b"x");
    disk.store(0, Ordering::Relaxed);
    service.tend();
    asker.pair(&pair_request("writable", 2048));

    disk.store(2, Ordering::Relaxed);
    asker.ask(&pair_request("nobody knows", 2048)).unwrap_err();
    let (_, said) = asker.ask(&pair_request("broken", 2048)).unwrap_err();
    assert!(said.contains("read-only since its disk failed"), "{said}");
    assert_eq!(asker.decrypt(&private, sha256.clone(), &ciphertext).unwrap().expose(), b"x");
    disk.store(0, Ordering::Relaxed);
    service.tend();
    asker.pair(&pair_request("healed", 2048));
    assert_eq!(asker.decrypt(&private, sha256, &ciphertext).unwrap().expose(), b"x");
    assert!(looked_at(&*store).sound);
}

#[test]
fn the_clock_is_not_moved_where_the_store_cannot_be_stamped() {
    use kms_server::clock::{Change, Clock};
    use kms_server::rotator::Rotator;
    let allow = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&allow);
    let faults = Faults::new(move |_| match *seen.lock().unwrap() {
        true => Ok(()),
        false => Err(io::Error::other("no")),
    });
    let folder = tempfile::tempdir().unwrap();
    drop(start(
        &(Arc::new(SledStore::open(folder.path(), SledOptions::default()).unwrap()) as Arc<dyn Store>),
    ));
    let options = SledOptions { faults, ..SledOptions::default() };
    let store: Arc<dyn Store> = Arc::new(SledStore::open(folder.path(), options).unwrap());
    let (_trigger, stop) = kms_server::shutdown::channel();
    let clock = Arc::new(Clock::frozen_at(DateTime(0)));
    let service = start(&store);
    let rotator = Rotator::new(Arc::clone(&service) as Arc<dyn Service>, Arc::clone(&clock), stop);
    let advance = Change::Advance("1d".into());
    let error = rotator.move_clock(&advance).unwrap_err();
    assert!(error.to_string().contains("the clock stays"), "{error}");
    assert_eq!((clock.now(), MovedClock::read(&*store).unwrap()), (DateTime(0), None));
    *allow.lock().unwrap() = true;
    service.tend();
    rotator.move_clock(&advance).unwrap();
    assert!(MovedClock::read(&*store).unwrap().is_some());
}

#[test]
fn a_store_of_before_there_were_notes_tells_its_key_by_its_records() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    rotated(&store);
    store.note(kms_server::kms::notes::STORE_KEY, None).unwrap();
    let wrong = Given::Key(Secret::from([8; 32].as_slice()));
    let config = Config { ready_pairs: Some(0), ..Config::default() };
    let Err(refused) = service::start(Arc::clone(&store), &wrong, &config, &workers()) else {
        panic!("a wrong key")
    };
    assert!(refused.to_string().contains("the store key is wrong"), "{refused}");
    assert!(store.notes().unwrap().is_empty(), "nothing was started");
    start(&store);
    assert_eq!(KeyNote::read(&*store).unwrap().unwrap().key, keyring().current().to_string());
}

#[test]
fn a_record_of_a_newer_format_is_refused() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ids = rotated(&store);
    let mut record = store.fetch(&ids[0]).unwrap().unwrap();
    // The first item of a record is its format: an Integer.
    assert_eq!(record.value[8..20], [0x54, 0, 2, 2, 0, 0, 0, 4, 0, 0, 0, 1]);
    record.value[19] = 3;
    let error = Object::from_record(&ids[0], &record).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("a newer program wrote it"), "{error}");
}

/// The store gets one key after the other while pairs are made and used.
#[test]
fn a_key_is_changed_under_load_and_nothing_stays_under_an_old_one() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let config = Config { ready_pairs: Some(0), ..Config::default() };
    let given = Given::Key(Secret::from(KEY.as_slice()));
    let kms = service::start(Arc::clone(&store), &given, &config, &workers()).unwrap();
    let asker = Asker::on(Arc::clone(&kms));
    let (private, public) = asker.pair(&pair_request("job", 2048));
    asker.activate(&private);
    asker.activate(&public);
    let sha256 = oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256);
    let ciphertext = asker.encrypt(&public, sha256.clone(), b"x");
    let done = std::sync::atomic::AtomicBool::new(false);
    let last = std::thread::scope(|scope| {
        for maker in 0..2 {
            let (asker, done) = (asker.clone(), &done);
            scope.spawn(move || {
                let mut made = 0;
                while !done.load(Ordering::Relaxed) || made < 3 {
                    asker.pair(&pair_request(&format!("{maker}-{made}"), 2048));
                    made += 1;
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let plaintext = asker.decrypt(&private, sha256.clone(), &ciphertext).unwrap();
                assert_eq!(plaintext.expose(), b"x");
                // Get unseals each time; Decrypt has the key in its cache.
                let get = kms_protocol::operation::GetRequest {
                    unique_identifier: Some(private.as_str().into()),
                    ..Default::default()
                };
                asker.ask(&get).unwrap();
            }
        });
        let mut last = [0; 32];
        for turn in 10..22 {
            last = [turn; 32];
            let key = StoreKey::from_bytes(Secret::from(last.as_slice())).unwrap();
            let note = KeyNote::of(key.id().to_string());
            kms.rekey(key, note).unwrap();
            while kms.rekey_progress().running {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        last
    });
    let alone = Keyring::new(StoreKey::from_bytes(Secret::from(last.as_slice())).unwrap());
    let report = check(&*store, Some(&alone)).unwrap();
    assert!(report.sound, "{:#?}", report.problems);
    assert_eq!(report.opened * 2, report.records);
    let note = KeyNote::read(&*store).unwrap().unwrap();
    assert_eq!((note.key, note.previous), (alone.current().to_string(), None));
}

/// age seals in pieces of 64 KiB, and a restore reads them all twice: a backup of less than one, of whole ones, and of more.
#[test]
fn a_backup_of_any_length_is_restored() {
    const PIECE: usize = 64 * 1024;
    let root = tempfile::tempdir().unwrap();
    let key = root.path().join("backup.key");
    backup::write_new_key(&key).unwrap();
    let seal = Seal::key(&key).unwrap();
    let stream = |bytes: usize| {
        let store = MemoryStore::new();
        let value: Vec<u8> = (0..=u8::MAX).cycle().take(bytes).collect();
        store
            .commit(Batch::new().put(Put { id: "~own/1".into(), replaces: None, value, terms: Vec::new() }))
            .unwrap();
        let mut stream = Vec::new();
        copy::write(&store, &mut stream).unwrap();
        (store.fetch("~own/1").unwrap().unwrap().value, stream)
    };
    let around = stream(1).1.len() - 1;
    for length in [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 1] {
        let (value, stream) = stream(length - around);
        assert_eq!(stream.len(), length);
        let file = root.path().join(format!("{length}.age"));
        backup::write(&file, &seal, |out| {
            out.write_all(&stream).unwrap();
            Ok(())
        })
        .unwrap();
        let folder = root.path().join(length.to_string());
        let restored = backup::restore(&file, &seal, &folder, None).unwrap();
        assert_eq!((restored.records, restored.check.sound), (1, true), "{length}");
        let store = SledStore::open(&folder, SledOptions::default()).unwrap();
        assert!(store.fetch("~own/1").unwrap().unwrap().value == value, "{length}");
    }
}

/// A store whose change of the key stands still holds keys sealed under both. Its backup becomes a store that opens with the
/// new key alone, and goes on.
#[test]
fn a_backup_made_in_the_middle_of_a_change_of_the_key_is_a_store_that_goes_on_with_it() {
    let faults = Faults::new(|_| match std::thread::current().name() {
        Some("store-rekey") => Err(io::Error::other("not yet")),
        _ => Ok(()),
    });
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_faults(faults));
    let config = Config { ready_pairs: Some(0), ..Config::default() };
    let given = |byte: u8| Given::Key(Secret::from([byte; 32].as_slice()));
    let kms = service::start(Arc::clone(&store), &given(7), &config, &workers()).unwrap();
    let asker = Asker::on(Arc::clone(&kms));
    asker.pair(&pair_request("sealed with the old key", 2048));
    let new = StoreKey::from_bytes(Secret::from([8; 32].as_slice())).unwrap();
    let note = KeyNote::of(new.id().to_string());
    kms.rekey(new, note).unwrap();
    asker.pair(&pair_request("sealed with the new key", 2048));

    let root = tempfile::tempdir().unwrap();
    let (file, folder) = (root.path().join("backup.age"), root.path().join("store"));
    let recipient = backup::write_new_key(&root.path().join("backup.key")).unwrap();
    backup::write(&file, &Seal::recipient(&recipient).unwrap(), |out| {
        copy::write(&*store, out).unwrap();
        Ok(())
    })
    .unwrap();
    let seal = Seal::key(&root.path().join("backup.key")).unwrap();
    let refused = backup::restore(&file, &seal, &folder, Some(&given(7))).unwrap_err();
    assert!(refused.what().contains("the store key is wrong"), "{refused}");
    let restored = backup::restore(&file, &seal, &folder, Some(&given(8))).unwrap();
    assert_eq!((restored.check.sound, restored.check.opened), (true, 2));

    let store: Arc<dyn Store> = Arc::new(SledStore::open(&folder, SledOptions::default()).unwrap());
    let refused = service::start(Arc::clone(&store), &given(7), &config, &workers()).map(drop).unwrap_err();
    assert!(refused.what().contains("the store key is wrong"), "{refused}");
    let kms = service::start(Arc::clone(&store), &given(8), &config, &workers()).unwrap();
    while kms.rekey_progress().running {
        std::thread::yield_now();
    }
    assert_eq!(kms.keyring().previous(), None);
    let alone = Keyring::new(StoreKey::from_bytes(Secret::from([8; 32].as_slice())).unwrap());
    let report = check(&*store, Some(&alone)).unwrap();
    assert_eq!((report.sound, report.opened), (true, 2), "{report:?}");
}
