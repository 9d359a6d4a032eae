//! Requests whose answers come later (KMIP 1.4 section 6.7, 2.1 section 9.2): what waits, what is worked, what waits to be
//! asked for.
//!
//! It is all in memory: a server that stops forgets it. What was done by then stays done, and its objects are found by Locate,
//! as after any answer that was lost.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use kms_protocol::enums::{
    AsynchronousIndicator, BatchErrorContinuationOption, CancellationResult, Operation, ProcessingStage,
    ResultStatus,
};
use kms_protocol::message::{Outcome, RequestMessage};
use kms_protocol::operation::{AsynchronousRequest, CreateKeyPairRequest, RekeyKeyPairRequest};
use kms_protocol::ttlv::{Bytes, DateTimeExtended, Value as _};
use kms_protocol::{DateTime, Secret, UniqueIdentifier};

use super::batch::{failure, stops, too_much};
use super::new_object::{pair_spec, requested};
use super::pairs::spec_of;
use super::refusal::{Reason, Refusal};
use super::{Caller, Context, Kms};
use crate::audit::Record;
use crate::crypto::{KeySpec, cipher};
use crate::limits;

/// Bytes of an Asynchronous Correlation Value: nobody guesses another's.
const CORRELATION: usize = 16;

/// What is to be answered later, and what was.
#[derive(Default)]
pub(super) struct Later {
    all: Mutex<All>,
    /// Something has been done.
    done: Condvar,
}

#[derive(Default)]
struct All {
    items: HashMap<Vec<u8>, Item>,
    queue: VecDeque<Message>,
    threads: usize,
}

/// One item of a request, by its Asynchronous Correlation Value.
struct Item {
    principal: String,
    operation: Operation,
    since: DateTime,
    stage: Stage,
    /// Whether Process was asked for it.
    processed: bool,
}

enum Stage {
    Submitted,
    InProcess,
    Done(Outcome),
    Canceled,
}

/// A request that waits for its turn.
struct Message {
    request: Secret,
    caller: Caller,
    now: DateTime,
    record: Record,
    correlations: Vec<Vec<u8>>,
}

/// How far an item has come, for its client.
pub(super) enum Polled {
    Pending,
    Done(Outcome),
    Canceled,
}

impl Kms {
    /// Whether a request is answered later: where that is demanded, or allowed and it would take long.
    ///
    /// # Errors
    /// When it is demanded of what is only ever done at once.
    pub(super) fn is_for_later(&self, message: &RequestMessage<'_>) -> Result<bool, Refusal> {
        let asked = message.header.asynchronous_indicator.map(|asked| asked.0);
        let at_once = message.items.iter().filter(|item| is_done_at_once(item.operation)).count();
        let undo = message.header.batch_error_continuation_option == Some(BatchErrorContinuationOption::Undo);
        let refused = |what: &'static str| Err(Refusal::new(Reason::FeatureNotSupported, what));
        match asked {
            Some(AsynchronousIndicator::Mandatory) if at_once == message.items.len() => Ok(false),
            Some(AsynchronousIndicator::Mandatory) if at_once > 0 => refused(
                "one message asks for what is only done at once, such as Poll, and for what Asynchronous Indicator Mandatory puts off: send two",
            ),
            Some(AsynchronousIndicator::Mandatory) if undo => refused(
                "what is put off cannot be undone: leave out Undo, or Asynchronous Indicator Mandatory",
            ),
            Some(AsynchronousIndicator::Mandatory) => Ok(true),
            Some(AsynchronousIndicator::Optional) if at_once == 0 && !undo => Ok(self.takes_long(message)),
            _ => Ok(false),
        }
    }

