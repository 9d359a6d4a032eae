//! A new store key for a running server: every record with private material is sealed anew, one after the other.
//!
//! At any instant the store can be opened with the new key alone. Before the first record is sealed with it, a note says
//! so and holds the old key sealed under it; when none is sealed with the old key any more, that is taken out.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::thread;

use kms_protocol::ttlv::Bytes;
use serde::{Deserialize, Serialize};

use super::Kms;
use super::model::Object;
use super::notes::{Former, KeyNote, Previous, is_object};
use super::pairs::is_conflict;
use super::together::{Change, Fate, commit_each};
use crate::crypto::seal::sealed_with;
use crate::crypto::{SealError, Sealing, StoreKey};
use crate::limits::REKEY_RETRY;
use crate::store::limits::COPY_PAGE;
use crate::store::{Batch, StoreError};

/// What the previous key is sealed as, under the new one.
pub const PREVIOUS_KEY: &str = "the previous store key";

/// How far it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Whether it goes on.
    pub running: bool,
    /// Records looked at.
    pub looked_at: u64,
    /// Records sealed anew.
    pub resealed: u64,
    /// Records that are damaged and were left out. While there are any, the previous key is kept.
    #[serde(default)]
    pub left_out: u64,
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

    /// Seals the records behind `walk.after` anew; false where there are none.
    fn reseal_page(&self, walk: &mut Walk) -> Result<bool, StoreError> {
        let page = self.store.records(walk.after.as_deref(), COPY_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(false) };
        let (mut changes, mut left_out) = (Vec::new(), 0);
        for (id, record) in page.iter().filter(|(id, _)| is_object(id)) {
            let object = Object::from_record(id, record).and_then(|object| self.resealed(object));
            match self.unless_damaged(object)? {
                Some(object) => changes.extend(object.map(|object| Change::quiet(vec![object.put()]))),
                None => left_out += 1,
            }
        }
        let ids: Vec<String> =
            changes.iter().flat_map(|change| &change.puts).map(|put| put.id.clone()).collect();
        let (fates, failed) = commit_each(changes, |batch, _| self.store.commit(batch).map(drop));
        if let Some(error) = failed {
            return Err(error);
        }
        for (id, fate) in ids.iter().zip(fates) {
            match fate {
                Fate::Done => {}
                Fate::Conflict => self.reseal_one(id)?,
                // It was stored before, and is no longer now.
                Fate::TooLarge(error) => return Err(error),
            }
        }
        walk.after = Some(last.clone());
        walk.found += ids.len() as u64;
        walk.left_out += left_out;
        let mut progress = self.rekey_lock();
        progress.looked_at += page.len() as u64;
        progress.resealed += ids.len() as u64;
        progress.failed = None;
        Ok(true)
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
            let Some(sealed) = material.sealed_mut() else { continue };
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

    /// Nothing is sealed with the old key any more: it is forgotten, on disk first. Where damaged records may be, it is
    /// kept, since whoever mends them needs it.
    fn finish_rekey(&self, left_out: u64) -> Result<(), StoreError> {
        if left_out > 0 {
            let mut progress = self.rekey_lock();
            progress.running = false;
            progress.left_out = left_out;
            progress.failed = Some(format!(
                "{left_out} damaged records may be sealed with the previous key, which is kept; check the store, and start \
                 the server again once they are mended or deleted"
            ));
            tracing::error!(
                left_out,
                "the store is sealed anew but for damaged records: its previous key is kept"
            );
            return Ok(());
        }
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

/// One walk over all records.
#[derive(Default)]
struct Walk {
    /// The last record that had its turn.
    after: Option<String>,
    /// How many were sealed with the old key.
    found: u64,
    /// How many are damaged.
    left_out: u64,
}

/// Walks all records until a whole walk finds none that is sealed with the old key. Lets go of the server between pages,
/// so that it can stop.
fn reseal_all(kms: &Weak<Kms>) {
    let mut walk = Walk::default();
    while let Some(kms) = kms.upgrade() {
        let step = match kms.reseal_page(&mut walk) {
            Ok(true) => Ok(()),
            Ok(false) if walk.found > 0 => {
                walk = Walk::default();
                Ok(())
            }
            Ok(false) => match kms.finish_rekey(walk.left_out) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = step {
            tracing::error!(%error, "sealing the store anew stands still; it is tried again");
            kms.rekey_lock().failed = Some(error.to_string());
            drop(kms);
            thread::sleep(REKEY_RETRY);
        }
    }
}
