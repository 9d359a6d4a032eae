//! The limits of HTTPS, with a clock that tests move.

use kms_protocol::encoding::Encoding;
use kms_server::connection::{self, End};
use kms_server::kms::Caller;
use kms_server::limits;
use kms_server::shutdown::{self, Trigger};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{Echo, request, shared};

fn joined() -> (DuplexStream, Trigger, JoinHandle<End>) {
    let (near, mut far) = tokio::io::duplex(4 << 10);
    let (trigger, stop) = shutdown::channel();
    let server = tokio::spawn(async move {
        let caller = Caller::named("memory");
        connection::serve_https(&mut far, caller, &shared(Echo::default()), stop).await
    });
    (near, trigger, server)
}

fn post(body: &[u8], length: usize) -> Vec<u8> {
    let content_type = Encoding::Ttlv.content_type();
    let head =
        format!("POST /kmip HTTP/1.1\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_waited_for_no_longer_than_that() {
    for sent in [&b""[..], b"POST /kmip HTTP/1.1\r\nHost:"] {
        let (mut stream, _trigger, server) = joined();
        let begin = Instant::now();
        stream.write_all(sent).await.unwrap();
        let end = server.await.unwrap();
        assert!(matches!(end, End::Idle | End::Closed), "{end}");
        assert_eq!(begin.elapsed().as_secs(), limits::HTTPS_HEAD.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_a_message() {
    let (mut stream, _trigger, _server) = joined();
    let begin = Instant::now();
    let whole = request(b"inline");
    stream.write_all(&post(&whole[..4], whole.len())).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert_eq!(begin.elapsed().as_secs(), limits::MESSAGE_TIME.as_secs());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_dropped() {
    let (mut stream, _trigger, server) = joined();
    let body = request(&[b'x'; 3 << 10]);
    for _ in 0..2 {
        stream.write_all(&post(&body, body.len())).await.unwrap();
    }
    let end = server.await.unwrap();
    assert!(matches!(end, End::NotReading), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_head_of_any_length_is_not_kept() {
    let (mut stream, _trigger, server) = joined();
    let long = format!("POST /kmip HTTP/1.1\r\nX: {}\r\n", "x".repeat(limits::HTTPS_BUFFER));
    let _ = stream.write_all(long.as_bytes()).await;
    let end = server.await.unwrap();
    assert!(matches!(end, End::NotHttp(_)), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_ends_what_is_idle() {
    let (mut stream, trigger, server) = joined();
    let body = request(b"inline");
    stream.write_all(&post(&body, body.len())).await.unwrap();
    let mut answer = vec![0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    trigger.stop();
    assert!(matches!(server.await.unwrap(), End::Stopped));
}
