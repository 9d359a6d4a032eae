//! The admin API's JSON, as server and `kms-server ctl` share it.

use core::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::journal::Wanted;
use crate::kms::policy::Policy;
use crate::kms::rekey::Progress;
use crate::{clock, faults, kms};

/// `GET /v1/health`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ok`; `standby` while another server has the store; `stopping` with status 503.
    pub status: String,
    /// Why changes, or all requests, are refused although the server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// `GET /v1/status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whether it serves.
    pub role: Role,
    /// Since when it runs.
    pub uptime_seconds: u64,
    /// The folder of its state; none when it keeps nothing.
    pub state: Option<PathBuf>,
    /// What time it has.
    pub clock: Clock,
    /// How its store is; none for a standby.
    pub store: Option<StoreStatus>,
    /// How its audit log is; none for a standby, and where there is no log.
    #[serde(default)]
    pub audit: Option<AuditStatus>,
}

/// How an audit log is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditStatus {
    /// Where it ends, as `LINE:HASH`: what `audit verify --known` takes.
    pub end: String,
    /// Why it cannot be written, if it cannot; then changes are refused.
    pub trouble: Option<String>,
    /// Whether requests that change nothing are answered all the same.
    pub reads_go_on: bool,
}

impl fmt::Display for AuditStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ends {}", self.end)?;
        let what = if self.reads_go_on { "changes are" } else { "every request is" };
        self.trouble.as_ref().map_or(Ok(()), |why| write!(f, "; {what} refused, it cannot be written: {why}"))
    }
}

/// Whether a server serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It does.
    Active,
    /// It waits for another server's store.
    Standby,
}

/// `GET /v1/store`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoreStatus {
    /// The ID of the key that seals.
    pub key: String,
    /// The ID of the key before, while records may still be sealed with it.
    pub previous_key: Option<String>,
    /// How far sealing anew is.
    pub rekey: Progress,
    /// Why the store takes no writes, if it does not.
    pub read_only: Option<String>,
    /// Whether keys are still to be filed under policies that have changed.
    #[serde(default)]
    pub adopting: bool,
    /// How many damaged records were met since the start, and left out.
    #[serde(default)]
    pub damaged: usize,
    /// Why nothing may be changed in it, where that is because the audit log cannot be written.
    #[serde(default)]
    pub audit: Option<String>,
}

impl fmt::Display for StoreStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, previous_key, rekey, read_only, adopting, damaged, audit } = self;
        write!(f, "sealed with key {key}")?;
        if let Some(previous) = previous_key {
            write!(f, ", records of key {previous} are being sealed anew")?;
        }
        if rekey.looked_at > 0 {
            write!(f, ", {} records looked at and {} sealed anew", rekey.looked_at, rekey.resealed)?;
        }
        if let Some(failed) = &rekey.failed {
            write!(f, ", which stands still: {failed}")?;
        }
        if let Some(why) = read_only {
            write!(f, "; takes no writes: {why}")?;
        }
        if *adopting {
            f.write_str("; keys are being filed under changed policies")?;
        }
        if *damaged > 0 {
            write!(f, "; {damaged} damaged records met: `kms-server ctl store check` names them")?;
        }
        let Some(why) = audit else { return Ok(()) };
        write!(f, "; nothing is changed in it, the audit log cannot be written: {why}")
    }
}

/// `GET /v1/clock`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Clock {
    /// The time shown, as in `2027-01-01T00:00:00Z`.
    pub now: String,
    /// Whether it stands still.
    pub frozen: bool,
    /// How far it is ahead of the system's.
    pub ahead_seconds: i64,
}

impl Clock {
    /// What `clock` shows.
    #[must_use]
    pub fn of(clock: &clock::Clock) -> Self {
        Self { now: clock::text(clock.now()), frozen: clock.is_frozen(), ahead_seconds: clock.ahead() }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.now)?;
        match (self.frozen, self.ahead_seconds) {
            (true, _) => f.write_str(", standing still"),
            (false, 0) => f.write_str(", the real time"),
            (false, ahead) => write!(f, ", {ahead} s ahead of the real time"),
        }
    }
}

/// The answer to `POST /v1/clock`, whose body is a [`Change`](clock::Change).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// What the clock shows now.
    #[serde(flatten)]
    pub clock: Clock,
    /// What fell due on the way and was done, in order.
    pub fired: Vec<Fired>,
    /// How many more fired than are listed.
    pub omitted: usize,
    /// Whether more due times were on the way than are stepped through one by one; the rest was done at once at the end.
    pub is_cut_short: bool,
}

/// Something that fell due and was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fired {
    /// When it fell due.
    pub at: String,
    /// What was done, for people.
    pub what: String,
    /// What was done, for programs.
    #[serde(flatten)]
    pub event: kms::Event,
}

