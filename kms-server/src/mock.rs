//! What makes a development server a mock: faults, the journal and a pause. A production server has none of it.

use std::sync::Arc;

use kms_protocol::enums::{Operation, ResultStatus};
use kms_protocol::error::DecodeError;
use kms_protocol::message::{
    Outcome, RequestMessage, ResponseHeader, ResponseItem, ResponseMessage, write_response,
};
use kms_protocol::ttlv::{Content, Reader};
use kms_protocol::{DateTime, Secret, Tag};
use tokio::sync::watch;

use crate::clock;
use crate::faults::{Faults, Fired, Plan, SeenItem};
use crate::interposed::{self, Step};
use crate::journal::{Exchange, Item, Journal, redacted};
use crate::kms::{Caller, Kms};
use crate::limits;
use crate::service::Service;
use crate::store;

/// The mock's side of a server.
#[derive(Debug)]
pub struct Mock {
    /// What is made to go wrong.
    pub faults: Faults,
    /// What happened.
    pub journal: Journal,
    paused: watch::Sender<bool>,
}

/// A request, worked.
pub(crate) struct Answered {
    /// The answer, before anything is made wrong with it.
    pub response: Secret,
    /// What the journal says of it so far.
    pub exchange: Exchange,
}

impl Default for Mock {
    fn default() -> Self {
        Self::new(limits::JOURNAL)
    }
}

impl Mock {
    /// A mock whose journal has room for so many exchanges.
    #[must_use]
    pub fn new(journal: usize) -> Self {
        Self { faults: Faults::default(), journal: Journal::new(journal), paused: watch::Sender::new(false) }
    }

