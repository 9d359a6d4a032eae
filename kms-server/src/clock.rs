//! The server's clock: the only place that reads the system's.
//!
//! A production clock shows the system's time. A development clock can be moved ahead and stopped, and remembers that
//! in a file, so that a restarted server does not travel back to a time before its own keys.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use kms_protocol::DateTime;
use serde::{Deserialize, Serialize};

use crate::period;

/// What time it is, for keys and policies. TLS validity always uses the system's time.
#[derive(Debug)]
pub struct Clock {
    state: Mutex<State>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Real,
    Movable { file: Option<PathBuf> },
}

#[derive(Debug)]
struct State {
    setting: Setting,
    /// While due times are stepped through, the time of the step.
    step: Option<DateTime>,
    /// The latest time shown: a system clock set back stops ours until it has caught up.
    shown: DateTime,
}

/// How a movable clock differs from the system's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Setting {
    ahead_seconds: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen_at: Option<i64>,
}

/// A change of a movable clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Moves ahead by a duration such as `90d`, `12h`, `30s`.
    Advance(String),
    /// Moves ahead to a time such as `2027-01-01T00:00:00Z`.
    Set(String),
    /// Stops the clock.
    Freeze,
    /// Lets a stopped clock run again, from where it stands.
    Resume,
}

/// Why a clock was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// It is a production clock.
    #[error("this server runs on the real clock, which nobody can move")]
    Real,
    /// The time asked for is before the time shown.
    #[error("{asked} is before {now}, and a clock that keys have lived under cannot go back")]
    Backward {
        /// The time asked for.
        asked: String,
        /// The time shown.
        now: String,
    },
    /// A duration that is none.
    #[error("{text:?} is no duration: {cause}")]
    Duration {
        /// What was given.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A time that is none.
    #[error("{text:?} is no time: {cause}")]
    Time {
        /// What was given.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The clock's file holds no setting.
    #[error("{path} does not hold a clock's setting: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The store could not be marked as one that has lived under a moved clock.
    #[error("the clock stays: the store cannot be marked as one whose clock was moved: {cause}")]
    Stamp {
        /// Why.
        cause: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The clock's file could not be written.
    #[error(transparent)]
    Write(#[from] kms_certs::Error),
}

impl ClockError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Real => "start `kms-server dev` for a clock that can be moved",
            Self::Backward { .. } => "start with --ephemeral or another --state folder for an earlier time",
            Self::Duration { .. } => "write it like 90d, 12h or 30s",
            Self::Time { .. } => "write it like 2027-01-01T00:00:00Z",
            Self::File { .. } => "delete the file, and the clock shows the real time again",
            Self::Stamp { hint, .. } => hint,
            Self::Write(_) => "make the state folder writable and try again",
        }
    }
}

impl Clock {
    /// A clock that shows the system's time, never going back.
    #[must_use]
    pub fn real() -> Self {
        Self::new(Kind::Real, Setting::default())
    }

    /// A clock that can be moved and that forgets its setting when the server stops.
    #[must_use]
    pub fn movable() -> Self {
        Self::new(Kind::Movable { file: None }, Setting::default())
    }

    /// A movable clock that stands still at `time`: what tests start from.
    #[must_use]
    pub fn frozen_at(time: DateTime) -> Self {
        let setting = Setting { ahead_seconds: 0, frozen_at: Some(time.0) };
        Self::new(Kind::Movable { file: None }, setting)
    }

    /// A movable clock that keeps its setting in `file`, and starts with what is there.
    ///
    /// # Errors
    /// [`ClockError::File`] when the file is there and holds no setting.
    pub fn kept_in(file: &Path) -> Result<Self, ClockError> {
        let bad = |cause: String| ClockError::File { path: file.to_owned(), cause };
        let setting = match std::fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text).map_err(|cause| bad(cause.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Setting::default(),
            Err(error) => return Err(bad(error.to_string())),
        };
        Ok(Self::new(Kind::Movable { file: Some(file.to_owned()) }, setting))
    }

    fn new(kind: Kind, setting: Setting) -> Self {
        let state = State { setting, step: None, shown: DateTime(i64::MIN) };
        Self { state: Mutex::new(state), kind }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> DateTime {
        self.lock().now()
    }

    /// Whether the clock stands still.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.lock().setting.frozen_at.is_some()
    }

