//! Does what falls due, as time passes and as it is moved.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kms_protocol::DateTime;
use tracing::{error, info, warn};

use crate::audit::Trail;
use crate::clock::{self, Change, Clock, ClockError};
use crate::kms::{Fired, Round};
use crate::limits;
use crate::service::Service;
use crate::shutdown::Stop;

/// Runs what is due, one at a time, whether the clock ticks or is moved.
pub struct Rotator {
    service: Arc<dyn Service>,
    clock: Arc<Clock>,
    turn: Mutex<()>,
    /// How many wait for the turn: what falls due by itself gives way to them.
    waiting: AtomicUsize,
    stop: Stop,
}

/// Where a moved clock stands, and what happened on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The time that the clock shows now.
    pub now: DateTime,
    /// What fired, in order; the first [`limits::FIRED_LISTED`] of it.
    pub fired: Vec<Fired>,
    /// How many more fired.
    pub omitted: usize,
    /// Whether there were more than [`limits::CLOCK_STEPS`] due times on the way, so that what was due at those behind them
    /// was done once, at the end.
    pub is_cut_short: bool,
}

impl Rotator {
    /// A rotator that works on `service` by `clock` until `stop`.
    #[must_use]
    pub fn new(service: Arc<dyn Service>, clock: Arc<Clock>, stop: Stop) -> Self {
        Self { service, clock, turn: Mutex::new(()), waiting: AtomicUsize::new(0), stop }
    }

    /// Where what happens is recorded.
    #[must_use]
    pub fn trail(&self) -> Option<&Arc<Trail>> {
        self.service.trail()
    }

    /// What it works on.
    #[must_use]
    pub fn service(&self) -> &Arc<dyn Service> {
        &self.service
    }

    /// Looks each second for what is due, until the server stops.
    pub async fn run(self: Arc<Self>) {
        let mut stop = self.stop.clone();
        let mut tick = tokio::time::interval(limits::TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut recovery = tokio::time::interval(limits::RECOVERY);
        recovery.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let work: fn(&Self) = tokio::select! {
                () = stop.requested() => return,
                _ = tick.tick() => |rotator| drop(rotator.catch_up()),
                _ = recovery.tick() => |rotator| rotator.service.tend(),
            };
            let rotator = Arc::clone(&self);
            if let Err(failure) = tokio::task::spawn_blocking(move || work(&rotator)).await {
                error!(%failure, "what fell due was not done");
            }
        }
    }

    /// Does what is due by now. After real downtime the service catches up with one step. What could not be done, fell due
    /// by being done, or is still to do when somebody else wants the turn, is left to the next tick.
    pub fn catch_up(&self) -> Vec<Fired> {
        let _turn = self.take_turn();
        let now = self.clock.now();
        if self.service.next_due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.run_due(now, &|| !self.stop.is_requested() && self.waiting.load(Ordering::Relaxed) == 0)
    }

    /// Does what is due at `now`, round after round.
    fn run_due(&self, now: DateTime, go_on: &dyn Fn() -> bool) -> Vec<Fired> {
        let mut all = Vec::new();
        loop {
            let Round { fired, is_cut_short, error } = self.service.run_due(now, go_on);
            log(&fired);
            if let Some(error) = &error {
                error!(%error, hint = error.hint(), "the store failed at something that was due; it is tried again");
            }
            let is_over = !is_cut_short || fired.is_empty() || error.is_some() || !go_on();
            all.extend(fired);
            if is_over {
                return all;
            }
        }
    }

    /// Lets `change` change what falls due when, and files all keys anew where it has to be.
    pub fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        let turn = self.wait_for_turn();
        let result = change();
        self.adopt();
        drop(turn);
        result
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.adopt();
        turn
    }

    /// The turn for somebody whom what falls due by itself gives way to.
    fn wait_for_turn(&self) -> MutexGuard<'_, ()> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        turn
    }

    /// Files keys under policies that have changed, as far as that is not done yet.
    fn adopt(&self) {
        while !self.stop.is_requested() && self.service.adopt_some() {}
    }

    /// Moves the clock, stepping through every due time on the way: keys see each of them as if time had passed. After
    /// [`limits::CLOCK_STEPS`] it goes on to the end in one step.
    ///
    /// Blocks for as long as the work on the way takes.
    ///
    /// # Errors
    /// [`ClockError`] when the clock refuses; then nothing happened.
    pub fn move_clock(&self, change: &Change) -> Result<Moved, ClockError> {
        let _turn = self.wait_for_turn();
        self.adopt();
        self.clock.target(change)?;
        self.service
            .stamp_moved_clock(clock::system_now())
            .map_err(|error| ClockError::Stamp { cause: error.to_string(), hint: error.hint() })?;
        let target = self.clock.depart(change)?;
        let mut moved = Moved { now: target, fired: Vec::new(), omitted: 0, is_cut_short: false };
        self.step_to(target, &mut moved);
        self.clock.arrive();
        Ok(Moved { now: self.clock.now(), ..moved })
    }

    fn step_to(&self, target: DateTime, moved: &mut Moved) {
        let mut steps = 0;
        while let Some(first) = self.service.next_due().filter(|due| *due <= target) {
            if moved.is_cut_short {
                break; // Due by what the last step did: the next tick sees to it.
            }
            steps += 1;
            moved.is_cut_short = steps > limits::CLOCK_STEPS;
            let due = if moved.is_cut_short { target } else { first };
            if self.stop.is_requested() {
                warn!(
                    "the server stops before everything on the way was done; the rest is caught up at its start"
                );
                break;
            }
            self.clock.step(due);
            let done = self.run_due(self.clock.now(), &|| !self.stop.is_requested());
            if done.is_empty() && self.service.next_due() == Some(first) {
                warn!(due = clock::text(due), "what fell due was not done; it is tried again each second");
                break;
            }
            moved.note(done);
        }
        if moved.is_cut_short {
            warn!(
                steps = limits::CLOCK_STEPS,
                "the clock was moved past more due times than it steps through; the rest was done at once"
            );
        }
    }
}

impl Moved {
    fn note(&mut self, done: Vec<Fired>) {
        let room = limits::FIRED_LISTED.saturating_sub(self.fired.len());
        self.omitted += done.len().saturating_sub(room);
        self.fired.extend(done.into_iter().take(room));
    }
}

fn log(fired: &[Fired]) {
    for event in fired {
        info!(due = clock::text(event.at), "{}", event.event);
    }
}
