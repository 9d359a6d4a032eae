//! Work that would hold up the threads which read and write.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::kms::Work;
use crate::{crypto, limits};

/// The work ended without a result; the defect behind it is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a request met a defect in this server")]
pub struct Panicked;

/// Threads for commits and for key generation, and one for each core for private-key work.
#[derive(Clone)]
pub struct Workers {
    crypto: Arc<crypto::Workers>,
    blocking: Arc<Semaphore>,
    generating: Arc<Semaphore>,
}

impl Workers {
    /// Private-key work goes to `crypto`, what blocks to the runtime's own threads. Those are shared out, so that neither
    /// key generation nor a crowd takes them all: rotations and the admin API need some as well.
    #[must_use]
    pub fn new(crypto: Arc<crypto::Workers>) -> Self {
        Self {
            crypto,
            blocking: Arc::new(Semaphore::new(limits::BLOCKING)),
            generating: Arc::new(Semaphore::new(limits::GENERATING)),
        }
    }

    /// Runs `job` where `work` belongs and waits for its result.
    ///
    /// Private-key work has threads of its own: more than cores would only take turns on them and take them from the
    /// reads, and each thread costs the library 35 ms of gathering entropy.
    ///
    /// # Errors
    /// [`Panicked`] when the job did.
    pub async fn run<T, F>(&self, work: Work, job: F) -> Result<T, Panicked>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turns = match work {
            Work::Crypto => return self.crypto.submit(job).await.map_err(|_| Panicked),
            Work::Inline | Work::Blocking => &self.blocking,
            Work::Generating => &self.generating,
        };
        let turn = Arc::clone(turns).acquire_owned().await.map_err(|_| Panicked)?;
        let job = move || {
            let result = job();
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| Panicked)
    }
}
