//! Mutual TLS: proves who calls, or says why not.

mod outward;
mod refusal;
mod verifier;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kms_protocol::DateTime;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerConfig, ServerSessionMemoryCache,
    StoresServerSessions, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, KeyLog, RootCertStore, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use refusal::Refusal;
use verifier::Verifier;

use crate::certificate::Certificate;
use crate::kms::Caller;
use crate::limits;
use crate::mock::Mock;
use crate::principal::Principals;
use crate::revocation::Revocations;

/// Why the server's own TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file cannot be read or holds something else.
    #[error("{path} does not hold {what}: {cause}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// The library refuses the certificate, its key, or that they belong together.
    #[error("the certificate in {path} cannot be used: {cause}")]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Nothing to prove the server with.
    #[error("there is no server certificate")]
    NoCertificate,
    /// The library refuses the configuration.
    #[error("TLS cannot be set up: {0}")]
    Library(String),
}

/// A certificate of the server and its private key, as files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// PEM: the server's certificate, then those between it and the root, if any.
    pub certificate: PathBuf,
    /// PEM: its private key as PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// The server's side of TLS 1.2 and 1.3.
#[derive(Debug)]
pub struct ServerTls {
    provider: Arc<CryptoProvider>,
    resolver: Arc<ByClientsOffer>,
    verifier: Arc<dyn ClientCertVerifier>,
    sessions: Arc<dyn StoresServerSessions>,
    tickets: Arc<dyn ProducesTickets>,
    principals: Arc<Principals>,
    revocations: Option<Arc<Revocations>>,
    mock: Option<Arc<Mock>>,
    key_log: Option<Arc<KeyFile>>,
}

