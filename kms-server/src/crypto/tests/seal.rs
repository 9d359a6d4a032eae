use std::collections::HashSet;

use proptest::prelude::*;

use crate::crypto::seal::sealed_with;
use crate::crypto::{SealError, Secret, StoreKey};

const ID: &str = "7a1e";

fn key(fill: u8) -> StoreKey {
    StoreKey::from_bytes(Secret::new(vec![fill; 32])).unwrap()
}

#[test]
fn what_is_sealed_opens_for_its_object() {
    let store_key = StoreKey::generate().unwrap();
    for length in [0, 1, 15, 16, 17, 1218, 100_000] {
        let material = Secret::new(vec![0xA7; length]);
        let sealed = store_key.seal(ID, &material).unwrap();
        assert_eq!(sealed.len(), length + 37);
        assert_eq!(store_key.open(ID, &sealed).unwrap(), material);
    }
}

#[test]
fn a_key_kept_elsewhere_opens_what_it_sealed() {
    let store_key = StoreKey::generate().unwrap();
    let sealed = store_key.seal(ID, &Secret::from(&b"material"[..])).unwrap();
    let again = StoreKey::from_bytes(Secret::from(store_key.secret().expose())).unwrap();
    assert_eq!(again.id(), store_key.id());
    assert_eq!(again.open(ID, &sealed).unwrap().expose(), b"material");
    assert_ne!(StoreKey::generate().unwrap().id(), store_key.id());
}

/// Sealed by the first version: it must open as long as there are stores.
#[test]
fn a_record_of_version_1_opens() {
    let sealed = hex::decode(VERSION_1).unwrap();
    let opened = key(0x42).open("f3c1a9e0-0000-4000-8000-000000000001", &sealed).unwrap();
    assert_eq!(opened.expose(), b"a private key, once");
    assert_eq!(sealed_with(&sealed).unwrap(), key(0x42).id());
}

#[test]
fn a_record_of_another_object_is_refused() {
    let store_key = key(1);
    let sealed = store_key.seal("a", &Secret::from(&b"material"[..])).unwrap();
    for other in ["b", "", "A", "aa", "a\0", " a"] {
        assert_eq!(store_key.open(other, &sealed), Err(SealError::Damaged), "{other:?}");
    }
}

#[test]
fn another_store_key_is_told_from_damage() {
    let sealed = key(1).seal(ID, &Secret::from(&b"material"[..])).unwrap();
    let error = key(2).open(ID, &sealed).unwrap_err();
    assert_eq!(error, SealError::OtherKey { sealed_with: key(1).id(), given: key(2).id() });
    assert!(error.to_string().contains("hint: give the store key"), "{error}");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let store_key = key(1);
    let sealed = store_key.seal(ID, &Secret::from(&b"material"[..])).unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            let error = store_key.open(ID, &changed).unwrap_err();
            let expected = match at {
                0 => error == SealError::Version(1 ^ (1 << bit)),
                1..9 => matches!(error, SealError::OtherKey { .. }),
                _ => error == SealError::Damaged,
            };
            assert!(expected, "byte {at}, bit {bit}: {error:?}");
        }
    }
}

#[test]
fn a_record_cut_short_or_lengthened_is_damaged() {
    let store_key = key(1);
    let sealed = store_key.seal(ID, &Secret::from(&b"material"[..])).unwrap();
    for length in 0..sealed.len() {
        assert_eq!(store_key.open(ID, &sealed[..length]), Err(SealError::Damaged), "{length} bytes");
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert_eq!(store_key.open(ID, &longer), Err(SealError::Damaged));
}

#[test]
fn no_two_seals_are_alike_and_none_shows_its_content() {
    let store_key = key(1);
    let material = Secret::from(&b"some key material that is long enough to be found"[..]);
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let sealed = store_key.seal(ID, &material).unwrap();
        assert!(!sealed.windows(8).any(|window| window == &material.expose()[..8]));
        assert!(seen.insert(sealed[9..21].to_vec()), "a nonce came twice");
    }
}

#[test]
fn a_store_key_has_32_bytes() {
    for length in [0, 16, 31, 33, 64] {
        let error = StoreKey::from_bytes(Secret::new(vec![0; length])).unwrap_err();
        assert_eq!(error, SealError::KeyLength(length));
    }
}

#[test]
fn a_store_key_prints_its_id_only() {
    assert_eq!(format!("{:?}", key(1)), format!("StoreKey({})", key(1).id()));
    assert!(!format!("{:?} {}", key(1), key(1).id()).contains("0101"));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(key(1).open(ID, &bytes).is_err());
    }

    #[test]
    fn any_id_and_material_survive(id in ".{0,300}", material in proptest::collection::vec(any::<u8>(), 0..300)) {
        let sealed = key(1).seal(&id, &Secret::from(material.as_slice())).unwrap();
        let opened = key(1).open(&id, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), material.as_slice());
    }
}

const VERSION_1: &str = "0170ad498ad350047f87ec66d142a1dc3e3b833dad515b14668fdd88d92b95d5e9164855407b11e587ae17b663399\
                         c903f0d5e81c837a923";
