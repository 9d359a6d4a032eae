//! Many changes that need not happen together: one commit for all where nobody interferes, else one for each.

use super::Event;
use super::pairs::is_conflict;
use crate::store::{Batch, Put, StoreError};

/// Something that happens wholly or not at all.
#[derive(Debug)]
pub(super) struct Change {
    pub puts: Vec<Put>,
    /// What those who follow are told of it.
    pub events: Vec<Event>,
}

/// What became of a change.
#[derive(Debug)]
pub(super) enum Fate {
    Done,
    /// Somebody else was quicker. It is to be looked at anew.
    Conflict,
    /// The store cannot take it, even by itself.
    TooLarge(StoreError),
}

impl Change {
    /// A change that nobody is told of.
    pub fn quiet(puts: Vec<Put>) -> Self {
        Self { puts, events: Vec::new() }
    }
}

/// Commits `changes` and says what became of each, in their order. When the store fails, that is the error, and the fates
/// are those of the changes before.
pub(super) fn commit_each(
    changes: Vec<Change>,
    mut commit: impl FnMut(Batch, Vec<Event>) -> Result<(), StoreError>,
) -> (Vec<Fate>, Option<StoreError>) {
    let mut fates = Vec::with_capacity(changes.len());
    if changes.len() > 1 {
        let puts = changes.iter().flat_map(|change| change.puts.iter().cloned()).collect();
        let events = changes.iter().flat_map(|change| change.events.iter().cloned()).collect();
        match fate(commit(Batch { puts, deletes: Vec::new() }, events)) {
            Ok(Fate::Done) => {
                fates.extend(changes.iter().map(|_| Fate::Done));
                return (fates, None);
            }
            Ok(_) => {}
            Err(error) => return (fates, Some(error)),
        }
    }
    for Change { puts, events } in changes {
        match fate(commit(Batch { puts, deletes: Vec::new() }, events)) {
            Ok(fate) => fates.push(fate),
            Err(error) => return (fates, Some(error)),
        }
    }
    (fates, None)
}

/// What became of a change that was committed so.
pub(super) fn fate(result: Result<(), StoreError>) -> Result<Fate, StoreError> {
    match result {
        Ok(()) => Ok(Fate::Done),
        Err(error) if is_conflict(&error) => Ok(Fate::Conflict),
        Err(error @ StoreError::TooLarge { .. }) => Ok(Fate::TooLarge(error)),
        Err(error) => Err(error),
    }
}
