//! KMIP over HTTPS, from a client that knows nothing but TLS and HTTP's text.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use kms_client::{KeySpec, Profile, blocking};
use kms_protocol::encoding::{Encoding, from_json, from_xml, to_json, to_xml};
use kms_protocol::enums::{EndpointRole, Operation, ResultReason, ResultStatus};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{Request, SetEndpointRoleRequest};
use kms_protocol::{Secret, Version};
use kms_server::faults::{Fault, Rule};
use kms_server::testing::TestClient;
use kms_server::testing::blocking::TestServer;
use kms_tests::{skip, tls};
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::peer::{Peer, discover, message, pair};

const ENCODINGS: [Encoding; 3] = [Encoding::Ttlv, Encoding::Xml, Encoding::Json];

/// A connection to the HTTPS port.
struct Http {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

/// What came back: status, head and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn has(&self, header: &str, value: &str) -> bool {
        let line = format!("{header}: {value}").to_ascii_lowercase();
        self.head.to_ascii_lowercase().lines().any(|one| one == line)
    }
}

impl Http {
    fn connect(address: SocketAddr, client: &TestClient) -> Self {
        let certificate = client.certificate();
        let stem = certificate.file_stem().unwrap().to_str().unwrap();
        let config = tls::config(certificate.parent().unwrap(), stem, rustls::DEFAULT_VERSIONS);
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
        Self { stream, received: Vec::new() }
    }

    fn post(&mut self, encoding: Encoding, body: &[u8]) -> Option<Answer> {
        let (content_type, length) = (encoding.content_type(), body.len());
        let head = format!(
            "POST /kmip HTTP/1.1\r\nHost: kms\r\nCache-Control: no-cache\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send(&head, body)
    }

    /// Sends what it is told to; nothing where the connection ends instead of an answer.
    fn send(&mut self, head: &str, body: &[u8]) -> Option<Answer> {
        let sent = self.stream.write_all(head.as_bytes()).and_then(|()| self.stream.write_all(body));
        sent.and_then(|()| self.stream.flush()).ok()?;
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.read()?;
        };
        let head = String::from_utf8(self.received[..end].to_vec()).expect("text");
        let lower = head.to_ascii_lowercase();
        let length =
            lower.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("Content-Length");
        let whole = end + 4 + length.parse::<usize>().expect("a length");
        while self.received.len() < whole {
            self.read()?;
        }
        let rest = self.received.split_off(whole);
        let body = std::mem::replace(&mut self.received, rest).split_off(end + 4);
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        Some(Answer { status, head, body })
    }

    fn read(&mut self) -> Option<()> {
        let mut part = [0; 4096];
        let read = self.stream.read(&mut part).ok().filter(|read| *read > 0)?;
        self.received.extend(&part[..read]);
        Some(())
    }
}

fn encoded(encoding: Encoding, message: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Ttlv => message.to_vec(),
        Encoding::Xml => to_xml(message).expect("XML").expose().to_vec(),
        Encoding::Json => to_json(message).expect("JSON").expose().to_vec(),
    }
}

fn decoded(encoding: Encoding, body: &[u8]) -> Secret {
    let text = || core::str::from_utf8(body).expect("text");
    match encoding {
        Encoding::Ttlv => Secret::from(body),
        Encoding::Xml => from_xml(text()).expect("XML"),
        Encoding::Json => from_json(text()).expect("JSON"),
    }
}

fn outcome(encoding: Encoding, answer: &Answer) -> (Option<Operation>, ResultStatus, Option<ResultReason>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.has("Content-Type", encoding.content_type()), "{}", answer.head);
    assert!(answer.has("Cache-Control", "no-cache"), "{}", answer.head);
    let message = decoded(encoding, &answer.body);
    let item = ResponseMessage::read(message.expose()).expect("a response").items.remove(0);
    (item.operation, item.result_status, item.result_reason)
}

fn in_2_1<R: Request>(request: &R) -> Vec<u8> {
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V2_1));
    builder.push(request, None);
    builder.finish().expose().to_vec()
}

#[test]
fn every_encoding_says_the_same_as_the_tls_port() {
    let server = TestServer::start();
    let (client, other) = (server.client("a"), server.client("b"));
    let mut http = Http::connect(server.https(), &client);
    let mut peer = Peer::connect(&server, &client);
    let super::peer::Seen::Answer(expected) = peer.ask(&discover()) else { panic!("an answer") };
    for encoding in ENCODINGS {
        // The same connection serves them all.
        let answer = http.post(encoding, &encoded(encoding, &discover())).expect("an answer");
        assert_eq!(
            outcome(encoding, &answer),
            (Some(Operation::DiscoverVersions), ResultStatus::Success, None)
        );
        assert_eq!(decoded(encoding, &answer.body).expose(), expected);
        let name = format!("by {}", encoding.content_type());
        let made = http.post(encoding, &encoded(encoding, &message(&pair(&name)))).expect("an answer");
        assert_eq!(outcome(encoding, &made).1, ResultStatus::Success);
        assert_eq!(peer.named(&name), 1, "it is the same server");
        assert_eq!(Peer::connect(&server, &other).named(&name), 0, "with the same principals");
    }
    server.journal().assert_called(Operation::CreateKeyPair).times(3);
}

