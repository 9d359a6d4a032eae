//! Every limit of the key work, with its reason.

/// The shortest RSA modulus accepted, in bits: shorter ones are broken or soon will be (NIST SP 800-131A), and
/// aws-lc takes none.
pub const RSA_MIN_BITS: usize = 2048;

/// The longest RSA modulus accepted, in bits: a private operation takes eight times as long at twice the length,
/// and aws-lc takes none longer.
pub const RSA_MAX_BITS: usize = 8192;

/// The longest encoded key looked at, in bytes. PKCS#8 of RSA-8192 is under 5 KiB.
pub const ENCODED_KEY_BYTES: usize = 16 * 1024;

/// The longest PKCS#12 container looked at, in bytes. A key and a chain of certificates take 4 to 10 KiB; each key in it may
/// take a million rounds of its password.
pub const CONTAINER_BYTES: usize = 32 * 1024;

/// Certificates of a chain in a PKCS#12 container, at most: chains in use have two to four.
pub const CHAIN: usize = 16;

/// The longest OAEP label (P Source), in bytes: a label is a short constant; without a limit every request could
/// make the server hash a whole message.
pub const OAEP_LABEL_BYTES: usize = 4096;

/// Parsed private keys that are kept, in keys. One of RSA-4096 takes 9 KiB, 16 KiB if it was also used with a mixed
/// mask (measured by `crypto_bench`): a full cache of them takes up to 64 MiB.
pub const PARSED_KEYS: usize = 4096;

/// Ready pairs kept for each key specification, at most. 256 pairs of RSA-4096 take one core about three minutes.
pub const READY_PAIRS: usize = 256;

/// Jobs that wait for a crypto worker, at most. A connection has one request in hand at a time, so this is above
/// what the connections can ask for; reaching it means that something does not wait for its answers.
pub const WAITING_JOBS: usize = 16 * 1024;

/// Crypto workers, at most: more than the cores of any machine in sight only cost memory.
pub const WORKERS: usize = 512;

/// The longest stream that is authenticated, or signed by Ed25519, as a whole, in bytes: it is held until its end.
pub const SEALED_STREAM_BYTES: usize = 4 * 1024 * 1024;

/// The longest key that is derived, in bytes: none in use is longer, and each takes another round of the work.
pub const DERIVED_BYTES: usize = 64 * 1024;

/// The most iterations of PBKDF2: ten million take some seconds, and a request that asks for more only ties up a core.
pub const PBKDF2_ITERATIONS: u32 = 10_000_000;

/// KiB of memory that a user's password may take at a login: 256 MiB, four times what is usual.
pub const PASSWORD_MEMORY_KIB: u32 = 1 << 18;

/// Passes over that memory: with 256 MiB they take seconds.
pub const PASSWORD_PASSES: u32 = 16;
