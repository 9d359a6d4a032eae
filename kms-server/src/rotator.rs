//! Does what falls due, as time passes and as it is moved.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kms_protocol::DateTime;
use tracing::{error, info, warn};

use crate::clock::{Change, Clock, ClockError};
use crate::kms::Fired;
use crate::limits;
use crate::service::Service;
use crate::shutdown::Stop;

/// KMIP's time has whole seconds, so a look each second is never late, and nobody need tell of new due times.
const TICK: Duration = Duration::from_secs(1);

/// Runs what is due, one at a time, whether the clock ticks or is moved.
pub struct Rotator {
    service: Arc<dyn Service>,
    clock: Arc<Clock>,
    turn: Mutex<()>,
    stop: Stop,
}

/// Where a moved clock stands, and what happened on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The time that the clock shows now.
    pub now: DateTime,
    /// What fired, in order, up to [`limits::FIRED_LISTED`].
    pub fired: Vec<Fired>,
    /// How many more fired than are listed.
    pub omitted: usize,
}

impl Rotator {
    /// A rotator that works on `service` by `clock` until `stop`.
    #[must_use]
    pub fn new(service: Arc<dyn Service>, clock: Arc<Clock>, stop: Stop) -> Self {
        Self { service, clock, turn: Mutex::new(()), stop }
    }

    /// Looks each second for what is due, until the server stops.
    pub async fn run(self: Arc<Self>) {
        let mut stop = self.stop.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return,
                _ = tick.tick() => {}
            }
            let rotator = Arc::clone(&self);
            if let Err(failure) = tokio::task::spawn_blocking(move || rotator.catch_up()).await {
                error!(%failure, "what fell due was not done");
            }
        }
    }

    /// Does what is due by now. After real downtime the service catches up with one step.
    pub fn catch_up(&self) -> Vec<Fired> {
        let _turn = self.take_turn();
        let now = self.clock.now();
        let mut fired = Fires::default();
        while let Some(due) = self.service.next_due().filter(|due| *due <= now) {
            if self.stop.is_requested() || !self.run_due(now, due, &mut fired) {
                break; // It could not be done, and the service has logged why; the next tick tries again.
            }
        }
        fired.listed
    }

    /// Lets `change` change what falls due when, and files all keys anew where it has to be.
    pub fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Files keys under policies that have changed, as far as that is not done yet.
    fn adopt(&self) {
        while !self.stop.is_requested() && self.service.adopt_some() {}
    }

    /// Does what is due; whether anything came of it.
    fn run_due(&self, now: DateTime, due: DateTime, fired: &mut Fires) -> bool {
        let done = self.service.run_due(now);
        let progress = !done.is_empty() || self.service.next_due() != Some(due);
        log(&done);
        fired.add(done);
        progress
    }

    /// Moves the clock, stepping through every due time on the way: keys see each of them as if time had passed.
    ///
    /// Blocks for as long as the work on the way takes.
    ///
    /// # Errors
    /// [`ClockError`] when the clock refuses; then nothing happened.
    pub fn move_clock(&self, change: &Change) -> Result<Moved, ClockError> {
        let _turn = self.take_turn();
        let target = self.clock.depart(change)?;
        let Fires { listed, omitted } = self.step_to(target);
        self.clock.arrive();
        Ok(Moved { now: self.clock.now(), fired: listed, omitted })
    }

    fn step_to(&self, target: DateTime) -> Fires {
        let mut fired = Fires::default();
        while let Some(due) = self.service.next_due().filter(|due| *due <= target) {
            if self.stop.is_requested() {
                warn!(
                    "the server stops before everything on the way was done; the rest is caught up at its start"
                );
                break;
            }
            self.clock.step(due);
            if !self.run_due(self.clock.now(), due, &mut fired) {
                warn!(
                    due = crate::clock::text(due),
                    "what fell due was not done; it is tried again each second"
                );
                break;
            }
        }
        fired
    }
}

/// What fired, as far as anybody reads it: years of rotations are counted, not remembered.
#[derive(Default)]
struct Fires {
    listed: Vec<Fired>,
    omitted: usize,
}

impl Fires {
    fn add(&mut self, done: Vec<Fired>) {
        let room = limits::FIRED_LISTED.saturating_sub(self.listed.len());
        self.omitted += done.len().saturating_sub(room);
        self.listed.extend(done.into_iter().take(room));
    }
}

fn log(fired: &[Fired]) {
    for event in fired {
        info!(due = crate::clock::text(event.at), "{}", event.what);
    }
}
