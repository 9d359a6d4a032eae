//! What earlier backups found, gone through beside the walk of the next one.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use super::manifest::{ManifestEntry, ManifestReader, order};

/// An earlier entry, and when it was last known to be as the manifest says.
pub struct Known {
    pub entry: ManifestEntry,
    pub at: i64,
}

/// The manifests of earlier backups, newest first: those of backups that were ended before they were whole, each with how
/// many bytes of it count, then that of the newest complete point.
pub type EarlierState = Vec<(PathBuf, u64)>;

/// Reads the earlier state in the walk's order: what the newest backup had done before it was ended, then what one before
/// it knows of the rest.
#[derive(Default)]
pub struct Earlier {
    manifests: VecDeque<(ManifestReader<BufReader<File>>, u64)>,
    /// The last path so far: what comes before it in older manifests counts no more.
    done: Option<Vec<u8>>,
    next: Option<Known>,
}

impl Earlier {
    pub fn open(state: &EarlierState) -> io::Result<Self> {
        let open = |(path, length): &(PathBuf, u64)| Ok((ManifestReader::open(path)?, *length));
        let manifests = state.iter().map(open).collect::<io::Result<_>>()?;
        let mut earlier = Self { manifests, done: None, next: None };
        earlier.step()?;
        Ok(earlier)
    }

    fn step(&mut self) -> io::Result<()> {
        self.next = None;
        while let Some((reader, length)) = self.manifests.front_mut() {
            let entry = if reader.position() < *length { reader.next()? } else { None };
            let Some(entry) = entry else {
                self.manifests.pop_front();
                continue;
            };
            let is_new = |done: &Vec<u8>| order(&entry.path, done) == Ordering::Greater;
            if self.done.as_ref().is_none_or(is_new) {
                self.done = Some(entry.path.clone());
                self.next = Some(Known { entry, at: reader.start().created });
                break;
            }
        }
        Ok(())
    }

    /// The earlier entry of that path, which must come after all that were asked for before.
    pub fn find(&mut self, path: &[u8]) -> io::Result<Option<Known>> {
        while let Some(known) = &self.next {
            match order(&known.entry.path, path) {
                Ordering::Less => self.step()?,
                Ordering::Greater => return Ok(None),
                Ordering::Equal => {
                    let found = self.next.take();
                    self.step()?;
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }
}
