//! `dev` and `run`: starts a server and waits for its end.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use kms_certs::publish_file;
use kms_protocol::DateTime;
use kms_server::admin::Operator;
use kms_server::admin::api::Role;
use kms_server::clock::{self, Clock};
use kms_server::config::{self, Config, PolicyBook};
use kms_server::crypto::{KeyPool, Workers, seeded};
use kms_server::dev::{self, Claim, DevState};
use kms_server::failure::{Failure, Kind};
use kms_server::kms::Kms;
use kms_server::kms::notes::{self, MovedClock};
use kms_server::mock::Mock;
use kms_server::pki::{self, ClientCertificate};
use kms_server::principal::Principals;
use kms_server::production;
use kms_server::revocation;
use kms_server::seed::{Client, Seed};
use kms_server::server::{self, Parts, Server};
use kms_server::service;
use kms_server::shutdown::Signals;
use kms_server::standby;
use kms_server::store::{MemoryStore, SledOptions, SledStore, Store};
use kms_server::tls::ServerTls;
use kms_server::webhook::Webhooks;
use serde::Serialize;
use tracing::{info, warn};

use super::banner;
use super::{Dev, Ready, Run, say, say_json};

/// What `--ready-file` and `--json` say.
#[derive(Serialize)]
struct ReadyReport {
    role: Role,
    listen: Option<SocketAddr>,
    https: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    pid: u32,
    state: Option<PathBuf>,
    profile: Option<PathBuf>,
    ready_ms: u64,
}

pub(super) fn dev(options: &Dev, started: Instant) -> Result<(), Failure> {
    if options.end_with_parent {
        end_with_parent()?;
    }
    gather_entropy();
    remove_stale(&options.ready)?;
    let (mut state, waited_at) = dev_state(options, started)?;
    let now = clock::system_time();
    let Ports { listen, https, admin, crl } = dev_ports(options, waited_at, &state, now)?;
    state.config.audit.folder.get_or_insert_with(|| state.folder.join("audit"));
    state.config.audit.accept_loss = options.accept_audit_loss;
    let mock = Arc::new(Mock::new(options.journal));
    let faults = mock.store_faults();
    let store: Arc<dyn Store> = if state.is_ephemeral {
        Arc::new(MemoryStore::with_faults(faults))
    } else {
        Arc::new(SledStore::open(&state.store(), SledOptions { faults, ..SledOptions::default() })?)
    };
    let workers = Arc::new(Workers::one_per_core()?);
    if let Some(persona) = options.persona {
        persona.bend(&mut state.config.policies);
    }
    let book = PolicyBook::open(&state.config, state.config.policy_changes.as_deref())?;
    let pool = pool(options, &state.config, &*store)?;
    let service = service::start_from(store, &state.store_key, &state.config, &book, &workers, pool)?;
    let tls = dev_tls(options, &state, now)?;
    let clock =
        state.clock().map_err(|error| Failure::new(Kind::State, error.to_string()).hint(error.hint()))?;
    look_at_past(service.store(), &clock)?;
    if let Some(file) = &options.seed {
        apply_seed(file, &state, &service, &mock, clock.now())?;
    }
    let kept_at = (!state.is_ephemeral).then(|| state.folder.clone());
    let operator = Some(Operator::new(Arc::clone(&service), book));
    let service = match options.persona {
        Some(persona) => persona.play(service),
        None => service,
    };
    let parts = Parts {
        listen,
        https: Some(https),
        admin: Some(admin),
        notify: state.config.notify.clone(),
        crl,
        tls,
        service,
        workers,
        operator,
        clock,
        state: kept_at,
        started,
        mock: Some(mock),
    };
    on_threads(async {
        let mut signals = signals()?;
        run_until_stopped(parts, &state.config, &options.ready, &mut signals, |server| {
            state.write_profile(server.listen(), server.admin())?;
            Ok(Announcement {
                banner: banner::dev(&state, server, options.persona, started),
                profile: Some(state.profile()),
            })
        })
        .await
    })
}

