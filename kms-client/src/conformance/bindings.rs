//! What the names of a case stand for, and what a server made in the place of what a case shows.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::Offset;
use kms_protocol::DateTime;

use super::chance::Objects;
use super::{Case, Node};

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings {
    /// What a response showed where the case has a name (`$UNIQUE_IDENTIFIER_0`).
    names: HashMap<String, String>,
    /// What a response showed where the case has a value that follows from random numbers.
    literals: HashMap<String, String>,
    /// The same of earlier cases of the group. Responses may show it again; a request that has the same value by chance is
    /// sent as it is.
    earlier: HashMap<String, String>,
    /// The values that responses of this case showed, in order, each with its item's name.
    shown: Vec<(String, String)>,
    /// What is known of the objects that the cases work with.
    pub(super) objects: Objects,
}

impl Bindings {
    /// What is known before any of `cases` runs.
    pub(super) fn of(cases: &[Case]) -> Self {
        Self { objects: Objects::of(cases), ..Self::default() }
    }

    /// Forgets what belongs to one case alone. Cases of one group may build on each other: `TL-M-3` shows the key that the
    /// server made in `TL-M-2`.
    pub(super) fn next_case(&mut self, is_same_group: bool) {
        self.names.clear();
        self.shown.clear();
        if !is_same_group {
            self.earlier.clear();
        }
        self.earlier.extend(self.literals.drain().filter(|_| is_same_group));
    }

    /// What the value is now; `None` for a name that no response has shown yet.
    pub(super) fn resolve(&self, value: &str, now: DateTime) -> Option<String> {
        if let Some(seconds) = offset_from_now(value) {
            let time = Timestamp::from_second(now.0.saturating_add(seconds)).unwrap_or(Timestamp::MAX);
            return Some(time.display_with_offset(Offset::UTC).to_string());
        }
        if is_name(value) {
            return self.names.get(value).cloned();
        }
        Some(self.literals.get(value).cloned().unwrap_or_else(|| value.to_owned()))
    }

    /// What an earlier case of the group showed in the place of a value.
    pub(super) fn of_earlier_case(&self, value: &str) -> Option<&str> {
        self.earlier.get(value).map(String::as_str)
    }

    /// Takes note of what stands for a name, or in the place of a literal.
    pub(super) fn bind(&mut self, value: &str, actual: &str) {
        let known = if is_name(value) { &mut self.names } else { &mut self.literals };
        known.insert(value.to_owned(), actual.to_owned());
    }

    /// Takes note of every value of a response.
    pub(super) fn note_shown(&mut self, node: &Node) {
        if !node.is_structure() {
            self.shown.push((node.name.clone(), node.value.clone()));
        }
        for item in &node.items {
            self.note_shown(item);
        }
    }

    /// A message with everything in it that is known; the first name that is not, otherwise.
    pub(super) fn fill(&self, node: &Node, now: DateTime) -> Result<Node, String> {
        let items = node.items.iter().map(|item| self.fill(item, now)).collect::<Result<_, _>>()?;
        let value = self.resolve(&node.value, now).or_else(|| self.by_tag(&node.value));
        let value = value.ok_or_else(|| node.value.clone())?;
        Ok(Node { items, value, ..node.clone() })
    }

    /// What a name means that stands in no response: the value that responses showed under the tag that it is called
    /// after, the last one (`$MAC_DATA`) or, by a number from 0, an earlier one (`$DATA_0`).
    fn by_tag(&self, name: &str) -> Option<String> {
        let (tag, number) = match name.rsplit_once('_') {
            Some((tag, number)) if number.bytes().all(|c| c.is_ascii_digit()) => (tag, number.parse().ok()),
            _ => (name, None),
        };
        let tag: String = tag.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut values =
            self.shown.iter().filter(|(shown, _)| shown.eq_ignore_ascii_case(&tag)).map(|(_, value)| value);
        match number {
            Some(number) => values.nth(number),
            None => values.next_back(),
        }
        .cloned()
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
