//! What an examination found, as data and as text.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;

use kms_protocol::enums::Operation;
use serde::{Serialize, Serializer};

/// One thing that is tried, in the order in which it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// The addresses of the server's name.
    Resolve,
    /// A TCP connection to each of them.
    Connect,
    /// A TLS handshake as this client makes it.
    Handshake,
    /// TLS versions and cipher suites, one by one.
    TlsVersions,
    /// Whether a second connection takes up the first one's TLS session.
    TlsResumption,
    /// The server's certificate, against the rules that backup products state.
    ServerCertificate,
    /// This client's certificate.
    ClientCertificate,
    /// Discover Versions, and the server's clock.
    DiscoverVersions,
    /// Query.
    Query,
    /// Create Key Pair.
    CreateKeyPair,
    /// Activate, of both halves.
    Activate,
    /// Get of the public key, in each format.
    GetPublicKey,
    /// Get Attributes: state, names, links.
    GetAttributes,
    /// Locate, by what exists and by what does not.
    Locate,
    /// Encrypting here, decrypting there.
    Decrypt,
    /// Get of the private key, and decrypting here.
    GetPrivateKey,
    /// An agreement with a key on P-256, where the server does that.
    DeriveKey,
    /// A signature by a key on P-256, where the server does that.
    Sign,
    /// Re-key Key Pair.
    RekeyKeyPair,
    /// Whether the client's rotation discovery finds the new pair.
    RotationDiscovery,
    /// Decrypting with the old pair after its rotation.
    DecryptWithOld,
    /// Revoke.
    Revoke,
    /// Decrypting with a pair that is Deactivated.
    DecryptWithDeactivated,
    /// Destroy.
    Destroy,
    /// What is left of what was made.
    CleanUp,
}

impl Check {
    pub(super) const ALL: [Self; 25] = [
        Self::Resolve,
        Self::Connect,
        Self::Handshake,
        Self::TlsVersions,
        Self::TlsResumption,
        Self::ServerCertificate,
        Self::ClientCertificate,
        Self::DiscoverVersions,
        Self::Query,
        Self::CreateKeyPair,
        Self::Activate,
        Self::GetPublicKey,
        Self::GetAttributes,
        Self::Locate,
        Self::Decrypt,
        Self::GetPrivateKey,
        Self::DeriveKey,
        Self::Sign,
        Self::RekeyKeyPair,
        Self::RotationDiscovery,
        Self::DecryptWithOld,
        Self::Revoke,
        Self::DecryptWithDeactivated,
        Self::Destroy,
        Self::CleanUp,
    ];

    pub(super) fn after(last: Self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |check| *check > last)
    }

    /// The operation that the check stands for, where it is one.
    fn operation(self) -> Option<Operation> {
        Some(match self {
            Self::DiscoverVersions => Operation::DiscoverVersions,
            Self::Query => Operation::Query,
            Self::CreateKeyPair => Operation::CreateKeyPair,
            Self::Activate => Operation::Activate,
            Self::GetPublicKey => Operation::Get,
            Self::GetAttributes => Operation::GetAttributes,
            Self::Locate => Operation::Locate,
            Self::Decrypt => Operation::Decrypt,
            Self::RekeyKeyPair => Operation::RekeyKeyPair,
            Self::Revoke => Operation::Revoke,
            Self::Destroy => Operation::Destroy,
            _ => return None,
        })
    }

    /// What is missing where the check does not succeed at all.
    pub(super) fn lack(self) -> Lack {
        if let Some(operation) = self.operation() {
            return Lack::of(operation);
        }
        let (what, means) = match self {
            Self::Resolve | Self::Connect => ("a way to the KMS", UNREACHABLE),
            Self::Handshake | Self::TlsVersions => ("a connection that both sides trust", UNREACHABLE),
            Self::GetPrivateKey => {
                ("Get of a private key", "private keys do not leave it; restores depend on its Decrypt")
            }
            Self::RotationDiscovery => {
                ("rotation discovery", "jobs go on encrypting with the old key after it was rotated")
            }
            Self::DecryptWithOld => (
                "decryption with a key that was rotated",
                "backups made before a rotation cannot be restored",
            ),
            Self::DecryptWithDeactivated => (
                "decryption with a Deactivated key",
                "backups cannot be restored once their key is revoked: revoke none that a backup still needs",
            ),
            Self::CleanUp => ("cleaning up", "what the doctor made is left there: destroy it by hand"),
            _ => ("this", "see what it said"),
        };
        Lack { what: what.to_owned(), means: means.to_owned() }
    }
}

const UNREACHABLE: &str = "nothing can be backed up with its keys or restored";

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All is there.
    Passed,
    /// It was not tried.
    Skipped,
    /// Something is missing.
    Lacking,
    /// It went wrong.
    Failed,
}

/// Something that the KMS does not have or do, and what that means for backups.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Lack {
    /// What is missing.
    pub what: String,
    /// What follows from that.
    pub means: String,
}

impl Lack {
    pub(super) fn new(what: impl Into<String>, means: &str) -> Self {
        Self { what: what.into(), means: means.to_owned() }
    }

