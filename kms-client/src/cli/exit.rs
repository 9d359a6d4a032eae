//! How a command ends.

use std::io;
use std::process::ExitCode;

use crate::backup::BackupError;
use crate::drill::DrillError;

/// How a command ended; the number is the process' exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A KMS server could not be reached; nothing was done.
    Unreachable = 3,
    /// Some of it was done.
    Partly = 4,
    /// A backup file is damaged, or is none.
    Damaged = 5,
}

impl Exit {
    /// How a command ended whose parts ended so: as the first that failed, or partly where others did not.
    pub fn of_parts(parts: &[Self]) -> Self {
        match parts.iter().find(|part| **part != Self::Done) {
            None => Self::Done,
            Some(_) if parts.contains(&Self::Done) => Self::Partly,
            Some(failed) => *failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The backup side says so.
    #[error("{0}")]
    Backup(#[from] BackupError),
    /// A profile that cannot be used.
    #[error("{what}")]
    Config { what: String, hint: &'static str },
    /// A drill was not run to its end.
    #[error("{0}")]
    Drill(#[from] DrillError),
    /// Nobody takes the output.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl CommandError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Backup(error) => error.hint(),
            Self::Config { hint, .. } => Some((*hint).to_owned()),
            Self::Drill(error) => error.hint(),
            Self::Output(_) => None,
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Backup(error) if error.is_unreachable() => Exit::Unreachable,
            Self::Backup(error) if error.is_damage() => Exit::Damaged,
            _ => Exit::Failed,
        }
    }
}
