//! The KMIP client of backup software.
//!
//! [`Client`] talks to a KMIP server of any maker: every operation as a method, many requests at once in batches, and
//! three things that backup software asks for: a key pair ([`Client::request_key`]), what became of its keys
//! ([`Client::rotation_info`]), and decryption ([`Client::decrypt_all`]). [`blocking::Client`] is the same for code that is
//! not async.

mod agreement;
pub mod backup;
mod batch;
pub mod bench;
pub mod blocking;
mod certificates;
pub mod cli;
mod client;
pub mod conformance;
mod connection;
mod decrypt;
pub mod doctor;
pub mod drill;
mod endpoints;
mod error;
mod health;
mod https;
mod key_spec;
mod keys;
pub mod limits;
mod message;
mod notifications;
mod profile;
mod rotation;
mod signature;
mod tcp;
mod tls;

pub use agreement::Agreement;
pub use certificates::{Certificate, Owner};
pub use client::Client;
pub use connection::{Connection, Stream};
pub use decrypt::{KeyTravel, WrappedKey};
pub use error::{Error, Refusal, Step, TlsFault};
pub use https::Https;
pub use key_spec::KeySpec;
pub use keys::{IssuedKey, PRIVATE_SUFFIX, PUBLIC_SUFFIX};
pub use notifications::{Notification, Notifications};
pub use profile::{Builder, Profile};
pub use rotation::{Finding, KnownKey, Unusable};
pub use tls::{BoxedStream, Connect};

/// Keeps the examples of the guide compiling.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
struct Guide;
