//! KMIP as bytes and as values.
//!
//! This crate knows no socket, no file and no clock: bytes in, values out, and back.

pub mod enums;
pub mod frame;
pub mod secret;
pub mod tags;
pub mod time;

pub use secret::Secret;
pub use tags::Tag;
pub use time::DateTime;
