//! What can go wrong, told apart by who has to do something about it.

use core::fmt;
use core::time::Duration;
use std::io;
use std::path::PathBuf;

use kms_protocol::Version;
use kms_protocol::enums::{Operation, ResultReason, ResultStatus};

use crate::limits;

/// Why a request to a KMS did not bring what was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting, a profile or a PEM file that cannot be used. Nothing was sent.
    #[error("{what}")]
    Settings {
        /// What is wrong, and where.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A file that cannot be read. Nothing was sent.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The server's name has no address.
    #[error("cannot resolve {address}: {reason}")]
    Resolve {
        /// Host and port as they were given.
        address: String,
        /// What the resolver says.
        reason: String,
    },
    /// No TCP connection.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Host and port as they were given.
        address: String,
        /// What kind of failure.
        kind: io::ErrorKind,
        /// What the system says.
        reason: String,
    },
    /// A TCP connection, but none that both sides trust.
    #[error("no trusted connection to {address}: {fault}")]
    Tls {
        /// Host and port as they were given.
        address: String,
        /// What one side holds against the other.
        fault: TlsFault,
    },
    /// A step took longer than it may.
    #[error("{address}: {step} took longer than {after:?}")]
    TimedOut {
        /// Host and port as they were given.
        address: String,
        /// What was waited for.
        step: Step,
        /// How long.
        after: Duration,
    },
    /// The connection ended in the middle of an exchange.
    #[error("{address}: the connection was lost at {step}: {reason}")]
    Lost {
        /// Host and port as they were given.
        address: String,
        /// What was under way.
        step: Step,
        /// How it ended.
        reason: String,
    },
    /// The answer to a request that must not be repeated did not come: the server may or may not have done it. Or it did,
    /// and what was to be done with the pair that it made could not be.
    #[error("{operation} may or may not have been done: {cause}")]
    OutcomeUnknown {
        /// What was asked.
        operation: Operation,
        /// Why the answer did not come.
        cause: Box<Error>,
    },
    /// The server holds no such object, or does not show it to this client.
    #[error("no such key: {0}")]
    NoSuchKey(Box<Refusal>),
    /// The object's state forbids the operation.
    #[error("wrong state: {0}")]
    WrongState(Box<Refusal>),
    /// The server said no for another reason.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The server's answer makes no sense.
    #[error("the server broke the protocol: {what}")]
    Protocol {
        /// How.
        what: String,
    },
    /// The server speaks none of this client's versions.
    #[error("the server speaks none of this client's protocol versions ({})", Versions(offered))]
    NoCommonVersion {
        /// What the client offered.
        offered: Vec<Version>,
    },
    /// A key that came from the server is not one that can be used as asked.
    #[error("key {id} cannot be used: {why}")]
    Key {
        /// The key.
        id: String,
        /// Why not.
        why: String,
    },
    /// Several keys have the name, so that none is the one that was meant.
    #[error("{} keys have the name {name}: {}", candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Their Unique Identifiers.
        candidates: Vec<String>,
    },
    /// The key does not open the ciphertext. One error, whatever the padding looked like.
    #[error("key {id} does not open the ciphertext")]
    Decryption {
        /// The private key.
        id: String,
    },
}

/// A server's no.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What was asked.
    pub operation: Operation,
    /// The object that it was asked of, where the request names one.
    pub object: Option<String>,
    /// How the server calls the outcome.
    pub status: ResultStatus,
    /// The server's reason, where it gave one.
    pub reason: Option<ResultReason>,
    /// The server's own words.
    pub message: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.operation)?;
        if let Some(object) = &self.object {
            write!(f, " of {object}")?;
        }
        write!(f, " with {}", self.status)?;
        if let Some(reason) = self.reason {
            write!(f, ", {reason}")?;
        }
        match self.message.as_deref() {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}

