//! kms-client

pub mod backup;
