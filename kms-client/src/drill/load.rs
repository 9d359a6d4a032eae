//! What goes on while a drill's servers are broken: encryptions, creations, backups and restores, each in threads of its own.

use core::fmt;
use core::time::Duration;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::thread::JoinHandle;

use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::HashingAlgorithm;
use kms_protocol::operation::EncryptRequest;
use kms_protocol::{DateTime, Secret};
use serde::Serialize;
use tokio::time::Instant;
use tracing::subscriber::{NoSubscriber, with_default};

use crate::blocking::Client;
use crate::{Error, IssuedKey, KeySpec, WrappedKey};

use super::job::{Job, MadeBackup, restore};
use super::limits;
use super::plan::LoadSpec;
use super::site::Clients;
use super::{DrillError, Setup};

/// A kind of operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Encrypt and Decrypt at the KMS, or Decrypt alone of what was encrypted beforehand.
    Decryption,
    /// Create Key Pair.
    Creation,
    /// Sync and back up.
    Backup,
    /// Restore and compare.
    Restore,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Decryption, Self::Creation, Self::Backup, Self::Restore];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decryption => "decryption",
            Self::Creation => "creation",
            Self::Backup => "backup",
            Self::Restore => "restore",
        })
    }
}

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Of which kind.
    pub kind: Kind,
    /// When it began, counted from the beginning of the timeline.
    pub begun: Duration,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// A pair that was handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HeldKey {
    pub name: String,
    pub key: IssuedKey,
    /// What was encrypted with it beforehand.
    pub witness: Option<Vec<u8>>,
}

/// What is encrypted. Nothing depends on it.
const PLAINTEXT: &[u8; 32] = b"what a drill encrypts 0123456789";

/// What the threads share.
#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    samples: Mutex<Vec<Sample>>,
    keys: Mutex<Vec<HeldKey>>,
    backups: Mutex<Vec<MadeBackup>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time of the real world, as the command line said it in the beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub start: DateTime,
    pub since: Instant,
}

impl Clock {
    pub fn now(&self) -> DateTime {
        DateTime(self.start.0.saturating_add(i64::try_from(self.since.elapsed().as_secs()).unwrap_or(0)))
    }
}

/// The load of a drill.
pub(super) struct Load {
    spec: LoadSpec,
    pub clients: Clients,
    shared: Arc<Shared>,
    jobs: Vec<Job>,
    threads: Vec<JoinHandle<Option<Job>>>,
}

impl Load {
    /// Makes keys and backup jobs, with all that they need in `folder`.
    pub fn prepare(
        spec: &LoadSpec,
        clients: Clients,
        setup: &Setup<'_>,
        folder: &Path,
    ) -> Result<Self, DrillError> {
        let unprepared = |error: String| {
            DrillError::run(
                format!("the load cannot be prepared: {error}"),
                "nothing is broken yet: the servers should work",
            )
        };
        let clock = Clock { start: setup.now, since: Instant::now() };
        let shared = Arc::<Shared>::default();
        let client = clients.blocking().map_err(|error| unprepared(error.to_string()))?;
        for number in 1..=spec.keys {
            setup.stop.check()?;
            let held = prepared_key(&client, format!("drill/key-{number}"))
                .map_err(|error| unprepared(error.to_string()))?;
            lock(&shared.keys).push(held);
        }
        let mut jobs = Vec::new();
        for number in 1..=spec.backup {
            setup.stop.check()?;
            let job = Job::make(&format!("job-{number}"), &clients, clock, folder);
            jobs.push(job.map_err(|error| unprepared(error.to_string()))?);
        }
        Ok(Self { spec: spec.clone(), clients, shared, jobs, threads: Vec::new() })
    }

    /// Begins; times of operations are counted from `begun`.
    pub fn begin(&mut self, begun: Instant) -> Result<(), DrillError> {
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            clients: self.clients.clone(),
            begun,
            pause: self.spec.pause,
        };
        for number in 0..self.spec.decrypt {
            self.spawn(&worker, move |worker| worker.decrypt(usize::from(number)))?;
        }
        for number in 0..self.spec.create {
            self.spawn(&worker, move |worker| worker.create(number))?;
        }
        for job in core::mem::take(&mut self.jobs) {
            self.spawn(&worker, move |worker| worker.back_up(job))?;
        }
        for _ in 0..self.spec.restore {
            self.spawn(&worker, Worker::restore)?;
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        worker: &Worker,
        work: impl FnOnce(&Worker) -> Option<Job> + Send + 'static,
    ) -> Result<(), DrillError> {
        let worker = worker.clone();
        // What a client warns of is what the drill does to it.
        let quietly = move || with_default(NoSubscriber::new(), || work(&worker));
        let spawned = thread::Builder::new().name("drill-load".to_owned()).spawn(quietly);
        let thread = spawned.map_err(|error| {
            DrillError::run(format!("the system gives no thread: {error}"), "let the load have fewer threads")
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends, when what is under way is done.
    pub fn end(&mut self) -> Result<(), DrillError> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let ended = thread.join().map_err(|_| {
                DrillError::run("the load met a defect of its own".to_owned(), "please report it")
            })?;
            self.jobs.extend(ended);
        }
        self.jobs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = lock(&self.shared.samples).clone();
        samples.sort_by_key(|sample| sample.begun);
        samples
    }

    pub fn keys(&self) -> Vec<HeldKey> {
        lock(&self.shared.keys).clone()
    }

    pub fn backups(&self) -> Vec<MadeBackup> {
        lock(&self.shared.backups).clone()
    }

    /// The jobs, once the load has ended.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + limits::FAREWELL;
        while Instant::now() < deadline && self.threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(limits::TICK);
        }
    }
}

