//! What the server tells of its own accord: Notify and Put, over a connection on which it has become the client
//! (KMIP 2.1 sections 6.1.54 and 6.2).

use core::fmt;

use kms_protocol::attribute::{Attribute, AttributeReference};
use kms_protocol::enums::{EndpointRole, Operation, QueryFunction, ResultReason, ResultStatus};
use kms_protocol::error::DecodeError;
use kms_protocol::message::{Outcome, RequestItem, RequestMessage, ResponseHeader, write_response};
use kms_protocol::object::ManagedObject;
use kms_protocol::operation::{
    DiscoverVersionsRequest, DiscoverVersionsResponse, NotifyRequest, PutRequest, QueryRequest,
    QueryResponse, SetEndpointRoleRequest,
};
use kms_protocol::ttlv::{Value, Writer};
use kms_protocol::{DateTime, Secret, Tag, Version};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::connection::Connection;
use crate::error::{Error, shown};
use crate::health::jittered;
use crate::limits;
use crate::message::{Answer, EncodedItem, encode, read_answer, read_payload};
use crate::tls::BoxedStream;

/// What a server tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notification {
    /// From now on this server tells. What happened before, it does not: look at the keys that are known, with
    /// [`Client::rotation_info`]. This comes first, and again whenever the connection had to be made anew.
    Listening {
        /// The server, as it was given.
        server: String,
    },
    /// Attributes of an object changed (Notify).
    Changed {
        /// Its Unique Identifier.
        id: String,
        /// Those that changed; all of a new object. Those that this crate does not know are left out.
        attributes: Vec<Attribute>,
        /// Those that are gone.
        deleted: Vec<AttributeReference>,
    },
    /// An object, handed over (Put).
    Put {
        /// Its Unique Identifier.
        id: String,
        /// The object that it stands in the place of.
        replaces: Option<String>,
        /// The object itself.
        object: Box<ManagedObject>,
        /// Attributes that came with it.
        attributes: Vec<Attribute>,
    },
}

/// Notifications as they come. Dropping it ends the connection.
pub struct Notifications {
    waiting: mpsc::Receiver<Result<Notification, Error>>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Notifications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifications").finish_non_exhaustive()
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Notifications {
    /// Waits for the next. May be dropped half way without a loss, as in `select!`.
    ///
    /// A server that is away is waited for, and every other server of the client asked meanwhile.
    ///
    /// # Errors
    /// When no server will tell: it speaks no KMIP 2.x, or refuses Set Endpoint Role, or this client. There is no next then.
    pub async fn next(&mut self) -> Result<Notification, Error> {
        let ended = || Err(Error::protocol("it told that it tells nothing, and nothing more comes"));
        self.waiting.recv().await.unwrap_or_else(ended)
    }
}

impl Client {
    /// What happens to this client's objects, as it happens: a rotation is known at once instead of when it is asked for.
    ///
    /// Over a connection of its own, in KMIP 2.1 or 2.0 whatever version the client uses otherwise. The server hands over
    /// public keys and certificates and announces all else. A notification is answered when it is in the queue; one that was
    /// answered and never taken is lost with the process, so begin with [`Client::rotation_info`] after
    /// [`Notification::Listening`].
    ///
    /// ```no_run
    /// # async fn example(client: kms_client::Client) -> Result<(), kms_client::Error> {
    /// use kms_client::Notification;
    ///
    /// let mut notifications = client.notifications();
    /// loop {
    ///     match notifications.next().await? {
    ///         Notification::Listening { .. } => { /* look at all keys once: client.rotation_info(…) */ }
    ///         Notification::Put { id, replaces: Some(old), .. } => println!("{id} stands in the place of {old}"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime, on which it works.
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        let (sender, waiting) = mpsc::channel(limits::TOLD_WAITING);
        let task = tokio::spawn(tell(self.clone(), sender));
        Notifications { waiting, task }
    }
}

/// Passes on what servers tell until nobody listens or none will.
async fn tell(client: Client, sender: mpsc::Sender<Result<Notification, Error>>) {
    let mut pause = limits::ROUND;
    loop {
        let error = match Told::begin(&client).await {
            Ok(mut told) => {
                pause = limits::ROUND;
                match told.pass_on(&sender).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) if error.is_retryable() => error,
            Err(error) => return drop(sender.send(Err(error)).await),
        };
        tracing::warn!(%error, "the server that told what happens is gone; one is asked anew");
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(limits::ROUND_MOST);
    }
}

/// A connection over which a server tells.
struct Told {
    connection: Connection<BoxedStream>,
    version: Version,
}

impl Told {
    /// Has a server change sides.
    async fn begin(client: &Client) -> Result<Self, Error> {
        let mut connection = client.inner.endpoints.connect_any().await?;
        match turn(client, &mut connection, Version::V2_1).await {
            Ok(()) => Ok(Self { connection, version: Version::V2_1 }),
            // The version or the operation is not known there: an older one may be.
            Err(error) if error.reason().is_some() => {
                turn(client, &mut connection, Version::V2_0).await?;
                Ok(Self { connection, version: Version::V2_0 })
            }
            Err(error) => Err(error),
        }
    }

