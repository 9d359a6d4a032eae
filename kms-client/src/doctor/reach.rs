//! From the name to a connection that both sides trust.

use core::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use kms_protocol::{DateTime, Version};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, HandshakeKind, ProtocolVersion, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connection::Connection;
use crate::error::{Error, Step};
use crate::https::{self, Https};
use crate::limits;
use crate::message::greet;
use crate::profile::Profile;
use crate::tcp;
use crate::tls::{self, Credentials, parse_address};

use super::certificate;
use super::record::{Notes, Record};
use super::report::Check;

/// A server to be connected to in one way after another.
struct Target<'a> {
    address: &'a str,
    host: &'a str,
    name: ServerName<'static>,
    https: Option<Https>,
    credentials: Credentials,
}

/// Looks at everything below KMIP; whether a connection came about.
pub(super) async fn examine(
    record: &mut Record<'_>,
    profile: &Profile,
    now: DateTime,
) -> Result<bool, Error> {
    let (host, name) = parse_address(&profile.server, None)?;
    let credentials = Credentials::of(profile);
    let address = https::split(&profile.server).0;
    let https = Https::of(&profile.server, profile.encoding)?;
    let target = Target { address, host, name, https, credentials };
    let (shown, notes) = (Shown::default(), record.notes());
    let Some(()) = record.check(Check::Resolve, target.resolve(&notes)).await else {
        record.skip([Check::Connect, Check::Handshake, Check::TlsVersions], "the name has no address");
        record.skip([Check::TlsResumption, Check::ServerCertificate], "the name has no address");
        client_certificate(record, &target, now).await;
        return Ok(false);
    };
    let connected = record.check(Check::Connect, target.connect_each(&notes)).await;
    if connected.is_none() {
        record.skip([Check::Handshake, Check::TlsVersions, Check::TlsResumption], "nothing answers there");
        record.skip([Check::ServerCertificate], "nothing answers there");
        client_certificate(record, &target, now).await;
        return Ok(false);
    }
    let reached = record.check(Check::Handshake, target.handshake(&shown, &notes)).await;
    if reached.is_some() {
        record.check(Check::TlsVersions, target.each_version(&shown, &notes)).await;
        record.check(Check::TlsResumption, target.resume(&notes)).await;
    } else {
        record.skip([Check::TlsVersions, Check::TlsResumption], "there is no trusted connection");
    }
    let chains = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if chains.is_empty() {
        record.skip([Check::ServerCertificate], "the server showed none");
    } else {
        let look = certificate::of_server(&chains, target.host, now, &notes);
        record.check(Check::ServerCertificate, look).await;
    }
    client_certificate(record, &target, now).await;
    Ok(reached.is_some())
}

async fn client_certificate(record: &mut Record<'_>, target: &Target<'_>, now: DateTime) {
    let notes = record.notes();
    record.check(Check::ClientCertificate, certificate::of_client(&target.credentials, now, &notes)).await;
}

