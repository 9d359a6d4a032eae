//! A request's batch: in order, each item on what came before it, or side by side where order does not matter.

use std::sync::Arc;

use kms_protocol::enums::{
    BatchErrorContinuationOption, Operation, ResultReason, ResultStatus,
    UniqueIdentifierPlaceholder as Placeholder,
};
use kms_protocol::error::DecodeError;
use kms_protocol::message::{
    Outcome, RequestHeader, RequestItem, RequestMessage, ResponseHeader, stated_version, write_response,
};
use kms_protocol::operation::{DecryptRequest, EncryptRequest, Request, brought_by};
use kms_protocol::ttlv::{Bytes, Value, Writer};
use kms_protocol::{DateTime, Secret, Tag, UniqueIdentifier, Version};

use super::keys::until_alone;
use super::operations as run;
use super::recorded::reason_name;
use super::refusal::{Reason, Refusal};
use super::undo::Undo;
use super::{Caller, Context, Kms, VERSIONS};
use crate::audit::Record;
use crate::limits;

impl Kms {
    /// Answers one whole Request Message with one whole Response Message, whatever the request is.
    #[must_use]
    pub fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret {
        let correlation = self.trail.correlation();
        let message = match RequestMessage::read(request) {
            Ok(message) => message,
            Err(error) => {
                let record = self.record_of(None, caller, correlation, now);
                self.trail.note(record.refused(reason_name(ResultReason::InvalidMessage)));
                return unreadable(request, &error, now);
            }
        };
        let version = message.header.protocol_version;
        let mut header = ResponseHeader::new(version, now);
        header.client_correlation_value.clone_from(&message.header.client_correlation_value);
        if header.client_correlation_value.is_some() {
            // Who names his requests wants to know what they are called here. Others may not know the field.
            header.server_correlation_value = Some(correlation.clone());
        }
        let record = self.record_of(Some(&message.header), caller, correlation, now);
        if !VERSIONS.contains(&version) {
            self.trail.note(record.refused(reason_name(ResultReason::InvalidMessage)));
            return unsupported(version, now);
        }
        let admitted = match unmeetable(&message) {
            Some(refusal) => Err((refusal, record.operation.clone())),
            None => {
                let authenticated = self.authenticated(&message.header, caller, now);
                authenticated.map_err(|refusal| (refusal, "Authentication".into()))
            }
        };
        let outcomes = admitted.and_then(|holder| {
            let outcomes = match holder {
                None => self.run_or_put_off(request, &message, caller, now, &record),
                Some(holder) => {
                    let detail =
                        Some(format!("by its own credential, over a connection of {:?}", caller.principal));
                    let principal = Some(holder.principal.clone());
                    let record = Record { principal, detail, ..record.clone() };
                    self.run_or_put_off(request, &message, &holder, now, &record)
                }
            };
            outcomes.map_err(|refusal| (refusal, record.operation.clone()))
        });
        let outcomes = outcomes.unwrap_or_else(|(refusal, operation)| {
            let refused = Record { operation, ..record.clone() };
            self.trail.note(refused.refused(reason_name(refusal.reason.in_version(version))));
            message.items.iter().take(1).map(|item| failed(item, &refusal, version)).collect()
        });
        let response = write_response(header.clone(), &outcomes);
        match message.header.maximum_response_size {
            Some(limit) if usize::try_from(limit).is_ok_and(|limit| response.len() > limit) => {
                // What was done is recorded; that the client was not told is recorded too.
                self.trail.note(record.refused(reason_name(ResultReason::ResponseTooLarge)));
                too_large(header, &message, response.len(), limit)
            }
            _ => response,
        }
    }

    fn run_or_put_off(
        &self,
        request: &[u8],
        message: &RequestMessage<'_>,
        caller: &Caller,
        now: DateTime,
        record: &Record,
    ) -> Result<Vec<Outcome>, Refusal> {
        if self.is_for_later(message)? {
            return self.put_off(request, message, caller, now, record);
        }
        Ok(self.run(message, caller, now, record))
    }

