//! KMIP over HTTPS: a message is the body of a POST, its answer that of the response (KMIP Additional Message Encodings 1.0
//! section 2.4).

use kms_protocol::Secret;
use kms_protocol::encoding::{Encoding, from_json, from_xml, to_json, to_xml};
use zeroize::Zeroizing;

use crate::error::{Error, shown};
use crate::limits;

/// The scheme of an address that is reached so.
const SCHEME: &str = "https://";

/// Where the standard has KMIP, for an address that says nothing else (section 2.3).
const PATH: &str = "/kmip";

/// Host and port of an address, and the path behind them where it is one of HTTPS.
pub(crate) fn split(address: &str) -> (&str, Option<&str>) {
    let Some(rest) = address.strip_prefix(SCHEME) else { return (address, None) };
    match rest.find('/') {
        Some(at) if rest.len() > at + 1 => (rest.get(..at).unwrap_or(rest), rest.get(at..)),
        Some(at) => (rest.get(..at).unwrap_or(rest), Some(PATH)),
        None => (rest, Some(PATH)),
    }
}

/// How messages travel over HTTPS to one server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Https {
    host: String,
    path: String,
    encoding: Encoding,
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    /// How many bytes it has.
    pub(crate) length: usize,
    /// How many follow.
    pub(crate) body: usize,
    /// Whether the server closes the connection behind it.
    pub(crate) closes: bool,
    status: u16,
    content_type: String,
}