    /// Whether a request generates a key of which none is ready.
    fn takes_long(&self, message: &RequestMessage<'_>) -> bool {
        message.items.iter().any(|item| {
            let spec = match item.operation {
                Operation::CreateKeyPair => {
                    CreateKeyPairRequest::read(item.payload.clone()).ok().and_then(|request| {
                        let private = requested(&request.common, &request.private_key).ok()?;
                        let public = requested(&request.common, &request.public_key).ok()?;
                        pair_spec(&private, &public).ok()
                    })
                }
                Operation::RekeyKeyPair => {
                    RekeyKeyPairRequest::read(item.payload.clone()).ok().and_then(|request| {
                        let Some(UniqueIdentifier::Text(id)) = request.private_key_unique_identifier else {
                            return None;
                        };
                        spec_of(&self.fetch(&id).ok()??).ok()
                    })
                }
                _ => None,
            };
            spec.is_some_and(|spec: KeySpec| !spec.is_quick() && self.pool.ready(spec) == 0)
        })
    }

    /// Puts a request off, and says by what to ask for each item.
    ///
    /// # Errors
    /// When too much waits already, of this caller or of all.
    pub(super) fn put_off(
        &self,
        request: &[u8],
        message: &RequestMessage<'_>,
        caller: &Caller,
        now: DateTime,
        record: &Record,
    ) -> Result<Vec<Outcome>, Refusal> {
        let correlations: Vec<Vec<u8>> =
            message.items.iter().map(|_| cipher::random(CORRELATION)).collect::<Result<_, _>>()?;
        let mut all = self.later.lock();
        all.forget_old(now);
        all.check_room(&caller.principal, message.items.len(), request.len())?;
        if all.threads < limits::LATER_THREADS {
            let me = self.me.clone();
            let thread = thread::Builder::new().name("later".to_owned()).spawn(move || work_off(&me));
            match thread {
                Ok(_) => all.threads += 1,
                Err(error) if all.threads == 0 => {
                    tracing::error!(%error, "no thread can be started for what is answered later");
                    return Err(Refusal::new(
                        Reason::Limit,
                        "the server has no thread left for what is put off",
                    ));
                }
                Err(_) => {}
            }
        }
        for (item, correlation) in message.items.iter().zip(&correlations) {
            let principal = caller.principal.clone();
            let operation = item.operation;
            let waiting =
                Item { principal, operation, since: now, stage: Stage::Submitted, processed: false };
            all.items.insert(correlation.clone(), waiting);
        }
        let outcomes = message.items.iter().zip(&correlations).map(|(item, correlation)| Outcome {
            operation: Some(item.operation),
            unique_batch_item_id: item.unique_batch_item_id.clone(),
            ..pending(correlation.clone())
        });
        let outcomes = outcomes.collect();
        let (request, record) = (Secret::from(request), record.clone());
        all.queue.push_back(Message { request, caller: caller.clone(), now, record, correlations });
        Ok(outcomes)
    }

    /// Works one request that was put off, its items in order.
    fn work_later(&self, message: &Message) {
        let Ok(request) = RequestMessage::read(message.request.expose()) else { return };
        let version = request.header.protocol_version;
        let mut context = Context::new(&message.caller, message.now, version, &message.record);
        let (stop, mut stopped, mut held) = (stops(&request.header), false, 0);
        for (item, correlation) in request.items.iter().zip(&message.correlations) {
            let failed = |refusal: &Refusal| Outcome {
                operation: Some(item.operation),
                unique_batch_item_id: item.unique_batch_item_id.clone(),
                ..failure(refusal, version)
            };
            if stopped {
                let why = "an item before it in the batch failed, so this one was not begun";
                self.later.finish(correlation, failed(&Refusal::new(Reason::Unavailable, why)));
                continue;
            }
            if !self.later.begin(correlation) {
                stopped = stop;
                continue;
            }
            let outcome = if held > limits::RESPONSE {
                failed(&too_much())
            } else {
                catch_unwind(AssertUnwindSafe(|| self.run_item(item, &mut context))).unwrap_or_else(|_| {
                    failed(&Refusal::new(Reason::Internal, "a defect of the server ended this"))
                })
            };
            held += outcome.payload.as_ref().map_or(0, Secret::len);
            stopped = stop && outcome.result_status == ResultStatus::OperationFailed;
            self.later.finish(correlation, outcome);
        }
    }

