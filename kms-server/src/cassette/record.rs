//! A server that passes everything on to another one and writes down what both said.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kms_protocol::frame::message_length;
use kms_protocol::{DateTime, Secret};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::Taped;
use crate::failure::{Failure, Kind};
use crate::journal::redacted;
use crate::kms::{Caller, Reason, Refusal, Round, Work, refuse_all};
use crate::limits;
use crate::service::Service;

/// The server that is recorded, and as whom it is asked.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it is, as `host:port`.
    pub address: String,
    /// PEM: the authorities that it is trusted by.
    pub ca: PathBuf,
    /// PEM: the client's certificate.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

type Line = StreamOwned<ClientConnection, TcpStream>;

/// Passes requests on, one after the other, and records them.
pub struct Recorder {
    upstream: Upstream,
    config: Arc<ClientConfig>,
    line: Mutex<Option<Line>>,
    cassette: Mutex<File>,
}

impl Recorder {
    /// A recorder that adds to the file `cassette`.
    ///
    /// # Errors
    /// [`Failure`] names the file that cannot be used.
    pub fn new(upstream: Upstream, cassette: &Path) -> Result<Self, Failure> {
        let wrong = |path: &Path, what: String| {
            Failure::new(Kind::Config, format!("{}: {what}", path.display()))
                .hint("name PEM files that this user can read")
        };
        let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, Failure> {
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            read.map_err(|error| wrong(path, error.to_string()))
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&upstream.ca)?);
        let key = PrivateKeyDer::from_pem_file(&upstream.key)
            .map_err(|error| wrong(&upstream.key, error.to_string()))?;
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map(|builder| builder.with_root_certificates(roots))
                .and_then(|builder| {
                    builder
                        .with_client_auth_cert(certificates(&upstream.certificate).unwrap_or_default(), key)
                })
                .map_err(|error| wrong(&upstream.certificate, error.to_string()))?;
        let file = File::options().create(true).append(true).open(cassette);
        let file = file.map_err(|error| wrong(cassette, error.to_string()))?;
        Ok(Self { upstream, config: Arc::new(config), line: Mutex::default(), cassette: Mutex::new(file) })
    }

    fn dial(&self) -> io::Result<Line> {
        let (host, _) =
            self.upstream.address.rsplit_once(':').ok_or_else(|| io::Error::other("no port is stated"))?;
        let name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
        let socket = TcpStream::connect(&self.upstream.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(limits::UPSTREAM))?;
        socket.set_write_timeout(Some(limits::UPSTREAM))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, socket))
    }

    fn ask(&self, request: &[u8]) -> io::Result<Secret> {
        let mut held: MutexGuard<'_, Option<Line>> = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that failed is not used again: whether its server has worked the request nobody knows.
        let mut line = match held.take() {
            Some(line) => line,
            None => self.dial()?,
        };
        line.write_all(request)?;
        line.flush()?;
        let mut answer = Secret::new(Vec::new());
        let mut part = [0; limits::READ];
        loop {
            let stated = message_length(answer.expose(), limits::RESPONSE).map_err(io::Error::other)?;
            if stated.is_some_and(|length| length <= answer.len()) {
                *held = Some(line);
                return Ok(answer);
            }
            let length = line.read(&mut part)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer = Secret::new([answer.expose(), part.get(..length).unwrap_or_default()].concat());
        }
    }

    fn tape(&self, caller: &Caller, request: &[u8], response: &[u8]) {
        let (Some(request), Some(response)) = (redacted(request), redacted(response)) else {
            tracing::warn!("an exchange that is malformed or too long is passed on and not recorded");
            return;
        };
        let taped = Taped {
            client: caller.principal.clone(),
            request: hex::encode(request.bytes()),
            response: hex::encode(response.bytes()),
        };
        let line = serde_json::to_string(&taped).unwrap_or_default() + "\n";
        let mut cassette = self.cassette.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = cassette.write_all(line.as_bytes()) {
            tracing::error!(%error, "the cassette cannot be written");
        }
    }
}

impl Service for Recorder {
    fn work(&self, _request: &[u8]) -> Work {
        Work::Blocking
    }

    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret {
        match self.ask(request) {
            Ok(response) => {
                self.tape(caller, request, response.expose());
                response
            }
            Err(error) => {
                let what = format!("{} cannot be asked: {error}", self.upstream.address);
                tracing::warn!("{what}");
                refuse_all(request, &Refusal::new(Reason::Unavailable, what), now)
            }
        }
    }

    fn next_due(&self) -> Option<DateTime> {
        None
    }

    fn run_due(&self, _now: DateTime, _go_on: &dyn Fn() -> bool) -> Round {
        Round::default()
    }
}
