//! Mints the certificates that a development KMS needs, good ones and broken ones.
//!
//! An [`Authority`] issues what a [`Request`] asks for:
//!
//! ```
//! use std::time::SystemTime;
//! use kms_certs::{Authority, Flaw, KeyKind, Request};
//!
//! # fn main() -> Result<(), kms_certs::Error> {
//! let now = SystemTime::now();
//! let authority = Authority::generate(now)?;
//! let server = authority.issue(&Request::server("localhost").host("127.0.0.1"), now)?;
//! let client = authority.issue(&Request::client("backup").key(KeyKind::EcdsaP256), now)?;
//! let expired = authority.issue(&Request::client("late").flaw(Flaw::Expired), now)?;
//! assert!(client.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here decides whom a server trusts; that is the server's TLS configuration.

mod authority;
mod file;
mod key;
mod pfx;
mod request;
mod revocation;

pub use authority::{Authority, Issued};
pub use file::{Access, folder_of, publish_file, replace_file, sweep, sync_folder};
pub use key::{KeyKind, PrivateKey};
pub use request::{Flaw, Request};
pub use revocation::RevocationList;

/// Why a certificate could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The generator refused; a name that no certificate can hold, for instance.
    #[error("cannot make the certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// A name for the certificate is empty or too long.
    #[error("{0:?} cannot be the name in a certificate: it takes 1 to 64 characters")]
    Name(String),
    /// The private key is of a kind that the asked form does not exist for.
    #[error("only an RSA key has the PKCS#1 form")]
    NotRsa,
    /// The private key could not be turned into the asked form.
    #[error("cannot write the private key as {0}")]
    KeyForm(&'static str),
    /// The authority's certificate and private key do not belong together.
    #[error("the authority's certificate and its private key do not belong together")]
    Mismatch,
    /// What should be a certificate or a key in PEM is none.
    #[error("what should be a certificate or a key in PEM is none")]
    Unreadable,
    /// The list of revoked certificates cannot be read.
    #[error("the list of revoked certificates cannot be read: {0}")]
    List(String),
    /// The certificate could not be put into a PFX.
    #[error("cannot make a PFX: {0}")]
    Pfx(String),
    /// The system's source of randomness failed.
    #[error("the system gives no random bytes")]
    Random,
    /// A file could not be written.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
}
