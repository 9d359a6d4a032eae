//! Every limit of the server's edge, each with its reason.

use std::time::Duration;

/// Bytes of one Request Message. The largest honest one is a batch of 1,000 wrapped file keys, about 700 KiB.
pub const MESSAGE: usize = 1 << 20;

/// Bytes asked of a connection at a time: most messages come whole, and an idle connection costs no more.
pub const READ: usize = 8 << 10;

/// Bytes of read buffer that an emptied connection may keep; a large message's buffer is given back.
pub const READ_KEPT: usize = 64 << 10;

/// Connections at once. At about 40 KiB each that is 320 MiB; more than any backup estate opens.
pub const CONNECTIONS: usize = 8_192;

/// Connections that wait for `accept`: a fleet that reconnects after a restart comes in one burst.
pub const BACKLOG: i32 = 1_024;

/// From accept to the end of the TLS handshake; slow links need seconds, nobody needs more.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// Without a request for this long a connection is closed. Clients keep one open between jobs of a chain.
pub const IDLE: Duration = Duration::from_secs(600);

/// From a message's first byte to its last: 1 MiB at 35 KB/s.
pub const MESSAGE_TIME: Duration = Duration::from_secs(30);

/// For a peer to take a response.
pub const WRITE: Duration = Duration::from_secs(30);

/// For the goodbye (`close_notify`) to be written.
pub const CLOSE: Duration = Duration::from_secs(1);

/// For requests in flight when the server stops. Supervisors kill after 10 s at the earliest.
pub const DRAIN: Duration = Duration::from_secs(8);

/// TLS sessions remembered for TLS 1.2 clients without tickets.
pub const SESSIONS: usize = 4_096;

/// Characters of a principal; twice what X.520 allows a common name is still readable in a log.
pub const PRINCIPAL: usize = 128;

/// Bytes of a request body to the admin API; its largest is a policy file.
pub const ADMIN_BODY: usize = 64 << 10;

/// Fired events that one answer of the admin API lists; the rest is counted.
pub const FIRED_LISTED: usize = 10_000;

/// Bytes of a configuration file.
pub const CONFIG: u64 = 1 << 20;

/// Identifiers in one Locate response: 10,000 are half a message. Offset Items goes on from there.
pub const LOCATED: usize = 10_000;

/// Records looked at between two looks at the store, so that a long walk holds little memory.
pub const PAGE: usize = 256;

/// Rotations that share one commit; each writes four records.
pub const ROTATIONS_PER_COMMIT: usize = 128;

/// Bytes of a file that holds a key or a passphrase: a long passphrase and an age key with its comments fit.
pub const SECRET: usize = 4 << 10;

/// KiB of memory that deriving a key from a passphrase may take, whatever a store says: 1 GiB.
pub const KDF_MEMORY_KIB: u32 = 1 << 20;

/// Passes over that memory: with 1 GiB they take about half a minute.
pub const KDF_PASSES: u32 = 16;

/// From one look of a standby for the store's lock to the next: it takes over well within a second.
pub const STANDBY_LOOK: Duration = Duration::from_millis(100);

/// Seconds from one try to take writes again after a failure to the next. Each writes 8 MiB where the disk lets it.
pub const RECOVER_EVERY: u32 = 5;

/// Bytes of a copy of the store that are sent at a time.
pub const COPY_CHUNK: usize = 64 << 10;
