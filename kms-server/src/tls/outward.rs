//! The server as the one who connects: to clients that wait to be told.

use std::sync::Arc;

use kms_protocol::DateTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme, version};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ByClientsOffer, Refusal, ServerTls};
use crate::kms::Caller;

impl ServerTls {
    /// Performs the handshake on `stream` as the side that connects, and tells who is there. The other side shows its
    /// certificate of a client: that says who it is, wherever it runs. The server shows its own.
    ///
    /// # Errors
    /// [`Refusal`] says in words why the peer is not trusted.
    pub async fn connect<S>(
        &self,
        stream: S,
        host: ServerName<'static>,
        now: DateTime,
    ) -> Result<(TlsStream<S>, Caller), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let verifier = AsClient(Arc::clone(&self.verifier));
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| Refusal::of_tls(&error, None))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&self.resolver) as Arc<dyn ResolvesClientCert>);
        let stream = TlsConnector::from(Arc::new(config))
            .connect(host, stream)
            .await
            .map_err(|error| Refusal::of_handshake(&error, None))?;
        let caller = self.caller(stream.get_ref().1.peer_certificates(), now)?;
        Ok((stream, caller))
    }
}

impl ResolvesClientCert for ByClientsOffer {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.keys.is_empty()
    }
}

/// Trusts a listening client as one that connects: by its certificate's issuer, not by a host's name.
#[derive(Debug)]
struct AsClient(Arc<dyn ClientCertVerifier>);

impl ServerCertVerifier for AsClient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_client_cert(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
