//! A client that sees everything: bare TLS, one message at a time, and how a connection ended.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, AttributeList, Name};
use kms_protocol::enums::{BatchErrorContinuationOption, CryptographicAlgorithm, RecommendedCurve};
use kms_protocol::frame::message_length;
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{
    CreateKeyPairRequest, DiscoverVersionsRequest, LocateRequest, LocateResponse, Request,
};
use kms_protocol::ttlv::{Bytes, Value as _};
use kms_server::testing::{TestClient, TestServer};
use kms_tests::tls;
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

/// How long nothing has to come before nothing is taken to come.
const SILENCE: Duration = Duration::from_millis(300);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Answer(Vec<u8>),
    /// The connection ended, without a goodbye and after so many bytes of an answer.
    Closed(usize),
    Reset,
    Silence,
    /// The server sent a TLS alert.
    Alert(String),
}

/// A connection of one client.
pub struct Peer {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl Peer {
    pub fn connect(server: &TestServer, client: &TestClient) -> Self {
        Self::try_connect(server, client).expect("connected")
    }

    /// A connection whose handshake both sides have ended, or why there is none.
    pub fn try_connect(server: &TestServer, client: &TestClient) -> Result<Self, std::io::Error> {
        let certificate = client.certificate();
        let stem = certificate.file_stem().unwrap().to_str().unwrap();
        let config = tls::config(certificate.parent().unwrap(), stem, rustls::DEFAULT_VERSIONS);
        let socket = TcpStream::connect(server.listen())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let mut peer = Self { stream, received: Vec::new() };
        // TLS 1.3: what the server holds against the certificate comes after the client's last word.
        match peer.ask(&discover()) {
            Seen::Answer(_) => Ok(peer),
            Seen::Reset => Err(ErrorKind::ConnectionReset.into()),
            other => Err(std::io::Error::other(format!("{other:?}"))),
        }
    }

    pub fn send(&mut self, message: &[u8]) {
        // Where the server has cut the connection, reading tells.
        let _ = self.stream.write_all(message).and_then(|()| self.stream.flush());
    }

    pub fn ask(&mut self, message: &[u8]) -> Seen {
        self.send(message);
        self.next()
    }

    /// What comes next.
    pub fn next(&mut self) -> Seen {
        self.wait(PATIENCE)
    }

    /// What comes next, where nothing may.
    pub fn soon(&mut self) -> Seen {
        self.wait(SILENCE)
    }

    fn wait(&mut self, patience: Duration) -> Seen {
        self.stream.sock.set_read_timeout(Some(patience)).unwrap();
        let mut part = [0; 4096];
        loop {
            if let Ok(Some(length)) = message_length(&self.received, 1 << 20)
                && length <= self.received.len()
            {
                let rest = self.received.split_off(length);
                return Seen::Answer(std::mem::replace(&mut self.received, rest));
            }
            match self.stream.read(&mut part) {
                Ok(0) => return Seen::Closed(self.received.len()),
                Ok(length) => self.received.extend(&part[..length]),
                Err(error) => match error.kind() {
                    ErrorKind::UnexpectedEof => return Seen::Closed(self.received.len()),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Seen::Reset,
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Seen::Silence,
                    _ => return Seen::Alert(error.to_string()),
                },
            }
        }
    }

    /// What was received beyond whole messages.
    pub fn rest(&self) -> &[u8] {
        &self.received
    }

    /// Asks and takes the answer of one item.
    pub fn call<R: Request>(&mut self, request: &R) -> R::Response {
        let Seen::Answer(bytes) = self.ask(&message(request)) else { panic!("no answer") };
        let item = ResponseMessage::read(&bytes).unwrap().items.remove(0);
        let payload = item.payload.unwrap_or_else(|| panic!("{:?}", item.result_message));
        R::Response::read(payload).unwrap()
    }

    /// How many keys have this Name.
    pub fn named(&mut self, name: &str) -> usize {
        let LocateResponse { unique_identifiers, .. } = self.call(&LocateRequest {
            attributes: AttributeList(vec![Attribute::Name(Name::text(name))]),
            ..LocateRequest::default()
        });
        unique_identifiers.len()
    }
}

pub fn message<R: Request>(request: &R) -> Vec<u8> {
    batch(std::slice::from_ref(request))
}

/// A batch that goes on after failures.
pub fn batch<R: Request>(requests: &[R]) -> Vec<u8> {
    let mut header = RequestHeader::new(Version::V1_4);
    header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Continue);
    let mut builder = RequestBuilder::new(header);
    for (at, request) in requests.iter().enumerate() {
        let id = (requests.len() > 1).then(|| Bytes(at.to_be_bytes().to_vec()));
        builder.push(request, id);
    }
    builder.finish().expose().to_vec()
}

pub fn discover() -> Vec<u8> {
    message(&DiscoverVersionsRequest::default())
}

/// A pair on P-256 whose private half is called `name`.
pub fn pair(name: &str) -> CreateKeyPairRequest {
    let curve = kms_protocol::attribute::CryptographicDomainParameters {
        qlength: None,
        recommended_curve: Some(RecommendedCurve::P256),
    };
    CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicDomainParameters(curve),
        ]
        .into(),
        private_key: vec![Attribute::Name(Name::text(name))].into(),
        ..CreateKeyPairRequest::default()
    }
}
