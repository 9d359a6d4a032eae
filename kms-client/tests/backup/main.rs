//! The backup side, through its public interface, against a KMS in memory.

mod archive;
mod database;
mod envelope;
mod fake_kms;
mod flows;
mod trees;
