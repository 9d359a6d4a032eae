//! How a server did lately: whether it is asked first, last, or by one request that finds out whether it is back.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::limits;

/// What one server did lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    failures: u32,
    /// Answers in a row that another server gave first.
    outpaced: u32,
    /// Until when other servers are asked first; after that one request tries this one.
    shunned_until: Option<Instant>,
    /// Whether such a request is under way.
    tried: bool,
}

/// Where a server stands among others.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It works, as far as is known.
    Sound,
    /// It failed, and may be back: the holder of this finds out.
    Returning(Trial),
    /// It failed, and is not asked while others can be.
    Shunned,
}

impl Health {
    pub(crate) fn answered(&self) {
        *self.inner() = Inner::default();
    }

    pub(crate) fn failed(&self) {
        self.inner().fail();
    }

    /// Another server was asked as well and answered first. One that always loses is as good as down.
    pub(crate) fn was_outpaced(&self) {
        let mut inner = self.inner();
        inner.outpaced += 1;
        if inner.outpaced >= limits::OUTPACED {
            inner.fail();
        }
    }

    /// Where the server stands; with a trial for one request at a time, where `may_try`.
    pub(crate) fn standing(&self, now: Instant, may_try: bool) -> Standing {
        let mut inner = self.inner();
        match inner.shunned_until {
            None => Standing::Sound,
            Some(until) if until <= now && may_try && !inner.tried => {
                inner.tried = true;
                Standing::Returning(Trial { health: self.clone(), begun: false })
            }
            Some(_) => Standing::Shunned,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn fail(&mut self) {
        let doubled = limits::RETURN_FIRST.saturating_mul(1 << self.failures.min(8));
        self.failures = self.failures.saturating_add(1);
        self.outpaced = 0;
        self.tried = false;
        self.shunned_until = Some(Instant::now() + jittered(doubled.min(limits::RETURN_MOST)));
    }
}

/// The right to find out whether a server is back. Once begun, it is not unless it answers.
#[derive(Debug)]
pub(crate) struct Trial {
    health: Health,
    begun: bool,
}

impl Trial {
    /// The server is being asked.
    pub(crate) fn begin(&mut self) {
        self.begun = true;
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let mut inner = self.health.inner();
        if inner.tried && self.begun {
            inner.fail();
        }
        inner.tried = false;
    }
}

/// Between a half and the whole of `pause`, so that many clients do not come back at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness the pause is merely not jittered.
    let share = aws_lc_rs::rand::fill(&mut random).map_or(255, |()| random[0]);
    pause / 2 + pause * u32::from(share) / 510
}
