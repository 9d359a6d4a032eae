//! Every limit of the server's edge, each with its reason.

use std::time::Duration;

use crate::period::Period;

/// Bytes of one Request Message. The largest honest one is a batch of 1,000 wrapped file keys, about 700 KiB.
pub const MESSAGE: usize = 1 << 20;

/// Bytes of payload after which further items of a batch are refused, lest 1,000 large objects be asked for in one small
/// message. A batch of 1,000 Get or Get Attributes of RSA-4096 keys has 3 MiB.
pub const RESPONSE: usize = 8 << 20;

/// Bytes of the attributes that a client gives to one object. Names, groups and a tag or two are under 1 KiB; every
/// rotation carries them on, twice.
pub const ATTRIBUTES: usize = 64 << 10;

/// Bytes asked of a connection at a time: most messages come whole, and an idle connection costs no more.
pub const READ: usize = 8 << 10;

/// Bytes of read buffer that an emptied connection may keep; a large message's buffer is given back.
pub const READ_KEPT: usize = 64 << 10;

/// Connections at once. At about 40 KiB each that is 320 MiB; more than any backup estate opens.
pub const CONNECTIONS: usize = 8_192;

/// File descriptors kept from connections: the store has about ten open and needs a few more now and then, the admin API
/// one for each of its callers.
pub const OTHER_FILES: usize = 128;

/// Connections that wait for `accept`: a fleet that reconnects after a restart comes in one burst.
pub const BACKLOG: i32 = 1_024;

/// From accept to the end of the TLS handshake; slow links need seconds, nobody needs more.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// Without a request for this long a connection is closed. Clients keep one open between jobs of a chain.
pub const IDLE: Duration = Duration::from_secs(600);

/// From a message's first byte to its last: 1 MiB at 35 KB/s.
pub const MESSAGE_TIME: Duration = Duration::from_secs(30);

/// Bytes of a request's body over HTTPS. XML takes about five times what TTLV does, whose limit holds for what is read from it.
pub const HTTPS_BODY: usize = 8 << 20;

/// From a connection's beginning, or from an answer, to the end of the next request's head over HTTPS. Clients keep one
/// open between a few requests; a new one costs them 20 ms.
pub const HTTPS_HEAD: Duration = Duration::from_secs(60);

/// Bytes of a request's head, and of what is read at a time: a few hundred are usual.
pub const HTTPS_BUFFER: usize = 64 << 10;

/// For a peer to take a response.
pub const WRITE: Duration = Duration::from_secs(30);

/// For a client to answer what the server tells it (Notify, Put): it only takes note.
pub const TOLD: Duration = Duration::from_secs(30);

/// Bytes of such an answer, which has no payload: that to a probe lists operations and versions.
pub const TOLD_ANSWER: usize = 64 << 10;

/// How often a client that was told nothing is asked whether it is still there. Its firewalls then keep the connection too.
pub const TOLD_PROBE: Duration = Duration::from_secs(60);

/// From one attempt to reach a client that waits to be told to the next, at first; twice as long each time.
pub const REACH_RETRY: Duration = Duration::from_secs(1);

/// The longest such pause: a client that is back learns of everything within this time.
pub const REACH_RETRY_MOST: Duration = Duration::from_secs(60);

/// Clients that the server reaches by itself: each has a task and a connection.
pub const REACHED: usize = 256;

/// For the goodbye (`close_notify`) to be written.
pub const CLOSE: Duration = Duration::from_secs(1);

/// For requests in flight when the server stops. Supervisors kill after 10 s at the earliest.
pub const DRAIN: Duration = Duration::from_secs(8);

/// TLS sessions remembered for TLS 1.2 clients without tickets.
pub const SESSIONS: usize = 4_096;

/// Items of a message that only reads, up to which it is answered on the thread that received it; a larger batch would keep
/// the connections of that thread waiting.
pub const INLINE: usize = 16;

/// Requests that wait for the disk at the same time, each on one of the runtime's 512 threads for that. The store makes one
/// commit of up to 256.
pub const BLOCKING: usize = 256;

/// Requests that may generate keys at the same time. Pairs that are ready only wait for the disk, so this is more than the
/// cores; and it leaves threads to everything else, however many pairs are asked for.
pub const GENERATING: usize = 64;

/// Characters of a principal; twice what X.520 allows a common name is still readable in a log.
pub const PRINCIPAL: usize = 128;

/// Objects that a persona whose reads are late remembers as unread; beyond that the oldest are shown at once. A client that
/// makes more pairs than this without reading one tests something else.
pub const UNREAD: usize = 1_024;

/// How often a store that takes no writes is asked to try again. Trying writes some MiB and opens the store anew.
pub const RECOVERY: Duration = Duration::from_secs(10);

/// Bytes of a request body to the admin API; its largest is a policy file.
pub const ADMIN_BODY: usize = 64 << 10;

/// Fired events that one answer of the admin API lists; the rest is counted.
pub const FIRED_LISTED: usize = 10_000;