impl ServerTls {
    /// Sets TLS up with the server's certificates, in order of preference, and a file of the authorities whose
    /// clients are trusted.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn new(identities: &[Identity], trusted: &std::path::Path) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let keys: Vec<_> =
            identities.iter().map(|identity| certified_key(identity, &provider)).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(trusted)? {
            roots.add(certificate).map_err(|cause| unusable(trusted, &cause))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|cause| unusable(trusted, &cause))?;
        let library = |cause: rustls::Error| TlsError::Library(cause.to_string());
        Ok(Self {
            resolver: Arc::new(ByClientsOffer { keys }),
            verifier,
            sessions: ServerSessionMemoryCache::new(limits::SESSIONS),
            tickets: rustls::crypto::aws_lc_rs::Ticketer::new().map_err(library)?,
            principals: Arc::default(),
            revocations: None,
            mock: None,
            key_log: None,
            provider,
        })
    }

    /// Tells callers by these mappings instead of by the names in their certificates alone.
    #[must_use]
    pub fn with_principals(mut self, principals: Principals) -> Self {
        self.principals = Arc::new(principals);
        self
    }

    /// Refuses clients whose certificates are revoked.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Which certificates are revoked, where that is asked.
    #[must_use]
    pub fn revocations(&self) -> Option<&Arc<Revocations>> {
        self.revocations.as_ref()
    }

    /// Speaks with these cipher suites alone.
    #[must_use]
    pub fn with_suites(mut self, suites: &[CipherSuite]) -> Self {
        let mut provider = CryptoProvider::clone(&self.provider);
        provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
        self.provider = Arc::new(provider);
        self
    }

    /// Lets handshakes fail as the faults of `mock` say.
    #[must_use]
    pub fn with_mock(mut self, mock: Option<Arc<Mock>>) -> Self {
        self.mock = mock;
        self
    }

    /// Writes the secrets of every session to a file, in the format that Wireshark reads: for development alone.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn with_key_log(mut self, file: &std::path::Path) -> std::io::Result<Self> {
        self.key_log = Some(Arc::new(KeyFile::open(file)?));
        Ok(self)
    }

    /// Performs the handshake on `stream` and tells who called.
    ///
    /// It waits as long as the peer likes; the caller sets the deadline. `now` is the system's time: certificates live
    /// by that, however far the server's clock was moved.
    ///
    /// # Errors
    /// [`Refusal`] says in words why the peer was turned away and what to do about it.
    pub async fn accept<S>(&self, stream: S, now: DateTime) -> Result<(TlsStream<S>, Caller), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // A verifier of its own for each connection: what it finds wrong comes back with the certificate's own words.
        let presented = Arc::new(OnceLock::new());
        let principals = Arc::clone(&self.principals);
        let faults = self.mock.clone().filter(|mock| mock.faults.troubles_handshakes());
        let (inner, revocations) = (Arc::clone(&self.verifier), self.revocations.clone());
        let verifier = Verifier::new(inner, principals, Arc::clone(&presented), revocations, faults);
        let config = self.config(verifier).map_err(|error| Refusal::of_tls(&error, None))?;
        let stream = TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await
            .map_err(|error| Refusal::of_handshake(&error, presented.get()))?;
        let caller = self.caller(stream.get_ref().1.peer_certificates(), now)?;
        Ok((stream, caller))
    }

    /// Who is at the other end. A resumed session brings its certificate along, which may have expired or been revoked since.
    fn caller(&self, shown: Option<&[CertificateDer<'_>]>, now: DateTime) -> Result<Caller, Refusal> {
        let Some(leaf) = shown.and_then(<[_]>::first) else { return Err(Refusal::no_certificate()) };
        let Some(certificate) = Certificate::read(leaf) else { return Err(Refusal::unreadable()) };
        if certificate.not_after < now {
            return Err(Refusal::expired(&certificate));
        }
        if self.revocations.as_ref().is_some_and(|list| list.has(&certificate.serial)) {
            return Err(Refusal::revoked(&certificate));
        }
        match self.principals.of(&certificate) {
            Some(principal) => {
                let mut caller = Caller::named(principal);
                caller.serial.clone_from(&certificate.serial);
                Ok(caller)
            }
            None => Err(Refusal::nameless(&certificate)),
        }
    }

    /// What the server's certificates say.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        let leaves = self.resolver.keys.iter().filter_map(|key| key.cert.first());
        leaves.filter_map(|leaf| Certificate::read(leaf)).collect()
    }

    fn config(&self, verifier: Verifier) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&self.resolver) as Arc<dyn ResolvesServerCert>);
        if let Some(key_log) = &self.key_log {
            config.key_log = Arc::clone(key_log) as Arc<dyn KeyLog>;
        }
        if self.mock.as_ref().is_some_and(|mock| mock.faults.troubles_handshakes()) {
            // A resumed session shows no certificate, and nothing is known then of whose it is.
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            return Ok(config);
        }
        config.session_storage = Arc::clone(&self.sessions);
        config.ticketer = Arc::clone(&self.tickets);
        Ok(config)
    }
}

/// A file of session secrets, one line each.
#[derive(Debug)]
struct KeyFile(Mutex<File>);

impl KeyFile {
    fn open(path: &std::path::Path) -> std::io::Result<Self> {
        File::options().create(true).append(true).mode(0o600).open(path).map(|file| Self(Mutex::new(file)))
    }
}

impl KeyLog for KeyFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex::encode(client_random), hex::encode(secret));
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the secrets of a TLS session cannot be written");
        }
    }
}

/// Chooses the first certificate whose key can sign as the client asks: ECDSA where it knows that, RSA otherwise.
#[derive(Debug)]
struct ByClientsOffer {
    keys: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByClientsOffer {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.keys.iter().find(fits).cloned()
    }
}

fn certified_key(identity: &Identity, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = read_certificates(&identity.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|cause| not_pem(&identity.key, "a private key", &cause))?;
    let certified = CertifiedKey::from_der(chain, key, provider)
        .map_err(|cause| unusable(&identity.certificate, &cause))?;
    Ok(Arc::new(certified))
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |cause| not_pem(path, "certificates", &cause);
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<_, _>>().map_err(bad)?;
    if certificates.is_empty() {
        return Err(bad(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn not_pem(path: &std::path::Path, what: &'static str, cause: &rustls_pki_types::pem::Error) -> TlsError {
    let cause = match cause {
        rustls_pki_types::pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    TlsError::Pem { path: path.to_owned(), what, cause }
}

fn unusable(path: &std::path::Path, cause: &dyn std::error::Error) -> TlsError {
    TlsError::Certificate { path: path.to_owned(), cause: cause.to_string() }
}