    /// What became of an item of the caller's. The answer to one that is done is given once.
    ///
    /// # Errors
    /// When nothing of the caller's is known by this value.
    pub(super) fn polled(&self, correlation: &Bytes, context: &Context<'_>) -> Result<Polled, Refusal> {
        let mut all = self.later.lock();
        all.forget_old(context.now);
        match all.own(correlation, &context.caller.principal).map(|item| &item.stage) {
            None => Err(unknown()),
            Some(Stage::Submitted | Stage::InProcess) => Ok(Polled::Pending),
            Some(Stage::Done(_) | Stage::Canceled) => Ok(match all.items.remove(&correlation.0) {
                Some(Item { stage: Stage::Done(outcome), .. }) => Polled::Done(outcome),
                _ => Polled::Canceled,
            }),
        }
    }

    /// Gives up an item of the caller's, unless it was begun.
    pub(super) fn canceled(&self, correlation: &Bytes, context: &Context<'_>) -> CancellationResult {
        let mut all = self.later.lock();
        all.forget_old(context.now);
        let Some(item) = all.own_mut(correlation, &context.caller.principal) else {
            return CancellationResult::Unavailable;
        };
        match &item.stage {
            Stage::Submitted => {
                item.stage = Stage::Canceled;
                CancellationResult::Canceled
            }
            Stage::Canceled => CancellationResult::Canceled,
            Stage::InProcess => CancellationResult::UnableToCancel,
            Stage::Done(outcome) if outcome.result_status == ResultStatus::Success => {
                CancellationResult::Completed
            }
            Stage::Done(_) => CancellationResult::Failed,
        }
    }

