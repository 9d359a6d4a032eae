//! How much the store takes, and why no more.
//!
//! The sizes follow from one fact about sled 0.34: a page above a quarter of a segment (256 KiB of
//! [`SEGMENT_BYTES`]) goes to a file in `blobs/` that sled never syncs. A leaf holds up to 20 entries before
//! it splits (16, and 3 that a merge may add), an index node up to 319 (256, and 63). So an entry stays
//! below 13 KB and a key below 820 bytes, whatever a peer sends.

use std::time::Duration;

/// The unit in which sled writes and reuses its file. Fixed when a store is created; sled refuses another.
pub const SEGMENT_BYTES: usize = 1024 * 1024;

/// How much of a record goes into one entry of the database: 20 such entries are 164 KiB of the 256 KiB.
pub const CHUNK_BYTES: usize = 8 * 1024;

/// A record's value. KMIP messages end at 1 MiB, so no object arrives that is larger.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// A record's ID. Unique Identifiers made here are UUIDs of 36; imported ones are what another server made, and the longest
/// of those known are 64.
pub const MAX_ID_BYTES: usize = 128;

/// A term's key, bytes 0 and 1 counted twice, as the database writes them: an owner and a Name of 255
/// bytes each fit. With the ID behind it, an entry's key stays below 820 bytes.
pub const MAX_TERM_BYTES: usize = 520;

/// Terms of one record. A key pair's half has about ten; names and links add one each.
pub const MAX_TERMS: usize = 64;

/// Records in one batch, bounding the time that others wait behind it. One rotation writes five.
pub const MAX_BATCH_RECORDS: usize = 1_000;

/// Bytes in one batch, values and terms; it is held in memory about four times while it is committed.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Commits that share one sync: beyond this the sync costs nothing any more, and the first one only waits.
pub const MAX_GROUP_COMMITS: usize = 256;

/// Bytes that are enough for a group to be closed. The last batch taken may exceed it by its own size.
pub const MAX_GROUP_BYTES: usize = 512 * 1024;

/// Commits that wait for the commit thread. Each holds up its own caller, so callers bound it first.
pub const MAX_WAITING_COMMITS: usize = 1_024;

/// Hits in one page of a scan, however many are asked for.
pub const MAX_SCAN_HITS: usize = 4_096;

/// Bytes of values after which a page of records ends, so that a walk over large records stays in memory.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// sled's page cache unless the caller says otherwise. It counts bytes on disk: in memory it is about double.
pub const DEFAULT_CACHE_BYTES: u64 = 128 * 1024 * 1024;

/// The smallest cache: a few of the largest batches, or one commit would evict what it is writing.
pub const MIN_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// What stays free on the disk unless the caller says otherwise. A commit that the disk has no room for breaks
/// sled until it is opened again, which takes room too: so the store stops first. The largest group writes about
/// 20 MiB, the page table of a million records takes 30 MiB.
pub const DEFAULT_RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// What must fit on the disk before a store that stopped writing starts again, so that it does not flap.
pub const RECOVERY_PROBE_BYTES: usize = 8 * 1024 * 1024;

/// A note and its name. Notes are a handful, each a few hundred bytes; an entry of the database holds it whole.
pub const MAX_NOTE_BYTES: usize = 4 * 1024;

/// Between two tries to open a store that was closed a moment ago. sled's background threads may still hold its file; our
/// own lock keeps all others out, so only they can be meant, and waiting is right.
pub const REOPEN_PAUSE: Duration = Duration::from_millis(10);

/// How many such tries: 5 s in all.
pub const REOPEN_TRIES: u32 = 500;

/// Records read between two looks at the store while it is copied or checked, so that little memory is held.
pub const COPY_PAGE: usize = 256;

/// Changed records that are remembered for whoever copies the store meanwhile, about 20 MiB of IDs. A copy of a million
/// records takes a minute or two: in that time this is 1,000 changes a second and more.
pub const MAX_FOLLOWED: usize = 200_000;
