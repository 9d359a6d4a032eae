//! What a KMS can do for backups, tried out step by step: from resolving its name to destroying a key pair.
//!
//! [`examine`] returns data; `kms-client doctor` shows it. Every check says what it saw, how long that took, what is
//! missing and what that means for backups. What it makes it destroys again, also where a check fails.

mod capability;
mod certificate;
mod curves;
mod oaep;
mod pair;
mod reach;
mod record;
mod report;
mod retire;

use kms_protocol::DateTime;

use crate::client::Client;
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::profile::Profile;

use record::Record;
pub use report::{Check, Entry, Lack, Outcome, Report};

/// What to examine, and how far to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The server and the certificates; its standby servers are not looked at.
    pub profile: Profile,
    /// Whether to leave out everything that changes something at the KMS.
    pub read_only: bool,
    /// The kind of key pair that is made.
    pub pair: KeySpec,
}

impl Plan {
    /// Everything, with an RSA-2048 pair: the KMS makes those fast.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile, read_only: false, pair: KeySpec::Rsa2048 }
    }
}

/// Examines a KMS at the time `now`, and tells of each check as soon as it is done.
///
/// # Errors
/// When the certificates or the address cannot be used, so that nothing can be examined. Everything that is wrong with
/// the server is in the report.
pub async fn examine(plan: &Plan, now: DateTime, tell: &(dyn Fn(&Entry) + Sync)) -> Result<Report, Error> {
    let alone = Profile { standby: Vec::new(), ..plan.profile.clone() };
    let client = alone.builder().build()?;
    let mut record = Record::new(tell);
    if reach::examine(&mut record, &alone, now).await? {
        protocol(&mut record, &client, plan.read_only, plan.pair, now).await;
    } else {
        record.skip(Check::after(Check::ClientCertificate), "the KMS cannot be reached");
    }
    Ok(record.report(&alone.server))
}

/// The same from Discover Versions on, with a client that is there already, whatever it reaches its KMS over.
pub async fn examine_protocol(
    client: &Client,
    read_only: bool,
    pair: KeySpec,
    now: DateTime,
    tell: &(dyn Fn(&Entry) + Sync),
) -> Report {
    let mut record = Record::new(tell);
    protocol(&mut record, client, read_only, pair, now).await;
    record.report(client.inner.endpoints.first_address())
}

async fn protocol(record: &mut Record<'_>, client: &Client, read_only: bool, pair: KeySpec, now: DateTime) {
    if !capability::examine(record, client, now).await {
        record.skip(Check::after(Check::Query), "no protocol version is agreed");
    } else if read_only {
        pair::look_only(record, client).await;
    } else {
        pair::examine(record, client, pair).await;
    }
}
