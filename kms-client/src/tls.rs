//! TLS: what the client trusts and what it shows, from PEM; connecting; and what a failure means.

use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use kms_protocol::encoding::Encoding;
use kms_protocol::{DateTime, Secret};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider as _};
use rustls::{
    AlertDescription, CertificateError, CipherSuite, ClientConfig, PeerIncompatible, RootCertStore,
    SupportedProtocolVersion,
};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::certificates::{Owner, Watch};
use crate::connection::Stream;
use crate::error::{Error, Step, TlsFault};
use crate::https::{self, Https};
use crate::limits;
use crate::profile::Profile;
use crate::tcp;

/// A stream to a server, whatever it runs over.
pub type BoxedStream = Box<dyn Stream>;

/// A way to reach one server. The client's own is TCP with TLS; tests join client and server in memory.
pub trait Connect: Send + Sync {
    /// How errors name the server.
    fn address(&self) -> &str;

    /// How HTTP carries the messages, where it does.
    fn https(&self) -> Option<Https> {
        None
    }

    /// Opens a stream that is ready for KMIP messages.
    ///
    /// # Errors
    /// When the server cannot be reached or trusted.
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<BoxedStream, Error>> + Send + '_>>;
}

/// PEM text, and where it comes from.
#[derive(Debug)]
pub(crate) enum Pem {
    /// Read again when the file changes.
    File(PathBuf),
    /// Given by the caller.
    Text(Secret),
}

impl Pem {
    fn read(&self) -> Result<Secret, Error> {
        match self {
            Self::File(path) => read_file(path).map(Secret::new),
            Self::Text(text) => Ok(Secret::from(text.expose())),
        }
    }

    /// What tells one state of the file from the next.
    fn stamp(&self) -> Option<(SystemTime, u64)> {
        let Self::File(path) = self else { return None };
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }

    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "the PEM text".to_owned(),
        }
    }
}

/// Reads a small file.
///
/// # Errors
/// When it cannot be read or is longer than [`limits::FILE`].
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::File { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(limits::FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > limits::FILE {
        return Err(failed(format!("it is longer than {} bytes", limits::FILE)));
    }
    Ok(bytes)
}

/// Whom the client trusts, and who it is.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) ca: Vec<Pem>,
    /// Certificate chain and private key.
    pub(crate) identity: Option<(Pem, Pem)>,
}

impl Credentials {
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let identity = self.identity.iter().flat_map(|(chain, key)| [chain, key]);
        self.ca.iter().chain(identity).map(Pem::stamp).collect()
    }

    /// Those of a profile, from its files.
    pub(crate) fn of(profile: &Profile) -> Self {
        let file = |path: &PathBuf| Pem::File(path.clone());
        Self { ca: vec![file(&profile.ca)], identity: Some((file(&profile.certificate), file(&profile.key))) }
    }

    pub(crate) fn config(&self) -> Result<ClientConfig, Error> {
        self.config_of(&[&rustls::version::TLS13, &rustls::version::TLS12], |_| true)
    }

    /// A configuration that offers only these versions, and of their cipher suites only some.
    pub(crate) fn config_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        offers: impl Fn(CipherSuite) -> bool,
    ) -> Result<ClientConfig, Error> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| offers(suite.suite()));
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .map_err(|error| Error::settings(error.to_string(), "this is a fault of the program"))?
            .with_root_certificates(self.roots()?);
        let Some((chain_pem, key_pem)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(chain_pem)?;
        let key = private_key(key_pem)?;
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            Error::settings(
                format!("{} and {} do not belong together: {error}", chain_pem.place(), key_pem.place()),
                "give the private key of the first certificate in the file",
            )
        })
    }

    pub(crate) fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for pem in &self.ca {
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(|error| {
                    let what = format!("a certificate in {} cannot be a CA: {error}", pem.place());
                    Error::settings(what, "give the CA's certificate as PEM")
                })?;
            }
        }
        if roots.is_empty() {
            return Err(Error::settings(
                "no CA certificate is given, so that no server can be trusted",
                "give the certificate of the CA that issued the KMS' certificate (ca = in the profile)",
            ));
        }
        Ok(roots)
    }

    /// The certificate chain that the client shows, its own first; empty where it shows none.
    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        self.identity.as_ref().map_or_else(|| Ok(Vec::new()), |(chain, _)| certificates(chain))
    }

    /// The client's private key, in the form that its file has.
    pub(crate) fn key_form(&self) -> Result<Option<PrivateKeyDer<'static>>, Error> {
        self.identity.as_ref().map(|(_, key)| private_key(key)).transpose()
    }
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = pem.read()?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.expose()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(Error::settings(
            format!("{} holds no certificate", pem.place()),
            "it has to be PEM: -----BEGIN CERTIFICATE-----",
        )),
        Err(error) => Err(Error::settings(
            format!("{} is not PEM: {error:?}", pem.place()),
            "convert it: openssl x509 -inform der -in FILE",
        )),
    }
}

