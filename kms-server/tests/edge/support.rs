//! A service whose answers show what the edge passed on, a log to assert on, and TLS clients of every kind.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use kms_certs::{Authority, Issued, KeyKind, Request};
use kms_protocol::{DateTime, Secret};
use kms_server::clock::Clock;
use kms_server::connection::Shared;
use kms_server::kms::{Caller, Round, Work};
use kms_server::server::{Parts, Server};
use kms_server::service::Service;
use kms_server::tls::{Identity, ServerTls};
use kms_server::workers::Workers;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// A Request Message whose content is `content`.
pub fn request(content: &[u8]) -> Vec<u8> {
    message(0x78, content)
}

/// A Response Message whose content is `content`.
pub fn response(content: &[u8]) -> Vec<u8> {
    message(0x7B, content)
}

fn message(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&[0x42, 0, tag, 1], &length.to_be_bytes()[..], content].concat()
}

/// Answers with the caller's name, the time and what was sent. The first letter of a request says how it is worked on.
#[derive(Default)]
pub struct Echo {
    /// Requests that begin with `w` wait for a word from here.
    pub gate: Option<Mutex<Receiver<()>>>,
}

impl Echo {
    /// One whose `w` requests wait until something is sent.
    pub fn gated() -> (Self, Sender<()>) {
        let (sender, receiver) = channel();
        (Self { gate: Some(Mutex::new(receiver)) }, sender)
    }
}

impl Service for Echo {
    fn work(&self, request: &[u8]) -> Work {
        match request.get(8) {
            Some(b'b' | b'w') => Work::Blocking,
            Some(b'c') => Work::Crypto,
            _ => Work::Inline,
        }
    }

    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret {
        let content = &request[8..];
        if content.first() == Some(&b'w')
            && let Some(gate) = &self.gate
        {
            gate.lock().unwrap().recv().unwrap();
        }
        assert_ne!(content.first(), Some(&b'p'), "told to panic");
        let head = format!("{} {} ", caller.principal, now.0);
        Secret::new(response(&[head.as_bytes(), content].concat()))
    }

    fn next_due(&self) -> Option<DateTime> {
        None
    }

    fn run_due(&self, _now: DateTime, _go_on: &dyn Fn() -> bool) -> Round {
        Round::default()
    }
}

/// The time that test servers have.
pub const NOW: DateTime = DateTime(1_800_000_000);

/// What a connection needs, around `service`.
pub fn shared(service: impl Service) -> Shared {
    Shared {
        service: Arc::new(service),
        clock: Arc::new(Clock::frozen_at(NOW)),
        workers: Workers::new(crypto_workers()),
        revocations: None,
        mock: None,
    }
}

/// An authority, and a server's certificates of it, in a folder.
pub struct TestPki {
    pub folder: TempDir,
    pub authority: Authority,
}

impl TestPki {
    pub fn new() -> Self {
        let now = SystemTime::now();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::generate(now).unwrap();
        authority.write(folder.path()).unwrap();
        for (stem, kind) in [("ecdsa", KeyKind::EcdsaP256), ("rsa", KeyKind::Rsa2048)] {
            let request = Request::server("localhost").key(kind);
            authority.issue(&request, now).unwrap().write(folder.path(), stem).unwrap();
        }
        Self { folder, authority }
    }

    pub fn tls(&self) -> ServerTls {
        let path = |name: &str| self.folder.path().join(name);
        let identities = ["ecdsa", "rsa"].map(|stem| Identity {
            certificate: path(&format!("{stem}.pem")),
            key: path(&format!("{stem}.key")),
        });
        ServerTls::new(&identities, &path("ca.pem")).unwrap()
    }

    pub fn issue(&self, request: &Request) -> Issued {
        self.authority.issue(request, SystemTime::now()).unwrap()
    }