/// The state, once it can be had, and where the admin API was while another server had it.
fn dev_state(options: &Dev, started: Instant) -> Result<(DevState, Option<SocketAddr>), Failure> {
    let (hosts, folder) = (&options.host, options.state.as_path());
    if options.ephemeral {
        return Ok((DevState::ephemeral(hosts, clock::system_time())?, None));
    }
    if !options.standby {
        return Ok((DevState::open(folder, hosts, clock::system_time())?, None));
    }
    let admin = options.admin.unwrap_or(config::ADMIN);
    if !options.allow_remote {
        only_loopback(admin, "--admin")?;
    }
    let waiting = |admin| say_standby(&options.ready, folder, admin, started);
    let look = async |_| Ok(Claim::of(folder)?.ok_or(None));
    let opened = on_threads(standby::wait(folder, Some(admin), started, waiting, look))?;
    let state = DevState::open_claimed(opened.store, hosts, clock::system_time())?;
    Ok((state, opened.admin.filter(|_| opened.has_waited)))
}

/// Has the system end this process with the one that started it, however that ends.
fn end_with_parent() -> Result<(), Failure> {
    let failed = |what: String| {
        Failure::new(Kind::Other, format!("cannot end with the process that started this one: {what}"))
            .hint("leave --end-with-parent out, and end the server yourself")
    };
    #[cfg(target_os = "linux")]
    return rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| failed(error.to_string()));
    #[cfg(not(target_os = "linux"))]
    Err(failed("only Linux does that".to_owned()))
}

/// What a development server listens on. The first two are opened when everything is ready.
struct Ports {
    listen: SocketAddr,
    https: SocketAddr,
    admin: std::net::TcpListener,
    crl: Option<std::net::TcpListener>,
}

/// Opens the ports whose addresses stand in certificates, and has the certificates name them.
fn dev_ports(
    options: &Dev,
    waited_at: Option<SocketAddr>,
    state: &DevState,
    now: SystemTime,
) -> Result<Ports, Failure> {
    let listen = options.listen.or(state.config.listen).unwrap_or(config::LISTEN);
    let https = options.listen_https.or(state.config.https.as_ref().map(|https| https.listen));
    let https = https.unwrap_or_else(|| config::https_beside(listen));
    let admin = waited_at.or(options.admin).or(state.config.admin).unwrap_or(config::ADMIN);
    if !options.allow_remote {
        only_loopback(listen, "--listen")?;
        only_loopback(https, "--listen-https")?;
        only_loopback(admin, "--admin")?;
    }
    let admin = server::open(admin, "--admin")?;
    let crl = options.crl.map(|address| server::open(address, "--crl")).transpose()?;
    state.pki.point_to(&list_url(crl.as_ref().unwrap_or(&admin), &options.host)?, now)?;
    Ok(Ports { listen, https, admin, crl })
}

fn dev_tls(options: &Dev, state: &DevState, now: SystemTime) -> Result<ServerTls, Failure> {
    let identities = match options.broken {
        Some(broken) => {
            warn!(%broken, "the server's certificate is broken on purpose");
            state.pki.broken_identities(broken, now)?
        }
        None => state.pki.identities(),
    };
    let mut tls = ServerTls::new(&identities, &state.pki.authority())?
        .with_revocations(state.pki.revocations())
        .with_principals(Principals(state.config.principals.clone()));
    if let Some(suites) = options.persona.and_then(|persona| persona.suites()) {
        tls = tls.with_suites(suites);
    }
    if let Some(file) = &options.key_log {
        warn!(file = %file.display(), "the secrets of every TLS session are written down");
        tls = tls.with_key_log(file).map_err(|error| {
            Failure::new(Kind::State, format!("cannot write {}: {error}", file.display()))
                .hint("name another --key-log")
        })?;
    }
    Ok(tls)
}

