//! X.509 certificates that the server issues for its clients' keys (RFC 5280).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kms_protocol::{DateTime, Secret};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

use super::CryptoError;
use super::cipher::random;

/// How long an authority is valid: it outlives what it signs.
const AUTHORITY: Duration = Duration::from_secs(3_650 * 86_400);
/// How long a certificate is valid: several programs refuse one of more than 825 days.
const CERTIFICATE: Duration = Duration::from_secs(820 * 86_400);
/// A reader's clock may be this much behind.
const SKEW: Duration = Duration::from_secs(3_600);
/// `ub-common-name`, RFC 5280 appendix A.1.
const NAME: usize = 64;

/// What a certificate is for.
#[derive(Debug)]
pub enum Subject<'a> {
    /// A public key, under this name.
    Key(&'a [u8], &'a str),
    /// A request of its own (PKCS#10, RFC 2986), DER; and the public key that it has to be for, where one is named.
    Request(&'a [u8], Option<&'a [u8]>),
}

/// The certificate of a new authority, signed by itself.
///
/// # Errors
/// [`CryptoError::Library`].
pub fn authority(name: &str, key: &Secret, now: DateTime) -> Result<Vec<u8>, CryptoError> {
    let mut params = bounded(now, AUTHORITY)?;
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&pair(key)?).map_err(failed)?;
    Ok(certificate.der().to_vec())
}

/// A certificate for a subject, signed by an authority.
///
/// # Errors
/// [`CryptoError::KeyRejected`] for a key or a request that no certificate can be made of.
pub fn issue(
    authority: &[u8],
    key: &Secret,
    subject: &Subject<'_>,
    now: DateTime,
) -> Result<Vec<u8>, CryptoError> {
    let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(authority), pair(key)?).map_err(failed)?;
    let mut params = bounded(now, CERTIFICATE)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let signed = match subject {
        Subject::Key(spki, name) => {
            params.distinguished_name = common_name(name);
            let key = SubjectPublicKeyInfo::from_der(spki).map_err(|_| {
                refused("the public key", "it is of a kind that no certificate is made for here")
            })?;
            params.signed_by(&key, &issuer)
        }
        Subject::Request(der, wanted) => {
            let request =
                CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(*der))
                    .map_err(|_| {
                        refused("the certificate request", "it is not PKCS#10 with a valid signature")
                    })?;
            if let Some(wanted) = wanted {
                let wanted = SubjectPublicKeyInfo::from_der(wanted).map_err(|_| {
                    refused("the public key", "it is of a kind that no certificate is made for here")
                })?;
                if wanted.der_bytes() != request.public_key.der_bytes() {
                    return Err(refused("the certificate request", "it is for another public key"));
                }
            }
            params.distinguished_name = request.params.distinguished_name.clone();
            params.subject_alt_names.clone_from(&request.params.subject_alt_names);
            params.signed_by(&request.public_key, &issuer)
        }
    };
    Ok(signed.map_err(failed)?.der().to_vec())
}

fn bounded(now: DateTime, valid: Duration) -> Result<CertificateParams, CryptoError> {
    let mut params = CertificateParams::default();
    let begin = time(now).checked_sub(SKEW).unwrap_or(UNIX_EPOCH);
    params.not_before = begin.into();
    params.not_after = begin.checked_add(valid).unwrap_or(begin).into();
    let mut serial = random(16)?;
    // A positive number of full length (section 4.1.2.2).
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7F) | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn time(now: DateTime) -> SystemTime {
    let seconds = u64::try_from(now.0).unwrap_or(0);
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name.chars().take(NAME).collect::<String>());
    subject
}

fn pair(key: &Secret) -> Result<KeyPair, CryptoError> {
    KeyPair::try_from(key.expose()).map_err(failed)
}

fn failed(_: rcgen::Error) -> CryptoError {
    CryptoError::Library("a certificate could not be made")
}

fn refused(what: &'static str, why: &'static str) -> CryptoError {
    CryptoError::KeyRejected {
        what,
        why,
        hint: "RSA keys of 2048 bits and more, keys on P-256, P-384 and P-521, and Ed25519 keys are certified",
    }
}
