//! kms-client

pub mod backup;
pub mod cli;
