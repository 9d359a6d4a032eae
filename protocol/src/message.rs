//! Messages: a header and a batch (KMIP 1.4 sections 6 and 7, 2.1 sections 8 and 9).
//!
//! A batch item's payload stays as bytes until its operation reads it, so that one malformed payload fails one item.

use crate::credential::{Credential, Nonce};
use std::sync::Arc;

use crate::enums::{
    AsynchronousIndicator, AttestationType, BatchErrorContinuationOption, Operation, ResultReason,
    ResultStatus,
};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits;
use crate::operation::Request;
use crate::ttlv::{Bytes, Content, Item, ItemType, RawValue, Reader, Value, Writer};
use crate::{DateTime, Secret, Tag, Version, structure};

structure! {
    /// Request Header (KMIP 1.4 section 7.1).
    pub struct RequestHeader {
        /// The version of everything in the message.
        pub protocol_version: Version = PROTOCOL_VERSION,
        /// The longest response, in bytes, that the client takes.
        pub maximum_response_size: Option<i32> = MAXIMUM_RESPONSE_SIZE,
        /// What the client calls this request in its logs.
        pub client_correlation_value: Option<String> = CLIENT_CORRELATION_VALUE, since V1_4,
        /// What the server called an earlier one.
        pub server_correlation_value: Option<String> = SERVER_CORRELATION_VALUE, since V1_4,
        /// Whether the answer may come later.
        pub asynchronous_indicator: Option<Asynchronous> = ASYNCHRONOUS_INDICATOR,
        /// Whether the client can attest.
        pub attestation_capable_indicator: Option<bool> = ATTESTATION_CAPABLE_INDICATOR, since V1_2,
        /// How it can.
        pub attestation_types: Vec<AttestationType> = ATTESTATION_TYPE, since V1_2,
        /// Who asks, besides what the transport proves. Shared, since the secrets in it are never copied.
        pub authentication: Option<Arc<Authentication>> = AUTHENTICATION,
        /// What a failed item means for those after it; Stop where absent.
        pub batch_error_continuation_option: Option<BatchErrorContinuationOption> = BATCH_ERROR_CONTINUATION_OPTION,
        /// Whether the items have to be worked in order; `true` where absent from 2.0 on, `false` before.
        pub batch_order_option: Option<bool> = BATCH_ORDER_OPTION,
        /// The client's time.
        pub time_stamp: Option<DateTime> = TIME_STAMP,
        /// How many items follow.
        pub batch_count: i32 = BATCH_COUNT,
    }
}

impl RequestHeader {
    /// A header that asks for nothing special.
    #[must_use]
    pub fn new(protocol_version: Version) -> Self {
        Self {
            protocol_version,
            maximum_response_size: None,
            client_correlation_value: None,
            server_correlation_value: None,
            asynchronous_indicator: None,
            attestation_capable_indicator: None,
            attestation_types: Vec::new(),
            authentication: None,
            batch_error_continuation_option: None,
            batch_order_option: None,
            time_stamp: None,
            batch_count: 0,
        }
    }
}

structure! {
    /// Response Header (KMIP 1.4 section 7.1).
    pub struct ResponseHeader {
        /// The version of everything in the message.
        pub protocol_version: Version = PROTOCOL_VERSION,
        /// The server's time.
        pub time_stamp: DateTime = TIME_STAMP,
        /// A challenge for attestation.
        pub nonce: Option<Nonce> = NONCE, since V1_2,
        /// The answer to a hashed password.
        pub server_hashed_password: Option<Bytes> = SERVER_HASHED_PASSWORD, since V2_0,
        /// How the server lets clients attest.
        pub attestation_types: Vec<AttestationType> = ATTESTATION_TYPE, since V1_2,
        /// The client's name for the request.
        pub client_correlation_value: Option<String> = CLIENT_CORRELATION_VALUE, since V1_4,
        /// The server's.
        pub server_correlation_value: Option<String> = SERVER_CORRELATION_VALUE, since V1_4,
        /// How many items follow.
        pub batch_count: i32 = BATCH_COUNT,
    }
}

