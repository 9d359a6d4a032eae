use kms_protocol::frame::FrameError;
use kms_server::connection::{self, End};
use kms_server::kms::Caller;
use kms_server::limits;
use kms_server::shutdown::{self, Trigger};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{Echo, TestPki, ask, connect, read_answer, request, shared};

/// A server on the other end of a stream in memory, for a caller called `memory`.
fn joined(service: Echo) -> (DuplexStream, Trigger, JoinHandle<End>) {
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