pub(super) fn run(options: &Run, started: Instant) -> Result<(), Failure> {
    production::keep_memory_private()?;
    gather_entropy();
    let mut config = Config::load(&options.config)?;
    let admin = options.admin.or(config.admin);
    Failure::together(production::mistakes(&config, admin))?;
    let folder = config.store.clone().unwrap_or_default();
    config.audit.folder.get_or_insert_with(|| folder.with_file_name("audit"));
    config.audit.accept_loss = options.accept_audit_loss;
    let (mut tls, mut given) = (production::tls(&config)?, config.given_store_key()?);
    remove_stale(&options.ready)?;
    on_threads(async {
        let mut signals = signals()?;
        let waiting = |admin| say_standby(&options.ready, &folder, admin, started);
        let opened = tokio::select! {
            opened = standby::open(&folder, options.new_store, admin, started, waiting) => opened?,
            signal = signals.next() => {
                info!(signal, "stopped while waiting");
                return Ok(());
            }
        };
        if opened.has_waited {
            // The key may be another by now, and the certificates of when it began to wait may have expired.
            tls = standby::again("the certificates", tls, || production::tls(&config).map(Some));
            given = standby::again("the store's key", given, || config.lasting_store_key());
        }
        production::check_clock(&opened.store, options.accept_moved_clock)?;
        production::check_keys(&opened.store)?;
        notes::stamp_production(&opened.store)?;
        let workers = Arc::new(Workers::one_per_core()?);
        let book = PolicyBook::open(&config, config.policy_changes.as_deref())?;
        let service = service::start_with(Arc::new(opened.store), &given, &config, &book, &workers)?;
        let operator = Some(Operator::new(Arc::clone(&service), book));
        let parts = Parts {
            listen: options.listen.or(config.listen).unwrap_or(config::LISTEN),
            https: options.listen_https.or(config.https.as_ref().map(|https| https.listen)),
            admin: opened.admin.map(|address| server::open(address, "--admin")).transpose()?,
            notify: config.notify.clone(),
            crl: None,
            tls,
            service,
            workers,
            operator,
            clock: Clock::real(),
            state: Some(folder.clone()),
            started,
            mock: None,
        };
        run_until_stopped(parts, &config, &options.ready, &mut signals, |server| {
            Ok(Announcement { banner: banner::run(server, started), profile: None })
        })
        .await
    })
}

/// Where clients find the list of revoked certificates: by the address of its port, or by the name that others know this machine
/// by where they are let in.
fn list_url(port: &std::net::TcpListener, hosts: &[String]) -> Result<String, Failure> {
    let address = port.local_addr().map_err(|error| Failure::new(Kind::Listen, error.to_string()))?;
    let file = revocation::FILE;
    Ok(match hosts.first() {
        Some(host) if !address.ip().is_loopback() => format!("http://{host}:{}/{file}", address.port()),
        _ => format!("http://{}/{file}", dev::reachable(address)),
    })
}

/// Where new pairs come from. The store says that they are no secret before the first one is made.
fn pool(options: &Dev, config: &Config, store: &dyn Store) -> Result<Arc<KeyPool>, Failure> {
    let Some(seed) = options.rng_seed else {
        return Ok(Arc::new(KeyPool::new(config.ready_pairs.unwrap_or(config::READY_PAIRS))?));
    };
    if notes::is_of_production(store)? {
        let what =
            "this store is a production server's: --rng-seed would put keys into it that are no secret";
        return Err(Failure::new(Kind::State, what).hint("name another --state, or leave --rng-seed out"));
    }
    notes::stamp_reproducible(store)?;
    warn!(seed, "keys follow from a number: whoever knows it has them");
    Ok(Arc::new(seeded::pool(seed)?))
}

/// Makes what a seed describes: certificates of its clients, pairs, faults.
fn apply_seed(file: &Path, state: &DevState, kms: &Kms, mock: &Mock, now: DateTime) -> Result<(), Failure> {
    let seed = Seed::read(file)?;
    let applied = seed.apply(kms, &mock.faults, &now.into())?;
    let folder = state.folder.join("pki");
    for Client { name } in &seed.clients {
        if !folder.join(format!("{name}.pem")).exists() {
            let issued =
                pki::issue_client(&folder, name, ClientCertificate::default(), clock::system_time())?;
            issued.write(&folder, name).map_err(|error| Failure::new(Kind::State, error.to_string()))?;
        }
    }
    info!(?applied, seed = %file.display(), "seeded");
    Ok(())
}

