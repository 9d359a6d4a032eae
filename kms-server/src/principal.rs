//! Who a certificate stands for.

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::kms::policy::Patterns;
use crate::limits;

/// One rule of the configuration: certificates that match are this principal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mapping {
    /// The principal.
    pub name: String,
    /// The certificate's subject, as in `CN=backup, O=Example`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Patterns>,
    /// Any DNS name or e-mail address of its Subject Alternative Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub san: Option<Patterns>,
}

impl Mapping {
    /// What is wrong with it and what to do, if anything is.
    #[must_use]
    pub fn mistake(&self) -> Option<(String, &'static str)> {
        let name = &self.name;
        if name.is_empty() || name.chars().count() > limits::PRINCIPAL || name.chars().any(char::is_control) {
            let what = format!("the principal {name:?} has no name that can stand in a log");
            return Some((what, "give it 1 to 128 characters, none of them a control character"));
        }
        if self.subject.is_none() && self.san.is_none() {
            let what = format!("the principal {name:?} matches no certificate");
            return Some((what, "state a pattern for `subject`, for `san`, or for both"));
        }
        None
    }

    fn matches(&self, certificate: &Certificate) -> bool {
        let subject = self.subject.as_ref().is_none_or(|patterns| patterns.matches(&certificate.subject));
        let san = |patterns: &Patterns| certificate.names.iter().any(|name| patterns.matches(name));
        subject && self.san.as_ref().is_none_or(san)
    }
}

/// Tells principals from certificates: by the first mapping that matches, else by the certificate's own name.
///
/// Never by fingerprint or serial number: a renewed certificate is the same principal.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Principals(pub Vec<Mapping>);

impl Principals {
    /// Who a certificate stands for; nobody when it has no usable name and no mapping matches.
    #[must_use]
    pub fn of<'a>(&'a self, certificate: &'a Certificate) -> Option<&'a str> {
        let mapped = self.0.iter().find(|mapping| mapping.matches(certificate));
        mapped.map_or_else(|| certificate.principal(), |mapping| Some(&mapping.name))
    }
}
