//! The admin API's JSON, as server and `kms-server ctl` share it.

use core::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{clock, kms};

/// `GET /v1/health`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or `stopping` with status 503.
    pub status: String,
}

/// `GET /v1/status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub uptime_seconds: u64,
    /// The folder of its state; none when it keeps nothing.
    pub state: Option<PathBuf>,
    /// What time it has.
    pub clock: Clock,
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