    /// That of a whole operation.
    pub(super) fn of(operation: Operation) -> Self {
        let means = match operation {
            Operation::DiscoverVersions => "the version has to be found by trying, or set by hand",
            Operation::Query => "what it can do is not known before it is needed; Veeam asks for it first",
            Operation::CreateKeyPair => "no job gets a key from it: somebody has to make the pairs there",
            Operation::Activate => "new pairs cannot be used, unless it makes them Active itself",
            Operation::Get => "no job gets a public key, so that nothing is encrypted with it",
            Operation::GetAttributes => "neither the state of a key nor its rotation can be seen",
            Operation::Locate => {
                "lost answers cannot be looked up, nor rotations without links; Veeam's connection test is a Locate"
            }
            Operation::Decrypt => {
                "every restore has to fetch the private key out of it, which policy must allow"
            }
            Operation::RekeyKeyPair => {
                "keys are not rotated through KMIP: a new pair in the same Object Group takes its place"
            }
            Operation::Revoke => "keys are not taken out of use through KMIP",
            Operation::Destroy => "keys that nobody needs any more stay",
            _ => "not needed for backups",
        };
        match operation {
            Operation::Decrypt => Self::new("Decrypt with RSA-OAEP", means),
            _ => Self::new(operation.to_string(), means),
        }
    }
}

/// One check, done or skipped.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// Which.
    pub check: Check,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen, a line each.
    pub saw: Vec<String>,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "milliseconds")]
    pub took: Duration,
    /// What is missing.
    pub lacks: Vec<Lack>,
    /// What to do about a failure.
    pub hint: Option<String>,
}

fn milliseconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 1e6).round() / 1e3)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.outcome {
            Outcome::Passed => "ok     ",
            Outcome::Skipped => "skipped",
            Outcome::Lacking => "lacking",
            Outcome::Failed => "FAILED ",
        };
        let name = serde_json::to_value(self.check).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        write!(f, "{sign}  {name:<24}")?;
        if self.outcome == Outcome::Skipped {
            return write!(f, "    {}", self.saw.join(", "));
        }
        write!(f, "{:>9.1} ms", self.took.as_secs_f64() * 1e3)?;
        for line in &self.saw {
            write!(f, "\n           {line}")?;
        }
        for lack in &self.lacks {
            write!(f, "\n         - {}: {}", lack.what, lack.means)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n           hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All that was found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The server, as it was given.
    pub server: String,
    /// What was tried, in order.
    pub entries: Vec<Entry>,
    /// Everything that is missing, once each.
    pub lacks: Vec<Lack>,
    /// What it comes to for backups, a line each.
    pub verdict: Vec<String>,
}

impl Report {
    pub(super) fn new(server: &str, entries: Vec<Entry>) -> Self {
        let mut named = BTreeSet::new();
        let all = entries.iter().flat_map(|entry| &entry.lacks);
        let lacks = all.filter(|lack| named.insert(lack.what.clone())).cloned().collect();
        let mut report = Self { server: server.to_owned(), entries, lacks, verdict: Vec::new() };
        report.verdict = report.judge();
        report
    }

    /// The entry of a check.
    #[must_use]
    pub fn entry(&self, check: Check) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.check == check)
    }

    /// How a check ended.
    #[must_use]
    pub fn outcome(&self, check: Check) -> Outcome {
        self.entry(check).map_or(Outcome::Skipped, |entry| entry.outcome)
    }

    /// The worst of all outcomes.
    #[must_use]
    pub fn worst(&self) -> Outcome {
        self.entries.iter().map(|entry| entry.outcome).max().unwrap_or(Outcome::Skipped)
    }

    /// Whether the server can be talked to.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        [Check::Resolve, Check::Connect, Check::Handshake]
            .into_iter()
            .all(|check| self.outcome(check) < Outcome::Failed)
    }

    fn judge(&self) -> Vec<String> {
        if !self.is_reachable() {
            return vec![format!("{} cannot be used: {UNREACHABLE}", self.server)];
        }
        if self.outcome(Check::CreateKeyPair) == Outcome::Skipped {
            return vec!["whether it serves backups was not tried: nothing was changed there".to_owned()];
        }
        let works = |check| matches!(self.outcome(check), Outcome::Passed | Outcome::Lacking);
        let whole = |check| self.outcome(check) == Outcome::Passed;
        let partly =
            |check| self.entry(check).is_some_and(|entry| entry.saw.iter().any(|line| line.contains(WORKS)));
        let encrypts = works(Check::CreateKeyPair) && works(Check::GetPublicKey);
        let encrypt = if encrypts { "new backups: yes, it makes key pairs" } else { "new backups: no" };
        let restore = if whole(Check::Decrypt) || partly(Check::Decrypt) {
            "restores: yes, it decrypts"
        } else if whole(Check::GetPrivateKey) {
            "restores: only by fetching private keys out of it (key travel has to be allowed)"
        } else {
            "restores: no"
        };
        let rotation = match (whole(Check::RekeyKeyPair), whole(Check::RotationDiscovery)) {
            (true, true) => "rotation: yes, by Re-key Key Pair, and found",
            (false, true) => "rotation: found, though not by way of a faultless Re-key Key Pair",
            (_, false) => "rotation: not found",
        };
        [encrypt, restore, rotation].map(str::to_owned).to_vec()
    }
}

/// What a line says of a way of decrypting that works.
pub(super) const WORKS: &str = ": works";

impl fmt::Display for Report {
    /// The end of the text: what is missing and what it comes to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lacks.as_slice() {
            [] => write!(f, "nothing is missing")?,
            lacks => {
                write!(f, "missing:")?;
                for lack in lacks {
                    write!(f, "\n  - {}", lack.what)?;
                }
            }
        }
        self.verdict.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}
