//! When the certificates in use expire, for whoever wants to say so before it happens.

use std::sync::PoisonError;

use kms_protocol::DateTime;
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
