//! What a production server asks of its surroundings before it reads the first secret.

use std::net::SocketAddr;

use crate::config::{Config, Tls, TlsCertificate};
use crate::failure::{Failure, Kind};
use crate::kms::notes::MovedClock;
use crate::principal::Principals;
use crate::store::Store;
use crate::store_key::only_owner_reads;
use crate::tls::{Identity, ServerTls, TlsError};
use crate::webhook;

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

/// Everything that a production server would not start with: what the configuration says by itself, and what it names.
/// `check-config` and `run` both ask this. A secret that can be read only once is left to `run`.
#[must_use]
pub fn mistakes(config: &Config, admin: Option<SocketAddr>) -> Vec<Failure> {
    let mut wrong = config.mistakes();
    let needs = "a production server takes nothing for granted: it needs store, store-key and [tls]";
    let mut missing = |what| wrong.push(config.wrong("", &format!("it does not say `{what}`")).hint(needs));
    if config.tls.is_none() {
        missing("[tls]");
    }
    if config.store.is_none() {
        missing("store");
    }
    wrong.extend(config.lasting_store_key().err());
    if let Some(tls) = &config.tls {
        wrong.extend(tls.certificates.iter().filter_map(|pair| only_owner_reads(&pair.key).err()));
        let identities = tls.certificates.chunks(1).chain(tls.certificates.is_empty().then_some(&[][..]));
        let refused = identities.filter_map(|one| server_tls(config, tls, one).err());
        refused.for_each(|failure| {
            if !wrong.contains(&failure) {
                wrong.push(failure)
            }
        });
    }
    wrong.extend(config.webhooks.iter().filter_map(|hook| webhook::check(hook).err()));
    if let Some(admin) = admin.filter(|admin| !admin.ip().is_loopback()) {
        let what = format!("admin {admin} would let other machines in");
        wrong.push(
            config.wrong("admin", &what).hint("use a loopback address: whoever reaches it is the operator"),
        );
    }
    wrong
}

/// The server's side of TLS, as the configuration says.
///
/// # Errors
/// [`Failure`] names the file that cannot be used.
pub fn tls(config: &Config) -> Result<ServerTls, Failure> {
    let Some(tls) = &config.tls else { return Err(config.wrong("", "it does not say `[tls]`")) };
    server_tls(config, tls, &tls.certificates)
}

fn server_tls(config: &Config, tls: &Tls, certificates: &[TlsCertificate]) -> Result<ServerTls, Failure> {
    let identity =
        |pair: &TlsCertificate| Identity { certificate: pair.certificate.clone(), key: pair.key.clone() };
    let identities: Vec<_> = certificates.iter().map(identity).collect();
    let tls = ServerTls::new(&identities, &tls.trusted)?;
    Ok(tls.with_principals(Principals(config.principals.clone())))
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::new(Kind::Config, error.to_string())
            .hint("the server needs PEM files of its certificate, its key and the trusted authority")
    }
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

/// Refuses a store whose keys follow from a number.
///
/// # Errors
/// [`Failure`] when it is one, or cannot be read. Nothing makes such keys secret again.
pub fn check_keys(store: &dyn Store) -> Result<(), Failure> {
    if !crate::kms::notes::has_reproducible_keys(store)? {
        return Ok(());
    }
    let what = "the store holds keys that follow from a number (`dev --rng-seed`): whoever knows it has them";
    Err(Failure::new(Kind::State, what).hint("begin with a store of its own; no option serves this one"))
}
