//! One connection: whole messages over any stream of bytes, each exchange bounded in time and size.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;

use kms_protocol::Secret;
use kms_protocol::frame::{HEADER, message_length};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use crate::error::{Error, Step};
use crate::https::Https;
use crate::{limits, tls};

/// How long a server that stopped reading is given to say why.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A stream that a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to a KMIP server: one request, one answer, again and again.
///
/// After an exchange that failed, or was dropped before its end, bytes of it may still be on their way: the connection
/// then refuses to be used.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    address: String,
    sound: bool,
    https: Option<Https>,
}

impl<S: Stream> Connection<S> {
    /// A connection over `stream`, which is ready for messages. Errors name `address`.
    pub fn over(stream: S, address: impl Into<String>) -> Self {
        Self { stream, address: address.into(), sound: true, https: None }
    }

    /// The same with messages carried by HTTP, where it is stated how.
    #[must_use]
    pub fn carried(self, https: Option<Https>) -> Self {
        Self { https, ..self }
    }

    /// Sends one message and receives its answer, of at most [`limits::RESPONSE`] bytes.
    ///
    /// # Errors
    /// When it takes until `deadline`, the connection breaks, or the answer is no KMIP message. The connection cannot
    /// be used after that.
    pub async fn exchange(&mut self, request: &[u8], deadline: Instant) -> Result<Secret, Error> {
        if !self.sound {
            return Err(self.lost(Step::Send, "an earlier exchange failed half way"));
        }
        self.sound = false;
        let started = Instant::now();
        let mut step = Step::Send;
        let answer = timeout_at(deadline, self.send_and_receive(request, &mut step)).await;
        match answer {
            Ok(answer) => {
                self.sound = answer.as_ref().is_ok_and(|(_, closes)| !closes);
                answer.map(|(answer, _)| answer)
            }
            Err(_) => {
                let after = deadline.saturating_duration_since(started);
                Err(Error::TimedOut { address: self.address.clone(), step, after })
            }
        }
    }

    /// Whether the connection can take another request: its last exchange went well, and the server has neither closed
    /// it nor sent anything since.
    pub fn is_usable(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        self.sound && matches!(Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer), Poll::Pending)
    }

    /// The answer, and whether the server closes the connection behind it.
    async fn send_and_receive(&mut self, request: &[u8], step: &mut Step) -> Result<(Secret, bool), Error> {
        let https = self.https.take();
        let carried = https.as_ref().map(|https| https.request(request)).transpose()?;
        let request = carried.as_ref().map_or(request, |carried| carried.as_slice());
        if let Err(error) = self.send(request).await {
            return Err(self.last_words(&error).await);
        }
        *step = Step::Answer;
        let Some(https) = https else { return Ok((self.message().await?, false)) };
        let answer = self.http_answer(&https).await;
        self.https = Some(https);
        answer
    }

    async fn http_answer(&mut self, https: &Https) -> Result<(Secret, bool), Error> {
        let mut received = Zeroizing::new(Vec::with_capacity(limits::HTTP_HEAD));
        let head = loop {
            if let Some(head) = https.head(&received)? {
                break head;
            }
            let room = limits::HTTP_HEAD - received.len();
            self.more(&mut received, room).await?;
        };
        let whole = head.length + head.body;
        // It does not grow from here on: what has moved on would stay behind unwiped.
        let begun = core::mem::replace(
            &mut received,
            Zeroizing::new(Vec::with_capacity(whole.max(limits::HTTP_HEAD))),
        );
        received.extend_from_slice(&begun);
        while received.len() < whole {
            let missing = whole - received.len();
            self.more(&mut received, missing).await?;
        }
        if received.len() > whole {
            return Err(Error::protocol("it sent more than it had announced"));
        }
        let message = https.message(&head, received.get(head.length..).unwrap_or_default())?;
        Ok((message, head.closes))
    }

    /// Reads up to so many bytes more. They go where they stay: a buffer of its own would make every call's future that much
    /// larger.
    async fn more(&mut self, received: &mut Zeroizing<Vec<u8>>, most: usize) -> Result<(), Error> {
        let start = received.len();
        received.resize(start + most.min(limits::HTTP_HEAD), 0);
        let read = self.stream.read(received.get_mut(start..).unwrap_or_default()).await;
        received.truncate(start + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(0) => Err(self.lost(Step::Answer, "the server closed it without a whole answer")),
            Ok(_) => Ok(()),
            Err(error) => {
                Err(self.broken(Step::Answer, &error, "the server closed it without an answer".to_owned()))
            }
        }
    }

    /// Receives what the other side sends of its own accord, until `deadline`.
    pub(crate) async fn receive(&mut self, deadline: Instant) -> Result<Secret, Error> {
        let started = Instant::now();
        timeout_at(deadline, self.message()).await.unwrap_or_else(|_| {
            let after = deadline.saturating_duration_since(started);
            Err(Error::TimedOut { address: self.address.clone(), step: Step::Answer, after })
        })
    }

    /// Sends the answer to what came so.
    pub(crate) async fn reply(&mut self, answer: &[u8], deadline: Instant) -> Result<(), Error> {
        match timeout_at(deadline, self.send(answer)).await {
            Ok(sent) => {
                sent.map_err(|error| self.broken(Step::Send, &error, "the server closed it".to_owned()))
            }
            Err(_) => {
                let after = limits::CONNECT;
                Err(Error::TimedOut { address: self.address.clone(), step: Step::Send, after })
            }
        }
    }

    /// How errors name the server.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits for one whole message.
    async fn message(&mut self) -> Result<Secret, Error> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).await.map_err(|error| {
            self.broken(Step::Answer, &error, "the server closed it without an answer".to_owned())
        })?;
        let length = message_length(&header, limits::RESPONSE)
            .map_err(|error| Error::protocol(error.to_string()))?
            .ok_or_else(|| Error::protocol("a message without a length"))?;
        let mut bytes = Zeroizing::new(vec![0; length]);
        if let Some((start, rest)) = bytes.split_at_mut_checked(HEADER) {
            start.copy_from_slice(&header);
            self.stream.read_exact(rest).await.map_err(|error| {
                let ended = format!("it ended within an answer of {length} bytes");
                self.broken(Step::Answer, &error, ended)
            })?;
        }
        Ok(Secret::new(core::mem::take(&mut *bytes)))
    }

    async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await
    }

    /// The error of a failed send. A server that refuses a client over TLS 1.3 says so only now, in an alert that may
    /// be waiting to be read.
    async fn last_words(&mut self, sent: &io::Error) -> Error {
        let mut byte = [0; 1];
        if let Ok(Err(read)) = timeout(LAST_WORDS, self.stream.read(&mut byte)).await
            && let Some(fault) = tls::fault_of(&read)
        {
            return Error::Tls { address: self.address.clone(), fault };
        }
        self.broken(Step::Send, sent, "the server closed it".to_owned())
    }

    fn broken(&self, step: Step, error: &io::Error, at_end: String) -> Error {
        if let Some(fault) = tls::fault_of(error) {
            return Error::Tls { address: self.address.clone(), fault };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.lost(step, &at_end),
            _ => self.lost(step, &error.to_string()),
        }
    }

    fn lost(&self, step: Step, reason: &str) -> Error {
        Error::Lost { address: self.address.clone(), step, reason: reason.to_owned() }
    }
}
