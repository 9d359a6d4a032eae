//! What a backup would do.

use std::io;
use std::path::Path;

use super::super::BackupError;
use super::earlier::{Earlier, EarlierState, Known};
use super::entry::Attributes;
use super::walk::{Found, Place, Root, Visitor, Walk, identity};
use super::{Problem, Unobserved, Warnings};

/// How much of `paths` an incremental backup would store, without reading any contents.
///
/// # Errors
/// When a path does not exist, or the earlier manifest cannot be read.
pub fn estimate(roots: &[Root], target: &Path, earlier: &EarlierState) -> Result<Estimate, BackupError> {
    struct Estimator {
        earlier: Earlier,
        estimate: Estimate,
    }
    impl Visitor for Estimator {
        fn visit(
            &mut self,
            at: &Place<'_>,
            now: &Attributes,
            found: Found<'_>,
        ) -> io::Result<Option<Problem>> {
            let known = self.earlier.find(at.archive)?;
            self.estimate.entries += 1;
            let Found::File(_, size) = found else { return Ok(None) };
            self.estimate.bytes += size;
            let same = |known: Known| {
                known.entry.size == size && known.entry.attributes == *now && !known.entry.doubtful
            };
            if !known.is_some_and(same) {
                self.estimate.changed += 1;
                self.estimate.changed_bytes += size;
            }
            Ok(None)
        }
    }
    let failed = |error| BackupError::io("read", target)(error);
    let earlier = Earlier::open(earlier).map_err(failed)?;
    let mut estimator = Estimator { earlier, estimate: Estimate::default() };
    let mut warnings = Warnings::default();
    let mut walk = Walk {
        visitor: &mut estimator,
        observer: &Unobserved,
        warnings: &mut warnings,
        skip: identity(target).ok(),
    };
    roots.iter().try_for_each(|root| walk.root(root)).map_err(failed)?;
    Ok(estimator.estimate)
}

/// What a backup would find and store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Estimate {
    /// Files, folders and links.
    pub entries: u64,
    /// The files' contents, in bytes.
    pub bytes: u64,
    /// Files that are new, or changed by length or attributes.
    pub changed: u64,
    /// Their contents, in bytes.
    pub changed_bytes: u64,
}
