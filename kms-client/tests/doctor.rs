//! The doctor against servers that fail at one step or another: what it says, and that it leaves nothing behind.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use kms_client::doctor::{Check, Outcome, Report, examine_protocol};
use kms_client::{KeySpec, limits};
use kms_protocol::attribute::{Attribute, AttributeKind};
use kms_protocol::enums::{Operation, ResultReason, State};
use kms_protocol::operation::{
    DestroyRequest, DestroyResponse, RekeyKeyPairResponse, RevokeRequest, RevokeResponse,
};
use kms_protocol::{DateTime, UniqueIdentifier, Version};
use scripted::model::Model;
use scripted::{Ask, InMemory, Journal, Reply, answer, in_1_4, read_message, speaking, yes};
use tokio::io::AsyncWriteExt as _;

/// A KMS that refuses some operations, and what it was asked.
#[derive(Clone, Default)]
struct Kms {
    model: Model,
    journal: Journal,
    destroyed: Arc<Mutex<BTreeSet<String>>>,
    refuses: Vec<(Operation, ResultReason)>,
    rekeys: bool,
}

fn text(id: Option<UniqueIdentifier>) -> String {
    id.and_then(|id| id.as_text().map(str::to_owned)).expect("an identifier")
}

impl Kms {
    fn refusing(operation: Operation, reason: ResultReason) -> Self {
        Self { refuses: vec![(operation, reason)], ..Self::default() }
    }

    fn reply(&self, ask: &Ask<'_>) -> Reply {
        self.journal.note(ask);
        if let Some((_, reason)) = self.refuses.iter().find(|(refused, _)| *refused == ask.operation()) {
            return Reply::No(*reason);
        }
        match ask.operation() {
            Operation::Revoke => {
                let id = text(ask.read::<RevokeRequest>().unique_identifier);
                yes(ask, &RevokeResponse { unique_identifier: id })
            }
            Operation::Destroy => {
                let id = text(ask.read::<DestroyRequest>().unique_identifier);
                self.model.lock().objects.remove(&id);
                self.destroyed.lock().expect("not poisoned").insert(id.clone());
                yes(ask, &DestroyResponse { unique_identifier: id })
            }
            Operation::RekeyKeyPair if self.rekeys => self.rekey(ask),
            _ => self.model.reply(ask),
        }
    }

    /// A new pair that cannot be activated.
    fn rekey(&self, ask: &Ask<'_>) -> Reply {
        let mut inner = self.model.lock();
        for half in ["private", "public"] {
            let mut object = inner.objects[&format!("{half}-1")].clone();
            object.attributes.retain(|attribute| attribute.kind() != AttributeKind::State);
            object.attributes.push(Attribute::State(State::Deactivated));
            inner.objects.insert(format!("{half}-new"), object);
        }
        yes(
            ask,
            &RekeyKeyPairResponse {
                private_key_unique_identifier: "private-new".to_owned(),
                public_key_unique_identifier: "public-new".to_owned(),
                private_key: Vec::new().into(),
                public_key: Vec::new().into(),
            },
        )
    }

    async fn examined(&self, read_only: bool) -> Report {
        let own = self.clone();
        let client = InMemory::replying(in_1_4(move |ask| own.reply(ask))).client();
        examine_protocol(&client, read_only, KeySpec::Rsa2048, DateTime(1_700_000_000), &|_| {}).await
    }
}