/// A private key as PKCS#8, PKCS#1 or SEC1.
fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Error> {
    let text = pem.read()?;
    PrivateKeyDer::from_pem_slice(text.expose()).map_err(|_| {
        let encrypted = b"ENCRYPTED";
        let what = format!("{} holds no private key in the clear", pem.place());
        if text.expose().windows(encrypted.len()).any(|window| window == encrypted) {
            Error::settings(what, "decrypt it first: openssl pkey -in FILE -out FILE2")
        } else {
            Error::settings(what, "it has to be PEM: -----BEGIN PRIVATE KEY----- (PKCS#8), PKCS#1 or SEC1")
        }
    })
}

/// Credentials in the form that connections use, made again when their files change.
#[derive(Debug)]
pub(crate) struct Identity {
    credentials: Credentials,
    current: Mutex<Current>,
    watch: Watch,
}

#[derive(Debug)]
struct Current {
    stamps: Vec<Option<(SystemTime, u64)>>,
    /// Those of changed files that could not be used. They are tried again, without another warning: what was wrong with
    /// them, such as their permissions, need not show in a stamp.
    unusable: Option<Vec<Option<(SystemTime, u64)>>>,
    config: Arc<ClientConfig>,
    /// The client's own certificate.
    own: Option<CertificateDer<'static>>,
}

impl Current {
    fn load(credentials: &Credentials, stamps: Vec<Option<(SystemTime, u64)>>) -> Result<Self, Error> {
        let own = credentials.chain()?.into_iter().next();
        Ok(Self { stamps, unusable: None, config: Arc::new(credentials.config()?), own })
    }
}

impl Identity {
    pub(crate) fn load(credentials: Credentials) -> Result<Self, Error> {
        let current = Current::load(&credentials, credentials.stamps())?;
        Ok(Self { credentials, current: Mutex::new(current), watch: Watch::default() })
    }

    /// The configuration for a new connection. Files that changed and cannot be used leave the earlier one in force.
    fn config(&self) -> Arc<ClientConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.credentials.stamps();
        if stamps != current.stamps {
            match Current::load(&self.credentials, stamps.clone()) {
                Ok(changed) => *current = changed,
                Err(error) => {
                    let stamps = Some(stamps);
                    if current.unusable != stamps {
                        tracing::warn!(%error, "changed certificate files cannot be used: the old ones stay");
                        current.unusable = stamps;
                    }
                }
            }
        }
        Arc::clone(&current.config)
    }

    /// Warns where the client's own certificate is about to expire.
    fn watch(&self, now: DateTime) {
        let own = self.current.lock().unwrap_or_else(PoisonError::into_inner).own.clone();
        if let Some(own) = own {
            self.watch.look(Owner::Client, &own, now);
        }
    }

    /// The certificate chain that the client shows, its own first; empty where it shows none.
    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        self.credentials.chain()
    }
}

/// The host in an address, and the name that the server's certificate must hold.
///
/// # Errors
/// When `address` is no `host:port`, or that name is none.
pub(crate) fn parse_address<'a>(
    address: &'a str,
    name: Option<&str>,
) -> Result<(&'a str, ServerName<'static>), Error> {
    let wrong = || {
        Error::settings(
            format!("{address:?} is no address of a server"),
            "write it as host:port, such as kms.example.com:5696 or [::1]:5696",
        )
    };
    let (host, port) = https::split(address).0.rsplit_once(':').ok_or_else(wrong)?;
    port.parse::<u16>().map_err(|_| wrong())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = ServerName::try_from(name.unwrap_or(host).to_owned()).map_err(|_| wrong())?;
    Ok((host, name))
}

/// One server, reached over TCP and TLS.
#[derive(Debug)]
pub(crate) struct TlsServer {
    address: String,
    https: Option<Https>,
    name: ServerName<'static>,
    identity: Arc<Identity>,
    limit: Duration,
    /// The certificate that the server showed last.
    seen: Seen,
    watch: Watch,
}

/// The certificate that a server showed last.
pub(crate) type Seen = Arc<Mutex<Option<CertificateDer<'static>>>>;

impl TlsServer {
    /// # Errors
    /// When `address` is no `host:port`, or the name that its certificate must hold is none.
    pub(crate) fn new(
        address: &str,
        name: Option<&str>,
        identity: Arc<Identity>,
        limit: Duration,
        encoding: Encoding,
    ) -> Result<Self, Error> {
        let (_, name) = parse_address(address, name)?;
        Ok(Self {
            address: address.to_owned(),
            https: Https::of(address, encoding)?,
            name,
            identity,
            limit,
            seen: Seen::default(),
            watch: Watch::default(),
        })
    }

