//! Requests to bytes, and answers matched to what was asked.

use std::sync::Arc;

use kms_protocol::enums::{BatchErrorContinuationOption, Operation, ResultReason, ResultStatus};
use kms_protocol::message::{Authentication, RequestHeader, ResponseItem, ResponseMessage};
use kms_protocol::operation::{DiscoverVersionsRequest, Request};
use kms_protocol::ttlv::{Bytes, Content, Reader, Value as _, Writer};
use kms_protocol::{DateTime, Secret, Tag, Version};
use tokio::time::Instant;

use crate::connection::{Connection, Stream};
use crate::error::{Error, Refusal, shown};
use crate::limits;

/// One request, encoded as a batch item under an ID that no other request of this client has.
pub(crate) struct EncodedItem {
    pub(crate) id: u32,
    pub(crate) operation: Operation,
    /// Whether asking twice, or another server, does no harm.
    pub(crate) repeatable: bool,
    bytes: Secret,
}

impl EncodedItem {
    pub(crate) fn new<R: Request>(request: &R, id: u32, version: Version) -> Self {
        let mut writer = Writer::new(version);
        writer.structure(Tag::BATCH_ITEM, |writer| {
            writer.field(Tag::OPERATION, &R::OPERATION);
            writer.field(Tag::UNIQUE_BATCH_ITEM_ID, &Bytes(id.to_be_bytes().to_vec()));
            writer.field(Tag::REQUEST_PAYLOAD, request);
        });
        let bytes = Secret::new(writer.into_bytes());
        let repeatable =
            only_reads_or_computes(R::OPERATION) && !is_part_of_a_stream(bytes.expose(), version);
        Self { id, operation: R::OPERATION, repeatable, bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The object that the request names, for the error that says it failed.
    fn object(&self, version: Version) -> Option<String> {
        let mut reader = Reader::new(self.bytes.expose(), version);
        let mut item = reader.take(Tag::BATCH_ITEM).ok()??.structure().ok()?;
        let payload = item.take(Tag::REQUEST_PAYLOAD).ok()??;
        for tag in [Tag::UNIQUE_IDENTIFIER, Tag::PRIVATE_KEY_UNIQUE_IDENTIFIER] {
            let found = payload.clone().structure().ok()?.take(tag).ok()?;
            if let Some(Content::TextString(id)) = found.map(|item| item.content) {
                return Some(id.to_owned());
            }
        }
        None
    }
}

fn only_reads_or_computes(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Locate
            | Operation::Check
            | Operation::Get
            | Operation::GetAttributes
            | Operation::GetAttributeList
            | Operation::Export
            | Operation::Encrypt
            | Operation::Decrypt
            | Operation::Sign
            | Operation::SignatureVerify
            | Operation::Mac
            | Operation::MacVerify
            | Operation::Hash
            | Operation::RngRetrieve
            | Operation::Validate
            | Operation::GetConstraints
            | Operation::QueryAsynchronousRequests
            | Operation::Query
            | Operation::DiscoverVersions
            | Operation::Ping
    )
}

/// A server goes on from the part before, which it alone has; the same part twice would be another stream.
fn is_part_of_a_stream(item: &[u8], version: Version) -> bool {
    let payload = || {
        let mut item = Reader::new(item, version).take(Tag::BATCH_ITEM).ok()??.structure().ok()?;
        item.take(Tag::REQUEST_PAYLOAD).ok()?
    };
    let has = |tag| payload().and_then(|payload| payload.structure().ok()?.take(tag).ok()?).is_some();
    [Tag::CORRELATION_VALUE, Tag::INIT_INDICATOR, Tag::FINAL_INDICATOR].into_iter().any(has)
}

/// A request message of these items. Several of them are independent: none waits for another, or fails with it.
pub(crate) fn encode<'a>(
    items: impl ExactSizeIterator<Item = &'a EncodedItem>,
    authentication: Option<&Arc<Authentication>>,
    version: Version,
) -> Secret {
    let mut header = RequestHeader::new(version);
    header.authentication = authentication.cloned();
    header.maximum_response_size = i32::try_from(limits::RESPONSE).ok();
    header.batch_count = i32::try_from(items.len()).unwrap_or(i32::MAX);
    if items.len() > 1 {
        header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Continue);
        header.batch_order_option = Some(false);
    }
    let mut writer = Writer::new(version);
    writer.structure(Tag::REQUEST_MESSAGE, |writer| {
        writer.field(Tag::REQUEST_HEADER, &header);
        for item in items {
            writer.raw(item.bytes.expose());
        }
    });
    Secret::new(writer.into_bytes())
}

/// Asks for versions over a connection, as the smallest exchange that there is; the server's clock.
///
/// # Errors
/// When no answer comes that can be read.
pub(crate) async fn greet<S: Stream>(
    connection: &mut Connection<S>,
    version: Version,
) -> Result<DateTime, Error> {
    let item = EncodedItem::new(&DiscoverVersionsRequest::default(), 1, version);
    let message = encode([&item].into_iter(), None, version);
    let answer = connection.exchange(message.expose(), Instant::now() + limits::CONNECT).await?;
    let message = ResponseMessage::read(answer.expose())
        .map_err(|error| Error::protocol(format!("in its answer: {error}")))?;
    Ok(message.header.time_stamp)
}

