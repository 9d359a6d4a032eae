//! KMIP over HTTPS: `POST /kmip`, in TTLV, XML or JSON (KMIP Additional Message Encodings 1.0 section 2).
//!
//! Whatever has an answer of KMIP's has HTTP's status 200, refusals too; other statuses say that no message was found.

use core::convert::Infallible;
use std::borrow::Cow;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kms_protocol::Secret;
use kms_protocol::encoding::{Encoding, from_json, from_xml, to_json, to_xml};
use kms_protocol::enums::Operation;
use kms_protocol::frame;
use kms_protocol::message::operations;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout};

use super::faulty::spoilt;
use super::{End, Shared};
use crate::audit::Source;
use crate::faults::{Ending, Fault, Moment, Plan, Sending};
use crate::kms::{Caller, Reason, Refusal, Work, refuse_all};
use crate::limits;
use crate::mock::{self, Mock};
use crate::shutdown::Stop;

/// Where requests are sent (section 2.3).
const PATH: &str = "/kmip";

/// Serves the requests of `caller` that come through `stream` until one side ends it.
pub async fn serve<S>(stream: &mut S, caller: Caller, shared: &Shared, mut stop: Stop) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let line = Line {
        caller: Arc::new(caller),
        shared,
        stop: stop.clone(),
        answered: Mutex::new(Some(Instant::now())),
        ended: Mutex::default(),
    };
    let line = &line;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits::HTTPS_HEAD).max_buf_size(limits::HTTPS_BUFFER);
    let service = service_fn(move |request| line.exchange(request));
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut is_stopping = false;
    let end = loop {
        tokio::select! {
            ended = connection.as_mut() => break match ended {
                Ok(()) if is_stopping => End::Stopped,
                Ok(()) => End::Closed,
                Err(error) if error.is_timeout() => End::Idle,
                Err(error) if error.is_parse() => End::NotHttp(error.to_string()),
                Err(error) => End::Broken(io::Error::other(error)),
            },
            () = stop.requested(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(limits::WRITE) => if line.is_not_read() {
                break End::NotReading;
            },
        }
    };
    line.ended.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(end)
}

struct Line<'a> {
    caller: Arc<Caller>,
    shared: &'a Shared,
    stop: Stop,
    /// Since when the last answer is on its way; nothing while a request is worked.
    answered: Mutex<Option<Instant>>,
    /// Why the connection ends, where that is not HTTP's doing.
    ended: Mutex<Option<End>>,
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends here")]
struct Ended;

/// What HTTP has to say instead of KMIP.
struct Problem {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Line<'_> {
    async fn exchange(&self, request: Request<Incoming>) -> Result<Response<Body>, Ended> {
        self.set_answered(None);
        let response = match self.taken(request).await {
            _ if self.shared.is_revoked(&self.caller.serial) => return Err(self.ends(End::Revoked)),
            Ok((encoding, body)) => self.worked(encoding, &body).await?,
            Err(problem) => problem.response(),
        };
        self.set_answered(Some(Instant::now()));
        Ok(response)
    }

