//! Threads for private-key work, one for each core: more would only take turns, and none of it may hold up the
//! threads that serve connections.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread::{Builder, JoinHandle, available_parallelism};

use tokio::sync::oneshot;

use super::limits::{WAITING_JOBS, WORKERS};
use super::{CryptoError, lock};

thread_local! {
    /// Whether this thread is a worker: it must not wait for a job that may need this very thread.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

type Job = Box<dyn FnOnce() + Send>;

/// Why a job has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The job panicked. Others are not affected.
    #[error("the job panicked; this is a bug in kms-server")]
    Panicked,
    /// Too many jobs wait already.
    #[error(
        "{WAITING_JOBS} jobs wait for a crypto worker already\nhint: try again later, or use fewer connections"
    )]
    Busy,
    /// The workers were stopped first.
    #[error("the server is stopping")]
    Stopped,
}

/// A fixed number of threads that take jobs from one bounded queue.
///
/// Dropping them finishes the jobs in hand, answers those still waiting with [`JobError::Stopped`], and joins.
pub struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    stopping: bool,
}

impl Workers {
    /// Starts `count` threads: at least 1, at most [`WORKERS`](super::limits::WORKERS).
    ///
    /// # Errors
    /// [`CryptoError::Library`] if a thread cannot be started.
    pub fn new(count: usize) -> Result<Self, CryptoError> {
        let mut workers = Self { queue: Arc::default(), threads: Vec::new() };
        for number in 0..count.clamp(1, WORKERS) {
            let queue = Arc::clone(&workers.queue);
            let thread = Builder::new()
                .name(format!("crypto-{number}"))
                .spawn(move || queue.work())
                .map_err(|_| CryptoError::Library("a crypto worker's thread could not be started"))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Starts one thread for each core.
    ///
    /// # Errors
    /// As [`Workers::new`].
    pub fn one_per_core() -> Result<Self, CryptoError> {
        Self::new(available_parallelism().map_or(1, usize::from))
    }

    /// How many threads there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Runs a job on a worker; the result is awaited. Dropping what this returns does not take the job back.
    pub fn submit<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Pending<R> {
        let (sender, receiver) = oneshot::channel();
        let pushed = self.queue.push(Box::new(move || {
            // Nobody waits for it any more: that is theirs to decide.
            let _ = sender.send(guarded(job));
        }));
        match pushed {
            Ok(()) => Pending(Waiting::For(receiver)),
            Err(error) => Pending(Waiting::Refused(error)),
        }
    }

    /// Runs a job on a worker and blocks until it is done. On a worker it runs at once, on that one.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, JobError> {
        if IS_WORKER.get() {
            return guarded(job);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        self.queue.push(Box::new(move || {
            let _ = sender.send(guarded(job));
        }))?;
        receiver.recv().unwrap_or(Err(JobError::Stopped))
    }

    /// Applies `f` to every item, in parallel, and returns the results in the items' order. Blocks until all are
    /// done; the calling thread takes part, so that a worker may call it too and a full queue only makes it slower.
    pub fn map<T, R, F>(&self, items: Vec<T>, f: F) -> Vec<Result<R, JobError>>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: Fn(T) -> R + Send + Sync + 'static,
    {
        let count = items.len();
        let batch = Arc::new(Batch {
            items: Mutex::new(items.into_iter().enumerate()),
            f,
            done: Mutex::new(Done { results: (0..count).map(|_| None).collect(), missing: count }),
            complete: Condvar::new(),
        });
        for _ in 0..self.count().min(count.saturating_sub(1)) {
            let helper = Arc::clone(&batch);
            if self.queue.push(Box::new(move || helper.work())).is_err() {
                break;
            }
        }
        batch.work();
        batch.wait()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.stopping = true;
        let unstarted = std::mem::take(&mut state.jobs);
        drop(state);
        drop(unstarted);
        self.queue.filled.notify_all();
        let this = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // A job may hold the last reference to the workers: a thread cannot wait for itself.
            if thread.thread().id() != this && thread.join().is_err() {
                tracing::error!("a crypto worker had panicked outside any job");
            }
        }
    }
}

impl core::fmt::Debug for Workers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Workers({} threads, {} jobs waiting)", self.count(), lock(&self.queue.state).jobs.len())
    }
}

impl Queue {
    fn push(&self, job: Job) -> Result<(), JobError> {
        let mut state = lock(&self.state);
        if state.stopping {
            return Err(JobError::Stopped);
        }
        if state.jobs.len() >= WAITING_JOBS {
            return Err(JobError::Busy);
        }
        state.jobs.push_back(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    fn work(&self) {
        IS_WORKER.set(true);
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The result of a submitted job, once it is there.
#[derive(Debug)]
#[must_use = "the job runs, but nobody learns its result"]
pub struct Pending<R>(Waiting<R>);

#[derive(Debug)]
enum Waiting<R> {
    For(oneshot::Receiver<Result<R, JobError>>),
    Refused(JobError),
}

impl<R> Future for Pending<R> {
    type Output = Result<R, JobError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Waiting::For(receiver) => {
                Pin::new(receiver).poll(context).map(|answer| answer.unwrap_or(Err(JobError::Stopped)))
            }
            Waiting::Refused(error) => Poll::Ready(Err(*error)),
        }
    }
}

/// The items of one `map`, worked off by whoever has time.
struct Batch<T, R, F> {
    items: Mutex<std::iter::Enumerate<std::vec::IntoIter<T>>>,
    f: F,
    done: Mutex<Done<R>>,
    complete: Condvar,
}

struct Done<R> {
    results: Vec<Option<Result<R, JobError>>>,
    missing: usize,
}

impl<T, R, F: Fn(T) -> R> Batch<T, R, F> {
    fn work(&self) {
        loop {
            let Some((index, item)) = lock(&self.items).next() else { return };
            let result = guarded(|| (self.f)(item));
            let mut done = lock(&self.done);
            if let Some(place) = done.results.get_mut(index) {
                *place = Some(result);
            }
            done.missing -= 1;
            if done.missing == 0 {
                self.complete.notify_all();
            }
        }
    }

    fn wait(&self) -> Vec<Result<R, JobError>> {
        let mut done = lock(&self.done);
        while done.missing > 0 {
            done = self.complete.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut done.results)
            .into_iter()
            .map(|one| one.unwrap_or(Err(JobError::Stopped)))
            .collect()
    }
}

/// Keeps a panic to the job that had it. What the job shares with others is guarded by [`lock`], whole at any time.
fn guarded<R>(job: impl FnOnce() -> R) -> Result<R, JobError> {
    catch_unwind(AssertUnwindSafe(job)).map_err(|_| JobError::Panicked)
}
