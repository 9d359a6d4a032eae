//! A server that answers as another one did when it was recorded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kms_protocol::error::DecodeError;
use kms_protocol::message::{Outcome, RequestMessage, ResponseMessage, write_response};
use kms_protocol::{DateTime, Secret};

use super::Taped;
use crate::failure::{Failure, Kind};
use crate::interposed;
use crate::journal::redacted;
use crate::kms::{Caller, Reason, Refusal, Round, Work, refuse_all};
use crate::service::Service;

/// Answers of one request, and how many of them were given.
#[derive(Debug, Default)]
struct Answers {
    given: usize,
    all: Vec<Vec<u8>>,
}

/// Gives recorded answers: for the same request the first, then the second, and the last again and again.
#[derive(Debug)]
pub struct Replayer {
    answers: Mutex<HashMap<Vec<u8>, Answers>>,
}

impl Replayer {
    /// A replayer of these exchanges.
    ///
    /// # Errors
    /// [`Failure`] when one of them is no exchange.
    pub fn new(taped: &[Taped]) -> Result<Self, Failure> {
        let mut answers: HashMap<Vec<u8>, Answers> = HashMap::new();
        for (at, taped) in taped.iter().enumerate() {
            let wrong = || {
                Failure::new(Kind::Config, format!("line {} of the cassette holds no exchange", at + 1))
                    .hint("record it again")
            };
            let bytes = |text: &str| hex::decode(text).map_err(|_| wrong());
            let request = meaning(&bytes(&taped.request)?).ok_or_else(wrong)?;
            answers.entry(request).or_default().all.push(bytes(&taped.response)?);
        }
        Ok(Self { answers: Mutex::new(answers) })
    }

    fn find(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers.get_mut(&meaning(request)?)?;
        let at = answers.given.min(answers.all.len().saturating_sub(1));
        answers.given += 1;
        answers.all.get(at).cloned()
    }
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

    fn handle(&self, request: &[u8], _caller: &Caller, now: DateTime) -> Secret {
        let answer = self.find(request).and_then(|answer| renewed(request, &answer, now).ok());
        answer.unwrap_or_else(|| {
            let refusal = Refusal::new(Reason::Denied, "the cassette has no answer to this request");
            refuse_all(request, &refusal, now)
        })
    }

    fn next_due(&self) -> Option<DateTime> {
        None
    }

    fn run_due(&self, _now: DateTime, _go_on: &dyn Fn() -> bool) -> Round {
        Round::default()
    }
}
