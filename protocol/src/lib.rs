//! KMIP as bytes and as values.
//!
//! This crate knows no socket, no file and no clock: bytes in, values out, and back.

pub mod attribute;
pub mod credential;
pub mod encoding;
pub mod enums;
pub mod error;
pub mod frame;
pub mod identifier;
pub mod limits;
pub mod message;
pub mod object;
pub mod operation;
pub mod secret;
pub mod tags;
pub mod time;
pub mod ttlv;
pub mod version;

pub use identifier::UniqueIdentifier;
pub use secret::Secret;
pub use tags::Tag;
pub use time::DateTime;
pub use version::Version;
