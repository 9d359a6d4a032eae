//! One connection: bytes to whole requests, each answered in order.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use kms_protocol::Secret;
use kms_protocol::frame::{self, FrameError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock::Clock;
use crate::kms::{Caller, Work};
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
    let _ = timeout(limits::CLOSE, stream.shutdown()).await;
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
    let mut deadline = Instant::now() + limits::IDLE;
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
                    Err(_) if was_empty => return Err(End::Idle),
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
        let response = answer(&mut buffer, message, caller, shared).await?;
        match timeout(limits::WRITE, write(stream, response.expose())).await {
            Ok(written) => written?,
            Err(_) => return Err(End::NotReading),
        }
        let wait = if buffer.is_empty() { limits::IDLE } else { limits::MESSAGE_TIME };
        deadline = Instant::now() + wait;
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