#[test]
fn the_standards_own_head_of_http_1_0_will_do() {
    let server = TestServer::start();
    let mut http = Http::connect(server.https(), &server.client("a"));
    let (body, head) = (discover(), "POST /kmip HTTP/1.0\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n");
    for _ in 0..2 {
        let length = body.len();
        let head = format!(
            "{head}Connection: keep-alive\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}      \r\n\r\n"
        );
        let answer = http.send(&head, &body).expect("an answer");
        assert_eq!(outcome(Encoding::Ttlv, &answer).1, ResultStatus::Success);
    }
}

#[test]
fn what_holds_no_message_is_refused_in_the_words_of_http_or_kmip() {
    let server = TestServer::start();
    let client = server.client("a");
    let fresh = || Http::connect(server.https(), &client);
    for (head, status, says) in [
        ("GET /kmip HTTP/1.1\r\nHost: kms\r\n\r\n", 405, "POST"),
        ("POST /other HTTP/1.1\r\nHost: kms\r\nContent-Length: 0\r\n\r\n", 404, "/kmip"),
        ("POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Length: 0\r\n\r\n", 415, "application/json"),
        (
            "POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
            415,
            "text/xml",
        ),
        (
            "POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Type: text/xml\r\nContent-Length: 99999999\r\n\r\n",
            413,
            "bytes",
        ),
        ("this is no HTTP at all\r\n\r\n", 400, ""),
    ] {
        let answer = fresh().send(head, b"").expect("an answer");
        assert_eq!(answer.status, status, "{head}");
        assert!(String::from_utf8_lossy(&answer.body).contains(says), "{answer:?}");
    }
    let mut http = fresh();
    let cut = &discover()[..40];
    for encoding in ENCODINGS {
        for body in [&b"garbage"[..], &[0xFF; 64], b"", cut] {
            let answer = http.post(encoding, body).expect("an answer");
            let (_, status, reason) = outcome(encoding, &answer);
            let expected = (ResultStatus::OperationFailed, Some(ResultReason::InvalidMessage));
            assert_eq!((status, reason), expected, "{encoding:?} {body:?}");
        }
        let turn = in_2_1(&SetEndpointRoleRequest { endpoint_role: EndpointRole::Client });
        let answer = http.post(encoding, &encoded(encoding, &turn)).expect("an answer");
        assert_eq!(outcome(encoding, &answer).2, Some(ResultReason::FeatureNotSupported));
    }
}

#[test]
fn faults_meet_requests_here_as_well() {
    let server = TestServer::start();
    let client = server.client("a");
    let arm = |fault: &str| {
        let rule = Rule::new(fault.parse::<Fault>().expect("a fault")).times(1);
        server.faults().add(rule).expect("armed");
    };
    for fault in ["close:after-reading", "reset:after-commit", "cut:20"] {
        let mut http = Http::connect(server.https(), &client);
        arm(fault);
        assert!(http.post(Encoding::Json, &encoded(Encoding::Json, &discover())).is_none(), "{fault}");
    }
    let mut http = Http::connect(server.https(), &client);
    arm("slices:7/1ms");
    let answer = http.post(Encoding::Xml, &encoded(Encoding::Xml, &discover())).expect("an answer");
    assert_eq!(outcome(Encoding::Xml, &answer).1, ResultStatus::Success);
    arm("error:GeneralFailure");
    let answer = http.post(Encoding::Xml, &encoded(Encoding::Xml, &discover())).expect("an answer");
    assert_eq!(outcome(Encoding::Xml, &answer).2, Some(ResultReason::GeneralFailure));
}

#[test]
fn curl_gets_an_answer() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("https: curl", "there is no curl");
    }
    let server = TestServer::start();
    let client = server.client("a");
    let xml = encoded(Encoding::Xml, &discover());
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--header", "Content-Type: text/xml"])
        .arg("--cacert")
        .arg(client.authority())
        .arg("--cert")
        .arg(client.certificate())
        .arg("--key")
        .arg(client.key())
        .args(["--data-binary", core::str::from_utf8(&xml).expect("text")])
        .arg(format!("https://{}/kmip", server.https()))
        .output()
        .expect("curl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("<ResponseMessage>"));
}

#[test]
fn the_sdk_speaks_every_encoding_and_goes_on_after_a_restart() {
    let server = TestServer::start();
    let client = server.client("a");
    let stem = client.certificate().with_extension("");
    let stem = stem.file_name().and_then(|name| name.to_str()).expect("a name");
    for encoding in ["ttlv", "xml", "json"] {
        let address = server.https();
        let text = format!(
            "server = \"https://{address}/kmip\"\nencoding = \"{encoding}\"\nca = \"ca.pem\"\ncertificate = \"{stem}.pem\"\nkey = \"{stem}.key\"\n"
        );
        let file = client.profile().with_extension(format!("{encoding}.toml"));
        std::fs::write(&file, text).expect("a profile");
        let builder = Profile::load(&file).expect("a profile").builder();
        let sdk = blocking::Client::new(builder.build().expect("a client")).expect("a runtime");
        let key = sdk.request_key(encoding, KeySpec::Rsa2048).expect("a key");
        server.restart();
        let found = sdk.find_key(encoding, KeySpec::Rsa2048).expect("over a new connection");
        assert_eq!(found.map(|key| key.public_id), Some(key.public_id), "{encoding}");
        let mut notifications = sdk.notifications().expect("no runtime around it");
        assert!(notifications.next().is_err(), "over HTTPS nothing is told");
    }
}
