//! What happens of itself: scheduled Activations and Deactivations, rotations, and the end of old generations.
//!
//! All is found through indexes that are ordered by time; nothing scans all keys.

use kms_protocol::DateTime;
use kms_protocol::enums::State;

use super::keys::rotates_at;
use super::model::{self, Object};
use super::policy::{Policies, Policy};
use super::recorded::By;
use super::rotations::{Line, is_due};
use super::together::{Change, Fate, commit_each, fate};
use super::{Event, Fired, Kms, lifecycle};
use crate::limits;
use crate::store::{Batch, Index, Key, Keys, Scan, StoreError};

/// What was done of what is due.
#[derive(Debug, Default)]
pub struct Round {
    /// What was done, in the order in which it fell due. It stays done whatever came after.
    pub fired: Vec<Fired>,
    /// Whether it ended before all was done: there is more to do at once.
    pub is_cut_short: bool,
    /// What kept the rest from being done.
    pub error: Option<StoreError>,
}

/// One round of what is due.
pub(super) struct Work<'a> {
    pub policies: &'a Policies,
    pub now: DateTime,
    pub go_on: &'a dyn Fn() -> bool,
    /// How many rotations were begun.
    pub rotations: usize,
    pub round: Round,
}

impl Work<'_> {
    /// Whether another rotation may begin. One always may, so that every round gets somewhere.
    pub fn may_go_on(&self) -> bool {
        self.rotations < limits::ROTATIONS_AT_ONCE && (self.rotations == 0 || (self.go_on)())
    }

    /// Notes what was committed.
    pub fn done(&mut self, (fired, failed): (Vec<Fired>, Option<StoreError>)) -> Result<(), StoreError> {
        self.round.fired.extend(fired);
        failed.map_or(Ok(()), Err)
    }
}

