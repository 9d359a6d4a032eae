use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::crypto::{KeyCache, KeySpec, PrivateKey, generate};

fn key() -> PrivateKey {
    PrivateKey::from_pkcs8(&generate(KeySpec::P256).unwrap().private).unwrap()
}

fn load(cache: &KeyCache, id: &str) -> Arc<PrivateKey> {
    cache.find_or_load::<Infallible>(id, || Ok(key())).unwrap()
}

fn is_kept(cache: &KeyCache, id: &str) -> bool {
    cache.find_or_load(id, || Err("it is not kept")).is_ok()
}

#[test]
fn a_key_is_loaded_once() {
    let cache = KeyCache::new(8);
    let first = load(&cache, "a");
    let again = cache.find_or_load::<Infallible>("a", || panic!("it is kept")).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(cache.len(), 1);
}

#[test]
fn what_is_forgotten_while_it_is_loaded_does_not_come_back() {
    let cache = KeyCache::new(8);
    let loaded = cache.find_or_load::<Infallible>("a", || {
        cache.forget("a");
        Ok(key())
    });
    assert!(loaded.is_ok(), "whoever asked first still gets it");
    assert!(!is_kept(&cache, "a"));
    load(&cache, "a");
    assert!(is_kept(&cache, "a"));
}

#[test]
fn a_failed_load_is_the_callers_and_leaves_nothing() {
    let cache = KeyCache::new(8);
    assert_eq!(cache.find_or_load("a", || Err("no such key")).unwrap_err(), "no such key");
    assert!(cache.is_empty());
}

#[test]
fn a_full_cache_forgets_the_least_recently_used() {
    let cache = KeyCache::new(3);
    for id in ["a", "b", "c"] {
        load(&cache, id);
    }
    assert!(is_kept(&cache, "a"));
    load(&cache, "d");
    assert_eq!(cache.len(), 3);
    assert!(!is_kept(&cache, "b"));
    for id in ["a", "c", "d"] {
        assert!(is_kept(&cache, id), "{id}");
    }
    for number in 0..100 {
        load(&cache, &format!("key {number}"));
        assert!(cache.len() <= 3);
    }
}

#[test]
fn what_is_forgotten_leaves_memory_with_its_last_user() {
    let cache = KeyCache::new(8);
    let in_use = load(&cache, "a");
    let (a, b) = (Arc::downgrade(&in_use), Arc::downgrade(&load(&cache, "b")));
    cache.forget("a");
    assert!(!is_kept(&cache, "a"));
    assert!(a.upgrade().is_some(), "still in use");
    drop(in_use);
    assert!(a.upgrade().is_none());
    assert!(b.upgrade().is_some());
    cache.forget("b");
    assert!(b.upgrade().is_none());
}

#[test]
fn a_cache_of_nothing_keeps_nothing() {
    let cache = KeyCache::new(0);
    load(&cache, "a");
    assert!(cache.is_empty());
}

#[test]
fn many_threads_find_the_key_they_ask_for() {
    let cache = KeyCache::new(4);
    let keys: Vec<_> = (0..8).map(|_| generate(KeySpec::P256).unwrap()).collect();
    let loads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (cache, keys, loads) = (&cache, &keys, &loads);
            scope.spawn(move || {
                for round in 0..200 {
                    let number = (thread * 3 + round) % keys.len();
                    let found = cache
                        .find_or_load::<Infallible>(&number.to_string(), || {
                            loads.fetch_add(1, Ordering::Relaxed);
                            Ok(PrivateKey::from_pkcs8(&keys[number].private).unwrap())
                        })
                        .unwrap();
                    assert_eq!(found.public().unwrap(), keys[number].public);
                }
            });
        }
    });
    assert!(cache.len() <= 4);
    assert!(loads.load(Ordering::Relaxed) >= keys.len());
}