impl From<kms::Fired> for Fired {
    fn from(fired: kms::Fired) -> Self {
        Self { at: clock::text(fired.at), what: fired.event.to_string(), event: fired.event }
    }
}

/// The body of every answer that is no success.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// What failed and why.
    pub error: String,
    /// What to do about it.
    pub hint: String,
}

/// Keys in one page unless asked otherwise.
pub const PAGE: usize = 100;

/// `GET /v1/policies`, and the answer to a change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Policies {
    /// The policies in force; the first that matches a key governs it.
    pub policies: Vec<PlacedPolicy>,
}

/// A policy and where it is written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlacedPolicy {
    /// Where, as in `kms.toml, line 7`.
    pub place: String,
    /// The policy.
    #[serde(flatten)]
    pub policy: Policy,
}

/// The body of `POST /v1/policies`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum PolicyChange {
    /// Changes settings of a policy, or makes it.
    Set {
        /// Its name.
        name: String,
        /// What to change; `null` sets back to the default.
        settings: serde_json::Map<String, serde_json::Value>,
    },
    /// Takes a policy out of force.
    Remove {
        /// Its name.
        name: String,
    },
}

/// The query of `GET /v1/keys`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysAsked {
    /// Of this owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// With a Name that matches this pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Of this generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i32>,
    /// Behind this place: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /v1/keys`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Keys {
    /// The keys, by owner and then oldest first.
    pub keys: Vec<Key>,
    /// Where the next page begins, if there may be more; a page may be short and still have a next one.
    pub next: Option<String>,
}

/// The body of `POST /v1/keys/ID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyChange {
    /// Rotates its pair now, as its policy would.
    Rotate,
    /// Brings it back within its deletion window.
    Undelete,
}

/// A key, without its material.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Key {
    /// Its Unique Identifier.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// Its Object Type.
    pub object_type: String,
    /// What kind of key, as in `RSA-4096`.
    pub kind: String,
    /// Its State.
    pub state: String,
    /// Its Names, or those that it had until a successor took them over.
    pub names: Vec<String>,
    /// Its Object Groups.
    pub groups: Vec<String>,
    /// Rotations that lie behind it.
    pub generation: i32,
    /// The policy that governs it.
    pub policy: Option<String>,
    /// Its other half.
    pub other_half: Option<String>,
    /// The generation before.
    pub predecessor: Option<String>,
    /// The generation after.
    pub successor: Option<String>,
    /// When it was made.
    pub initial_date: Option<String>,
    /// When it became or becomes Active.
    pub activation_date: Option<String>,
    /// When it was or will be Deactivated.
    pub deactivation_date: Option<String>,
    /// When it rotates next.
    pub rotates_at: Option<String>,
    /// Until when it can be brought back.
    pub restorable_until: Option<String>,
}

impl From<kms::KeyView> for Key {
    fn from(key: kms::KeyView) -> Self {
        Self {
            id: key.id,
            owner: key.owner,
            object_type: key.object_type.to_string(),
            kind: key.kind,
            state: key.state.to_string(),
            names: key.names,
            groups: key.groups,
            generation: key.generation,
            policy: key.policy,
            other_half: key.other_half,
            predecessor: key.predecessor,
            successor: key.successor,
            initial_date: key.initial_date.map(clock::text),
            activation_date: key.activation_date.map(clock::text),
            deactivation_date: key.deactivation_date.map(clock::text),
            rotates_at: key.rotates_at.map(clock::text),
            restorable_until: key.restorable_until.map(clock::text),
        }
    }
}

/// `GET /v1/faults`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Faults {
    /// What is armed, in the order in which it was.
    pub faults: Vec<faults::Listed>,
}

/// The answer to `POST /v1/faults`, whose body is a [`Rule`](faults::Rule).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Armed {
    /// What it is called.
    pub id: u64,
}

/// The answer to `DELETE /v1/faults`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disarmed {
    /// How many were.
    pub disarmed: usize,
}

/// The query of `GET /v1/journal`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalAsked {
    /// Exchanges with a greater number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Seconds to wait for one where there is none yet; 30 at most.
    pub wait: u64,
    /// Of this principal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// That asked for this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// That named this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// In which something failed.
    pub failed: bool,
    /// In which a fault fired.
    pub faults: bool,
    /// With their messages, decoded.
    pub messages: bool,
    /// How many at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl From<&JournalAsked> for Wanted {
    fn from(asked: &JournalAsked) -> Self {
        let JournalAsked { after, client, operation, key, failed, faults, messages, limit, .. } =
            asked.clone();
        Self { after, client, operation, key, failed, faults, messages, limit }
    }
}