    /// Seconds by which the clock is ahead of the system's.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.lock().now().0.saturating_sub(system_now().0)
    }

    /// The time that `change` leads to, without changing anything.
    ///
    /// # Errors
    /// [`ClockError`] when the change is refused.
    pub fn target(&self, change: &Change) -> Result<DateTime, ClockError> {
        if matches!(self.kind, Kind::Real) {
            return Err(ClockError::Real);
        }
        let now = self.now();
        let asked = match change {
            Change::Advance(duration) => now.plus(parse_duration(duration)?),
            Change::Set(time) => parse_time(time)?,
            Change::Freeze | Change::Resume => now,
        };
        if asked < now {
            return Err(ClockError::Backward { asked: text(asked), now: text(now) });
        }
        // There is no way back, so a slip of the finger must not lead where no calendar goes.
        if Timestamp::from_second(asked.0).is_err() {
            return Err(ClockError::Time { text: text(asked), cause: "it is after the year 9999".into() });
        }
        Ok(asked)
    }

    /// Makes `change`. The new setting is on disk before it is in force.
    ///
    /// Until [`Clock::arrive`] the clock still stands at the time before, so that due times between can be stepped
    /// through with [`Clock::step`].
    ///
    /// # Errors
    /// [`ClockError`] when the change is refused or cannot be kept.
    pub fn depart(&self, change: &Change) -> Result<DateTime, ClockError> {
        let target = self.target(change)?;
        let mut state = self.lock();
        let now = state.now();
        let frozen = match change {
            Change::Freeze => true,
            Change::Resume => false,
            Change::Advance(_) | Change::Set(_) => state.setting.frozen_at.is_some(),
        };
        let setting = Setting {
            ahead_seconds: target.0.saturating_sub(system_now().0),
            frozen_at: frozen.then_some(target.0),
        };
        if let Kind::Movable { file: Some(file) } = &self.kind {
            let json = serde_json::to_vec(&setting).unwrap_or_default();
            kms_certs::replace_file(file, &json, kms_certs::Access::Public)?;
        }
        state.setting = setting;
        state.step = Some(now);
        Ok(target)
    }

    /// Shows `time` while a change is under way; an earlier time than shown is passed over.
    pub fn step(&self, time: DateTime) {
        let mut state = self.lock();
        if state.step.is_some() {
            state.step = Some(time);
        }
    }

    /// Ends a change: the clock now shows where it was moved to, and runs on unless frozen.
    pub fn arrive(&self) {
        self.lock().step = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now(&mut self) -> DateTime {
        let time = match (self.step, self.setting.frozen_at) {
            (Some(step), _) => step,
            (None, Some(frozen)) => DateTime(frozen),
            (None, None) => system_now().plus(self.setting.ahead_seconds),
        };
        self.shown = self.shown.max(time);
        self.shown
    }
}

/// The system's time, which TLS validity and new certificates go by.
#[must_use]
pub fn system_time() -> SystemTime {
    SystemTime::now()
}

/// The system's time in whole seconds.
#[must_use]
pub fn system_now() -> DateTime {
    let seconds = match system_time().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    };
    DateTime(seconds)
}

/// The system's time in milliseconds, for what people read later: records and events.
#[must_use]
pub fn timestamp() -> Timestamp {
    let since = system_time().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis())
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `time` as in `2027-01-01T00:00:00Z`.
#[must_use]
pub fn text(time: DateTime) -> String {
    match Timestamp::from_second(time.0) {
        Ok(timestamp) => timestamp.to_string(),
        Err(_) => format!("{} s", time.0),
    }
}

/// Reads a time such as `2027-01-01T00:00:00Z`.
///
/// # Errors
/// [`ClockError::Time`].
pub fn parse_time(text: &str) -> Result<DateTime, ClockError> {
    match text.parse::<Timestamp>() {
        Ok(timestamp) => Ok(DateTime(timestamp.as_second())),
        Err(cause) => Err(ClockError::Time { text: text.into(), cause: cause.to_string() }),
    }
}

/// Reads a duration such as `90d`, `1d 12h`, `30s`, in seconds.
///
/// # Errors
/// [`ClockError::Duration`], also for a negative one and for fractions of a second.
pub fn parse_duration(text: &str) -> Result<i64, ClockError> {
    period::parse(text).map_err(|cause| ClockError::Duration { text: text.into(), cause })
}