/// What one side of a TLS connection holds against the other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server's certificate has expired.
    #[error("the server's certificate has expired{}", since(*not_after))]
    Expired {
        /// Its last second, since 1970, where the library tells it.
        not_after: Option<u64>,
    },
    /// The server's certificate is not valid yet.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// The server's certificate comes from a CA that this client does not trust.
    #[error("the server's certificate was issued by a CA that is not among the trusted ones")]
    UnknownCa,
    /// The server's certificate is for other names.
    #[error("the server's certificate is not for {expected}{}", presented_names(presented))]
    NameMismatch {
        /// The name that was asked for.
        expected: String,
        /// The names in the certificate, as far as the library tells them.
        presented: Vec<String>,
    },
    /// The server refused the client's certificate, or missed one.
    #[error("the server refused this client's certificate: {alert}")]
    RefusedUs {
        /// The server's alert.
        alert: String,
    },
    /// What listens there does not speak TLS.
    #[error("what listens there does not speak TLS")]
    NotTls,
    /// No TLS version, cipher suite or signature that both sides have.
    #[error("the two sides have no TLS version or cipher suite in common: {0}")]
    NothingInCommon(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

fn since(not_after: Option<u64>) -> String {
    not_after.map_or_else(String::new, |at| format!(" (at {at} seconds since 1970)"))
}

fn presented_names(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(", but for {}", names.join(", ")) }
}

/// A step of an exchange, as an error names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Waiting until one of the connections is free.
    FreeConnection,
    /// Resolving the server's name.
    Resolve,
    /// Connecting over TCP.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// Sending the request.
    Send,
    /// Receiving the answer.
    Answer,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FreeConnection => "waiting for a free connection",
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Handshake => "the TLS handshake",
            Self::Send => "sending the request",
            Self::Answer => "waiting for the answer",
        })
    }
}

struct Versions<'a>(&'a [Version]);

impl fmt::Display for Versions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, version) in self.0.iter().enumerate() {
            write!(f, "{}{version}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Error {
    /// Whether the same request may succeed later without anybody doing anything, and may safely be made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::TimedOut { .. } | Self::Lost { .. } => true,
            Self::Refused(refusal) => matches!(
                refusal.reason,
                Some(
                    ResultReason::InternalServerError
                        | ResultReason::ServerLimitExceeded
                        | ResultReason::ProtectionStorageUnavailable
                )
            ),
            _ => false,
        }
    }

    /// The server's reason, where the server said no.
    #[must_use]
    pub fn reason(&self) -> Option<ResultReason> {
        match self {
            Self::NoSuchKey(refusal) | Self::WrongState(refusal) | Self::Refused(refusal) => refusal.reason,
            _ => None,
        }
    }

    /// What to do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Settings { hint, .. } => return hint.clone(),
            Self::File { .. } => "check the path and that this user may read the file",
            Self::Resolve { .. } => "check the host name and this machine's DNS",
            Self::Connect { kind: io::ErrorKind::ConnectionRefused, .. } => {
                "nothing listens there: check that the KMS runs and that the port is right (KMIP's is 5696)"
            }
            Self::Connect { .. } => "check the network and firewalls between this machine and the KMS",
            Self::Tls { fault, .. } => fault.hint()?,
            Self::TimedOut { step: Step::FreeConnection, .. } => {
                "allow more connections, or a longer deadline: every connection was busy"
            }
            Self::TimedOut { step: Step::Handshake, .. } => {
                "the port answers but TLS does not go on: check that it is a KMIP port and that the KMS is not overloaded"
            }
            Self::TimedOut { .. } => {
                "check that the KMS is not overloaded and that no firewall drops the packets"
            }
            Self::Lost { step: Step::Answer, .. } => {
                "the KMS may have been restarted, or it refused this client without saying so: its log tells"
            }
            Self::Lost { .. } => "the KMS may have been restarted: try again",
            Self::OutcomeUnknown { .. } => {
                "look up what happened before asking again: asking twice may do it twice"
            }
            Self::NoSuchKey(_) => {
                "check that this client connects to the KMS that made the key, with the certificate that owns it"
            }
            Self::WrongState(_) => {
                "the key's state forbids this: an administrator of the KMS has to activate it or allow its use"
            }
            Self::Refused(refusal) => reason_hint(refusal.reason?)?,
            Self::Protocol { .. } => "check that this is a KMIP server, and ask its maker",
            Self::NoCommonVersion { .. } => {
                "allow an older or newer protocol version in the client's settings"
            }
            Self::Key { .. } => "check what the KMS holds under this identifier",
            Self::Ambiguous { .. } => "an administrator has to say which one is meant and rename the others",
            Self::Decryption { .. } => {
                "the ciphertext was made for another key, with other OAEP hashes, or is damaged"
            }
        };
        Some(hint.to_owned())
    }

    /// The error of a server's refusal.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        let refusal = Box::new(refusal);
        match refusal.reason {
            Some(ResultReason::ItemNotFound | ResultReason::ObjectNotFound) => Self::NoSuchKey(refusal),
            Some(
                ResultReason::WrongKeyLifecycleState
                | ResultReason::ObjectDestroyed
                | ResultReason::ObjectArchived,
            ) => Self::WrongState(refusal),
            _ => Self::Refused(refusal),
        }
    }

    /// The error of an answer that makes no sense. What it says may quote the server.
    pub(crate) fn protocol(what: impl AsRef<str>) -> Self {
        Self::Protocol { what: shown(what.as_ref()) }
    }

    pub(crate) fn settings(what: impl Into<String>, hint: &str) -> Self {
        Self::Settings { what: what.into(), hint: Some(hint.to_owned()) }
    }
}

