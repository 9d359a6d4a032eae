use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};

use crate::crypto::limits::WAITING_JOBS;
use crate::crypto::{JobError, Workers};

#[test]
fn a_job_runs_on_a_worker_and_answers() {
    let workers = Workers::new(2).unwrap();
    let name = workers.run(|| std::thread::current().name().map(str::to_owned)).unwrap().unwrap();
    assert!(name.starts_with("crypto-"), "{name}");
    assert_eq!(Workers::new(0).unwrap().count(), 1);
    assert!(Workers::one_per_core().unwrap().count() >= 1);
}

#[tokio::test]
async fn a_submitted_job_is_awaited() {
    let workers = Workers::new(2).unwrap();
    let pending: Vec<_> = (0..10).map(|number| workers.submit(move || number * number)).collect();
    for (number, answer) in pending.into_iter().enumerate() {
        assert_eq!(answer.await, Ok(number * number));
    }
}

#[tokio::test]
async fn a_panic_is_reported_to_its_job_only() {
    let workers = Workers::new(1).unwrap();
    assert_eq!(workers.run(|| -> u8 { panic!("in a job") }), Err(JobError::Panicked));
    assert_eq!(workers.submit(|| -> u8 { panic!("in a job") }).await, Err(JobError::Panicked));
    assert_eq!(workers.run(|| 7), Ok(7));
    let answers = workers.map(vec![1, 2, 3], |number| {
        assert_ne!(number, 2, "in a batch");
        number * 10
    });
    assert_eq!(answers, [Ok(10), Err(JobError::Panicked), Ok(30)]);
}

#[test]
fn a_batch_is_answered_in_order() {
    let workers = Workers::new(4).unwrap();
    let answers = workers.map((0..1000).collect(), |number: u32| number + 1);
    assert_eq!(answers, (1..=1000).map(Ok).collect::<Vec<_>>());
    assert!(workers.map(Vec::<u8>::new(), |byte| byte).is_empty());
    assert_eq!(workers.map(vec![1], |byte| byte), [Ok(1)]);
}

#[test]
fn a_batch_runs_in_parallel() {
    // Both items wait for each other: one thread alone would never end.
    let workers = Workers::new(1).unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let answers = workers.map(vec![Arc::clone(&barrier), barrier], |barrier| {
        barrier.wait();
    });
    assert_eq!(answers, [Ok(()), Ok(())]);
}

#[test]
fn a_worker_may_run_jobs_and_batches_itself() {
    let workers = Arc::new(Workers::new(1).unwrap());
    let inner = Arc::clone(&workers);
    let sum = workers
        .run(move || {
            let one = inner.run(|| 1).unwrap();
            one + inner.map(vec![2, 3, 4], |number| number).into_iter().map(Result::unwrap).sum::<i32>()
        })
        .unwrap();
    assert_eq!(sum, 10);
}

/// Keeps the only worker busy until the sender is dropped.
fn occupy(workers: &Workers) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begun, begin) = mpsc::channel();
    drop(workers.submit(move || {
        begun.send(()).unwrap();
        let _ = released.recv();
    }));
    begin.recv().unwrap();
    release
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let workers = Workers::new(1).unwrap();
    let release = occupy(&workers);
    let waiting: Vec<_> = (0..WAITING_JOBS).map(|_| workers.submit(|| ())).collect();
    assert_eq!(workers.submit(|| ()).await, Err(JobError::Busy));
    assert_eq!(workers.run(|| ()), Err(JobError::Busy));
    assert_eq!(workers.map(vec![1, 2], |number| number), [Ok(1), Ok(2)], "a batch does without");
    drop(release);
    for job in waiting {
        assert_eq!(job.await, Ok(()));
    }
}

#[tokio::test]
async fn stopping_answers_those_who_wait() {
    let workers = Workers::new(1).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let release = occupy(&workers);
    let waiting = workers.submit({
        let ran = Arc::clone(&ran);
        move || ran.fetch_add(1, Ordering::SeqCst)
    });
    let stopper = std::thread::spawn(move || drop(workers));
    // Answered while the worker is still busy: the queue is emptied first.
    assert_eq!(waiting.await, Err(JobError::Stopped));
    drop(release);
    stopper.join().unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn the_last_reference_may_end_on_a_worker() {
    let workers = Arc::new(Workers::new(2).unwrap());
    let (sender, receiver) = mpsc::channel();
    let (go, going) = mpsc::channel::<()>();
    let inner = Arc::clone(&workers);
    drop(workers.submit(move || {
        going.recv().unwrap();
        drop(inner);
        sender.send(()).unwrap();
    }));
    drop(workers);
    go.send(()).unwrap();
    receiver.recv().unwrap();
}
