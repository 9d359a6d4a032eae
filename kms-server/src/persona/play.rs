//! A persona in front of the real service: requests and answers are taken apart, changed, and put together again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use kms_protocol::enums::{Operation, ResultStatus};
use kms_protocol::error::DecodeError;
use kms_protocol::message::{
    Outcome, RequestItem, RequestMessage, ResponseHeader, ResponseItem, ResponseMessage, write_response,
};
use kms_protocol::operation::{CreateKeyPairResponse, RekeyKeyPairResponse};
use kms_protocol::ttlv::{Item, Value as _, Writer};
use kms_protocol::{DateTime, Secret, Tag, Version};
use tracing::debug;

use super::{Persona, rewrite};
use crate::audit::Trail;
use crate::connection::Idle;
use crate::kms::{Caller, Kms, Reason, Refusal, Round, Work, failed, failure, nearest, refuse_all, stops};
use crate::limits;
use crate::service::Service;
use crate::store::StoreError;

/// A service as a persona shows it.
pub(super) struct Played {
    persona: Persona,
    service: Arc<dyn Service>,
    /// Objects that nobody has read yet, where the persona shows them late.
    unread: Mutex<VecDeque<String>>,
}

/// What becomes of an item of a request.
enum Step {
    /// The persona refuses it.
    Refused(Refusal),
    /// The real service gets it, with this payload.
    Asked(Secret),
}

impl Played {
    pub(super) fn new(persona: Persona, service: Arc<dyn Service>) -> Self {
        Self { persona, service, unread: Mutex::default() }
    }

    /// The answer to a message that the persona does not even look into.
    fn turned_away(&self, message: &RequestMessage<'_>, now: DateTime) -> Option<Secret> {
        let asked = message.header.protocol_version;
        let (version, refusal) = if !self.persona.speaks(asked) {
            let text = format!("KMIP {asked} is not supported by the server");
            (
                nearest(asked, |version| self.persona.speaks(version)),
                Refusal::new(Reason::InvalidMessage, text),
            )
        } else if self.persona.all().any(|does| rewrite::is_unreadable(does, message)) {
            (Version::V1_0, Refusal::new(Reason::InvalidMessage, "the request message cannot be parsed"))
        } else {
            return None;
        };
        Some(write_response(ResponseHeader::new(version, now), &[failure(&refusal, version)]))
    }

    /// What becomes of each item, up to the one after which nothing is done any more.
    fn steps(&self, message: &RequestMessage<'_>) -> Vec<Step> {
        let stops = stops(&message.header);
        let mut steps = Vec::with_capacity(message.items.len());
        for item in &message.items {
            let step = match self.step(item) {
                Ok(payload) => Step::Asked(payload),
                Err(refusal) => {
                    debug!(persona = self.persona.name(), operation = %item.operation, why = %refusal.message, "refused");
                    Step::Refused(refusal)
                }
            };
            let ends = stops && matches!(step, Step::Refused(_));
            steps.push(step);
            if ends {
                break;
            }
        }
        steps
    }

    fn step(&self, item: &RequestItem<'_>) -> Result<Secret, Refusal> {
        if !self.persona.operates(item.operation) {
            let text = format!("{} operation is not supported by the server", item.operation);
            return Err(Refusal::new(Reason::OperationNotSupported, text));
        }
        let mut payload = copied(item.payload.clone(), Tag::REQUEST_PAYLOAD)?;
        for does in self.persona.all() {
            rewrite::refuses(does, item.operation, &item.payload)?;
            if let Some(changed) = rewrite::request(does, item.operation, &item.payload)? {
                payload = changed;
            }
        }
        if self.persona.reads_late()
            && let Some(id) = rewrite::read_object(item.operation, &item.payload)
            && self.was_unread(&id)
        {
            return Err(Refusal::not_found());
        }
        Ok(payload)
    }

    /// Asks the real service for what is left of a request.
    fn ask(
        &self,
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
                Step::Refused(_) => None,
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
        Some(self.service.handle(request.expose(), caller, now))
    }

    /// Puts the persona's refusals and the real service's answers together, in the request's order.
    fn joined(
        &self,
        message: &RequestMessage<'_>,
        steps: Vec<Step>,
        answer: Option<&ResponseMessage<'_>>,
    ) -> Result<Vec<Outcome>, DecodeError> {
        let version = message.header.protocol_version;
        let mut answers = answer.map(|answer| answer.items.as_slice()).unwrap_or_default().iter();
        let mut outcomes = Vec::with_capacity(steps.len());
        for (item, step) in message.items.iter().zip(steps) {
            let outcome = match step {
                Step::Refused(refusal) => failed(item, &refusal, version),
                Step::Asked(_) => match answers.next() {
                    Some(answer) => self.shown(answer)?,
                    // It stopped before this one.
                    None => break,
                },
            };
            let ends = stops(&message.header) && outcome.result_status == ResultStatus::OperationFailed;
            outcomes.push(outcome);
            if ends {
                break;
            }
        }
        Ok(outcomes)
    }

