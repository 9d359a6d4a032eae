//! A server by HTTPS, in any of the three encodings (KMIP Additional Message Encodings 1.0 section 2).

use core::future::Future;
use core::pin::Pin;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use kms_protocol::Secret;
use kms_protocol::encoding::{Encoding, from_json, from_xml, to_json, to_xml};
use tokio::time::timeout;

use super::Exchange;
use super::run::DEADLINE;
use crate::error::Error;
use crate::limits;
use crate::tls::Connect;

/// Where requests go (section 2.3).
const PATH: &str = "/kmip";

/// A server over HTTPS: one connection for each exchange.
pub struct Https {
    server: Box<dyn Connect>,
    encoding: Encoding,
}

impl core::fmt::Debug for Https {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Https").field("server", &self.server.address()).finish_non_exhaustive()
    }
}

impl Https {
    /// Sends messages in `encoding` to that server.
    #[must_use]
    pub fn new(server: Box<dyn Connect>, encoding: Encoding) -> Self {
        Self { server, encoding }
    }

    async fn post(&self, request: &[u8]) -> Result<Secret, Error> {
        let wrong = |what: &str, why: &dyn core::fmt::Display| Error::protocol(format!("{what}: {why}"));
        let body = self.encoded(request)?;
        let stream = self.server.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| wrong("HTTP", &error))?;
        // It ends with the sender; what breaks it, the sender tells.
        tokio::spawn(connection);
        let request = Request::post(PATH)
            .header(HOST, self.server.address())
            .header(CONTENT_TYPE, self.encoding.content_type())
            .body(Full::new(Bytes::copy_from_slice(body.expose())))
            .map_err(|error| wrong("HTTP", &error))?;
        let answer = sender.send_request(request).await.map_err(|error| wrong("HTTP", &error))?;
        let status = answer.status();
        let stated = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let encoding = stated.and_then(Encoding::from_content_type);
        let body = Limited::new(answer.into_body(), limits::RESPONSE).collect().await;
        let body = body.map_err(|error| wrong("HTTP", &error))?.to_bytes();
        if status != StatusCode::OK {
            return Err(wrong("HTTP", &status));
        }
        if encoding != Some(self.encoding) {
            return Err(wrong("the answer's Content-Type", &stated_as(encoding)));
        }
        self.decoded(&body)
    }

    fn encoded(&self, message: &[u8]) -> Result<Secret, Error> {
        let encoded = match self.encoding {
            Encoding::Ttlv => return Ok(Secret::from(message)),
            Encoding::Xml => to_xml(message),
            Encoding::Json => to_json(message),
        };
        encoded.map_err(|error| Error::protocol(error.to_string()))
    }

    fn decoded(&self, body: &[u8]) -> Result<Secret, Error> {
        let text = || core::str::from_utf8(body).map_err(|error| Error::protocol(error.to_string()));
        let decoded = match self.encoding {
            Encoding::Ttlv => return Ok(Secret::from(body)),
            Encoding::Xml => from_xml(text()?),
            Encoding::Json => from_json(text()?),
        };
        decoded.map_err(|error| Error::protocol(error.to_string()))
    }
}

fn stated_as(encoding: Option<Encoding>) -> &'static str {
    encoding.map_or("none of KMIP's", Encoding::content_type)
}

impl Exchange for Https {
    fn exchange<'a>(
        &'a mut self,
        request: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send + 'a>> {
        Box::pin(async move {
            timeout(DEADLINE, self.post(request))
                .await
                .unwrap_or_else(|_| Err(Error::protocol("HTTP: no answer in time")))
        })
    }
}
