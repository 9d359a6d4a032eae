//! The admin API's JSON, as server and `kms-server ctl` share it.

use core::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::kms::rekey::Progress;
use crate::{clock, kms};

/// `GET /v1/health`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ok`; `standby` while another server has the store; `stopping` with status 503.
    pub status: String,
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
}

impl fmt::Display for StoreStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, previous_key, rekey, read_only } = self;
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
        match read_only {
            Some(why) => write!(f, "; takes no writes: {why}"),
            None => Ok(()),
        }
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
    /// What was done.
    pub what: String,
}

impl From<kms::Fired> for Fired {
    fn from(fired: kms::Fired) -> Self {
        Self { at: clock::text(fired.at), what: fired.what }
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
