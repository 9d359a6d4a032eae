//! A bare connection to a server: any bytes out, whatever comes back, each with a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use kms_protocol::frame;
use rustls::ClientConfig;

use crate::process::Server;
use crate::tls;

/// How long a server may keep a peer waiting. Much longer than it needs, much shorter than its own time limits.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// The longest answer taken.
const ANSWER: usize = 64 << 20;

/// What a server did with what it was sent.
#[derive(Debug)]
pub enum Answer {
    /// It answered with this message.
    Message(Vec<u8>),
    /// It ended the connection.
    Closed,
}

/// How to reach a server as a client that it trusts.
#[derive(Clone, Debug)]
pub struct Dialler {
    address: String,
    config: Arc<ClientConfig>,
}

impl Dialler {
    /// With the certificate that `server` made for its client.
    #[must_use]
    pub fn new(server: &Server) -> Self {
        let config = tls::config(&server.pki(), "client", rustls::DEFAULT_VERSIONS);
        Self { address: server.listen.clone(), config: Arc::new(config) }
    }

    /// A connection whose handshake is done.
    #[must_use]
    pub fn dial(&self) -> Wire {
        Wire { stream: tls::connect(&self.config, &self.address), begun: Vec::new() }
    }
}

/// A TCP connection with a deadline, on which nothing was said yet.
#[must_use]
pub fn bare(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    stream.set_write_timeout(Some(PATIENCE)).expect("a deadline");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Reads until the server ends a connection.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return all,
            Ok(length) => all.extend(part.iter().take(length)),
            Err(error) if is_over_time(error.kind()) => panic!("the server keeps a dead connection open"),
            Err(_) => return all,
        }
    }
}

/// A connection to a server that trusts its client.
#[derive(Debug)]
pub struct Wire {
    stream: tls::Stream,
    begun: Vec<u8>,
}

impl Wire {
    /// Sends bytes. That the server may have ended the connection meanwhile is seen at the next answer.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes).and_then(|()| self.stream.flush()) {
            Err(error) if is_over_time(error.kind()) => panic!("the server does not read"),
            _ => {}
        }
    }

    /// Says that nothing more is coming, and leaves the other direction open.
    pub fn finish(&mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
        let _ = self.stream.sock.shutdown(Shutdown::Write);
    }

    /// The next answer.
    ///
    /// # Panics
    /// When neither an answer nor the end comes within [`PATIENCE`], or what comes is no KMIP.
    pub fn answer(&mut self) -> Answer {
        let mut part = [0; 16 << 10];
        loop {
            let length = frame::message_length(&self.begun, ANSWER).expect("KMIP");
            if let Some(length) = length.filter(|length| *length <= self.begun.len()) {
                let rest = self.begun.split_off(length);
                return Answer::Message(std::mem::replace(&mut self.begun, rest));
            }
            match self.stream.read(&mut part) {
                Ok(0) => return Answer::Closed,
                Ok(length) => self.begun.extend(part.iter().take(length)),
                Err(error) if is_over_time(error.kind()) => {
                    panic!("the server neither answers nor closes the connection")
                }
                Err(_) => return Answer::Closed,
            }
        }
    }

    /// Sends a whole message and takes its answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        match self.answer() {
            Answer::Message(answer) => answer,
            Answer::Closed => panic!("the server closed the connection instead of answering"),
        }
    }
}

fn is_over_time(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
