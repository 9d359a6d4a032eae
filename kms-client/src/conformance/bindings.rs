//! What the names of a case stand for, and what a server made in the place of what a case shows.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::tz::Offset;
use kms_protocol::DateTime;

use super::Node;

/// What is known of one case so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings {
    /// By name (`$UNIQUE_IDENTIFIER_0`), or by a literal that the server answered differently.
    values: HashMap<String, String>,
    /// Objects whose keys the server made by chance.
    pub(super) fresh: BTreeSet<String>,
}

impl Bindings {
    /// What the value is now; `None` for a name that no response has shown yet.
    pub(super) fn resolve(&self, value: &str, now: DateTime) -> Option<String> {
        if let Some(seconds) = offset_from_now(value) {
            let time = Timestamp::from_second(now.0.saturating_add(seconds)).unwrap_or(Timestamp::MAX);
            return Some(time.display_with_offset(Offset::UTC).to_string());
        }
        match self.values.get(value) {
            Some(known) => Some(known.clone()),
            None if is_name(value) => None,
            None => Some(value.to_owned()),
        }
    }

    /// Takes note of what stands for a name, or in the place of a literal.
    pub(super) fn bind(&mut self, value: &str, actual: &str) {
        self.values.insert(value.to_owned(), actual.to_owned());
    }

    /// A message with everything in it that is known; the first name that is not, otherwise.
    pub(super) fn fill(&self, node: &Node, now: DateTime) -> Result<Node, String> {
        let items = node.items.iter().map(|item| self.fill(item, now)).collect::<Result<_, _>>()?;
        let value = self.resolve(&node.value, now).ok_or_else(|| node.value.clone())?;
        Ok(Node { items, value, ..node.clone() })
    }
}

/// Whether a value is a name that a response binds.
pub(super) fn is_name(value: &str) -> bool {
    value.len() > 1 && value.starts_with('$')
}

/// The seconds that `$NOW`, `$NOW-3600` and `$NOW+3600` are from now.
pub(super) fn offset_from_now(value: &str) -> Option<i64> {
    match value.strip_prefix("$NOW")? {
        "" => Some(0),
        offset => offset.parse().ok(),
    }
}
