//! Work that would hold up the threads which read and write.

use std::sync::Arc;

use crate::crypto;
use crate::kms::Work;

/// The work ended without a result; the defect behind it is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a request met a defect in this server")]
pub struct Panicked;

/// Threads for commits, and one for each core for private-key work.
#[derive(Clone)]
pub struct Workers {
    crypto: Arc<crypto::Workers>,
}

impl Workers {
    /// Private-key work goes to `crypto`, what blocks to the runtime's own threads.
    #[must_use]
    pub fn new(crypto: Arc<crypto::Workers>) -> Self {
        Self { crypto }
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
        match work {
            Work::Crypto => self.crypto.submit(job).await.map_err(|_| Panicked),
            Work::Inline | Work::Blocking => tokio::task::spawn_blocking(job).await.map_err(|_| Panicked),
        }
    }
}
