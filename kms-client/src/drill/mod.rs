//! Drills: servers started as processes, broken by plan while clients work, and judged by what has to be true in the end.
//!
//! A drill file ([`Drill::parse`]) says which servers there are, what the load does, what happens when, and what is expected.
//! [`run`] does it and returns a [`Report`]. docs/drills.md tells what a file may say.
//!
//! The client's side alone is linked here: `kms-server` is a program that is started, and asked by HTTP.

mod admin;
mod assertions;
mod file;
mod job;
pub mod limits;
mod load;
mod plan;
mod process;
pub mod ready;
mod report;
mod site;
mod timeline;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kms_protocol::DateTime;
use tokio::runtime::Handle;
use tokio::time::Instant;

pub use assertions::Assertion;
pub use file::FileError;
pub use load::{Kind, Sample};
pub use plan::{Action, Cut, Deed, Drill, Expect, LoadSpec, ServerSpec, Step, When};
pub use report::{Event, Lane, Report, Stretch, Summary};
pub use site::Condition;

use load::Load;
use site::{Clients, Site};

/// Why a drill was not run to its end.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// The file is wrong.
    #[error("{0}")]
    File(#[from] FileError),
    /// A step could not be taken, or what a drill needs is not there.
    #[error("{what}")]
    Run {
        /// What went wrong.
        what: String,
        /// What to do about it; empty where nobody can tell.
        hint: String,
    },
    /// Somebody ended it.
    #[error("the drill was broken off: its servers and folders are gone")]
    BrokenOff,
    /// It took longer than it may.
    #[error("the drill takes longer than its limit of {0} s")]
    TooLong(u64),
}

impl DrillError {
    fn run(what: String, hint: impl Into<String>) -> Self {
        Self::Run { what, hint: hint.into() }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => Some(error.hint.clone()),
            Self::Run { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            Self::BrokenOff => None,
            Self::TooLong(_) => {
                Some("set `limit` in the drill file, or give the machine less to do".to_owned())
            }
        }
    }
}

/// When a drill has to end before its time: when somebody says so, or its limit is over.
#[derive(Clone, Debug)]
pub struct Stop {
    is_asked: Arc<AtomicBool>,
    deadline: Option<(Instant, u64)>,
}

impl Stop {
    /// It ends when `is_asked` becomes true.
    #[must_use]
    pub const fn when(is_asked: Arc<AtomicBool>) -> Self {
        Self { is_asked, deadline: None }
    }

    fn within(&self, drill: &Drill) -> Self {
        let deadline = Some((Instant::now() + drill.limit, drill.limit.as_secs()));
        Self { is_asked: Arc::clone(&self.is_asked), deadline }
    }

    /// Whether it goes on.
    fn check(&self) -> Result<(), DrillError> {
        if self.is_asked.load(Ordering::SeqCst) {
            return Err(DrillError::BrokenOff);
        }
        match self.deadline {
            Some((deadline, limit)) if Instant::now() > deadline => Err(DrillError::TooLong(limit)),
            _ => Ok(()),
        }
    }
}

/// What a drill runs in.
pub struct Setup<'a> {
    /// The server's program; a mere name is looked for on PATH.
    pub server_binary: PathBuf,
    /// The time.
    pub now: DateTime,
    /// Where connections are passed on. It has to have threads of its own.
    pub runtime: Handle,
    /// When to end before its time.
    pub stop: &'a Stop,
    /// Is told of each step as it is done.
    pub tell: &'a dyn Fn(&Event),
}

/// Runs a drill. Whatever becomes of it, its servers have ended and its folders are gone when this returns or panics. The
/// calling thread is the servers' parent.
///
/// # Errors
/// When it cannot be run to its end. That an expectation was not met is no error, but in the report.
pub fn run(drill: &Drill, setup: &Setup<'_>) -> Result<Report, DrillError> {
    let begun = Instant::now();
    let stop = setup.stop.within(drill);
    let setup = &Setup {
        server_binary: setup.server_binary.clone(),
        runtime: setup.runtime.clone(),
        stop: &stop,
        ..*setup
    };
    let folder = tempfile::Builder::new().prefix("kms-drill-").tempdir().map_err(|error| {
        DrillError::run(
            format!("cannot make a folder: {error}"),
            "point TMPDIR to a folder that this user can write",
        )
    })?;
    let mut site = Site::new(drill, setup, folder.path())?;
    site.start_first()?;
    let clients = Clients { profile: site.profile(), patience: drill.load.patience };
    let mut load = Load::prepare(&drill.load, clients, setup, folder.path())?;
    site.start_others(drill)?;
    let events = timeline::run(drill, &mut site, &mut load, setup)?;
    let took = site.elapsed();
    let assertions = assertions::judge(drill, &site, &load, &events)?;
    stop.check()?;
    let report = Report::new(
        drill,
        setup.now,
        (took, begun.elapsed()),
        events,
        assertions,
        load.samples(),
        &site.changes,
    );
    // Before the servers, so that no thread of it waits for one that is gone.
    drop(load);
    drop(site);
    folder
        .close()
        .map_err(|error| DrillError::run(format!("a folder of the drill stays: {error}"), "delete it"))?;
    Ok(report)
}