impl Https {
    /// How an address is reached, where it is one of HTTPS.
    ///
    /// # Errors
    /// When its path cannot stand in a request, or it is none of HTTPS and messages shall not be TTLV.
    pub(crate) fn of(address: &str, encoding: Encoding) -> Result<Option<Self>, Error> {
        let (host, Some(path)) = split(address) else {
            return match encoding {
                Encoding::Ttlv => Ok(None),
                _ => Err(Error::settings(
                    format!("{address}: over TLS alone messages are TTLV"),
                    "write the address as https://host:port/kmip, or leave the encoding out",
                )),
            };
        };
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = format!("{address}: the path holds what a URL cannot");
            return Err(Error::settings(what, "write it as https://host:port/kmip"));
        }
        Ok(Some(Self { host: host.to_owned(), path: path.to_owned(), encoding }))
    }

    /// The request that carries a message.
    pub(crate) fn request(&self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let unwritable = |error: kms_protocol::encoding::EncodingError| {
            Error::settings(
                format!("the request cannot be written as asked: {error}"),
                "use another encoding",
            )
        };
        let text = match self.encoding {
            Encoding::Ttlv => None,
            Encoding::Xml => Some(to_xml(message).map_err(unwritable)?),
            Encoding::Json => Some(to_json(message).map_err(unwritable)?),
        };
        let body = text.as_ref().map_or(message, Secret::expose);
        let (path, host, length) = (&self.path, &self.host, body.len());
        let content_type = self.encoding.content_type();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nCache-Control: no-cache\r\n\r\n"
        );
        Ok(Zeroizing::new([head.as_bytes(), body].concat()))
    }

    /// The head that a response begins with, once it is whole.
    ///
    /// # Errors
    /// When it is none, or announces more than is taken.
    pub(crate) fn head(&self, begun: &[u8]) -> Result<Option<Head>, Error> {
        let mut headers = [httparse::EMPTY_HEADER; limits::HTTP_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(begun);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if begun.len() < limits::HTTP_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => {
                return Err(Error::protocol(format!(
                    "its HTTP head has more than {} bytes",
                    limits::HTTP_HEAD
                )));
            }
            Err(error) => return Err(Error::protocol(format!("its answer is no HTTP: {error}"))),
        };
        let header = |name: &str| {
            let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| core::str::from_utf8(header.value).ok()).map(str::trim)
        };
        let body = header("Content-Length").and_then(|length| length.parse::<usize>().ok());
        let body = body.ok_or_else(|| Error::protocol("its HTTP answer states no Content-Length"))?;
        if body > self.most() {
            return Err(Error::protocol(format!("it announces {body} bytes, and {} are taken", self.most())));
        }
        let closes = match header("Connection") {
            Some(said) if said.eq_ignore_ascii_case("close") => true,
            Some(said) if said.eq_ignore_ascii_case("keep-alive") => false,
            _ => response.version == Some(0),
        };
        let content_type = header("Content-Type").unwrap_or_default().to_owned();
        Ok(Some(Head { length, body, closes, status: response.code.unwrap_or_default(), content_type }))
    }

    /// Bytes of a body that are taken: text has several for each byte of TTLV.
    fn most(&self) -> usize {
        match self.encoding {
            Encoding::Ttlv => limits::RESPONSE,
            Encoding::Xml | Encoding::Json => limits::RESPONSE * limits::HTTP_TEXT,
        }
    }

    /// The message in a response's body, as TTLV.
    ///
    /// # Errors
    /// When HTTP says no, or the body is of another encoding or malformed.
    pub(crate) fn message(&self, head: &Head, body: &[u8]) -> Result<Secret, Error> {
        if head.status != 200 {
            let words = String::from_utf8_lossy(body.get(..limits::MESSAGE_SHOWN).unwrap_or(body));
            let words = shown(words.trim());
            return Err(Error::protocol(format!("HTTP status {}: {words}", head.status)));
        }
        if Encoding::from_content_type(&head.content_type) != Some(self.encoding) {
            let (asked, got) = (self.encoding.content_type(), shown(&head.content_type));
            return Err(Error::protocol(format!("asked in {asked}, it answered in {got:?}")));
        }
        let text = || core::str::from_utf8(body).map_err(|error| Error::protocol(error.to_string()));
        let malformed = |error: kms_protocol::encoding::EncodingError| Error::protocol(error.to_string());
        let message = match self.encoding {
            Encoding::Ttlv => Secret::from(body),
            Encoding::Xml => from_xml(text()?).map_err(malformed)?,
            Encoding::Json => from_json(text()?).map_err(malformed)?,
        };
        if message.len() > limits::RESPONSE {
            return Err(Error::protocol(format!("its answer has more than {} bytes", limits::RESPONSE)));
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use kms_protocol::encoding::Encoding;

    use super::{Https, split};

    fn https() -> Https {
        Https::of("https://kms:5698", Encoding::Json).expect("an address").expect("of HTTPS")
    }

    #[test]
    fn an_address_names_its_path_or_means_the_standards() {
        for (address, expected) in [
            ("kms:5696", ("kms:5696", None)),
            ("https://kms:5698", ("kms:5698", Some("/kmip"))),
            ("https://kms:5698/", ("kms:5698", Some("/kmip"))),
            ("https://[::1]:443/a/b", ("[::1]:443", Some("/a/b"))),
        ] {
            assert_eq!(split(address), expected, "{address}");
        }
        assert!(Https::of("kms:5696", Encoding::Xml).is_err(), "TLS alone has TTLV alone");
        assert!(Https::of("https://kms:5698/a\r\nb", Encoding::Xml).is_err(), "no second line");
    }

    #[test]
    fn a_head_is_waited_for_and_one_that_announces_too_much_is_refused() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
        for end in 0..head.len() {
            assert!(https().head(&head.as_bytes()[..end]).expect("so far").is_none(), "after {end} bytes");
        }
        let read = https().head(head.as_bytes()).expect("a head").expect("whole");
        assert_eq!((read.length, read.body, read.closes), (head.len(), 2, false));
        for (head, why) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "announces"),
            ("HTTP/1.1 200 OK\r\n\r\n", "Content-Length"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
        ] {
            let error = https().head(head.as_bytes()).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
        let endless = vec![b'x'; crate::limits::HTTP_HEAD];
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &endless].concat();
        assert!(https().head(&endless).is_err());
        let old = "HTTP/1.0 503 Busy\r\nContent-Length: 4\r\n\r\n";
        let old = https().head(old.as_bytes()).expect("a head").expect("whole");
        assert!(old.closes);
        assert!(https().message(&old, b"busy").expect_err("no").to_string().contains("503: busy"));
    }

    #[test]
    fn an_answer_in_another_encoding_is_none() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 2\r\n\r\n";
        let head = https().head(head.as_bytes()).expect("a head").expect("whole");
        assert!(https().message(&head, b"{}").expect_err("XML").to_string().contains("text/xml"));
    }
}