    /// Passes on what comes, until nobody listens.
    async fn pass_on(&mut self, sender: &mpsc::Sender<Result<Notification, Error>>) -> Result<(), Error> {
        let listening = Notification::Listening { server: self.connection.address().to_owned() };
        if sender.send(Ok(listening)).await.is_err() {
            return Ok(());
        }
        loop {
            let request = self.connection.receive(Instant::now() + limits::TOLD_SILENCE).await?;
            let (answer, told) = answer(&request, self.version)?;
            for notification in told {
                if sender.send(Ok(notification)).await.is_err() {
                    return Ok(());
                }
            }
            self.connection.reply(answer.expose(), Instant::now() + limits::CONNECT).await?;
        }
    }
}

/// Asks the server to become the client on this connection.
async fn turn(
    client: &Client,
    connection: &mut Connection<BoxedStream>,
    version: Version,
) -> Result<(), Error> {
    let request = SetEndpointRoleRequest { endpoint_role: EndpointRole::Client };
    let item = EncodedItem::new(&request, client.inner.ids(1), version);
    let message = encode([&item].into_iter(), client.inner.authentication.as_ref(), version);
    let answer = connection.exchange(message.expose(), Instant::now() + limits::CONNECT).await?;
    let answered = match read_answer(answer.expose(), &[&item], version)? {
        Answer::Whole(refusal) => return Err(Error::refused(*refusal)),
        Answer::Each(answers) => answers.into_iter().next().flatten(),
    };
    let answered = answered.ok_or_else(|| Error::protocol("it answered nothing"))?;
    let role = read_payload::<SetEndpointRoleRequest>(answered, &item, version)?.endpoint_role;
    if role != EndpointRole::Client {
        return Err(Error::protocol(format!("asked to become the client, it became {role}")));
    }
    Ok(())
}

/// The answer to what a server asks, and what it tells by that.
fn answer(request: &Secret, version: Version) -> Result<(Secret, Vec<Notification>), Error> {
    let message = RequestMessage::read(request.expose())
        .map_err(|error| Error::protocol(format!("in what it told: {error}")))?;
    let mut told = Vec::new();
    let mut outcomes = Vec::with_capacity(message.items.len());
    for item in &message.items {
        let result = take(item, version, &mut told);
        let (result_status, refused, payload) = match result {
            Ok(payload) => (ResultStatus::Success, None, payload),
            Err(refused) => (ResultStatus::OperationFailed, Some(refused), None),
        };
        let (result_reason, result_message) = refused.unzip();
        outcomes.push(Outcome {
            operation: Some(item.operation),
            unique_batch_item_id: item.unique_batch_item_id.clone(),
            result_status,
            result_reason,
            result_message,
            asynchronous_correlation_value: None,
            payload,
        });
    }
    // The server's own time comes back to it: this side's clock is none of its business.
    let header = ResponseHeader::new(version, message.header.time_stamp.unwrap_or(DateTime(0)));
    Ok((write_response(header, &outcomes), told))
}

type Taken = Result<Option<Secret>, (ResultReason, String)>;

fn take(item: &RequestItem<'_>, version: Version, told: &mut Vec<Notification>) -> Taken {
    let unreadable = |error: DecodeError| (ResultReason::InvalidMessage, shown(&error.to_string()));
    match item.operation {
        Operation::Notify => {
            let NotifyRequest { unique_identifier, attributes, deleted } =
                NotifyRequest::read(item.payload.clone()).map_err(unreadable)?;
            told.push(Notification::Changed {
                id: unique_identifier,
                attributes: attributes.0,
                deleted: deleted.0,
            });
            Ok(None)
        }
        Operation::Put => {
            let request = PutRequest::read(item.payload.clone()).map_err(unreadable)?;
            told.push(Notification::Put {
                id: request.unique_identifier,
                replaces: request.replaced_unique_identifier,
                object: Box::new(request.object),
                attributes: request.attributes.0,
            });
            Ok(None)
        }
        Operation::DiscoverVersions => {
            let asked = DiscoverVersionsRequest::read(item.payload.clone()).map_err(unreadable)?.versions;
            let versions = [Version::V2_1, Version::V2_0].into_iter();
            let versions = versions.filter(|one| asked.is_empty() || asked.contains(one)).collect();
            Ok(Some(payload(&DiscoverVersionsResponse { versions }, version)))
        }
        Operation::Query => {
            let asked = QueryRequest::read(item.payload.clone()).map_err(unreadable)?.query_functions;
            let mut response = QueryResponse::default();
            if asked.contains(&QueryFunction::QueryOperations) {
                response.operations =
                    vec![Operation::Query, Operation::DiscoverVersions, Operation::Notify, Operation::Put];
            }
            Ok(Some(payload(&response, version)))
        }
        other => Err((ResultReason::OperationNotSupported, format!("this client does not do {other}"))),
    }
}

fn payload(value: &impl Value, version: Version) -> Secret {
    let mut writer = Writer::new(version);
    value.write(&mut writer, Tag::RESPONSE_PAYLOAD);
    Secret::new(writer.into_bytes())
}
