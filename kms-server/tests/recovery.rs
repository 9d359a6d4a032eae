//! A store that failed takes writes again when the disk does; one that is opened with another's key is refused.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{CryptographicAlgorithm, ResultStatus};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::CreateKeyPairRequest;
use kms_protocol::{DateTime, Secret, Version};
use kms_server::audit::{self, Trail};
use kms_server::config::Config;
use kms_server::crypto::{KeyPool, Keyring, StoreKey, Workers};
use kms_server::kms::{Caller, Kms, Parts};
use kms_server::service::{self, Keep, Service as _};
use kms_server::store::{Faults, SledOptions, SledStore, Step, Store};

fn question() -> Secret {
    let request = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(256),
        ]
        .into(),
        ..CreateKeyPairRequest::default()
    };
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(&request, None);
    builder.finish()
}

fn status(answer: &Secret) -> ResultStatus {
    ResponseMessage::read(answer.expose()).expect("a response").items[0].result_status
}

fn caller() -> Caller {
    Caller::named("a")
}

fn create(kms: &Kms) -> ResultStatus {
    status(&kms.handle(question().expose(), &caller(), DateTime(1_800_000_000)))
}

#[test]
fn a_store_is_not_opened_with_another_key_than_it_was_made_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let workers = Arc::new(Workers::one_per_core().expect("workers"));
    let open = |byte: u8| {
        let keep = Keep::Folder(folder.path().to_owned());
        service::open(&keep, &Secret::new(vec![byte; 32]), &Config::default(), &workers)
    };
    let made = open(2).map_err(|failure| failure.to_string()).expect("a new store");
    let refuses_another = || {
        let refused = open(1).map(drop).expect_err("another key");
        assert!(refused.what().contains("the store key is wrong: the store is sealed with key"), "{refused}");
        assert!(refused.to_string().contains("that this store was made with"), "{refused}");
    };
    drop(made);
    refuses_another();
    let made = open(2).map_err(|failure| failure.to_string()).expect("the right key");
    let answer = made.handle(question().expose(), &caller(), DateTime(1_800_000_000));
    assert_eq!(status(&answer), ResultStatus::Success);
    drop(made);
    refuses_another();
    assert!(open(2).is_ok(), "the right key");
}

#[test]
fn a_failed_disk_stops_writes_until_it_works_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let is_broken = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&is_broken);
    let faults = Faults::new(move |step| {
        let fails = step == Step::Sync && broken.load(Ordering::Relaxed);
        if fails { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    });
    let store = SledStore::open(folder.path(), SledOptions { faults, ..SledOptions::default() });
    let store: Arc<dyn Store> = Arc::new(store.expect("a store"));
    let kms = Kms::new(Parts {
        trail: Arc::new(Trail::open(&audit::Options::default(), &store).expect("a trail")),
        store,
        keyring: Keyring::new(StoreKey::from_bytes(Secret::new(vec![7; 32])).expect("a key")),
        pool: Arc::new(KeyPool::new(0).expect("a pool")),
        workers: Arc::new(Workers::one_per_core().expect("workers")),
    });
    assert_eq!(create(&kms), ResultStatus::Success);
    is_broken.store(true, Ordering::Relaxed);
    assert_eq!(create(&kms), ResultStatus::OperationFailed);
    is_broken.store(false, Ordering::Relaxed);
    assert_eq!(create(&kms), ResultStatus::OperationFailed, "nobody has looked at the disk yet");
    kms.tend();
    assert_eq!(create(&kms), ResultStatus::Success);
}