    /// Has an item of the caller's done, with those before it in its batch, before this returns: the next Poll is not
    /// answered by Pending.
    ///
    /// # Errors
    /// When nothing of the caller's is known by this value, or this was asked for before.
    pub(super) fn processed(&self, correlation: &Bytes, context: &Context<'_>) -> Result<(), Refusal> {
        let mut all = self.later.lock();
        all.forget_old(context.now);
        let item = all.own_mut(correlation, &context.caller.principal).ok_or_else(unknown)?;
        if std::mem::replace(&mut item.processed, true) {
            return Err(Refusal::new(
                Reason::ProcessedAlready,
                "Process was asked for this already: its outcome is there, ask for it by Poll",
            ));
        }
        if !item.is_open() {
            return Ok(());
        }
        let at = all.queue.iter().position(|message| message.correlations.contains(&correlation.0));
        if let Some(message) = at.and_then(|at| all.queue.remove(at)) {
            drop(all);
            self.work_later(&message);
            return Ok(());
        }
        // A thread is at it.
        while all.items.get(&correlation.0).is_some_and(Item::is_open) {
            all = self.later.done.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// What the caller has not asked for yet, oldest first.
    pub(super) fn outstanding(
        &self,
        values: Option<&[Bytes]>,
        operations: Option<&[Operation]>,
        context: &Context<'_>,
    ) -> Vec<AsynchronousRequest> {
        let mut all = self.later.lock();
        all.forget_old(context.now);
        let own = all.items.iter().filter(|(value, item)| {
            item.principal == context.caller.principal
                && values.is_none_or(|values| values.iter().any(|one| one.0 == **value))
                && operations.is_none_or(|operations| operations.contains(&item.operation))
        });
        let mut requests: Vec<AsynchronousRequest> = own
            .filter_map(|(value, item)| {
                let processing_stage = match item.stage {
                    Stage::Submitted => ProcessingStage::Submitted,
                    Stage::InProcess => ProcessingStage::InProcess,
                    Stage::Done(_) => ProcessingStage::Completed,
                    Stage::Canceled => return None,
                };
                Some(AsynchronousRequest {
                    asynchronous_correlation_value: Bytes(value.clone()),
                    operation: item.operation,
                    submission_date: DateTimeExtended(item.since.0.saturating_mul(1_000_000)),
                    processing_stage,
                })
            })
            .collect();
        requests.sort_by(|a, b| {
            let key = |one: &AsynchronousRequest| {
                (one.submission_date.0, one.asynchronous_correlation_value.0.clone())
            };
            key(a).cmp(&key(b))
        });
        requests
    }
}

/// Works what was put off until nothing waits any more.
fn work_off(me: &Weak<Kms>) {
    while let Some(kms) = me.upgrade() {
        let Some(message) = kms.later.next() else { return };
        kms.work_later(&message);
    }
}

impl Later {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request to work; where there is none, the thread that asks is one less.
    fn next(&self) -> Option<Message> {
        let mut all = self.lock();
        let next = all.queue.pop_front();
        if next.is_none() {
            all.threads = all.threads.saturating_sub(1);
        }
        next
    }

    /// Whether an item is still to be done; it is under way from now on.
    fn begin(&self, correlation: &[u8]) -> bool {
        match self.lock().items.get_mut(correlation) {
            Some(item) if matches!(item.stage, Stage::Submitted) => {
                item.stage = Stage::InProcess;
                true
            }
            _ => false,
        }
    }

    fn finish(&self, correlation: &[u8], outcome: Outcome) {
        if let Some(item) = self.lock().items.get_mut(correlation).filter(|item| item.is_open()) {
            item.stage = Stage::Done(outcome);
        }
        self.done.notify_all();
    }
}

impl All {
    fn own(&self, correlation: &Bytes, principal: &str) -> Option<&Item> {
        self.items.get(&correlation.0).filter(|item| item.principal == principal)
    }

    fn own_mut(&mut self, correlation: &Bytes, principal: &str) -> Option<&mut Item> {
        self.items.get_mut(&correlation.0).filter(|item| item.principal == principal)
    }

    /// Forgets what nobody asked for in time. A clock that was moved back ends nothing.
    fn forget_old(&mut self, now: DateTime) {
        let is_young = |item: &Item| now.0.saturating_sub(item.since.0) <= limits::LATER_KEPT;
        self.items.retain(|_, item| matches!(item.stage, Stage::InProcess) || is_young(item));
        let items = &self.items;
        self.queue.retain(|message| message.correlations.iter().any(|one| items.contains_key(one)));
    }

    fn check_room(&self, principal: &str, items: usize, bytes: usize) -> Result<(), Refusal> {
        let own = self.items.values().filter(|item| item.principal == principal).count();
        let waiting: usize = self.queue.iter().map(|message| message.request.len()).sum();
        let answers: usize = self.items.values().map(Item::held).sum();
        if self.items.len() + items > limits::LATER
            || own + items > limits::LATER_EACH
            || waiting + answers + bytes > limits::LATER_BYTES
        {
            return Err(Refusal::new(
                Reason::Limit,
                "too much is put off already: ask for what is done by Poll, or leave out the Asynchronous Indicator",
            ));
        }
        Ok(())
    }
}

impl Item {
    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Submitted | Stage::InProcess)
    }

    fn held(&self) -> usize {
        match &self.stage {
            Stage::Done(outcome) => outcome.payload.as_ref().map_or(0, Secret::len),
            _ => 0,
        }
    }
}

/// The outcome of what is still to come.
pub(super) fn pending(correlation: Vec<u8>) -> Outcome {
    Outcome {
        operation: None,
        unique_batch_item_id: None,
        result_status: ResultStatus::OperationPending,
        result_reason: None,
        result_message: None,
        asynchronous_correlation_value: Some(Bytes(correlation)),
        payload: None,
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        Reason::NothingPending,
        format!(
            "nothing of yours is known by this Asynchronous Correlation Value: an outcome is given once, and kept for {} s",
            limits::LATER_KEPT
        ),
    )
}

/// What is about requests or connections itself.
fn is_done_at_once(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Poll
            | Operation::Cancel
            | Operation::Process
            | Operation::QueryAsynchronousRequests
            | Operation::SetEndpointRole
    )
}
