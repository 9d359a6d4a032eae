//! What a certificate says.

use kms_protocol::DateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::limits;

/// The parts of a certificate that the edge acts on or tells people about.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Certificate {
    /// Its subject, as in `CN=backup`.
    pub subject: String,
    /// Who signed it, as in `CN=KMS development CA 4f2a11c0`.
    pub issuer: String,
    /// The subject's first common name.
    pub common_name: Option<String>,
    /// DNS names and e-mail addresses of its Subject Alternative Name, in their order.
    pub names: Vec<String>,
    /// Its serial number, as it stands there.
    pub serial: Vec<u8>,
    /// Where the list of revoked certificates is said to be.
    pub revocation_list: Option<String>,
    /// From when it is valid.
    pub not_before: DateTime,
    /// Until when it is valid.
    pub not_after: DateTime,
    /// Whether its Extended Key Usage names clientAuth.
    pub client_auth: bool,
}

impl Certificate {
    /// Whether it signed itself.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }

    /// Reads a certificate in DER; `None` when it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let common_name = parsed.subject().iter_common_name().next();
        let client_auth = match parsed.extended_key_usage() {
            Ok(Some(usage)) => usage.value.client_auth || usage.value.any,
            _ => false,
        };
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            common_name: common_name.and_then(|name| name.as_str().ok()).map(str::to_owned),
            names: alternative_names(&parsed),
            serial: parsed.raw_serial().to_vec(),
            revocation_list: revocation_list(&parsed),
            not_before: DateTime(parsed.validity().not_before.timestamp()),
            not_after: DateTime(parsed.validity().not_after.timestamp()),
            client_auth,
        })
    }

    /// Who the certificate proves: its common name, else its first DNS name or e-mail address.
    ///
    /// Never its fingerprint or serial number: a renewed certificate is the same principal. Names that are empty, too
    /// long or hold control characters prove nobody.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        let usable = |name: &&str| {
            !name.is_empty()
                && name.chars().count() <= limits::PRINCIPAL
                && !name.chars().any(char::is_control)
        };
        match self.common_name.as_deref() {
            Some(name) if !name.is_empty() => Some(name).filter(usable),
            _ => self.names.iter().map(String::as_str).find(usable),
        }
    }
}

fn alternative_names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

/// The first URL among the CRL distribution points.
fn revocation_list(parsed: &X509Certificate<'_>) -> Option<String> {
    parsed.extensions().iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            return None;
        };
        points.points.iter().find_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => names.iter().find_map(|name| match name {
                GeneralName::URI(url) => Some((*url).to_owned()),
                _ => None,
            }),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use kms_protocol::DateTime;

    use super::Certificate;

    fn named(common_name: Option<&str>, names: &[&str]) -> Certificate {
        Certificate {
            subject: String::new(),
            issuer: String::new(),
            common_name: common_name.map(Into::into),
            names: names.iter().map(|name| (*name).into()).collect(),
            serial: Vec::new(),
            revocation_list: None,
            not_before: DateTime(0),
            not_after: DateTime(0),
            client_auth: true,
        }
    }

    #[test]
    fn the_principal_is_the_common_name_or_the_first_usable_alternative() {
        let long = "x".repeat(129);
        for (common_name, names, expected) in [
            (Some("backup"), &["other.example"][..], Some("backup")),
            (None, &["a.example", "b.example"][..], Some("a.example")),
            (Some(""), &["ops@example.com"][..], Some("ops@example.com")),
            (None, &["", "b.example"][..], Some("b.example")),
            (None, &[][..], None),
            (Some("two\nlines"), &["a.example"][..], None),
            (Some(&long), &[][..], None),
            (Some("Jürgen"), &[][..], Some("Jürgen")),
        ] {
            assert_eq!(named(common_name, names).principal(), expected, "{common_name:?} {names:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_reads_as_none() {
        assert_eq!(Certificate::read(b""), None);
        assert_eq!(Certificate::read(&[0x30, 0x82, 0xFF, 0xFF]), None);
    }
}
