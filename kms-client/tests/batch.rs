//! Many requests at once: split, in parallel, halved where the server wants less, each item for itself.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use kms_client::{Client, Error, limits};
use kms_protocol::Secret;
use kms_protocol::enums::{BatchErrorContinuationOption, Operation, ResultReason};
use kms_protocol::message::RequestMessage;
use kms_protocol::operation::{
    ActivateRequest, ActivateResponse, DecryptRequest, DecryptResponse, GetAttributesRequest,
    GetAttributesResponse,
};
use kms_protocol::ttlv::Bytes;
use scripted::{Ask, InMemory, Journal, Reply, answer, in_1_4, outcomes, read_message, response, yes};
use tokio::io::AsyncWriteExt as _;

fn ask_about(id: usize) -> GetAttributesRequest {
    GetAttributesRequest { unique_identifier: Some(id.to_string().into()), ..Default::default() }
}

fn about(ask: &Ask<'_>) -> Reply {
    let request: GetAttributesRequest = ask.read();
    let id = request.unique_identifier.and_then(|id| id.as_text().map(str::to_owned)).expect("an identifier");
    yes(ask, &GetAttributesResponse { unique_identifier: id, attributes: Default::default() })
}

async fn ids(client: &Client, count: usize) -> Vec<Result<String, Error>> {
    let requests: Vec<_> = (0..count).map(ask_about).collect();
    let answers = client.batch(&requests).await;
    answers.into_iter().map(|answer| answer.map(|answer| answer.unique_identifier)).collect()
}

fn assert_all(answers: Vec<Result<String, Error>>, count: usize) {
    assert_eq!(answers.len(), count);
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.expect("answered"), at.to_string());
    }
}

#[tokio::test]
async fn a_thousand_items_go_out_in_messages_of_the_batch_limit_and_come_back_in_order() {
    let journal = Journal::default();
    let noted = journal.clone();
    let client = InMemory::replying(in_1_4(move |ask| {
        noted.note(ask);
        about(ask)
    }))
    .client();
    assert_all(ids(&client, 1000).await, 1000);
    assert!(journal.sizes(Operation::GetAttributes).iter().all(|of| *of == limits::BATCH));
    assert_all(ids(&client, 0).await, 0);
    assert_all(ids(&client, 1).await, 1);
}

#[tokio::test]
async fn a_batch_asks_to_go_on_after_a_failure_in_any_order() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let headers = std::sync::Arc::clone(&seen);
    let client = InMemory::new(move |_, mut stream| {
        let headers = std::sync::Arc::clone(&headers);
        async move {
            while let Some(request) = read_message(&mut stream).await {
                let header = RequestMessage::read(&request).expect("a request").header;
                headers.lock().expect("not poisoned").push(header);
                if stream.write_all(&answer(&request, &in_1_4(about))).await.is_err() {
                    return;
                }
            }
        }
    })
    .client();
    assert_all(ids(&client, 3).await, 3);
    let headers = seen.lock().expect("not poisoned");
    let [discover, batch] = headers.as_slice() else { panic!("{headers:?}") };
    assert_eq!(discover.batch_error_continuation_option, None);
    assert_eq!(batch.batch_error_continuation_option, Some(BatchErrorContinuationOption::Continue));
    assert_eq!(batch.batch_order_option, Some(false));
    assert_eq!(batch.maximum_response_size, i32::try_from(limits::RESPONSE).ok());
}

#[tokio::test]
async fn one_missing_key_fails_alone() {
    let client = InMemory::replying(in_1_4(|ask| {
        let request: GetAttributesRequest = ask.read();
        match request.unique_identifier.and_then(|id| id.as_text().map(str::to_owned)).as_deref() {
            Some("3") => Reply::No(ResultReason::ItemNotFound),
            _ => about(ask),
        }
    }))
    .client();
    let answers = ids(&client, 10).await;
    for (at, answer) in answers.into_iter().enumerate() {
        match answer {
            Err(Error::NoSuchKey(refusal)) => assert_eq!((at, refusal.object.as_deref()), (3, Some("3"))),
            answer => assert_eq!(answer.expect("answered"), at.to_string()),
        }
    }
}

#[tokio::test]
async fn answers_in_another_order_find_their_requests() {
    let client = InMemory::new(|_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            let mut outcomes = outcomes(&answer(&request, &in_1_4(about)));
            outcomes.reverse();
            let bytes = response(&outcomes);
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
    })
    .client();
    assert_all(ids(&client, 100).await, 100);
}

