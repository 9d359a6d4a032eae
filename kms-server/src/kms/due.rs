//! What happens of itself: scheduled Activations and Deactivations, and rotations by policy.
//!
//! Both are found through an index that is ordered by time; nothing scans all keys.

use std::time::Duration;

use kms_protocol::DateTime;
use kms_protocol::attribute::Attributes;
use kms_protocol::enums::{LinkType, State};

use super::model::{self, Object};
use super::pairs::{is_conflict, rotation_batch};
use super::policy::{AfterRotation, OWN_WISH, Policies, Policy};
use super::refusal::Refusal;
use super::rotation::{Dates, Rotation};
use super::{Kms, lifecycle};
use crate::limits;
use crate::store::{Batch, Index, Key, Keys, Scan, StoreError};

/// Something that happened because it fell due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fired {
    /// When it fell due.
    pub at: DateTime,
    /// What happened, in words.
    pub what: String,
}

impl Kms {
    /// Puts policies in force. Pairs whose policy differs from before are filed under the new one.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn adopt(&self, policies: Policies) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.records(after.as_deref(), limits::PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (id, record) in &page {
                let mut object = Object::from_record(id, record)?;
                let policy = if may_rotate_again(&object) { policies.rotation_of(&object) } else { None };
                if object.rotates_by != policy {
                    object.rotates_by = policy;
                    self.store.commit(Batch::new().put(object.put()))?;
                }
            }
        }
        self.policies.store(policies.into());
        Ok(())
    }

    /// When something falls due next. What is due already counts too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_due(&self) -> Result<Option<DateTime>, StoreError> {
        let first = |index, keys| -> Result<Option<Object>, StoreError> {
            let hits = self.store.scan(&Scan { limit: 1, ..Scan::new(index, keys) })?;
            hits.first().map(|hit| self.fetch(&hit.id)).transpose().map(Option::flatten)
        };
        let mut next = first(Index::Due, Keys::All)?.and_then(|object| object.next_transition());
        let policies = self.policies.load();
        for policy in policies.0.iter() {
            let Some(every) = policy.rotate_every else { continue };
            let oldest = first(Index::Rotation, Keys::Prefix(Key::new().text(&policy.name).bytes()))?;
            let due = oldest.and_then(|object| object.initial_date()).map(|since| since.plus(every));
            next = earliest(next, due);
        }
        for object in self.own_wishes()? {
            next = earliest(next, own_due(&object));
        }
        Ok(next)
    }

    /// Does what is due at `now`, in the order in which it fell due.
    ///
    /// # Errors
    /// When the store fails; what was done before it did stays done.
    pub fn run_due(&self, now: DateTime) -> Result<Vec<Fired>, StoreError> {
        let mut fired = self.run_transitions(now)?;
        let policies = self.policies.load_full();
        for policy in &policies.0 {
            let Some(every) = policy.rotate_every else { continue };
            let from = model::rotation_key(&policy.name, DateTime(i64::MIN));
            let to = model::rotation_key(&policy.name, now.plus(1).plus(-every));
            loop {
                let scan = Scan {
                    limit: limits::ROTATIONS_PER_COMMIT,
                    ..Scan::new(Index::Rotation, Keys::Between(from.clone(), to.clone()))
                };
                let due = self.store.scan(&scan)?;
                if due.is_empty() {
                    break;
                }
                let mut objects = Vec::with_capacity(due.len());
                for hit in due {
                    objects.extend(self.fetch(&hit.id)?);
                }
                let planned = objects.into_iter().map(|object| {
                    let at = object.initial_date().unwrap_or(now).plus(every);
                    (object, at, Dates::Offset(policy.offset), policy.after_rotation)
                });
                fired.extend(self.rotate_all(planned.collect(), Some(policy), now)?);
            }
        }
        let mut own = self.own_wishes()?.into_iter().filter_map(|object| {
            let at = own_due(&object).filter(|at| *at <= now)?;
            let offset = object.rotate_offset().map_or(0, |offset| i64::from(offset.0));
            Some((object, at, Dates::Offset(offset), AfterRotation::KeepActive))
        });
        loop {
            let some: Vec<_> = own.by_ref().take(limits::ROTATIONS_PER_COMMIT).collect();
            if some.is_empty() {
                break;
            }
            fired.extend(self.rotate_all(some, None, now)?);
        }
        // A new pair may have been born Active or Pre-Active with its date passed at once.
        fired.extend(self.run_transitions(now)?);
        fired.sort_by_key(|fired| fired.at);
        Ok(fired)
    }

    fn run_transitions(&self, now: DateTime) -> Result<Vec<Fired>, StoreError> {
        let mut fired = Vec::new();
        loop {
            let keys = Keys::Between(Vec::new(), model::due_key(now.plus(1)));
            let hits = self.store.scan(&Scan { limit: limits::PAGE, ..Scan::new(Index::Due, keys) })?;
            let Some(last) = hits.last() else { return Ok(fired) };
            tracing::debug!(count = hits.len(), last = %last.id, "state changes are due");
            for hit in &hits {
                let Some(mut object) = self.fetch(&hit.id)? else { continue };
                let at = object.next_transition().unwrap_or(now);
                if !lifecycle::settle(&mut object, now) {
                    continue;
                }
                let state = lifecycle::state_at(&object, now);
                match self.store.commit(Batch::new().put(object.put())) {
                    Ok(_) => fired
                        .push(Fired { at, what: format!("{} {} is {state}", object.object_type, object.id) }),
                    // Another request changed it at the same moment; it is looked at again.
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Rotates pairs by their private keys, in one commit where nobody interferes.
    fn rotate_all(
        &self,
        due: Vec<(Object, DateTime, Dates, AfterRotation)>,
        policy: Option<&Policy>,
        now: DateTime,
    ) -> Result<Vec<Fired>, StoreError> {
        let sealing = self.keyring.sealing();
        let mut planned = Vec::with_capacity(due.len());
        for (private, at, dates, after) in due {
            let id = private.id.clone();
            let none = Attributes::default();
            let plan = self.pair_of(private).and_then(|pair| {
                self.plan_rotation(pair, [&none, &none, &none], dates, after, now, &sealing)
            });
            match plan {
                Ok(rotation) => planned.push((rotation, at)),
                Err(refusal) => self.give_up(&id, &refusal)?,
            }
        }
        let fired = |rotation: &Rotation, at| Fired {
            at,
            what: format!(
                "policy {:?} rotated private key {} to {} (generation {})",
                policy.map_or("of the client", |policy| &policy.name),
                rotation.old.private.id,
                rotation.new.private.id,
                rotation.new.private.generation().unwrap_or(0),
            ),
        };
        let together =
            planned.iter().fold(Batch::new(), |batch, (rotation, _)| rotation_batch(batch, rotation));
        match self.store.commit(together) {
            Ok(_) => return Ok(planned.iter().map(|(rotation, at)| fired(rotation, *at)).collect()),
            Err(error) if is_conflict(&error) || matches!(error, StoreError::TooLarge { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut done = Vec::new();
        for (rotation, at) in &planned {
            match self.store.commit(rotation_batch(Batch::new(), rotation)) {
                Ok(_) => done.push(fired(rotation, *at)),
                Err(error) if is_conflict(&error) => {
                    // Somebody changed the pair meanwhile. It is still filed as due, and the next round sees it anew.
                    std::thread::sleep(Duration::from_millis(1));
                }
                // One pair that the store cannot take must not stand in the way of all others.
                Err(error @ StoreError::TooLarge { .. }) => {
                    self.give_up(&rotation.old.private.id, &error.into())?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// A pair that cannot be rotated is filed as such, or every round would meet it again.
    fn give_up(&self, private: &str, refusal: &Refusal) -> Result<(), StoreError> {
        tracing::warn!(private, reason = %refusal.message, "the pair cannot be rotated and is left alone from now on");
        let Some(mut object) = self.fetch(private)? else { return Ok(()) };
        object.rotates_by = None;
        match self.store.commit(Batch::new().put(object.put())) {
            Err(error) if !is_conflict(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The pairs that rotate because their client asked for it.
    fn own_wishes(&self) -> Result<Vec<Object>, StoreError> {
        let mut objects = Vec::new();
        let mut scan = Scan::new(Index::Rotation, Keys::Prefix(Key::new().text(OWN_WISH).bytes()));
        loop {
            let hits = self.store.scan(&scan)?;
            let Some(last) = hits.last() else { return Ok(objects) };
            scan.after = Some(last.clone());
            for hit in &hits {
                objects.extend(self.fetch(&hit.id)?);
            }
        }
    }
}

/// Whether a key is the newest generation of a pair that lives.
fn may_rotate_again(object: &Object) -> bool {
    object.object_type == kms_protocol::enums::ObjectType::PrivateKey
        && object.linked(LinkType::ReplacementObjectLink).is_none()
        && !matches!(object.written_state(), Some(State::Destroyed | State::DestroyedCompromised))
}

fn own_due(object: &Object) -> Option<DateTime> {
    // At 0 s the successor would be due as soon as it is made.
    Some(object.initial_date()?.plus(i64::from(object.rotate_interval()?.0).max(1)))
}

fn earliest(a: Option<DateTime>, b: Option<DateTime>) -> Option<DateTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
