//! What the client makes of a server's answers, right and wrong, and what it does when there is none.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kms_client::{Connection, Error, Step, limits};
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::credential::{Credential, Device, UsernameAndPassword};
use kms_protocol::enums::{Operation, ResultReason};
use kms_protocol::message::{Authentication, RequestMessage};
use kms_protocol::operation::{
    ActivateRequest, ActivateResponse, CreateKeyPairRequest, GetAttributeListRequest, GetRequest,
    HashRequest, LocateRequest, LocateResponse, QueryRequest,
};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{Secret, Version};
use scripted::{Ask, InMemory, Journal, Reply, answer, in_1_4, payload, read_message, speaking, yes};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

fn get(id: &str) -> GetRequest {
    GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() }
}

fn found(ask: &Ask<'_>) -> Reply {
    yes(ask, &LocateResponse { located_items: None, unique_identifiers: vec!["1".into()] })
}

/// A server whose answer to everything but Discover Versions is `spoil` of the right one.
fn spoiling(spoil: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> InMemory {
    let spoil = Arc::new(spoil);
    InMemory::new(move |_, mut stream| {
        let spoil = Arc::clone(&spoil);
        async move {
            while let Some(request) = read_message(&mut stream).await {
                let discovers =
                    kms_protocol::message::operations(&request).next() == Some(Operation::DiscoverVersions);
                let right = answer(&request, &in_1_4(found));
                let answer = if discovers { right } else { spoil(right) };
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    })
}

async fn locate_error(server: InMemory) -> Error {
    server.client().locate(&LocateRequest::default()).await.expect_err("the answer is spoilt")
}

/// Replaces the first occurrence.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it occurs");
    bytes.splice(at..at + from.len(), to.iter().copied());
    bytes
}

#[tokio::test]
async fn answers_that_make_no_sense_are_violations_of_the_protocol() {
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let cases: [(&str, Spoil); 7] = [
        ("a huge length", |mut bytes| {
            bytes[4..8].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xF8]);
            bytes
        }),
        ("no KMIP", |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("a request in place of a response", |bytes| {
            replaced(bytes, &[0x42, 0x00, 0x7B], &[0x42, 0x00, 0x78])
        }),
        ("a wrong batch count", |bytes| {
            let count = [0x42, 0x00, 0x0D, 0x02, 0, 0, 0, 4, 0, 0, 0];
            replaced(bytes, &[&count[..], &[1]].concat(), &[&count[..], &[2]].concat())
        }),
        ("an answer to another operation", |bytes| {
            let operation = [0x42, 0x00, 0x5C, 0x05, 0, 0, 0, 4, 0, 0, 0];
            replaced(bytes, &[&operation[..], &[0x08]].concat(), &[&operation[..], &[0x0A]].concat())
        }),
        ("an answer to another item", |bytes| {
            let id = [0x42, 0x00, 0x93, 0x08, 0, 0, 0, 4, 0, 0, 0];
            replaced(bytes, &[&id[..], &[2]].concat(), &[&id[..], &[77]].concat())
        }),
        ("another version", |bytes| {
            let minor = [0x42, 0x00, 0x6B, 0x02, 0, 0, 0, 4, 0, 0, 0];
            replaced(bytes, &[&minor[..], &[4]].concat(), &[&minor[..], &[3]].concat())
        }),
    ];
    for (what, spoil) in cases {
        let error = locate_error(spoiling(spoil)).await;
        assert!(matches!(error, Error::Protocol { .. }), "{what}: {error:?}");
        assert!(!error.is_retryable(), "{what}");
    }
}

#[tokio::test]
async fn random_answers_never_make_it_panic() {
    for seed in 0..200_u64 {
        let start = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let error = locate_error(spoiling(move |mut bytes| {
            let mut state = start;
            for byte in bytes.iter_mut().skip(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state.is_multiple_of(11) {
                    *byte = state.to_be_bytes()[0];
                }
            }
            bytes[8..].rotate_left(usize::try_from(seed % 5).expect("small"));
            bytes
        }))
        .await;
        assert!(matches!(error, Error::Protocol { .. } | Error::Refused(_)), "{seed}: {error:?}");
    }
}

#[tokio::test]
async fn a_connection_whose_exchange_failed_is_not_used_again() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let mut connection = Connection::over(ours, "memory");
    let server = tokio::spawn(async move {
        read_message(&mut theirs).await.expect("a request");
        theirs.write_all(b"HTTP/1.1 400").await.expect("the client reads");
        read_message(&mut theirs).await
    });
    let request =
        kms_protocol::message::RequestBuilder::new(kms_protocol::message::RequestHeader::new(Version::V1_4))
            .finish();
    let deadline = Instant::now() + Duration::from_secs(5);
    let first = connection.exchange(request.expose(), deadline).await;
    assert!(matches!(first, Err(Error::Protocol { .. })), "{first:?}");
    assert!(!connection.is_usable());
    let second = connection.exchange(request.expose(), deadline).await;
    assert!(matches!(second, Err(Error::Lost { step: Step::Send, .. })), "{second:?}");
    drop(connection);
    assert_eq!(server.await.expect("no panic"), None, "nothing was sent the second time");
}