/// What came back for a message.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// An answer to each item, in the order asked; `None` where the server stopped before it.
    Each(Vec<Option<ResponseItem<'a>>>),
    /// One refusal of the message as a whole.
    Whole(Box<Refusal>),
}

/// Reads an answer and matches it to the items asked.
///
/// # Errors
/// When it is malformed, of another version, or an answer to something else.
pub(crate) fn read_answer<'a>(
    bytes: &'a [u8],
    asked: &[&EncodedItem],
    version: Version,
) -> Result<Answer<'a>, Error> {
    let message =
        ResponseMessage::read(bytes).map_err(|error| Error::protocol(format!("in its answer: {error}")))?;
    let stated = message.header.protocol_version;
    if let ([only], [first, ..]) = (message.items.as_slice(), asked)
        && only.result_status == ResultStatus::OperationFailed
        && only.unique_batch_item_id.as_ref().is_none_or(|id| id.0.is_empty())
        && (only.operation.is_none() || asked.len() > 1 || stated != version)
    {
        return Ok(Answer::Whole(Box::new(refusal(only, first.operation, None))));
    }
    // The answer to Discover Versions may come in the server's own version: finding that out is its purpose.
    let discovering = asked.iter().all(|request| request.operation == Operation::DiscoverVersions);
    if stated != version && !discovering {
        return Err(Error::protocol(format!("it answered a request of {version} in {stated}")));
    }
    let mut answers: Vec<Option<ResponseItem<'a>>> = Vec::new();
    answers.resize_with(asked.len(), || None);
    for (at, item) in message.items.into_iter().enumerate() {
        let place = place(&item, at, asked)?;
        let (Some(slot), Some(request)) = (answers.get_mut(place), asked.get(place)) else {
            return Err(Error::protocol("it answered more items than were asked"));
        };
        if slot.is_some() {
            return Err(Error::protocol("it answered one batch item twice"));
        }
        let silent = item.operation.is_none() && item.result_status != ResultStatus::Success;
        if item.operation != Some(request.operation) && !silent {
            let answered =
                item.operation.map_or_else(|| "nothing".to_owned(), |answered| answered.to_string());
            return Err(Error::protocol(format!("asked for {}, it answered {answered}", request.operation)));
        }
        *slot = Some(item);
    }
    // A server that stops at the first failure, though asked not to, leaves items out; any other has to answer all.
    let failed = answers.iter().flatten().any(|item| item.result_status != ResultStatus::Success);
    if !failed && answers.iter().any(Option::is_none) {
        return Err(Error::protocol(format!("asked for {} batch items, it did not answer all", asked.len())));
    }
    Ok(Answer::Each(answers))
}

/// Which of the items asked is answered. The ID may be left out only where there was one.
fn place(item: &ResponseItem<'_>, at: usize, asked: &[&EncodedItem]) -> Result<usize, Error> {
    let is = |request: &&EncodedItem, id: &Bytes| request.id.to_be_bytes() == id.0.as_slice();
    match &item.unique_batch_item_id {
        Some(id) if asked.get(at).is_some_and(|request| is(request, id)) => Ok(at),
        Some(id) => asked
            .iter()
            .position(|request| is(request, id))
            .ok_or_else(|| Error::protocol("it answered a batch item that was not asked")),
        None if asked.len() == 1 => Ok(0),
        None => Err(Error::protocol("it left out a Unique Batch Item ID")),
    }
}

/// The payload of an answer, or the server's refusal.
pub(crate) fn read_payload<R: Request>(
    item: ResponseItem<'_>,
    asked: &EncodedItem,
    version: Version,
) -> Result<R::Response, Error> {
    match item.result_status {
        ResultStatus::Success => {
            let payload = item.payload.ok_or_else(|| {
                Error::protocol(format!("it answered {} without a payload", asked.operation))
            })?;
            R::Response::read(payload)
                .map_err(|error| Error::protocol(format!("in its answer to {}: {error}", asked.operation)))
        }
        ResultStatus::OperationPending => Err(Error::protocol(format!(
            "it put {} off, though the request does not allow that",
            asked.operation
        ))),
        _ => Err(Error::refused(refusal(&item, asked.operation, asked.object(version)))),
    }
}

fn refusal(item: &ResponseItem<'_>, operation: Operation, object: Option<String>) -> Refusal {
    Refusal {
        operation,
        object,
        status: item.result_status,
        reason: item.result_reason,
        message: item.result_message.as_deref().map(shown),
    }
}

/// Whether a whole message that was refused for this reason may do in smaller parts.
///
/// Too large an answer says that the work was done: only what may be repeated is asked again.
pub(crate) fn is_worth_halving(reason: Option<ResultReason>, repeatable: bool) -> bool {
    match reason {
        Some(
            ResultReason::AuthenticationNotSuccessful
            | ResultReason::NotAuthorised
            | ResultReason::UnsupportedProtocolVersion,
        ) => false,
        Some(ResultReason::InvalidMessage) => true,
        _ => repeatable,
    }
}
