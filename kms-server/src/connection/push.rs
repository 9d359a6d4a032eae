//! A connection whose sides have changed: the server asks, Notify and Put, and the client answers.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use kms_protocol::enums::{EndpointRole, Operation, QueryFunction, ResultStatus};
use kms_protocol::frame;
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage, operations};
use kms_protocol::operation::{DiscoverVersionsRequest, QueryRequest, SetEndpointRoleResponse};
use kms_protocol::ttlv::Value as _;
use kms_protocol::{Secret, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::{End, Shared};
use crate::kms::{Caller, Event, Kms, Telling, Work};
use crate::limits;
use crate::shutdown::Stop;

/// A request has made the server the client (KMIP 2.1 section 6.1.54).
#[derive(Debug)]
pub(super) struct Turned {
    /// The version to ask in from now on.
    version: Version,
    /// The number of the last event before.
    after: u64,
}

impl Turned {
    /// Whether the sides change once this answer is sent.
    pub(super) fn by(request: &[u8], response: &[u8], shared: &Shared) -> Option<Self> {
        if !operations(request).any(|operation| operation == Operation::SetEndpointRole) {
            return None;
        }
        let answer = ResponseMessage::read(response).ok()?;
        let mut set = answer.items.iter().filter(|item| {
            item.operation == Some(Operation::SetEndpointRole) && item.result_status == ResultStatus::Success
        });
        let role = SetEndpointRoleResponse::read(set.next_back()?.payload.clone()?).ok()?.endpoint_role;
        let after = shared.service.trail()?.last();
        (role == EndpointRole::Client).then_some(Self { version: answer.header.protocol_version, after })
    }

    /// What tells `caller` from now on.
    pub(super) fn push(self, kms: Arc<Kms>, caller: &Caller) -> Push {
        let (principal, serial) = (caller.principal.clone(), caller.serial.clone());
        Push { kms, principal, serial, version: self.version, after: self.after }
    }
}

/// Who is told, and how far.
pub(crate) struct Push {
    pub kms: Arc<Kms>,
    pub principal: String,
    /// The serial number of the certificate that proved it.
    pub serial: Vec<u8>,
    pub version: Version,
    /// The number of the last event that was told or is none of theirs.
    pub after: u64,
}

impl Push {
    /// Tells what happens until one side ends it.
    pub async fn serve<S>(&mut self, stream: &mut S, shared: &Shared, stop: &mut Stop) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut news = self.kms.trail().follow();
        loop {
            if let Err(end) = self.tell_all(stream, shared, stop).await {
                return end;
            }
            let mut byte = [0];
            tokio::select! {
                () = stop.requested() => return End::Stopped,
                // An error means that the log has ended, and the server with it.
                changed = news.changed() => if changed.is_err() { return End::Stopped },
                read = stream.read(&mut byte) => return match read {
                    Ok(0) => End::Closed,
                    Ok(_) => End::Unasked,
                    Err(error) => End::Broken(error),
                },
                () = sleep(limits::TOLD_PROBE) => {
                    let probe = self.probe();
                    if let Err(end) = exchange(stream, &probe, stop).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Tells what has happened since the last time.
    async fn tell_all<S>(&mut self, stream: &mut S, shared: &Shared, stop: &mut Stop) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let (kms, after) = (Arc::clone(&self.kms), self.after);
            let found = shared.workers.run(Work::Blocking, move || kms.trail().events(after)).await??;
            if found.next == after {
                return Ok(());
            }
            for told in found.events {
                if self.kms.may_concern(&told.event, &self.principal) {
                    self.tell(told.event, stream, shared, stop).await?;
                }
                self.after = told.n;
            }
            self.after = found.next;
        }
    }

    async fn tell<S>(&self, event: Event, stream: &mut S, shared: &Shared, stop: &mut Stop) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(mock) = &shared.mock {
            tokio::select! {
                () = stop.requested() => return Err(End::Stopped),
                () = mock.running() => {}
            }
        }
        if shared.is_revoked(&self.serial) {
            return Err(End::Revoked);
        }
        let now = shared.clock.now();
        let (kms, principal, version) = (Arc::clone(&self.kms), self.principal.clone(), self.version);
        let made = move || kms.tell(&event, &principal, version, now);
        let telling: Telling = match shared.workers.run(Work::Blocking, made).await? {
            Ok(Some(telling)) => telling,
            Ok(None) => return Ok(()),
            Err(refusal) => {
                tracing::error!(why = %refusal.message, "a client is not told of something");
                return Ok(());
            }
        };
        let answer = exchange(stream, telling.message.expose(), stop).await;
        let refused = match &answer {
            Ok(answer) => refused(answer)?,
            Err(end) => Some(end.to_string()),
        };
        if let Some(why) = &refused {
            tracing::warn!(principal = self.principal, why, "a client did not take what it was told");
        }
        self.kms.note_told(&telling, &self.principal, now, refused.as_deref());
        answer.map(drop)
    }

    /// Asks something that changes nothing, to find out whether the client is still there.
    fn probe(&self) -> Vec<u8> {
        let mut request = RequestBuilder::new(RequestHeader::new(self.version));
        if self.version >= Version::V1_1 {
            request.push(&DiscoverVersionsRequest::default(), None);
        } else {
            request.push(&QueryRequest::from(vec![QueryFunction::QueryOperations]), None);
        }
        request.finish().expose().to_vec()
    }
}

/// Sends a request and waits for the answer.
async fn exchange<S>(stream: &mut S, request: &[u8], stop: &mut Stop) -> Result<Secret, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let both = async {
        stream.write_all(request).await?;
        stream.flush().await?;
        let mut answer = BytesMut::with_capacity(limits::READ);
        loop {
            match frame::message_length(&answer, limits::TOLD_ANSWER)? {
                Some(length) if length == answer.len() => return Ok(Secret::new(answer.to_vec())),
                Some(length) if length < answer.len() => return Err(End::Unasked),
                _ if stream.read_buf(&mut answer).await? == 0 => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                _ => {}
            }
        }
    };
    tokio::select! {
        () = stop.requested() => Err(End::Stopped),
        done = timeout(limits::TOLD, both) => done.unwrap_or(Err(End::NoAnswer)),
    }
}

/// What a client says against what it was told.
fn refused(answer: &Secret) -> Result<Option<String>, End> {
    let answer = ResponseMessage::read(answer.expose()).map_err(|error| End::BadAnswer(error.to_string()))?;
    let failed = answer.items.into_iter().find(|item| item.result_status != ResultStatus::Success);
    Ok(failed
        .map(|item| item.result_reason.map_or_else(|| item.result_status.to_string(), |why| why.to_string())))
}
