//! A server that answers as another one did when it was recorded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kms_protocol::error::DecodeError;
use kms_protocol::message::{Outcome, RequestMessage, ResponseMessage, write_response};
use kms_protocol::{DateTime, Secret};

use super::Taped;
use super::names::{Names, without_names};
use crate::failure::{Failure, Kind};
use crate::interposed;
use crate::journal::redacted;
use crate::kms::{Caller, Reason, Refusal, Round, Work, refuse_all};
use crate::limits;
use crate::service::Service;

/// A recorded request and all of its answers.
#[derive(Debug)]
struct Exchange {
    /// Where in the cassette it stands first.
    line: usize,
    /// Its identifiers and names.
    names: Vec<String>,
    /// Its operations, to be told.
    title: String,
    given: usize,
    answers: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct State {
    exchanges: Vec<Exchange>,
    by_request: HashMap<Vec<u8>, usize>,
    by_shape: HashMap<Vec<u8>, Vec<usize>>,
    /// By client.
    names: HashMap<String, Names>,
}

/// Gives recorded answers: for the same request the first, then the second, and the last again and again.
///
/// A client may call things otherwise: a request that differs from one recorded one, and no other, in nothing but identifiers and
/// names is taken for that, and from then on those names stand for the recorded ones, in requests and in answers.
#[derive(Debug)]
pub struct Replayer(Mutex<State>);

impl Replayer {
    /// A replayer of these exchanges.
    ///
    /// # Errors
    /// [`Failure`] when one of them is no exchange.
    pub fn new(taped: &[Taped]) -> Result<Self, Failure> {
        let mut state = State::default();
        for (at, taped) in taped.iter().enumerate() {
            let wrong = || {
                Failure::new(Kind::Config, format!("line {} of the cassette holds no exchange", at + 1))
                    .hint("record it again")
            };
            let bytes = |text: &str| hex::decode(text).map_err(|_| wrong());
            let request = bytes(&taped.request)?;
            state.add(at + 1, &request, bytes(&taped.response)?).ok_or_else(wrong)?;
        }
        Ok(Self(Mutex::new(state)))
    }
}

impl State {
    fn add(&mut self, line: usize, request: &[u8], answer: Vec<u8>) -> Option<()> {
        let known = meaning(request)?;
        if let Some(exchange) = self.by_request.get(&known).and_then(|at| self.exchanges.get_mut(*at)) {
            exchange.answers.push(answer);
            return Some(());
        }
        let (bare, names) = without_names(request)?;
        let shape = meaning(&bare)?;
        let at = self.exchanges.len();
        self.by_request.insert(known, at);
        self.by_shape.entry(shape).or_default().push(at);
        let (title, answers) = (title(request)?, vec![answer]);
        self.exchanges.push(Exchange { line, names, title, given: 0, answers });
        Some(())
    }

    /// The answer to a request of `client`, or what was expected instead.
    fn answer(&mut self, request: &[u8], client: &str) -> Result<Vec<u8>, String> {
        let mut names = self.names.remove(client).unwrap_or_default();
        let found = self.find(request, &mut names);
        let answer = found.and_then(|at| {
            let exchange = self.exchanges.get_mut(at).ok_or_else(unreadable)?;
            let given = exchange.given.min(exchange.answers.len().saturating_sub(1));
            exchange.given += 1;
            exchange.answers.get(given).and_then(|answer| names.as_asked(answer)).ok_or_else(unreadable)
        });
        self.names.insert(client.to_owned(), names);
        answer
    }

    /// Which exchange a request is; what its names stand for is noted.
    fn find(&self, request: &[u8], names: &mut Names) -> Result<usize, String> {
        let request = names.as_recorded(request).ok_or_else(unreadable)?;
        let known = meaning(&request).ok_or_else(unreadable)?;
        if let Some(at) = self.by_request.get(&known) {
            return Ok(*at);
        }
        let (bare, asked) = without_names(&request).ok_or_else(unreadable)?;
        let alike = meaning(&bare).and_then(|shape| self.by_shape.get(&shape));
        let recorded =
            |at: &usize| self.exchanges.get(*at).map(|one| one.names.as_slice()).unwrap_or_default();
        let alike = alike.into_iter().flatten().copied();
        let fitting: Vec<usize> = alike.filter(|at| names.fit(&asked, recorded(at))).collect();
        match *fitting.as_slice() {
            [at] => {
                names.learn(&asked, recorded(&at));
                Ok(at)
            }
            [] => Err(self.unheard(&title(&request).unwrap_or_default())),
            _ => Err(self.ambiguous(&fitting)),
        }
    }

