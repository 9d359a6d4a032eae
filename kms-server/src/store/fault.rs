//! Failures on demand, at the steps of a commit where a real one would hurt most.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A step of a commit, named by what would come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The disk is asked whether it has room. A failure here is a full disk: commits are refused, and taken once there is room.
    Room,
    /// Nothing is written yet. A failure here fails this group of commits and leaves no trace.
    Apply,
    /// Written, but not yet durable. A failure here is a disk's: the store stops taking writes.
    Sync,
    /// Durable, but nobody was told. A failure here loses the answer, not the commit.
    Acknowledge,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 4] = [Self::Room, Self::Apply, Self::Sync, Self::Acknowledge];
}

type Hook = dyn Fn(Step) -> io::Result<()> + Send + Sync;

/// What is asked before each step of a commit. Without a hook, one comparison.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Hook>>);

impl Faults {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Asks `hook` before each step; what it returns as an error is what the step fails with.
    pub fn new(hook: impl Fn(Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(super) fn reach(&self, step: Step) -> io::Result<()> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(step),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(hook)" } else { "Faults(none)" })
    }
}