/// One thread's view.
#[derive(Clone)]
struct Worker {
    shared: Arc<Shared>,
    clients: Clients,
    begun: Instant,
    pause: Duration,
}

impl Worker {
    /// Does something again and again; `once` says what came of it, where there was something to do.
    fn repeat(&self, kind: Kind, pause: Duration, mut once: impl FnMut(usize) -> Option<Result<(), String>>) {
        for turn in 0.. {
            if self.shared.is_over.load(Ordering::SeqCst) {
                return;
            }
            let begun = Instant::now();
            let result = once(turn);
            if let Some(result) = result {
                let (begun, took) = (begun.saturating_duration_since(self.begun), begun.elapsed());
                lock(&self.shared.samples).push(Sample { kind, begun, took, failure: result.err() });
            }
            let deadline = Instant::now() + pause;
            while Instant::now() < deadline && !self.shared.is_over.load(Ordering::SeqCst) {
                thread::sleep(limits::TICK);
            }
        }
    }

    /// Without a client nothing can be done, which is a failure too.
    fn with_client(
        &self,
        kind: Kind,
        pause: Duration,
        mut once: impl FnMut(&Client, usize) -> Result<(), String>,
    ) {
        let client = self.clients.blocking();
        self.repeat(kind, pause, |turn| {
            Some(match &client {
                Ok(client) => once(client, turn),
                Err(error) => Err(error.to_string()),
            })
        });
    }

    fn decrypt(&self, number: usize) -> Option<Job> {
        let keys: Vec<HeldKey> = lock(&self.shared.keys).clone();
        self.with_client(Kind::Decryption, self.pause, |client, turn| {
            let held = keys.get((number + turn) % keys.len().max(1)).ok_or("there is no key")?;
            let fresh = turn % 2 == 0;
            let ciphertext = match &held.witness {
                Some(witness) if !fresh => witness.clone(),
                _ => encrypt(client, &held.key).map_err(|error| format!("Encrypt: {error}"))?,
            };
            decrypt(client, &held.key, ciphertext)
        });
        None
    }

    fn create(&self, number: u8) -> Option<Job> {
        self.with_client(Kind::Creation, self.pause * limits::HEAVY, |client, turn| {
            let name = format!("drill/created-{number}-{turn}");
            let key = request(client, &name).map_err(|error| error.to_string())?;
            lock(&self.shared.keys).push(HeldKey { name, key, witness: None });
            Ok(())
        });
        None
    }

    fn back_up(&self, mut job: Job) -> Option<Job> {
        self.repeat(Kind::Backup, self.pause * limits::HEAVY, |turn| {
            let made = job.back_up(turn);
            Some(made.map(|made| lock(&self.shared.backups).push(made)).map_err(|error| error.to_string()))
        });
        Some(job)
    }

    fn restore(&self) -> Option<Job> {
        self.repeat(Kind::Restore, self.pause * limits::HEAVY, |turn| {
            let backups = lock(&self.shared.backups).clone();
            let newest = backups.len().checked_sub(1)?;
            // The newest and older ones in turn: generations of all times are asked for.
            let place = if turn % 2 == 0 { newest } else { turn % backups.len() };
            let restored = restore(core::slice::from_ref(backups.get(place)?), &self.clients);
            Some(restored.into_iter().collect())
        });
        None
    }
}

/// A pair with something encrypted by it.
fn prepared_key(client: &Client, name: String) -> Result<HeldKey, Error> {
    let key = client.request_key(&name, KeySpec::Rsa2048)?;
    let witness = Some(encrypt(client, &key)?);
    Ok(HeldKey { name, key, witness })
}

/// Asks for a pair; where it is not known whether one was made, looks before asking again.
fn request(client: &Client, name: &str) -> Result<IssuedKey, Error> {
    match client.request_key(name, KeySpec::Rsa2048) {
        Err(Error::OutcomeUnknown { .. }) => match client.find_key(name, KeySpec::Rsa2048)? {
            Some(found) => Ok(found),
            None => client.request_key(name, KeySpec::Rsa2048),
        },
        answer => answer,
    }
}

/// Has the KMS encrypt with a pair.
pub(super) fn encrypt(client: &Client, key: &IssuedKey) -> Result<Vec<u8>, Error> {
    let answer = client.encrypt(&EncryptRequest {
        unique_identifier: Some(key.public_id.as_str().into()),
        cryptographic_parameters: Some(CryptographicParameters::rsa_oaep(
            HashingAlgorithm::Sha256,
            HashingAlgorithm::Sha256,
        )),
        data: Some(Secret::from(&PLAINTEXT[..])),
        ..EncryptRequest::default()
    })?;
    Ok(answer.data.map(|data| data.0).unwrap_or_default())
}

/// Has the KMS decrypt what was encrypted with a pair, and compares.
pub(super) fn decrypt(client: &Client, key: &IssuedKey, ciphertext: Vec<u8>) -> Result<(), String> {
    let hash = HashingAlgorithm::Sha256;
    let wrapped = WrappedKey { private_id: key.private_id.clone(), ciphertext, hash, mask_hash: hash };
    match client.decrypt_all(&[wrapped]).pop() {
        Some(Ok(opened)) if opened.expose() == PLAINTEXT => Ok(()),
        Some(Ok(_)) => Err("Decrypt brought another plaintext".to_owned()),
        Some(Err(error)) => Err(format!("Decrypt: {error}")),
        None => Err("Decrypt brought nothing".to_owned()),
    }
}