impl ResponseHeader {
    /// A header that says no more than it must.
    #[must_use]
    pub fn new(protocol_version: Version, time_stamp: DateTime) -> Self {
        Self {
            protocol_version,
            time_stamp,
            nonce: None,
            server_hashed_password: None,
            attestation_types: Vec::new(),
            client_correlation_value: None,
            server_correlation_value: None,
            batch_count: 0,
        }
    }
}

/// Asynchronous Indicator: a Boolean in 1.x, an enumeration in 2.x.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asynchronous(pub AsynchronousIndicator);

impl Value for Asynchronous {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::Boolean(true) if !item.version.is_2x() => Ok(Self(AsynchronousIndicator::Optional)),
            Content::Boolean(false) if !item.version.is_2x() => Ok(Self(AsynchronousIndicator::Prohibited)),
            _ if item.version.is_2x() => AsynchronousIndicator::read(item).map(Self),
            _ => Err(item.wrong_type(ItemType::Boolean)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        if writer.version().is_2x() {
            self.0.write(writer, tag);
        } else {
            (self.0 != AsynchronousIndicator::Prohibited).write(writer, tag);
        }
    }
}

structure! {
    no Clone
    /// Authentication (KMIP 1.4 section 6.6).
    pub struct Authentication {
        /// Who asks.
        pub credentials: Vec<Credential> = CREDENTIAL,
    }
}

structure! {
    /// Message Extension (KMIP 1.4 section 6.16).
    pub struct MessageExtension {
        /// Whose extension it is.
        pub vendor_identification: String = VENDOR_IDENTIFICATION,
        /// Whether an item must fail where the extension is not understood.
        pub criticality_indicator: bool = CRITICALITY_INDICATOR,
        /// What the vendor says.
        pub vendor_extension: RawValue = VENDOR_EXTENSION,
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct RequestMessage<'a> {
    /// Its header.
    pub header: RequestHeader,
    /// Its batch.
    pub items: Vec<RequestItem<'a>>,
}

/// One item of a request.
#[derive(Clone, Debug)]
pub struct RequestItem<'a> {
    /// What to do.
    pub operation: Operation,
    /// Whether what is made need not be kept (2.0 and later).
    pub ephemeral: Option<bool>,
    /// What the client calls the item.
    pub unique_batch_item_id: Option<Bytes>,
    /// What to do it with.
    pub payload: Item<'a>,
    /// What vendors add.
    pub extensions: Vec<MessageExtension>,
}

impl<'a> RequestMessage<'a> {
    /// Reads a whole message; payloads stay unread.
    ///
    /// # Errors
    /// When the header or the batch is malformed.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut reader, header) = open(bytes, Tag::REQUEST_MESSAGE, Tag::REQUEST_HEADER)?;
        let header = RequestHeader::read(header)?;
        let items = batch(&mut reader, header.batch_count, RequestItem::read)?;
        reader.finish()?;
        Ok(Self { header, items })
    }
}

impl<'a> RequestItem<'a> {
    fn read(item: Item<'a>) -> Result<Self, DecodeError> {
        let mut reader = item.structure()?;
        let operation = reader.field(Tag::OPERATION)?;
        let ephemeral = if reader.version().is_2x() { reader.field(Tag::EPHEMERAL)? } else { None };
        let unique_batch_item_id = reader.field(Tag::UNIQUE_BATCH_ITEM_ID)?;
        let missing = reader.missing(Tag::REQUEST_PAYLOAD);
        let payload = reader.take(Tag::REQUEST_PAYLOAD)?.ok_or(missing)?;
        let extensions = reader.field(Tag::MESSAGE_EXTENSION)?;
        reader.finish()?;
        Ok(Self { operation, ephemeral, unique_batch_item_id, payload, extensions })
    }
}

