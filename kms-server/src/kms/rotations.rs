//! Rotations that nobody asks for just now: which are due, and how they are done in groups.

use std::thread;

use kms_protocol::DateTime;
use kms_protocol::attribute::Attributes;
use kms_protocol::enums::{LinkType, State};

use super::due::{Work, line};
use super::model::{self, Object};
use super::pairs::{is_sealed_with, joined, rotation_puts, seal};
use super::policy::{OWN_WISH, Policies, Policy};
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::rotation::{Dates, Pair, Rotation};
use super::together::{Change, Fate, commit_each};
use super::{Cause, Event, Fired, Kms, lifecycle};
use crate::limits;
use crate::store::{Batch, Hit, Index, Keys, Scan, StoreError};

/// What the audit log calls a rotation that nobody asked for.
const ROTATION: &str = "rotation";

/// Where the newest generations are found that may be due, and which of them are.
#[derive(Clone, Copy)]
pub(super) enum Line<'a> {
    /// Those that a policy rotates.
    Policy(&'a Policy),
    /// Those whose client asked for it.
    OwnWish,
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

    /// From the date by which a pair is filed to when it is due; `None` where nothing ever is.
    fn interval(&self) -> Option<i64> {
        match self {
            Self::Policy(policy) => Some(policy.rotate_every?.seconds),
            Self::OwnWish => Some(0),
        }
    }
}

/// The rotations of one group, with when each fell due, and what came of them.
type Planned = Vec<(Rotation, DateTime)>;
type Committed = (Vec<Fired>, Option<StoreError>);

impl Kms {
    /// When the next pair of a line is due.
    pub(super) fn next_rotation(&self, of: Line<'_>) -> Result<Option<DateTime>, StoreError> {
        let Some(interval) = of.interval() else { return Ok(None) };
        Ok(self.first(Index::Rotation, line(of.name()))?.map(|date| date.plus(interval)))
    }

    /// Rotates what is due of a line. While one group is committed, the keys of the next are generated.
    pub(super) fn run_rotations(&self, of: Line<'_>, work: &mut Work<'_>) -> Result<(), StoreError> {
        let Some(interval) = of.interval() else { return Ok(()) };
        let now = work.now;
        let from = model::rotation_key(of.name(), DateTime(i64::MIN));
        let to = model::rotation_key(of.name(), now.plus(1).plus(-interval));
        let mut scan = Scan {
            limit: limits::ROTATIONS_PER_COMMIT,
            ..Scan::new(Index::Rotation, Keys::Between(from, to))
        };
        thread::scope(|scope| {
            let mut committing: Option<thread::ScopedJoinHandle<'_, Committed>> = None;
            loop {
                let planned = self.next_group(interval, &mut scan, work);
                if let Some(before) = committing.take() {
                    let committed = before.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    work.done(committed)?;
                }
                let Some(planned) = planned? else { return Ok(()) };
                committing = Some(scope.spawn(move || self.commit_rotations(planned, of, now)));
            }
        })
    }

    /// Plans the next rotations of a line of this interval; none where there are no more, or the round ends.
    fn next_group(
        &self,
        interval: i64,
        scan: &mut Scan,
        work: &mut Work<'_>,
    ) -> Result<Option<Planned>, StoreError> {
        if work.round.is_cut_short {
            return Ok(None);
        }
        let hits = self.store.scan(scan)?;
        let Some(last) = hits.last() else { return Ok(None) };
        scan.after = Some(last.clone());
        let mut planned = Vec::new();
        for hit in &hits {
            let Some(at) = model::date_in(&hit.key).map(|date| date.plus(interval)) else { continue };
            if !work.may_go_on() {
                work.round.is_cut_short = true;
                break;
            }
            if let Some(rotation) = self.plan_due(hit, at, work)? {
                work.rotations += 1;
                planned.push((rotation, at));
            }
        }
        Ok(Some(planned))
    }