    fn run(
        &self,
        message: &RequestMessage<'_>,
        caller: &Caller,
        now: DateTime,
        record: &Record,
    ) -> Vec<Outcome> {
        let header = &message.header;
        let version = header.protocol_version;
        let stop = stops(header);
        if header.batch_order_option == Some(false)
            && !stop
            && message.items.len() > 1
            && let (Some(apart), Some(me)) = (apart(&message.items, version), self.me.upgrade())
        {
            return me.run_apart(apart, caller, version, now, record);
        }
        let mut context = Context::new(caller, now, version, record);
        if header.batch_error_continuation_option == Some(BatchErrorContinuationOption::Undo) {
            context.undo = Some(Undo::default());
        }
        let mut outcomes = Vec::with_capacity(message.items.len());
        let mut held = 0;
        for item in &message.items {
            let outcome = if held > limits::RESPONSE {
                let result = self.recorded(item.operation, &mut context, |_| Err(too_much()));
                outcome(item.operation, item.unique_batch_item_id.clone(), result, version)
            } else {
                self.run_item(item, &mut context)
            };
            held += outcome.payload.as_ref().map_or(0, Secret::len);
            let stopped = stop && outcome.result_status == ResultStatus::OperationFailed;
            outcomes.push(outcome);
            if stopped {
                self.undo(&mut outcomes, &mut context);
                break;
            }
        }
        outcomes
    }

    /// Works items that do not depend on each other on all crypto workers.
    fn run_apart(
        self: &Arc<Self>,
        items: Vec<Apart>,
        caller: &Caller,
        version: Version,
        now: DateTime,
        record: &Record,
    ) -> Vec<Outcome> {
        let heads: Vec<_> =
            items.iter().map(|item| (item.operation, item.unique_batch_item_id.clone())).collect();
        let (me, caller, record) = (Arc::clone(self), caller.clone(), record.clone());
        let done = self.workers.map(items, move |item| {
            let mut context = Context::new(&caller, now, version, &record);
            me.recorded(item.operation, &mut context, |context| match item.request {
                ApartRequest::Decrypt(request) => answer(run::decrypt(&me, request, context), version),
                ApartRequest::Encrypt(request) => answer(run::encrypt(&me, request, context), version),
            })
        });
        let outcomes = heads.into_iter().zip(done).map(|((operation, id), done)| {
            let result = done.unwrap_or_else(|error| Err(Refusal::new(Reason::Internal, error.to_string())));
            outcome(operation, id, result, version)
        });
        outcomes.collect()
    }

    pub(super) fn run_item(&self, item: &RequestItem<'_>, context: &mut Context<'_>) -> Outcome {
        let result = self.recorded(item.operation, context, |context| self.run_known(item, context));
        if let Some(polled) = context.polled.take() {
            return Outcome { unique_batch_item_id: item.unique_batch_item_id.clone(), ..polled };
        }
        outcome(item.operation, item.unique_batch_item_id.clone(), result, context.version)
    }

    fn run_known(&self, item: &RequestItem<'_>, context: &mut Context<'_>) -> Result<Secret, Refusal> {
        let since = brought_by(item.operation);
        if context.version < since {
            return Err(Refusal::new(
                Reason::OperationNotSupported,
                format!("KMIP {} has no {}: ask in {since} or later", context.version, item.operation),
            ));
        }
        self.dispatch(item, context)
    }

