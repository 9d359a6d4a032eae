//! Why a request is refused, and the one table that says so in the words of each version.

use std::borrow::Cow;

use kms_protocol::Version;
use kms_protocol::enums::ResultReason;
use kms_protocol::error::{DecodeError, DecodeErrorKind};

use crate::crypto::{CryptoError, SealError};
use crate::store::StoreError;

/// The kinds of refusal. What a version calls them is [`Reason::in_version`]'s business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There is no such object, or it is none of the caller's business.
    NotFound,
    /// The object's state does not allow it.
    WrongState,
    /// A policy does not allow it.
    Denied,
    /// The object's Cryptographic Usage Mask does not allow it.
    UsageMask,
    /// The object is of another type than the operation works on.
    WrongObjectType,
    /// A field has a value that cannot be.
    InvalidField,
    /// The message is malformed or contradicts itself.
    InvalidMessage,
    /// A field that the operation needs is missing.
    MissingData,
    /// Another object of the same owner has this Name.
    NameTaken,
    /// An attribute stands more often than it may.
    SingleValued,
    /// Only the server sets this attribute.
    ReadOnlyAttribute,
    /// The cryptographic parameters are known to nobody here.
    UnsupportedParameters,
    /// The cryptography itself failed.
    Cryptographic,
    /// The object cannot be had in this format.
    KeyFormat,
    /// The object cannot be had wrapped so.
    KeyWrap,
    /// The key's material is gone or was never here.
    NoKeyValue,
    /// The object itself is asked for, and is destroyed: only its attributes are left.
    Destroyed,
    /// The server does not do this operation.
    OperationNotSupported,
    /// The server does not do this part of an operation.
    FeatureNotSupported,
    /// The response would be larger than the client takes.
    ResponseTooLarge,
    /// The object is sensitive.
    Sensitive,
    /// The object may not be extracted.
    NotExtractable,
    /// The object is in the archive.
    Archived,
    /// The key's Usage Limits are used up.
    UsageLimit,
    /// An object with this identifier is here already.
    AlreadyExists,
    /// The object does not have this attribute, or not this instance of it.
    AttributeNotFound,
    /// Several instances are there and none is named.
    Ambiguous,
    /// No operation is under way by this correlation value.
    NoSuchStream,
    /// No operation is pending by this correlation value.
    NothingPending,
    /// The client has canceled it.
    Canceled,
    /// It was put off, and Process was asked for it before.
    ProcessedAlready,
    /// A Tag Length that the cipher does not have; the standard's cases call that a General Failure.
    TagLength,
    /// The object asked for would not be safe from quantum computers.
    NotQuantumSafe,
    /// The initialization vector is missing.
    MissingIv,
    /// There is no password to a PKCS#12 container, or it is not the one.
    BadPassword,
    /// The ticket of a request is void, expired, used up or unknown.
    InvalidTicket,
    /// A credential of a request does not hold.
    Unauthenticated,
    /// A request attests, and nothing here takes that.
    Attestation,
    /// A function of PKCS#11 that nobody knows.
    Pkcs11Function,
    /// An interface of PKCS#11 that is not known here.
    Pkcs11Interface,
    /// An object does not keep to a constraint on it.
    Constraint,
    /// A critical Message Extension that is not known here.
    UnknownExtension,
    /// A limit of the server is reached.
    Limit,
    /// Another request changed the object at the same moment. The core tries again before anybody hears of it.
    Conflict,
    /// The server cannot write at the moment.
    Unavailable,
    /// Something is wrong with the server.
    Internal,
}

