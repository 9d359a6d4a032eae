//! kms-server

pub mod store;
