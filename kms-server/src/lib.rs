//! A KMIP key management server that rotates key pairs by policy.

pub mod admin;
pub mod audit;
pub mod certificate;
pub mod clock;
pub mod config;
pub mod connection;
pub mod crypto;
pub mod dev;
mod expiry;
pub mod failure;
pub mod kms;
pub mod limits;
pub mod listener;
pub mod period;
pub mod pki;
pub mod principal;
pub mod rotator;
pub mod server;
pub mod service;
pub mod shutdown;
pub mod store;
pub mod tls;
pub mod webhook;
pub mod workers;
