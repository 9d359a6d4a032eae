//! A connection as an independent client makes it: rustls in its blocking form, nothing of the project's own client.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::wire::bare;

/// A connection that is read and written in turns.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// TLS with the authority in the folder `pki` and the client certificate of this name in it.
#[must_use]
pub fn config(pki: &Path, client: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    with_provider(rustls::crypto::aws_lc_rs::default_provider(), pki, client, versions)
}

/// The same with TLS 1.2 and these cipher suites only.
#[must_use]
pub fn config_of_suites(pki: &Path, client: &str, suites: &[CipherSuite]) -> ClientConfig {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
    assert_eq!(provider.cipher_suites.len(), suites.len(), "suites that rustls has");
    with_provider(provider, pki, client, &[&rustls::version::TLS12])
}

fn with_provider(
    provider: CryptoProvider,
    pki: &Path,
    client: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        let path = pki.join(format!("{name}.pem"));
        CertificateDer::pem_file_iter(path).expect("a PEM file").map(|one| one.expect("PEM")).collect()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca"));
    let key = PrivateKeyDer::from_pem_file(pki.join(format!("{client}.key"))).expect("a private key");
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("TLS versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(client), key)
        .expect("a client certificate")
}

/// Connects to `address` and completes the handshake.
#[must_use]
pub fn connect(config: &Arc<ClientConfig>, address: &str) -> Stream {
    let (host, _) = address.rsplit_once(':').expect("an address with a port");
    let name = ServerName::try_from(host.to_owned()).expect("a server's name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("a TLS client");
    let mut stream = StreamOwned::new(connection, bare(address));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    }
    stream
}
