//! Why a peer was turned away, in words.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::certificate::Certificate;
use crate::clock;

const MAKE_ONE: &str =
    "give the client a certificate of this server's authority: `kms-server certs client NAME` makes one";

/// Why a handshake failed and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What was wrong.
    pub reason: String,
    /// What whoever runs the client, or the server, can do.
    pub hint: &'static str,
    /// Whether nobody need look: a port scan or health check that connected and said nothing.
    pub harmless: bool,
}

impl Refusal {
    fn new(reason: impl Into<String>, hint: &'static str) -> Self {
        Self { reason: reason.into(), hint, harmless: false }
    }

    pub(super) fn no_certificate() -> Self {
        Self::new("the client sent no certificate", MAKE_ONE)
    }

    pub(super) fn unreadable() -> Self {
        Self::new("the client's certificate cannot be read", MAKE_ONE)
    }

    pub(super) fn expired(certificate: &Certificate) -> Self {
        let Certificate { subject, not_after, .. } = certificate;
        let until = clock::text(*not_after);
        let hint = "renew the client's certificate; keys stay with the name in it";
        Self::new(format!("the client's certificate {subject:?} expired at {until}"), hint)
    }

    pub(super) fn revoked(certificate: &Certificate) -> Self {
        let Certificate { subject, serial, .. } = certificate;
        Self::new(
            format!(
                "the client's certificate {subject:?}, serial number {}, is revoked",
                hex::encode(serial)
            ),
            "give the client a new certificate; keys stay with the name in it",
        )
    }

    pub(super) fn nameless(certificate: &Certificate) -> Self {
        let subject = &certificate.subject;
        Self::new(
            format!("the client's certificate names nobody: subject {subject:?}, no usable alternative name"),
            "issue it with a common name, or a DNS name or e-mail address as Subject Alternative Name",
        )
    }

    /// Why a peer that did not finish its handshake in time was dropped.
    #[must_use]
    pub fn too_slow() -> Self {
        Self::new(
            format!("the TLS handshake was not finished within {:?}", crate::limits::HANDSHAKE),
            "look for a firewall between client and server, or a client that waits for the server to speak",
        )
    }

    /// Why a handshake ended with `error`; `presented` is the certificate that the client showed, if it got so far.
    pub(super) fn of_handshake(error: &io::Error, presented: Option<&Certificate>) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(tls) => Self::of_tls(tls, presented),
            None => Self {
                harmless: true,
                ..Self::new(
                    format!("the peer went away during the TLS handshake: {error}"),
                    "look at the client's log: it may refuse this server's certificate without saying so",
                )
            },
        }
    }

    pub(super) fn of_tls(error: &Error, presented: Option<&Certificate>) -> Self {
        match (error, presented) {
            (Error::NoCertificatesPresented, _) => Self::no_certificate(),
            (Error::InvalidCertificate(cause), Some(certificate)) => Self::of_certificate(cause, certificate),
            (Error::InvalidCertificate(_), None) => Self::unreadable(),
            (Error::AlertReceived(alert), _) => Self::of_alert(*alert),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), _) => Self::new(
                "the peer does not speak TLS",
                "KMIP runs over TLS: turn TLS on in the client, and do not point a browser or HTTP client here",
            ),
            // What rustls misses first in a hello of TLS 1.0 or 1.1.
            (
                Error::PeerIncompatible(
                    PeerIncompatible::SignatureAlgorithmsExtensionRequired
                    | PeerIncompatible::Tls12NotOffered
                    | PeerIncompatible::Tls12NotOfferedOrEnabled,
                ),
                _,
            ) => Self::new(
                "the client speaks an old TLS: it offers neither TLS 1.3 nor TLS 1.2 with signature algorithms",
                "turn TLS 1.2 or 1.3 on in the client",
            ),
            (Error::PeerIncompatible(cause), _) => Self::new(
                format!("client and server have no TLS in common: {cause:?}"),
                "the client needs TLS 1.2 with ECDHE and AES-GCM or ChaCha20, or TLS 1.3",
            ),
            (other, _) => Self::new(
                format!("the TLS handshake failed: {other}"),
                "compare what client and server offer with `openssl s_client -connect HOST:PORT -cert … -key …`",
            ),
        }
    }

    fn of_certificate(cause: &CertificateError, certificate: &Certificate) -> Self {
        let Certificate { subject, issuer, not_before, .. } = certificate;
        match cause {
            CertificateError::UnknownIssuer if certificate.is_self_signed() => Self::new(
                format!("the client's certificate {subject:?} signed itself, and is not trusted here"),
                MAKE_ONE,
            ),
            CertificateError::UnknownIssuer => Self::new(
                format!(
                    "the client's certificate {subject:?} comes from another authority, {issuer:?}, which is not \
                     trusted here"
                ),
                "use a client certificate of this server's authority; a new state folder has a new authority",
            ),
            CertificateError::BadSignature => Self::new(
                format!("the client's certificate {subject:?} is not signed by the {issuer:?} trusted here"),
                "the authority was made anew under its old name: issue the client's certificate again",
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::expired(certificate),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::new(
                format!(
                    "the client's certificate {subject:?} is not yet valid: it begins at {}",
                    clock::text(*not_before)
                ),
                "compare the clocks of the machine that issued it and of this one",
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::new(
                format!(
                    "the client's certificate {subject:?} is not for clients: its Extended Key Usage lacks clientAuth"
                ),
                "issue it with Extended Key Usage clientAuth (1.3.6.1.5.5.7.3.2)",
            ),
            CertificateError::Revoked => Self::revoked(certificate),
            CertificateError::ApplicationVerificationFailure => Self::nameless(certificate),
            other => Self::new(
                format!("the client's certificate {subject:?} of {issuer:?} is refused: {other}"),
                MAKE_ONE,
            ),
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        let reason = format!("the client refused this server: alert {alert:?}");
        let hint = match alert {
            AlertDescription::UnknownCA => "make the client trust this server's authority (ca.pem)",
            AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
                "make the client trust this server's authority (ca.pem) and connect by a name in its certificate"
            }
            AlertDescription::CertificateExpired => {
                "renew the server's certificate, or set the client's clock"
            }
            _ => "look at the client's log",
        };
        Self::new(reason, hint)
    }
}