/// The version that a message states, as far as it can be told without reading the rest.
///
/// # Errors
/// When the message does not get that far.
pub fn stated_version(bytes: &[u8]) -> Result<Version, DecodeError> {
    open(bytes, Tag::REQUEST_MESSAGE, Tag::REQUEST_HEADER).map(|(reader, _)| reader.version())
}

/// The operations that a request asks for, read without anything else: cheap enough to decide where to work it.
pub fn operations(bytes: &[u8]) -> impl Iterator<Item = Operation> + '_ {
    let reader = open(bytes, Tag::REQUEST_MESSAGE, Tag::REQUEST_HEADER).ok().map(|(reader, _)| reader);
    reader.into_iter().flat_map(|mut reader| {
        core::iter::from_fn(move || {
            let item = reader.next_item().ok()??;
            item.structure().ok()?.field(Tag::OPERATION).ok()
        })
    })
}

/// Opens a message and its header, both under the version that the header states.
fn open<'a>(bytes: &'a [u8], message: Tag, header: Tag) -> Result<(Reader<'a>, Item<'a>), DecodeError> {
    let mut outer = Reader::new(bytes, Version::V1_0);
    let item = outer.take(message)?.ok_or_else(|| outer.missing(message))?;
    if let Some(item) = outer.next_item()? {
        return Err(item.error(DecodeErrorKind::Trailing));
    }
    let mut reader = item.structure()?;
    let item = reader.take(header)?.ok_or_else(|| reader.missing(header))?;
    let version = item.clone().structure()?.field(Tag::PROTOCOL_VERSION)?;
    Ok((reader.with_version(version), item.with_version(version)))
}

fn batch<'a, T>(
    reader: &mut Reader<'a>,
    count: i32,
    read: impl Fn(Item<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    while let Some(item) = reader.take(Tag::BATCH_ITEM)? {
        if items.len() == limits::BATCH {
            return Err(item.error(DecodeErrorKind::InvalidValue("more batch items than the limit of 1,000")));
        }
        items.push(read(item)?);
    }
    if usize::try_from(count) != Ok(items.len()) {
        let kind = DecodeErrorKind::InvalidValue("the Batch Count is not the number of batch items");
        return Err(DecodeError { kind, tag: Some(Tag::BATCH_COUNT), offset: 0 });
    }
    Ok(items)
}

/// A request in the making.
#[derive(Debug)]
pub struct RequestBuilder {
    header: RequestHeader,
    items: Writer,
}

impl RequestBuilder {
    /// Starts a request. The header's Batch Count is set in the end.
    #[must_use]
    pub fn new(header: RequestHeader) -> Self {
        let items = Writer::new(header.protocol_version);
        Self { header, items }
    }

    /// Adds an item. In a batch of several each gets its place as Unique Batch Item ID.
    pub fn push<R: Request>(&mut self, request: &R, unique_batch_item_id: Option<Bytes>) {
        self.header.batch_count += 1;
        self.items.structure(Tag::BATCH_ITEM, |writer| {
            writer.field(Tag::OPERATION, &R::OPERATION);
            writer.field(Tag::UNIQUE_BATCH_ITEM_ID, &unique_batch_item_id);
            writer.field(Tag::REQUEST_PAYLOAD, request);
        });
    }

    /// The request's bytes. They may hold key material and are wiped when dropped.
    #[must_use]
    pub fn finish(self) -> Secret {
        let mut writer = Writer::new(self.header.protocol_version);
        let items = Secret::new(self.items.into_bytes());
        writer.structure(Tag::REQUEST_MESSAGE, |writer| {
            writer.field(Tag::REQUEST_HEADER, &self.header);
            writer.raw(items.expose());
        });
        Secret::new(writer.into_bytes())
    }
}

/// A response as it came.
#[derive(Clone, Debug)]
pub struct ResponseMessage<'a> {
    /// Its header.
    pub header: ResponseHeader,
    /// Its batch.
    pub items: Vec<ResponseItem<'a>>,
}

