//! Work that would hold up the threads which read and write.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::kms::Work;

/// The work ended without a result; the defect behind it is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a request met a defect in this server")]
pub struct Panicked;

/// Threads for commits, and as many turns for private-key work as there are cores.
#[derive(Debug)]
pub struct Workers {
    crypto: Arc<Semaphore>,
}

impl Workers {
    /// Workers for a machine with `cores` cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Self { crypto: Arc::new(Semaphore::new(cores.max(1))) }
    }

    /// Runs `job` where `work` belongs and waits for its result.
    ///
    /// More private-key work than cores would only take turns on them, and take them from the reads.
    ///
    /// # Errors
    /// [`Panicked`] when the job did.
    pub async fn run<T, F>(&self, work: Work, job: F) -> Result<T, Panicked>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turn = match work {
            Work::Crypto => Some(Arc::clone(&self.crypto).acquire_owned().await.map_err(|_| Panicked)?),
            Work::Inline | Work::Blocking => None,
        };
        let job = tokio::task::spawn_blocking(move || {
            let result = job();
            drop(turn);
            result
        });
        job.await.map_err(|_| Panicked)
    }
}
