//! What can be made to go wrong, and the words for it: the same on the command line, in the admin API and in seeds.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use kms_protocol::enums::{Enumeration, ResultReason};
use serde::{Deserialize, Serialize};

use super::malform::Malformation;
use crate::limits;
use crate::store::Step;

/// Something that goes wrong on purpose.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// `delay:200ms`, `delay:200ms~50ms`: the request waits so long, give or take the jitter, before it is worked.
    Delay {
        /// How long.
        by: Duration,
        /// How much longer at most.
        jitter: Duration,
    },
    /// `error:Item Not Found`, `error:Item Not Found:words`: the item is refused and not worked.
    Error {
        /// The Result Reason.
        reason: ResultReason,
        /// The Result Message, if it shall be another than the usual one.
        message: Option<String>,
    },
    /// `hang:after-reading`: no answer comes, and the connection stays open.
    Hang(Moment),
    /// `close:after-commit`: the connection ends without goodbye.
    Close(Moment),
    /// `reset:after-reading`: the connection is cut with a TCP reset.
    Reset(Moment),
    /// `cut:17`: the connection ends after so many bytes of the answer.
    Cut(usize),
    /// `slices:7`, `slices:7/20ms`: the answer comes in pieces of so many bytes, with a pause between two.
    Slices {
        /// Bytes in a piece.
        bytes: usize,
        /// Between two pieces.
        pause: Duration,
    },
    /// `malformed:not-utf8`: the answer breaks one rule of the encoding.
    Malformed(Malformation),
    /// `batch-count:5`: the answer states another Batch Count than it has items.
    BatchCount(i32),
    /// `tls`: the handshake fails when the client has shown its certificate.
    Tls,
    /// `refuse`: a new connection is cut as soon as it is there; one of a client as soon as it is known whose it is.
    Refuse,
    /// `idle:5s`: a connection over which nothing is asked for so long ends without a word.
    Idle(Duration),
    /// `store:full`, `store:apply`, `store:sync`, `store:acknowledge`: a commit fails as a disk would make it.
    Store(Step),
}

/// When an exchange ends before it should.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Moment {
    /// The first bytes of a request are there, and nobody looks at them.
    BeforeReading,
    /// The request was read and is not worked.
    AfterReading,
    /// The request was worked, what it changed is durable, and the client is not told.
    AfterCommit,
}

/// Where on its way an exchange meets a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// A connection that nobody knows anything of.
    Connect,
    /// A handshake whose client has shown who it is.
    Handshake,
    /// A connection over which nothing is asked.
    Rest,
    /// The first bytes of a request.
    FirstByte,
    /// A request that was read.
    Request,
    /// A commit.
    Store,
}

/// Why a text says no fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no fault: {why}")]
pub struct NoFault {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// How a fault is written, for help and hints.
pub const FORMS: &str = "delay:200ms, delay:200ms~50ms, error:REASON, error:REASON:MESSAGE, \
    hang:MOMENT, close:MOMENT, reset:MOMENT (before-reading, after-reading, after-commit), cut:BYTES, slices:BYTES, \
    slices:BYTES/20ms, malformed:KIND, batch-count:N, tls, refuse, idle:5s, store:STEP (full, apply, sync, acknowledge)";

impl Moment {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::BeforeReading, "before-reading"),
        (Self::AfterReading, "after-reading"),
        (Self::AfterCommit, "after-commit"),
    ];
}

const STEPS: [(Step, &str); 4] =
    [(Step::Room, "full"), (Step::Apply, "apply"), (Step::Sync, "sync"), (Step::Acknowledge, "acknowledge")];

impl Fault {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Refuse => Stage::Connect,
            Self::Tls => Stage::Handshake,
            Self::Idle(_) => Stage::Rest,
            Self::Hang(Moment::BeforeReading)
            | Self::Close(Moment::BeforeReading)
            | Self::Reset(Moment::BeforeReading) => Stage::FirstByte,
            Self::Store(_) => Stage::Store,
            _ => Stage::Request,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay { by, jitter } if jitter.is_zero() => write!(f, "delay:{}", span(*by)),
            Self::Delay { by, jitter } => write!(f, "delay:{}~{}", span(*by), span(*jitter)),
            Self::Error { reason, message: None } => write!(f, "error:{reason}"),
            Self::Error { reason, message: Some(message) } => write!(f, "error:{reason}:{message}"),
            Self::Hang(moment) => write!(f, "hang:{}", called(&Moment::NAMES, moment)),
            Self::Close(moment) => write!(f, "close:{}", called(&Moment::NAMES, moment)),
            Self::Reset(moment) => write!(f, "reset:{}", called(&Moment::NAMES, moment)),
            Self::Cut(bytes) => write!(f, "cut:{bytes}"),
            Self::Slices { bytes, pause } if pause.is_zero() => write!(f, "slices:{bytes}"),
            Self::Slices { bytes, pause } => write!(f, "slices:{bytes}/{}", span(*pause)),
            Self::Malformed(kind) => write!(f, "malformed:{}", called(&Malformation::NAMES, kind)),
            Self::BatchCount(count) => write!(f, "batch-count:{count}"),
            Self::Tls => f.write_str("tls"),
            Self::Refuse => f.write_str("refuse"),
            Self::Idle(after) => write!(f, "idle:{}", span(*after)),
            Self::Store(step) => write!(f, "store:{}", called(&STEPS, step)),
        }
    }
}

