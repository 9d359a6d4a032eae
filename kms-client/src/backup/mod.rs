//! The backup side of the system: what a backup product does with a KMS, small and whole.
//!
//! A job gets a key pair from the KMS and keeps the public half ([`database`]). A backup is one file in the
//! published age format: a tar archive, compressed by zstd, encrypted to the job's key ([`archive`],
//! [`envelope`]). The private half never leaves the KMS, which unwraps a file's key at restore time
//! ([`restore`]). The system job learns of rotated keys ([`sync`]).
//!
//! The KMS is reached only through [`KeyManagement`].

pub mod archive;
pub mod chains;
pub mod database;
pub mod envelope;
mod error;
mod escape;
pub mod import;
pub mod jobs;
pub mod kmip;
mod kms;
pub mod limits;
pub mod plugin;
pub mod records;
pub mod recovery;
pub mod restore;
pub mod rewrap;
pub mod schedule;
pub mod signing;
mod staging;
pub mod state;
pub mod sync;
pub mod tape;
pub mod unlock;

pub use error::BackupError;
pub use kms::{
    CertificateInUse, Finding, IssuedKey, KeyAlgorithm, KeyManagement, KeyRequest, KmsError, KmsErrorKind,
    KnownKey, Scheme, Share, WrappedKey, Wrapping,
};
