//! Who may do what with whose objects. Pure.
//!
//! An owner may do everything with its own objects, unless a rule says what. Objects of others exist only for those whom
//! a rule lets at them.

use kms_protocol::enums::Operation;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::batch::OPERATIONS;
use super::policy::Patterns;

/// All rules. What several rules allow adds up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Access(pub Vec<Rule>);

/// What some principals may do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Who.
    pub principals: Patterns,
    /// With whose objects; with their own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Patterns>,
    /// What; nothing where empty.
    pub operations: Vec<Allowed>,
}

/// An operation that a rule allows, by KMIP's name for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowed(pub Operation);

/// What a principal may do with an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may do this.
    Allowed,
    /// It may do something else with it, so it may know that it exists.
    Denied,
    /// To this principal the object does not exist.
    Hidden,
}

impl Access {
    /// Whether `principal` may do `operation` with an object of `owner`.
    #[must_use]
    pub fn judge(&self, principal: &str, owner: &str, operation: Operation) -> Verdict {
        let is_own = principal == owner;
        let mut ruled = false;
        for rule in self.0.iter().filter(|rule| rule.principals.matches(principal)) {
            let applies = match &rule.owners {
                None => is_own,
                Some(owners) => owners.matches(owner),
            };
            if !applies {
                continue;
            }
            ruled = true;
            if rule.operations.contains(&Allowed(operation)) {
                return Verdict::Allowed;
            }
        }
        match (is_own, ruled) {
            (true, false) => Verdict::Allowed,
            (true, true) => Verdict::Denied,
            (false, true) => Verdict::Denied,
            (false, false) => Verdict::Hidden,
        }
    }

    /// Whether `principal` may do `operation` with objects of others at all.
    #[must_use]
    pub fn reaches_others(&self, principal: &str, operation: Operation) -> bool {
        self.0.iter().any(|rule| {
            rule.owners.is_some()
                && rule.principals.matches(principal)
                && rule.operations.contains(&Allowed(operation))
        })
    }
}

impl Serialize for Allowed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Those that work on no object are everybody's.
        let on_objects = || OPERATIONS.iter().filter(|one| !is_for_everybody(**one));
        let known = on_objects().find(|operation| operation.to_string() == text);
        known.map(|operation| Self(*operation)).ok_or_else(|| {
            let names: Vec<String> = on_objects().map(|operation| format!("`{operation}`")).collect();
            D::Error::custom(format!("unknown operation `{text}`, expected one of {}", names.join(", ")))
        })
    }
}

/// Whether an operation works on no object.
fn is_for_everybody(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Cancel
            | Operation::DiscoverVersions
            | Operation::Hash
            | Operation::Interop
            | Operation::Log
            | Operation::Login
            | Operation::Logout
            | Operation::Notify
            | Operation::Ping
            | Operation::Pkcs11
            | Operation::Poll
            | Operation::Process
            | Operation::Put
            | Operation::Query
            | Operation::QueryAsynchronousRequests
            | Operation::RngRetrieve
            | Operation::RngSeed
            | Operation::SetEndpointRole
    )
}

#[cfg(test)]
mod tests {
    use kms_protocol::enums::Operation;

    use super::{Access, Verdict};

    #[test]
    fn rules_add_up_and_without_one_an_owner_may_everything() {
        let access: Access = serde_json::from_str(
            r#"[
                {"principals": "backup-*", "operations": ["Locate", "Encrypt", "Decrypt"]},
                {"principals": "backup-1", "operations": ["Create Key Pair"]},
                {"principals": "audit*", "owners": "backup-*", "operations": ["Get Attributes", "Locate"]}
            ]"#,
        )
        .unwrap();
        for (principal, owner, operation, expected) in [
            ("free", "free", Operation::Destroy, Verdict::Allowed),
            ("free", "backup-1", Operation::Locate, Verdict::Hidden),
            ("backup-1", "backup-1", Operation::Decrypt, Verdict::Allowed),
            ("backup-1", "backup-1", Operation::CreateKeyPair, Verdict::Allowed),
            ("backup-2", "backup-2", Operation::CreateKeyPair, Verdict::Denied),
            ("backup-1", "backup-1", Operation::Destroy, Verdict::Denied),
            ("backup-1", "backup-2", Operation::Decrypt, Verdict::Hidden),
            ("auditor", "backup-2", Operation::GetAttributes, Verdict::Allowed),
            ("auditor", "backup-2", Operation::Decrypt, Verdict::Denied),
            ("auditor", "free", Operation::GetAttributes, Verdict::Hidden),
            ("auditor", "auditor", Operation::Destroy, Verdict::Allowed),
        ] {
            assert_eq!(
                access.judge(principal, owner, operation),
                expected,
                "{principal} {owner} {operation}"
            );
        }
        assert!(access.reaches_others("auditor", Operation::Locate));
        assert!(!access.reaches_others("auditor", Operation::Decrypt));
        assert!(!access.reaches_others("backup-1", Operation::Locate));
    }

    #[test]
    fn an_operation_that_nobody_knows_is_named() {
        let error = serde_json::from_str::<Access>(r#"[{"principals": "*", "operations": ["Destory"]}]"#);
        assert!(error.unwrap_err().to_string().contains("unknown operation `Destory`"));
    }
}
