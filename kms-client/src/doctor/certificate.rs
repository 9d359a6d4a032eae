//! Certificates against the rules that backup products state.

use core::net::{Ipv4Addr, Ipv6Addr};

use kms_protocol::DateTime;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::error::Error;
use crate::limits;
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
    describe(&certificate, "the server's certificate", now, notes);
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
        match fetch(&url).await {
            Ok(list) => look_up(&certificate, &list, "the server's certificate", &url, now, notes),
            Err(why) => {
                notes.saw(format!("CRL at {url}: {why}"));
                notes.lacks(
                    format!("an answer from the CRL distribution point {url}"),
                    "clients that check for revocation, as Windows does, wait or refuse the KMS",
                );
            }
        }
    }
    Ok(())
}

/// What a list of revoked certificates says of one certificate.
fn look_up(
    certificate: &X509Certificate<'_>,
    list: &[u8],
    whose: &str,
    url: &str,
    now: DateTime,
    notes: &Notes,
) {
    let Ok((_, list)) = CertificateRevocationList::from_der(list) else {
        notes.saw(format!("CRL at {url}: what it answers is no list of revoked certificates"));
        let what = format!("a list of revoked certificates at {url}");
        return notes.lacks(what, "clients that check for revocation, as Windows does, refuse the KMS");
    };
    let mut revoked = list.iter_revoked_certificates();
    let is_revoked = revoked.any(|entry| entry.raw_serial() == certificate.raw_serial());
    let says = if is_revoked { "it is revoked" } else { "it is not revoked" };
    notes.saw(format!("CRL at {url}: {says}"));
    if is_revoked {
        notes.lacks(format!("validity of {whose}, which is revoked"), "whoever checks that refuses it");
    }
    if list.next_update().is_some_and(|until| until.timestamp() < now.0) {
        let what = format!("a current list of revoked certificates at {url}: it has expired");
        notes.lacks(what, "clients that check for revocation, as Windows does, refuse the KMS");
    }
}

/// Looks at the client's own.
pub(super) async fn of_client(credentials: &Credentials, now: DateTime, notes: &Notes) -> Result<(), Error> {
    let Some(first) = credentials.chain()?.into_iter().next() else {
        notes.lacks("a client certificate", "a KMS tells clients apart by their certificates");
        return Ok(());
    };
    let certificate = parse(&first)?;
    let whose = "this client's certificate";
    notes.saw(certificate.subject().to_string());
    describe(&certificate, whose, now, notes);
    if certificate.subject().iter_common_name().next().is_none() && names(&certificate).is_empty() {
        notes.lacks(format!("a name in {whose}"), "a KMS tells clients apart by their names");
    }
    for url in revocation_lists(&certificate) {
        // That of a client need not be reached from here: the KMS asks for it.
        match fetch(&url).await {
            Ok(list) => look_up(&certificate, &list, whose, &url, now, notes),
            Err(why) => notes.saw(format!("CRL at {url}: {why}")),
        }
    }
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

fn describe(certificate: &X509Certificate<'_>, whose: &str, now: DateTime, notes: &Notes) {
    let key = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA, {} bits", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("elliptic curve, {} bits", point.key_size()),
        _ => "another kind of key".to_owned(),
    };
    let (from, until) =
        (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    let days = until.saturating_sub(now.0).div_euclid(limits::DAY);
    let text =
        |time| jiff::Timestamp::from_second(time).map_or_else(|_| time.to_string(), |date| date.to_string());
    notes.saw(format!("{key}; issued by {}; valid until {}, {days} days", certificate.issuer(), text(until)));
    if certificate.subject() == certificate.issuer() {
        notes.lacks(
            format!("an authority's signature under {whose}, which signed itself"),
            "nobody trusts it who was not given this very certificate",
        );
    }
    if from > now.0 {
        notes.lacks(format!("validity of {whose} before {}", text(from)), "until then it is refused");
    }
    if until < now.0 {
        notes.lacks(format!("validity of {whose}, which expired at {}", text(until)), "it is refused");
    } else if days < limits::EXPIRY_WARNING_DAYS {
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

/// The list of revoked certificates at `url`, in DER, or why there is none.
async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    if !url.starts_with("http://") {
        return Err("not looked at: it is no http:// address".to_owned());
    }
    let url = url.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(limits::CONNECT)).build().into();
        let mut answer = agent.get(&url).call()?;
        answer.body_mut().with_config().limit(limits::REVOCATION_LIST).read_to_vec()
    });
    match asked.await {
        Ok(Ok(list)) => Ok(from_pem(list)),
        Ok(Err(error)) => Err(format!("does not answer from here: {error}")),
        Err(defect) => Err(defect.to_string()),
    }
}

/// Some authorities serve PEM.
fn from_pem(list: Vec<u8>) -> Vec<u8> {
    match x509_parser::pem::parse_x509_pem(&list) {
        Ok((_, pem)) => pem.contents,
        Err(_) => list,
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| Error::settings(format!("a certificate cannot be read: {error}"), "replace it"))?;
    Ok(certificate)
}