impl Kms {
    /// When something falls due next. What is due already counts too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_due(&self) -> Result<Option<DateTime>, StoreError> {
        let mut dates = vec![self.first(Index::Due, Keys::All)?, self.next_rotation(Line::OwnWish)?];
        let policies = self.policies.load();
        for policy in &policies.list {
            dates.push(self.next_rotation(Line::Policy(policy))?);
            if let Some(after) = policy.destroy_after {
                let oldest = self.first(Index::Retired, line(&policy.name))?;
                dates.push(oldest.map(|since| since.plus(after.seconds)));
            }
        }
        Ok(dates.into_iter().flatten().min())
    }

    /// The first date of an index.
    pub(super) fn first(&self, index: Index, keys: Keys) -> Result<Option<DateTime>, StoreError> {
        let hits = self.store.scan(&Scan { limit: 1, ..Scan::new(index, keys) })?;
        Ok(hits.first().and_then(|hit| model::date_in(&hit.key)))
    }

    /// Does what is due at `now`. After each rotation it asks `go_on`; after [`limits::ROTATIONS_AT_ONCE`] of them, or when
    /// told not to go on, it leaves the rest to the next round.
    pub fn run_due(&self, now: DateTime, go_on: &dyn Fn() -> bool) -> Round {
        let policies = self.policies.load_full();
        let mut work = Work { policies: &policies, now, go_on, rotations: 0, round: Round::default() };
        let result = self.run_all(&mut work);
        let mut round = work.round;
        round.error = result.err();
        round.fired.sort_by_key(|fired| fired.at);
        round
    }

    fn run_all(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        // Rotations come first: after a downtime in which a pair was due and then expired it has its successor yet.
        let policies = work.policies;
        for policy in policies.list.iter().filter(|policy| policy.rotate_every.is_some()) {
            self.run_rotations(Line::Policy(policy), work)?;
        }
        self.run_rotations(Line::OwnWish, work)?;
        self.run_transitions(work)?;
        for policy in &policies.list {
            if let Some(after) = policy.destroy_after {
                self.run_destructions(policy, after.seconds, work)?;
            }
        }
        Ok(())
    }

    /// Commits unless another request was quicker, whose work is then looked at anew, or it is too much at once.
    pub(super) fn commit_if_alone(
        &self,
        batch: Batch,
        events: Vec<Event>,
        by: By<'_, '_>,
    ) -> Result<bool, StoreError> {
        Ok(matches!(fate(self.commit(batch, events, by))?, Fate::Done))
    }

    /// Writes down what dates have brought about.
    fn run_transitions(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let now = work.now;
        let keys = Keys::Between(Vec::new(), model::due_key(now.plus(1)));
        let mut scan = Scan { limit: limits::PAGE, ..Scan::new(Index::Due, keys) };
        loop {
            let hits = self.store.scan(&scan)?;
            let Some(last) = hits.last() else { return Ok(()) };
            scan.after = Some(last.clone());
            let mut settled = Vec::with_capacity(hits.len());
            for hit in &hits {
                let Some(Some(mut object)) = self.unless_damaged(self.fetch(&hit.id))? else { continue };
                let at = model::date_in(&hit.key).unwrap_or(now);
                if waits_for_rotation(&object, work.policies, now) {
                    continue;
                }
                if let Some(event) = Event::settle(&mut object, now) {
                    settled.push((object, Fired { at, event }));
                }
            }
            let committed = self.commit_settled(settled, now);
            work.done(committed)?;
        }
    }

    fn commit_settled(
        &self,
        settled: Vec<(Object, Fired)>,
        now: DateTime,
    ) -> (Vec<Fired>, Option<StoreError>) {
        let change = |(object, fired): &(Object, Fired)| Change {
            puts: vec![object.put()],
            events: vec![fired.event.clone()],
        };
        let (fates, failed) = commit_each(settled.iter().map(change).collect(), |batch, events| {
            self.commit(batch, events, By::Schedule("state change", now))
        });
        let done = settled.into_iter().zip(fates).filter(|(_, fate)| matches!(fate, Fate::Done));
        (done.map(|((_, fired), _)| fired).collect(), failed)
    }

    /// Destroys the old generations whose time has come. A half waits for the other: what one still protects, the
    /// other must be able to read.
    fn run_destructions(&self, policy: &Policy, after: i64, work: &mut Work<'_>) -> Result<(), StoreError> {
        let now = work.now;
        let from = model::rotation_key(&policy.name, DateTime(i64::MIN));
        let to = model::rotation_key(&policy.name, now.plus(1).plus(-after));
        let mut scan = Scan { limit: limits::PAGE, ..Scan::new(Index::Retired, Keys::Between(from, to)) };
        loop {
            let hits = self.store.scan(&scan)?;
            let Some(last) = hits.last() else { return Ok(()) };
            scan.after = Some(last.clone());
            for hit in &hits {
                let at = model::date_in(&hit.key).unwrap_or(now).plus(after);
                let Some(Some(half)) = self.unless_damaged(self.fetch(&hit.id))? else { continue };
                let Some(other) = self.unless_damaged(self.other_half(&half))? else { continue };
                for (id, event) in self.destroy_old(half, other, (policy, after), now)? {
                    self.keys.forget(&id);
                    work.round.fired.push(Fired { at, event });
                }
            }
        }
    }

    /// Destroys an old half, and the other with it if that is out of use too; what was destroyed.
    fn destroy_old(
        &self,
        mut half: Object,
        other: Option<Object>,
        (policy, after): (&Policy, i64),
        now: DateTime,
    ) -> Result<Vec<(String, Event)>, StoreError> {
        let window = policy.deletion_window.seconds;
        let destroyed = |object: &Object| Event::destroyed(object, Some(&policy.name));
        let mut batch = Batch::new();
        let (mut events, mut gone) = (Vec::new(), Vec::new());
        if let Some(mut other) = other {
            let settled = Event::settle(&mut other, now);
            let is_destroyed =
                matches!(other.written_state(), Some(State::Destroyed | State::DestroyedCompromised));
            let its_turn =
                !other.is_brought_back && other.retired_since().is_some_and(|since| since.plus(after) <= now);
            half.is_kept = !is_destroyed && !its_turn;
            if its_turn && lifecycle::destroy(&mut other, window, now).is_ok() {
                events.extend(settled);
                gone.push((other.id.clone(), destroyed(&other)));
                batch = batch.put(other.put());
            }
        }
        if !half.is_kept {
            if lifecycle::destroy(&mut half, window, now).is_err() {
                return Ok(Vec::new());
            }
            gone.push((half.id.clone(), destroyed(&half)));
        }
        events.extend(gone.iter().map(|(_, event)| event.clone()));
        let batch = batch.put(half.put());
        let is_done = self.commit_if_alone(batch, events, By::Schedule("destruction", now))?;
        Ok(if is_done { gone } else { Vec::new() })
    }
}

/// Whether an object's end is not to be written down yet, since its pair was due for rotation before and has its successor
/// still to come: it would be taken for one that was out of use.
fn waits_for_rotation(object: &Object, policies: &Policies, now: DateTime) -> bool {
    lifecycle::state_at(object, now) == State::Deactivated
        && rotates_at(object, policies.filed(object)).is_some_and(|at| at <= now && is_due(object, at))
}

/// All keys of a policy's.
pub(super) fn line(name: &str) -> Keys {
    Keys::Prefix(Key::new().text(name).bytes())
}
