//! When the certificates in use expire, for whoever wants to say so before it happens.

use std::sync::{Mutex, PoisonError};

use kms_protocol::DateTime;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::Error;
use crate::limits;
use crate::tls::{Identity, Seen};

/// Whose certificate it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owner {
    /// This client's own.
    Client,
    /// The one that the server at this address showed last.
    Server(String),
}

/// A certificate in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Whose it is.
    pub owner: Owner,
    /// Its subject.
    pub subject: String,
    /// Its last second.
    pub not_after: DateTime,
}

impl Certificate {
    /// Whole days from `now` to its end; negative once it has passed.
    #[must_use]
    pub fn days_left(&self, now: DateTime) -> i64 {
        self.not_after.0.saturating_sub(now.0).div_euclid(limits::DAY)
    }
}

/// Warns of a certificate that is about to expire, once a day.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Option<(CertificateDer<'static>, DateTime)>>);

impl Watch {
    pub(crate) fn look(&self, owner: Owner, der: &CertificateDer<'_>, now: DateTime) {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let again = |at: DateTime| now.0.saturating_sub(at.0) >= limits::EXPIRY_WARNING_AGAIN;
        if warned.as_ref().is_some_and(|(known, at)| known == der && !again(*at)) {
            return;
        }
        let Ok(certificate) = read(owner, der) else { return };
        let days = certificate.days_left(now);
        if days < limits::EXPIRY_WARNING_DAYS {
            let whose = match &certificate.owner {
                Owner::Client => "this client",
                Owner::Server(address) => address,
            };
            tracing::warn!(%whose, subject = %certificate.subject, days, "a certificate is about to expire");
        }
        *warned = Some((der.clone().into_owned(), now));
    }
}

pub(crate) fn all(identity: Option<&Identity>, seen: &[(String, Seen)]) -> Result<Vec<Certificate>, Error> {
    let mut all = Vec::new();
    if let Some(own) = identity.map(Identity::chain).transpose()?.and_then(|chain| chain.into_iter().next()) {
        all.push(read(Owner::Client, &own)?);
    }
    for (address, seen) in seen {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = seen.as_ref() {
            all.push(read(Owner::Server(address.clone()), certificate)?);
        }
    }
    Ok(all)
}

fn read(owner: Owner, der: &[u8]) -> Result<Certificate, Error> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| Error::settings(format!("a certificate cannot be read: {error}"), "replace it"))?;
    Ok(Certificate {
        owner,
        subject: certificate.subject().to_string(),
        not_after: DateTime(certificate.validity().not_after.timestamp()),
    })
}
