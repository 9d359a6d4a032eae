//! Filing keys under policies that were changed: page by page, while requests go on.
//!
//! A key's record says under which policy it is filed. When what policies select changes, every pair is looked at once.
//! A stamp in the store says which selection all keys are filed by; it is written last, so that a server that stops half
//! way begins anew at its next start. Until a pair has had its turn it is governed by the policy that it was filed under,
//! or by the one that matches it where that policy is gone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kms_protocol::enums::ObjectType;

use super::Kms;
use super::model::Object;
use super::notes::is_object;
use super::policy::Policies;
use super::rotation::Pair;
use super::together::{Change, Fate, commit_each};
use crate::audit::Source;
use crate::crypto::sha256;
use crate::limits;
use crate::store::StoreError;

/// The store's note that says by which selection all keys are filed.
const STAMP: &str = "policies";

/// How far it is.
#[derive(Debug)]
pub(super) struct Adoption {
    /// The policies before: requests that began under them may still file by them.
    before: Vec<Arc<Policies>>,
    /// The last record that had its turn.
    after: Option<String>,
}

impl Kms {
    /// Puts policies in force at once. Keys that belong elsewhere now are filed anew by [`Kms::adopt_some`].
    ///
    /// # Errors
    /// When the store cannot be read; then nothing has changed.
    pub fn adopt(&self, policies: Policies) -> Result<(), StoreError> {
        let mut adoption = self.adoption.lock().unwrap_or_else(PoisonError::into_inner);
        let filed = self.store.notes()?.get(STAMP).is_some_and(|stamped| *stamped == stamp(&policies));
        let names: Vec<_> = policies.list.iter().map(|policy| policy.name.as_str()).collect();
        self.trail.note(self.trail.record(Source::Server, "policies").detail(names.join(", ")));
        self.is_all_filed.store(false, Ordering::Release);
        let before = self.policies.swap(policies.into());
        let mut earlier = adoption.take().map(|adoption| adoption.before);
        if earlier.is_some() || !filed {
            let mut all = earlier.take().unwrap_or_default();
            all.push(before);
            *adoption = Some(Adoption { before: all, after: None });
        } else {
            self.is_all_filed.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Files the next page of keys under the policies in force; whether there may be more.
    ///
    /// # Errors
    /// When the store fails. It may be called again.
    pub fn adopt_some(&self) -> Result<bool, StoreError> {
        let mut pending = self.adoption.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(adoption) = pending.as_mut() else { return Ok(false) };
        while adoption.before.iter().any(|policies| Arc::strong_count(policies) > 1) {
            // Somebody makes a pair under the old policies; that takes as long as generating it and one commit.
            std::thread::sleep(Duration::from_millis(1));
        }
        adoption.before.clear();
        let policies = self.policies.load_full();
        let page = self.store.records(adoption.after.as_deref(), limits::PAGE)?;
        let Some((last, _)) = page.last() else {
            self.store.note(STAMP, Some(&stamp(&policies)))?;
            *pending = None;
            self.is_all_filed.store(true, Ordering::Release);
            return Ok(false);
        };
        let mut moved = Vec::new();
        for (id, record) in page.iter().filter(|(id, _)| is_object(id)) {
            let Some(object) = self.unless_damaged(Object::from_record(id, record))? else { continue };
            moved.extend(self.unless_damaged(self.misfiled(object, &policies))?.flatten());
        }
        self.refile(moved, &policies)?;
        adoption.after = Some(last.clone());
        Ok(true)
    }

    /// The pair of a private key, if it belongs under another policy.
    fn misfiled(&self, object: Object, policies: &Policies) -> Result<Option<Pair>, StoreError> {
        if object.object_type != ObjectType::PrivateKey {
            return Ok(None);
        }
        let Some(public) = self.other_half(&object)? else { return Ok(None) };
        let mut pair = Pair { private: object, public };
        Ok(policies.file(&mut pair.private, &mut pair.public).then_some(pair))
    }

    /// Commits pairs that were filed anew, again where somebody else was quicker.
    fn refile(&self, mut pairs: Vec<Pair>, policies: &Policies) -> Result<(), StoreError> {
        while !pairs.is_empty() {
            let change = |pair: &Pair| Change::quiet(vec![pair.private.put(), pair.public.put()]);
            let commit = |batch, _| self.store.commit(batch).map(drop);
            let (fates, failed) = commit_each(pairs.iter().map(change).collect(), commit);
            if let Some(error) = failed {
                return Err(error);
            }
            let mut again = Vec::new();
            for (pair, fate) in pairs.into_iter().zip(fates) {
                match fate {
                    Fate::Done => {}
                    Fate::Conflict => {
                        let private = self.fetch(&pair.private.id)?;
                        again.extend(
                            private.map(|private| self.misfiled(private, policies)).transpose()?.flatten(),
                        );
                    }
                    Fate::TooLarge(error) => {
                        tracing::error!(%error, private = pair.private.id, "a pair stays under its old policy");
                    }
                }
            }
            pairs = again;
        }
        Ok(())
    }

    /// Whether keys are still to be filed under policies that have changed.
    #[must_use]
    pub fn is_adopting(&self) -> bool {
        !self.is_all_filed.load(Ordering::Acquire)
    }
}

/// What the stamp says of policies.
fn stamp(policies: &Policies) -> Vec<u8> {
    sha256(policies.selection().as_bytes()).to_vec()
}
