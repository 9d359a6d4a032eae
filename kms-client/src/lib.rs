//! kms-client