    /// The one table from operations to the code that does them.
    fn dispatch(&self, item: &RequestItem<'_>, context: &mut Context<'_>) -> Result<Secret, Refusal> {
        match item.operation {
            Operation::Activate => self.call(item, context, run::activate),
            Operation::AddAttribute => self.call(item, context, run::add_attribute),
            Operation::AdjustAttribute => self.call(item, context, run::adjust_attribute),
            Operation::Archive => self.call(item, context, run::archive),
            Operation::Cancel => self.call(item, context, run::cancel),
            Operation::Certify => self.call(item, context, run::certify),
            Operation::Check => self.call(item, context, run::check),
            Operation::Create => self.call(item, context, run::create),
            Operation::CreateKeyPair => self.call(item, context, run::create_key_pair),
            Operation::CreateSplitKey => self.call(item, context, run::create_split_key),
            Operation::Decrypt => self.call(item, context, run::decrypt),
            Operation::DelegatedLogin => self.call(item, context, run::delegated_login),
            Operation::DeleteAttribute => self.call(item, context, run::delete_attribute),
            Operation::DeriveKey => self.call(item, context, run::derive_key),
            Operation::Destroy => self.call(item, context, run::destroy),
            Operation::DiscoverVersions => self.call(item, context, run::discover_versions),
            Operation::Encrypt => self.call(item, context, run::encrypt),
            Operation::Export => self.call(item, context, run::export),
            Operation::Get => self.call(item, context, run::get),
            Operation::GetAttributeList => self.call(item, context, run::get_attribute_list),
            Operation::GetAttributes => self.call(item, context, run::get_attributes),
            Operation::GetConstraints => self.call(item, context, run::get_constraints),
            Operation::GetUsageAllocation => self.call(item, context, run::get_usage_allocation),
            Operation::Hash => self.call(item, context, run::hash),
            Operation::Import => self.call(item, context, run::import),
            Operation::Interop => self.call(item, context, run::interop),
            Operation::JoinSplitKey => self.call(item, context, run::join_split_key),
            Operation::Locate => self.call(item, context, run::locate),
            Operation::Log => self.call(item, context, run::log),
            Operation::Login => self.call(item, context, run::login),
            Operation::Logout => self.call(item, context, run::logout),
            Operation::Mac => self.call(item, context, run::mac),
            Operation::MacVerify => self.call(item, context, run::mac_verify),
            Operation::ModifyAttribute => self.call(item, context, run::modify_attribute),
            Operation::ObtainLease => self.call(item, context, run::obtain_lease),
            Operation::Pkcs11 => self.call(item, context, run::pkcs_11),
            Operation::Ping => self.call(item, context, run::ping),
            Operation::Poll => self.call(item, context, run::poll),
            Operation::Process => self.call(item, context, run::process),
            Operation::Query => self.call(item, context, run::query),
            Operation::QueryAsynchronousRequests => {
                self.call(item, context, run::query_asynchronous_requests)
            }
            Operation::Recertify => self.call(item, context, run::recertify),
            Operation::Recover => self.call(item, context, run::recover),
            Operation::Register => self.call(item, context, run::register),
            Operation::Rekey => self.call(item, context, run::rekey),
            Operation::RekeyKeyPair => self.call(item, context, run::rekey_key_pair),
            Operation::Revoke => self.call(item, context, run::revoke),
            Operation::RngRetrieve => self.call(item, context, run::rng_retrieve),
            Operation::RngSeed => self.call(item, context, run::rng_seed),
            Operation::SetAttribute => self.call(item, context, run::set_attribute),
            Operation::SetConstraints => self.call(item, context, run::set_constraints),
            Operation::SetDefaults => self.call(item, context, run::set_defaults),
            Operation::SetEndpointRole => self.call(item, context, run::set_endpoint_role),
            Operation::Sign => self.call(item, context, run::sign),
            Operation::SignatureVerify => self.call(item, context, run::signature_verify),
            Operation::Validate => self.call(item, context, run::validate),
            other => Err(not_done(other)),
        }
    }

