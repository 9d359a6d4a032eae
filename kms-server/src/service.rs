//! What the edge asks of the core, and how the core is put together.

use std::path::PathBuf;
use std::sync::Arc;

use kms_protocol::{DateTime, Secret};

use crate::audit::{Trail, TrailError};
use crate::config::{self, Config, PolicyBook};
use crate::connection::Idle;
use crate::crypto::{CryptoError, KeyPool, SealError, Workers};
use crate::failure::{Failure, Kind};
use crate::kms::notes::MovedClock;
use crate::kms::{Caller, Kms, Parts, Round, Work};
use crate::store::{MemoryStore, SledOptions, SledStore, Store, StoreError};
use crate::store_key::{self, Given};

/// What answers requests behind the edge: the core, or what a test puts in its place.
pub trait Service: Send + Sync + 'static {
    /// Where `request` is to be worked on; decided in well under a microsecond.
    fn work(&self, request: &[u8]) -> Work;

    /// Answers one whole Request Message with one whole Response Message.
    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret;

    /// When something (a rotation, an activation, a deactivation) falls due next.
    fn next_due(&self) -> Option<DateTime>;

    /// Does what is due at `now`, for as long as `go_on` says so, and says what that was.
    fn run_due(&self, now: DateTime, go_on: &dyn Fn() -> bool) -> Round;

    /// Files the next page of keys under policies that have changed; whether there may be more to do.
    fn adopt_some(&self) -> bool {
        false
    }

    /// Where what happens is recorded, and who tells of it; none where nothing is worth that.
    fn trail(&self) -> Option<&Arc<Trail>> {
        None
    }

    /// Looks after the store: called every few seconds.
    fn tend(&self) {}

    /// Says, durably, that the clock is about to be moved; `real_now` is the system's time.
    ///
    /// # Errors
    /// When that cannot be written: then the clock must not be moved.
    fn stamp_moved_clock(&self, _real_now: DateTime) -> Result<(), StoreError> {
        Ok(())
    }

    /// What becomes of connections over which nothing is asked.
    fn idle(&self) -> Idle {
        Idle::default()
    }

    /// The core, for those who look after its store; a test's stand-in has none.
    fn kms(self: Arc<Self>) -> Option<Arc<Kms>> {
        None
    }
}

impl Service for Kms {
    fn work(&self, request: &[u8]) -> Work {
        Kms::work(self, request)
    }

    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret {
        Kms::handle(self, request, caller, now)
    }

    fn next_due(&self) -> Option<DateTime> {
        Kms::next_due(self).unwrap_or_else(|error| {
            tracing::error!(%error, "the store cannot tell what falls due next");
            None
        })
    }

    fn run_due(&self, now: DateTime, go_on: &dyn Fn() -> bool) -> Round {
        Kms::run_due(self, now, go_on)
    }

    fn adopt_some(&self) -> bool {
        Kms::adopt_some(self).unwrap_or_else(|error| {
            tracing::error!(%error, "the store failed while keys were filed under changed policies; it is tried again");
            false
        })
    }

    fn tend(&self) {
        match self.store().writable() {
            Err(StoreError::ReadOnly { .. } | StoreError::Closed) => match self.store().recover() {
                Ok(()) => tracing::info!("the store takes writes again"),
                Err(error) => tracing::warn!(%error, hint = error.hint(), "the store still takes no writes"),
            },
            // It takes them again by itself once there is room.
            Err(error) => tracing::warn!(%error, hint = error.hint(), "the store takes no writes"),
            Ok(()) => {}
        }
    }

    fn stamp_moved_clock(&self, real_now: DateTime) -> Result<(), StoreError> {
        MovedClock::stamp(self.store(), real_now)
    }

    fn kms(self: Arc<Self>) -> Option<Arc<Kms>> {
        Some(self)
    }

    fn trail(&self) -> Option<&Arc<Trail>> {
        Some(Kms::trail(self))
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

/// Opens the core on its store, with `store_key` to unseal it and the policies of `config` and of its changes.
///
/// # Errors
/// [`Failure`] when the store cannot be opened, `store_key` is not its key, or the policies do not go together.
pub fn open(
    keep: &Keep,
    store_key: &Secret,
    config: &Config,
    workers: &Arc<Workers>,
) -> Result<Arc<Kms>, Failure> {
    let store: Arc<dyn Store> = match keep {
        Keep::Memory => Arc::new(MemoryStore::new()),
        Keep::Folder(folder) => Arc::new(SledStore::open(folder, SledOptions::default())?),
    };
    let given = Given::Key(Secret::from(store_key.expose()));
    start(store, &given, config, workers)
}

/// Opens the core on an open store, as [`open`] does.
///
/// # Errors
/// As [`open`]'s.
pub fn start(
    store: Arc<dyn Store>,
    given: &Given,
    config: &Config,
    workers: &Arc<Workers>,
) -> Result<Arc<Kms>, Failure> {
    let book = PolicyBook::open(config, config.policy_changes.as_deref())?;
    start_with(store, given, config, &book, workers)
}

/// Opens the core on an open store, with the policies of `book`.
///
/// # Errors
/// [`Failure`] when the store cannot be used, or `given` is not its key.
pub fn start_with(
    store: Arc<dyn Store>,
    given: &Given,
    config: &Config,
    book: &PolicyBook,
    workers: &Arc<Workers>,
) -> Result<Arc<Kms>, Failure> {
    let pool = Arc::new(KeyPool::new(config.ready_pairs.unwrap_or(config::READY_PAIRS))?);
    start_from(store, given, config, book, workers, pool)
}

/// Opens the core on an open store, with new pairs from `pool`.
///
/// # Errors
/// As [`start_with`]'s.
pub fn start_from(
    store: Arc<dyn Store>,
    given: &Given,
    config: &Config,
    book: &PolicyBook,
    workers: &Arc<Workers>,
    pool: Arc<KeyPool>,
) -> Result<Arc<Kms>, Failure> {
    let keyring = store_key::unlock(&*store, given)?;
    let kms = Kms::new(Parts {
        trail: Arc::new(Trail::open(&config.audit.options(), &store)?),
        store,
        keyring,
        pool,
        workers: Arc::clone(workers),
    });
    kms.adopt(book.policies())?;
    kms.resume_rekey();
    Ok(kms)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Kind::State, error.to_string()).hint(error.hint())
    }
}

impl From<TrailError> for Failure {
    fn from(error: TrailError) -> Self {
        Self::new(Kind::State, error.to_string()).hint(error.hint())
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        // It brings a hint along.
        Self::new(Kind::State, format!("the store's key cannot be used: {error}"))
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        Self::new(Kind::Other, error.to_string())
    }
}
