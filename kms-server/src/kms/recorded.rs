//! What the core says to the audit log: one record for each item of a request, in its commit where it makes one.

use std::borrow::Cow;

use kms_protocol::enums::{Enumeration as _, Operation, ResultReason};
use kms_protocol::message::RequestHeader;
use kms_protocol::{DateTime, Version};

use super::event::Event;
use super::notes::is_object;
use super::refusal::{Reason, Refusal, UNRECORDED};
use super::{Caller, Context, Kms, Order};
use crate::audit::{Access, Record, Shut, Source, bounded};
use crate::store::{Batch, StoreError};

impl Kms {
    /// What all records of a request say; `header` is absent where it could not be read.
    pub(super) fn record_of(
        &self,
        header: Option<&RequestHeader>,
        caller: &Caller,
        correlation: String,
        now: DateTime,
    ) -> Record {
        let text = |text: &Option<String>| text.as_deref().map(bounded);
        let mut record = self.trail.record(Source::Request, "unreadable").at(now);
        record.principal = Some(caller.principal.clone());
        record.peer = caller.peer;
        record.correlation = correlation;
        if let Some(header) = header {
            record.version = Some(version_name(header.protocol_version));
            record.client_correlation = text(&header.client_correlation_value);
            record.server_correlation = text(&header.server_correlation_value);
        }
        record
    }

    /// Works one item of a request where it can be recorded, and records how it ended.
    pub(super) fn recorded<T>(
        &self,
        operation: Operation,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut Context<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.trail.admit(access(operation))?;
        let time = self.trail.now();
        context.record = Record { time, operation: operation_name(operation), ..context.request.clone() };
        context.is_recorded = false;
        context.operation = operation;
        let result = self.permitted(context).and_then(|()| work(context));
        // What the item changed is recorded with its commit already.
        if !(context.is_recorded && result.is_ok()) {
            let nothing = Record::new(time, Source::Request, "");
            let record = std::mem::replace(&mut context.record, nothing);
            self.trail.note(match &result {
                Ok(_) => record,
                Err(refusal) => record.refused(reason_name(refusal.reason.in_version(context.version))),
            });
        }
        result
    }

    /// Makes a change together with what the audit log says of it: one record for each event.
    ///
    /// # Errors
    /// As [`crate::store::Store::commit`].
    pub(super) fn commit(&self, batch: Batch, events: Vec<Event>, by: By<'_, '_>) -> Result<(), StoreError> {
        let record = match by {
            By::Client(context) => return self.commit_item(batch, events, context),
            By::Operator(operation, Order { now, peer, correlation }) => Record {
                peer: *peer,
                correlation: correlation.clone(),
                ..self.trail.record(Source::Operator, operation).at(*now)
            },
            By::Schedule(operation, now) => self.trail.record(Source::Schedule, operation).at(now),
        };
        let records = events.into_iter().map(|event| record.clone().with(event)).collect();
        self.trail.commit(self.store.as_ref(), batch, records).map(|_| ())
    }

    /// Makes a change that an item of a request asks for: its first record is that of the item.
    fn commit_item(
        &self,
        batch: Batch,
        events: Vec<Event>,
        context: &mut Context<'_>,
    ) -> Result<(), StoreError> {
        let mut whole = context.record.clone();
        batch.puts.iter().filter(|put| is_object(&put.id)).for_each(|put| whole.touch(&put.id));
        let mut events = events.into_iter();
        let first = match events.next() {
            Some(event) => whole.with(event),
            None => whole,
        };
        let rest = events.map(|event| {
            let mut record = context.record.clone();
            record.objects.clear();
            record.with(event)
        });
        let records = std::iter::once(first).chain(rest).collect();
        let before = self.before(&batch, context)?;
        self.trail.commit(self.store.as_ref(), batch, records)?;
        if let Some(undo) = &mut context.undo {
            undo.note(before);
        }
        context.is_recorded = true;
        Ok(())
    }
}

/// Who brings a change about, as the audit log names them.
pub(super) enum By<'c, 'a> {
    /// An item of a request.
    Client(&'c mut Context<'a>),
    /// The operator, and what they do.
    Operator(&'static str, &'c Order),
    /// A date that has passed, what that brings, and when.
    Schedule(&'static str, DateTime),
}

impl By<'_, '_> {
    pub(super) fn now(&self) -> DateTime {
        match self {
            Self::Client(context) => context.now,
            Self::Operator(_, order) => order.now,
            Self::Schedule(_, now) => *now,
        }
    }
}

impl Context<'_> {
    /// Adds to what the audit log will say of the item.
    pub(super) fn say(&mut self, what: String) {
        let before = self.record.detail.take();
        self.record.detail = Some(before.map_or(what.clone(), |before| format!("{before}; {what}")));
    }

    /// Says that an item touches an object, and whose that is.
    pub(super) fn touch(&mut self, id: &str, owner: Option<&str>) {
        self.record.touch(id);
        if let Some(owner) = owner {
            self.record.owner = Some(owner.to_owned());
        }
    }
}

impl From<Shut> for Refusal {
    fn from(_: Shut) -> Self {
        Self::new(Reason::Unavailable, UNRECORDED)
    }
}

/// Whether an operation changes something.
fn access(operation: Operation) -> Access {
    match operation {
        Operation::Check
        | Operation::Decrypt
        | Operation::DiscoverVersions
        | Operation::Encrypt
        | Operation::Export
        | Operation::Get
        | Operation::GetConstraints
        | Operation::GetAttributeList
        | Operation::GetAttributes
        | Operation::Hash
        | Operation::Locate
        | Operation::Mac
        | Operation::MacVerify
        | Operation::ObtainLease
        | Operation::Ping
        | Operation::Query
        | Operation::RngRetrieve
        | Operation::Sign
        | Operation::SignatureVerify
        | Operation::Validate => Access::Read,
        _ => Access::Change,
    }
}

/// As `Display` has it, without a copy for those that are spoken here.
fn version_name(version: Version) -> Cow<'static, str> {
    match version {
        Version::V1_0 => "1.0".into(),
        Version::V1_1 => "1.1".into(),
        Version::V1_2 => "1.2".into(),
        Version::V1_3 => "1.3".into(),
        Version::V1_4 => "1.4".into(),
        Version::V2_0 => "2.0".into(),
        Version::V2_1 => "2.1".into(),
        other => other.to_string().into(),
    }
}

fn operation_name(operation: Operation) -> Cow<'static, str> {
    operation.name().map_or_else(|| operation.to_string().into(), Into::into)
}

pub(super) fn reason_name(reason: ResultReason) -> Cow<'static, str> {
    reason.name().map_or_else(|| reason.to_string().into(), Into::into)
}
