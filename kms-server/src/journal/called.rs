//! Assertions on the journal, for tests.

use core::fmt;
use core::fmt::Write as _;

use kms_protocol::enums::{Operation, ResultReason};

use super::{Exchange, Item, Journal, Wanted};
use crate::limits;

/// How often something was asked for: narrowed, then asserted on.
#[must_use = "nothing is asserted before it is said how often"]
#[derive(Debug)]
pub struct Called<'a> {
    journal: &'a Journal,
    operation: Operation,
    by: Option<String>,
    key: Option<String>,
    reason: Option<ResultReason>,
}

impl Journal {
    /// Asserts how often `operation` was asked for:
    /// `journal.assert_called(Operation::Decrypt).by("veeam").times(2)`.
    pub fn assert_called(&self, operation: Operation) -> Called<'_> {
        Called { journal: self, operation, by: None, key: None, reason: None }
    }
}

impl Called<'_> {
    /// Only by this principal.
    pub fn by(self, client: &str) -> Self {
        Self { by: Some(client.to_owned()), ..self }
    }

    /// Only with this Unique Identifier.
    pub fn key(self, id: &str) -> Self {
        Self { key: Some(id.to_owned()), ..self }
    }

    /// Only where it was refused for this reason.
    pub fn refused(self, reason: ResultReason) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// How often that was.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all().iter().flat_map(|exchange| &exchange.items).filter(|item| self.fits(item)).count()
    }

    /// # Panics
    /// When it was not so often; the message tells what was asked for instead.
    #[track_caller]
    pub fn times(self, count: usize) {
        assert!(self.count() == count, "{self}: {} times, not {count}{}", self.count(), self.story());
    }

    /// # Panics
    /// When it was less often; the message tells what was asked for instead.
    #[track_caller]
    pub fn at_least(self, count: usize) {
        assert!(self.count() >= count, "{self}: {} times, not {count}{}", self.count(), self.story());
    }

    /// # Panics
    /// When it was at all.
    #[track_caller]
    pub fn never(self) {
        self.times(0);
    }

    fn fits(&self, item: &Item) -> bool {
        item.operation == self.operation.to_string()
            && self.key.as_ref().is_none_or(|key| item.keys.contains(key))
            && self.reason.is_none_or(|reason| item.reason == Some(reason.to_string()))
    }

    fn all(&self) -> Vec<Exchange> {
        let mut wanted = Wanted { client: self.by.clone(), ..Wanted::default() };
        let mut all = Vec::new();
        loop {
            let page = self.journal.page(&wanted);
            let is_last = page.exchanges.len() < limits::JOURNAL_PAGE;
            all.extend(page.exchanges);
            if is_last {
                return all;
            }
            wanted.after = Some(page.next);
        }
    }

    /// What is in the journal, for whoever has to find out.
    fn story(&self) -> String {
        let everything = Called { by: None, key: None, reason: None, ..*self }.all();
        let mut text = String::from("\nThe journal:");
        let skipped = everything.len().saturating_sub(20);
        for exchange in everything.iter().skip(skipped) {
            let _ = write!(text, "\n{exchange}");
        }
        text
    }
}

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was asked for", self.operation)?;
        for (word, value) in [("by", &self.by), ("with", &self.key)] {
            value.as_ref().map_or(Ok(()), |value| write!(f, " {word} {value:?}"))?;
        }
        self.reason.map_or(Ok(()), |reason| write!(f, " and refused as {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use kms_protocol::enums::{Operation, ResultReason};

    use super::super::{Exchange, Item, Journal};

    fn journal() -> Journal {
        let journal = Journal::new(100);
        for (client, reason) in [("a", None), ("a", Some(ResultReason::ItemNotFound)), ("b", None)] {
            let reason = reason.map(|reason| reason.to_string());
            let item = Item { operation: "Get".into(), keys: vec!["k".into()], reason, ..Item::default() };
            let exchange = Exchange { client: Some(client.into()), items: vec![item], ..Exchange::default() };
            journal.note(exchange, None, None);
        }
        journal
    }

    #[test]
    fn what_is_said_narrows() {
        let journal = journal();
        journal.assert_called(Operation::Get).times(3);
        journal.assert_called(Operation::Get).by("a").key("k").times(2);
        journal.assert_called(Operation::Get).by("a").refused(ResultReason::ItemNotFound).times(1);
        journal.assert_called(Operation::Get).key("other").never();
        journal.assert_called(Operation::Get).at_least(2);
    }

    #[test]
    #[should_panic(expected = "Get was asked for by \"b\": 1 times, not 2")]
    fn what_is_not_so_panics_and_tells_the_story() {
        journal().assert_called(Operation::Get).by("b").times(2);
    }
}
