//! How much the audit log holds back, keeps and says, and why no more.

use std::time::Duration;

/// Bytes of one segment file, and of the reserve that is kept aside on disk as the next one: about 20,000 records.
pub const SEGMENT_BYTES: u64 = 8 << 20;

/// Segments kept unless the configuration says otherwise: 1 GiB, about 2.5 million records.
pub const KEEP: u32 = 128;

/// The fewest segments that may be kept: the one in use and the one before it.
pub const MIN_KEEP: u32 = 2;

/// How long a record of what changed nothing may wait in memory: one sync of the disk serves all of this time.
pub const DELAY: Duration = Duration::from_millis(100);

/// How often is looked whether a log that cannot be written can be again, and whether the store can.
pub const RETRY: Duration = Duration::from_secs(1);

/// How often the store learns how far the log is where nothing was changed that would tell it.
pub const END_NOTED: Duration = Duration::from_secs(60);

/// Bytes of records that may wait in memory: at 50,000 requests a second, what two seconds of a stalled disk hold up; under
/// `continue-reads` also what may be read while the disk takes no writes.
pub const WAITING_BYTES: usize = 32 << 20;

/// Entries of commits that may wait in the store; each is read and written again. Beyond this the log is taken to fail.
pub const WAITING_COMMITS: usize = 10_000;

/// Entries of commits that are deleted from the store together, once they are in the log.
pub const DELETED_TOGETHER: usize = 64;

/// Records of the store looked at in one go for entries of commits.
pub const PAGE: usize = 256;

/// Objects that one record names; the rest (of a large Locate) is counted.
pub const OBJECTS: usize = 16;

/// Characters of a text that a peer made up: a correlation value, an identifier.
pub const TEXT: usize = 128;

/// Characters of what the server says in its own words, such as the names of all policies; the rest is left out.
pub const DETAIL: usize = 4_096;

/// Bytes that are written and synced at once: more gain nothing.
pub const BLOCK: usize = 1 << 20;

/// Entries deleted from the store in one batch: its batches are bounded.
pub const DELETED_AT_ONCE: usize = 500;

/// How often a reader begins anew because the segment that it wanted was given up meanwhile. Each time 8 MiB were written.
pub const LOOKS: u32 = 5;

/// Bytes of one line. Records are bounded by the limits above, and one that is longer all the same is cut; a longer line is
/// none that this program wrote.
pub const LINE_BYTES: usize = 64 << 10;

/// Events held in memory for those who follow; older ones are read from the log.
pub const EVENTS: usize = 1_024;

/// Events in one answer.
pub const EVENTS_LISTED: usize = 1_000;

/// Refused connections recorded each second; a peer that keeps trying would push honest records out of the log. The
/// rest is counted.
pub const REFUSED_CONNECTIONS: u32 = 20;
