//! Personas: how other KMIP servers deviate from this one, played by a development server so that clients can be tried
//! against them without having them.
//!
//! `table` says what each persona does and where that is known from; `play` applies it to requests and answers, in
//! front of the real service. docs/personas.md is the same table for people.

mod play;
mod rewrite;
mod table;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::sync::Arc;

use kms_protocol::Version;
use kms_protocol::attribute::AttributeKind;
use kms_protocol::enums::{HashingAlgorithm, Operation};
use rustls::CipherSuite;

use crate::connection::{Idle, Then};
use crate::kms::policy::{AfterRotation, MayLeave, Policy};
use crate::period;
use crate::service::Service;

pub use table::ALL;

/// A server that is played: its row of the table, and after how long it gives up idle connections.
#[derive(Clone, Copy, Debug)]
pub struct Persona {
    row: &'static Row,
    idle: Option<Duration>,
}

/// What is known of a server.
#[derive(Debug)]
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// Which server it stands for.
    pub stands_for: &'static str,
    /// How it deviates.
    pub deviations: &'static [Deviation],
}

/// One way in which a server deviates from ours.
#[derive(Debug)]
pub struct Deviation {
    /// What it does.
    pub does: Does,
    /// The same in words.
    pub says: &'static str,
    /// Where that is known from.
    pub source: &'static str,
}

/// What a server does otherwise.
#[derive(Debug)]
pub enum Does {
    /// Speaks these versions alone.
    Speaks(&'static [Version]),
    /// Does these operations alone.
    Operates(&'static [Operation]),
    /// Does not do these operations.
    Lacks(&'static [Operation]),
    /// Says in Query that its maker is this.
    Calls(&'static str),
    /// Lists no object types in Query.
    ListsNoObjects,
    /// Keeps these attributes alone, and tells of no others.
    Keeps(&'static [AttributeKind]),
    /// Takes these attributes in Locate, and returns what matches whatever else is asked for.
    LocatesBy(&'static [AttributeKind]),
    /// Encrypts and decrypts with symmetric keys alone.
    OnlySymmetric,
    /// Cannot read a message that states a mask generator or its hash, and says so in KMIP 1.0.
    CannotReadMaskHash,
    /// Does OAEP with these pairs of hash and mask hash alone.
    Oaep(&'static [(HashingAlgorithm, HashingAlgorithm)]),
    /// Does not show a new object to the first request that reads it.
    ReadsLate,
    /// Treats the old pair so, once it is rotated.
    Retires(AfterRotation, MayLeave),
    /// Does this to idle connections.
    GivesUp(Idle),
    /// Speaks TLS with these cipher suites alone.
    Encrypts(&'static [CipherSuite]),
}

impl Persona {
    /// Puts the persona in front of the real service.
    #[must_use]
    pub fn play(self, service: Arc<dyn Service>) -> Arc<dyn Service> {
        Arc::new(play::Played::new(self, service))
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.row.name
    }

    /// Which server it stands for.
    #[must_use]
    pub fn stands_for(&self) -> &'static str {
        self.row.stands_for
    }

    /// The cipher suites that it speaks TLS with; all where it does not care.
    #[must_use]
    pub fn suites(&self) -> Option<&'static [CipherSuite]> {
        self.all().find_map(|does| if let Does::Encrypts(suites) = does { Some(*suites) } else { None })
    }

    /// Makes policies treat rotated pairs as the persona does, also pairs that no policy governs.
    pub fn bend(&self, policies: &mut Vec<Policy>) {
        for does in self.all() {
            let Does::Retires(after_rotation, private_keys_may_leave) = *does else { continue };
            if !policies.iter().any(governs_all) {
                policies.push(Policy { name: format!("{}-persona", self.row.name), ..Policy::default() });
            }
            for policy in policies.iter_mut() {
                policy.after_rotation = after_rotation;
                policy.private_keys_may_leave = private_keys_may_leave;
                policy.deactivate_after = period::Period::default();
            }
        }
    }

    /// What becomes of idle connections.
    fn idle(&self) -> Option<Idle> {
        let given_up =
            self.all().find_map(|does| if let Does::GivesUp(idle) = does { Some(*idle) } else { None });
        given_up.map(|idle| Idle { after: self.idle.unwrap_or(idle.after), ..idle })
    }

    fn speaks(&self, version: Version) -> bool {
        self.all()
            .all(|does| if let Does::Speaks(versions) = does { versions.contains(&version) } else { true })
    }

    fn operates(&self, operation: Operation) -> bool {
        self.all().all(|does| match does {
            Does::Operates(operations) => operations.contains(&operation),
            Does::Lacks(operations) => !operations.contains(&operation),
            _ => true,
        })
    }

    fn reads_late(&self) -> bool {
        self.all().any(|does| matches!(does, Does::ReadsLate))
    }

    fn all(&self) -> impl Iterator<Item = &'static Does> + use<> {
        self.row.deviations.iter().map(|deviation| &deviation.does)
    }
}

impl fmt::Display for Persona {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.row.name, self.row.stands_for)
    }
}

/// Why a persona cannot be played.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersonaError {
    /// Nobody knows it.
    #[error("there is no persona {0:?}; there are {all}", all = names())]
    Unknown(String),
    /// It leaves idle connections alone.
    #[error("the persona {0} does nothing to idle connections: leave the time out")]
    NotIdle(&'static str),
    /// Its idle time cannot be read.
    #[error("{0:?} is no idle time: {1}; write it like 30s or 3m")]
    NotATime(String, String),
}

fn names() -> String {
    ALL.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

impl FromStr for Persona {
    type Err = PersonaError;

    /// Reads `NAME`, or `NAME:TIME` where the persona gives up connections that are idle for so long.
    fn from_str(text: &str) -> Result<Self, PersonaError> {
        let (name, time) = text.split_once(':').map_or((text, None), |(name, time)| (name, Some(time)));
        let row = ALL.iter().find(|row| row.name == name);
        let row = row.ok_or_else(|| PersonaError::Unknown(name.to_owned()))?;
        let persona = Self { row, idle: None };
        let Some(time) = time else { return Ok(persona) };
        if persona.idle().is_none() {
            return Err(PersonaError::NotIdle(row.name));
        }
        let wrong = |why: String| PersonaError::NotATime(time.to_owned(), why);
        let seconds = u64::try_from(period::parse(time).map_err(wrong)?).unwrap_or(0);
        if seconds == 0 {
            return Err(wrong("it has to be a second at least".to_owned()));
        }
        Ok(Self { row, idle: Some(Duration::from_secs(seconds)) })
    }
}

fn governs_all(policy: &Policy) -> bool {
    let Policy { names, groups, owners, algorithms, .. } = Policy::default();
    (&policy.names, &policy.groups, &policy.owners, &policy.algorithms)
        == (&names, &groups, &owners, &algorithms)
}

/// What an idle connection's end is called in the table.
const fn idle(seconds: u64, then: Then) -> Does {
    Does::GivesUp(Idle { after: Duration::from_secs(seconds), then })
}