    /// Works out the rotation of a pair that was due at `at`, if it still is.
    fn plan_due(&self, hit: &Hit, at: DateTime, work: &Work<'_>) -> Result<Option<Rotation>, StoreError> {
        let Some(Some(private)) = self.unless_damaged(self.fetch(&hit.id))? else { return Ok(None) };
        if !is_due(&private, at) {
            return Ok(None);
        }
        let Some(public) = self.unless_damaged(self.other_half(&private))? else { return Ok(None) };
        // Somebody was quicker between the two looks.
        if public.as_ref().is_some_and(|public| public.linked(LinkType::ReplacementObjectLink).is_some()) {
            return Ok(None);
        }
        let none = Attributes::default();
        let plan = joined(private, public).and_then(|pair| {
            let how = automatic(work.policies, &pair);
            let (mut rotation, secret) =
                self.plan_rotation(work.policies, pair, [&none, &none, &none], how, work.now)?;
            seal(&mut rotation.new.private, &secret, &self.keyring.sealing())?;
            Ok(rotation)
        });
        match plan {
            Ok(rotation) => Ok(Some(rotation)),
            Err(refusal) => self.give_up(&hit.id, &refusal, work.now).map(|()| None),
        }
    }

    /// Commits rotations, together where nobody interferes.
    fn commit_rotations(&self, planned: Planned, of: Line<'_>, now: DateTime) -> Committed {
        let sealing = self.keyring.sealing();
        let key = sealing.key().id();
        // Where the store got a new key meanwhile, it forgets the one that some of these are sealed with: the next round
        // plans them anew.
        let planned: Planned =
            planned.into_iter().filter(|(rotation, _)| is_sealed_with(&rotation.new.private, key)).collect();
        let changes = planned.iter().map(|(rotation, _)| Change {
            puts: rotation_puts(rotation),
            events: Event::of_rotation(rotation, of.cause()),
        });
        let by = |batch, events| self.commit(batch, events, By::Schedule(ROTATION, now));
        let (fates, mut failed) = commit_each(changes.collect(), by);
        drop(sealing);
        let mut fired = Vec::with_capacity(planned.len());
        for ((rotation, at), fate) in planned.iter().zip(fates) {
            match fate {
                Fate::Done => fired.push(Fired { at: *at, event: Event::rotated(rotation, of.cause()) }),
                // If it is still due, the next round sees it anew.
                Fate::Conflict => {}
                // One pair that the store cannot take must not stand in the way of all others.
                Fate::TooLarge(error) => {
                    if let Err(error) = self.give_up(&rotation.old.private.id, &error.into(), now) {
                        failed = Some(error);
                    }
                }
            }
        }
        (fired, failed)
    }

    /// A pair that can never be rotated is marked so, or every round would meet it again. What failed for a reason that
    /// may pass is tried again.
    fn give_up(&self, private: &str, refusal: &Refusal, now: DateTime) -> Result<(), StoreError> {
        if matches!(refusal.reason, Reason::Internal | Reason::Unavailable) {
            tracing::error!(private, reason = %refusal.message, "the pair cannot be rotated now; it is tried again");
            return Ok(());
        }
        let Some(mut object) = self.fetch(private)?.filter(Object::is_up_for_rotation) else { return Ok(()) };
        tracing::warn!(private, reason = %refusal.message, "the pair cannot be rotated and is left alone from now on");
        object.is_left_alone = true;
        let event = Event::rotation_failed(&object, &refusal.message);
        self.commit_if_alone(Batch::new().put(object.put()), vec![event], By::Schedule(ROTATION, now))
            .map(|_| ())
    }
}

/// Whether the pair of a private key is to be rotated that was due at `at`. What was out of use by then is not rotated any
/// more: the date that ended it is about to be written down.
pub(super) fn is_due(private: &Object, at: DateTime) -> bool {
    private.is_up_for_rotation()
        && matches!(lifecycle::state_at(private, at), State::PreActive | State::Active)
}

/// How a pair is rotated that nobody asked for just now: as its client wished when it was made, else as its policy says.
pub(super) fn automatic(policies: &Policies, pair: &Pair) -> (Dates, Option<i64>) {
    let policy = policies.of(pair);
    let offset = match (pair.private.wished_rotation(), pair.private.rotate_offset()) {
        (Some(_), Some(offset)) => i64::from(offset.0),
        (Some(_), None) => 0,
        (None, _) => policy.map_or(0, |policy| policy.offset.seconds),
    };
    (Dates::Renewed(offset), policy.and_then(Policy::retire_after))
}
