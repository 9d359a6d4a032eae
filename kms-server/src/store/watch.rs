//! A way out of a wait that sled may never end by itself.
//!
//! When a write in the background fails, sled 0.34 records the error, but on one of its paths (a buffer that is
//! written as its last writer leaves, which is every buffer that begins a batch) wakes nobody: a `flush` that waits
//! already waits for ever. Any later `flush` finds the error and wakes all. So while a flush lasts longer than it
//! should, this thread starts another one, ever more rarely.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How often is looked. A flush takes milliseconds; what lasts from one look to the next is worth a thread.
pub const LOOK: Duration = Duration::from_secs(1);

/// Watches flushes, until it is dropped.
pub struct Watch {
    /// Odd while a flush is under way.
    beat: Arc<AtomicU64>,
    _stop: SyncSender<()>,
}

impl Watch {
    /// Looks every `look`, and calls `wake` after the 1st, 2nd, 4th, 8th… look that finds the same flush.
    pub fn new(look: Duration, wake: impl Fn() + Send + 'static) -> Self {
        let beat = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = sync_channel(0);
        let seen = Arc::clone(&beat);
        let started = thread::Builder::new().name("store-watch".to_owned()).spawn(move || {
            let (mut last, mut looks) = (0, 0_u32);
            while stopped.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                let now = seen.load(Ordering::Acquire);
                looks = if now % 2 == 1 && now == last { looks + 1 } else { 0 };
                last = now;
                if looks.is_power_of_two() {
                    wake();
                }
            }
        });
        // Without this thread the store works, and only a failing disk may hang it: go on.
        if let Err(error) = started {
            tracing::warn!(%error, "no thread to watch the store's flushes");
        }
        Self { beat, _stop: stop }
    }

    /// A flush begins; it ends when the result is dropped.
    pub fn begin(&self) -> Flushing<'_> {
        self.beat.fetch_add(1, Ordering::AcqRel);
        Flushing(&self.beat)
    }
}

/// A flush under way.
pub struct Flushing<'a>(&'a AtomicU64);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_flush_that_does_not_end_is_woken_again_and_again() {
        let (woken, wakes) = channel();
        let watch = Watch::new(Duration::from_millis(1), move || woken.send(()).unwrap());
        let flushing = watch.begin();
        for _ in 0..3 {
            wakes.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        drop(flushing);
        drop(watch);
        // The thread ends, and with it the sender: nothing is woken for ever.
        while wakes.recv_timeout(Duration::from_secs(60)).is_ok() {}
        assert!(wakes.recv().is_err());
    }
}