/// Due times that one move of the clock stops at; what is due after that is done at once where the move ends. A pair that
/// rotates daily gets through two years and a half, and none makes the server generate keys for a day.
pub const CLOCK_STEPS: usize = 1_000;

/// How long a request for events may wait for one. Shorter than what proxies and clients give up after.
pub const EVENTS_WAIT: Duration = Duration::from_secs(30);

/// For a webhook to answer. Who needs longer takes the event first and works on it later.
pub const WEBHOOK_ANSWER: Duration = Duration::from_secs(5);

/// How often is looked for events that webhooks want. Each is sent within this time of its commit.
pub const WEBHOOK_LOOK: Duration = Duration::from_millis(200);

/// Looks after which is noted how far a webhook is that wants none of what happens: a minute, so that little is read again
/// after a restart and little is written before.
pub const WEBHOOK_LOOKS: u32 = 300;

/// Before an event is sent to a webhook again; twice as long each time.
pub const WEBHOOK_RETRY: Duration = Duration::from_millis(500);

/// The longest that a webhook which fails is left alone: when it works again it learns of that within this time.
pub const WEBHOOK_RETRY_MOST: Duration = Duration::from_secs(300);

/// Bytes of a webhook's secret: more than the hash's block adds nothing, fewer can be guessed.
pub const WEBHOOK_SECRET: std::ops::RangeInclusive<usize> = 16..=1_024;

/// How long before a certificate of the server's own expires those who follow are told, each day.
pub const CERTIFICATE_NOTICE: Duration = Duration::from_secs(30 * 86_400);

/// Bytes of a configuration file.
pub const CONFIG: u64 = 1 << 20;

/// Identifiers in one Locate response: 10,000 are half a message. Offset Items goes on from there.
pub const LOCATED: usize = 10_000;

/// Objects looked at by the Locates of one message, after which no further one begins. A single Locate may look at all that
/// its caller has; a batch of 1,000 of them would keep a thread for hours, whether or not anybody waits.
pub const LOOKED_AT: usize = 100_000;

/// Certificates of one chain that Validate examines: the longest in use have five.
pub const CHAIN: usize = 16;

/// Seconds that a ticket is good for where its Login does not say: a working step of a script.
pub const TICKET_LEASE: i64 = 3_600;

/// Seconds that a ticket is good for at most: a day's work. Who needs longer has a certificate.
pub const TICKET_LEASE_MOST: i64 = 86_400;

/// Tickets of one principal at once: one for each of its programs, so that one that never logs out shuts out no other
/// principal.
pub const TICKETS_EACH: usize = 100;

/// Tickets at once. The largest has some 100 KiB of rights; the usual one has 200 bytes.
pub const TICKETS: usize = 10_000;

/// Rights of one ticket: each is looked at for each object.
pub const RIGHTS: usize = 32;

/// Operations, objects and groups that one right lists.
pub const RIGHT_LISTS: usize = 64;

/// Principals that have set defaults or constraints: all are looked at for each new object.
pub const RULES: usize = 256;

/// Records looked at between two looks at the store, so that a long walk holds little memory.
pub const PAGE: usize = 256;

/// Rotations that share one commit; each writes four records.
pub const ROTATIONS_PER_COMMIT: usize = 128;

/// Rotations in one round, after which what was done is told and others get their turn.
pub const ROTATIONS_AT_ONCE: usize = 8_192;

/// After a failure of the store, before sealing it anew goes on.
pub const REKEY_RETRY: Duration = Duration::from_secs(1);

/// The work that an age passphrase may ask for, as a power of two: about a minute.
pub const MAX_WORK_FACTOR: u8 = 22;

/// Problems that a check of the store lists one by one; more are only counted.
pub const PROBLEMS: usize = 1_000;

/// How often something is looked at that changes while the store is checked.
pub const LOOKS: u32 = 5;

/// How often the rotator looks for what is due. KMIP's time has whole seconds, so a look each second is never late, and
/// nobody need tell of new due times.
pub const TICK: Duration = Duration::from_secs(1);

/// Damaged records that are remembered, so that each is told once.
pub const DAMAGED: usize = 1_000;

/// Policies: each is asked each second for what it has due.
pub const POLICIES: usize = 1_000;

/// Bytes of a policy's name: it begins keys of the store, which have 520.
pub const POLICY_NAME: usize = 128;

/// Patterns of all policies together: each is compared with all others, which takes seconds at the worst.
pub const PATTERNS: usize = 2_000;

/// Characters of a pattern: twice the longest host name's label with an asterisk at each end.
pub const PATTERN: usize = 128;

/// The shortest Rotate Interval that a client may ask for where no policy says `least-interval`: each rotation makes two
/// objects that stay.
pub const LEAST_INTERVAL: Period = Period { seconds: 3_600 };

/// Connections to the admin API at once; more wait. Those who follow events hold one each.
pub const ADMIN_CONNECTIONS: usize = 64;