#[tokio::test]
async fn a_batch_is_halved_until_the_server_takes_it_and_the_size_is_remembered() {
    for reason in [ResultReason::InvalidMessage, ResultReason::ResponseTooLarge] {
        let journal = Journal::default();
        let noted = journal.clone();
        let client = InMemory::replying(in_1_4(move |ask| {
            if ask.of > 20 {
                return Reply::WholeNo(reason);
            }
            noted.note(ask);
            about(ask)
        }))
        .client();
        assert_all(ids(&client, 600).await, 600);
        let sizes = journal.sizes(Operation::GetAttributes);
        let taken = *sizes.iter().max().expect("some");
        assert!((11..=20).contains(&taken), "{taken}");
        let whole = sizes.iter().filter(|of| **of == taken).count();
        assert!(whole > 550, "most go out in the largest messages that the server takes: {sizes:?}");
        assert_all(ids(&client, 600).await, 600);
        let later = &journal.sizes(Operation::GetAttributes)[600..];
        assert!(later.iter().all(|of| *of <= taken), "{later:?}");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_batch_at_all_is_asked_one_by_one() {
    let client = InMemory::replying(in_1_4(|ask| match ask.of {
        1 => about(ask),
        _ => Reply::WholeNo(ResultReason::FeatureNotSupported),
    }))
    .client();
    assert_all(ids(&client, 40).await, 40);
}

#[tokio::test]
async fn one_poisonous_item_does_not_shrink_the_batches_of_all() {
    let journal = Journal::default();
    let noted = journal.clone();
    let client = InMemory::new(move |_, mut stream| {
        let journal = noted.clone();
        async move {
            while let Some(request) = read_message(&mut stream).await {
                // "no 100" stands in the request's text.
                let poisonous = request.windows(3).any(|window| window == b"100");
                let bytes = answer(
                    &request,
                    &in_1_4(|ask: &Ask<'_>| {
                        if poisonous {
                            return Reply::WholeNo(ResultReason::InvalidMessage);
                        }
                        journal.note(ask);
                        about(ask)
                    }),
                );
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    })
    .client();
    let answers = ids(&client, 900).await;
    let failed: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.is_err()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, 100);
    assert!(
        matches!(failed[0].1, Err(Error::Refused(refusal)) if refusal.reason == Some(ResultReason::InvalidMessage))
    );
    let whole = journal.sizes(Operation::GetAttributes).iter().filter(|of| **of == limits::BATCH).count();
    assert!(whole >= 500, "{whole} items went out in whole batches");
}

#[tokio::test]
async fn items_whose_answers_do_not_fit_are_asked_again_in_less() {
    // Answers to the first 30 items of a message fit, as a server does that fills its response until it is full.
    let client = InMemory::new(|_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            let answered = std::sync::atomic::AtomicUsize::new(0);
            let bytes = answer(
                &request,
                &in_1_4(|ask: &Ask<'_>| match answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                    0..30 => about(ask),
                    _ => Reply::No(ResultReason::ResponseTooLarge),
                }),
            );
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
    })
    .client();
    assert_all(ids(&client, 300).await, 300);
}

#[tokio::test]
async fn a_server_that_stops_at_a_failure_though_asked_not_to_is_asked_for_the_rest() {
    let client = InMemory::new(|_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            let whole = answer(
                &request,
                &in_1_4(|ask: &Ask<'_>| {
                    let request: GetAttributesRequest = ask.read();
                    let id = request.unique_identifier.and_then(|id| id.as_text().map(str::to_owned));
                    if id.as_deref().is_some_and(|id| id.ends_with('7')) {
                        return Reply::No(ResultReason::ItemNotFound);
                    }
                    about(ask)
                }),
            );
            let mut outcomes = outcomes(&whole);
            if let Some(at) = outcomes.iter().position(|outcome| outcome.result_reason.is_some()) {
                outcomes.truncate(at + 1);
            }
            if stream.write_all(&response(&outcomes)).await.is_err() {
                return;
            }
        }
    })
    .client();
    for (at, answer) in ids(&client, 50).await.into_iter().enumerate() {
        match answer {
            Err(Error::NoSuchKey(_)) => assert_eq!(at % 10, 7),
            answer => assert_eq!(answer.expect("answered"), at.to_string()),
        }
    }
}

