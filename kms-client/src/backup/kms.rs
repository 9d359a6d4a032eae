//! The things that a backup product asks of a KMS, and nothing more.

use core::fmt;
use core::str::FromStr;

use kms_protocol::enums::State;
use kms_protocol::{DateTime, Secret};
use serde::{Deserialize, Serialize};

use super::limits;

/// A KMS as the backup side sees it.
///
/// Implemented by the KMIP client; a test implements it with keys in memory.
pub trait KeyManagement {
    /// Whether the KMS answers and lets this client in, as cheaply as that can be found out.
    ///
    /// # Errors
    /// When it does not: jobs that encrypt with its keys then fail before they write anything.
    fn check(&self) -> Result<(), KmsError>;

    /// Has the KMS make a key pair, both halves Active: the public one to encrypt, the private one to decrypt.
    ///
    /// # Errors
    /// When the KMS cannot be reached or refuses.
    fn request_key(&self, request: &KeyRequest) -> Result<IssuedKey, KmsError>;

    /// Asks about all `known` keys at once; answers one finding for each, in their order.
    ///
    /// # Errors
    /// When the question as a whole fails; what is wrong with a single key is a finding.
    fn rotations(&self, known: &[KnownKey]) -> Result<Vec<Finding>, KmsError>;

    /// Has the KMS unwrap many file keys at once; answers one result for each, in their order.
    ///
    /// By ECDH what it is asked for is the shared secret, which [`Share::open`](Share::open) takes. RSA OAEP with the hash that each states, for OAEP and for MGF1 alike, both said explicitly: MGF1's default is
    /// SHA-1 whatever the hash (KMIP 1.4 section 3.6).
    fn unwrap_keys(&self, wrapped: &[WrappedKey]) -> Vec<Result<Secret, KmsError>>;

    /// Has the KMS make a pair on P-256, both halves Active, that signs and verifies. `name` is its Name.
    ///
    /// # Errors
    /// When the KMS cannot be reached or refuses.
    fn request_signing_key(&self, name: &str) -> Result<IssuedKey, KmsError>;

    /// Has the KMS sign by ECDSA with SHA-256; the DER of r and s.
    ///
    /// # Errors
    /// When the KMS cannot be reached or refuses.
    fn sign(&self, private_id: &str, data: &[u8]) -> Result<Vec<u8>, KmsError>;

    /// Whether such a signature is valid.
    ///
    /// # Errors
    /// When the KMS cannot be reached or refuses.
    fn verify(&self, public_id: &str, data: &[u8], signature: &[u8]) -> Result<bool, KmsError>;

    /// The certificates that the connection stands on, where it has any.
    fn certificates(&self) -> Vec<CertificateInUse> {
        Vec::new()
    }
}

/// A certificate, and when it ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateInUse {
    /// Whose it is, in words.
    pub owner: String,
    /// Its last second, since 1970-01-01T00:00:00Z.
    pub not_after: i64,
}

impl CertificateInUse {
    /// What to say of it, where it is about to expire.
    #[must_use]
    pub fn warning(&self, now: DateTime) -> Option<String> {
        let left = self.not_after.saturating_sub(now.0);
        let days = left.div_euclid(86_400);
        if left < 0 {
            return Some(format!("the certificate of {} has expired", self.owner));
        }
        let soon = days < limits::CERTIFICATE_WARNING_DAYS;
        soon.then(|| format!("the certificate of {} expires in {days} days: have it renewed", self.owner))
    }
}

/// Kinds of key pairs that a job can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSA, 2,048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA, 3,072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA, 4,096 bits: what backup products use.
    #[default]
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// The elliptic curve P-256.
    #[serde(rename = "p-256")]
    P256,
}

impl KeyAlgorithm {
    /// All of them, RSA first and shortest first.
    pub const ALL: [Self; 4] = [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::P256];

    /// The length in bits of the modulus, or of the curve's field.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::P256 => 256,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("p-256"),
            _ => write!(f, "rsa-{}", self.bits()),
        }
    }
}

impl FromStr for KeyAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.to_string() == text)
            .ok_or_else(|| format!("{text:?} is none of rsa-2048, rsa-3072, rsa-4096, p-256"))
    }
}