/// For a caller of the admin API to send a request: its head, and then its body. Also how long it may keep a connection
/// that it asks nothing over.
pub const ADMIN_REQUEST: Duration = Duration::from_secs(10);

/// Keys in one page of the admin API: about 600 KiB of JSON.
pub const KEYS_LISTED: usize = 1_000;

/// Keys looked at for one page of the admin API, so that a filter that nothing matches answers within a second.
pub const KEYS_SEEN: usize = 20_000;

/// Bytes of a file that holds a key or a passphrase: a long passphrase and an age key with its comments fit.
pub const SECRET: usize = 4 << 10;

/// KiB of memory that deriving a key from a passphrase may take, whatever a store says: 1 GiB.
pub const KDF_MEMORY_KIB: u32 = 1 << 20;

/// Passes over that memory: with 1 GiB they take about half a minute.
pub const KDF_PASSES: u32 = 16;

/// From one look of a standby for the store's lock to the next: it takes over well within a second.
pub const STANDBY_LOOK: Duration = Duration::from_millis(100);

/// Chunks of a copy of the store that wait to be sent.
pub const COPY_CHUNKS: usize = 4;

/// Bytes of a copy of the store that are sent at a time.
pub const COPY_CHUNK: usize = 64 << 10;

/// How often an item starts over because others changed its object at the same moment. Each time one of them got
/// through, so this many in a row means a crowd on one object.
pub const CONFLICTS: usize = 16;

/// How long a client may hold an object in a cache before it asks again, in seconds: an hour, since a revocation is to be
/// noticed within the working day.
pub const LEASE: u32 = 3_600;

/// Streams under way at a time, of all clients: each holds a cipher's state, and an authenticated one its data.
pub const STREAMS: usize = 256;

/// Streams under way at a time of one client, so that one cannot take the place of all.
pub const STREAMS_EACH: usize = 32;

/// How long a stream waits for its next part, in seconds.
pub const STREAM_IDLE: i64 = 300;

/// Items put off at a time, of all clients: those that wait, and those whose outcome nobody has asked for yet.
pub const LATER: usize = 1_024;

/// The same of one client, so that one cannot take the place of all: a batch of a whole backup job fits.
pub const LATER_EACH: usize = 256;

/// Bytes of requests that wait, and of outcomes that nobody has asked for yet.
pub const LATER_BYTES: usize = 64 << 20;

/// How long an item waits, and its outcome is kept, in seconds: clients poll within minutes.
pub const LATER_KEPT: i64 = 3_600;

/// Threads that work what was put off: those who wait for an answer go first on any number of cores.
pub const LATER_THREADS: usize = 2;

/// The most random bytes that one request takes: keys are short, and who wants a file of them has a generator.
pub const RANDOM: usize = 64 << 10;

/// The longest key of an HMAC that is made here, in bits.
pub const LONGEST_KEY: i32 = 65_536;

/// The most parts that a key is split into.
pub const SPLIT_PARTS: i32 = 64;

/// Faults armed at once: each is looked at for every request. A hundred tests that run side by side arm a few each.
pub const FAULTS: usize = 1_000;

/// The longest that a fault may hold something up; no client waits longer.
pub const FAULT_TIME: Duration = Duration::from_secs(3_600);

/// Exchanges in the journal unless told otherwise: what a test suite or an afternoon of trying out causes.
pub const JOURNAL: usize = 10_000;

/// The most that may be asked for.
pub const JOURNAL_MOST: usize = 1_000_000;

/// Bytes of all that the journal keeps, whatever the number of exchanges.
pub const JOURNAL_BYTES: usize = 64 << 20;

/// Bytes of a message that is kept in the journal; of a longer one only what was done is. A Get of an RSA-4096 key has 3 KiB.
pub const JOURNAL_MESSAGE: usize = 64 << 10;

/// Exchanges in one answer of the admin API, where no fewer are asked for.
pub const JOURNAL_PAGE: usize = 1_000;

/// Generations of a pair that are tried in looking for what would have decrypted something: with sixteen pairs of hashes
/// each, half a second of RSA-4096.
pub const GENERATIONS_TRIED: usize = 8;

/// Generations of one pair that an exported seed tells; a pair that rotates daily has as many in three years.
pub const GENERATIONS_TOLD: usize = 1_000;

/// Bytes of a seed: ten thousand pairs.
pub const SEED: u64 = 8 << 20;

/// Bytes that the tools for messages take at once: a capture of an afternoon.
pub const WIRE_INPUT: usize = 64 << 20;

/// For a recorded server to take a request or give an answer; what generates keys takes seconds.
pub const UPSTREAM: Duration = Duration::from_secs(60);

/// Exchanges of a cassette that an answer names where several could be meant: one line of a log takes no more.
pub const EXCHANGES_TOLD: usize = 5;

/// Bytes of a cassette: tens of thousands of exchanges.
pub const CASSETTE: u64 = 256 << 20;
