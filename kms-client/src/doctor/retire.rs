//! The end of a key pair, and of everything else that the examination made.

use kms_protocol::attribute::RevocationReason;
use kms_protocol::enums::{Operation, RevocationReasonCode, State};
use kms_protocol::operation::{DestroyRequest, RevokeRequest};

use crate::client::Client;
use crate::error::Error;

use super::pair::{Ids, Way, open_one, shown, view};
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
    let ids: Vec<&str> = made.iter().flat_map(|pair| [pair.private.as_str(), pair.public.as_str()]).collect();
    if ids.is_empty() {
        record.skip(
            Check::after(Check::DecryptWithOld).filter(|check| *check < Check::CleanUp),
            "nothing was made",
        );
    } else {
        let revoked = record.check(Check::Revoke, async |notes| revoke(client, &ids, notes).await).await;
        match (revoked, &way) {
            (Some(()), Some(way)) => {
                let look = async |notes: &mut Notes| open_one(client, way, notes).await;
                record.check(Check::DecryptWithDeactivated, look).await;
            }
            (None, _) => record.skip([Check::DecryptWithDeactivated], "no key is Deactivated"),
            (_, None) => record.skip([Check::DecryptWithDeactivated], "nothing could be decrypted before"),
        }
        record.check(Check::Destroy, async |notes| destroy(client, &ids, notes).await).await;
    }
    record.check(Check::CleanUp, async |notes| left(client, name, &ids, notes).await).await;
}

async fn revoke(client: &Client, ids: &[&str], notes: &mut Notes) -> Result<(), Error> {
    each(ids, async |id| {
        let reason = RevocationReason { code: RevocationReasonCode::CessationOfOperation, message: None };
        let request = RevokeRequest {
            unique_identifier: Some(id.into()),
            revocation_reason: reason,
            compromise_occurrence_date: None,
        };
        client.revoke(&request).await.map(drop)
    })
    .await?;
    if let Some(first) = ids.first() {
        let state = view(client, first).await?.state;
        notes.saw(format!("{} objects revoked; the first is {}", ids.len(), shown(state)));
        if state == Some(State::Active) {
            notes.lack(Lack::of(Operation::Revoke));
        }
    }
    Ok(())
}

async fn destroy(client: &Client, ids: &[&str], notes: &mut Notes) -> Result<(), Error> {
    each(ids, async |id| {
        client.destroy(&DestroyRequest { unique_identifier: Some(id.into()) }).await.map(drop)
    })
    .await?;
    notes.saw(format!("{} objects destroyed", ids.len()));
    Ok(())
}

/// Does it to every object, also where one refuses; the first refusal.
async fn each(ids: &[&str], work: impl AsyncFn(&str) -> Result<(), Error>) -> Result<(), Error> {
    let mut first = Ok(());
    for id in ids {
        let done = work(id).await;
        if first.is_ok() {
            first = done;
        }
    }
    first
}

/// Looks for what was made, and for a pair whose creation was answered by nothing.
async fn left(client: &Client, name: &str, ids: &[&str], notes: &mut Notes) -> Result<(), Error> {
    let mut left = Vec::new();
    let mut kept = 0;
    for id in ids {
        match view(client, id).await {
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
