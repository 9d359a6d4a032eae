//! A KMIP key management server that rotates key pairs by policy.

pub mod certificate;
pub mod clock;
pub mod connection;
pub mod kms;
pub mod limits;
pub mod listener;
pub mod rotator;
pub mod service;
pub mod shutdown;
pub mod tls;
pub mod workers;
