//! The audit log: who did what when, with what outcome, in files that show when they were changed afterwards.
//!
//! [`Trail`] is the door: the core, the admin API and the listener say what happened, one thread writes it down.
//! - What changes something is recorded in its own commit: the record is in the store with the change (`outbox`), and
//!   moves from there into the log, once and in the order of commits, whatever crashes in between.
//! - What only looks is recorded within [`limits::DELAY`] and a sync of the disk.
//! - What cannot be recorded does not happen. The bytes that come next have their place on disk beforehand; when no more
//!   can be kept aside, the server refuses everything, or everything but what changes nothing ([`OnFull`]).
//! - Each line states the hash of itself and of all before it (`line`), so [`verify()`] finds the first that was changed,
//!   taken out, put in or moved.
//!
//! A record names objects and people, never what is in them.

mod chain;
mod end;
mod events;
pub mod limits;
mod line;
mod outbox;
mod record;
mod segment;
mod show;
mod trail;
mod verify;
mod writer;

pub use chain::{OpenError, Segments};
pub use end::forget as forget_end;
pub use events::{Events, Told};
pub use line::{Line, Marks, Position};
pub use outbox::is_entry;
pub use record::{Outcome, Record, Source, bounded, brief};
pub use show::{Filter, show};
pub use trail::{Access, OnFull, Options, Shut, Status, Trail, TrailError};
pub use verify::{Fault, Report, verify};
