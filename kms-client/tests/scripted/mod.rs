//! A KMIP server that answers as a test tells it, joined to the client in memory.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod keys;
pub mod model;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kms_client::{BoxedStream, Builder, Client, Connect, Error};
use kms_protocol::enums::{Operation, ResultReason, ResultStatus};
use kms_protocol::message::{
    Outcome, RequestItem, RequestMessage, ResponseHeader, ResponseItem, ResponseMessage, write_response,
};
use kms_protocol::operation::{DiscoverVersionsResponse, Request};
use kms_protocol::ttlv::{Value, Writer};
use kms_protocol::{DateTime, Secret, Tag, Version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What becomes of the server's end of the client's n-th connection.
pub type Serve = Arc<dyn Fn(usize, DuplexStream) -> Serving + Send + Sync>;

/// A way to a server in memory.
pub struct InMemory {
    serve: Serve,
    pub connections: Arc<AtomicUsize>,
}

impl InMemory {
    pub fn new<F>(serve: impl Fn(usize, DuplexStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let serve: Serve = Arc::new(move |nth, stream| Box::pin(serve(nth, stream)));
        Self { serve, connections: Arc::default() }
    }

    /// A server that answers every item by `reply`, for as long as the client asks.
    pub fn replying(reply: impl Fn(&Ask<'_>) -> Reply + Send + Sync + 'static) -> Self {
        let reply = Arc::new(reply);
        Self::new(move |_, mut stream| {
            let reply = Arc::clone(&reply);
            async move {
                while let Some(request) = read_message(&mut stream).await {
                    let answer = answer(&request, &*reply);
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
    }

    pub fn builder(self) -> Builder {
        Client::builder_over(Box::new(self))
    }

    pub fn client(self) -> Client {
        self.builder().build().expect("settings without TLS")
    }
}

impl Connect for InMemory {
    fn address(&self) -> &str {
        "memory"
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<BoxedStream, Error>> + Send + '_>> {
        let nth = self.connections.fetch_add(1, Ordering::SeqCst);
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn((self.serve)(nth, theirs));
        Box::pin(async move { Ok(Box::new(ours) as BoxedStream) })
    }
}

/// A server that cannot be connected to.
pub struct Unreachable;

impl Unreachable {
    /// A client whose first server cannot be connected to.
    pub fn with(other: InMemory) -> Client {
        let builder = Client::builder_over(Box::new(Self)).over(Box::new(other));
        builder.build().expect("settings without TLS")
    }
}

impl Connect for Unreachable {
    fn address(&self) -> &str {
        "unreachable"
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<BoxedStream, Error>> + Send + '_>> {
        Box::pin(async {
            Err(Error::Connect {
                address: "unreachable".to_owned(),
                kind: std::io::ErrorKind::ConnectionRefused,
                reason: "refused".to_owned(),
            })
        })
    }
}

/// One item of a request.
pub struct Ask<'a> {
    pub version: Version,
    pub item: RequestItem<'a>,
    /// How many items the message holds.
    pub of: usize,
}

impl Ask<'_> {
    pub fn operation(&self) -> Operation {
        self.item.operation
    }

    pub fn read<R: Request>(&self) -> R {
        R::read(self.item.payload.clone()).expect("a well-formed request")
    }
}

/// What an item is answered with.
pub enum Reply {
    Success(Secret),
    No(ResultReason),
    /// The message as a whole is refused, in place of all answers.
    WholeNo(ResultReason),
}

/// Success with this payload, in the version asked.
pub fn yes<T: Value>(ask: &Ask<'_>, payload: &T) -> Reply {
    let mut writer = Writer::new(ask.version);
    payload.write(&mut writer, Tag::RESPONSE_PAYLOAD);
    Reply::Success(Secret::new(writer.into_bytes()))
}

/// A Response Payload of these encoded items.
pub fn payload(items: &[u8]) -> Secret {
    let mut writer = Writer::new(Version::V1_4);
    writer.structure(Tag::RESPONSE_PAYLOAD, |writer| writer.raw(items));
    Secret::new(writer.into_bytes())
}

/// The items of a right answer, to be written again in another way.
pub fn outcomes(answer: &[u8]) -> Vec<Outcome> {
    let message = ResponseMessage::read(answer).expect("a response");
    let again = |item: ResponseItem<'_>| Outcome {
        operation: item.operation,
        unique_batch_item_id: item.unique_batch_item_id,
        result_status: item.result_status,
        result_reason: item.result_reason,
        result_message: item.result_message,
        asynchronous_correlation_value: item.asynchronous_correlation_value,
        payload: item.payload.map(|item| payload(item.structure().expect("a structure").rest())),
    };
    message.items.into_iter().map(again).collect()
}

/// Such items as a whole answer of 1.4.
pub fn response(outcomes: &[Outcome]) -> Vec<u8> {
    write_response(ResponseHeader::new(Version::V1_4, DateTime(0)), outcomes).expose().to_vec()
}

/// Answers Discover Versions with these, and everything else by `reply`.
pub fn speaking<F: Fn(&Ask<'_>) -> Reply>(
    versions: &'static [Version],
    reply: F,
) -> impl Fn(&Ask<'_>) -> Reply + use<F> {
    move |ask| match ask.operation() {
        Operation::DiscoverVersions => yes(ask, &DiscoverVersionsResponse { versions: versions.to_vec() }),
        _ => reply(ask),
    }
}

/// The same for a server of 1.4.
pub fn in_1_4<F: Fn(&Ask<'_>) -> Reply>(reply: F) -> impl Fn(&Ask<'_>) -> Reply + use<F> {
    speaking(&[Version::V1_4], reply)
}

/// The whole answer to a request, as a faultless server writes it.
pub fn answer(request: &[u8], reply: &dyn Fn(&Ask<'_>) -> Reply) -> Vec<u8> {
    let message = RequestMessage::read(request).expect("a well-formed request");
    let version = message.header.protocol_version;
    let of = message.items.len();
    let mut outcomes = Vec::new();
    for item in message.items {
        let (operation, id) = (item.operation, item.unique_batch_item_id.clone());
        let mut outcome = Outcome {
            operation: Some(operation),
            unique_batch_item_id: id,
            result_status: ResultStatus::Success,
            result_reason: None,
            result_message: None,
            asynchronous_correlation_value: None,
            payload: None,
        };
        match reply(&Ask { version, item, of }) {
            Reply::Success(payload) => outcome.payload = Some(payload),
            Reply::No(reason) => refuse(&mut outcome, reason),
            Reply::WholeNo(reason) => {
                outcome.operation = None;
                outcome.unique_batch_item_id = None;
                refuse(&mut outcome, reason);
                outcomes = vec![outcome];
                break;
            }
        }
        outcomes.push(outcome);
    }
    let header = ResponseHeader::new(version, DateTime(1_700_000_000));
    write_response(header, &outcomes).expose().to_vec()
}

fn refuse(outcome: &mut Outcome, reason: ResultReason) {
    outcome.result_status = ResultStatus::OperationFailed;
    outcome.result_reason = Some(reason);
    outcome.result_message = Some("as told".to_owned());
}

/// The next whole message, or `None` where the client has closed the connection.
pub async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    bytes.resize(8 + length as usize, 0);
    stream.read_exact(&mut bytes[8..]).await.ok()?;
    Some(bytes)
}

/// Counts what a server is asked.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<(Operation, usize)>>>);

impl Journal {
    pub fn note(&self, ask: &Ask<'_>) {
        self.0.lock().expect("not poisoned").push((ask.operation(), ask.of));
    }

    pub fn count(&self, operation: Operation) -> usize {
        self.0.lock().expect("not poisoned").iter().filter(|(asked, _)| *asked == operation).count()
    }

    /// The sizes of the messages that this operation was asked in, item by item.
    pub fn sizes(&self, operation: Operation) -> Vec<usize> {
        let entries = self.0.lock().expect("not poisoned");
        entries.iter().filter(|(asked, _)| *asked == operation).map(|(_, of)| *of).collect()
    }
}
