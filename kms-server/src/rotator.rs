//! Does what falls due, as time passes and as it is moved.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kms_protocol::DateTime;
use tracing::{error, info, warn};

use crate::clock::{self, Change, Clock, ClockError};
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
    /// What fired, in order.
    pub fired: Vec<Fired>,
}

impl Rotator {
    /// A rotator that works on `service` by `clock` until `stop`.
    #[must_use]
    pub fn new(service: Arc<dyn Service>, clock: Arc<Clock>, stop: Stop) -> Self {
        Self { service, clock, turn: Mutex::new(()), stop }
    }

    /// What it works on.
    #[must_use]
    pub fn service(&self) -> &Arc<dyn Service> {
        &self.service
    }

    /// Looks each second for what is due, until the server stops.
    pub async fn run(self: Arc<Self>) {
        let mut stop = self.stop.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for ticks in 1_u32.. {
            tokio::select! {
                () = stop.requested() => return,
                _ = tick.tick() => {}
            }
            let rotator = Arc::clone(&self);
            let work = move || {
                if ticks.is_multiple_of(limits::RECOVER_EVERY) {
                    rotator.service.tend();
                }
                rotator.catch_up()
            };
            if let Err(failure) = tokio::task::spawn_blocking(work).await {
                error!(%failure, "what fell due was not done");
            }
        }
    }

    /// Does what is due by now. After real downtime the service catches up with one step.
    pub fn catch_up(&self) -> Vec<Fired> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let mut fired = Vec::new();
        while self.service.next_due().is_some_and(|due| due <= now) {
            let done = self.service.run_due(now);
            if done.is_empty() {
                break; // It could not be done, and the service has logged why; the next tick tries again.
            }
            log(&done);
            fired.extend(done);
        }
        fired
    }

    /// Moves the clock, stepping through every due time on the way: keys see each of them as if time had passed.
    ///
    /// Blocks for as long as the work on the way takes.
    ///
    /// # Errors
    /// [`ClockError`] when the clock refuses; then nothing happened.
    pub fn move_clock(&self, change: &Change) -> Result<Moved, ClockError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock.target(change)?;
        self.service
            .stamp_moved_clock(clock::system_now())
            .map_err(|error| ClockError::Stamp { cause: error.to_string(), hint: error.hint() })?;
        let target = self.clock.depart(change)?;
        let fired = self.step_to(target);
        self.clock.arrive();
        Ok(Moved { now: self.clock.now(), fired })
    }

    fn step_to(&self, target: DateTime) -> Vec<Fired> {
        let mut fired = Vec::new();
        while let Some(due) = self.service.next_due().filter(|due| *due <= target) {
            if self.stop.is_requested() {
                warn!(
                    "the server stops before everything on the way was done; the rest is caught up at its start"
                );
                break;
            }
            self.clock.step(due);
            let done = self.service.run_due(self.clock.now());
            if done.is_empty() {
                warn!(due = clock::text(due), "what fell due was not done; it is tried again each second");
                break;
            }
            log(&done);
            fired.extend(done);
        }
        fired
    }
}

fn log(fired: &[Fired]) {
    for event in fired {
        info!(due = clock::text(event.at), "{}", event.what);
    }
}
