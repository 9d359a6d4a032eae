//! Which of several servers is asked, and when.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use kms_client::{BoxedStream, Connect, Error, TlsFault, limits};
use kms_protocol::enums::{Operation, ResultReason};
use kms_protocol::operation::{CreateKeyPairRequest, LocateRequest, LocateResponse};
use rustls::AlertDescription;
use scripted::{Ask, InMemory, Journal, Reply, Unreachable, answer, in_1_4, read_message, yes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

fn found(ask: &Ask<'_>) -> Reply {
    yes(ask, &LocateResponse { located_items: None, unique_identifiers: vec!["1".into()] })
}

#[tokio::test]
async fn a_server_that_fails_is_stood_in_for() {
    let client = Unreachable::with(InMemory::replying(in_1_4(found)));
    client.locate(&LocateRequest::default()).await.expect("the second server answers");
    // Nothing of a creation has been sent to the first: the second may be asked.
    let error =
        client.create_key_pair(&CreateKeyPairRequest::default()).await.expect_err("its payload is wrong");
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_stood_in_for_after_the_attempt_deadline() {
    let silent =
        InMemory::new(|_, mut stream| async move { while read_message(&mut stream).await.is_some() {} });
    let asked = Arc::clone(&silent.connections);
    let client =
        silent.builder().over(Box::new(InMemory::replying(in_1_4(found)))).build().expect("settings");
    let start = Instant::now();
    client.locate(&LocateRequest::default()).await.expect("the second server answers");
    let added = start.elapsed();
    assert!(added >= limits::ATTEMPT && added < limits::ATTEMPT * 2, "{added:?}");
    // From then on the second one is asked first.
    let start = Instant::now();
    client.locate(&LocateRequest::default()).await.expect("found");
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Until the first has had time to come back.
    tokio::time::sleep(limits::RETURN_FIRST * 4).await;
    client.locate(&LocateRequest::default()).await.expect("found");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn patience_outlasts_a_restart() {
    let start = Instant::now();
    let server = InMemory::new(move |_, mut stream| async move {
        if start.elapsed() < Duration::from_secs(2) {
            return;
        }
        while let Some(request) = read_message(&mut stream).await {
            if stream.write_all(&answer(&request, &in_1_4(found))).await.is_err() {
                return;
            }
        }
    });
    let client = server.builder().patience(Duration::from_secs(10)).build().expect("settings");
    client.locate(&LocateRequest::default()).await.expect("it is back in time");
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3), "{took:?}");
}

/// A server that answers after `delay`, and how often it is asked.
fn slow(delay: impl Fn() -> Duration + Send + Sync + 'static) -> (InMemory, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let (counted, delay) = (Arc::clone(&asked), Arc::new(delay));
    let server = InMemory::new(move |_, mut stream| {
        let (counted, delay) = (Arc::clone(&counted), Arc::clone(&delay));
        async move {
            while let Some(request) = read_message(&mut stream).await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(delay()).await;
                if stream.write_all(&answer(&request, &in_1_4(found))).await.is_err() {
                    return;
                }
            }
        }
    });
    (server, asked)
}

const QUICK: Duration = Duration::from_millis(5);

