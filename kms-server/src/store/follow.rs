//! Which records changed while somebody copied the store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::limits::MAX_FOLLOWED;
use super::{Record, StoreError};

/// What changes from [`super::Store::follow`] on, until it is dropped.
#[derive(Debug)]
pub struct Followed(Arc<Mutex<Seen>>);

/// Records that changed, each as it is now; `None` for one that is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The records.
    pub records: Vec<(String, Option<Record>)>,
    /// Whether no others changed.
    pub is_all: bool,
}

#[derive(Debug, Default)]
struct Seen {
    ids: BTreeSet<String>,
    lost: Option<&'static str>,
}

impl Followed {
    /// Takes IDs and reads their records. The caller keeps the state from changing meanwhile.
    pub(super) fn take(
        &self,
        limit: usize,
        read: impl Fn(&str) -> Result<Option<Record>, StoreError>,
    ) -> Result<Changed, StoreError> {
        let mut seen = lock(&self.0);
        if let Some(cause) = seen.lost {
            return Err(StoreError::LostSight { cause });
        }
        let mut records = Vec::new();
        while records.len() < limit
            && let Some(id) = seen.ids.pop_first()
        {
            let record = read(&id)?;
            records.push((id, record));
        }
        Ok(Changed { records, is_all: seen.ids.is_empty() })
    }
}

/// Those who follow a store.
#[derive(Debug, Default)]
pub(super) struct Followers(Vec<Weak<Mutex<Seen>>>);

impl Followers {
    /// One more.
    pub(super) fn add(&mut self) -> Followed {
        let seen = Arc::default();
        self.0.push(Arc::downgrade(&seen));
        Followed(seen)
    }

    /// Tells all that these records changed. The caller has just made the change visible, or is about to, and lets
    /// nobody read before this returns.
    pub(super) fn tell(&mut self, changed: &[String]) {
        self.each(|seen| {
            if seen.lost.is_some() {
                return;
            }
            seen.ids.extend(changed.iter().cloned());
            if seen.ids.len() > MAX_FOLLOWED {
                *seen = Seen { lost: Some("too many records changed"), ..Seen::default() };
            }
        });
    }

    /// Tells all that they cannot know what changed.
    pub(super) fn lose(&mut self, cause: &'static str) {
        self.each(|seen| seen.lost = Some(cause));
        self.0.clear();
    }

    fn each(&mut self, tell: impl Fn(&mut Seen)) {
        self.0.retain(|follower| match follower.upgrade() {
            Some(seen) => {
                tell(&mut lock(&seen));
                true
            }
            None => false,
        });
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
