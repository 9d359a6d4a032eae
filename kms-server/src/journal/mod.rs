//! The journal of a development server: what was asked, what came of it and what was made to go wrong, newest last.
//!
//! Memory is bounded by the number of exchanges and by their bytes. Values of byte strings are gone before anything is kept:
//! any of them may be a key.

mod called;
mod exchange;
mod redact;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::limits;

pub use called::Called;
pub use exchange::{Exchange, Item};
pub use redact::{Redacted, redacted};

/// The last exchanges of one server.
#[derive(Debug)]
pub struct Journal {
    most: usize,
    state: Mutex<State>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    bytes: usize,
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    exchange: Exchange,
    request: Option<Redacted>,
    response: Option<Redacted>,
    bytes: usize,
}

/// Which exchanges are wanted. What is not said does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// With a greater number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Of this principal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// That asked for this operation, by KMIP's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// That named this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// In which something failed.
    pub failed: bool,
    /// In which a fault fired.
    pub faults: bool,
    /// With their messages, decoded.
    pub messages: bool,
    /// So many at most, the first of those that fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A part of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Page {
    /// The exchanges, oldest first.
    pub exchanges: Vec<Exchange>,
    /// The number to go on after.
    pub next: u64,
    /// The last number that the journal has forgotten, where it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_up_to: Option<u64>,
}

impl Journal {
    /// A journal of the last `most` exchanges; of none with 0.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most: most.min(limits::JOURNAL_MOST), state: Mutex::default(), last: watch::Sender::default() }
    }

    /// Notes an exchange with its messages; its number is given here.
    pub fn note(&self, exchange: Exchange, request: Option<Redacted>, response: Option<Redacted>) {
        if self.most == 0 {
            return;
        }
        let messages = [&request, &response].into_iter().flatten().map(Redacted::len).sum::<usize>();
        let bytes = exchange.weight() + messages;
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.bytes += bytes;
        state.kept.push_back(Kept { exchange: Exchange { number, ..exchange }, request, response, bytes });
        while state.kept.len() > self.most || state.bytes > limits::JOURNAL_BYTES {
            let Some(gone) = state.kept.pop_front() else { break };
            state.bytes -= gone.bytes;
        }
        drop(state);
        self.last.send_replace(number);
    }

    /// The exchanges that are wanted.
    #[must_use]
    pub fn page(&self, wanted: &Wanted) -> Page {
        let after = wanted.after.unwrap_or(0);
        let limit = wanted.limit.unwrap_or(limits::JOURNAL_PAGE).clamp(1, limits::JOURNAL_PAGE);
        let state = self.lock();
        let forgotten = state.kept.front().map_or(state.last, |first| first.exchange.number - 1);
        let lost_up_to = (forgotten > after).then_some(forgotten);
        let mut page = Page { exchanges: Vec::new(), next: state.last.max(after), lost_up_to };
        for kept in
            state.kept.iter().filter(|kept| kept.exchange.number > after && wanted.fits(&kept.exchange))
        {
            if page.exchanges.len() == limit {
                page.next = page.exchanges.last().map_or(after, |last| last.number);
                break;
            }
            page.exchanges.push(kept.shown(wanted.messages));
        }
        page
    }

    /// Learns the number of the newest exchange, again and again.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Forgets all that is in it; numbers go on.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.kept.clear();
        state.bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn shown(&self, messages: bool) -> Exchange {
        let mut shown = self.exchange.clone();
        if messages {
            shown.request = self.request.as_ref().map(Redacted::text);
            shown.response = self.response.as_ref().map(Redacted::text);
        }
        shown
    }
}

impl Wanted {
    fn fits(&self, exchange: &Exchange) -> bool {
        let has_item = |fits: &dyn Fn(&Item) -> bool| exchange.items.iter().any(fits);
        let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "");
        self.client.as_ref().is_none_or(|client| exchange.client.as_ref() == Some(client))
            && self
                .operation
                .as_ref()
                .is_none_or(|name| has_item(&|item| plain(&item.operation) == plain(name)))
            && self.key.as_ref().is_none_or(|key| has_item(&|item| item.keys.contains(key)))
            && (!self.failed || exchange.has_failed())
            && (!self.faults || !exchange.faults.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Item, Journal, Wanted};
    use crate::limits;

    fn exchange(client: &str, operation: &str) -> Exchange {
        let item = Item { operation: operation.into(), status: "Success".into(), ..Item::default() };
        Exchange { client: Some(client.into()), items: vec![item], ..Exchange::default() }
    }

    #[test]
    fn the_oldest_are_forgotten_and_that_is_said() {
        let journal = Journal::new(3);
        for at in 0..5 {
            journal.note(exchange(&format!("c{at}"), "Get"), None, None);
        }
        let page = journal.page(&Wanted::default());
        let numbers: Vec<u64> = page.exchanges.iter().map(|exchange| exchange.number).collect();
        assert_eq!((numbers, page.next, page.lost_up_to), (vec![3, 4, 5], 5, Some(2)));
        assert_eq!(journal.page(&Wanted { after: Some(4), ..Wanted::default() }).lost_up_to, None);
    }

    #[test]
    fn its_bytes_are_bounded_whatever_is_noted() {
        let journal = Journal::new(limits::JOURNAL_MOST);
        let item = Item { operation: "Get".into(), message: Some("x".repeat(1 << 20)), ..Item::default() };
        for _ in 0..100 {
            journal.note(Exchange { items: vec![item.clone()], ..Exchange::default() }, None, None);
        }
        assert!((60..=64).contains(&journal.page(&Wanted::default()).exchanges.len()));
    }

    #[test]
    fn filters_narrow_and_a_page_says_where_the_next_begins() {
        let journal = Journal::new(10);
        for (client, operation) in [("a", "Get"), ("b", "Re-key Key Pair"), ("a", "Get"), ("a", "Decrypt")] {
            journal.note(exchange(client, operation), None, None);
        }
        let of = |wanted: Wanted| -> Vec<u64> {
            journal.page(&wanted).exchanges.into_iter().map(|exchange| exchange.number).collect()
        };
        assert_eq!(of(Wanted { client: Some("a".into()), ..Wanted::default() }), [1, 3, 4]);
        assert_eq!(of(Wanted { operation: Some("rekeykeypair".into()), ..Wanted::default() }), [2]);
        let first = journal.page(&Wanted { limit: Some(2), ..Wanted::default() });
        assert_eq!((first.exchanges.len(), first.next), (2, 2));
        assert_eq!(of(Wanted { after: Some(first.next), ..Wanted::default() }), [3, 4]);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let journal = Journal::new(0);
        journal.note(exchange("a", "Get"), None, None);
        assert!(journal.page(&Wanted::default()).exchanges.is_empty());
    }
}