impl Reason {
    /// The Result Reason of `version` (1.4 section 9.1.3.2.29 and 11; 2.1 section 11.46).
    #[must_use]
    pub fn in_version(self, version: Version) -> ResultReason {
        let two = version.is_2x();
        let by_family = |one, other| if two { other } else { one };
        match self {
            Self::NotFound => by_family(ResultReason::ItemNotFound, ResultReason::ObjectNotFound),
            Self::WrongState => {
                by_family(ResultReason::PermissionDenied, ResultReason::WrongKeyLifecycleState)
            }
            Self::UsageMask => {
                by_family(ResultReason::PermissionDenied, ResultReason::IncompatibleCryptographicUsageMask)
            }
            Self::WrongObjectType => {
                by_family(ResultReason::IllegalOperation, ResultReason::InvalidObjectType)
            }
            Self::Constraint if version >= Version::V2_1 => ResultReason::ConstraintViolation,
            Self::InvalidField | Self::Constraint => ResultReason::InvalidField,
            Self::InvalidMessage | Self::MissingIv => ResultReason::InvalidMessage,
            Self::MissingData => ResultReason::MissingData,
            Self::NameTaken => by_family(ResultReason::InvalidField, ResultReason::NonUniqueNameAttribute),
            Self::SingleValued => {
                by_family(ResultReason::IndexOutOfBounds, ResultReason::AttributeSingleValued)
            }
            Self::ReadOnlyAttribute => {
                by_family(ResultReason::PermissionDenied, ResultReason::AttributeReadOnly)
            }
            Self::UnsupportedParameters => {
                by_family(ResultReason::InvalidField, ResultReason::UnsupportedCryptographicParameters)
            }
            Self::Cryptographic => ResultReason::CryptographicFailure,
            Self::KeyFormat => ResultReason::KeyFormatTypeNotSupported,
            Self::KeyWrap => {
                by_family(ResultReason::FeatureNotSupported, ResultReason::KeyWrapTypeNotSupported)
            }
            Self::NoKeyValue if version >= Version::V1_2 => ResultReason::KeyValueNotPresent,
            // 1.4 section 11.12: "the server only has attributes for this object".
            Self::Destroyed => by_family(ResultReason::IllegalOperation, ResultReason::ObjectDestroyed),
            Self::OperationNotSupported => ResultReason::OperationNotSupported,
            Self::FeatureNotSupported => ResultReason::FeatureNotSupported,
            Self::ResponseTooLarge => ResultReason::ResponseTooLarge,
            Self::Sensitive if version >= Version::V1_4 => ResultReason::Sensitive,
            Self::NotExtractable if version >= Version::V1_4 => ResultReason::NotExtractable,
            // Of Usage Limits the standard's cases for 2.1 have it too.
            Self::Denied | Self::UsageLimit => ResultReason::PermissionDenied,
            Self::Sensitive | Self::NotExtractable => ResultReason::PermissionDenied,
            Self::Archived => ResultReason::ObjectArchived,
            Self::AlreadyExists if version >= Version::V1_4 => ResultReason::ObjectAlreadyExists,
            Self::AlreadyExists | Self::NoKeyValue => ResultReason::IllegalOperation,
            Self::AttributeNotFound => by_family(ResultReason::ItemNotFound, ResultReason::AttributeNotFound),
            Self::Ambiguous => by_family(ResultReason::InvalidField, ResultReason::MultiValuedAttribute),
            Self::NoSuchStream => {
                by_family(ResultReason::InvalidField, ResultReason::InvalidCorrelationValue)
            }
            Self::NothingPending => {
                by_family(ResultReason::ItemNotFound, ResultReason::InvalidAsynchronousCorrelationValue)
            }
            Self::Canceled => ResultReason::OperationCanceledByRequester,
            Self::ProcessedAlready => ResultReason::DuplicateProcessRequest,
            Self::BadPassword => by_family(ResultReason::InvalidField, ResultReason::BadPassword),
            Self::InvalidTicket => {
                by_family(ResultReason::AuthenticationNotSuccessful, ResultReason::InvalidTicket)
            }
            Self::Unauthenticated => ResultReason::AuthenticationNotSuccessful,
            Self::Attestation => ResultReason::AttestationFailed,
            Self::Pkcs11Function => ResultReason::Pkcs11InvalidFunction,
            Self::Pkcs11Interface => ResultReason::Pkcs11InvalidInterface,
            Self::UnknownExtension => {
                by_family(ResultReason::FeatureNotSupported, ResultReason::UnknownMessageExtension)
            }
            Self::Limit => by_family(ResultReason::GeneralFailure, ResultReason::ServerLimitExceeded),
            Self::Conflict | Self::Unavailable => ResultReason::GeneralFailure,
            Self::TagLength | Self::NotQuantumSafe => ResultReason::GeneralFailure,
            Self::Internal => by_family(ResultReason::GeneralFailure, ResultReason::InternalServerError),
        }
    }
}

/// A refused request: why, and in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The kind of refusal.
    pub reason: Reason,
    /// What is wrong and what to do about it; goes to the client.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with its explanation.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into() }
    }

    /// What is said of a missing object and of someone else's alike.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Reason::NotFound, "there is no such object")
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let reason = match error.kind {
            DecodeErrorKind::Unexpected | DecodeErrorKind::InvalidValue(_) => Reason::InvalidField,
            _ => Reason::InvalidMessage,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<CryptoError> for Refusal {
    fn from(error: CryptoError) -> Self {
        let reason = match &error {
            CryptoError::Unsupported { .. } => Reason::UnsupportedParameters,
            CryptoError::Decryption => Reason::Cryptographic,
            CryptoError::TagLength(_) => Reason::TagLength,
            CryptoError::Password => Reason::BadPassword,
            CryptoError::NotWholeBlocks(_) | CryptoError::IvLength { .. } => Reason::InvalidField,
            CryptoError::PlaintextTooLong { .. } | CryptoError::TooLong { .. } => Reason::InvalidField,
            CryptoError::KeyRejected { .. } | CryptoError::WrongAlgorithm { .. } => Reason::InvalidField,
            _ => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<SealError> for Refusal {
    fn from(error: SealError) -> Self {
        tracing::error!(%error, "key material in the store cannot be opened");
        Self::new(Reason::Internal, "the key material cannot be opened; the server's log says more")
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Duplicate { .. } => Self::new(
                Reason::NameTaken,
                "another object of yours has this Name; a Name is unique for its owner",
            ),
            StoreError::Conflict { .. } => Self::new(
                Reason::Conflict,
                "the object was changed by another request at the same moment; look at it and try again",
            ),
            StoreError::TooLarge { .. } => Self::new(Reason::Limit, error.to_string()),
            StoreError::Full { .. } => unavailable(
                "the server's disk is full: nothing is changed until there is room again; reading and decrypting go on",
            ),
            StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
                unavailable(
                    "the server's disk is read-only: nothing is changed until it is not; reading and decrypting go on",
                )
            }
            StoreError::ReadOnly { .. } => unavailable(
                "the server's store is read-only since its disk failed: nothing is changed until that works again; reading \
                 and decrypting go on",
            ),
            StoreError::Unrecorded { .. } => unavailable(UNRECORDED),
            StoreError::Unconfirmed { .. } => {
                tracing::error!(%error, "the store failed");
                unavailable(
                    "the disk of the server's store failed in this moment: look whether the request was carried out before \
                     you repeat it; the server's log says why",
                )
            }
            _ => {
                tracing::error!(%error, "the store failed");
                unavailable("the store cannot do this at the moment; the server's log says more")
            }
        }
    }
}

/// What is said of whatever cannot be recorded.
pub(super) const UNRECORDED: &str = "the server does nothing that it cannot record, and its audit log cannot be written: its own log says why";

fn unavailable(message: &'static str) -> Refusal {
    Refusal::new(Reason::Unavailable, message)
}