    fn set_answered(&self, when: Option<Instant>) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = when;
    }

    /// Whether the peer does not take the answer: HTTP itself waits for the next request no longer than that.
    fn is_not_read(&self) -> bool {
        let since = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() > limits::WRITE + limits::HTTPS_HEAD)
    }

    fn ends(&self, end: End) -> Ended {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        Ended
    }

    /// A request's body, whole, and how it is encoded.
    async fn taken(&self, request: Request<Incoming>) -> Result<(Encoding, Bytes), Problem> {
        let problem = |status, text: &'static str| Err(Problem { status, text: text.into() });
        if request.uri().path() != PATH {
            return problem(StatusCode::NOT_FOUND, "KMIP is at /kmip");
        }
        if request.method() != Method::POST {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "send a KMIP Request Message by POST");
        }
        let stated = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Some(encoding) = stated.and_then(Encoding::from_content_type) else {
            return problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "say how the message is encoded, by the Content-Type: application/octet-stream (TTLV), text/xml or application/json",
            );
        };
        if hyper::body::Body::size_hint(request.body()).lower() > limits::HTTPS_BODY as u64 {
            let text = format!("send at most {} bytes", limits::HTTPS_BODY).into();
            return Err(Problem { status: StatusCode::PAYLOAD_TOO_LARGE, text });
        }
        let body = to_bytes(Body::new(request.into_body()), limits::HTTPS_BODY);
        match timeout(limits::MESSAGE_TIME, body).await {
            Ok(Ok(body)) => Ok((encoding, body)),
            Ok(Err(error)) => Err(Problem {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                text: format!("the body cannot be read ({error}): send at most {} bytes", limits::HTTPS_BODY)
                    .into(),
            }),
            Err(_) => problem(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        }
    }

    async fn worked(&self, encoding: Encoding, body: &Bytes) -> Result<Response<Body>, Ended> {
        let request = match decoded(encoding, body) {
            Ok(request) => request,
            Err(what) => {
                self.note_unreadable(&what);
                return Ok(self.refused(encoding, &[], Reason::InvalidMessage, what));
            }
        };
        if operations(&request).any(|operation| operation == Operation::SetEndpointRole) {
            let what =
                "over HTTPS the client is always the client: ask for Set Endpoint Role on the TLS port";
            return Ok(self.refused(encoding, &request, Reason::FeatureNotSupported, what.to_owned()));
        }
        match &self.shared.mock {
            None => {
                let response = self.answer(request).await?;
                Ok(as_http(encoding, &response, Sending::Whole))
            }
            Some(mock) => self.worked_faulty(mock, encoding, request).await,
        }
    }

    async fn answer(&self, request: Bytes) -> Result<Secret, Ended> {
        let (service, now) = (Arc::clone(&self.shared.service), self.shared.clock.now());
        let work = service.work(&request);
        if work == Work::Inline {
            return Ok(service.handle(&request, &self.caller, now));
        }
        let caller = Arc::clone(&self.caller);
        let job = move || service.handle(&request, &caller, now);
        self.shared.workers.run(work, job).await.map_err(|panicked| self.ends(panicked.into()))
    }

    /// The same with what was armed to go wrong. Broken bytes are TTLV's: XML and JSON stay what they are.
    async fn worked_faulty(
        &self,
        mock: &Arc<Mock>,
        encoding: Encoding,
        request: Bytes,
    ) -> Result<Response<Body>, Ended> {
        let begun = Instant::now();
        mock.running().await;
        let now = self.shared.clock.now();
        let kms = Arc::clone(&self.shared.service).kms();
        let seen = mock.look(&request, kms.as_deref(), now);
        let plan = mock.faults.plan(&self.caller.principal, &seen);
        sleep(plan.delay).await;
        if let Some((Moment::AfterReading, ending)) = plan.ending {
            let mut exchange = mock::unanswered(&self.caller, now, &seen);
            exchange.faults.clone_from(&plan.fired);
            mock.note(exchange, &request, None);
            return Err(self.end(mock, ending, &plan).await);
        }
        let (service, caller) = (Arc::clone(&self.shared.service), Arc::clone(&self.caller));
        let (work, planned, asked) = (service.work(&request), plan.clone(), request.clone());
        let answering = Arc::clone(mock);
        let job = move || answering.answer(&planned, &asked, &caller, now, &service);
        let answered = self.shared.workers.run(work, job).await;
        let mock::Answered { response, mut exchange } =
            answered.map_err(|panicked| self.ends(panicked.into()))?;
        mock.running().await;
        exchange.took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        exchange.faults.clone_from(&plan.fired);
        mock.note(exchange, &request, Some(response.expose()));
        if let Some((Moment::AfterCommit, ending)) = plan.ending {
            return Err(self.end(mock, ending, &plan).await);
        }
        let response = if encoding == Encoding::Ttlv { spoilt(&plan, response) } else { response };
        Ok(as_http(encoding, &response, plan.sending))
    }

    /// Ends the connection as a fault says, and where that is a hang, when the fault is disarmed.
    async fn end(&self, mock: &Mock, ending: Ending, plan: &Plan) -> Ended {
        let hang = plan.fired.iter().find(|fired| matches!(fired.fault, Fault::Hang(_)));
        if let Some(hang) = hang.filter(|_| ending == Ending::Hangs) {
            let (mut changes, mut stop) = (mock.faults.changes(), self.stop.clone());
            while mock.faults.is_armed(hang.id) {
                tokio::select! {
                    () = stop.requested() => break,
                    changed = changes.changed() => if changed.is_err() { break },
                }
            }
        }
        self.ends(End::Fault(ending))
    }

    fn refused(&self, encoding: Encoding, request: &[u8], reason: Reason, what: String) -> Response<Body> {
        let answer = refuse_all(request, &Refusal::new(reason, what), self.shared.clock.now());
        as_http(encoding, &answer, Sending::Whole)
    }

    fn note_unreadable(&self, what: &str) {
        let Some(trail) = self.shared.service.trail() else { return };
        let record = trail.record(Source::Request, "unreadable").at(self.shared.clock.now());
        let mut record = record.refused("Invalid Message").detail(what);
        (record.principal, record.peer) = (Some(self.caller.principal.clone()), self.caller.peer);
        trail.note(record);
    }
}

