//! The certificate authority of a development KMS.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};

use crate::request::Purpose;
use crate::{Access, Error, Flaw, KeyKind, PrivateKey, Request, replace_file};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An authority outlives everything that it signs.
const AUTHORITY_DAYS: u32 = 3650;
/// Several clients refuse a leaf valid for more than 825 days.
const LEAF_DAYS: u32 = 820;
/// A peer's clock may be this much behind ours.
const SKEW: Duration = Duration::from_secs(60 * 60);
/// `ub-common-name`, RFC 5280 appendix A.1.
const NAME_MAX: usize = 64;

/// Signs certificates with a key of its own.
pub struct Authority {
    certificate: String,
    key: PrivateKey,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key.
#[derive(Debug)]
pub struct Issued {
    certificate: String,
    key: PrivateKey,
}

impl Authority {
    /// A new authority (ECDSA P-256), valid for ten years from `now`.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn generate(now: SystemTime) -> Result<Self, Error> {
        let pair = KeyKind::EcdsaP256.generate()?;
        let serial = random_serial()?;
        let mut params = CertificateParams::default();
        // Two authorities of one name are hard to tell apart in a client's error, so each has its own.
        let tail: String = serial.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name = common_name(&format!("KMS development CA {tail}"));
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - SKEW).into();
        params.not_after = (now + DAY * AUTHORITY_DAYS).into();
        let certificate = params.self_signed(&pair)?.pem();
        let key = PrivateKey::new(KeyKind::EcdsaP256, &pair);
        Ok(Self { certificate, key, issuer: Issuer::new(params, pair) })
    }

    /// The authority that these two PEM texts hold.
    ///
    /// # Errors
    /// When one does not parse ([`Error::Generate`]) or they do not belong together ([`Error::Mismatch`]).
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let pair = KeyPair::from_pem(key_pem)?;
        let key = PrivateKey::new(KeyKind::of(&pair), &pair);
        let spki = pair.subject_public_key_info();
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, pair)?;
        if !der_of(certificate_pem)?.windows(spki.len()).any(|window| window == spki) {
            return Err(Error::Mismatch);
        }
        Ok(Self { certificate: certificate_pem.into(), key, issuer })
    }

    /// The authority's certificate in PEM, which peers put among those that they trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key that signs.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Makes what `request` asks for, with a new key; valid from an hour before `now`, for 820 days unless told otherwise.
    ///
    /// # Errors
    /// [`Error::Name`] or [`Error::Generate`] when a name or host cannot stand in a certificate.
    pub fn issue(&self, request: &Request, now: SystemTime) -> Result<Issued, Error> {
        self.certify(request, &request.key.generate()?, now)
    }

    /// Makes what `request` asks for, for the private key in `key_pem` (PKCS#8), whose kind counts.
    ///
    /// # Errors
    /// Those of [`Authority::issue`], and [`Error::Generate`] when the key does not parse.
    pub fn issue_for(&self, key_pem: &str, request: &Request, now: SystemTime) -> Result<Issued, Error> {
        let pair = KeyPair::from_pem(key_pem)?;
        let request = request.clone().key(KeyKind::of(&pair));
        self.certify(&request, &pair, now)
    }

    fn certify(&self, request: &Request, pair: &KeyPair, now: SystemTime) -> Result<Issued, Error> {
        let params = leaf(request, now)?;
        let signed = match request.flaw {
            Some(Flaw::OtherAuthority) => params.signed_by(pair, &Self::generate(now)?.issuer)?,
            Some(Flaw::SelfSigned) => params.self_signed(pair)?,
            _ => params.signed_by(pair, &self.issuer)?,
        };
        Ok(Issued { certificate: signed.pem(), key: PrivateKey::new(request.key, pair) })
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Writes `ca.pem` and `ca.key` into `folder`, the key first and for its owner alone.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        replace_file(&folder.join("ca.key"), self.key.pkcs8_pem().as_bytes(), Access::Private)?;
        replace_file(&folder.join("ca.pem"), self.certificate.as_bytes(), Access::Public)
    }
}

impl Issued {
    /// The certificate in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The certificate's private key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Writes `STEM.pem` and `STEM.key` into `folder`, the key (PKCS#8) first and for its owner alone.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, folder: &Path, stem: &str) -> Result<(), Error> {
        replace_file(&folder.join(format!("{stem}.key")), self.key.pkcs8_pem().as_bytes(), Access::Private)?;
        replace_file(&folder.join(format!("{stem}.pem")), self.certificate.as_bytes(), Access::Public)
    }
}

fn leaf(request: &Request, now: SystemTime) -> Result<CertificateParams, Error> {
    let wrong_name = request.flaw == Some(Flaw::WrongName);
    let mut params = match (request.purpose, wrong_name) {
        (Purpose::Server, true) => CertificateParams::new(vec!["wrong.invalid".into()])?,
        _ => CertificateParams::new(request.hosts.clone())?,
    };
    params.distinguished_name = match (request.purpose, wrong_name) {
        (Purpose::Server, true) => common_name("wrong.invalid"),
        (Purpose::Client, true) => DistinguishedName::new(),
        _ if request.name.is_empty() || request.name.chars().count() > NAME_MAX => {
            return Err(Error::Name(request.name.clone()));
        }
        _ => common_name(&request.name),
    };
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if request.key == KeyKind::Rsa2048 {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages = match (request.purpose, request.flaw) {
        (_, Some(Flaw::NoUsage)) => vec![],
        (Purpose::Server, Some(Flaw::WrongUsage)) => vec![ExtendedKeyUsagePurpose::ClientAuth],
        (Purpose::Client, Some(Flaw::WrongUsage)) => vec![ExtendedKeyUsagePurpose::ServerAuth],
        (Purpose::Server, _) => vec![ExtendedKeyUsagePurpose::ServerAuth],
        (Purpose::Client, _) => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.crl_distribution_points =
        request.crl.iter().map(|url| CrlDistributionPoint { uris: vec![url.clone()] }).collect();
    let lasts = request.valid_for.unwrap_or(DAY * LEAF_DAYS);
    let (begin, end) = match request.flaw {
        Some(Flaw::Expired) => (now - DAY - lasts, now - DAY),
        Some(Flaw::NotYetValid) => (now + DAY, now + DAY + lasts),
        _ => (now - SKEW, now + lasts),
    };
    params.not_before = begin.into();
    params.not_after = end.into();
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// 16 random bytes that make a positive number of full length (RFC 5280 section 4.1.2.2).
fn random_serial() -> Result<[u8; 16], Error> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Error::Random)?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7F) | 0x40;
    }
    Ok(serial)
}

fn der_of(pem: &str) -> Result<Vec<u8>, Error> {
    use rsa::pkcs8::der::pem;
    let (_, der) = pem::decode_vec(pem.as_bytes())
        .map_err(|_| Error::Generate(rcgen::Error::CouldNotParseCertificate))?;
    Ok(der)
}