    fn told(&self, at: usize) -> String {
        self.exchanges.get(at).map_or_else(String::new, |one| {
            let names =
                if one.names.is_empty() { String::new() } else { format!(" of {}", one.names.join(", ")) };
            format!("line {}, {}{names}", one.line, one.title)
        })
    }

    fn unheard(&self, title: &str) -> String {
        let mut next =
            (0..self.exchanges.len()).filter(|at| self.exchanges.get(*at).is_some_and(|one| one.given == 0));
        let expected = match next.next() {
            Some(at) => format!("the first exchange that was not asked for yet is {}", self.told(at)),
            None => "every exchange in it was asked for".to_owned(),
        };
        format!("the cassette has no answer to this {title}: {expected}")
    }

    fn ambiguous(&self, fitting: &[usize]) -> String {
        let told: Vec<_> = fitting.iter().take(limits::EXCHANGES_TOLD).map(|at| self.told(*at)).collect();
        let more = if told.len() < fitting.len() { " and more" } else { "" };
        format!(
            "the cassette has several answers to this request, which names none of the recorded objects: {}{more}",
            told.join("; ")
        )
    }
}

fn unreadable() -> String {
    "the request cannot be read".to_owned()
}

/// What two requests have in common that ask for the same: all but their header, their items' names and their secrets.
fn meaning(request: &[u8]) -> Option<Vec<u8>> {
    let kept = redacted(request)?;
    let message = RequestMessage::read(kept.bytes()).ok()?;
    let mut meaning = message.header.protocol_version.to_string().into_bytes();
    for item in &message.items {
        meaning.extend(item.operation.to_string().bytes());
        meaning.extend_from_slice(item.payload.clone().structure().ok()?.rest());
    }
    Some(meaning)
}

/// The operations of a request.
fn title(request: &[u8]) -> Option<String> {
    let message = RequestMessage::read(request).ok()?;
    let all: Vec<_> =
        message.items.iter().take(limits::EXCHANGES_TOLD).map(|item| item.operation.to_string()).collect();
    Some(all.join(" and "))
}

/// A recorded answer as the answer to this request: at this time, its items named as the request names them.
fn renewed(request: &[u8], answer: &[u8], now: DateTime) -> Result<Secret, DecodeError> {
    let (request, answer) = (RequestMessage::read(request)?, ResponseMessage::read(answer)?);
    let mut header = answer.header.clone();
    header.time_stamp = now;
    header.client_correlation_value.clone_from(&request.header.client_correlation_value);
    let outcomes = answer.items.iter().enumerate().map(|(at, item)| {
        let name = request.items.get(at).and_then(|asked| asked.unique_batch_item_id.clone());
        Ok(Outcome { unique_batch_item_id: name, ..interposed::unchanged(item)? })
    });
    Ok(write_response(header, &outcomes.collect::<Result<Vec<_>, DecodeError>>()?))
}

impl Service for Replayer {
    fn work(&self, _request: &[u8]) -> Work {
        Work::Inline
    }

    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = state.answer(request, &caller.principal);
        let answer = answer.and_then(|answer| {
            renewed(request, &answer, now)
                .map_err(|error| format!("the recorded answer cannot be read: {error}"))
        });
        answer.unwrap_or_else(|why| refuse_all(request, &Refusal::new(Reason::Denied, why), now))
    }

    fn next_due(&self) -> Option<DateTime> {
        None
    }

    fn run_due(&self, _now: DateTime, _go_on: &dyn Fn() -> bool) -> Round {
        Round::default()
    }
}
