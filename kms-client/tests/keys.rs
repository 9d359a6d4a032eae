//! A key pair is asked for once, activated, and found again after a lost answer.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use kms_client::{Client, Error, KeySpec, limits};
use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, CryptographicUsageMask, Link, Name};
use kms_protocol::enums::{KeyFormatType, LinkType, Operation, ResultReason, State};
use scripted::keys::pair;
use scripted::model::Model;
use scripted::{Ask, InMemory, Journal, Reply, answer, in_1_4, read_message};
use tokio::io::AsyncWriteExt as _;

struct Kms {
    client: Client,
    model: Model,
    journal: Journal,
    /// Whether the next answer to this operation is lost, after the work is done or instead of it.
    lose: Arc<AtomicBool>,
}

fn kms(lost: Operation, done: bool) -> Kms {
    let (model, journal, lose) = (Model::default(), Journal::default(), Arc::new(AtomicBool::new(false)));
    let (served, noted, losing) = (model.clone(), journal.clone(), Arc::clone(&lose));
    let server = InMemory::new(move |_, mut stream| {
        let (model, journal, losing) = (served.clone(), noted.clone(), Arc::clone(&losing));
        async move {
            while let Some(request) = read_message(&mut stream).await {
                let operation = kms_protocol::message::operations(&request).next();
                let loses = operation == Some(lost) && losing.swap(false, Ordering::SeqCst);
                if loses && !done {
                    return;
                }
                let bytes = answer(
                    &request,
                    &in_1_4(|ask: &Ask<'_>| {
                        journal.note(ask);
                        model.reply(ask)
                    }),
                );
                if loses || stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    });
    Kms { client: server.client(), model, journal, lose }
}

fn plain() -> Kms {
    kms(Operation::Query, true)
}

#[tokio::test]
async fn a_pair_is_made_activated_and_its_public_half_returned() {
    let kms = plain();
    let key = kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("a pair");
    assert_eq!((key.private_id.as_str(), key.public_id.as_str()), ("private-1", "public-1"));
    assert_eq!(key.public_key_spki, pair(2048).public);
    assert_eq!((key.bits, key.version), (2048, Version::V1_4));
    let inner = kms.model.lock();
    for (id, name, mask) in [
        ("private-1", "nightly-private", CryptographicUsageMask::DECRYPT),
        ("public-1", "nightly-public", CryptographicUsageMask::ENCRYPT),
    ] {
        let object = &inner.objects[id];
        assert_eq!(object.state(), Some(State::Active), "{id}");
        for attribute in [
            Attribute::Name(Name::text(name)),
            Attribute::ObjectGroup("nightly".into()),
            Attribute::CryptographicUsageMask(mask),
        ] {
            assert!(object.attributes.contains(&attribute), "{id}: {attribute:?}");
        }
    }
}

#[tokio::test]
async fn any_format_of_a_public_key_will_do() {
    for format in [KeyFormatType::X509, KeyFormatType::Pkcs1, KeyFormatType::TransparentRsaPublicKey] {
        let kms = plain();
        kms.model.lock().quirks.only_format = Some(format);
        let key = kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("a pair");
        assert_eq!(key.public_key_spki, pair(2048).public, "{format}");
    }
    let kms = plain();
    kms.model.lock().quirks.only_format = Some(KeyFormatType::Raw);
    let error = kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect_err("no format in common");
    assert_eq!(error.reason(), Some(ResultReason::KeyFormatTypeNotSupported));
}

#[tokio::test]
async fn a_server_that_activates_at_once_is_taken_as_it_is() {
    let kms = plain();
    kms.model.lock().quirks.activates_at_once = true;
    kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("Activate is refused, but not needed");
}

#[tokio::test]
async fn a_pair_that_cannot_be_activated_is_not_returned() {
    let model = Model::default();
    let served = model.clone();
    let server = InMemory::replying(in_1_4(move |ask| match ask.operation() {
        Operation::Activate => Reply::No(ResultReason::PermissionDenied),
        _ => served.reply(ask),
    }));
    let error = server.client().request_key("nightly", KeySpec::Rsa2048).await.expect_err("Pre-Active");
    assert_eq!(error.reason(), Some(ResultReason::PermissionDenied));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_after_the_work_is_found_by_name() {
    for lags in [0, 3] {
        let kms = kms(Operation::CreateKeyPair, true);
        kms.lose.store(true, Ordering::SeqCst);
        kms.model.lock().quirks.locate_lags = lags;
        let key = kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("found");
        assert_eq!(key.public_id, "public-1");
        assert_eq!(kms.model.lock().pairs_made, 1);
        assert_eq!(kms.journal.count(Operation::CreateKeyPair), 1);
        assert_eq!(kms.model.lock().objects["private-1"].state(), Some(State::Active));
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_is_waited_for_within_a_bound() {
    for (lags, visible) in [(limits::LOOKUPS - 1, true), (limits::LOOKUPS, false)] {
        let model = Model::default();
        let served = model.clone();
        let asked = AtomicU32::new(0);
        let server = InMemory::replying(in_1_4(move |ask| match ask.operation() {
            Operation::Activate if asked.fetch_add(1, Ordering::SeqCst) < lags => {
                Reply::No(ResultReason::ItemNotFound)
            }
            _ => served.reply(ask),
        }));
        let key = server.client().request_key("nightly", KeySpec::Rsa2048).await;
        assert_eq!(key.is_ok(), visible, "{key:?}");
        assert_eq!(model.lock().pairs_made, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_without_the_work_is_reported_and_not_repeated() {
    let kms = kms(Operation::CreateKeyPair, false);
    kms.lose.store(true, Ordering::SeqCst);
    let error = kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect_err("unknown");
    assert!(matches!(error, Error::OutcomeUnknown { operation: Operation::CreateKeyPair, .. }), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!((kms.model.lock().pairs_made, kms.journal.count(Operation::CreateKeyPair)), (0, 0));
    assert_eq!(kms.client.find_key("nightly", KeySpec::Rsa2048).await.expect("asked"), None);
}

#[tokio::test]
async fn a_lost_answer_to_activate_is_settled_by_the_state() {
    for done in [true, false] {
        let kms = kms(Operation::Activate, done);
        kms.lose.store(true, Ordering::SeqCst);
        kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("a pair");
        let inner = kms.model.lock();
        assert!(inner.objects.values().all(|object| object.state() == Some(State::Active)), "{done}");
    }
}

#[tokio::test]
async fn an_earlier_pair_is_found_and_finished() {
    let kms = plain();
    kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("a pair");
    // As if the client had stopped right after Create Key Pair.
    for object in kms.model.lock().objects.values_mut() {
        object.attributes.retain(|attribute| !matches!(attribute, Attribute::State(_)));
        object.attributes.push(Attribute::State(State::PreActive));
    }
    let found = kms.client.find_key("nightly", KeySpec::Rsa2048).await.expect("asked").expect("found");
    assert_eq!(found.public_id, "public-1");
    assert!(kms.model.lock().objects.values().all(|object| object.state() == Some(State::Active)));
    // A pair of another length is not the one that was asked for.
    assert_eq!(kms.client.find_key("nightly", KeySpec::Rsa4096).await.expect("asked"), None);
    assert_eq!(kms.client.find_key("weekly", KeySpec::Rsa2048).await.expect("asked"), None);
}

#[tokio::test]
async fn without_links_the_private_half_is_found_by_its_name_and_over_matching_does_not_confuse() {
    let kms = plain();
    kms.client.request_key("weekly", KeySpec::Rsa2048).await.expect("a pair");
    kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("a pair");
    kms.model.lock().quirks.no_links = true;
    kms.model.lock().quirks.locate_ignores_filters = true;
    let found = kms.client.find_key("nightly", KeySpec::Rsa2048).await.expect("asked").expect("found");
    assert_eq!((found.private_id.as_str(), found.public_id.as_str()), ("private-2", "public-2"));
}

#[tokio::test]
async fn two_pairs_of_one_name_are_ambiguous() {
    let kms = plain();
    kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("a pair");
    kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect("this server allows it");
    let error = kms.client.find_key("nightly", KeySpec::Rsa2048).await.expect_err("two");
    assert!(matches!(&error, Error::Ambiguous { candidates, .. } if candidates.len() == 2), "{error:?}");
}

#[tokio::test]
async fn a_pair_of_another_length_than_asked_is_not_taken() {
    let model = Model::default();
    let served = model.clone();
    let server = InMemory::replying(in_1_4(move |ask| {
        let reply = served.reply(ask);
        if ask.operation() == Operation::CreateKeyPair {
            for object in served.lock().objects.values_mut() {
                object.der.clone_from(&pair(2048).public);
            }
        }
        reply
    }));
    let error = server.client().request_key("nightly", KeySpec::Rsa3072).await.expect_err("too short");
    assert!(matches!(&error, Error::Key { why, .. } if why.contains("3072")), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_after_the_creation_leaves_no_error_that_asks_for_another() {
    let (model, away) = (Model::default(), Arc::new(AtomicBool::new(false)));
    let (served, gone) = (model.clone(), Arc::clone(&away));
    let server = InMemory::new(move |_, mut stream| {
        let (model, gone) = (served.clone(), Arc::clone(&gone));
        async move {
            while let Some(request) = read_message(&mut stream).await {
                let operation = kms_protocol::message::operations(&request).next();
                if operation == Some(Operation::Get) && gone.load(Ordering::SeqCst) {
                    return;
                }
                let bytes = answer(&request, &in_1_4(|ask: &Ask<'_>| model.reply(ask)));
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    });
    let client = server.client();
    away.store(true, Ordering::SeqCst);
    let error =
        client.request_key("nightly", KeySpec::Rsa2048).await.expect_err("the public half is missing");
    assert!(!error.is_retryable(), "{error:?}");
    assert!(matches!(error, Error::OutcomeUnknown { operation: Operation::CreateKeyPair, .. }), "{error:?}");
    away.store(false, Ordering::SeqCst);
    let found = client.find_key("nightly", KeySpec::Rsa2048).await.expect("asked").expect("found");
    assert_eq!((found.public_id.as_str(), model.lock().pairs_made), ("public-1", 1));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_is_refused_leaves_the_outcome_unknown() {
    let kms = kms(Operation::CreateKeyPair, true);
    kms.lose.store(true, Ordering::SeqCst);
    kms.model.lock().quirks.no_locate = true;
    let error = kms.client.request_key("nightly", KeySpec::Rsa2048).await.expect_err("not found");
    assert!(matches!(error, Error::OutcomeUnknown { operation: Operation::CreateKeyPair, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_whose_answer_was_lost_is_found_where_replicas_lag() {
    let kms = kms(Operation::RekeyKeyPair, false);
    kms.lose.store(true, Ordering::SeqCst);
    let link = |kind, to: &str| Attribute::Link(Link::to(kind, to));
    let replaced = vec![link(LinkType::ReplacementObjectLink, "new")];
    kms.model.public("old", 2048, replaced);
    let (model, client) = (kms.model.clone(), kms.client.clone());
    let looking = tokio::spawn(async move { client.rotate_key("old", KeySpec::Rsa2048).await });
    // The link is there before what it leads to.
    tokio::time::sleep(limits::LOOKUP_FIRST * 2).await;
    model.public("new", 2048, vec![link(LinkType::PublicKeyLink, "new-public")]);
    model.public("new-public", 2048, Vec::new());
    let key = looking.await.expect("no panic").expect("found");
    assert_eq!((key.private_id.as_str(), key.public_id.as_str()), ("new", "new-public"));
}
