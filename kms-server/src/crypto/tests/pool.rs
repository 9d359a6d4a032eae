use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::crypto::limits::READY_PAIRS;
use crate::crypto::{CryptoError, KeyPair, KeyPool, KeySpec, PrivateKey, Secret, generate};

fn pretend_pair(_: KeySpec) -> Result<KeyPair, CryptoError> {
    Ok(KeyPair { private: Secret::default(), public: Vec::new() })
}

#[test]
fn no_pair_is_handed_out_twice() {
    let pool = KeyPool::new(8).unwrap();
    pool.warm(KeySpec::P256);
    let taken = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let pair = pool.take(KeySpec::P256).unwrap();
                    assert_eq!(PrivateKey::from_pkcs8(&pair.private).unwrap().public().unwrap(), pair.public);
                    assert!(taken.lock().unwrap().insert(pair.public), "handed out twice");
                }
            });
        }
    });
    assert_eq!(taken.into_inner().unwrap().len(), 200);
}

#[test]
fn a_crowd_generates_no_more_at_a_time_than_there_are_cores() {
    let (at_once, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let pool = KeyPool::with_generator(0, {
        let most = Arc::clone(&most);
        move |spec| {
            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            at_once.fetch_sub(1, Ordering::SeqCst);
            pretend_pair(spec)
        }
    })
    .unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..4 * cores {
            scope.spawn(|| pool.take(KeySpec::Rsa4096).unwrap());
        }
    });
    assert!(most.load(Ordering::SeqCst) <= cores);
}

#[test]
fn a_taken_pair_is_replaced() {
    let pool = KeyPool::new(3).unwrap();
    pool.warm(KeySpec::P256);
    for _ in 0..5 {
        pool.wait_until_ready(KeySpec::P256, 3);
        assert_eq!(pool.ready(KeySpec::P256), 3);
        assert!(pool.try_take(KeySpec::P256).is_some());
    }
}

#[test]
fn only_what_was_asked_for_is_made_and_no_more_than_the_target() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let pool = KeyPool::with_generator(2, {
        let made = Arc::clone(&made);
        move |spec| {
            made.lock().unwrap().push(spec);
            pretend_pair(spec)
        }
    })
    .unwrap();
    assert!(pool.try_take(KeySpec::Rsa2048).is_none());
    pool.wait_until_ready(KeySpec::Rsa2048, 2);
    pool.warm(KeySpec::P256);
    pool.wait_until_ready(KeySpec::P256, 2);
    assert_eq!((pool.ready(KeySpec::Rsa2048), pool.ready(KeySpec::P256)), (2, 2));
    assert_eq!((pool.ready(KeySpec::Rsa4096), pool.ready(KeySpec::Rsa3072)), (0, 0));
    drop(pool);
    let made = made.lock().unwrap();
    assert_eq!(made.as_slice(), [KeySpec::Rsa2048, KeySpec::Rsa2048, KeySpec::P256, KeySpec::P256]);
}

#[test]
fn an_empty_pool_generates_for_one_without_holding_up_others() {
    let (release, released) = mpsc::channel::<()>();
    let (begun, begin) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    // With a target of 0 every pair is made by its taker.
    let pool = KeyPool::with_generator(0, move |spec| {
        if spec == KeySpec::Rsa4096 {
            begun.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
        pretend_pair(spec)
    })
    .unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| pool.take(KeySpec::Rsa4096));
        begin.recv().unwrap();
        pool.take(KeySpec::P256).unwrap();
        release.send(()).unwrap();
        slow.join().unwrap().unwrap();
    });
}

#[test]
fn a_failing_generator_is_not_called_over_and_over() {
    let calls = Arc::new(AtomicUsize::new(0));
    let pool = KeyPool::with_generator(4, {
        let calls = Arc::clone(&calls);
        move |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            Err(CryptoError::Library("no randomness"))
        }
    })
    .unwrap();
    assert_eq!(pool.take(KeySpec::P256), Err(CryptoError::Library("no randomness")));
    drop(pool);
    // The taker's call, and one by the pool's thread if it woke before the end.
    assert!(calls.load(Ordering::SeqCst) <= 2);
}

#[test]
fn the_pool_is_bounded_whatever_is_asked_for() {
    let pool = KeyPool::with_generator(usize::MAX, pretend_pair).unwrap();
    pool.warm(KeySpec::P256);
    pool.wait_until_ready(KeySpec::P256, usize::MAX);
    assert_eq!(pool.ready(KeySpec::P256), READY_PAIRS);
}

#[test]
fn stopping_ends_the_thread() {
    let held = Arc::new(());
    let pool = KeyPool::with_generator(2, {
        let held = Arc::clone(&held);
        move |spec| {
            assert!(Arc::strong_count(&held) > 0);
            generate(spec)
        }
    })
    .unwrap();
    pool.warm(KeySpec::P256);
    drop(pool);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn the_pools_thread_lets_everybody_else_go_first() {
    let (sender, receiver) = mpsc::channel();
    let pool = KeyPool::with_generator(1, move |spec| {
        // proc_pid_stat(5): nice is field 19, and the fields count on from 3 behind the name.
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let nice = stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().to_owned();
        sender.send(nice).unwrap();
        pretend_pair(spec)
    })
    .unwrap();
    pool.warm(KeySpec::P256);
    assert_eq!(receiver.recv().unwrap(), "19");
    pool.wait_until_ready(KeySpec::P256, 1);
    pool.take(KeySpec::P256).unwrap();
}
