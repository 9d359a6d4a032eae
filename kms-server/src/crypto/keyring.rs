//! The store's key, and the one before it while the store is sealed anew.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use kms_protocol::Secret;

use super::seal::{KeyId, SealError, StoreKey, sealed_with};

/// Seals under one key and opens what it or its predecessor sealed.
#[derive(Debug)]
pub struct Keyring {
    keys: ArcSwap<Keys>,
    /// Held for reading from sealing to the end of the commit.
    barrier: RwLock<()>,
}

#[derive(Debug)]
struct Keys {
    current: Arc<StoreKey>,
    previous: Option<Arc<StoreKey>>,
}

/// The right to seal. Keep it until what was sealed is committed, or has failed to be: a change of the key waits for it,
/// so that nothing sealed under the old key comes to light when that is forgotten. One thread holds one at a time.
#[derive(Debug)]
pub struct Sealing<'a> {
    key: Arc<StoreKey>,
    _barrier: RwLockReadGuard<'a, ()>,
}

impl Keyring {
    /// A ring with one key.
    #[must_use]
    pub fn new(key: StoreKey) -> Self {
        Self::of(key, None)
    }

    /// A ring in the middle of a change from `previous`.
    #[must_use]
    pub fn of(current: StoreKey, previous: Option<StoreKey>) -> Self {
        let keys = Keys { current: Arc::new(current), previous: previous.map(Arc::new) };
        Self { keys: ArcSwap::from_pointee(keys), barrier: RwLock::new(()) }
    }

    /// The key that seals.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.keys.load().current.id()
    }

    /// The key that sealed before, while the store may still hold what it sealed.
    #[must_use]
    pub fn previous(&self) -> Option<KeyId> {
        self.keys.load().previous.as_ref().map(|key| key.id())
    }

    /// Begins to seal.
    pub fn sealing(&self) -> Sealing<'_> {
        let barrier = self.barrier.read().unwrap_or_else(PoisonError::into_inner);
        Sealing { key: Arc::clone(&self.keys.load().current), _barrier: barrier }
    }

    /// Opens what either key sealed for the object `id`.
    ///
    /// # Errors
    /// As [`StoreKey::open`]; [`SealError::OtherKey`] names the current key.
    pub fn open(&self, id: &str, sealed: &[u8]) -> Result<Secret, SealError> {
        let keys = self.keys.load();
        match &keys.previous {
            Some(previous) if sealed_with(sealed)? == previous.id() => previous.open(id, sealed),
            _ => keys.current.open(id, sealed),
        }
    }

    /// Seals under `key` from now on, and still opens what the key before sealed. Returns when whoever seals under that
    /// has committed.
    pub fn change_to(&self, key: StoreKey) {
        let previous = Some(Arc::clone(&self.keys.load().current));
        self.keys.store(Arc::new(Keys { current: Arc::new(key), previous }));
        drop(self.barrier.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Forgets the previous key: nothing is sealed under it any more.
    pub fn forget_previous(&self) {
        let current = Arc::clone(&self.keys.load().current);
        self.keys.store(Arc::new(Keys { current, previous: None }));
    }
}

impl Sealing<'_> {
    /// Seals key material for the object `id`.
    ///
    /// # Errors
    /// As [`StoreKey::seal`].
    pub fn seal(&self, id: &str, material: &Secret) -> Result<Vec<u8>, SealError> {
        self.key.seal(id, material)
    }

    /// The key that seals.
    #[must_use]
    pub fn key(&self) -> &StoreKey {
        &self.key
    }
}