fn lacks(report: &Report) -> Vec<&str> {
    report.lacks.iter().map(|lack| lack.what.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_nothing_is_left() {
    for refused in [
        Operation::Activate,
        Operation::Get,
        Operation::Locate,
        Operation::GetAttributes,
        Operation::Decrypt,
        Operation::RekeyKeyPair,
        Operation::Revoke,
        Operation::Query,
    ] {
        for reason in [ResultReason::OperationNotSupported, ResultReason::GeneralFailure] {
            let kms = Kms::refusing(refused, reason);
            let report = kms.examined(false).await;
            let made = kms.model.lock().pairs_made;
            assert!(made >= 1, "{refused}: a pair was made");
            assert!(kms.model.lock().objects.is_empty(), "{refused}: all is destroyed");
            assert_eq!(kms.destroyed.lock().expect("not poisoned").len(), 2 * made, "{refused}");
            let entry = report
                .entries
                .iter()
                .find(|entry| entry.lacks.iter().any(|lack| lack.what.starts_with(&refused.to_string())));
            let entry = entry.unwrap_or_else(|| panic!("{refused} is named in {report:#?}"));
            let expected = match reason {
                ResultReason::OperationNotSupported => Outcome::Lacking,
                _ => Outcome::Failed,
            };
            assert!(
                report.entries.iter().any(|entry| entry.outcome == expected),
                "{refused} {reason}: {entry}"
            );
            assert_eq!(report.entries.len(), 18, "every check has its entry");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_destroyed_is_named() {
    let kms = Kms::refusing(Operation::Destroy, ResultReason::PermissionDenied);
    let report = kms.examined(false).await;
    assert_eq!(report.outcome(Check::Destroy), Outcome::Failed);
    let left = report.entry(Check::CleanUp).expect("looked at");
    assert_eq!(left.outcome, Outcome::Lacking);
    for id in kms.model.lock().objects.keys() {
        assert!(left.saw.iter().any(|line| line.contains(id)), "{id} in {left}");
    }
    assert!(
        kms.journal.count(Operation::Destroy) >= 4,
        "the second pair is tried although the first refuses"
    );
}

#[tokio::test(start_paused = true)]
async fn without_key_pairs_the_rest_is_skipped() {
    let kms = Kms::refusing(Operation::CreateKeyPair, ResultReason::OperationNotSupported);
    let report = kms.examined(false).await;
    assert_eq!(report.outcome(Check::CreateKeyPair), Outcome::Lacking);
    for check in [Check::Activate, Check::Decrypt, Check::RekeyKeyPair, Check::Destroy] {
        assert_eq!(report.outcome(check), Outcome::Skipped, "{check:?}");
    }
    assert_eq!(report.verdict.first().map(String::as_str), Some("new backups: no"));
}

#[tokio::test(start_paused = true)]
async fn read_only_changes_nothing() {
    let kms = Kms::default();
    let report = kms.examined(true).await;
    assert_eq!(report.outcome(Check::Locate), Outcome::Passed);
    for operation in [Operation::CreateKeyPair, Operation::Activate, Operation::Revoke, Operation::Destroy] {
        assert_eq!(kms.journal.count(operation), 0, "{operation}");
    }
    assert_eq!(report.outcome(Check::CreateKeyPair), Outcome::Skipped);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_filters_and_has_no_links_is_found_out() {
    let kms = Kms::default();
    kms.model.lock().quirks.locate_ignores_filters = true;
    kms.model.lock().quirks.no_links = true;
    let report = kms.examined(false).await;
    let lacks = lacks(&report);
    for what in ["Locate's filters", "Links between the halves of a pair", "Decrypt with RSA-OAEP"] {
        assert!(lacks.contains(&what), "{what} in {lacks:?}");
    }
    assert!(report.verdict.iter().any(|line| line.starts_with("restores: only by fetching")), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_too_old_is_found_out() {
    let kms = Kms::default();
    let own = kms.clone();
    let server = InMemory::replying(speaking(&[Version::V1_0, Version::V1_1], move |ask| own.reply(ask)));
    let client = server.client();
    let report = examine_protocol(&client, false, KeySpec::Rsa2048, DateTime(1_700_000_000), &|_| {}).await;
    assert!(lacks(&report).contains(&"KMIP 1.4"), "{report}");
    let versions = report.entry(Check::DiscoverVersions).expect("asked");
    assert!(versions.saw.iter().any(|line| line.contains("1.1 is used")), "{versions}");
    assert!(kms.model.lock().objects.is_empty(), "all is destroyed");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_found_out() {
    let kms = Kms::default();
    let client = InMemory::replying(in_1_4(move |ask| kms.reply(ask))).client();
    let report = examine_protocol(&client, true, KeySpec::Rsa2048, DateTime(1_600_000_000), &|_| {}).await;
    assert!(lacks(&report).contains(&"a clock that agrees with this machine's"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_new_pair_that_fails_half_way_is_destroyed_too() {
    let kms = Kms { rekeys: true, ..Kms::default() };
    let report = kms.examined(false).await;
    assert_eq!(report.outcome(Check::RekeyKeyPair), Outcome::Failed);
    assert!(kms.destroyed.lock().expect("not poisoned").contains("private-new"));
    assert!(kms.model.lock().objects.is_empty(), "all is destroyed");
}

#[tokio::test(start_paused = true)]
async fn a_pair_whose_creation_was_not_answered_is_destroyed_too() {
    let kms = Kms::default();
    let own = kms.clone();
    let server = InMemory::new(move |_, mut stream| {
        let own = own.clone();
        async move {
            while let Some(request) = read_message(&mut stream).await {
                let creates =
                    kms_protocol::message::operations(&request).next() == Some(Operation::CreateKeyPair);
                // A lagging replica knows of the pair only once the client has given up looking for it.
                let bytes = answer(&request, &in_1_4(|ask| own.reply(ask)));
                if creates {
                    own.model.lock().quirks.locate_lags = limits::LOOKUPS as usize;
                    return;
                }
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    });
    let client = server.client();
    let report = examine_protocol(&client, false, KeySpec::Rsa2048, DateTime(1_700_000_000), &|_| {}).await;
    assert_eq!(report.outcome(Check::CreateKeyPair), Outcome::Failed);
    assert_eq!(kms.model.lock().pairs_made, 1, "it is made");
    assert!(kms.model.lock().objects.is_empty(), "and destroyed: {report:#?}");
}
