//! A way out of a wait that sled may never end by itself.
//!
//! When a write in the background fails, sled 0.34 records the error, but on one of its paths (a buffer that is
//! written as its last writer leaves, which is every buffer that begins a batch) wakes nobody: a `flush` that waits
//! already waits for ever. Any later `flush` finds the error and wakes all. So while a flush lasts longer than it
//! should, this thread starts another one, ever more rarely.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use super::view::View;

/// How often is looked. A sync takes milliseconds; what lasts from one look to the next is worth a thread.
const LOOK: Duration = Duration::from_secs(1);

/// Watches flushes. Ends with this value.
pub struct Watch {
    /// Odd while a flush is under way.
    beat: Arc<AtomicU64>,
    _stop: SyncSender<()>,
}

impl Watch {
    /// Watches flushes of the view's database.
    pub fn new(view: Arc<RwLock<View>>) -> Self {
        let beat = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = sync_channel(0);
        let seen = Arc::clone(&beat);
        // Without this thread the store works, and a failing disk may hang it: start anyway.
        let started = thread::Builder::new().name("store-watch".to_owned()).spawn(move || {
            let (mut last, mut looks) = (0, 0_u32);
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let now = seen.load(Ordering::Acquire);
                looks = if now % 2 == 1 && now == last { looks + 1 } else { 0 };
                last = now;
                if looks.is_power_of_two() {
                    flush_aside(&view);
                }
            }
        });
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

/// Flushes on a thread of its own, since it may wait too; its number is bounded by doubling waits.
fn flush_aside(view: &Arc<RwLock<View>>) {
    let view = view.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(db) = view.db.clone() {
        let _ = thread::Builder::new().name("store-flush".to_owned()).spawn(move || {
            let _ = super::view::caught("a flush", || Ok(db.flush()));
        });
    }
}
