//! kms-server

pub mod crypto;
