//! `record` and `replay`: conversations with another server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use kms_server::cassette::{self, Recorder, Replayer, Upstream};
use kms_server::clock::{self, Clock};
use kms_server::crypto::Workers;
use kms_server::dev::DevState;
use kms_server::failure::{Failure, Kind};
use kms_server::mock::Mock;
use kms_server::server::Parts;
use kms_server::service::Service;
use kms_server::tls::ServerTls;

use super::serve::{Announcement, on_threads, remove_stale, run_until_stopped, signals};
use super::{Ready, banner};

#[derive(Args)]
pub(super) struct Record {
    /// The server to record, as HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    upstream: String,
    /// PEM file of the authority that signed its certificate
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// PEM file of the client certificate to ask it with
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// PEM file of that certificate's key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file to add exchanges to; their secrets are replaced by zeros
    #[arg(value_name = "CASSETTE")]
    cassette: PathBuf,
    #[command(flatten)]
    here: Here,
}

#[derive(Args)]
pub(super) struct Replay {
    /// What `record` wrote
    #[arg(value_name = "CASSETTE")]
    cassette: PathBuf,
    #[command(flatten)]
    here: Here,
}

#[derive(Args)]
struct Here {
    /// The folder of the certificates that clients use here
    #[arg(long, env = "KMS_STATE", default_value = ".kms-dev")]
    state: PathBuf,
    /// Where clients connect, on loopback; port 0 picks one
    #[arg(long, env = "KMS_LISTEN", default_value = "127.0.0.1:5696")]
    listen: SocketAddr,
    #[command(flatten)]
    ready: Ready,
}

pub(super) fn record(options: &Record, started: Instant) -> Result<(), Failure> {
    let upstream = Upstream {
        address: options.upstream.clone(),
        ca: options.ca.clone(),
        certificate: options.certificate.clone(),
        key: options.key.clone(),
    };
    serve(Arc::new(Recorder::new(upstream, &options.cassette)?), &options.here, started)
}

pub(super) fn replay(options: &Replay, started: Instant) -> Result<(), Failure> {
    serve(Arc::new(Replayer::new(&cassette::read(&options.cassette)?)?), &options.here, started)
}

fn serve(service: Arc<dyn Service>, here: &Here, started: Instant) -> Result<(), Failure> {
    if !here.listen.ip().is_loopback() {
        let what = format!("--listen {} would let other machines in", here.listen);
        return Err(Failure::new(Kind::Listen, what).hint("use a loopback address"));
    }
    let state = DevState::open(&here.state, &[], clock::system_time())?;
    let parts = Parts {
        listen: here.listen,
        https: None,
        admin: None,
        notify: Vec::new(),
        crl: None,
        tls: ServerTls::new(&state.pki.identities(), &state.pki.authority())?
            .with_revocations(state.pki.revocations()),
        service,
        workers: Arc::new(Workers::one_per_core()?),
        operator: None,
        clock: Clock::movable(),
        state: Some(state.folder.clone()),
        started,
        mock: Some(Arc::new(Mock::default())),
    };
    remove_stale(&here.ready)?;
    on_threads(async {
        let mut signals = signals()?;
        run_until_stopped(parts, &state.config, &here.ready, &mut signals, |server| {
            state.write_profile(server.listen(), None)?;
            Ok(Announcement { banner: banner::run(server, started), profile: Some(state.profile()) })
        })
        .await
    })
}