/// The one message that a body holds, as TTLV.
fn decoded(encoding: Encoding, body: &Bytes) -> Result<Bytes, String> {
    let text = || core::str::from_utf8(body).map_err(|error| format!("the body is no text: {error}"));
    let decoded = match encoding {
        Encoding::Ttlv => body.clone(),
        Encoding::Xml => {
            owned(&from_xml(text()?).map_err(|error| format!("the body is no KMIP in XML: {error}"))?)
        }
        Encoding::Json => {
            owned(&from_json(text()?).map_err(|error| format!("the body is no KMIP in JSON: {error}"))?)
        }
    };
    match frame::message_length(&decoded, limits::MESSAGE) {
        Ok(Some(length)) if length == decoded.len() => Ok(decoded),
        Ok(_) => Err("the body is not one whole message".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Bytes that go where requests go; they are not wiped there either.
fn owned(secret: &Secret) -> Bytes {
    Bytes::copy_from_slice(secret.expose())
}

/// An answer of KMIP's as one of HTTP's.
fn as_http(encoding: Encoding, answer: &Secret, sending: Sending) -> Response<Body> {
    let encoded = match encoding {
        Encoding::Ttlv => Ok(answer.expose().to_vec()),
        Encoding::Xml => to_xml(answer.expose()).map(|text| text.expose().to_vec()),
        Encoding::Json => to_json(answer.expose()).map(|text| text.expose().to_vec()),
    };
    let encoded = match encoded {
        Ok(encoded) => encoded,
        Err(error) => {
            let text = format!("the answer cannot be written as asked: {error}").into();
            return Problem { status: StatusCode::INTERNAL_SERVER_ERROR, text }.response();
        }
    };
    let length = encoded.len();
    let mut response = Response::new(body(encoded, sending));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A body as a fault has it sent, if one does.
fn body(bytes: Vec<u8>, sending: Sending) -> Body {
    match sending {
        Sending::Whole => Body::from(bytes),
        Sending::Cut(at) => {
            let begun = Bytes::copy_from_slice(bytes.get(..at).unwrap_or(&bytes));
            let cut = io::Error::from(io::ErrorKind::ConnectionAborted);
            Body::from_stream(stream::iter([Ok(begun), Err(cut)]))
        }
        Sending::Slices(size, pause) => {
            let slices: Vec<Bytes> = bytes.chunks(size.max(1)).map(Bytes::copy_from_slice).collect();
            Body::from_stream(stream::unfold(slices.into_iter(), move |mut slices| async move {
                let slice = slices.next()?;
                sleep(pause).await;
                Some((Ok::<_, Infallible>(slice), slices))
            }))
        }
    }
}

impl Problem {
    fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{}\n", self.text)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}
