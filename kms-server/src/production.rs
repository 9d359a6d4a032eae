//! What a production server asks of its surroundings before it reads the first secret.

use std::path::Path;

use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::kms::notes::MovedClock;
use crate::store::Store;
use crate::store_key::only_owner_reads;

/// Keeps this process's memory out of core dumps, and from other processes of the same user.
///
/// # Errors
/// [`Failure`] when the system does not allow that.
pub fn keep_memory_private() -> Result<(), Failure> {
    let failed = |error: rustix::io::Errno| {
        Failure::new(Kind::Other, format!("cannot disable core dumps: {error}"))
            .hint("a core dump would hold private keys; does a supervisor forbid setrlimit or prctl?")
    };
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none).map_err(failed)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).map_err(failed)?;
    Ok(())
}

/// Refuses secrets in files that others than their owner can read.
///
/// # Errors
/// [`Failure`] names the first such file.
pub fn check_secrets(config: &Config) -> Result<(), Failure> {
    let tls = config.tls.iter().flat_map(|tls| &tls.certificates).map(|pair| pair.key.as_path());
    tls.chain(config.store_key.as_deref())
        .chain(config.webhooks.iter().map(|hook| hook.secret_file.as_path()))
        .chain(config.store_passphrase.as_deref().filter(|file| *file != Path::new("-")))
        .try_for_each(only_owner_reads)
}

/// Refuses a store that has lived under a moved clock: its dates mean nothing.
///
/// # Errors
/// [`Failure`] when it has, and that was not `accepted`; or when the store cannot be read.
pub fn check_clock(store: &dyn Store, accepted: bool) -> Result<(), Failure> {
    let Some(MovedClock { since }) = MovedClock::read(store)? else { return Ok(()) };
    let since = crate::clock::text(kms_protocol::DateTime(since));
    if accepted {
        tracing::warn!(since, "this store has lived under a moved clock; its dates may lie in the future");
        return Ok(());
    }
    let what = format!("the store has lived under a clock that was moved, since {since}");
    Err(Failure::new(Kind::State, what).hint(
        "dates in it may lie in the future: begin with a store of its own, or start with --accept-moved-clock",
    ))
}