    /// An answer of the real service as the persona gives it.
    fn shown(&self, answer: &ResponseItem<'_>) -> Result<Outcome, DecodeError> {
        let payload = match (&answer.payload, answer.operation) {
            (Some(payload), Some(operation)) => Some(self.shown_payload(operation, payload)?),
            (Some(payload), None) => Some(copied(payload.clone(), Tag::RESPONSE_PAYLOAD)?),
            (None, _) => None,
        };
        Ok(Outcome {
            operation: answer.operation,
            unique_batch_item_id: answer.unique_batch_item_id.clone(),
            result_status: answer.result_status,
            result_reason: answer.result_reason,
            result_message: answer.result_message.clone(),
            asynchronous_correlation_value: answer.asynchronous_correlation_value.clone(),
            payload,
        })
    }

    fn shown_payload(&self, operation: Operation, payload: &Item<'_>) -> Result<Secret, DecodeError> {
        if self.persona.reads_late() {
            self.note_made(operation, payload)?;
            if let Some(changed) = rewrite::without(operation, payload, |id| self.was_unread(id))? {
                return Ok(changed);
            }
        }
        rewrite::response(&self.persona, operation, payload)?
            .map_or_else(|| copied(payload.clone(), Tag::RESPONSE_PAYLOAD), Ok)
    }

    fn note_made(&self, operation: Operation, payload: &Item<'_>) -> Result<(), DecodeError> {
        let made = match operation {
            Operation::CreateKeyPair => {
                let made = CreateKeyPairResponse::read(payload.clone())?;
                [made.private_key_unique_identifier, made.public_key_unique_identifier]
            }
            Operation::RekeyKeyPair => {
                let made = RekeyKeyPairResponse::read(payload.clone())?;
                [made.private_key_unique_identifier, made.public_key_unique_identifier]
            }
            _ => return Ok(()),
        };
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.extend(made);
        let over = unread.len().saturating_sub(limits::UNREAD);
        unread.drain(..over);
        Ok(())
    }

    /// Whether nobody has read the object yet; from now on somebody has.
    fn was_unread(&self, id: &str) -> bool {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        match unread.iter().position(|one| one == id) {
            Some(at) => unread.remove(at).is_some(),
            None => false,
        }
    }

    fn play(
        &self,
        message: &RequestMessage<'_>,
        caller: &Caller,
        now: DateTime,
    ) -> Result<Secret, DecodeError> {
        let steps = self.steps(message);
        let version = message.header.protocol_version;
        let Some(bytes) = self.ask(message, &steps, caller, now) else {
            let header = ResponseHeader::new(version, now);
            return Ok(write_response(header, &self.joined(message, steps, None)?));
        };
        let answer = ResponseMessage::read(bytes.expose())?;
        if answer.items.iter().any(|item| item.operation.is_none()) {
            // It could do nothing with the message as a whole.
            return Ok(bytes);
        }
        let outcomes = self.joined(message, steps, Some(&answer))?;
        Ok(write_response(answer.header, &outcomes))
    }
}

impl Service for Played {
    fn work(&self, request: &[u8]) -> Work {
        self.service.work(request)
    }

    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret {
        // What cannot be read the real service refuses, and records.
        let Ok(message) = RequestMessage::read(request) else {
            return self.service.handle(request, caller, now);
        };
        if let Some(answer) = self.turned_away(&message, now) {
            return answer;
        }
        self.play(&message, caller, now).unwrap_or_else(|error| {
            let refusal =
                Refusal::new(Reason::Internal, format!("the persona cannot read the answer: {error}"));
            refuse_all(request, &refusal, now)
        })
    }

    fn next_due(&self) -> Option<DateTime> {
        self.service.next_due()
    }

    fn run_due(&self, now: DateTime, go_on: &dyn Fn() -> bool) -> Round {
        self.service.run_due(now, go_on)
    }

    fn adopt_some(&self) -> bool {
        self.service.adopt_some()
    }

    fn trail(&self) -> Option<&Arc<Trail>> {
        self.service.trail()
    }

    fn tend(&self) {
        self.service.tend();
    }

    fn stamp_moved_clock(&self, real_now: DateTime) -> Result<(), StoreError> {
        self.service.stamp_moved_clock(real_now)
    }

    fn kms(self: Arc<Self>) -> Option<Arc<Kms>> {
        Arc::clone(&self.service).kms()
    }

    fn idle(&self) -> Idle {
        self.persona.idle().unwrap_or_else(|| self.service.idle())
    }
}

/// A payload as it came.
fn copied(payload: Item<'_>, tag: Tag) -> Result<Secret, DecodeError> {
    let mut writer = Writer::new(payload.version);
    let content = payload.structure()?;
    writer.structure(tag, |writer| writer.raw(content.rest()));
    Ok(Secret::new(writer.into_bytes()))
}