    pub(crate) fn seen(&self) -> Seen {
        Arc::clone(&self.seen)
    }

    async fn open(&self) -> Result<BoxedStream, Error> {
        let deadline = Instant::now() + self.limit;
        let tcp = tcp::open(https::split(&self.address).0, deadline, self.limit).await?;
        let config = self.identity.config();
        // The clock that certificates are judged by.
        let clock = DefaultTimeProvider.current_time();
        let now = clock.and_then(|now| i64::try_from(now.as_secs()).ok()).map(DateTime);
        if let Some(now) = now {
            self.identity.watch(now);
        }
        let tls = timeout_at(deadline, TlsConnector::from(config).connect(self.name.clone(), tcp))
            .await
            .map_err(|_| Error::TimedOut {
                address: self.address.clone(),
                step: Step::Handshake,
                after: self.limit,
            })?
            .map_err(|error| no_handshake(&self.address, &error))?;
        if let Some(certificate) = tls.get_ref().1.peer_certificates().and_then(<[_]>::first) {
            if let Some(now) = now {
                self.watch.look(Owner::Server(self.address.clone()), certificate, now);
            }
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen = Some(certificate.clone().into_owned());
        }
        Ok(Box::new(tls))
    }
}

/// The error of a handshake that failed.
pub(crate) fn no_handshake(address: &str, error: &io::Error) -> Error {
    match fault_of(error) {
        Some(fault) => Error::Tls { address: address.to_owned(), fault },
        None => Error::Lost { address: address.to_owned(), step: Step::Handshake, reason: error.to_string() },
    }
}

impl Connect for TlsServer {
    fn address(&self) -> &str {
        &self.address
    }

    fn https(&self) -> Option<Https> {
        self.https.clone()
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<BoxedStream, Error>> + Send + '_>> {
        Box::pin(self.open())
    }
}

/// What TLS has against the connection, where the error is TLS's.
pub(crate) fn fault_of(error: &io::Error) -> Option<TlsFault> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(fault)
}

fn fault(error: &rustls::Error) -> TlsFault {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate_fault(error),
        rustls::Error::AlertReceived(alert) => alert_fault(*alert),
        rustls::Error::InvalidMessage(_) => TlsFault::NotTls,
        rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            TlsFault::NothingInCommon("the server offers no TLS 1.2 or 1.3".to_owned())
        }
        rustls::Error::PeerIncompatible(_) => TlsFault::NothingInCommon(error.to_string()),
        _ => TlsFault::Other(error.to_string()),
    }
}

fn certificate_fault(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::Expired => TlsFault::Expired { not_after: None },
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsFault::Expired { not_after: Some(not_after.as_secs()) }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYetValid,
        // A CA of the right name with another key shows as a bad signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::UnknownCa,
        CertificateError::NotValidForName => {
            TlsFault::NameMismatch { expected: "the name asked for".to_owned(), presented: Vec::new() }
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            TlsFault::NameMismatch { expected: expected.to_str().into_owned(), presented: presented.clone() }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => TlsFault::Other(
            "the server's certificate is not for servers: its Extended Key Usage lacks serverAuth".to_owned(),
        ),
        CertificateError::Revoked => TlsFault::Other("the server's certificate is revoked".to_owned()),
        _ => TlsFault::Other(format!("the server's certificate cannot be used: {error}")),
    }
}

/// Alerts about certificates are the server's view of ours; those about versions and suites are nobody's fault.
fn alert_fault(alert: AlertDescription) -> TlsFault {
    let refused = |alert: &str| TlsFault::RefusedUs { alert: alert.to_owned() };
    match alert {
        AlertDescription::CertificateRequired => refused("it demands one and got none"),
        AlertDescription::CertificateExpired => refused("it has expired"),
        AlertDescription::CertificateRevoked => refused("it is revoked"),
        AlertDescription::UnknownCA => refused("it was issued by a CA that the server does not know"),
        AlertDescription::BadCertificate => refused("the server finds it malformed, or got none"),
        AlertDescription::UnsupportedCertificate => refused("the server does not take its kind"),
        AlertDescription::CertificateUnknown => refused("the server does not say why"),
        AlertDescription::AccessDenied => refused("access denied"),
        AlertDescription::DecryptError => refused("its signature does not verify"),
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity => {
            TlsFault::NothingInCommon(format!("the server sent the alert {alert:?}"))
        }
        _ => TlsFault::Other(format!("the server sent the alert {alert:?}")),
    }
}
