//! What the server says of itself.

use kms_protocol::enums::{ObjectType, Operation, ProfileName, QueryFunction};
use kms_protocol::operation::{DiscoverVersionsRequest, QueryRequest, QueryResponse};
use kms_protocol::{DateTime, Version};
use tokio::time::Instant;

use crate::client::Client;
use crate::error::Error;
use crate::limits;
use crate::message::greet;

use super::record::{Notes, Record};
use super::report::{Check, Lack};

/// Asks for versions and abilities; whether a version is agreed.
pub(super) async fn examine(record: &mut Record<'_>, client: &Client, now: DateTime) -> bool {
    let (started, notes) = (Instant::now(), record.notes());
    let clock = || now.plus(i64::try_from(started.elapsed().as_secs()).unwrap_or(0));
    let agreed = record.check(Check::DiscoverVersions, versions(client, clock, &notes)).await;
    if let Some(version) = agreed {
        record.check(Check::Query, query(client, version, &notes)).await;
    } else {
        record.skip([Check::Query], "no protocol version is agreed");
    }
    agreed.is_some()
}

async fn versions(client: &Client, clock: impl Fn() -> DateTime, notes: &Notes) -> Result<Version, Error> {
    let agreed = client.version().await?;
    match client.discover_versions(&DiscoverVersionsRequest::default()).await {
        Ok(answer) => {
            let mut all = answer.versions;
            all.truncate(limits::CANDIDATES);
            let shown: Vec<_> = all.iter().map(ToString::to_string).collect();
            notes.saw(format!("it speaks {}; {agreed} is used", shown.join(", ")));
            if !all.contains(&Version::V1_4) {
                notes.lacks(
                    "KMIP 1.4",
                    "Veeam speaks no other; before 1.4 OAEP's mask hash can only be SHA-1",
                );
            }
        }
        Err(error) => {
            notes.saw(format!("it does not list its versions ({error}); {agreed} is used"));
            notes.lack(Lack::of(Operation::DiscoverVersions));
        }
    }
    let off = time_stamp(client, agreed).await?.0.saturating_sub(clock().0);
    notes.saw(format!("its clock is {off} s ahead of this machine's"));
    if off.saturating_abs() > limits::OVERLAP {
        notes.lacks(
            "a clock that agrees with this machine's",
            "dates of keys mean another time here than there",
        );
    }
    Ok(agreed)
}

/// What the server's clock says, as the header of an answer tells it.
async fn time_stamp(client: &Client, version: Version) -> Result<DateTime, Error> {
    greet(&mut client.inner.endpoints.connect_first().await?, version).await
}

/// Operations that backups need.
const NEEDED: [Operation; 9] = [
    Operation::CreateKeyPair,
    Operation::Activate,
    Operation::Get,
    Operation::GetAttributes,
    Operation::Locate,
    Operation::Decrypt,
    Operation::RekeyKeyPair,
    Operation::Revoke,
    Operation::Destroy,
];

async fn query(client: &Client, version: Version, notes: &Notes) -> Result<(), Error> {
    let mut functions = vec![
        QueryFunction::QueryOperations,
        QueryFunction::QueryObjects,
        QueryFunction::QueryServerInformation,
    ];
    let answer = client.query(&QueryRequest::from(functions.clone())).await?;
    if let Some(vendor) = &answer.vendor_identification {
        notes.saw(format!("made by {}", vendor.chars().take(limits::MESSAGE_SHOWN).collect::<String>()));
    }
    notes.saw(format!("operations: {}", listed(&answer.operations)));
    for operation in NEEDED.into_iter().filter(|operation| !answer.operations.contains(operation)) {
        notes.lack(Lack::of(operation));
    }
    notes.saw(format!("objects: {}", listed(&answer.object_types)));
    let pair = [ObjectType::PublicKey, ObjectType::PrivateKey];
    if !pair.iter().all(|half| answer.object_types.contains(half)) {
        notes.lacks("Public Key and Private Key in Query's objects", "Veeam wants them listed");
    }
    if version >= Version::V1_3 {
        functions = vec![QueryFunction::QueryProfiles];
        match client.query(&QueryRequest::from(functions)).await {
            Ok(answer) => profiles(&answer, notes),
            Err(error) => notes.saw(format!("it does not tell its profiles: {error}")),
        }
    }
    Ok(())
}

fn profiles(answer: &QueryResponse, notes: &Notes) {
    let names: Vec<ProfileName> = answer.profiles.iter().map(|profile| profile.name).collect();
    notes.saw(format!("profiles: {}", listed(&names)));
}

fn listed<T: ToString>(all: &[T]) -> String {
    let shown: Vec<_> = all.iter().take(limits::CANDIDATES).map(ToString::to_string).collect();
    if shown.is_empty() { "none are listed".to_owned() } else { shown.join(", ") }
}