#[tokio::test(start_paused = true)]
async fn a_hedged_request_takes_the_first_answer_and_a_server_that_always_loses_is_asked_last() {
    let (first, asked_first) = slow(|| Duration::from_secs(1));
    let (second, asked_second) = slow(|| QUICK);
    let hedge = Duration::from_millis(50);
    let client = first.builder().over(Box::new(second)).hedge_after(hedge).build().expect("settings");
    client.version().await.expect("agreed");
    for _ in 1..limits::OUTPACED {
        let start = Instant::now();
        client.locate(&LocateRequest::default()).await.expect("the second server answers");
        assert_eq!(start.elapsed(), hedge + QUICK);
    }
    let (first, second) = (asked_first.load(Ordering::SeqCst), asked_second.load(Ordering::SeqCst));
    assert_eq!((first, second), (limits::OUTPACED as usize, limits::OUTPACED as usize));
    let start = Instant::now();
    client.locate(&LocateRequest::default()).await.expect("found");
    assert_eq!(start.elapsed(), QUICK, "nobody waits for the first any more");
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_is_never_hedged() {
    let (first, _) = slow(|| Duration::from_secs(1));
    let (second, asked_second) = slow(|| QUICK);
    let hedge = Duration::from_millis(50);
    let client = first.builder().over(Box::new(second)).hedge_after(hedge).build().expect("settings");
    client.version().await.expect("agreed");
    let before = asked_second.load(Ordering::SeqCst);
    let _ = client.create_key_pair(&CreateKeyPairRequest::default()).await;
    assert_eq!(asked_second.load(Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn one_request_finds_out_whether_a_server_is_back_and_does_not_pay_for_it() {
    let silent = Arc::new(AtomicBool::new(true));
    let now_silent = Arc::clone(&silent);
    let never = Duration::from_secs(3600);
    let (first, asked) = slow(move || if now_silent.load(Ordering::SeqCst) { never } else { QUICK });
    let (second, _) = slow(|| QUICK);
    let client = first.builder().over(Box::new(second)).build().expect("settings");
    client.version().await.expect("agreed with the second");
    for tries in 2..5 {
        tokio::time::sleep(limits::RETURN_MOST).await;
        let start = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let client = client.clone();
            all.spawn(async move { client.locate(&LocateRequest::default()).await });
        }
        while let Some(done) = all.join_next().await {
            done.expect("no panic").expect("found");
        }
        assert_eq!(asked.load(Ordering::SeqCst), tries, "one of twenty tries the first server");
        assert!(start.elapsed() <= limits::TRIAL + QUICK * 3, "{:?}", start.elapsed());
    }
    silent.store(false, Ordering::SeqCst);
    tokio::time::sleep(limits::RETURN_MOST).await;
    for back in 5..10 {
        client.locate(&LocateRequest::default()).await.expect("found");
        assert_eq!(asked.load(Ordering::SeqCst), back, "from then on it is asked first again");
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_between_rounds_grow_but_never_past_the_callers_patience() {
    let dead = InMemory::new(|_, _| async {});
    let tried = Arc::clone(&dead.connections);
    let client = dead.builder().patience(Duration::from_secs(20)).build().expect("settings");
    let start = Instant::now();
    client.locate(&LocateRequest::default()).await.expect_err("nobody answers");
    assert_eq!(start.elapsed(), Duration::from_secs(20));
    let tried = tried.load(Ordering::SeqCst);
    assert!((20..45).contains(&tried), "{tried} tries");
}

#[tokio::test(start_paused = true)]
async fn a_hedged_request_whose_last_server_fails_waits_for_the_others() {
    let never = Duration::from_secs(3600);
    let late = Duration::from_millis(900);
    let dead = InMemory::new(|_, mut stream| async move {
        let _ = read_message(&mut stream).await;
        tokio::time::sleep(QUICK).await;
    });
    let client = slow(move || never)
        .0
        .builder()
        .over(Box::new(slow(move || late).0))
        .over(Box::new(dead))
        .hedge_after(Duration::from_millis(50))
        .build()
        .expect("settings");
    let start = Instant::now();
    client.version().await.expect("the second server answers");
    assert_eq!(start.elapsed(), Duration::from_millis(50) + late);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_not_asked_is_not_taken_for_failed_again() {
    let down = Arc::new(AtomicBool::new(true));
    let flags = [Arc::new(AtomicBool::new(true)), Arc::clone(&down)];
    let never = Duration::from_secs(3600);
    let [(first, _), (second, asked)] =
        flags.clone().map(|down| slow(move || if down.load(Ordering::SeqCst) { never } else { QUICK }));
    let (third, _) = slow(|| QUICK);
    let client = first.builder().over(Box::new(second)).over(Box::new(third)).build().expect("settings");
    client.version().await.expect("the third server answers");
    let [first_down, _] = &flags;
    first_down.store(false, Ordering::SeqCst);
    down.store(false, Ordering::SeqCst);
    tokio::time::sleep(limits::RETURN_MOST).await;
    for _ in 0..20 {
        client.locate(&LocateRequest::default()).await.expect("the first server is back");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "nobody needed the second one since");
    first_down.store(true, Ordering::SeqCst);
    client.locate(&LocateRequest::default()).await.expect("the second server stands in");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "its turn comes before the third one's");
}

/// A server whose certificate is never trusted.
struct Distrusted;

impl Connect for Distrusted {
    fn address(&self) -> &str {
        "distrusted"
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<BoxedStream, Error>> + Send + '_>> {
        Box::pin(async {
            Err(Error::Tls { address: "distrusted".to_owned(), fault: TlsFault::Expired { not_after: None } })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_needs_a_person_does_not_end_the_wait_for_one_that_restarts() {
    let start = Instant::now();
    let restarting = InMemory::new(move |_, mut stream| async move {
        if start.elapsed() < Duration::from_secs(2) {
            return;
        }
        while let Some(request) = read_message(&mut stream).await {
            if stream.write_all(&answer(&request, &in_1_4(found))).await.is_err() {
                return;
            }
        }
    });
    let builder = restarting.builder().over(Box::new(Distrusted));
    let client = builder.patience(Duration::from_secs(10)).build().expect("settings");
    client.locate(&LocateRequest::default()).await.expect("the first server is back in time");
}

/// A server whose connections end with a complaint of TLS in place of the end.
struct Complaining(InMemory, rustls::Error);

struct ComplainingStream(BoxedStream, rustls::Error);

impl Connect for Complaining {
    fn address(&self) -> &str {
        "complaining"
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<BoxedStream, Error>> + Send + '_>> {
        Box::pin(async {
            Ok(Box::new(ComplainingStream(self.0.connect().await?, self.1.clone())) as BoxedStream)
        })
    }
}

impl AsyncRead for ComplainingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.0).poll_read(context, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() == before => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, self.1.clone())))
            }
            other => other,
        }
    }
}

impl AsyncWrite for ComplainingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_creation_that_a_server_may_have_read_goes_to_no_other_whatever_tls_complains_of() {
    let refusal = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
    let internal = rustls::Error::AlertReceived(AlertDescription::InternalError);
    for (complaint, asked_elsewhere) in [(rustls::Error::DecryptError, 0), (internal, 0), (refusal, 1)] {
        // Discover Versions is answered over the first connection; the creation is read over the second.
        let first = InMemory::new(|nth, mut stream| async move {
            let Some(request) = read_message(&mut stream).await else { return };
            if nth == 0 {
                let _ = stream.write_all(&answer(&request, &in_1_4(found))).await;
            }
        });
        let journal = Journal::default();
        let noted = journal.clone();
        let second = InMemory::replying(in_1_4(move |ask| {
            noted.note(ask);
            Reply::No(ResultReason::PermissionDenied)
        }));
        let builder = kms_client::Client::builder_over(Box::new(Complaining(first, complaint.clone())));
        let client = builder.over(Box::new(second)).max_idle(Duration::ZERO).build().expect("settings");
        client.version().await.expect("agreed with the first");
        let error = client.create_key_pair(&CreateKeyPairRequest::default()).await.expect_err("not made");
        assert_eq!(journal.count(Operation::CreateKeyPair), asked_elsewhere, "{complaint}");
        assert_eq!(matches!(error, Error::OutcomeUnknown { .. }), asked_elsewhere == 0, "{error:?}");
    }
}

#[tokio::test]
async fn what_only_reads_is_repeated_where_a_kept_connection_ends_with_a_complaint_of_tls() {
    let server = InMemory::new(|_, mut stream| async move {
        if let Some(request) = read_message(&mut stream).await {
            let _ = stream.write_all(&answer(&request, &in_1_4(found))).await;
            let _ = read_message(&mut stream).await;
        }
    });
    let internal = rustls::Error::AlertReceived(AlertDescription::InternalError);
    let client = kms_client::Client::builder_over(Box::new(Complaining(server, internal)));
    client.build().expect("settings").locate(&LocateRequest::default()).await.expect("over a new connection");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_merely_farther_away_comes_back() {
    let silent = Arc::new(AtomicBool::new(true));
    let now_silent = Arc::clone(&silent);
    let (never, far) = (Duration::from_secs(3600), limits::TRIAL * 4);
    let (first, _) = slow(move || if now_silent.load(Ordering::SeqCst) { never } else { far });
    let (second, asked) = slow(|| QUICK);
    let client = first.builder().over(Box::new(second)).build().expect("settings");
    client.version().await.expect("agreed with the second");
    silent.store(false, Ordering::SeqCst);
    tokio::time::sleep(limits::RETURN_MOST).await;
    let start = Instant::now();
    client.locate(&LocateRequest::default()).await.expect("found");
    assert_eq!(start.elapsed(), limits::TRIAL + QUICK, "the second answers the request that tries the first");
    tokio::time::sleep(far).await;
    let before = asked.load(Ordering::SeqCst);
    for _ in 0..3 {
        client.locate(&LocateRequest::default()).await.expect("found");
    }
    assert_eq!(asked.load(Ordering::SeqCst), before, "the first is asked first again");
}

#[tokio::test]
async fn durations_without_end_are_no_trouble() {
    let endless = Duration::MAX;
    let builder = InMemory::replying(in_1_4(found)).builder().over(Box::new(Distrusted));
    let builder = builder.deadline(endless).connect_deadline(endless).attempt_deadline(endless);
    let builder = builder.hedge_after(endless).patience(endless).max_idle(endless);
    builder.build().expect("settings").locate(&LocateRequest::default()).await.expect("found");
}
