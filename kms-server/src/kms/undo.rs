//! All or nothing: what a batch with Batch Error Continuation Option Undo has changed is put back when an item fails (KMIP
//! 1.4 section 6.13).

use kms_protocol::enums::ResultStatus;
use kms_protocol::message::Outcome;

use super::recorded::By;
use super::refusal::Refusal;
use super::{Context, Kms};
use crate::audit::Record as AuditRecord;
use crate::store::{Batch, Put, Record, StoreError};

/// What the items of a batch have changed, in order: each object as it was before.
#[derive(Debug, Default)]
pub(super) struct Undo(Vec<(String, Option<Record>)>);

impl Kms {
    /// What `batch` is about to replace; nothing where nobody would undo it.
    pub(super) fn before(
        &self,
        batch: &Batch,
        context: &Context<'_>,
    ) -> Result<Vec<(String, Option<Record>)>, StoreError> {
        if context.undo.is_none() {
            return Ok(Vec::new());
        }
        batch.puts.iter().map(|put| Ok((put.id.clone(), self.store.fetch(&put.id)?))).collect()
    }

    /// Puts back what the items before have changed, and says so in their outcomes. What another request has changed
    /// since stays as that left it, and the outcomes then are what they were.
    pub(super) fn undo(&self, outcomes: &mut [Outcome], context: &mut Context<'_>) {
        let Some(Undo(steps)) = context.undo.take() else { return };
        let undone = steps.into_iter().rev().try_for_each(|(id, before)| self.put_back(&id, before, context));
        match undone {
            Ok(()) => {
                for outcome in outcomes.iter_mut().filter(|one| one.result_status == ResultStatus::Success) {
                    outcome.result_status = ResultStatus::OperationUndone;
                }
            }
            Err(error) => tracing::error!(?error, "a batch could not be undone"),
        }
    }

    fn put_back(&self, id: &str, before: Option<Record>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let Some(current) = self.store.fetch(id)? else { return Ok(()) };
        let replaces = current.revision;
        let batch = match before {
            None => Batch::new().delete(id, replaces),
            Some(Record { value, terms, .. }) => {
                Batch::new().put(Put { id: id.to_owned(), replaces: Some(replaces), value, terms })
            }
        };
        self.keys.forget(id);
        context.record = AuditRecord { operation: "Undo".into(), ..context.request.clone() };
        context.touch(id, None);
        self.commit(batch, Vec::new(), By::Client(context))?;
        self.forget_rules();
        Ok(())
    }
}

impl Undo {
    /// Notes what was committed.
    pub(super) fn note(&mut self, before: Vec<(String, Option<Record>)>) {
        self.0.extend(before);
    }
}