impl Target<'_> {
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        tcp::resolve(self.address, Instant::now() + limits::CONNECT, limits::CONNECT).await
    }

    async fn resolve(&self, notes: &Notes) -> Result<(), Error> {
        let addresses = self.addresses().await?;
        let ips: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        notes.saw(format!("{}: {}", self.host, ips.join(", ")));
        Ok(())
    }

    /// Connects to each address of the name; one that does not answer costs every client time.
    async fn connect_each(&self, notes: &Notes) -> Result<(), Error> {
        let mut last = None;
        let mut answered = false;
        for address in self.addresses().await? {
            let started = Instant::now();
            match tcp::connect(self.address, address, limits::CONNECT).await {
                Ok(_) => {
                    answered = true;
                    notes.saw(format!("{address}: connected after {:.1?}", started.elapsed()));
                }
                Err(error) => {
                    notes.saw(format!("{address}: {error}"));
                    last = Some((address, error));
                }
            }
        }
        match last {
            Some((_, error)) if !answered => Err(error),
            Some((address, _)) => {
                notes.lacks(
                    format!("an answer at {address}"),
                    "clients that try it first lose time at every connection",
                );
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A configuration that also notes the chain that the server shows.
    fn witnessed(&self, mut config: ClientConfig, shown: &Shown) -> Result<ClientConfig, Error> {
        let roots = Arc::new(self.credentials.roots()?);
        let provider = Arc::clone(config.crypto_provider());
        let judge = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| Error::settings(error.to_string(), "give the CA's certificate as PEM"))?;
        let witness = Witness { judge, shown: Arc::clone(shown) };
        config.dangerous().set_certificate_verifier(Arc::new(witness));
        Ok(config)
    }

    /// A handshake, and one exchange: a server that does not trust the client says so only then over TLS 1.3, and
    /// tickets to resume by come only then.
    async fn open(&self, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Error> {
        let deadline = Instant::now() + limits::CONNECT;
        let tcp = tcp::open(self.address, deadline, limits::CONNECT).await?;
        let connector = TlsConnector::from(Arc::clone(config));
        let mut stream = timeout_at(deadline, connector.connect(self.name.clone(), tcp))
            .await
            .map_err(|_| Error::TimedOut {
                address: self.address.to_owned(),
                step: Step::Handshake,
                after: limits::CONNECT,
            })?
            .map_err(|error| tls::no_handshake(self.address, &error))?;
        let mut connection = Connection::over(&mut stream, self.address).carried(self.https.clone());
        match greet(&mut connection, Version::V1_4).await {
            Err(error @ Error::Tls { .. }) => Err(error),
            _ => Ok(stream),
        }
    }

    async fn handshake(&self, shown: &Shown, notes: &Notes) -> Result<(), Error> {
        let config = self.witnessed(self.credentials.config()?, shown)?;
        notes.saw(spoken(&self.open(&Arc::new(config)).await?));
        Ok(())
    }

    async fn each_version(&self, shown: &Shown, notes: &Notes) -> Result<(), Error> {
        let mut taken = Vec::new();
        for version in VERSIONS {
            let config = self.credentials.config_of(&[version], |_| true)?;
            match self.open(&Arc::new(config)).await {
                Ok(stream) => {
                    taken.push(version.version);
                    notes.saw(format!("offered {}: {}", named(version.version), spoken(&stream)));
                }
                Err(error) => notes.saw(format!("offered {}: {error}", named(version.version))),
            }
        }
        if !taken.contains(&ProtocolVersion::TLSv1_2) {
            notes.lacks("TLS 1.2", "clients that speak no newer one, Veeam's among them, do not get in");
            return Ok(());
        }
        let config = self.credentials.config_of(&[&rustls::version::TLS12], is_veeams)?;
        let config = self.witnessed(config, shown)?;
        match self.open(&Arc::new(config)).await {
            Ok(stream) => notes.saw(format!("offered ECDHE-RSA-AES-GCM: {}", spoken(&stream))),
            Err(error) => {
                notes.saw(format!("offered ECDHE-RSA-AES-GCM: {error}"));
                notes.lacks(
                    "TLS 1.2 with ECDHE-RSA-AES-GCM",
                    "Veeam was seen with these suites: it needs a server with an RSA certificate that has them",
                );
            }
        }
        Ok(())
    }

    async fn resume(&self, notes: &Notes) -> Result<(), Error> {
        for version in VERSIONS {
            let config = Arc::new(self.credentials.config_of(&[version], |_| true)?);
            let Ok(first) = self.open(&config).await else { continue };
            drop(first);
            let second = self.open(&config).await?;
            let resumed = second.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            let said = if resumed { "resumed" } else { "a full handshake again" };
            notes.saw(format!("a second connection over {}: {said}", named(version.version)));
            if !resumed {
                notes.lacks(
                    format!("resumption of {} sessions", named(version.version)),
                    "each new connection costs a full handshake, which many jobs at once will feel",
                );
            }
        }
        Ok(())
    }
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn is_veeams(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    )
}

fn named(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        _ => "another version",
    }
}

fn spoken(stream: &TlsStream<TcpStream>) -> String {
    let (_, tls) = stream.get_ref();
    let version = tls.protocol_version().map_or("no version", named);
    let suite = tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    format!("{version}, {}", suite.unwrap_or_default())
}

/// The chains that a server has shown, once each: it may have one for each kind of key.
type Shown = Arc<Mutex<Vec<Vec<CertificateDer<'static>>>>>;

/// Verifies a server's certificate as the client does, and keeps what was shown, also where it is refused.
#[derive(Debug)]
struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    shown: Shown,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = core::iter::once(end_entity).chain(intermediates);
        let chain: Vec<_> = chain.map(|certificate| certificate.clone().into_owned()).collect();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if !shown.contains(&chain) {
            shown.push(chain);
        }
        drop(shown);
        self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
