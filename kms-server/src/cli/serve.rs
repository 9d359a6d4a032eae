//! `dev` and `run`: starts a server and waits for its end.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use kms_certs::publish_file;
use kms_server::clock::{self, Clock};
use kms_server::config::{self, Config};
use kms_server::crypto::Workers;
use kms_server::dev::{self, DevState};
use kms_server::failure::{Failure, Kind};
use kms_server::server::{Parts, Server};
use kms_server::service::{self, Keep};
use kms_server::shutdown::Signals;
use kms_server::tls::{Identity, ServerTls};
use serde::Serialize;
use tracing::{info, warn};

use super::banner;
use super::{Dev, Ready, Run, say, say_json};

/// What `--ready-file` and `--json` say.
#[derive(Serialize)]
struct ReadyReport {
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    pid: u32,
    state: Option<PathBuf>,
    profile: Option<PathBuf>,
    ready_ms: u64,
}

pub(super) fn dev(options: &Dev, started: Instant) -> Result<(), Failure> {
    gather_entropy();
    let now = clock::system_time();
    let state = if options.ephemeral {
        DevState::ephemeral(&options.host, now)?
    } else {
        DevState::open(&options.state, &options.host, now)?
    };
    let listen = options.listen.or(state.config.listen).unwrap_or(config::LISTEN);
    let admin = options.admin.or(state.config.admin).unwrap_or(config::ADMIN);
    if !options.allow_remote {
        only_loopback(listen, "--listen")?;
        only_loopback(admin, "--admin")?;
    }
    let keep = if state.is_ephemeral { Keep::Memory } else { Keep::Folder(state.store()) };
    let workers = Arc::new(Workers::one_per_core()?);
    let service = service::open(&keep, &state.store_key, &state.config, &workers)?;
    let tls = ServerTls::new(&state.pki.identities(), &state.pki.authority()).map_err(tls_failure)?;
    let clock =
        state.clock().map_err(|error| Failure::new(Kind::State, error.to_string()).hint(error.hint()))?;
    let kept_at = (!state.is_ephemeral).then(|| state.folder.clone());
    let parts = Parts { listen, admin: Some(admin), tls, service, workers, clock, state: kept_at, started };
    run_until_stopped(parts, &options.ready, started, |server| {
        state.write_profile(server.listen(), server.admin())?;
        Ok(Announcement { banner: banner::dev(&state, server, started), profile: Some(state.profile()) })
    })
}

pub(super) fn run(options: &Run, started: Instant) -> Result<(), Failure> {
    gather_entropy();
    let config = Config::read(&options.config)?;
    let file = options.config.display();
    let missing = |what: &str| {
        Failure::new(Kind::Config, format!("{file} does not say `{what}`"))
            .hint("a production server takes nothing for granted: it needs store, store-key and [tls]")
    };
    let tls = config.tls.as_ref().ok_or_else(|| missing("[tls]"))?;
    let identities: Vec<_> = tls
        .certificates
        .iter()
        .map(|pair| Identity { certificate: pair.certificate.clone(), key: pair.key.clone() })
        .collect();
    let tls = ServerTls::new(&identities, &tls.trusted).map_err(tls_failure)?;
    let store = config.store.clone().ok_or_else(|| missing("store"))?;
    let store_key = dev::read_store_key(config.store_key.as_deref().ok_or_else(|| missing("store-key"))?)?;
    if let Some(admin) = config.admin {
        only_loopback(admin, "admin")?;
    }
    let workers = Arc::new(Workers::one_per_core()?);
    let service = service::open(&Keep::Folder(store.clone()), &store_key, &config, &workers)?;
    let parts = Parts {
        listen: config.listen.unwrap_or(config::LISTEN),
        admin: config.admin,
        tls,
        service,
        workers,
        clock: Clock::real(),
        state: Some(store),
        started,
    };
    run_until_stopped(parts, &options.ready, started, |server| {
        Ok(Announcement { banner: banner::run(server, started), profile: None })
    })
}

/// The first random byte takes the library 35 ms of measuring jitter: meanwhile the state and the store are opened.
fn gather_entropy() {
    std::thread::spawn(|| aws_lc_rs::rand::fill(&mut [0]));
}

/// What is told to whoever started the server.
struct Announcement {
    banner: String,
    profile: Option<PathBuf>,
}

fn run_until_stopped(
    parts: Parts,
    ready: &Ready,
    started: Instant,
    announce: impl FnOnce(&Server) -> Result<Announcement, Failure>,
) -> Result<(), Failure> {
    if let Some(file) = &ready.ready_file {
        remove_stale(file)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Other, format!("cannot start threads: {error}")))?;
    let state = parts.state.clone();
    let result = runtime.block_on(async {
        let mut signals = Signals::catch()
            .map_err(|error| Failure::new(Kind::Other, format!("cannot catch signals: {error}")))?;
        let server = Server::start(parts).await?;
        let Announcement { banner, profile } = announce(&server)?;
        let report = ReadyReport {
            listen: server.listen(),
            admin: server.admin(),
            pid: std::process::id(),
            state,
            profile,
            ready_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        if let Some(file) = &ready.ready_file {
            write_ready(file, &report)?;
        }
        if ready.json {
            say_json(&report)?
        } else {
            say(&banner)?
        }
        // Waited for here and not inside the macro, which evaluates nothing at a level that is not logged.
        let signal = signals.next().await;
        info!(signal, "stopping; once more stops at once");
        tokio::select! {
            () = server.stop() => {}
            signal = signals.next() => warn!(signal, "stopped without waiting for requests in flight"),
        }
        Ok(())
    });
    // Work that nobody waits for any longer must not keep the program.
    runtime.shutdown_background();
    result
}

/// A file of an earlier server must not pass for this one's.
fn remove_stale(file: &Path) -> Result<(), Failure> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let what = format!("cannot replace {}: {error}", file.display());
            Err(Failure::new(Kind::State, what).hint("name a file that can be written with --ready-file"))
        }
        _ => Ok(()),
    }
}

fn write_ready(file: &Path, report: &ReadyReport) -> Result<(), Failure> {
    let json = serde_json::to_vec(report).map_err(|error| Failure::new(Kind::Other, error.to_string()))?;
    publish_file(file, &json).map_err(|error| {
        Failure::new(Kind::State, error.to_string()).hint("name a file that can be written with --ready-file")
    })
}

/// A development server trusts whoever can reach its admin port, and its keys are in the open.
fn only_loopback(address: SocketAddr, option: &str) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let what = format!("{option} {address} would let other machines in");
    Err(Failure::new(Kind::Listen, what)
        .hint("use a loopback address, or `dev --allow-remote` if you mean it"))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn tls_failure(error: kms_server::tls::TlsError) -> Failure {
    Failure::new(Kind::Config, error.to_string())
        .hint("the server needs PEM files of its certificate, its key and the trusted authority")
}
