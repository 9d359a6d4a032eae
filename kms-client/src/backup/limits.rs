//! Every limit of the backup side, with its reason.

/// Header of a backup file, in bytes. One RSA-4096 stanza takes about 1 KiB; the age parser reads a header
/// again for each of its lines, so that a large hostile one would cost seconds.
pub const MAX_HEADER: usize = 16 * 1024;
/// The wrapped file key in a stanza, in bytes: RSA-8192, the longest key that the `rsa` crate takes.
pub const MAX_WRAPPED_KEY: usize = 1024;
/// A private key's unique identifier, in bytes. KMIP sets no limit; real servers use a UUID.
pub const MAX_UNIQUE_IDENTIFIER: usize = 256;
/// Address of a KMS, in bytes: the longest DNS name (253) and a port.
pub const MAX_ADDRESS: usize = 260;
/// Name of a job or server, in bytes: it becomes part of a file name, of which 255 bytes exist.
pub const MAX_NAME: usize = 64;
/// A public key as SubjectPublicKeyInfo, in bytes: RSA-8192 takes 1,062.
pub const MAX_PUBLIC_KEY: usize = 2048;
/// A signature, in bytes: RSA-8192 takes 1,024, ECDSA on P-256 at most 72.
pub const MAX_SIGNATURE: usize = 1024;
/// RSA keys shorter than this protect nothing (NIST SP 800-131A).
pub const MIN_RSA_BITS: usize = 2048;

/// A password, in bytes: shorter ones are guessed at, whatever scrypt costs.
pub const MIN_PASSWORD: usize = 8;
/// A password's hint, in bytes: a line that reminds a person, in every header.
pub const MAX_HINT: usize = 128;
/// A password file, in bytes: a password is one line.
pub const MAX_PASSWORD_FILE: u64 = 4096;
/// Salt of scrypt, in bytes: what age itself uses.
pub const PASSWORD_SALT: usize = 16;
/// Work factor of scrypt, as a power of two: 64 MiB and about a quarter of a second.
pub const PASSWORD_WORK: u8 = 16;
/// The highest work factor that a file may ask for: 256 MiB and about a second.
pub const MAX_PASSWORD_WORK: u8 = 18;
/// How often a person is asked for one password.
pub const PASSWORD_ATTEMPTS: u32 = 3;

/// A private key's file, in bytes: one line and some comments.
pub const MAX_KEY_FILE: u64 = 16 * 1024;
/// A recovery request or answer, in bytes: 100,000 files.
pub const MAX_RECOVERY: u64 = 64 * 1024 * 1024;
/// Files that get a new header between two notes in the database: what a kill makes look at again.
pub const REWRAP_BATCH: usize = 500;

/// Folders inside folders, in levels: each holds a file descriptor open, of which processes get 1,024.
pub const MAX_DEPTH: usize = 500;
/// A path inside an archive, in bytes: [`MAX_DEPTH`] names of 255 bytes and their separators.
pub const MAX_ARCHIVE_PATH: usize = MAX_DEPTH * 256;
/// A symbolic link's target, in bytes: Linux allows no more.
pub const MAX_LINK_TARGET: usize = 4096;
/// Extended header (pax) of one entry, in bytes: a time and a description need no more.
pub const MAX_EXTENDED_HEADER: usize = 16 * 1024;
/// A manifest's line, in bytes: the longest path and the longest target, escaped, and what else is said of an entry.
pub const MAX_MANIFEST_LINE: u64 = 3 * (MAX_ARCHIVE_PATH + MAX_LINK_TARGET) as u64 + 4096;
/// Files of one chain: their numbers are part of names, and each is looked for at a restore.
pub const MAX_CHAIN_FILES: u32 = 1_000_000;
/// A chain's metadata, in bytes before compression: [`MAX_CHAIN_FILES`] files are out of reach, 100,000 are not.
pub const MAX_METADATA: u64 = 512 * 1024 * 1024;
/// Bytes of input after which a backup begins its next file, unless told otherwise: what a kill makes a backup do again.
pub const CHECKPOINT: u64 = 4 * 1024 * 1024 * 1024;
/// Warnings kept word for word in a summary; the rest is only counted.
pub const MAX_WARNINGS: usize = 1000;
/// Chains that one job begins in one second in one folder.
pub const MAX_FILES_PER_SECOND: u32 = 1000;

/// Bytes moved at a time between files, compression and encryption.
pub const BLOCK: usize = 256 * 1024;
/// zstd's own default: the best ratio for its time.
pub const ZSTD_LEVEL: i32 = 3;
/// Window that a backup file may ask of the decompressor, as a power of two: 16 MiB of memory.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 24;

/// Sync runs kept in the configuration database, over two years of daily runs.
pub const MAX_SYNC_HISTORY: usize = 1000;
/// How often a locked configuration database is tried again, [`LOCK_PAUSE`] apart: 5 s in all. Commands hold
/// it for milliseconds, never while they talk to a KMS or move data.
pub const LOCK_ATTEMPTS: u32 = 100;
/// Pause between two attempts at a locked configuration database.
pub const LOCK_PAUSE: core::time::Duration = core::time::Duration::from_millis(50);
/// Memory that the configuration database may use as its cache, in bytes.
pub const DATABASE_CACHE: u64 = 16 * 1024 * 1024;

/// How long before a certificate's end the system job warns of it, in days: renewing one takes people some weeks.
pub const CERTIFICATE_WARNING_DAYS: i64 = 30;
/// The longest sleep of the system job, in seconds: a machine that slept, or whose clock was set, is found out so soon.
pub const LONGEST_SLEEP: u64 = 60;

/// The smallest tape, in bytes: a header and something behind it.
pub const MIN_TAPE: u64 = 100_000;
/// What a file takes on a tape beside its contents, in bytes: its line in the catalogue, tar headers and padding.
pub const TAPE_PART: u64 = 8 * 1024;
/// Files on a tape that one record of the database holds: sled does not sync records above 128 KiB.
pub const PARTS_PER_RECORD: usize = 100;
/// An exported database, in bytes: a million backup files of a kilobyte each.
pub const MAX_EXPORT: u64 = 1024 * 1024 * 1024;
