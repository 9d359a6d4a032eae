//! What happens of itself: scheduled Activations and Deactivations, rotations, and the end of old generations.
//!
//! All is found through indexes that are ordered by time; nothing scans all keys.

use std::thread;

use kms_protocol::DateTime;
use kms_protocol::attribute::Attributes;
use kms_protocol::enums::{LinkType, State};

use super::model::{self, Object};
use super::pairs::{is_conflict, rotation_batch};
use super::policy::{OWN_WISH, Policies, Policy};
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::rotation::{Dates, Pair, Rotation};
use super::{Cause, Event, Fired, Kms, lifecycle};
use crate::crypto::KeyId;
use crate::limits;
use crate::store::{Batch, Hit, Index, Key, Keys, Scan, StoreError};

/// What the audit log calls a rotation that nobody asked for.
const ROTATION: &str = "rotation";

/// Where the newest generations are found that may be due, and which of them are.
#[derive(Clone, Copy)]
enum Line<'a> {
    /// Those that a policy rotates.
    Policy(&'a Policy),
    /// Those whose client asked for it.
    OwnWish,
}

/// Rotations that wait for their commit, and the store's key that their private keys are sealed with.
struct Planned {
    key: KeyId,
    rotations: Vec<(Rotation, DateTime)>,
}

impl Line<'_> {
    fn cause(&self) -> Cause {
        match self {
            Self::Policy(policy) => Cause::Policy { policy: policy.name.clone() },
            Self::OwnWish => Cause::Wish,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Policy(policy) => &policy.name,
            Self::OwnWish => OWN_WISH,
        }
    }

    /// When the pair of a private key is due, by its place in the index alone.
    fn due(&self, hit: &Hit) -> Option<DateTime> {
        let date = model::date_in(&hit.key)?;
        match self {
            Self::Policy(policy) => policy.due(&hit.id, date),
            Self::OwnWish => Some(date),
        }
    }

    /// From a pair's place in the index to the earliest that it can be due.
    fn soonest(&self) -> Option<i64> {
        match self {
            Self::Policy(policy) => Some(policy.rotate_every?.seconds.saturating_sub(policy.jitter.seconds)),
            Self::OwnWish => Some(0),
        }
    }
}