/// One item of a response.
#[derive(Clone, Debug)]
pub struct ResponseItem<'a> {
    /// What was asked; absent where the request could not be read.
    pub operation: Option<Operation>,
    /// What the client called the item.
    pub unique_batch_item_id: Option<Bytes>,
    /// How it went.
    pub result_status: ResultStatus,
    /// Why it failed.
    pub result_reason: Option<ResultReason>,
    /// Why it failed, in words.
    pub result_message: Option<String>,
    /// By what to ask for the outcome of a pending item.
    pub asynchronous_correlation_value: Option<Bytes>,
    /// What came of it.
    pub payload: Option<Item<'a>>,
    /// What vendors add.
    pub extensions: Vec<MessageExtension>,
}

impl<'a> ResponseMessage<'a> {
    /// Reads a whole message; payloads stay unread.
    ///
    /// # Errors
    /// When the header or the batch is malformed.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut reader, header) = open(bytes, Tag::RESPONSE_MESSAGE, Tag::RESPONSE_HEADER)?;
        let header = ResponseHeader::read(header)?;
        let items = batch(&mut reader, header.batch_count, ResponseItem::read)?;
        reader.finish()?;
        Ok(Self { header, items })
    }
}

impl<'a> ResponseItem<'a> {
    fn read(item: Item<'a>) -> Result<Self, DecodeError> {
        let mut reader = item.structure()?;
        let read = Self {
            operation: reader.field(Tag::OPERATION)?,
            unique_batch_item_id: reader.field(Tag::UNIQUE_BATCH_ITEM_ID)?,
            result_status: reader.field(Tag::RESULT_STATUS)?,
            result_reason: reader.field(Tag::RESULT_REASON)?,
            result_message: reader.field(Tag::RESULT_MESSAGE)?,
            asynchronous_correlation_value: reader.field(Tag::ASYNCHRONOUS_CORRELATION_VALUE)?,
            payload: reader.take(Tag::RESPONSE_PAYLOAD)?,
            extensions: reader.field(Tag::MESSAGE_EXTENSION)?,
        };
        reader.finish()?;
        Ok(read)
    }
}

/// The outcome of one item, as a server writes it.
#[derive(Debug)]
pub struct Outcome {
    /// What was asked.
    pub operation: Option<Operation>,
    /// What the client called the item.
    pub unique_batch_item_id: Option<Bytes>,
    /// How it went.
    pub result_status: ResultStatus,
    /// Why it failed.
    pub result_reason: Option<ResultReason>,
    /// Why it failed, in words.
    pub result_message: Option<String>,
    /// By what to ask for the outcome of a pending item.
    pub asynchronous_correlation_value: Option<Bytes>,
    /// The Response Payload, encoded.
    pub payload: Option<Secret>,
}

/// Writes a response. The header's Batch Count is set to the number of outcomes.
#[must_use]
pub fn write_response(mut header: ResponseHeader, outcomes: &[Outcome]) -> Secret {
    header.batch_count = i32::try_from(outcomes.len()).unwrap_or(i32::MAX);
    let mut writer = Writer::new(header.protocol_version);
    writer.structure(Tag::RESPONSE_MESSAGE, |writer| {
        writer.field(Tag::RESPONSE_HEADER, &header);
        for outcome in outcomes {
            writer.structure(Tag::BATCH_ITEM, |writer| {
                writer.field(Tag::OPERATION, &outcome.operation);
                writer.field(Tag::UNIQUE_BATCH_ITEM_ID, &outcome.unique_batch_item_id);
                writer.field(Tag::RESULT_STATUS, &outcome.result_status);
                writer.field(Tag::RESULT_REASON, &outcome.result_reason);
                writer.field(Tag::RESULT_MESSAGE, &outcome.result_message);
                writer.field(Tag::ASYNCHRONOUS_CORRELATION_VALUE, &outcome.asynchronous_correlation_value);
                if let Some(payload) = &outcome.payload {
                    writer.raw(payload.expose());
                }
            });
        }
    });
    Secret::new(writer.into_bytes())
}
