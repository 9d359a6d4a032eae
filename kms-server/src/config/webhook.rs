//! `[[webhook]]`: who is told of events.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::kms::Event;

/// Somebody who is told of events by HTTP.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Webhook {
    /// Where events are sent: `https://…`, or `http://…` with a loopback or private address.
    pub url: Target,
    /// Which kinds of events; all where it is not said.
    #[serde(default)]
    pub events: Vec<EventKind>,
    /// The file of the secret that signs what is sent; relative to the configuration.
    pub secret_file: PathBuf,
    /// PEM file of the authorities that `https` trusts; relative to the configuration.
    #[serde(default)]
    pub trusted: Option<PathBuf>,
}

impl Webhook {
    /// What is wrong with it beside those before it, and what to do.
    pub(super) fn mistake(&self, earlier: &[Self]) -> Option<(String, &'static str)> {
        let url = &self.url.url;
        if earlier.iter().any(|earlier| earlier.url == self.url) {
            return Some((
                format!("webhook {url:?} is there twice"),
                "put all its events into one [[webhook]]",
            ));
        }
        if self.url.is_encrypted && self.trusted.is_none() {
            return Some((
                format!("webhook {url:?} does not say whom to trust"),
                "name a PEM file of authorities as `trusted`, such as /etc/ssl/certs/ca-certificates.crt",
            ));
        }
        None
    }
}

/// A kind of event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EventKind(pub String);

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let kind = String::deserialize(from)?;
        if Event::KINDS.contains(&kind.as_str()) {
            return Ok(Self(kind));
        }
        let known = Event::KINDS.map(|kind| format!("`{kind}`")).join(", ");
        Err(D::Error::custom(format!("unknown event `{kind}`, expected one of {known}")))
    }
}

/// Where a webhook is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(into = "String")]
pub struct Target {
    /// The whole URL.
    pub url: String,
    /// Whether what is sent is encrypted.
    pub is_encrypted: bool,
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.url
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let url = String::deserialize(from)?;
        let uri: ureq::http::Uri =
            url.parse().map_err(|error| D::Error::custom(format!("{url:?} is no URL: {error}")))?;
        let host = uri.host().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_near = match address {
            Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_private(),
            Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        match uri.scheme_str() {
            _ if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
                Err(D::Error::custom(
                    "a URL in the configuration may hold no password; the signature proves the sender",
                ))
            }
            Some("https") => Ok(Self { url, is_encrypted: true }),
            Some("http") if is_near => Ok(Self { url, is_encrypted: false }),
            Some("http") => Err(D::Error::custom(format!(
                "{url:?} would send events in the open: use https, or a loopback or private address"
            ))),
            _ => Err(D::Error::custom(format!("{url:?} is neither https:// nor http://"))),
        }
    }
}
