use std::time::Duration;

use kms_protocol::enums::{Operation, ResultReason};
use kms_protocol::frame::FrameError;
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::QueryRequest;
use kms_protocol::{DateTime, Secret, Version};
use kms_server::connection::{self, End, Idle, Then};
use kms_server::kms::{Caller, Round, Work};
use kms_server::limits;
use kms_server::service::Service;
use kms_server::shutdown::{self, Trigger};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{Echo, TestPki, ask, connect, read_answer, request, shared};

/// A server on the other end of a stream in memory, for a caller called `memory`.
fn joined(service: impl Service) -> (DuplexStream, Trigger, JoinHandle<End>) {
    let (near, far) = tokio::io::duplex(4 << 10);
    let (trigger, stop) = shutdown::channel();
    let server = tokio::spawn(async move {
        let caller = Caller::named("memory");
        connection::serve(far, caller, &shared(service), stop).await
    });
    (near, trigger, server)
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_in_order_wherever_they_are_worked_on() {
    let (mut stream, _trigger, _server) = joined(Echo::default());
    let contents = ["inline 1", "blocking 2", "inline 3", "crypto 4", "inline 5"];
    let pipelined: Vec<u8> = contents.iter().flat_map(|content| request(content.as_bytes())).collect();
    stream.write_all(&pipelined).await.unwrap();
    for content in contents {
        assert_eq!(read_answer(&mut stream).await.unwrap(), format!("memory 1800000000 {content}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_byte_by_byte_is_answered() {
    let (mut stream, _trigger, _server) = joined(Echo::default());
    for byte in request(b"slowly") {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read_answer(&mut stream).await.unwrap(), "memory 1800000000 slowly");
}

#[tokio::test(start_paused = true)]
async fn the_largest_message_is_answered_and_a_longer_one_ends_the_connection() {
    let (mut stream, _trigger, server) = joined(Echo::default());
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let largest = request(&vec![b'x'; limits::MESSAGE - 8]);
    let (written, answer) = tokio::join!(writer.write_all(&largest), read_answer(&mut reader));
    written.unwrap();
    assert_eq!(answer.unwrap().len(), limits::MESSAGE - 8 + "memory 1800000000 ".len());
    // The header alone is enough to be refused.
    stream.write_all(&request(&vec![0; limits::MESSAGE - 7])[..8]).await.unwrap();
    assert!(matches!(server.await.unwrap(), End::NotKmip(FrameError::TooLong { .. })));
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn garbage_ends_the_connection_after_what_came_before_it_was_answered() {
    let (mut stream, _trigger, server) = joined(Echo::default());
    stream.write_all(&[&request(b"good"), &b"garbage!"[..]].concat()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap(), "memory 1800000000 good");
    assert!(matches!(server.await.unwrap(), End::NotKmip(FrameError::NotKmip(_))));
}

#[tokio::test(start_paused = true)]
async fn silence_and_slowness_have_their_limits() {
    for (sent, limit, slow) in
        [(&b""[..], limits::IDLE, false), (&request(b"unfinished")[..12], limits::MESSAGE_TIME, true)]
    {
        let (mut stream, _trigger, server) = joined(Echo::default());
        let begin = Instant::now();
        stream.write_all(sent).await.unwrap();
        let end = server.await.unwrap();
        assert!(matches!((slow, &end), (true, End::TooSlow) | (false, End::Idle)), "{end}");
        assert_eq!(begin.elapsed().as_secs(), limit.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_does_not_stretch_the_limit() {
    let (mut stream, _trigger, server) = joined(Echo::default());
    let begin = Instant::now();
    for byte in request(&[b'x'; 64]) {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(limits::MESSAGE_TIME / 10).await;
    }
    assert!(matches!(server.await.unwrap(), End::TooSlow));
    assert!(begin.elapsed() <= limits::MESSAGE_TIME * 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_dropped() {
    let (mut stream, _trigger, server) = joined(Echo::default());
    // Its answer is larger than what the stream between holds.
    stream.write_all(&request(&[b'x'; 3 << 10])).await.unwrap();
    stream.write_all(&request(&[b'x'; 3 << 10])).await.unwrap();
    assert!(matches!(server.await.unwrap(), End::NotReading));
}

#[tokio::test(start_paused = true)]
async fn an_end_between_messages_is_told_from_one_within() {
    for (sent, expected_closed) in [(0, true), (5, false), (12, false)] {
        let (mut stream, _trigger, server) = joined(Echo::default());
        stream.write_all(&request(b"0123456789")[..sent]).await.unwrap();
        drop(stream);
        let end = server.await.unwrap();
        assert_eq!(matches!(end, End::Closed), expected_closed, "{sent}: {end}");
        assert_eq!(matches!(end, End::Broken(_)), !expected_closed, "{sent}: {end}");
    }
}

#[tokio::test]
async fn a_stop_lets_the_request_in_flight_finish() {
    let (service, gate) = Echo::gated();
    let (mut stream, trigger, server) = joined(service);
    stream.write_all(&request(b"wait")).await.unwrap();
    tokio::task::yield_now().await;
    trigger.stop();
    tokio::task::yield_now().await;
    assert!(!server.is_finished());
    gate.send(()).unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap(), "memory 1800000000 wait");
    assert!(matches!(server.await.unwrap(), End::Stopped));
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_stops_drains_real_connections_and_says_goodbye() {
    let pki = TestPki::new();
    let (service, gate) = Echo::gated();
    let server = pki.server(service).await;
    let address = server.listen();
    let config = pki.client(Some(&pki.issue(&kms_certs::Request::client("backup")))).config();
    let mut idle = connect(&config, address).await.unwrap();
    assert!(ask(&mut idle, b"hello").await.is_ok());
    let mut busy = connect(&config, address).await.unwrap();
    busy.write_all(&request(b"wait")).await.unwrap();
    // Its request was read once a later one on another connection is answered.
    assert!(ask(&mut idle, b"hello").await.is_ok());

    let stopping = tokio::spawn(server.stop());
    // close_notify reads as an orderly end; a cut line would be an error.
    assert_eq!(idle.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    gate.send(()).unwrap();
    assert_eq!(read_answer(&mut busy).await.unwrap(), "backup 1800000000 wait");
    assert_eq!(busy.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    stopping.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_defect_costs_its_own_connection_only() {
    let pki = TestPki::new();
    let server = pki.server(Echo::default()).await;
    let config = pki.client(Some(&pki.issue(&kms_certs::Request::client("backup")))).config();
    let mut other = connect(&config, server.listen()).await.unwrap();
    let mut unlucky = connect(&config, server.listen()).await.unwrap();
    assert!(ask(&mut unlucky, b"panic").await.is_err());
    assert!(ask(&mut other, b"hello").await.is_ok());
    let mut next = connect(&config, server.listen()).await.unwrap();
    assert!(ask(&mut next, b"hello").await.is_ok());
}

/// A service that gives up idle connections.
struct Weary(Echo, Idle);

impl Service for Weary {
    fn work(&self, request: &[u8]) -> Work {
        self.0.work(request)
    }

    fn handle(&self, request: &[u8], caller: &Caller, now: DateTime) -> Secret {
        self.0.handle(request, caller, now)
    }

    fn next_due(&self) -> Option<DateTime> {
        None
    }

    fn run_due(&self, _now: DateTime, _go_on: &dyn Fn() -> bool) -> Round {
        Round::default()
    }

    fn idle(&self) -> Idle {
        self.1
    }
}

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_dropped_after_the_time_that_the_service_sets() {
    let (mut stream, _trigger, server) =
        joined(Weary(Echo::default(), Idle { after: LIMIT, then: Then::Dropped }));
    let begun = Instant::now();
    for content in ["inline 1", "inline 2"] {
        tokio::time::sleep(LIMIT - Duration::from_millis(1)).await;
        stream.write_all(&request(content.as_bytes())).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.unwrap(), format!("memory 1800000000 {content}"));
    }
    assert!(matches!(server.await.unwrap(), End::Dropped(LIMIT)));
    let lived = begun.elapsed();
    assert!((LIMIT * 2..LIMIT * 3 + Duration::from_secs(1)).contains(&lived), "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_connection_refuses_everything_after_the_pause() {
    let (mut stream, _trigger, _server) =
        joined(Weary(Echo::default(), Idle { after: LIMIT, then: Then::Revoked }));
    let query = {
        let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
        builder.push(&QueryRequest::default(), None);
        builder.finish()
    };
    stream.write_all(&request(b"inline")).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap(), "memory 1800000000 inline");
    tokio::time::sleep(LIMIT).await;
    for words in ["Token has been revoked", "Invalid token"] {
        stream.write_all(query.expose()).await.unwrap();
        let mut answer = vec![0; 8];
        stream.read_exact(&mut answer).await.unwrap();
        let length = u32::from_be_bytes(answer[4..].try_into().unwrap());
        answer.resize(8 + length as usize, 0);
        stream.read_exact(&mut answer[8..]).await.unwrap();
        let message = ResponseMessage::read(&answer).unwrap();
        assert_eq!(message.items[0].operation, Some(Operation::Query));
        assert_eq!(message.items[0].result_reason, Some(ResultReason::GeneralFailure));
        assert!(message.items[0].result_message.as_ref().unwrap().contains(words));
    }
}
