//! The end of a key pair, and of everything else that the examination made.

use kms_protocol::attribute::RevocationReason;
use kms_protocol::enums::{Operation, RevocationReasonCode, State};
use kms_protocol::operation::{DestroyRequest, RevokeRequest};

use crate::client::Client;
use crate::error::Error;

use super::pair::{Ids, Way, open_one, shown};
use super::record::{Notes, Record};
use super::report::{Check, Lack};

/// Revokes and destroys what was made, and says what is left.
pub(super) async fn examine(
    record: &mut Record<'_>,
    client: &Client,
    name: &str,
    made: &[Ids],
    way: Option<Way>,
) {
    let notes = record.notes();
    let ids: Vec<&str> = made.iter().flat_map(|pair| [pair.private.as_str(), pair.public.as_str()]).collect();
    if ids.is_empty() {
        record.skip(
            Check::after(Check::DecryptWithOld).filter(|check| *check < Check::CleanUp),
            "nothing was made",
        );
    } else {
        let revoked = record.check(Check::Revoke, revoke(client, &ids, &notes)).await;
        match (revoked, &way) {
            (Some(()), Some(way)) => {
                let look = open_one(client, way, &notes);
                record.check(Check::DecryptWithDeactivated, look).await;
            }
            (None, _) => record.skip([Check::DecryptWithDeactivated], "no key is Deactivated"),
            (_, None) => record.skip([Check::DecryptWithDeactivated], "nothing could be decrypted before"),
        }
        record.check(Check::Destroy, destroy(client, &ids, &notes)).await;
    }
    record.check(Check::CleanUp, left(client, name, &ids, &notes)).await;
}

/// Revokes every object, also where one is refused; the first refusal.
async fn revoke(client: &Client, ids: &[&str], notes: &Notes) -> Result<(), Error> {
    let mut first = Ok(());
    for id in ids {
        let reason = RevocationReason { code: RevocationReasonCode::CessationOfOperation, message: None };
        let request = RevokeRequest {
            unique_identifier: Some((*id).into()),
            revocation_reason: reason,
            compromise_occurrence_date: None,
        };
        first = first.and(client.revoke(&request).await.map(drop));
    }
    first?;
    if let Some(id) = ids.first() {
        let state = client.view(id).await?.state;
        notes.saw(format!("{} objects revoked; the first is {}", ids.len(), shown(state)));
        if state == Some(State::Active) {
            notes.lack(Lack::of(Operation::Revoke));
        }
    }
    Ok(())
}

/// Destroys every object, also where one is refused; the first refusal.
async fn destroy(client: &Client, ids: &[&str], notes: &Notes) -> Result<(), Error> {
    let mut first = Ok(());
    for id in ids {
        let request = DestroyRequest { unique_identifier: Some((*id).into()) };
        first = first.and(client.destroy(&request).await.map(drop));
    }
    first?;
    notes.saw(format!("{} objects destroyed", ids.len()));
    Ok(())
}

/// Looks for what was made, and for a pair whose creation was answered by nothing.
async fn left(client: &Client, name: &str, ids: &[&str], notes: &Notes) -> Result<(), Error> {
    let mut left = Vec::new();
    let mut kept = 0;
    for id in ids {
        match client.view(id).await {
            Ok(view) if matches!(view.state, Some(State::Destroyed | State::DestroyedCompromised)) => {
                kept += 1
            }
            Ok(view) => left.push(format!("{id} ({})", shown(view.state))),
            Err(error) if error.reason().is_some() => {}
            Err(error) => left.push(format!("{id} ({error})")),
        }
    }
    if ids.is_empty() {
        notes.saw(format!("nothing was made, as far as was answered; its name would be {name}"));
    } else if left.is_empty() {
        notes.saw(format!("no key is left; of {kept} objects the attributes stay"));
    } else {
        notes.saw(format!("left: {}", left.join(", ")));
        notes.lack(Check::CleanUp.lack());
    }
    Ok(())
}