impl FromStr for Fault {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        parse(text).map_err(|why| NoFault { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "delay" => {
            let (by, jitter) = rest.split_once('~').unwrap_or((rest, "0ms"));
            Ok(Fault::Delay { by: time(by)?, jitter: time(jitter)? })
        }
        "error" => {
            let (reason, message) =
                rest.split_once(':').map_or((rest, None), |(reason, message)| (reason, Some(message)));
            let reason = enumerated(reason).ok_or_else(|| format!("there is no Result Reason {reason:?}"))?;
            Ok(Fault::Error { reason, message: message.map(str::to_owned) })
        }
        "hang" => Ok(Fault::Hang(moment(rest)?)),
        "close" => Ok(Fault::Close(moment(rest)?)),
        "reset" => Ok(Fault::Reset(moment(rest)?)),
        "cut" => Ok(Fault::Cut(number(rest)?)),
        "slices" => {
            let (bytes, pause) = rest.split_once('/').unwrap_or((rest, "0ms"));
            match number(bytes)? {
                0 => Err("a slice has one byte at least".to_owned()),
                bytes => Ok(Fault::Slices { bytes, pause: time(pause)? }),
            }
        }
        "malformed" => Ok(Fault::Malformed(one_of(&Malformation::NAMES, rest)?)),
        "batch-count" => Ok(Fault::BatchCount(number(rest)?)),
        "tls" if rest.is_empty() => Ok(Fault::Tls),
        "refuse" if rest.is_empty() => Ok(Fault::Refuse),
        "idle" => Ok(Fault::Idle(time(rest)?)),
        "store" => Ok(Fault::Store(one_of(&STEPS, rest)?)),
        _ => Err(format!("write one of {FORMS}")),
    }
}

impl TryFrom<String> for Fault {
    type Error = NoFault;

    fn try_from(text: String) -> Result<Self, NoFault> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

/// The value that the specification gives this name, however it is spelt: `Item Not Found`, `item-not-found`, `ItemNotFound`.
#[must_use]
pub fn enumerated<E: Enumeration>(name: &str) -> Option<E> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    E::ALL.iter().find(|value| value.name().is_some_and(|known| plain(known) == plain(name))).copied()
}

fn moment(name: &str) -> Result<Moment, String> {
    if name.is_empty() { Ok(Moment::AfterReading) } else { one_of(&Moment::NAMES, name) }
}

fn one_of<T: Copy>(names: &[(T, &'static str)], name: &str) -> Result<T, String> {
    let found = names.iter().find(|(_, known)| *known == name).map(|(value, _)| *value);
    found.ok_or_else(|| {
        let all: Vec<_> = names.iter().map(|(_, known)| *known).collect();
        format!("{name:?} is none of {}", all.join(", "))
    })
}

fn called<T: PartialEq>(names: &[(T, &'static str)], value: &T) -> &'static str {
    names.iter().find(|(known, _)| known == value).map_or("", |(_, name)| name)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number that fits"))
}

/// Reads `200ms`, `5s` or `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write it like 200ms, 5s or 2m");
    let at = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(at);
    let count: u32 = count.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return Err(wrong()),
    };
    let time = unit.checked_mul(count).filter(|time| *time <= limits::FAULT_TIME);
    time.ok_or_else(|| format!("{text} is more than {}", span(limits::FAULT_TIME)))
}

fn span(time: Duration) -> String {
    match time.as_millis() {
        ms if ms > 0 && ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms > 0 && ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Malformation, Moment};

    #[test]
    fn every_fault_is_read_as_it_is_written() {
        let mut texts: Vec<String> = [
            "delay:200ms",
            "delay:2s~50ms",
            "error:Item Not Found",
            "error:General Failure:out of paper",
            "cut:17",
            "slices:7",
            "slices:7/20ms",
            "batch-count:-5",
            "tls",
            "refuse",
            "idle:5m",
            "store:full",
            "store:apply",
            "store:sync",
            "store:acknowledge",
        ]
        .map(str::to_owned)
        .into();
        for (_, moment) in Moment::NAMES {
            texts.extend(["hang", "close", "reset"].map(|kind| format!("{kind}:{moment}")));
        }
        texts.extend(Malformation::NAMES.iter().map(|(_, name)| format!("malformed:{name}")));
        for text in texts {
            assert_eq!(text.parse::<Fault>().expect("a fault").to_string(), text);
        }
        assert_eq!("error:item-not-found".parse::<Fault>(), "error:ItemNotFound".parse());
        assert_eq!("hang".parse(), Ok(Fault::Hang(Moment::AfterReading)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("explode", "write one of delay:200ms"),
            ("delay:5", "write it like 200ms"),
            ("delay:99999m", "more than 60m"),
            ("error:Nothing", "no Result Reason"),
            ("close:sometime", "none of before-reading"),
            ("slices:0", "one byte at least"),
            ("malformed:somehow", "none of"),
            ("cut:-1", "no number"),
        ] {
            let error = text.parse::<Fault>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
