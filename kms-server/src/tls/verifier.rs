//! Which client certificates are accepted.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::Certificate;
use crate::journal::Exchange;
use crate::mock::Mock;
use crate::principal::Principals;
use crate::revocation::Revocations;

/// rustls's own verification, and three rules more: clientAuth must be stated, the certificate must not be revoked, and it
/// must name somebody.
///
/// It serves one connection and remembers the certificate that was presented there, so that a refusal can quote it.
#[derive(Debug)]
pub(super) struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    principals: Arc<Principals>,
    presented: Arc<OnceLock<Certificate>>,
    revocations: Option<Arc<Revocations>>,
    faults: Option<Arc<Mock>>,
}

impl Verifier {
    pub(super) fn new(
        inner: Arc<dyn ClientCertVerifier>,
        principals: Arc<Principals>,
        presented: Arc<OnceLock<Certificate>>,
        revocations: Option<Arc<Revocations>>,
        faults: Option<Arc<Mock>>,
    ) -> Self {
        Self { inner, principals, presented, revocations, faults }
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let Some(certificate) = Certificate::read(end_entity) else {
            return Err(CertificateError::BadEncoding.into());
        };
        let certificate = self.presented.get_or_init(|| certificate);
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        // webpki accepts a certificate without any Extended Key Usage; a web server's certificate is not a client's.
        if !certificate.client_auth {
            return Err(CertificateError::InvalidPurpose.into());
        }
        if self.revocations.as_ref().is_some_and(|list| list.has(&certificate.serial)) {
            return Err(CertificateError::Revoked.into());
        }
        let Some(principal) = self.principals.of(certificate) else {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        };
        if let Some(mock) = &self.faults
            && let Some(fired) = mock.faults.fails_handshake(principal)
        {
            mock.note_fault(fired, Exchange { client: Some(principal.to_owned()), ..Exchange::default() });
            return Err(Error::General("a fault was armed".to_owned()));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