impl Kms {
    /// When something falls due next. What is due already counts too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_due(&self) -> Result<Option<DateTime>, StoreError> {
        let mut next = self.first(Index::Due, Keys::All)?;
        let policies = self.policies.load();
        for policy in &policies.list {
            if policy.rotate_every.is_some() {
                next = earliest(next, self.next_rotation(Line::Policy(policy))?);
            }
            if let Some(after) = policy.destroy_after {
                let oldest = self.first(Index::Retired, line(&policy.name))?;
                next = earliest(next, oldest.map(|since| since.plus(after.seconds)));
            }
        }
        Ok(earliest(next, self.next_rotation(Line::OwnWish)?))
    }

    /// The first date of an index.
    fn first(&self, index: Index, keys: Keys) -> Result<Option<DateTime>, StoreError> {
        let hits = self.store.scan(&Scan { limit: 1, ..Scan::new(index, keys) })?;
        Ok(hits.first().and_then(|hit| model::date_in(&hit.key)))
    }

    /// When the next pair of a line is due. Jitter mixes their order, but no pair is due before its Initial Date says
    /// that it can be.
    fn next_rotation(&self, of: Line<'_>) -> Result<Option<DateTime>, StoreError> {
        let Some(soonest) = of.soonest() else { return Ok(None) };
        let mut next: Option<DateTime> = None;
        let mut scan = Scan { limit: limits::PAGE, ..Scan::new(Index::Rotation, line(of.name())) };
        loop {
            let hits = self.store.scan(&scan)?;
            let Some(last) = hits.last() else { return Ok(next) };
            scan.after = Some(last.clone());
            for hit in &hits {
                let can_be = model::date_in(&hit.key).map(|since| since.plus(soonest));
                if next.is_some() && can_be >= next {
                    return Ok(next);
                }
                next = earliest(next, of.due(hit));
            }
        }
    }

    /// Does what is due at `now` and says what that was, in the order in which it fell due.
    ///
    /// After [`limits::ROTATIONS_AT_ONCE`] rotations it returns; what is left is still due.
    ///
    /// # Errors
    /// When the store fails; what was done before it did stays done.
    pub fn run_due(&self, now: DateTime) -> Result<Vec<Fired>, StoreError> {
        let policies = self.policies.load_full();
        let mut fired = Vec::new();
        // Rotations come first: after a downtime in which a pair was due and then expired it has its successor yet.
        for policy in policies.list.iter().filter(|policy| policy.rotate_every.is_some()) {
            self.run_rotations(Line::Policy(policy), &policies, now, &mut fired)?;
        }
        self.run_rotations(Line::OwnWish, &policies, now, &mut fired)?;
        self.run_transitions(now, &mut fired)?;
        for policy in &policies.list {
            if let Some(after) = policy.destroy_after {
                self.run_destructions(policy, after.seconds, now, &mut fired)?;
            }
        }
        fired.sort_by_key(|fired| fired.at);
        Ok(fired)
    }

    /// Rotates what is due of a line. While one group is committed, the keys of the next are generated.
    fn run_rotations(
        &self,
        of: Line<'_>,
        policies: &Policies,
        now: DateTime,
        fired: &mut Vec<Fired>,
    ) -> Result<(), StoreError> {
        let Some(soonest) = of.soonest() else { return Ok(()) };
        let from = model::rotation_key(of.name(), DateTime(i64::MIN));
        let to = model::rotation_key(of.name(), now.plus(1).plus(-soonest));
        let mut scan = Scan {
            limit: limits::ROTATIONS_PER_COMMIT,
            ..Scan::new(Index::Rotation, Keys::Between(from, to))
        };
        thread::scope(|scope| {
            let mut committing: Option<thread::ScopedJoinHandle<'_, Result<Vec<Fired>, StoreError>>> = None;
            let mut taken = 0;
            loop {
                let hits =
                    if taken < limits::ROTATIONS_AT_ONCE { self.store.scan(&scan)? } else { Vec::new() };
                let planned = match hits.last() {
                    None => None,
                    Some(last) => {
                        scan.after = Some(last.clone());
                        Some(self.plan_due(of, &hits, policies, now)?)
                    }
                };
                if let Some(before) = committing.take() {
                    fired.extend(before.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
                }
                let Some(planned) = planned else { return Ok(()) };
                taken += planned.rotations.len();
                committing = Some(scope.spawn(move || self.commit_rotations(&planned, of, now)));
            }
        })
    }

    /// Works out the rotations of those pairs that are due.
    fn plan_due(
        &self,
        of: Line<'_>,
        hits: &[Hit],
        policies: &Policies,
        now: DateTime,
    ) -> Result<Planned, StoreError> {
        let none = Attributes::default();
        let sealing = self.keyring.sealing();
        let key = sealing.key().id();
        let mut planned = Vec::with_capacity(hits.len());
        for hit in hits {
            let Some(at) = of.due(hit).filter(|at| *at <= now) else { continue };
            let Some(private) = self.fetch(&hit.id)? else { continue };
            // What was out of use before is not rotated any more; the date that ended it is about to be written down.
            if !matches!(lifecycle::state_at(&private, at), State::PreActive | State::Active) {
                continue;
            }
            let plan = self.pair_of(private).and_then(|pair| {
                let how = automatic(policies, &pair);
                self.plan_rotation(policies, pair, [&none, &none, &none], how, now, &sealing)
            });
            match plan {
                Ok(rotation) => planned.push((rotation, at)),
                Err(refusal) => self.give_up(&hit.id, &refusal, now)?,
            }
        }
        Ok(Planned { key, rotations: planned })
    }

    /// Commits rotations, together where nobody interferes.
    fn commit_rotations(
        &self,
        Planned { key, rotations: planned }: &Planned,
        of: Line<'_>,
        now: DateTime,
    ) -> Result<Vec<Fired>, StoreError> {
        // The store got a new key meanwhile, and forgets the one that these are sealed with: the next round plans them anew.
        let sealing = self.keyring.sealing();
        if sealing.key().id() != *key {
            return Ok(Vec::new());
        }
        let fired = |(rotation, at): &(Rotation, DateTime)| Fired {
            at: *at,
            event: Event::rotated(rotation, of.cause()),
        };
        let events = |(rotation, _): &(Rotation, DateTime)| Event::of_rotation(rotation, of.cause(), now);
        let by = || By::Schedule(ROTATION, now);
        let together =
            planned.iter().fold(Batch::new(), |batch, (rotation, _)| rotation_batch(batch, rotation));
        if planned.is_empty() {
            return Ok(Vec::new());
        }
        match self.commit(together, planned.iter().flat_map(events).collect(), by()) {
            Ok(()) => return Ok(planned.iter().map(fired).collect()),
            Err(error) if is_conflict(&error) || is_too_large(&error) => {}
            Err(error) => return Err(error),
        }
        let mut done = Vec::new();
        for one in planned {
            match self.commit(rotation_batch(Batch::new(), &one.0), events(one), by()) {
                Ok(()) => done.push(fired(one)),
                // Somebody changed the pair meanwhile. If it is still due, the next round sees it anew.
                Err(error) if is_conflict(&error) => {}
                // One pair that the store cannot take must not stand in the way of all others.
                Err(error) if is_too_large(&error) => {
                    self.give_up(&one.0.old.private.id, &error.into(), now)?
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// A pair that can never be rotated is filed as such, or every round would meet it again. What failed for a reason
    /// that may pass is tried again.
    fn give_up(&self, private: &str, refusal: &Refusal, now: DateTime) -> Result<(), StoreError> {
        if matches!(refusal.reason, Reason::Internal | Reason::Unavailable) {
            tracing::error!(private, reason = %refusal.message, "the pair cannot be rotated now; it is tried again");
            return Ok(());
        }
        tracing::warn!(private, reason = %refusal.message, "the pair cannot be rotated and is left alone from now on");
        let Some(mut object) = self.fetch(private)? else { return Ok(()) };
        object.policy = None;
        object.remove(kms_protocol::attribute::AttributeKind::RotateAutomatic);
        let event = Event::rotation_failed(&object, &refusal.message);
        self.commit_if_alone(Batch::new().put(object.put()), vec![event], By::Schedule(ROTATION, now))
            .map(|_| ())
    }

    /// Commits unless another request was quicker, whose work is then looked at anew, or it is too much at once.
    fn commit_if_alone(&self, batch: Batch, events: Vec<Event>, by: By<'_, '_>) -> Result<bool, StoreError> {
        match self.commit(batch, events, by) {
            Ok(()) => Ok(true),
            Err(error) if is_conflict(&error) || is_too_large(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes down what dates have brought about.
    fn run_transitions(&self, now: DateTime, fired: &mut Vec<Fired>) -> Result<(), StoreError> {
        let keys = Keys::Between(Vec::new(), model::due_key(now.plus(1)));
        let mut scan = Scan { limit: limits::PAGE, ..Scan::new(Index::Due, keys) };
        loop {
            let hits = self.store.scan(&scan)?;
            let Some(last) = hits.last() else { return Ok(()) };
            scan.after = Some(last.clone());
            let mut settled = Vec::with_capacity(hits.len());
            for hit in &hits {
                let Some(mut object) = self.fetch(&hit.id)? else { continue };
                let at = model::date_in(&hit.key).unwrap_or(now);
                let had_material = object.withheld.is_some();
                if lifecycle::settle(&mut object, now) {
                    let event = match object.written_state() {
                        _ if had_material && object.withheld.is_none() => Event::purged(&object),
                        Some(state) => Event::state_changed(&object, state),
                        None => continue,
                    };
                    settled.push((object, Fired { at, event }));
                }
            }
            self.commit_changed(settled, now, fired)?;
        }
    }

    /// Commits changed objects, together where nobody interferes.
    fn commit_changed(
        &self,
        changed: Vec<(Object, Fired)>,
        now: DateTime,
        fired: &mut Vec<Fired>,
    ) -> Result<(), StoreError> {
        let together = changed.iter().fold(Batch::new(), |batch, (object, _)| batch.put(object.put()));
        if changed.is_empty() {
            return Ok(());
        }
        let by = || By::Schedule("state change", now);
        let events = changed.iter().map(|(_, fired)| fired.event.clone()).collect();
        if self.commit_if_alone(together, events, by())? {
            fired.extend(changed.into_iter().map(|(_, fired)| fired));
            return Ok(());
        }
        for (object, one) in changed {
            if self.commit_if_alone(Batch::new().put(object.put()), vec![one.event.clone()], by())? {
                fired.push(one);
            }
        }
        Ok(())
    }

    /// Destroys the old generations whose time has come. A half waits for the other: what one still protects, the
    /// other must be able to read.
    fn run_destructions(
        &self,
        policy: &Policy,
        after: i64,
        now: DateTime,
        fired: &mut Vec<Fired>,
    ) -> Result<(), StoreError> {
        let from = model::rotation_key(&policy.name, DateTime(i64::MIN));
        let to = model::rotation_key(&policy.name, now.plus(1).plus(-after));
        let mut scan = Scan { limit: limits::PAGE, ..Scan::new(Index::Retired, Keys::Between(from, to)) };
        loop {
            let hits = self.store.scan(&scan)?;
            let Some(last) = hits.last() else { return Ok(()) };
            scan.after = Some(last.clone());
            for hit in &hits {
                let at = model::date_in(&hit.key).unwrap_or(now).plus(after);
                self.destroy_old(&hit.id, policy, at, now, fired)?;
            }
        }
    }

    fn destroy_old(
        &self,
        id: &str,
        policy: &Policy,
        at: DateTime,
        now: DateTime,
        fired: &mut Vec<Fired>,
    ) -> Result<(), StoreError> {
        let (Some(after), Some(mut half)) = (policy.destroy_after, self.fetch(id)?) else { return Ok(()) };
        let other = half.linked(LinkType::PublicKeyLink).or_else(|| half.linked(LinkType::PrivateKeyLink));
        let other = other.map(|id| self.fetch(id)).transpose()?.flatten();
        let mut batch = Batch::new();
        let destroyed = |object: &Object| Event::destroyed(object, Some(&policy.name));
        let mut gone = Vec::new();
        if let Some(mut other) = other {
            lifecycle::settle(&mut other, now);
            let is_destroyed =
                matches!(other.written_state(), Some(State::Destroyed | State::DestroyedCompromised));
            let its_turn = other.retired_since().is_some_and(|since| since.plus(after.seconds) <= now);
            half.is_kept = !is_destroyed && !its_turn;
            if its_turn && lifecycle::destroy(&mut other, policy.deletion_window.seconds, now).is_ok() {
                gone.push((other.id.clone(), destroyed(&other)));
                batch = batch.put(other.put());
            }
        }
        if !half.is_kept && lifecycle::destroy(&mut half, policy.deletion_window.seconds, now).is_err() {
            return Ok(());
        }
        if !half.is_kept {
            gone.push((half.id.clone(), destroyed(&half)));
        }
        let events = gone.iter().map(|(_, event)| event.clone()).collect();
        if self.commit_if_alone(batch.put(half.put()), events, By::Schedule("destruction", now))? {
            for (id, event) in gone {
                self.keys.forget(&id);
                fired.push(Fired { at, event });
            }
        }
        Ok(())
    }
}

/// How a pair is rotated that nobody asked for just now: as its client wished when it was made, else as its policy says.
pub(super) fn automatic(policies: &Policies, pair: &Pair) -> (Dates, Option<i64>) {
    let policy = policies.of(&pair.private);
    let offset = match (pair.private.wished_rotation(), pair.private.rotate_offset()) {
        (Some(_), Some(offset)) => i64::from(offset.0),
        (Some(_), None) => 0,
        (None, _) => policy.map_or(0, |policy| policy.offset.seconds),
    };
    (Dates::Renewed(offset), policy.and_then(Policy::retire_after))
}

/// All keys of a policy's.
fn line(name: &str) -> Keys {
    Keys::Prefix(Key::new().text(name).bytes())
}

fn is_too_large(error: &StoreError) -> bool {
    matches!(error, StoreError::TooLarge { .. })
}

fn earliest(a: Option<DateTime>, b: Option<DateTime>) -> Option<DateTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
