//! What a drill is.

use core::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde_json::Value;

use super::limits;

/// A drill: servers, a load, a timeline, and what has to be true in the end.
#[derive(Clone, PartialEq, Debug)]
pub struct Drill {
    /// What reports call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How long it may take.
    pub limit: Duration,
    /// The servers, in the order in which the load prefers them. The first holds the keys.
    pub servers: Vec<ServerSpec>,
    /// What goes on meanwhile.
    pub load: LoadSpec,
    /// What happens.
    pub steps: Vec<Step>,
    /// What has to be true.
    pub expect: Expect,
}

impl Drill {
    /// Whether a server is started by a step, and not beforehand.
    #[must_use]
    pub fn is_started_later(&self, server: usize) -> bool {
        self.steps.iter().any(|step| step.action == Action::Server(server, Deed::Start))
    }
}

/// A server of a drill.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerSpec {
    /// What steps call it.
    pub name: String,
    /// It waits on this server's store and takes over when that one ends.
    pub standby_of: Option<String>,
    /// It begins with a copy of what this server holds when the timeline begins, and is on its own from then on.
    pub copy_of: Option<String>,
    /// Its `kms.toml`.
    pub config: Option<String>,
}

/// What a load does.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LoadSpec {
    /// Key pairs that are made beforehand, for encryptions and decryptions.
    pub keys: u8,
    /// Threads that have the server encrypt and decrypt.
    pub decrypt: u8,
    /// Threads that create key pairs.
    pub create: u8,
    /// Backup jobs, each of which syncs and backs up again and again.
    pub backup: u8,
    /// Threads that restore what was backed up.
    pub restore: u8,
    /// Between two operations of a thread.
    #[serde(deserialize_with = "span")]
    pub pause: Duration,
    /// How long an operation goes on asking after all servers have failed.
    #[serde(deserialize_with = "span")]
    pub patience: Duration,
}

impl Default for LoadSpec {
    fn default() -> Self {
        Self {
            keys: 2,
            decrypt: 0,
            create: 0,
            backup: 0,
            restore: 0,
            pause: Duration::from_millis(20),
            patience: Duration::from_secs(10),
        }
    }
}

/// Something that happens.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// When.
    pub when: When,
    /// What.
    pub action: Action,
}

/// When a step is taken. No step is taken before the one above it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// So long after the timeline began.
    At(Duration),
    /// So long after the step before was done.
    After(Duration),
}

/// What a step does.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// The load begins, or ends.
    Load(bool),
    /// Something is done to the server of this place.
    Server(usize, Deed),
}

/// What is done to a server.
#[derive(Clone, PartialEq, Debug)]
pub enum Deed {
    /// It is started.
    Start,
    /// It is asked to end, as a service manager does.
    Stop,
    /// `kill -9`.
    Kill,
    /// It is stopped (SIGSTOP) and answers nothing.
    Freeze,
    /// It goes on after that.
    Thaw,
    /// It is started again, ended first if it runs.
    Restart,
    /// Every newest pair is rotated now.
    Rotate,
    /// Its clock is moved ahead by this.
    Advance(String),
    /// It is started again with a certificate that has expired.
    ExpireCertificate,
    /// It is started again with a sound certificate.
    RenewCertificate,
    /// Its disk is full.
    FillDisk,
    /// Its disk has room again.
    FreeDisk,
    /// It cannot be reached any more.
    Partition(Cut),
    /// It can be reached again.
    Heal,
    /// A fault is armed, as the admin API takes it.
    Fault(Value),
    /// Every fault is disarmed.
    ClearFaults,
    /// Its store is deleted; it must not run.
    LoseStore,
}

/// How a server cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Connections are reset.
    Refuse,
    /// Nothing comes through, and nobody says so.
    BlackHole,
    /// Everything comes so much later.
    Delay(Duration),
}

impl Deed {
    /// The word for it in a drill file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Restart => "restart",
            Self::Rotate => "rotate",
            Self::Advance(_) => "advance",
            Self::ExpireCertificate => "expire-certificate",
            Self::RenewCertificate => "renew-certificate",
            Self::FillDisk => "fill-disk",
            Self::FreeDisk => "free-disk",
            Self::Partition(_) => "partition",
            Self::Heal => "heal",
            Self::Fault(_) => "fault",
            Self::ClearFaults => "clear-faults",
            Self::LoseStore => "lose-store",
        }
    }

    /// Whether something has to be recovered from.
    #[must_use]
    pub const fn breaks(&self) -> bool {
        matches!(
            self,
            Self::Stop
                | Self::Kill
                | Self::Freeze
                | Self::ExpireCertificate
                | Self::FillDisk
                | Self::Partition(_)
                | Self::Fault(_)
                | Self::LoseStore
        )
    }
}

/// What has to be true in the end. What is not said is not looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Expect {
    /// Every backup succeeded.
    pub no_failed_backup: bool,
    /// Every encryption and decryption succeeded, and brought the right plaintext.
    pub no_failed_decryption: bool,
    /// Every creation of a pair succeeded.
    pub no_failed_creation: bool,
    /// Every pair that was handed out is there, and decrypts what was encrypted with it.
    pub no_lost_key: bool,
    /// Every backup restores bit for bit.
    pub backups_restore: bool,
    /// Each line of generations has one newest.
    pub one_newest_generation: bool,
    /// After each step that breaks something each kind of operation succeeds again within this.
    #[serde(deserialize_with = "some_span")]
    pub recovery_under: Option<Duration>,
    /// Backup jobs adopted so many rotations together, and each has the server's newest generation.
    pub rotations_seen: Option<u32>,
}

/// Reads `200ms`, `5s` or `2m`.
pub(super) fn time(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let (number, scale) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let time = digits.then(|| number.parse::<u64>().ok()?.checked_mul(*scale)).flatten()?;
    Some(Duration::from_millis(time)).filter(|time| *time <= limits::LONGEST)
}

pub(super) fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    time(&text).ok_or_else(|| {
        D::Error::custom(format!("{text:?} is no time: write it like 200ms, 5s or 2m, 10m at most"))
    })
}

pub(super) fn some_span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    span(from).map(Some)
}
