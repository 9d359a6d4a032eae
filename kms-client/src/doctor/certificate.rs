//! Certificates against the rules that backup products state.

use core::net::{Ipv4Addr, Ipv6Addr};

use kms_protocol::DateTime;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::error::Error;
use crate::limits;
use crate::tcp;
use crate::tls::Credentials;

use super::record::Notes;

/// Looks at the chains that a server showed, its own certificate first in each.
pub(super) async fn of_server(
    chains: &[Vec<CertificateDer<'static>>],
    host: &str,
    now: DateTime,
    notes: &Notes,
) -> Result<(), Error> {
    for chain in chains {
        of_chain(chain, host, now, notes).await?;
    }
    Ok(())
}

async fn of_chain(
    chain: &[CertificateDer<'static>],
    host: &str,
    now: DateTime,
    notes: &Notes,
) -> Result<(), Error> {
    let Some(first) = chain.first() else { return Ok(()) };
    let certificate = parse(first)?;
    notes.saw(format!("{} certificate(s), the first for {}", chain.len(), certificate.subject()));
    describe(&certificate, now, notes);
    let names = names(&certificate);
    notes.saw(format!("names: {}", names.join(", ")));
    let common = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    if host.parse::<core::net::IpAddr>().is_ok() {
        notes.saw("the KMS was asked for by its address; Veeam wants its fully qualified domain name");
    } else if common != Some(host) {
        notes.lacks(
            format!("the name {host} as the certificate's subject"),
            "Veeam wants the KMS' fully qualified domain name there",
        );
    }
    let usage = certificate.extended_key_usage().ok().flatten();
    if usage.is_none_or(|usage| !usage.value.server_auth) {
        notes.lacks("Extended Key Usage serverAuth", "strict clients refuse the server");
    }
    let lists = revocation_lists(&certificate);
    if lists.is_empty() {
        notes.lacks(
            "a CRL distribution point in the server's certificate",
            "Veeam wants one that resolves, and refuses the KMS otherwise",
        );
    }
    for url in lists {
        let answers = answers(&url).await;
        notes.saw(format!("CRL at {url}: {}", if answers { "answers" } else { "does not answer from here" }));
        if !answers {
            notes.lacks(
                format!("an answer from the CRL distribution point {url}"),
                "clients that check for revocation, as Windows does, wait or refuse the KMS",
            );
        }
    }
    Ok(())
}

/// Looks at the client's own.
pub(super) fn of_client(credentials: &Credentials, now: DateTime, notes: &Notes) -> Result<(), Error> {
    let Some(first) = credentials.chain()?.into_iter().next() else {
        notes.lacks("a client certificate", "a KMS tells clients apart by their certificates");
        return Ok(());
    };
    let certificate = parse(&first)?;
    notes.saw(certificate.subject().to_string());
    describe(&certificate, now, notes);
    if certificate.extended_key_usage().ok().flatten().is_none_or(|usage| !usage.value.client_auth) {
        notes.lacks(
            "Extended Key Usage clientAuth in this client's certificate",
            "PyKMIP and others refuse it",
        );
    }
    let form = match credentials.key_form()? {
        Some(PrivateKeyDer::Pkcs1(_)) => "PKCS#1",
        Some(PrivateKeyDer::Pkcs8(_)) => "PKCS#8 (Veeam imports PFX, or PEM with an RSA key as PKCS#1)",
        _ => "SEC1 (Veeam imports PFX, or PEM with an RSA key as PKCS#1)",
    };
    notes.saw(format!("its private key is {form}"));
    Ok(())
}

fn describe(certificate: &X509Certificate<'_>, now: DateTime, notes: &Notes) {
    let key = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA, {} bits", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("elliptic curve, {} bits", point.key_size()),
        _ => "another kind of key".to_owned(),
    };
    let until = certificate.validity().not_after.timestamp();
    let days = until.saturating_sub(now.0).div_euclid(limits::DAY);
    let date =
        jiff::Timestamp::from_second(until).map_or_else(|_| until.to_string(), |date| date.to_string());
    notes.saw(format!("{key}; issued by {}; valid until {date}, {days} days", certificate.issuer()));
    if days < limits::EXPIRY_WARNING_DAYS {
        notes.lacks(
            format!("validity for {} days ({days} are left)", limits::EXPIRY_WARNING_DAYS),
            "on the day it expires every job and every restore fails",
        );
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|bytes| Ipv4Addr::from(bytes).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string()))
            .ok(),
        _ => None,
    };
    names.value.general_names.iter().filter_map(shown).take(SHOWN).collect()
}

/// How many names and lists of a certificate are looked at.
const SHOWN: usize = 8;

fn revocation_lists(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut urls = Vec::new();
    for extension in certificate.extensions() {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else { continue };
        for point in &points.points {
            let Some(DistributionPointName::FullName(names)) = &point.distribution_point else { continue };
            urls.extend(names.iter().filter_map(|name| match name {
                GeneralName::URI(url) => Some((*url).to_owned()),
                _ => None,
            }));
        }
    }
    urls.truncate(SHOWN);
    urls
}

/// Whether something listens where a list is said to be.
async fn answers(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    let port_is_given = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if port_is_given { host.to_owned() } else { format!("{host}:80") };
    tcp::open(&address, Instant::now() + limits::ATTEMPT, limits::ATTEMPT).await.is_ok()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| Error::settings(format!("a certificate cannot be read: {error}"), "replace it"))?;
    Ok(certificate)
}
