//! A KMIP key management server that rotates key pairs by policy.

pub mod admin;
pub mod backup;
pub mod certificate;
pub mod clock;
pub mod config;
pub mod connection;
pub mod crypto;
pub mod dev;
pub mod failure;
pub mod kms;
pub mod limits;
pub mod listener;
pub mod pki;
pub mod production;
pub mod rotator;
pub mod server;
pub mod service;
pub mod shutdown;
pub mod standby;
pub mod store;
pub mod store_key;
pub mod tls;
pub mod workers;
