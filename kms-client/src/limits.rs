//! Every limit of the client, each with its reason. The backup side has its own.

use core::time::Duration;

/// The longest answer taken, in bytes. A batch of 250 Get Attributes is answered with about 400 kB; a Locate that finds
/// 100,000 objects with 5 MB. A connection allocates no more than this, whatever a server states. The server learns of
/// it as Maximum Response Size.
pub const RESPONSE: usize = 8 << 20;

/// The longest request sent, in bytes: what a server of this protocol has to take.
pub const REQUEST: usize = kms_protocol::limits::MESSAGE;

/// Bytes of the head of an answer over HTTPS: a few hundred are usual.
pub const HTTP_HEAD: usize = 16 << 10;

/// Headers in it: a dozen are usual, and proxies add some.
pub const HTTP_HEADERS: usize = 64;

/// How many times longer than [`RESPONSE`] an answer in XML or JSON may be.
pub const HTTP_TEXT: usize = 8;

/// What a request's header takes at most, in bytes, besides its batch items.
pub const HEADER: usize = 256;

/// The most items put into one message. More gain nothing: at 250 the way over the wire is 1 % of a decryption, and
/// several messages of this size keep the server busy while the client encodes and decodes.
pub const BATCH: usize = 250;

/// How many messages of one batch are under way at once.
pub const MESSAGES_AT_ONCE: usize = 3;

/// How long a request may take, all its steps together, where the caller states nothing. Backup products wait 30 s.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What stands for every longer duration in the settings. A point in time that lies this far ahead can be told.
pub const ENDLESS: Duration = Duration::from_secs(366 * 86_400);

/// How long resolving, connecting and the TLS handshake may take for one server. A server that needs longer is down.
pub const CONNECT: Duration = Duration::from_secs(5);

/// The longest list of revoked certificates that the doctor reads, in bytes: those of large public authorities have this.
pub const REVOCATION_LIST: u64 = 16 << 20;

/// How long one server of several may take to answer a request that another one can answer as well.
pub const ATTEMPT: Duration = Duration::from_secs(2);

/// What each further item of a batch adds to [`ATTEMPT`]: an RSA-4096 decryption on one busy core, thrice.
pub const ATTEMPT_PER_ITEM: Duration = Duration::from_millis(5);

/// How long a connection may lie idle and still be used: network HSMs drop them after 30 s without a word.
pub const IDLE: Duration = Duration::from_secs(25);

/// The same for a request that must not be repeated: it goes over a connection that was in use just now, or a new one.
pub const IDLE_UNREPEATABLE: Duration = Duration::from_secs(2);

/// Connections to one server in use at a time, and as many idle ones. A server with two cores gains nothing from more.
pub const CONNECTIONS: usize = 8;

/// The first pause after a server failed, before it is tried again ahead of others; doubled at each failure.
pub const RETURN_FIRST: Duration = Duration::from_millis(500);

/// The longest such pause.
pub const RETURN_MOST: Duration = Duration::from_secs(30);

/// After how long another server is asked as well where one that failed is tried again: the one request that finds out
/// whether it is back must not pay for it.
pub const TRIAL: Duration = Duration::from_millis(50);

/// After how many answers in a row that another server gave first one is taken for failed: nobody should wait for it
/// first any more.
pub const OUTPACED: u32 = 8;

/// The first pause between two rounds over all servers while the caller's patience lasts; doubled each time, so that a
/// server that comes back is not run over by all clients at once.
pub const ROUND: Duration = Duration::from_millis(250);

/// The longest such pause: what a server's return may go unnoticed. Jittered, it spreads a hundred clients over half a
/// second.
pub const ROUND_MOST: Duration = Duration::from_secs(1);

/// How long a server that tells what happens may say nothing, before it is asked for anew over another connection: a server
/// of this project asks each minute whether its client is still there.
pub const TOLD_SILENCE: Duration = Duration::from_secs(150);

/// Notifications that wait for the caller to take them. The server waits with the next one.
pub const TOLD_WAITING: usize = 64;

/// TCP keep-alive: when the first probe is sent, and how far apart the others are. Well below the 30 s of HSMs.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The longest PEM file or profile read, in bytes. A chain of ten RSA-4096 certificates has 20 kB.
pub const FILE: u64 = 1 << 20;

/// How often a lost answer to a creation is looked up by name before it is reported, and how often a key that was made just
/// now is asked for although the server does not know it: clusters answer from replicas that lag, and a server that was
/// killed needs a moment to come back.
pub const LOOKUPS: u32 = 6;

/// The pause before the second such look-up; doubled each time, so that the last comes after 6 s.
pub const LOOKUP_FIRST: Duration = Duration::from_millis(200);

/// The most Replacement Object Links followed from one key: a pair rotated daily gets there in nine months, and the
/// client learns of a rotation within a day.
pub const GENERATIONS: usize = 256;

/// The most hits of one Locate that are looked at when a successor is sought. A server that returns more has ignored
/// the filter.
pub const CANDIDATES: usize = 64;

/// How far before the last look "what is new" asks, in seconds: clocks of cluster members differ.
pub const OVERLAP: i64 = 300;

/// The longest words of a server that are put into an error, in characters.
pub const MESSAGE_SHOWN: usize = 400;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// From how many days before its end on a certificate is warned about: an order for a new one takes weeks in some places.
pub const EXPIRY_WARNING_DAYS: i64 = 30;

/// How long before the same certificate is warned about again, in seconds: a log wants one line a day.
pub const EXPIRY_WARNING_AGAIN: i64 = DAY;

/// The longest file of test cases taken, in bytes. The longest of the standard's is 180 kB.
pub const CASE_FILE: u64 = 8 << 20;

/// How deep the items of a test case may nest: as deep as a message, and the file's root.
pub const CASE_DEPTH: usize = kms_protocol::limits::DEPTH as usize + 1;
