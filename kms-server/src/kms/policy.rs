//! What the operator has decided: which keys rotate when, and what may leave. Pure: how policies are written down is
//! the configuration's business.

use serde::Deserialize;
use wildmatch::WildMatch;

use super::model::Object;

/// The policy of a client that asked for rotation itself (2.1 Rotate Interval and Rotate Automatic).
pub const OWN_WISH: &str = "";

/// One policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name; unique.
    pub name: String,
    /// A pattern for the key pair's Names: `*` stands for any text, `?` for one character.
    pub names: WildMatch,
    /// Seconds from a pair's Initial Date to its rotation; never where absent.
    pub rotate_every: Option<i64>,
    /// Seconds from a new pair's Initial Date to its Activation Date.
    pub offset: i64,
    /// What becomes of the old pair once its successor is active.
    pub after_rotation: AfterRotation,
    /// Whether private keys may leave the server.
    pub private_keys_may_leave: MayLeave,
}

/// What becomes of the old pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterRotation {
    /// It stays Active.
    #[default]
    KeepActive,
    /// It is Deactivated at its successor's Activation Date.
    Deactivate,
}

/// Whether Get returns a private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MayLeave {
    /// Yes.
    #[default]
    Allow,
    /// Not once it is Deactivated or Compromised.
    RefuseWhenDeactivated,
    /// No.
    Never,
}

/// All policies; the first that matches counts.
#[derive(Clone, Debug, Default)]
pub struct Policies(pub Vec<Policy>);

impl Policies {
    /// The policy of a key.
    #[must_use]
    pub fn of(&self, object: &Object) -> Option<&Policy> {
        self.0.iter().find(|policy| {
            let mut names = object.names().peekable();
            match names.peek() {
                Some(_) => names.any(|name| policy.names.matches(&name.value)),
                None => policy.names.matches(""),
            }
        })
    }

    /// The policy of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Policy> {
        self.0.iter().find(|policy| policy.name == name)
    }

    /// Under which policy a pair rotates from now on, where it does.
    #[must_use]
    pub fn rotation_of(&self, private: &Object) -> Option<String> {
        if private.rotate_automatic() == Some(true) && private.rotate_interval().is_some() {
            return Some(OWN_WISH.to_owned());
        }
        self.of(private).filter(|policy| policy.rotate_every.is_some()).map(|policy| policy.name.clone())
    }
}