/// Words of a server, as long as an error may quote them, and without what would command a terminal or begin a new line
/// in a log.
pub(crate) fn shown(words: &str) -> String {
    let shown =
        |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    words.chars().take(limits::MESSAGE_SHOWN).map(shown).collect()
}

impl TlsFault {
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Expired { .. } => "renew the server's certificate, or correct this machine's clock",
            Self::NotYetValid => {
                "correct the clock of this machine or of the one that issued the certificate"
            }
            Self::UnknownCa => {
                "give this client the CA certificate that issued the server's (ca = in the profile)"
            }
            Self::NameMismatch { .. } => {
                "connect by a name that the certificate holds, or have one issued for this name"
            }
            Self::RefusedUs { .. } => {
                "register this client's certificate or its CA with the KMS, and check that it has not expired"
            }
            Self::NotTls => "check the port: KMIP's is 5696",
            Self::NothingInCommon(_) => {
                "this client speaks TLS 1.2 and 1.3 with ECDHE and AES-GCM or ChaCha20: enable one of them on the KMS"
            }
            Self::Other(_) => return None,
        })
    }
}

fn reason_hint(reason: ResultReason) -> Option<&'static str> {
    Some(match reason {
        ResultReason::AuthenticationNotSuccessful | ResultReason::NotAuthorised => {
            "the KMS does not know this client: register its certificate there"
        }
        ResultReason::PermissionDenied => {
            "this client may not do that: an administrator of the KMS has to allow it"
        }
        ResultReason::OperationNotSupported | ResultReason::FeatureNotSupported => {
            "this KMS cannot do that; Query tells what it can"
        }
        ResultReason::ResponseTooLarge => "ask for less at once",
        ResultReason::NonUniqueNameAttribute | ResultReason::ObjectAlreadyExists => {
            "another object has that name: choose another one"
        }
        ResultReason::CryptographicFailure => {
            "the ciphertext was made for another key, with other OAEP hashes, or is damaged"
        }
        ResultReason::InternalServerError | ResultReason::ServerLimitExceeded => {
            "try again later; the KMS' log tells more"
        }
        _ => return None,
    })
}
