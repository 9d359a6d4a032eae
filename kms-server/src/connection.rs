//! One connection: bytes to whole requests, each answered in order.

use core::time::Duration;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use kms_protocol::Secret;
use kms_protocol::frame::{self, FrameError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock::Clock;
use crate::kms::{self, Caller, Reason, Refusal, Work};
use crate::limits;
use crate::service::Service;
use crate::shutdown::Stop;
use crate::workers::{Panicked, Workers};

/// What every connection of a server shares.
pub struct Shared {
    /// Answers the requests.
    pub service: Arc<dyn Service>,
    /// Says when.
    pub clock: Arc<Clock>,
    /// Work that may take long.
    pub workers: Workers,
}

/// What becomes of a connection over which nothing is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Idle {
    /// After how long.
    pub after: Duration,
    /// And what.
    pub then: Then,
}

/// How a server treats a connection that was idle for too long. All but the first is what other servers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// It says goodbye and closes it.
    Closed,
    /// It drops it without a word: the client finds out at its next request.
    Dropped,
    /// It keeps it and refuses everything from then on.
    Revoked,
}

impl Default for Idle {
    fn default() -> Self {
        Self { after: limits::IDLE, then: Then::Closed }
    }
}

/// What happens between the requests of one connection.
struct Rest {
    idle: Idle,
    since: Instant,
    is_revoked: bool,
}

impl Rest {
    fn new(idle: Idle) -> Self {
        Self { idle, since: Instant::now(), is_revoked: false }
    }

    /// When the connection ends if nothing is asked until then.
    fn deadline(&self) -> Instant {
        match self.idle.then {
            Then::Closed | Then::Dropped => Instant::now() + self.idle.after,
            Then::Revoked => Instant::now() + self.idle.after + limits::IDLE,
        }
    }

    fn end(&self) -> End {
        match self.idle.then {
            Then::Closed | Then::Revoked => End::Idle,
            Then::Dropped => End::Dropped(self.idle.after),
        }
    }

    /// Why the next request is refused, where it is. The words are Thales CipherTrust Manager's.
    fn refusal(&mut self) -> Option<Refusal> {
        let too_late = self.idle.then == Then::Revoked && self.since.elapsed() >= self.idle.after;
        let text = match (self.is_revoked, too_late) {
            (true, _) => "[NCERRUnauthorizedAccess]: Invalid token",
            (false, true) => "[NCERRUnauthorizedAccess]: Token has been revoked",
            (false, false) => return None,
        };
        self.is_revoked = true;
        Some(Refusal::new(Reason::Unavailable, text))
    }
}

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The peer closed it between two messages.
    #[error("the peer closed the connection")]
    Closed,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopped,
    /// Nothing came for [`limits::IDLE`].
    #[error("nothing was asked for {:?}", limits::IDLE)]
    Idle,
    /// Nothing came for so long, and the persona says nothing then.
    #[error("nothing was asked for {0:?}: dropped without a word, as the persona does")]
    Dropped(Duration),
    /// What came is no KMIP, or too long.
    #[error(transparent)]
    NotKmip(#[from] FrameError),
    /// A message was begun and not finished within [`limits::MESSAGE_TIME`].
    #[error("a message was begun and not finished within {:?}", limits::MESSAGE_TIME)]
    TooSlow,
    /// The peer did not take a response within [`limits::WRITE`].
    #[error("the peer did not read a response within {:?}", limits::WRITE)]
    NotReading,
    /// The peer closed it in the middle of a message, or the network failed.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// A defect of the server; the request was not answered.
    #[error("a request was not answered because of a defect in this server")]
    Defect(#[from] Panicked),
}

/// Serves the requests of `caller` that come through `stream` until one side ends it, then closes the stream.
///
/// Requests may be pipelined; they are answered in order. After a message that cannot be cut out of the stream nothing
/// that follows can be trusted, so the connection ends.
pub async fn serve<S>(mut stream: S, caller: Caller, shared: &Shared, stop: Stop) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let caller = Arc::new(caller);
    let end = match exchange(&mut stream, &caller, shared, stop).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    // close_notify: the peer can tell the end from a cut line. Whether it arrives changes nothing here.
    if !matches!(end, End::Dropped(_)) {
        let _ = timeout(limits::CLOSE, stream.shutdown()).await;
    }
    end
}

async fn exchange<S>(
    stream: &mut S,
    caller: &Arc<Caller>,
    shared: &Shared,
    mut stop: Stop,
) -> Result<core::convert::Infallible, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stopping = pin!(async move { stop.requested().await });
    let mut buffer = BytesMut::with_capacity(limits::READ);
    let mut rest = Rest::new(shared.service.idle());
    let mut deadline = rest.deadline();
    loop {
        let message = match frame::message_length(&buffer, limits::MESSAGE)? {
            Some(length) if length <= buffer.len() => length,
            _ => {
                let was_empty = buffer.is_empty();
                let read = timeout_at(deadline, stream.read_buf(&mut buffer));
                let read = tokio::select! {
                    biased;
                    () = &mut stopping, if was_empty => return Err(End::Stopped),
                    read = read => read,
                };
                match read {
                    Err(_) if was_empty => return Err(rest.end()),
                    Err(_) => return Err(End::TooSlow),
                    Ok(Ok(0)) if was_empty => return Err(End::Closed),
                    Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    Ok(Ok(_)) if was_empty => deadline = Instant::now() + limits::MESSAGE_TIME,
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(error.into()),
                }
                continue;
            }
        };
        let response = match rest.refusal() {
            None => answer(&mut buffer, message, caller, shared).await?,
            Some(refusal) => {
                let request = buffer.split_to(message);
                kms::refuse_all(&request, &refusal, shared.clock.now())
            }
        };
        match timeout(limits::WRITE, write(stream, response.expose())).await {
            Ok(written) => written?,
            Err(_) => return Err(End::NotReading),
        }
        rest.since = Instant::now();
        deadline = if buffer.is_empty() { rest.deadline() } else { rest.since + limits::MESSAGE_TIME };
        make_room(&mut buffer);
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, response: &[u8]) -> io::Result<()> {
    stream.write_all(response).await?;
    stream.flush().await
}

/// Answers the message in the first `length` bytes of `buffer` and removes it.
async fn answer(
    buffer: &mut BytesMut,
    length: usize,
    caller: &Arc<Caller>,
    shared: &Shared,
) -> Result<Secret, Panicked> {
    let now = shared.clock.now();
    let request = buffer.get(..length).unwrap_or_default();
    let work = shared.service.work(request);
    if work == Work::Inline {
        let response = shared.service.handle(request, caller, now);
        buffer.advance(length);
        return Ok(response);
    }
    let request = buffer.split_to(length).freeze();
    let (service, caller) = (Arc::clone(&shared.service), Arc::clone(caller));
    shared.workers.run(work, move || service.handle(&request, &caller, now)).await
}

fn make_room(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > limits::READ_KEPT {
        *buffer = BytesMut::with_capacity(limits::READ);
    }
    buffer.reserve(limits::READ);
}
