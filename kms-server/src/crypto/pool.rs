//! Pairs made before anybody asks: RSA-4096 takes more than half a second to generate, and no request shall wait that long.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, available_parallelism};

use super::limits::READY_PAIRS;
use super::{CryptoError, KeyPair, KeySpec, generate, lock};

type Generator = dyn Fn(KeySpec) -> Result<KeyPair, CryptoError> + Send + Sync;

/// A stock of ready pairs for each specification in use, kept up by one thread of low priority.
///
/// A specification is in use from its first [`take`](Self::take) or [`warm`](Self::warm) on. The pairs exist in
/// memory only; dropping the pool zeroizes them and waits for its thread, which takes as long as the pair in hand.
pub struct KeyPool {
    stock: Arc<Stock>,
    filler: Option<JoinHandle<()>>,
}

struct Stock {
    target: usize,
    generate: Box<Generator>,
    turns: Turns,
    shelves: Mutex<Shelves>,
    /// For the filler: something was taken, warmed or stopped.
    wanted: Condvar,
    /// For those who wait: a pair was put on its shelf, or the filler went idle.
    filled: Condvar,
}

#[derive(Default)]
struct Shelves {
    /// One for each specification in use.
    ready: BTreeMap<KeySpec, Vec<KeyPair>>,
    stopping: bool,
}

impl Shelves {
    /// The specification in use with the fewest ready pairs, the cheapest first, unless all have enough.
    fn neediest(&self, target: usize) -> Option<KeySpec> {
        KeySpec::ALL
            .into_iter()
            .filter_map(|spec| self.ready.get(&spec).map(|pairs| (pairs.len(), spec)))
            .filter(|(count, _)| *count < target)
            .min_by_key(|(count, _)| *count)
            .map(|(_, spec)| spec)
    }
}

impl KeyPool {
    /// A pool that keeps `target_per_spec` pairs of each specification in use, at most
    /// [`READY_PAIRS`](super::limits::READY_PAIRS). It makes nothing until something is taken or warmed.
    ///
    /// # Errors
    /// [`CryptoError::Library`] if its thread cannot be started.
    pub fn new(target_per_spec: usize) -> Result<Self, CryptoError> {
        Self::with_generator(target_per_spec, generate)
    }

    /// The same with another source of pairs than [`generate`]: a slow or failing one, to see what then happens.
    ///
    /// # Errors
    /// [`CryptoError::Library`] if its thread cannot be started.
    pub fn with_generator(
        target_per_spec: usize,
        generate: impl Fn(KeySpec) -> Result<KeyPair, CryptoError> + Send + Sync + 'static,
    ) -> Result<Self, CryptoError> {
        let stock = Arc::new(Stock {
            target: target_per_spec.min(READY_PAIRS),
            generate: Box::new(generate),
            turns: Turns::one_per_core(),
            shelves: Mutex::default(),
            wanted: Condvar::new(),
            filled: Condvar::new(),
        });
        let filler = Builder::new()
            .name("key-pool".to_owned())
            .spawn({
                let stock = Arc::clone(&stock);
                move || stock.fill()
            })
            .map_err(|_| CryptoError::Library("the key pool's thread could not be started"))?;
        Ok(Self { stock, filler: Some(filler) })
    }

    /// A pair, at once if one is ready; otherwise it is generated here, on the calling thread, while others go on
    /// taking. That takes up to seconds for RSA-4096, and as long again for each that waits: no more are generated at a
    /// time than there are cores, so that others get their share of those. Call it where blocking is allowed, or
    /// [`try_take`](Self::try_take) first.
    ///
    /// # Errors
    /// [`CryptoError::Library`] when generation fails.
    pub fn take(&self, spec: KeySpec) -> Result<KeyPair, CryptoError> {
        if let Some(pair) = self.try_take(spec) {
            return Ok(pair);
        }
        if spec.is_quick() {
            return (self.stock.generate)(spec);
        }
        let _turn = self.stock.turns.wait();
        match self.try_take(spec) {
            Some(pair) => Ok(pair),
            None => (self.stock.generate)(spec),
        }
    }

    /// A ready pair, or nothing. Either way the specification is in use from now on.
    #[must_use]
    pub fn try_take(&self, spec: KeySpec) -> Option<KeyPair> {
        let taken = lock(&self.stock.shelves).ready.entry(spec).or_default().pop();
        self.stock.wanted.notify_one();
        taken
    }

    /// Begins to keep pairs of this specification.
    pub fn warm(&self, spec: KeySpec) {
        lock(&self.stock.shelves).ready.entry(spec).or_default();
        self.stock.wanted.notify_one();
    }

    /// How many pairs are ready.
    #[must_use]
    pub fn ready(&self, spec: KeySpec) -> usize {
        lock(&self.stock.shelves).ready.get(&spec).map_or(0, Vec::len)
    }

    /// Waits until this many pairs of a specification are ready. Asking for more than the pool keeps waits for what
    /// it keeps; a specification that is not in use is not waited for.
    pub fn wait_until_ready(&self, spec: KeySpec, count: usize) {
        let count = count.min(self.stock.target);
        let mut shelves = lock(&self.stock.shelves);
        while !shelves.stopping && shelves.ready.get(&spec).is_some_and(|pairs| pairs.len() < count) {
            shelves = self.stock.filled.wait(shelves).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for KeyPool {
    fn drop(&mut self) {
        let mut shelves = lock(&self.stock.shelves);
        shelves.stopping = true;
        shelves.ready.clear();
        drop(shelves);
        self.stock.wanted.notify_all();
        self.stock.filled.notify_all();
        if let Some(filler) = self.filler.take()
            && filler.join().is_err()
        {
            tracing::error!("the key pool's thread had panicked");
        }
    }
}

impl core::fmt::Debug for KeyPool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let shelves = lock(&self.stock.shelves);
        f.debug_map().entries(shelves.ready.iter().map(|(spec, pairs)| (spec, pairs.len()))).finish()
    }
}

/// As many turns at generating as there are cores.
struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A turn, given back when dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    fn one_per_core() -> Self {
        Self { free: Mutex::new(available_parallelism().map_or(1, usize::from)), freed: Condvar::new() }
    }

    fn wait(&self) -> Turn<'_> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

impl Stock {
    fn fill(&self) {
        yield_to_everybody();
        let mut shelves = lock(&self.shelves);
        let mut failed = false;
        while !shelves.stopping {
            let Some(spec) = shelves.neediest(self.target).filter(|_| !failed) else {
                failed = false;
                shelves = self.wanted.wait(shelves).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(shelves);
            let made = (self.generate)(spec);
            shelves = lock(&self.shelves);
            match made {
                Ok(pair) if !shelves.stopping => {
                    shelves.ready.entry(spec).or_default().push(pair);
                    self.filled.notify_all();
                }
                Ok(_) => {}
                Err(error) => {
                    // Without randomness or memory trying again at once would only burn the core: the next taker
                    // gets the error itself and wakes this thread.
                    tracing::warn!(%spec, %error, "the key pool could not make a pair");
                    failed = true;
                }
            }
        }
    }
}

/// Leaves the cores to whoever else wants them. Where that is not possible the pool is merely less polite.
fn yield_to_everybody() {
    // Linux alone has priorities for one thread; elsewhere this would slow down the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "the key pool keeps its normal priority");
    }
}