/// How file keys are wrapped for a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scheme {
    /// RSA-OAEP with SHA-256, for OAEP itself and for MGF1: every KMS that speaks KMIP 1.4 or later.
    #[default]
    #[serde(rename = "sha256")]
    OaepSha256,
    /// RSA-OAEP with SHA-1 for both: older ones, which have no field to state MGF1's hash.
    #[serde(rename = "sha1")]
    OaepSha1,
    /// ECDH on P-256 with a pair made for one file.
    #[serde(rename = "p-256")]
    P256,
}

/// A key pair that is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRequest {
    /// The pair's Name in the KMS, unique among this client's.
    pub name: String,
    /// What kind of pair.
    pub algorithm: KeyAlgorithm,
    /// An earlier request of this name may have reached the KMS: look for its pair before asking for one, since
    /// Create Key Pair is not idempotent.
    pub retry: bool,
}

/// A key pair that the KMS has made, or a newer one that replaced it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuedKey {
    /// Unique Identifier of the private half, which stays in the KMS.
    pub private_id: String,
    /// Unique Identifier of the public half.
    pub public_id: String,
    /// The public half as a DER SubjectPublicKeyInfo.
    pub public_key_spki: Vec<u8>,
    /// How file keys are wrapped for it, so that this KMS is sure to unwrap them.
    pub scheme: Scheme,
}

/// A key pair that this installation encrypts with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownKey {
    /// Unique Identifier of the public half.
    pub public_id: String,
    /// Unique Identifier of the private half.
    pub private_id: String,
    /// The Name that was given to the pair when it was requested; a replacement takes it over.
    pub name: String,
    /// What kind of pair: a replacement must be of the same algorithm and not shorter.
    pub algorithm: KeyAlgorithm,
}

/// What became of a known key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// Still the newest of its chain, and Active.
    Unchanged,
    /// Replaced; `newest` is the newest Active pair of the chain.
    Rotated {
        /// How many replacements lie between the known key and the newest: at least 1.
        generations: u32,
        /// The pair to encrypt with from now on.
        newest: IssuedKey,
    },
    /// A replacement exists but is not Active yet: go on with the known key until it is.
    PendingActivation,
    /// The key must not encrypt any more and nothing replaced it.
    RetiredWithoutSuccessor {
        /// The state that it is in.
        state: State,
    },
    /// The KMS knows no such key, or does not show it to this client.
    Gone,
    /// Several keys could be the successor and nothing tells which: an administrator has to.
    Ambiguous {
        /// Unique Identifiers of their public halves.
        candidates: Vec<String>,
    },
}

/// A file key as a backup file's header holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    /// Unique Identifier of the private key that opens it.
    pub private_id: String,
    /// How it is wrapped.
    pub wrapping: Wrapping,
    /// The wrapped file key.
    pub ciphertext: Vec<u8>,
}

/// How a file key is wrapped, and what it takes beside the private key to unwrap it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrapping {
    /// RSA-OAEP with SHA-256, for OAEP itself and for MGF1.
    OaepSha256,
    /// RSA-OAEP with SHA-1 for both.
    OaepSha1,
    /// By what the key shares with a pair made for this file.
    P256(Share),
}

/// The public half of a pair made for one file, and which key it was made to agree with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// The public half, as a DER SubjectPublicKeyInfo.
    pub public: Vec<u8>,
    /// SHA-256 of the key's own public half, as a DER SubjectPublicKeyInfo.
    pub recipient: [u8; 32],
}

/// Why the KMS did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}")]
pub struct KmsError {
    /// What failed, and why.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the same request may succeed later without anybody doing anything.
    pub retryable: bool,
    /// The kind of failure, for programs to act on.
    pub kind: KmsErrorKind,
}

/// Kinds of failure of a KMS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum KmsErrorKind {
    /// No connection, or none that both sides trust.
    Unreachable,
    /// The KMS has no such key, or does not show it to this client.
    NoSuchKey,
    /// The key's state forbids the operation.
    WrongState,
    /// The KMS understood and said no; nothing was changed.
    Refused,
    /// The KMS cannot do this at all; nothing was changed.
    Unsupported,
    /// The key does not open the ciphertext.
    DecryptionFailed,
    /// Anything else, an answer that makes no sense among them.
    Failed,
}