    /// Stops answering, as a stopped process does: connections stay, nothing comes.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Goes on where it was paused.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits while it is paused.
    pub(crate) async fn running(&self) {
        // The sender lives as long as this.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// The store's faults, for whoever opens one.
    #[must_use]
    pub fn store_faults(self: &Arc<Self>) -> store::Faults {
        let mock = Arc::clone(self);
        store::Faults::new(move |step| match mock.faults.at_store(step) {
            None => Ok(()),
            Some(fired) => {
                let what = format!("{}, which was armed on purpose", fired.fault);
                mock.note_fault(fired, Exchange::default());
                Err(std::io::Error::other(what))
            }
        })
    }

    /// Notes a fault that no request met.
    pub(crate) fn note_fault(&self, fired: Fired, exchange: Exchange) {
        self.journal.note(Exchange { faults: vec![fired], ..exchange }, None, None);
    }

    /// What rules can look at in a request.
    pub(crate) fn look(&self, request: &[u8], kms: Option<&Kms>, now: DateTime) -> Vec<SeenItem> {
        let Ok(message) = RequestMessage::read(request) else { return Vec::new() };
        let kms = kms.filter(|_| self.faults.ask_for_keys());
        let seen = message.items.iter().map(|item| {
            let mut keys = Vec::new();
            if let Content::Structure(payload) = &item.payload.content {
                said_keys(payload.clone(), &mut keys);
            }
            for at in 0..keys.len() {
                let known = kms.zip(keys.get(at)).and_then(|(kms, id)| kms.key(id, now).ok());
                keys.extend(known.into_iter().flat_map(|key| key.names));
            }
            SeenItem { operation: item.operation, keys }
        });
        seen.collect()
    }

    /// Has a request worked as `plan` lets it, and says what the journal will.
    pub(crate) fn answer(
        &self,
        plan: &Plan,
        request: &[u8],
        caller: &Caller,
        now: DateTime,
        service: &Arc<dyn Service>,
    ) -> Answered {
        let message = RequestMessage::read(request);
        let response = match &message {
            Ok(message) if !plan.errors.is_empty() => refusing(plan, message, caller, now, service)
                .unwrap_or_else(|_| service.handle(request, caller, now)),
            _ => service.handle(request, caller, now),
        };
        let mut exchange = met(caller, now);
        match (&message, ResponseMessage::read(response.expose())) {
            (Ok(message), Ok(answer)) => {
                exchange.version = Some(message.header.protocol_version.to_string());
                let kms = Arc::clone(service).kms();
                exchange.items = items(message, &answer, |item| kms.as_ref()?.explain(item, caller, now));
            }
            (Err(error), _) => exchange.trouble = Some(format!("the request cannot be read: {error}")),
            (_, Err(error)) => exchange.trouble = Some(format!("the answer cannot be read: {error}")),
        }
        Answered { response, exchange }
    }

    /// Notes a request and its answer, where there is one.
    pub(crate) fn note(&self, exchange: Exchange, request: &[u8], response: Option<&[u8]>) {
        self.journal.note(exchange, redacted(request), response.and_then(redacted));
    }
}

/// The beginning of an entry: who asks, from where, when.
pub(crate) fn met(caller: &Caller, now: DateTime) -> Exchange {
    Exchange {
        time: clock::text(now),
        client: Some(caller.principal.clone()),
        peer: caller.peer,
        ..Exchange::default()
    }
}

/// What a request asks for, where nobody came to answer it.
pub(crate) fn unanswered(caller: &Caller, now: DateTime, seen: &[SeenItem]) -> Exchange {
    let item = |seen: &SeenItem| Item {
        operation: seen.operation.to_string(),
        keys: seen.keys.clone(),
        ..Item::default()
    };
    Exchange { items: seen.iter().map(item).collect(), ..met(caller, now) }
}

/// The answer to a request of which some items are refused and never worked.
fn refusing(
    plan: &Plan,
    message: &RequestMessage<'_>,
    caller: &Caller,
    now: DateTime,
    service: &Arc<dyn Service>,
) -> Result<Secret, DecodeError> {
    let mut steps = Vec::with_capacity(message.items.len());
    for (place, item) in message.items.iter().enumerate() {
        let step = match plan.errors.get(&place) {
            None => Step::Asked(interposed::copied(item.payload.clone(), Tag::REQUEST_PAYLOAD)?),
            Some((reason, words)) => Step::Answered(Outcome {
                operation: Some(item.operation),
                unique_batch_item_id: item.unique_batch_item_id.clone(),
                result_status: ResultStatus::OperationFailed,
                result_reason: Some(*reason),
                result_message: Some(words.clone()),
                asynchronous_correlation_value: None,
                payload: None,
            }),
        };
        let ends = step.ends(message);
        steps.push(step);
        if ends {
            break;
        }
    }
    let header = ResponseHeader::new(message.header.protocol_version, now);
    let Some(bytes) = interposed::ask(service, message, &steps, caller, now) else {
        let outcomes = interposed::join(message, steps, None, interposed::unchanged)?;
        return Ok(write_response(header, &outcomes));
    };
    let answer = ResponseMessage::read(bytes.expose())?;
    let outcomes = interposed::join(message, steps, Some(&answer), interposed::unchanged)?;
    Ok(write_response(answer.header, &outcomes))
}

fn items(
    message: &RequestMessage<'_>,
    answer: &ResponseMessage<'_>,
    explain: impl Fn(&kms_protocol::message::RequestItem<'_>) -> Option<String>,
) -> Vec<Item> {
    let mut items = Vec::with_capacity(message.items.len());
    let mut answers = answer.items.iter();
    for item in &message.items {
        let answer = answers.next();
        let mut noted = Item { operation: item.operation.to_string(), ..Item::default() };
        if let Content::Structure(payload) = &item.payload.content {
            said_ids(payload.clone(), &mut noted.keys);
        }
        if let Some(answer) = answer {
            noted.would_work = failed(answer).then(|| explain(item)).flatten();
            noted.status = answer.result_status.to_string();
            noted.reason = answer.result_reason.map(|reason| reason.to_string());
            noted.message.clone_from(&answer.result_message);
            made_ids(item.operation, answer, &mut noted.keys);
        }
        items.push(noted);
    }
    items
}

fn failed(answer: &ResponseItem<'_>) -> bool {
    answer.result_status == ResultStatus::OperationFailed
}

/// The identifiers of what an operation made.
fn made_ids(operation: Operation, answer: &ResponseItem<'_>, ids: &mut Vec<String>) {
    let makes = matches!(
        operation,
        Operation::Create
            | Operation::CreateKeyPair
            | Operation::Register
            | Operation::Rekey
            | Operation::RekeyKeyPair
    );
    if let Some(Content::Structure(payload)) = answer.payload.as_ref().map(|payload| &payload.content)
        && makes
    {
        said_ids(payload.clone(), ids);
    }
}

const IDS: [Tag; 3] =
    [Tag::UNIQUE_IDENTIFIER, Tag::PRIVATE_KEY_UNIQUE_IDENTIFIER, Tag::PUBLIC_KEY_UNIQUE_IDENTIFIER];

/// The identifiers that stand in a payload itself.
fn said_ids(mut payload: Reader<'_>, ids: &mut Vec<String>) {
    while let Ok(Some(item)) = payload.next_item() {
        if let Content::TextString(text) = item.content
            && IDS.contains(&item.tag)
            && !ids.iter().any(|known| known == text)
        {
            ids.push(text.to_owned());
        }
    }
}

/// The identifiers and Names that stand anywhere in a payload.
fn said_keys(mut payload: Reader<'_>, keys: &mut Vec<String>) {
    while let Ok(Some(item)) = payload.next_item() {
        match item.content {
            Content::Structure(inner) => said_keys(inner, keys),
            Content::TextString(text) if item.tag == Tag::NAME_VALUE || IDS.contains(&item.tag) => {
                keys.push(text.to_owned());
            }
            _ => {}
        }
    }
}