#[tokio::test]
async fn an_answer_left_out_for_no_reason_is_a_violation() {
    let client = InMemory::new(|_, mut stream| async move {
        while let Some(request) = read_message(&mut stream).await {
            let message = RequestMessage::read(&request).expect("a request");
            let mut bytes = answer(&request, &in_1_4(about));
            if message.items.len() > 1 {
                // The answer to the first item alone, under a right Batch Count.
                bytes = response(&outcomes(&bytes)[..1]);
            }
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
    })
    .client();
    for answer in ids(&client, 5).await {
        assert!(matches!(answer, Err(Error::Protocol { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn requests_of_many_bytes_are_split_by_size() {
    let journal = Journal::default();
    let noted = journal.clone();
    let client = InMemory::replying(in_1_4(move |ask| {
        noted.note(ask);
        let request: DecryptRequest = ask.read();
        let data = request.data.map(|data| Secret::new(data.0));
        yes(ask, &DecryptResponse { unique_identifier: "1".into(), data, correlation_value: None })
    }))
    .client();
    let request = |fill: u8| DecryptRequest {
        unique_identifier: Some("1".into()),
        cryptographic_parameters: None,
        data: Some(Bytes(vec![fill; 100_000])),
        ..DecryptRequest::default()
    };
    let requests: Vec<_> = (0..25).map(request).collect();
    for (fill, answer) in (0..).zip(client.batch(&requests).await) {
        assert_eq!(answer.expect("decrypted").data.expect("data").expose(), vec![fill; 100_000]);
    }
    let sizes = journal.sizes(Operation::Decrypt);
    assert_eq!(sizes.iter().max(), Some(&10), "ten of them are just below 1 MiB");
}

#[tokio::test]
async fn what_changes_something_is_sent_once_in_a_batch_too() {
    let journal = Journal::default();
    let noted = journal.clone();
    let client = InMemory::replying(in_1_4(move |ask| {
        noted.note(ask);
        let request: ActivateRequest = ask.read();
        match request.unique_identifier.and_then(|id| id.as_text().map(str::to_owned)).as_deref() {
            // The work is done, says this, and only the answer does not fit.
            Some("2") => Reply::No(ResultReason::ResponseTooLarge),
            _ => yes(ask, &ActivateResponse { unique_identifier: "1".into() }),
        }
    }))
    .client();
    let requests: Vec<_> =
        (0..5_usize).map(|id| ActivateRequest { unique_identifier: Some(id.to_string().into()) }).collect();
    let answers = client.batch(&requests).await;
    assert!(answers[2].is_err());
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4);
    assert_eq!(journal.count(Operation::Activate), 5);

    let journal = Journal::default();
    let noted = journal.clone();
    let client = InMemory::replying(in_1_4(move |ask| {
        noted.note(ask);
        Reply::WholeNo(ResultReason::ResponseTooLarge)
    }))
    .client();
    assert!(client.batch(&requests).await.iter().all(Result::is_err));
    assert_eq!(journal.count(Operation::Activate), 1, "the whole message, once");
}

#[tokio::test]
async fn what_changes_something_and_was_left_out_of_the_answer_is_not_sent_again() {
    let journal = Journal::default();
    let noted = journal.clone();
    let client = InMemory::new(move |_, mut stream| {
        let journal = noted.clone();
        async move {
            while let Some(request) = read_message(&mut stream).await {
                let whole = answer(
                    &request,
                    &in_1_4(|ask: &Ask<'_>| {
                        journal.note(ask);
                        Reply::No(ResultReason::PermissionDenied)
                    }),
                );
                // All are worked; the first is answered.
                if stream.write_all(&response(&outcomes(&whole)[..1])).await.is_err() {
                    return;
                }
            }
        }
    })
    .client();
    let requests: Vec<_> =
        (0..5_usize).map(|id| ActivateRequest { unique_identifier: Some(id.to_string().into()) }).collect();
    let answers = client.batch(&requests).await;
    assert_eq!(journal.count(Operation::Activate), 5);
    assert!(matches!(answers[0], Err(Error::Refused(_))), "{:?}", answers[0]);
    for answer in &answers[1..] {
        assert!(matches!(answer, Err(Error::OutcomeUnknown { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn a_few_items_that_do_not_go_together_make_no_limit_for_others() {
    for few in [2, 3, 5] {
        let journal = Journal::default();
        let noted = journal.clone();
        let client = InMemory::replying(in_1_4(move |ask| {
            if (2..=few).contains(&ask.of) {
                return Reply::WholeNo(ResultReason::ResponseTooLarge);
            }
            noted.note(ask);
            about(ask)
        }))
        .client();
        assert_all(ids(&client, few).await, few);
        assert_all(ids(&client, 100).await, 100);
        assert_eq!(journal.sizes(Operation::GetAttributes)[few..], [100; 100]);
    }
}