    pub fn certificate(&self, stem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.folder.path().join(format!("{stem}.pem"))).unwrap()
    }

    pub async fn server(&self, service: impl Service) -> Server {
        let parts = Parts {
            listen: "127.0.0.1:0".parse().unwrap(),
            https: None,
            admin: None,
            notify: Vec::new(),
            crl: None,
            tls: self.tls(),
            service: Arc::new(service),
            workers: crypto_workers(),
            operator: None,
            clock: Clock::frozen_at(NOW),
            state: None,
            started: Instant::now(),
            mock: None,
        };
        Server::start(parts).await.unwrap()
    }

    /// A client of this PKI with `identity`, or with none.
    pub fn client(&self, identity: Option<&Issued>) -> TestClient {
        TestClient::trusting(&self.folder.path().join("ca.pem"), identity)
    }
}

fn crypto_workers() -> Arc<kms_server::crypto::Workers> {
    Arc::new(kms_server::crypto::Workers::new(2).unwrap())
}

/// What is particular about a TLS client.
pub struct TestClient {
    roots: Arc<RootCertStore>,
    identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    pub schemes: Option<Vec<SignatureScheme>>,
    pub suites: Option<Vec<CipherSuite>>,
    pub session_ids_only: bool,
}

impl TestClient {
    /// One that shows the certificate in `STEM.pem`.
    pub fn from_files(authority: &Path, stem: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(stem.with_extension("pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(stem.with_extension("key")).unwrap();
        Self { identity: Some((certificate, key)), ..Self::trusting(authority, None) }
    }

    pub fn trusting(authority: &Path, identity: Option<&Issued>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let identity = identity.map(|issued| {
            (
                CertificateDer::from_pem_slice(issued.certificate().as_bytes()).unwrap(),
                PrivateKeyDer::from_pem_slice(issued.key().pkcs8_pem().as_bytes()).unwrap(),
            )
        });
        Self {
            roots: Arc::new(roots),
            identity,
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            schemes: None,
            suites: None,
            session_ids_only: false,
        }
    }

    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if let Some(suites) = &self.suites {
            provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
        }
        let provider = Arc::new(provider);
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let verifier = Choosy { inner, schemes: self.schemes.clone() };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        if self.session_ids_only {
            config.resumption =
                config.resumption.tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
        }
        Arc::new(config)
    }
}

/// Verifies as rustls does, but says that it knows other signature schemes.
#[derive(Debug)]
struct Choosy {
    inner: Arc<WebPkiServerVerifier>,
    schemes: Option<Vec<SignatureScheme>>,
}

impl ServerCertVerifier for Choosy {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone().unwrap_or_else(|| self.inner.supported_verify_schemes())
    }
}

/// Performs the client's handshake on `stream`.
pub async fn handshake<S>(config: &Arc<ClientConfig>, stream: S) -> std::io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// Connects to a server and performs the handshake.
pub async fn connect(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    handshake(config, TcpStream::connect(address).await?).await
}

/// Sends a request with `content` and reads the content of the response.
pub async fn ask<S>(stream: &mut S, content: &[u8]) -> std::io::Result<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&request(content)).await?;
    stream.flush().await?;
    read_answer(stream).await
}

/// Reads the content of one response.
pub async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await?;
    assert_eq!(&head[..4], &[0x42, 0, 0x7B, 1]);
    let mut content = vec![0; u32::from_be_bytes(head[4..].try_into().unwrap()) as usize];
    stream.read_exact(&mut content).await?;
    Ok(String::from_utf8(content).unwrap())
}

/// The log lines of this thread, from `info` up.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Listens until the guard is dropped. Tests run their server on the thread that listens.
    pub fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
        (log, guard)
    }

    /// Waits for a line that holds all of `parts`.
    pub async fn expect(&self, parts: &[&str]) {
        let found = async {
            loop {
                let matches = |line: &String| parts.iter().all(|part| line.contains(part));
                if self.0.lock().unwrap().iter().any(matches) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), found).await;
        assert!(waited.is_ok(), "no line with {parts:?} in {:#?}", self.0.lock().unwrap());
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if *event.metadata().level() > Level::INFO {
            return;
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {}={value}", field.name()).unwrap();
    }
}
