//! One connection: bytes to whole requests, each answered in order.

mod faulty;
mod https;
mod push;

use core::convert::Infallible;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use kms_protocol::Secret;
use kms_protocol::frame::{self, FrameError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock::Clock;
use crate::faults::Ending;
use crate::kms::{self, Caller, Reason, Refusal, Work};
use crate::limits;
use crate::mock::{self, Mock};
use crate::revocation::Revocations;
use crate::service::Service;
use crate::shutdown::Stop;
use crate::workers::{Panicked, Workers};

pub use https::serve as serve_https;
pub(crate) use push::Push;
use push::Turned;

/// What every connection of a server shares.
pub struct Shared {
    /// Answers the requests.
    pub service: Arc<dyn Service>,
    /// Says when.
    pub clock: Arc<Clock>,
    /// Work that may take long.
    pub workers: Workers,
    /// Which certificates are revoked, where that is asked.
    pub revocations: Option<Arc<Revocations>>,
    /// Faults and journal of a development server; a production server has none.
    pub mock: Option<Arc<Mock>>,
}

impl Shared {
    /// Whether the certificate that proved a peer is no longer good.
    fn is_revoked(&self, serial: &[u8]) -> bool {
        self.revocations.as_ref().is_some_and(|list| list.has(serial))
    }
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
    /// What came on the HTTPS port is no HTTP.
    #[error("what came is no HTTP: {0}")]
    NotHttp(String),
    /// A message was begun and not finished within [`limits::MESSAGE_TIME`].
    #[error("a message was begun and not finished within {:?}", limits::MESSAGE_TIME)]
    TooSlow,
    /// The peer did not take a response within [`limits::WRITE`].
    #[error("the peer did not read a response within {:?}", limits::WRITE)]
    NotReading,
    /// The peer closed it in the middle of a message, or the network failed.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The client, asked by the server, did not answer within [`limits::TOLD`].
    #[error("the client did not answer what it was told within {:?}", limits::TOLD)]
    NoAnswer,
    /// The client, asked by the server, answered nonsense.
    #[error("the client answered what it was told with nonsense: {0}")]
    BadAnswer(String),
    /// The client, which has made itself the server, sent something of its own accord.
    #[error("the client has become the server here, and sent what nobody had asked for")]
    Unasked,
    /// A client that waits to be told cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreached(String),
    /// The certificate that the peer once showed is no longer good.
    #[error("the client's certificate was revoked meanwhile")]
    Revoked,
    /// Something was armed to end it so.
    #[error("a fault was armed: {0:?}")]
    Fault(Ending),
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
    let rest = Rest::new(shared.service.idle());
    let line = Line {
        stream: &mut stream,
        buffer: BytesMut::with_capacity(limits::READ),
        caller: Arc::new(caller),
        shared,
        deadline: rest.deadline(),
        rest,
        changes: shared.mock.as_ref().map(|mock| mock.faults.changes()),
        stop,
    };
    let end = match line.serve().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    // close_notify: the peer can tell the end from a cut line. Whether it arrives changes nothing here.
    if !matches!(end, End::Dropped(_) | End::Fault(_)) {
        let _ = timeout(limits::CLOSE, stream.shutdown()).await;
    }
    end
}

/// A connection under way.
struct Line<'a, S> {
    stream: &'a mut S,
    /// What came and is not answered yet.
    buffer: BytesMut,
    caller: Arc<Caller>,
    shared: &'a Shared,
    rest: Rest,
    /// When it ends, unless something comes.
    deadline: Instant,
    /// Tells of faults that are armed and disarmed.
    changes: Option<watch::Receiver<()>>,
    stop: Stop,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<'_, S> {
    async fn serve(mut self) -> Result<Infallible, End> {
        let shared = self.shared;
        loop {
            let length = self.message().await?;
            if shared.is_revoked(&self.caller.serial) {
                return Err(End::Revoked);
            }
            let turned = match (self.rest.refusal(), &shared.mock) {
                (Some(refusal), _) => {
                    let request = self.buffer.split_to(length);
                    let response = kms::refuse_all(&request, &refusal, shared.clock.now());
                    self.send(response.expose()).await?;
                    None
                }
                (None, None) => {
                    let (response, turned) = answer(&mut self.buffer, length, &self.caller, shared).await?;
                    self.send(response.expose()).await?;
                    turned
                }
                (None, Some(mock)) => {
                    let request = self.buffer.split_to(length).freeze();
                    self.exchange_faulty(mock, request).await?
                }
            };
            if let Some(turned) = turned
                && let Some(kms) = Arc::clone(&shared.service).kms()
            {
                if !self.buffer.is_empty() {
                    return Err(End::Unasked);
                }
                let mut push = turned.push(kms, &self.caller);
                return Err(push.serve(self.stream, shared, &mut self.stop).await);
            }
            self.rest.since = Instant::now();
            self.deadline = if self.buffer.is_empty() {
                self.rest.deadline()
            } else {
                self.rest.since + limits::MESSAGE_TIME
            };
            make_room(&mut self.buffer);
        }
    }

    /// Waits until a whole message is there, and says how long it is.
    async fn message(&mut self) -> Result<usize, End> {
        loop {
            match frame::message_length(&self.buffer, limits::MESSAGE)? {
                Some(length) if length <= self.buffer.len() => return Ok(length),
                _ => self.read().await?,
            }
        }
    }

    /// Waits for something to read, or for a change of what may go wrong.
    async fn read(&mut self) -> Result<(), End> {
        let was_empty = self.buffer.is_empty();
        let fault = self.rest_by_fault().filter(|_| was_empty);
        let deadline = fault.map_or(self.deadline, |fault| fault.min(self.deadline));
        let read = timeout_at(deadline, self.stream.read_buf(&mut self.buffer));
        let read = tokio::select! {
            biased;
            () = self.stop.requested(), if was_empty => return Err(End::Stopped),
            () = changed(&mut self.changes), if was_empty => return Ok(()),
            read = read => read,
        };
        match read {
            Err(_) if was_empty => Err(self.rested(fault)),
            Err(_) => Err(End::TooSlow),
            Ok(Ok(0)) if was_empty => Err(End::Closed),
            Ok(Ok(0)) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(Ok(_)) if was_empty => self.begun().await,
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// The first bytes of a request are there.
    async fn begun(&mut self) -> Result<(), End> {
        self.deadline = Instant::now() + limits::MESSAGE_TIME;
        let shared = self.shared;
        let Some(mock) = &shared.mock else { return Ok(()) };
        let Some((ending, fired)) = mock.faults.at_first_byte(&self.caller.principal) else { return Ok(()) };
        mock.note_fault(fired.clone(), mock::met(&self.caller, shared.clock.now()));
        Err(self.end(mock, ending, &[fired]).await)
    }

    /// When a fault ends the connection, if nothing is asked until then.
    fn rest_by_fault(&self) -> Option<Instant> {
        let after = self.shared.mock.as_ref()?.faults.rest(&self.caller.principal)?;
        Some(self.rest.since + after)
    }

    /// How it ends, now that nothing was asked for as long as it may.
    fn rested(&self, fault: Option<Instant>) -> End {
        let due = fault.is_some_and(|fault| fault <= Instant::now());
        let fired = self.shared.mock.as_ref().filter(|_| due).and_then(|mock| {
            let fired = mock.faults.ends_rest(&self.caller.principal)?;
            mock.note_fault(fired, mock::met(&self.caller, self.shared.clock.now()));
            Some(End::Fault(Ending::Closes))
        });
        fired.unwrap_or_else(|| self.rest.end())
    }
}

/// Waits for the next change of what may go wrong; without end where nothing may.
async fn changed(changes: &mut Option<watch::Receiver<()>>) {
    match changes {
        // An error means that the mock is gone, and with it this connection's server.
        Some(changes) => drop(changes.changed().await),
        None => core::future::pending().await,
    }
}

/// Answers the message in the first `length` bytes of `buffer` and removes it; and whether the sides change then.
async fn answer(
    buffer: &mut BytesMut,
    length: usize,
    caller: &Arc<Caller>,
    shared: &Shared,
) -> Result<(Secret, Option<Turned>), Panicked> {
    let now = shared.clock.now();
    let request = buffer.get(..length).unwrap_or_default();
    let work = shared.service.work(request);
    if work == Work::Inline {
        let response = shared.service.handle(request, caller, now);
        buffer.advance(length);
        return Ok((response, None));
    }
    let request = buffer.split_to(length).freeze();
    let (service, caller) = (Arc::clone(&shared.service), Arc::clone(caller));
    let asked = request.clone();
    let response = shared.workers.run(work, move || service.handle(&request, &caller, now)).await?;
    let turned = Turned::by(&asked, response.expose(), shared);
    Ok((response, turned))
}

fn make_room(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > limits::READ_KEPT {
        *buffer = BytesMut::with_capacity(limits::READ);
    }
    buffer.reserve(limits::READ);
}