    /// Reads the payload, does the work, writes the answer's payload. Starts over where another request changed the
    /// object between its reading and its writing.
    fn call<R: Request>(
        &self,
        item: &RequestItem<'_>,
        context: &mut Context<'_>,
        work: fn(&Self, R, &mut Context<'_>) -> Result<R::Response, Refusal>,
    ) -> Result<Secret, Refusal> {
        let compatibility = self.policies.load().compatibility;
        let payload = match compatibility.newer_request_fields {
            true if context.version.is_2x() => item.payload.clone().with_version(Version::V2_1),
            true => item.payload.clone().with_version(Version::V1_4),
            false => item.payload.clone(),
        };
        let response = until_alone(|| work(self, R::read(payload.clone())?, context));
        written(response, Writer::new(context.version).numbering_first(compatibility.first_attribute_index))
    }
}

/// The operations that the server does: asked, as [`Kms::dispatch`] has them, and of its own accord, Notify and Put.
pub(super) const OPERATIONS: [Operation; 58] = [
    Operation::Create,
    Operation::CreateKeyPair,
    Operation::Register,
    Operation::Rekey,
    Operation::DeriveKey,
    Operation::Certify,
    Operation::Recertify,
    Operation::Locate,
    Operation::Check,
    Operation::Get,
    Operation::GetAttributes,
    Operation::GetAttributeList,
    Operation::AddAttribute,
    Operation::ModifyAttribute,
    Operation::DeleteAttribute,
    Operation::ObtainLease,
    Operation::GetUsageAllocation,
    Operation::Activate,
    Operation::Revoke,
    Operation::Destroy,
    Operation::Archive,
    Operation::Recover,
    Operation::Validate,
    Operation::Query,
    Operation::Cancel,
    Operation::Poll,
    Operation::Notify,
    Operation::Put,
    Operation::RekeyKeyPair,
    Operation::DiscoverVersions,
    Operation::Encrypt,
    Operation::Decrypt,
    Operation::Sign,
    Operation::SignatureVerify,
    Operation::Mac,
    Operation::MacVerify,
    Operation::RngRetrieve,
    Operation::RngSeed,
    Operation::Hash,
    Operation::CreateSplitKey,
    Operation::JoinSplitKey,
    Operation::Import,
    Operation::Export,
    Operation::Log,
    Operation::Login,
    Operation::Logout,
    Operation::DelegatedLogin,
    Operation::AdjustAttribute,
    Operation::SetAttribute,
    Operation::SetEndpointRole,
    Operation::Pkcs11,
    Operation::Interop,
    Operation::SetDefaults,
    Operation::SetConstraints,
    Operation::GetConstraints,
    Operation::QueryAsynchronousRequests,
    Operation::Process,
    Operation::Ping,
];

/// The operations that the server does in `version`.
pub(super) fn operations_of(version: Version) -> impl Iterator<Item = Operation> {
    OPERATIONS.into_iter().filter(move |operation| brought_by(*operation) <= version)
}

/// The answer's payload, written.
fn answer<T: Value>(response: Result<T, Refusal>, version: Version) -> Result<Secret, Refusal> {
    written(response, Writer::new(version))
}

fn written<T: Value>(response: Result<T, Refusal>, mut writer: Writer) -> Result<Secret, Refusal> {
    response?.write(&mut writer, Tag::RESPONSE_PAYLOAD);
    Ok(Secret::new(writer.into_bytes()))
}

/// An item that depends on no other: it only uses a key that it names itself.
struct Apart {
    operation: Operation,
    unique_batch_item_id: Option<Bytes>,
    request: ApartRequest,
}

enum ApartRequest {
    Decrypt(DecryptRequest),
    Encrypt(EncryptRequest),
}

/// The items of a batch as such items; `None` unless all are, and sound. What is odd is worked in order.
fn apart(items: &[RequestItem<'_>], version: Version) -> Option<Vec<Apart>> {
    let each = items.iter().map(|item| {
        if version < brought_by(item.operation) {
            return None;
        }
        let (request, id) = match item.operation {
            Operation::Decrypt => {
                let request = DecryptRequest::read(item.payload.clone()).ok()?;
                let id = request.unique_identifier.clone();
                (ApartRequest::Decrypt(request), id)
            }
            Operation::Encrypt => {
                let request = EncryptRequest::read(item.payload.clone()).ok()?;
                let id = request.unique_identifier.clone();
                (ApartRequest::Encrypt(request), id)
            }
            _ => return None,
        };
        let named = matches!(id, Some(UniqueIdentifier::Text(_))) && item.extensions.is_empty();
        let unique_batch_item_id = item.unique_batch_item_id.clone();
        named.then_some(Apart { operation: item.operation, unique_batch_item_id, request })
    });
    each.collect()
}

/// What a message asks that the server cannot do.
fn unmeetable(message: &RequestMessage<'_>) -> Option<Refusal> {
    // One that is not understood makes the whole message void (1.4 section 6.16, 2.1 section 9.13).
    let mut extensions = message.items.iter().flat_map(|item| &item.extensions);
    let critical = extensions.find(|extension| extension.criticality_indicator)?;
    Some(Refusal::new(
        Reason::UnknownExtension,
        format!("the critical extension of {:?} is not known here", critical.vendor_identification),
    ))
}

/// The answer to an operation that is not in [`Kms::dispatch`].
fn not_done(operation: Operation) -> Refusal {
    let why = match operation {
        Operation::Notify | Operation::Put => {
            "Notify and Put are what the server asks clients: ask for Set Endpoint Role to get them".into()
        }
        Operation::ReProvision => {
            "who a client is follows from its certificate, and the operator decides who signs those: ask there for a new one"
                .into()
        }
        other => format!("the server does not do {other}"),
    };
    Refusal::new(Reason::OperationNotSupported, why)
}

fn outcome(
    operation: Operation,
    unique_batch_item_id: Option<Bytes>,
    result: Result<Secret, Refusal>,
    version: Version,
) -> Outcome {
    let operation = Some(operation);
    match result {
        Ok(payload) => Outcome {
            operation,
            unique_batch_item_id,
            result_status: ResultStatus::Success,
            result_reason: None,
            result_message: None,
            asynchronous_correlation_value: None,
            payload: Some(payload),
        },
        Err(refusal) => Outcome { operation, unique_batch_item_id, ..failure(&refusal, version) },
    }
}

/// An item that is refused.
pub(crate) fn failed(item: &RequestItem<'_>, refusal: &Refusal, version: Version) -> Outcome {
    outcome(item.operation, item.unique_batch_item_id.clone(), Err(refusal.clone()), version)
}

/// Refuses everything that a message asks for, before any of it is looked into.
#[must_use]
pub fn refuse_all(request: &[u8], refusal: &Refusal, now: DateTime) -> Secret {
    let Ok(message) = RequestMessage::read(request) else {
        let version = Version::V1_2;
        return write_response(ResponseHeader::new(version, now), &[failure(refusal, version)]);
    };
    let version = message.header.protocol_version;
    let outcomes: Vec<_> = message.items.iter().map(|item| failed(item, refusal, version)).collect();
    write_response(ResponseHeader::new(version, now), &outcomes)
}

/// Whether the first failure ends the batch.
pub(crate) fn stops(header: &RequestHeader) -> bool {
    header.batch_error_continuation_option != Some(BatchErrorContinuationOption::Continue)
}

/// The version to say in that another is not spoken: of the same family where there is one, so that most of it can be read.
pub(crate) fn nearest(asked: Version, speaks: impl Fn(Version) -> bool) -> Version {
    let spoken = || VERSIONS.into_iter().filter(|version| speaks(*version));
    let family = spoken().filter(|version| version.is_2x() == asked.is_2x());
    let nearest = family.min_by_key(|version| version.minor.abs_diff(asked.minor));
    nearest.or_else(|| spoken().next()).unwrap_or(Version::V1_4)
}

/// A refusal of no item in particular.
pub(crate) fn failure(refusal: &Refusal, version: Version) -> Outcome {
    Outcome {
        operation: None,
        unique_batch_item_id: None,
        result_status: ResultStatus::OperationFailed,
        result_reason: Some(refusal.reason.in_version(version)),
        result_message: Some(refusal.message.clone().into_owned()),
        asynchronous_correlation_value: None,
        payload: None,
    }
}

/// The answer to what could not be read (KMIP 1.4 section 11.1): an item without Operation.
fn unreadable(request: &[u8], error: &DecodeError, now: DateTime) -> Secret {
    let version = stated_version(request).ok().filter(|version| VERSIONS.contains(version));
    let version = version.unwrap_or(Version::V1_2);
    let refusal = Refusal::new(Reason::InvalidMessage, format!("the request cannot be read: {error}"));
    write_response(ResponseHeader::new(version, now), &[failure(&refusal, version)])
}

/// The answer in a version that the server does not speak.
fn unsupported(version: Version, now: DateTime) -> Secret {
    let nearest = nearest(version, |_| true);
    let spoken = VERSIONS.map(|version| version.to_string()).join(", ");
    let refusal = Refusal::new(
        Reason::InvalidMessage,
        format!("version {version} is not spoken here; these are: {spoken}"),
    );
    write_response(ResponseHeader::new(nearest, now), &[failure(&refusal, nearest)])
}

/// The answer to an item that comes after too much was asked for already.
pub(super) fn too_much() -> Refusal {
    Refusal::new(
        Reason::ResponseTooLarge,
        format!(
            "the items before this one fill {} bytes, which is all that one response holds; ask for it in another request",
            limits::RESPONSE
        ),
    )
}

fn too_large(header: ResponseHeader, message: &RequestMessage<'_>, size: usize, limit: i32) -> Secret {
    let refusal = Refusal::new(
        Reason::ResponseTooLarge,
        format!("the response has {size} bytes and Maximum Response Size is {limit}"),
    );
    let version = header.protocol_version;
    let outcomes: Vec<Outcome> = message.items.iter().map(|item| failed(item, &refusal, version)).collect();
    write_response(header, &outcomes)
}

/// What the items of a batch have made so far, for those that refer to it (1.4 section 4, 2.1 section 11.58).
#[derive(Debug, Default)]
pub(super) struct Made {
    last: Option<String>,
    all: Vec<(Option<Placeholder>, String)>,
}

impl Made {
    /// Notes the object that an operation made, found or worked on: the ID Placeholder from now on.
    pub(super) fn note(&mut self, by: Placeholder, id: &str) {
        self.all.push((Some(by), id.to_owned()));
        self.last = Some(id.to_owned());
    }

    /// Notes a pair; the ID Placeholder is its private key.
    pub(super) fn note_pair(&mut self, by: [Placeholder; 3], private: &str, public: &str) {
        let [operation, private_half, public_half] = by;
        self.all.push((Some(public_half), public.to_owned()));
        self.all.push((Some(private_half), private.to_owned()));
        self.note(operation, private);
    }

    /// Locate found none or several: nothing can be meant by the ID Placeholder.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    pub(super) fn resolve(&self, id: Option<&UniqueIdentifier>) -> Result<String, Refusal> {
        let found = match id {
            Some(UniqueIdentifier::Text(id)) => return Ok(id.clone()),
            None | Some(UniqueIdentifier::Placeholder(Placeholder::IdPlaceholder)) => self.last.as_ref(),
            Some(UniqueIdentifier::Placeholder(by)) => {
                self.all.iter().rev().find(|(made_by, _)| *made_by == Some(*by)).map(|(_, id)| id)
            }
            Some(UniqueIdentifier::Index(index)) => {
                let length = i32::try_from(self.all.len()).unwrap_or(i32::MAX);
                let at = if *index < 0 { length + index } else { *index };
                usize::try_from(at).ok().and_then(|at| self.all.get(at)).map(|(_, id)| id)
            }
        };
        found.cloned().ok_or_else(|| {
            Refusal::new(
                Reason::NotFound,
                "no Unique Identifier is stated, and nothing before it in the batch made an ID Placeholder",
            )
        })
    }
}
