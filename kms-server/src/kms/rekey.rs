//! A new store key for a running server: every record with private material is sealed anew, one after the other.
//!
//! At any instant the store can be opened with the new key alone. Before the first record is sealed with it, a note says
//! so and holds the old key sealed under it; when none is sealed with the old key any more, that is taken out.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use kms_protocol::ttlv::Bytes;
use serde::{Deserialize, Serialize};

use super::Kms;
use super::model::{Material, Object};
use super::notes::{Former, KeyNote, Previous, is_object};
use super::pairs::is_conflict;
use crate::crypto::seal::sealed_with;
use crate::crypto::{SealError, Sealing, StoreKey};
use crate::store::limits::COPY_PAGE;
use crate::store::{Batch, StoreError};

/// What the previous key is sealed as, under the new one.
pub const PREVIOUS_KEY: &str = "the previous store key";

/// After a failure of the store, before the next try.
const RETRY: Duration = Duration::from_secs(1);

/// How far it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Whether it goes on.
    pub running: bool,
    /// Records looked at.
    pub looked_at: u64,
    /// Records sealed anew.
    pub resealed: u64,
    /// Why it stands still, if it does; it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Why a store was not sealed anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RekeyError {
    /// It is under way.
    #[error("the store is being sealed anew already")]
    Running,
    /// The key is the same.
    #[error("the store is sealed with this very key, {0}")]
    Same(String),
    /// The key could not be used.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Kms {
    /// Seals under `key` from now on, and begins to seal everything anew in the background. `note` says what the store
    /// is to say of the key. When this returns, the store can no longer be opened with the old key.
    ///
    /// # Errors
    /// [`RekeyError`]; then nothing was changed.
    pub fn rekey(self: &Arc<Self>, key: StoreKey, note: KeyNote) -> Result<(), RekeyError> {
        {
            let mut progress = self.rekey_lock();
            if progress.running || self.keyring.previous().is_some() {
                return Err(RekeyError::Running);
            }
            if key.id() == self.keyring.current() {
                return Err(RekeyError::Same(key.id().to_string()));
            }
            let sealing = self.keyring.sealing();
            let sealed = hex::encode(key.seal(PREVIOUS_KEY, sealing.key().secret())?);
            let previous = Previous { key: sealing.key().id().to_string(), sealed };
            drop(sealing);
            let former = KeyNote::read(self.store())?.map(|KeyNote { key, kdf, .. }| Former { key, kdf });
            KeyNote { previous: Some(previous), former, ..note }.write(self.store())?;
            *progress = Progress { running: true, ..Progress::default() };
        }
        tracing::info!(key = %key.id(), "the store gets a new key");
        self.keyring.change_to(key);
        self.reseal_in_background();
        Ok(())
    }

    /// Goes on where a server before stopped while it sealed anew, if one did.
    pub fn resume_rekey(self: &Arc<Self>) {
        if self.keyring.previous().is_some() {
            self.rekey_lock().running = true;
            self.reseal_in_background();
        }
    }

    /// How far sealing anew is.
    #[must_use]
    pub fn rekey_progress(&self) -> Progress {
        self.rekey_lock().clone()
    }

    fn rekey_lock(&self) -> MutexGuard<'_, Progress> {
        self.rekey.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reseal_in_background(self: &Arc<Self>) {
        let kms = Arc::downgrade(self);
        let started = thread::Builder::new().name("store-rekey".into()).spawn(move || reseal_all(&kms));
        if let Err(error) = started {
            tracing::error!(%error, "no thread to seal the store anew; it goes on at the next start");
            self.rekey_lock().failed = Some(error.to_string());
        }
    }

    /// Seals the records behind `after` anew; the ID of the last, and how many were sealed with the old key.
    fn reseal_page(&self, after: Option<&str>) -> Result<Option<(String, u64)>, StoreError> {
        let page = self.store.records(after, COPY_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let last = last.clone();
        let looked_at = page.len() as u64;
        let mut batch = Batch::new();
        for (id, record) in page.iter().filter(|(id, _)| is_object(id)) {
            batch.puts.extend(self.resealed(Object::from_record(id, record)?)?.map(|object| object.put()));
        }
        let found = batch.puts.len() as u64;
        let ids: Vec<String> = batch.puts.iter().map(|put| put.id.clone()).collect();
        match if ids.is_empty() { Ok(0) } else { self.store.commit(batch) } {
            Err(error) if is_conflict(&error) => {
                for id in &ids {
                    self.reseal_one(id)?;
                }
            }
            other => _ = other?,
        }
        let mut progress = self.rekey_lock();
        progress.looked_at += looked_at;
        progress.resealed += found;
        progress.failed = None;
        Ok(Some((last, found)))
    }

    fn reseal_one(&self, id: &str) -> Result<(), StoreError> {
        loop {
            let Some(object) = self.fetch(id)? else { return Ok(()) };
            let Some(object) = self.resealed(object)? else { return Ok(()) };
            match self.store.commit(Batch::new().put(object.put())) {
                Err(error) if is_conflict(&error) => {}
                other => return other.map(drop),
            }
        }
    }

    /// The object with its material under the current key, what can still be brought back included; `None` where it is, or
    /// there is none.
    fn resealed(&self, mut object: Object) -> Result<Option<Object>, StoreError> {
        let sealing = self.keyring.sealing();
        let id = object.id.clone();
        let withheld = object.withheld.as_mut().map(|withheld| &mut withheld.material);
        let mut is_changed = false;
        for material in object.material.as_mut().into_iter().chain(withheld) {
            let Material::Sealed(sealed) = material else { continue };
            let anew = self.sealed_anew(&id, &sealed.0, &sealing);
            let anew =
                anew.map_err(|error| StoreError::Corrupt { what: error.to_string(), at: id.clone() })?;
            if let Some(anew) = anew {
                *sealed = Bytes(anew);
                is_changed = true;
            }
        }
        Ok(is_changed.then_some(object))
    }

    /// Key material under the current key; `None` where it is.
    fn sealed_anew(
        &self,
        id: &str,
        sealed: &[u8],
        sealing: &Sealing<'_>,
    ) -> Result<Option<Vec<u8>>, SealError> {
        if sealed_with(sealed)? == sealing.key().id() {
            return Ok(None);
        }
        sealing.seal(id, &self.keyring.open(id, sealed)?).map(Some)
    }

    /// Nothing is sealed with the old key any more: it is forgotten, on disk first.
    fn finish_rekey(&self) -> Result<(), StoreError> {
        if let Some(note) = KeyNote::read(self.store())? {
            KeyNote { previous: None, ..note }.write(self.store())?;
        }
        self.keyring.forget_previous();
        let mut progress = self.rekey_lock();
        progress.running = false;
        tracing::info!(resealed = progress.resealed, "the store is sealed with its new key alone");
        Ok(())
    }
}

/// Walks all records until a whole walk finds none that is sealed with the old key. Lets go of the server between pages,
/// so that it can stop.
fn reseal_all(kms: &Weak<Kms>) {
    let (mut after, mut found): (Option<String>, u64) = (None, 0);
    while let Some(kms) = kms.upgrade() {
        let step = match kms.reseal_page(after.as_deref()) {
            Ok(Some((last, more))) => {
                after = Some(last);
                found += more;
                Ok(())
            }
            Ok(None) if found > 0 => {
                (after, found) = (None, 0);
                Ok(())
            }
            Ok(None) => match kms.finish_rekey() {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = step {
            tracing::error!(%error, "sealing the store anew stands still; it is tried again");
            kms.rekey_lock().failed = Some(error.to_string());
            drop(kms);
            thread::sleep(RETRY);
        }
    }
}
