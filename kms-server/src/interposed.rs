//! What stands between connection and core takes requests and answers apart here and puts them together again: some items
//! it answers itself, the others the real service does.

use std::sync::Arc;

use kms_protocol::enums::ResultStatus;
use kms_protocol::error::DecodeError;
use kms_protocol::message::{Outcome, RequestMessage, ResponseItem, ResponseMessage};
use kms_protocol::ttlv::{Item, Writer};
use kms_protocol::{DateTime, Secret, Tag};

use crate::kms::{Caller, stops};
use crate::service::Service;

/// What becomes of an item of a request.
#[derive(Debug)]
pub(crate) enum Step {
    /// It has its answer already.
    Answered(Outcome),
    /// The real service gets it, with this payload.
    Asked(Secret),
}

impl Step {
    /// Whether nothing behind it is done, in a batch that stops at the first failure.
    pub fn ends(&self, message: &RequestMessage<'_>) -> bool {
        matches!(self, Self::Answered(outcome) if ends(message, outcome))
    }
}

/// Asks the real service for what is left of a request; `None` where nothing is.
pub(crate) fn ask(
    service: &Arc<dyn Service>,
    message: &RequestMessage<'_>,
    steps: &[Step],
    caller: &Caller,
    now: DateTime,
) -> Option<Secret> {
    let asked: Vec<_> = message
        .items
        .iter()
        .zip(steps)
        .filter_map(|(item, step)| match step {
            Step::Asked(payload) => Some((item, payload)),
            Step::Answered(_) => None,
        })
        .collect();
    let mut header = message.header.clone();
    header.batch_count = i32::try_from(asked.len()).ok().filter(|count| *count > 0)?;
    let mut writer = Writer::new(header.protocol_version);
    writer.structure(Tag::REQUEST_MESSAGE, |writer| {
        writer.field(Tag::REQUEST_HEADER, &header);
        for (item, payload) in asked {
            writer.structure(Tag::BATCH_ITEM, |writer| {
                writer.field(Tag::OPERATION, &item.operation);
                writer.field(Tag::EPHEMERAL, &item.ephemeral);
                writer.field(Tag::UNIQUE_BATCH_ITEM_ID, &item.unique_batch_item_id);
                writer.raw(payload.expose());
                writer.field(Tag::MESSAGE_EXTENSION, &item.extensions);
            });
        }
    });
    let request = Secret::new(writer.into_bytes());
    Some(service.handle(request.expose(), caller, now))
}

/// Puts what was answered before and what the real service answered together, in the request's order.
pub(crate) fn join(
    message: &RequestMessage<'_>,
    steps: Vec<Step>,
    answer: Option<&ResponseMessage<'_>>,
    shown: impl Fn(&ResponseItem<'_>) -> Result<Outcome, DecodeError>,
) -> Result<Vec<Outcome>, DecodeError> {
    let mut answers = answer.map(|answer| answer.items.as_slice()).unwrap_or_default().iter();
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let outcome = match step {
            Step::Answered(outcome) => outcome,
            Step::Asked(_) => match answers.next() {
                Some(answer) => shown(answer)?,
                // It stopped before this one.
                None => break,
            },
        };
        let over = ends(message, &outcome);
        outcomes.push(outcome);
        if over {
            break;
        }
    }
    Ok(outcomes)
}

/// An answer as it came.
pub(crate) fn unchanged(answer: &ResponseItem<'_>) -> Result<Outcome, DecodeError> {
    let payload = answer.payload.clone().map(|payload| copied(payload, Tag::RESPONSE_PAYLOAD)).transpose()?;
    Ok(with_payload(answer, payload))
}

/// An answer with another payload.
pub(crate) fn with_payload(answer: &ResponseItem<'_>, payload: Option<Secret>) -> Outcome {
    Outcome {
        operation: answer.operation,
        unique_batch_item_id: answer.unique_batch_item_id.clone(),
        result_status: answer.result_status,
        result_reason: answer.result_reason,
        result_message: answer.result_message.clone(),
        asynchronous_correlation_value: answer.asynchronous_correlation_value.clone(),
        payload,
    }
}

/// A payload as it came.
pub(crate) fn copied(payload: Item<'_>, tag: Tag) -> Result<Secret, DecodeError> {
    let mut writer = Writer::new(payload.version);
    let content = payload.structure()?;
    writer.structure(tag, |writer| writer.raw(content.rest()));
    Ok(Secret::new(writer.into_bytes()))
}

fn ends(message: &RequestMessage<'_>, outcome: &Outcome) -> bool {
    stops(&message.header) && outcome.result_status == ResultStatus::OperationFailed
}
