//! Decrypts without pause, and what became of each.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kms_client::{Client, IssuedKey, WrappedKey};
use kms_protocol::enums::HashingAlgorithm;
use kms_tests::keys::wrap;
use tokio::runtime::Builder;

/// How many decrypts are asked for at once.
const WORKERS: usize = 8;

/// How long each worker waits between two: the machine is to be busy, not choked.
const PAUSE: Duration = Duration::from_millis(5);

const PLAINTEXT: &[u8] = b"a file key";

/// One decrypt.
#[derive(Clone, Debug)]
pub struct Sample {
    pub begun: Instant,
    pub took: Duration,
    pub failure: Option<String>,
}

/// What is asked again and again.
pub fn wrapped(keys: &[IssuedKey]) -> Vec<WrappedKey> {
    keys.iter().map(|key| wrap(key, HashingAlgorithm::Sha256, PLAINTEXT)).collect()
}

/// A load under way, in threads of its own.
pub struct Load {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    pub fn start(client: Client, wrapped: Vec<WrappedKey>) -> Self {
        let (stop, samples) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Sample>>>::default());
        let (stopped, taken) = (Arc::clone(&stop), Arc::clone(&samples));
        let thread = thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let mut workers = tokio::task::JoinSet::new();
                for worker in 0..WORKERS {
                    let (client, wrapped) = (client.clone(), wrapped.clone());
                    let (stopped, taken) = (Arc::clone(&stopped), Arc::clone(&taken));
                    workers.spawn(async move {
                        for turn in worker.. {
                            if stopped.load(Ordering::SeqCst) {
                                return;
                            }
                            let sample = decrypt(&client, &wrapped[turn % wrapped.len()]).await;
                            taken.lock().unwrap().push(sample);
                            tokio::time::sleep(PAUSE).await;
                        }
                    });
                }
                while let Some(done) = workers.join_next().await {
                    done.unwrap();
                }
            });
        });
        Self { stop, samples, thread }
    }

    /// Ends it; every decrypt that was asked for.
    pub fn finish(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        std::mem::take(&mut self.samples.lock().unwrap())
    }
}

async fn decrypt(client: &Client, wrapped: &WrappedKey) -> Sample {
    let begun = Instant::now();
    let result = client.decrypt_all(std::slice::from_ref(wrapped)).await.pop().unwrap();
    let failure = match result {
        Ok(opened) => (opened.expose() != PLAINTEXT).then(|| "another plaintext".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    Sample { begun, took: begun.elapsed(), failure }
}

/// What a fault did to a load.
pub struct Summary {
    pub fault: &'static str,
    pub decrypts: usize,
    pub failures: Vec<String>,
    /// The median before the fault.
    pub usual: Duration,
    /// The longest of those that ended after the fault had begun.
    pub longest: Duration,
    /// How many of those took 50 ms longer than usual or more.
    pub slowed: usize,
}

impl Summary {
    pub fn new(fault: &'static str, samples: &[Sample], broken: Instant) -> Self {
        let mut before: Vec<_> = samples
            .iter()
            .filter(|sample| sample.begun + sample.took < broken)
            .map(|sample| sample.took)
            .collect();
        before.sort_unstable();
        let usual = before.get(before.len() / 2).copied().unwrap_or_default();
        let touched: Vec<_> = samples
            .iter()
            .filter(|sample| sample.begun + sample.took >= broken)
            .map(|sample| sample.took)
            .collect();
        Self {
            fault,
            decrypts: samples.len(),
            failures: samples.iter().filter_map(|sample| sample.failure.clone()).collect(),
            usual,
            longest: touched.iter().max().copied().unwrap_or_default(),
            slowed: touched.iter().filter(|took| **took > usual + Duration::from_millis(50)).count(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} decrypts, {} failed; usually {:.1?}, from the fault on at most {:.1?} more ({} slowed by 50 ms or more)",
            self.fault,
            self.decrypts,
            self.failures.len(),
            self.usual,
            self.longest.saturating_sub(self.usual),
            self.slowed,
        )
    }
}
