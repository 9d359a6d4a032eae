//! The list of certificates that their authority has taken back (RFC 5280 section 5).

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use rsa::pkcs8::der::pem;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::{Authority, Error};

/// How long a list is said to hold. Clients keep it for so long; Windows asks again only then.
const HOLDS: Duration = Duration::from_secs(24 * 60 * 60);

/// Which certificates are revoked, and until when the list that says so holds.
#[derive(Clone, Debug)]
pub struct RevocationList {
    /// Grows with each list that is signed.
    number: u64,
    revoked: Vec<(Vec<u8>, SystemTime)>,
    until: SystemTime,
}

impl Default for RevocationList {
    fn default() -> Self {
        Self { number: 0, revoked: Vec::new(), until: SystemTime::UNIX_EPOCH }
    }
}

impl RevocationList {
    /// Reads a list in DER.
    ///
    /// # Errors
    /// [`Error::List`] when it is none.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let (_, list) =
            CertificateRevocationList::from_der(der).map_err(|error| Error::List(error.to_string()))?;
        let digits = list.crl_number().map(|number| number.to_u64_digits()).unwrap_or_default();
        let time = |seconds: i64| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        };
        let revoked = list.iter_revoked_certificates();
        Ok(Self {
            number: digits.first().copied().unwrap_or_default(),
            revoked: revoked
                .map(|entry| (entry.raw_serial().to_vec(), time(entry.revocation_date.timestamp())))
                .collect(),
            until: time(list.next_update().map_or(0, |until| until.timestamp())),
        })
    }

    /// The serial numbers of the revoked certificates, as they stand in the certificates.
    pub fn serials(&self) -> impl Iterator<Item = &[u8]> {
        self.revoked.iter().map(|(serial, _)| serial.as_slice())
    }

    /// Whether half of its time is over, so that a new one is due.
    #[must_use]
    pub fn is_due(&self, now: SystemTime) -> bool {
        now + HOLDS / 2 > self.until
    }

    /// Adds the certificate in `pem` to the list; whether it was not there yet.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when `pem` holds no certificate.
    pub fn revoke(&mut self, pem: &str, now: SystemTime) -> Result<bool, Error> {
        let serial = serial_of(pem)?;
        if self.serials().any(|known| known == serial) {
            return Ok(false);
        }
        self.revoked.push((serial, now));
        Ok(true)
    }
}

impl Authority {
    /// Signs a list that holds for a day from `now`, and returns it in DER.
    ///
    /// # Errors
    /// [`Error::Generate`] when the library refuses.
    pub fn sign_list(&self, list: &RevocationList, now: SystemTime) -> Result<Vec<u8>, Error> {
        let entry = |(serial, since): &(Vec<u8>, SystemTime)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: (*since).into(),
            reason_code: Some(RevocationReason::CessationOfOperation),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + HOLDS).into(),
            crl_number: SerialNumber::from(list.number.saturating_add(1)),
            issuing_distribution_point: None,
            revoked_certs: list.revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(self.issuer())?.der().to_vec())
    }
}

/// The serial number of the certificate in `pem`, as it stands there.
fn serial_of(text: &str) -> Result<Vec<u8>, Error> {
    let (_, der) = pem::decode_vec(text.as_bytes()).map_err(|_| Error::Unreadable)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| Error::Unreadable)?;
    Ok(certificate.raw_serial().to_vec())
}
