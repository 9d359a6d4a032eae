use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use kms_protocol::{DateTime, Secret};
use kms_server::admin::{self, Admin};
use kms_server::clock::Clock;
use kms_server::kms::{Caller, Event, Fired, Round, Work};
use kms_server::limits;
use kms_server::rotator::Rotator;
use kms_server::service::Service;
use kms_server::shutdown;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Something is due every ten seconds.
struct Ticking(std::sync::Mutex<i64>);

impl Service for Ticking {
    fn work(&self, _request: &[u8]) -> Work {
        Work::Inline
    }

    fn handle(&self, _request: &[u8], _caller: &Caller, _now: DateTime) -> Secret {
        Secret::default()
    }

    fn next_due(&self) -> Option<DateTime> {
        Some(DateTime(*self.0.lock().unwrap()))
    }

    fn run_due(&self, now: DateTime, _go_on: &dyn Fn() -> bool) -> Round {
        let mut due = self.0.lock().unwrap();
        let at = std::mem::replace(&mut *due, now.0 + 10);
        let fired = vec![Fired { at: DateTime(at), event: Event::StoreWritable }];
        Round { fired, ..Round::default() }
    }
}

/// An admin API around `clock`, while the trigger lives.
async fn serve(clock: &Arc<Clock>) -> (SocketAddr, shutdown::Trigger) {
    let (trigger, stop) = shutdown::channel();
    let service: Arc<dyn Service> = Arc::new(Ticking(std::sync::Mutex::new(clock.now().0 + 10)));
    let admin = Admin {
        clock: Arc::clone(clock),
        rotator: Arc::new(Rotator::new(service, Arc::clone(clock), stop.clone())),
        operator: None,
        started: Instant::now(),
        state: None,
        revocations: None,
        mock: None,
        stop: stop.clone(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(admin::serve(listener, Arc::new(admin), stop));
    (address, trigger)
}

/// Sends one request of HTTP to an admin API around `clock`; its status and JSON.
async fn http(clock: &Arc<Clock>, request: &str, body: &str) -> (u16, Value) {
    let (address, _trigger) = serve(clock).await;
    exchange(address, request, body).await
}

async fn exchange(address: SocketAddr, request: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{request}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

async fn get(clock: &Arc<Clock>, path: &str) -> (u16, Value) {
    http(clock, &format!("GET {path} HTTP/1.1\r\nHost: localhost:5697"), "").await
}

async fn post(clock: &Arc<Clock>, body: &str) -> (u16, Value) {
    let head = "POST /v1/clock HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json";
    http(clock, head, body).await
}

fn frozen() -> Arc<Clock> {
    Arc::new(Clock::frozen_at(DateTime(1_800_000_000)))
}

#[tokio::test]
async fn health_status_and_clock_are_told() {
    let clock = frozen();
    assert_eq!(get(&clock, "/v1/health").await, (200, json!({"status": "ok"})));
    let (code, status) = get(&clock, "/v1/status").await;
    assert_eq!((code, &status["version"]), (200, &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(status["pid"], json!(std::process::id()));
    assert_eq!(status["clock"]["now"], "2027-01-15T08:00:00Z");
    let (code, shown) = get(&clock, "/v1/clock").await;
    assert_eq!((code, &shown["now"], &shown["frozen"]), (200, &json!("2027-01-15T08:00:00Z"), &json!(true)));
}

#[tokio::test]
async fn a_moved_clock_tells_what_fired_in_order() {
    let clock = frozen();
    let (code, moved) = post(&clock, r#"{"advance": "25s"}"#).await;
    assert_eq!((code, &moved["now"]), (200, &json!("2027-01-15T08:00:25Z")));
    assert_eq!(
        moved["fired"],
        json!([
            {"at": "2027-01-15T08:00:10Z", "what": "the store takes writes again", "kind": "store-writable"},
            {"at": "2027-01-15T08:00:20Z", "what": "the store takes writes again", "kind": "store-writable"},
        ])
    );
    assert_eq!(moved["omitted"], 0);
    let (_, moved) = post(&clock, r#"{"set": "2027-01-15T09:00:00Z"}"#).await;
    assert_eq!(
        (&moved["now"], moved["fired"].as_array().unwrap().len()),
        (&json!("2027-01-15T09:00:00Z"), 357)
    );
    for (body, is_frozen) in [(r#""resume""#, false), (r#"{"freeze": null}"#, true), (r#""freeze""#, true)] {
        assert_eq!(post(&clock, body).await.1["frozen"], json!(is_frozen), "{body}");
    }
}

#[tokio::test]
async fn a_move_past_countless_due_times_says_that_it_was_cut_short() {
    let (code, moved) = post(&frozen(), r#"{"advance": "10000s"}"#).await;
    assert_eq!((code, &moved["is_cut_short"]), (200, &json!(false)));
    let (code, moved) = post(&frozen(), r#"{"advance": "10010s"}"#).await;
    assert_eq!((code, &moved["is_cut_short"], &moved["omitted"]), (200, &json!(true), &json!(0)));
    assert_eq!(moved["fired"].as_array().unwrap().len(), 1_001);
}

#[tokio::test]
async fn a_wrong_request_is_told_what_is_wrong_and_what_to_do() {
    let clock = frozen();
    let json = "Content-Type: application/json";
    let real = Arc::new(Clock::real());
    for (clock, head, body, code, expected) in [
        (
            &clock,
            format!("POST /v1/clock HTTP/1.1\r\nHost: ::\r\n{json}"),
            "",
            403,
            "does not answer to the host",
        ),
        (&clock, "GET /v1/clock HTTP/1.1\r\nHost: evil.example:5697".into(), "", 403, "evil.example"),
        (&clock, "GET /v1/clock HTTP/1.0".into(), "", 403, "does not answer to the host"),
        (&clock, "GET /v2 HTTP/1.1\r\nHost: localhost".into(), "", 404, "/v2"),
        (&clock, "DELETE /v1/clock HTTP/1.1\r\nHost: localhost".into(), "", 405, "does not know this method"),
        // A web page may send text/plain to anybody without asking; JSON it may not.
        (
            &clock,
            "POST /v1/clock HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain".into(),
            r#""freeze""#,
            415,
            "",
        ),
        (&clock, format!("POST /v1/clock HTTP/1.1\r\nHost: localhost\r\n{json}"), "{", 400, ""),
        (
            &clock,
            format!("POST /v1/clock HTTP/1.1\r\nHost: localhost\r\n{json}"),
            r#"{"back": "1d"}"#,
            422,
            "back",
        ),
        (
            &clock,
            format!("POST /v1/clock HTTP/1.1\r\nHost: localhost\r\n{json}"),
            r#"{"advance": "x"}"#,
            400,
            "no duration",
        ),
        (
            &clock,
            format!("POST /v1/clock HTTP/1.1\r\nHost: localhost\r\n{json}"),
            r#"{"set": "2020-01-01T00:00:00Z"}"#,
            409,
            "before",
        ),
        (
            &real,
            format!("POST /v1/clock HTTP/1.1\r\nHost: localhost\r\n{json}"),
            r#"{"advance": "1d"}"#,
            403,
            "real clock",
        ),
    ] {
        let (status, problem) = http(clock, &head, body).await;
        assert_eq!(status, code, "{head} {body}: {problem}");
        assert!(problem["error"].as_str().unwrap().contains(expected), "{head} {body}: {problem}");
        assert!(!problem["hint"].as_str().unwrap().is_empty(), "{head} {body}");
    }
    assert_eq!(get(&clock, "/v1/clock").await.1["now"], "2027-01-15T08:00:00Z");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let (status, _) = post(&frozen(), &format!("\"{}\"", "x".repeat(70 << 10))).await;
    assert_eq!(status, 413);
}

#[tokio::test(start_paused = true)]
async fn connections_that_only_hold_a_place_are_let_go_and_others_are_answered() {
    let (address, _trigger) = serve(&frozen()).await;
    let mut idle = Vec::new();
    for number in 0..limits::ADMIN_CONNECTIONS + 8 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let sent: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /v1/health HTTP/1.1\r\nHost: local",
            _ => b"POST /v1/clock HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 20\r\n\r\n\"ad",
        };
        stream.write_all(sent).await.unwrap();
        idle.push(stream);
    }
    for (number, mut stream) in idle.into_iter().enumerate() {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let expected = if number % 3 == 2 { "HTTP/1.1 408" } else { "" };
        assert!(answer.starts_with(expected), "{number}: {answer}");
    }
    tokio::time::resume();
    let (status, health) = exchange(address, "GET /v1/health HTTP/1.1\r\nHost: localhost", "").await;
    assert_eq!((status, health), (200, json!({"status": "ok"})));
}
