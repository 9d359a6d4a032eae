//! `[[notify]]`: clients that the server tells of their objects, of its own accord.

use core::fmt;

use kms_protocol::Version;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kms::VERSIONS;

/// A client that listens for Notify and Put (KMIP 1.4 section 5). One that speaks 2.0 or later can ask for Set Endpoint Role
/// instead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NotifiedClient {
    /// Where it listens, by TLS, as `host:port`.
    pub address: String,
    /// Who it is: its certificate has to say so. It is told of what Get Attributes shows it.
    pub principal: String,
    /// The version that it is told in; 1.4 unless stated.
    #[serde(default)]
    pub version: Spoken,
}

impl NotifiedClient {
    /// What is wrong with it beside those before it, and what to do.
    pub(super) fn mistake(&self, earlier: &[Self]) -> Option<(String, &'static str)> {
        let address = &self.address;
        let (host, port) = address.rsplit_once(':').unwrap_or_default();
        if host.is_empty() || port.parse::<u16>().is_err() {
            let hint = "write it as host:port, such as backup.example.com:5699";
            return Some((format!("[[notify]] {address:?} is no address"), hint));
        }
        earlier
            .contains(self)
            .then(|| (format!("[[notify]] {address:?} is there twice"), "leave one of them out"))
    }
}

/// A version of KMIP that is spoken here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spoken(pub Version);

impl Default for Spoken {
    fn default() -> Self {
        Self(Version::V1_4)
    }
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Spoken {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spoken {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        VERSIONS.into_iter().find(|version| version.to_string() == text).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "unknown version `{text}`, expected one of \"1.0\" to \"1.4\", \"2.0\", \"2.1\""
            ))
        })
    }
}