#[tokio::test(start_paused = true)]
async fn slow_bytes_end_at_the_deadline() {
    let server = InMemory::new(|nth, mut stream| async move {
        let _ = nth;
        while let Some(request) = read_message(&mut stream).await {
            for byte in answer(&request, &in_1_4(found)) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        }
    });
    let client = server.builder().deadline(Duration::from_secs(20)).build().expect("settings");
    let start = Instant::now();
    let error = client.locate(&LocateRequest::default()).await.expect_err("it takes too long");
    assert_eq!(start.elapsed().as_secs(), 20);
    match &error {
        Error::TimedOut { step: Step::Answer, after, .. } => assert_eq!(after.as_secs(), 20),
        other => panic!("{other:?}"),
    }
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_refusal_says_what_was_asked_of_what_and_why() {
    let refusing = |reason| InMemory::replying(in_1_4(move |_| Reply::No(reason))).client();
    let error = refusing(ResultReason::ItemNotFound).get(&get("key 7")).await.expect_err("no");
    assert!(matches!(error, Error::NoSuchKey(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "no such key: the server answered Get of key 7 with Operation Failed, Item Not Found: as told"
    );
    let error = refusing(ResultReason::WrongKeyLifecycleState).get(&get("1")).await.expect_err("no");
    assert!(matches!(error, Error::WrongState(_)), "{error:?}");
    let error = refusing(ResultReason::PermissionDenied).get(&get("1")).await.expect_err("no");
    assert!(matches!(&error, Error::Refused(refusal) if refusal.operation == Operation::Get), "{error:?}");
    assert!(!error.is_retryable());
    assert!(error.hint().expect("a hint").contains("allow"));
    let error = refusing(ResultReason::InternalServerError).get(&get("1")).await.expect_err("no");
    assert!(error.is_retryable());
}

/// A server that closes each connection of `closes` when the next request comes, before or after reading it, and answers
/// `first` requests on each before that.
fn closing(closes: std::ops::Range<usize>, first: usize, reads: bool, journal: Journal) -> InMemory {
    InMemory::new(move |nth, mut stream| {
        let (closes, journal) = (closes.clone(), journal.clone());
        async move {
            let mut answered = 0;
            loop {
                if closes.contains(&nth) && answered == first && !reads {
                    return;
                }
                let Some(request) = read_message(&mut stream).await else { return };
                let bytes = answer(
                    &request,
                    &in_1_4(|ask: &Ask<'_>| {
                        journal.note(ask);
                        match ask.operation() {
                            Operation::Activate => {
                                yes(ask, &ActivateResponse { unique_identifier: "1".into() })
                            }
                            _ => found(ask),
                        }
                    }),
                );
                if closes.contains(&nth) && answered == first {
                    return;
                }
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
                answered += 1;
            }
        }
    })
}

#[tokio::test]
async fn a_stale_connection_is_replaced_and_what_only_reads_is_repeated() {
    for reads in [false, true] {
        let journal = Journal::default();
        // The first connection answers Discover Versions and closes at the request after it.
        let server = closing(0..1, 1, reads, journal.clone());
        let connections = Arc::clone(&server.connections);
        let client = server.client();
        client.locate(&LocateRequest::default()).await.expect("repeated over a new connection");
        assert_eq!(connections.load(Ordering::SeqCst), 2);
        assert_eq!(journal.count(Operation::Locate), if reads { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_request_is_not_repeated_over_a_second_new_connection() {
    let server = closing(0..9, 1, true, Journal::default());
    let connections = Arc::clone(&server.connections);
    let client = server.client();
    client.version().await.expect("the first answer of each connection comes");
    // One stale connection, then a new one whose second... answers the repeated request, as its first.
    client.locate(&LocateRequest::default()).await.expect("a new connection answers");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let server = closing(0..9, 0, true, Journal::default());
    let connections = Arc::clone(&server.connections);
    let error = server.client().version().await.expect_err("no connection answers");
    assert!(matches!(error, Error::Lost { step: Step::Answer, .. }), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(connections.load(Ordering::SeqCst), 1, "a new connection that breaks is not a stale one");
}

#[tokio::test]
async fn what_changes_something_is_never_repeated() {
    let journal = Journal::default();
    let server = closing(0..9, 1, true, journal.clone());
    let client = server.client();
    let request = ActivateRequest { unique_identifier: Some("1".into()) };
    let error = client.activate(&request).await.expect_err("the answer is lost");
    let Error::OutcomeUnknown { operation: Operation::Activate, cause } = &error else { panic!("{error:?}") };
    assert!(matches!(**cause, Error::Lost { .. }));
    assert!(!error.is_retryable());
    assert_eq!(journal.count(Operation::Activate), 1);
}

#[tokio::test]
async fn a_part_of_a_stream_is_never_repeated() {
    for (init_indicator, correlation_value) in [(Some(true), None), (None, Some(Bytes(vec![1])))] {
        let journal = Journal::default();
        let client = closing(0..9, 1, true, journal.clone()).client();
        let data = Some(Bytes(b"a part".to_vec()));
        let request = HashRequest {
            cryptographic_parameters: CryptographicParameters::default(),
            data,
            correlation_value,
            init_indicator,
            final_indicator: None,
        };
        let error = client.hash(&request).await.expect_err("the answer is lost");
        assert!(matches!(error, Error::OutcomeUnknown { operation: Operation::Hash, .. }), "{error:?}");
        assert_eq!(journal.count(Operation::Hash), 1);
    }
}

#[tokio::test]
async fn what_a_client_says_of_itself_goes_with_every_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "pass word\n").expect("a file");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let server = InMemory::new(move |_, mut stream| {
        let note = Arc::clone(&note);
        async move {
            while let Some(request) = read_message(&mut stream).await {
                let message = RequestMessage::read(&request).expect("a request");
                note.lock().expect("whole").push(message.header.authentication);
                let bytes = answer(&request, &in_1_4(found));
                stream.write_all(&bytes).await.expect("the client listens");
            }
        }
    });
    let device = || Credential::Device(Device { serial_number: Some("7".into()), ..Device::default() });
    let client =
        server.builder().credential(device()).user_file("backup", &password).build().expect("a client");
    client.locate(&LocateRequest::default()).await.expect("an answer");
    let user = UsernameAndPassword { username: "backup".into(), password: Some("pass word".into()) };
    let expected = Authentication { credentials: vec![device(), Credential::UsernameAndPassword(user)] };
    let seen = seen.lock().expect("whole");
    assert_eq!(seen.len(), 2, "Discover Versions and Locate");
    for authentication in seen.iter() {
        assert_eq!(authentication.as_deref(), Some(&expected));
    }
    std::fs::remove_file(&password).expect("it was there");
    let error = InMemory::replying(in_1_4(found))
        .builder()
        .user_file("backup", &password)
        .build()
        .expect_err("no file");
    assert!(matches!(&error, Error::File { path, .. } if *path == password), "{error:?}");
}

#[tokio::test]
async fn an_answer_to_a_creation_that_makes_no_sense_leaves_its_outcome_unknown() {
    let server = spoiling(|_| b"HTTP/1.1 400 Bad Request".to_vec());
    let error = server.client().create_key_pair(&CreateKeyPairRequest::default()).await.expect_err("spoilt");
    let Error::OutcomeUnknown { operation: Operation::CreateKeyPair, cause } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(*cause, Error::Protocol { .. }));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_dropped_before_the_server_does() {
    let server = InMemory::replying(in_1_4(found));
    let connections = Arc::clone(&server.connections);
    let client = server.client();
    let locate = LocateRequest::default();
    client.locate(&locate).await.expect("found");
    tokio::time::sleep(limits::IDLE - Duration::from_secs(1)).await;
    client.locate(&locate).await.expect("found");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "still fresh enough");
    tokio::time::sleep(limits::IDLE + Duration::from_secs(1)).await;
    client.locate(&locate).await.expect("found");
    assert_eq!(connections.load(Ordering::SeqCst), 2, "too old");
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_goes_over_a_connection_in_use_just_now_or_a_new_one() {
    let server = InMemory::replying(in_1_4(|ask| match ask.operation() {
        Operation::Activate => yes(ask, &ActivateResponse { unique_identifier: "1".into() }),
        _ => found(ask),
    }));
    let connections = Arc::clone(&server.connections);
    let client = server.builder().max_connections(2).build().expect("settings");
    let request = ActivateRequest { unique_identifier: Some("1".into()) };
    client.activate(&request).await.expect("done");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    for opened in 2..10 {
        tokio::time::sleep(limits::IDLE_UNREPEATABLE).await;
        client.activate(&request).await.expect("done");
        assert_eq!(connections.load(Ordering::SeqCst), opened);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_than_allowed() {
    let server = InMemory::new(|_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if stream.write_all(&answer(&request, &in_1_4(found))).await.is_err() {
                return;
            }
        }
    });
    let connections = Arc::clone(&server.connections);
    let client = server.builder().max_connections(3).build().expect("settings");
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        all.spawn(async move { client.locate(&LocateRequest::default()).await });
    }
    while let Some(done) = all.join_next().await {
        done.expect("no panic").expect("found");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn versions_are_agreed_on_the_first_call() {
    type Case = (&'static str, &'static [Version], Version, Version);
    let cases: [Case; 5] = [
        ("1.4 of all", &[Version::V2_1, Version::V1_4, Version::V1_2], Version::V1_4, Version::V1_4),
        ("2.1 on request", &[Version::V2_1, Version::V1_4], Version::V2_1, Version::V2_1),
        ("2.1 on request, not spoken", &[Version::V1_4, Version::V1_3], Version::V2_1, Version::V1_4),
        ("an old server", &[Version::V1_2, Version::V1_1], Version::V1_4, Version::V1_2),
        ("the oldest of all", &[Version::V1_0], Version::V1_4, Version::V1_0),
    ];
    for (what, spoken, wanted, agreed) in cases {
        let used = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&used);
        let server = InMemory::replying(speaking(spoken, move |ask| {
            *seen.lock().expect("not poisoned") = Some(ask.version);
            found(ask)
        }));
        let client = server.builder().version(wanted).build().expect("settings");
        client.locate(&LocateRequest::default()).await.expect(what);
        assert_eq!(*used.lock().expect("not poisoned"), Some(agreed), "{what}");
    }
    let server = InMemory::replying(speaking(&[Version::V2_0], found));
    let error = server.client().version().await.expect_err("nothing in common");
    assert!(matches!(error, Error::NoCommonVersion { .. }), "{error:?}");
    assert!(error.to_string().contains("1.4, 1.3, 1.2, 1.1, 1.0"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_tell_its_versions_is_asked_in_1_4() {
    for refusal in [Reply::No as fn(_) -> _, Reply::WholeNo] {
        for reason in [ResultReason::OperationNotSupported, ResultReason::InvalidMessage] {
            let server = InMemory::replying(move |ask| match ask.operation() {
                Operation::DiscoverVersions => refusal(reason),
                _ => found(ask),
            });
            assert_eq!(server.client().version().await.expect("goes on"), Version::V1_4);
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_1_4_is_asked_in_1_2() {
    let picky = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&picky);
    let server = InMemory::replying(move |ask| {
        if ask.version > Version::V1_2 {
            counted.fetch_add(1, Ordering::SeqCst);
            return Reply::WholeNo(ResultReason::InvalidMessage);
        }
        speaking(&[Version::V1_2], found)(ask)
    });
    assert_eq!(server.client().version().await.expect("agreed"), Version::V1_2);
    assert_eq!(picky.load(Ordering::SeqCst), 1);
}

#[test]
fn the_blocking_client_does_the_same() {
    // In memory, the server needs a runtime of its own, which the blocking client has.
    let client =
        kms_client::blocking::Client::new(InMemory::replying(in_1_4(found)).client()).expect("a runtime");
    assert_eq!(client.locate(&LocateRequest::default()).expect("found").unique_identifiers, ["1"]);
    assert_eq!(client.batch(&[LocateRequest::default(), LocateRequest::default()]).len(), 2);
}

#[tokio::test]
async fn the_blocking_client_does_not_stall_async_code() {
    let client =
        kms_client::blocking::Client::new(InMemory::replying(in_1_4(found)).client()).expect("a runtime");
    let error = client.query(&QueryRequest::default()).expect_err("it would block");
    assert!(matches!(error, Error::Settings { .. }), "{error:?}");
    drop(client);
}

#[tokio::test]
async fn an_answer_within_the_limit_is_taken_and_one_above_refused() {
    let of_size = |size: usize| {
        InMemory::replying(in_1_4(move |ask: &Ask<'_>| {
            yes(ask, &LocateResponse { located_items: None, unique_identifiers: vec!["x".repeat(size)] })
        }))
        .client()
    };
    let large = of_size(limits::RESPONSE - 1024).locate(&LocateRequest::default()).await.expect("just fits");
    assert_eq!(large.unique_identifiers[0].len(), limits::RESPONSE - 1024);
    let error = of_size(limits::RESPONSE).locate(&LocateRequest::default()).await.expect_err("too large");
    assert!(matches!(&error, Error::Protocol { what } if what.contains("limit")), "{error:?}");
}

#[tokio::test]
async fn a_missing_payload_and_a_malformed_one_are_told() {
    let server = InMemory::replying(in_1_4(|ask| match ask.operation() {
        Operation::GetAttributeList => Reply::Success(payload(&[1, 2, 3])),
        _ => Reply::Success(Secret::default()),
    }));
    let client = server.client();
    let error = client.get_attribute_list(&GetAttributeListRequest::default()).await.expect_err("malformed");
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    let error = client.get(&get("1")).await.expect_err("empty");
    assert!(error.to_string().contains("Get"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn first_calls_that_wait_for_one_version_each_end_at_their_own_deadline() {
    let limit = Duration::from_secs(2);
    let silent =
        InMemory::new(|_, mut stream| async move { while read_message(&mut stream).await.is_some() {} });
    let client = silent.builder().deadline(limit).build().expect("settings");
    let start = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        all.spawn(async move { client.locate(&LocateRequest::default()).await });
    }
    while let Some(done) = all.join_next().await {
        let error = done.expect("no panic").expect_err("no answer");
        assert!(matches!(error, Error::TimedOut { .. }) && error.is_retryable(), "{error:?}");
    }
    assert_eq!(start.elapsed(), limit);
}

#[tokio::test(start_paused = true)]
async fn agreeing_on_a_version_is_part_of_the_first_call() {
    let server = InMemory::new(|_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            if stream.write_all(&answer(&request, &in_1_4(found))).await.is_err() {
                return;
            }
        }
    });
    let client = server.builder().deadline(Duration::from_secs(2)).build().expect("settings");
    let start = Instant::now();
    client.locate(&LocateRequest::default()).await.expect_err("together they take longer");
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

#[test]
fn a_connection_is_used_only_by_the_runtime_that_opened_it() {
    let server = InMemory::replying(in_1_4(found));
    let connections = Arc::clone(&server.connections);
    let client = server.builder().deadline(Duration::from_secs(5)).build().expect("settings");
    let blocking = kms_client::blocking::Client::new(client.clone()).expect("a runtime");
    blocking.locate(&LocateRequest::default()).expect("found");
    // The other runtime stands still now, and with it what moves the bytes of its connection.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(client.locate(&LocateRequest::default())).expect("over a connection of its own");
    blocking.locate(&LocateRequest::default()).expect("over the first one");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_servers_words_command_no_terminal_and_are_no_longer_than_shown() {
    let spoil = |bytes| replaced(bytes, b"as told", b"\x1b[2J\nab");
    let server = InMemory::new(move |_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            let bytes = spoil(answer(&request, &|_: &Ask<'_>| Reply::No(ResultReason::PermissionDenied)));
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let error = server.client().query(&QueryRequest::default()).await.expect_err("no");
    assert!(error.to_string().ends_with("\u{FFFD}[2J\u{FFFD}ab"), "{error}");
    let client = InMemory::replying(in_1_4(|ask| {
        let answer = kms_protocol::operation::DecryptResponse {
            unique_identifier: "x".repeat(1 << 20),
            data: None,
            correlation_value: None,
        };
        yes(ask, &answer)
    }))
    .client();
    let hash = kms_protocol::enums::HashingAlgorithm::Sha256;
    let wrapped = kms_client::WrappedKey {
        private_id: "1".to_owned(),
        ciphertext: vec![1; 256],
        hash,
        mask_hash: hash,
    };
    let error = client.decrypt_all(&[wrapped]).await.remove(0).expect_err("another key's");
    assert!(error.to_string().len() < 2 * limits::MESSAGE_SHOWN, "{}", error.to_string().len());
}
