//! What the operator has decided: which keys rotate when, and what may leave. Pure: how policies are written down is
//! the configuration's business.

use super::model::Object;

/// The policy of a client that asked for rotation itself (2.1 Rotate Interval and Rotate Automatic).
pub const OWN_WISH: &str = "";

/// One policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its name; unique.
    pub name: String,
    /// A pattern for the key pair's Names: `*` stands for any text, `?` for one character.
    pub names: String,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AfterRotation {
    /// It stays Active.
    #[default]
    KeepActive,
    /// It is Deactivated at its successor's Activation Date.
    Deactivate,
}

/// Whether Get returns a private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policies(pub Vec<Policy>);

impl Policies {
    /// The policy of a key.
    #[must_use]
    pub fn of(&self, object: &Object) -> Option<&Policy> {
        self.0.iter().find(|policy| {
            let mut names = object.names().peekable();
            match names.peek() {
                Some(_) => names.any(|name| matches(&policy.names, &name.value)),
                None => matches(&policy.names, ""),
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

/// Whether `text` fits `pattern`, in which `*` stands for any text and `?` for one character.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*`, should the literal text behind it fail to match.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(character) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some('?') => (p, t) = (p + 1, t + 1),
            Some(literal) if literal == character => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after_star, next)) => {
                    (p, t) = (after_star, next);
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|character| *character == '*'))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "nightly", true),
            ("night*", "nightly", true),
            ("*ly", "nightly", true),
            ("n*h*y", "nightly", true),
            ("n?ghtly", "nightly", true),
            ("n?ghtly", "nghtly", false),
            ("nightly", "nightly-private", false),
            ("*-private", "a-private-private", true),
            ("", "", true),
            ("", "a", false),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} on {text}");
        }
    }
}
