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
    /// What is wrong with it behind those before it, and what to do, if anything is.
    #[must_use]
    pub fn mistake(&self, earlier: &[Self]) -> Option<(String, &'static str)> {
        let name = &self.name;
        if name.is_empty() || name.chars().count() > limits::PRINCIPAL || name.chars().any(char::is_control) {
            let what = format!("the principal {name:?} has no name that can stand in a log");
            return Some((what, "give it 1 to 128 characters, none of them a control character"));
        }
        if self.subject.is_none() && self.san.is_none() {
            let what = format!("the principal {name:?} matches no certificate");
            return Some((what, "state a pattern for `subject`, for `san`, or for both"));
        }
        if let Some(first) = earlier.iter().find(|first| first.covers(self)) {
            let first = &first.name;
            let what = format!(
                "the principal {name:?} is never reached: {first:?} takes every certificate that it would"
            );
            return Some((what, "the first that matches counts: put this one before it"));
        }
        None
    }

    /// Whether it matches every certificate that `other` does.
    fn covers(&self, other: &Self) -> bool {
        let covers = |own: &Option<Patterns>, theirs: &Option<Patterns>| {
            own.as_ref().is_none_or(|own| theirs.as_ref().is_some_and(|theirs| own.cover(theirs)))
        };
        covers(&self.subject, &other.subject) && covers(&self.san, &other.san)
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

#[cfg(test)]
mod tests {
    use kms_protocol::DateTime;

    use super::{Certificate, Mapping, Principals};

    fn certificate(subject: &str, common_name: Option<&str>, names: &[&str]) -> Certificate {
        Certificate {
            subject: subject.into(),
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
    fn the_first_mapping_that_matches_names_the_principal_and_else_the_certificate_does() {
        let mappings: Vec<Mapping> = serde_json::from_str(
            r#"[
                {"name": "media", "subject": "CN=media?*", "san": ["*.backup.example", "ops@*"]},
                {"name": "any host", "san": "*.example"}
            ]"#,
        )
        .unwrap();
        let principals = Principals(mappings);
        for (subject, common_name, names, expected) in [
            ("CN=media1, O=x", Some("media1"), &["a.backup.example"][..], Some("media")),
            ("CN=media1", Some("media1"), &["ops@example.com", "other"], Some("media")),
            ("CN=media1", Some("media1"), &["a.example"], Some("any host")),
            ("CN=media1", Some("media1"), &[], Some("media1")),
            ("CN=disk", Some("disk"), &["a.backup.example"], Some("any host")),
            ("O=x", None, &["a.example"], Some("any host")),
            ("O=x", None, &[], None),
        ] {
            assert_eq!(
                principals.of(&certificate(subject, common_name, names)),
                expected,
                "{subject} {names:?}"
            );
        }
    }
}