/// What a development server has to say of a store's past, and what its store has to say from now on.
fn look_at_past(store: &dyn Store, clock: &Clock) -> Result<(), Failure> {
    if clock.is_frozen() || clock.ahead() > 0 {
        // Its file says so; a store that was copied without that file has to say it itself.
        MovedClock::stamp(store, clock::system_now())?;
    } else if let Some(MovedClock { since }) = MovedClock::read(store)? {
        let since = clock::text(DateTime(since));
        warn!(
            since,
            "this store has lived under a moved clock, and the clock shows the real time again: its dates may lie in the future"
        );
    }
    if notes::is_of_production(store)? {
        warn!(
            "this store is a production server's, and this server's clock can be moved: whoever moves it spoils the store"
        );
    }
    Ok(())
}

/// The first random byte takes the library 35 ms of measuring jitter: meanwhile the state and the store are opened.
fn gather_entropy() {
    std::thread::spawn(|| aws_lc_rs::rand::fill(&mut [0]));
}

/// Runs a server on threads of its own.
pub(super) fn on_threads<T>(server: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Other, format!("cannot start threads: {error}")))?;
    let result = threads.block_on(server);
    // Work that nobody waits for any longer must not keep the program.
    threads.shutdown_background();
    result
}

pub(super) fn signals() -> Result<Signals, Failure> {
    Signals::catch().map_err(|error| Failure::new(Kind::Other, format!("cannot catch signals: {error}")))
}

/// Tells whoever started the server that it waits for another to end.
fn say_standby(
    ready: &Ready,
    folder: &Path,
    admin: Option<SocketAddr>,
    started: Instant,
) -> Result<(), Failure> {
    let report = ReadyReport {
        role: Role::Standby,
        listen: None,
        https: None,
        admin,
        pid: std::process::id(),
        state: Some(folder.to_owned()),
        profile: None,
        ready_ms: milliseconds(started),
    };
    tell(ready, &report, &banner::standby(folder, admin))
}

fn tell(ready: &Ready, report: &ReadyReport, banner: &str) -> Result<(), Failure> {
    if let Some(file) = &ready.ready_file {
        write_ready(file, report)?;
    }
    if ready.json { say_json(report) } else { say(banner) }
}

/// What is told to whoever started the server.
pub(super) struct Announcement {
    pub banner: String,
    pub profile: Option<PathBuf>,
}

pub(super) async fn run_until_stopped(
    parts: Parts,
    config: &Config,
    ready: &Ready,
    signals: &mut Signals,
    announce: impl FnOnce(&Server) -> Result<Announcement, Failure>,
) -> Result<(), Failure> {
    let (state, started) = (parts.state.clone(), parts.started);
    let service = Arc::clone(&parts.service);
    // Numbers of events are kept in the audit log, and so is how far each webhook is; without it there is neither.
    let log = config.audit.options().folder;
    let webhooks = service.trail().map(|trail| Webhooks::start(&config.webhooks, trail, log.as_deref()));
    let webhooks = webhooks.transpose()?;
    let server = Server::start(parts).await?;
    let Announcement { banner, profile } = announce(&server)?;
    let report = ReadyReport {
        role: Role::Active,
        listen: Some(server.listen()),
        https: server.https(),
        admin: server.admin(),
        pid: std::process::id(),
        state,
        profile,
        ready_ms: milliseconds(started),
    };
    tell(ready, &report, &banner)?;
    // Waited for here and not inside the macro, which evaluates nothing at a level that is not logged.
    let signal = signals.next().await;
    info!(signal, "stopping; once more stops at once");
    tokio::select! {
        () = server.stop() => {}
        signal = signals.next() => warn!(signal, "stopped without waiting for requests in flight"),
    }
    drop(webhooks);
    if let Some(trail) = service.trail() {
        trail.close();
    }
    Ok(())
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A file of an earlier server must not pass for this one's.
pub(super) fn remove_stale(ready: &Ready) -> Result<(), Failure> {
    let Some(file) = &ready.ready_file else { return Ok(()) };
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
