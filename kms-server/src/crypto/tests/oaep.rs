use std::collections::BTreeSet;

use kms_protocol::enums::HashingAlgorithm as Hash;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::{PaddingScheme, PublicKeyParts};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::{parsed, rsa_2048};
use crate::crypto::{CryptoError, KeySpec, OAEP_HASHES, Oaep, generate};

const PLAINTEXT: &[u8] = b"the key of a backup file";

fn oaep(hash: Hash, mask: Hash, label: &[u8]) -> Oaep {
    Oaep::new(Some(hash), Some(mask), label).unwrap()
}

#[test]
fn every_pair_of_hashes_decrypts_what_it_encrypted() {
    let (private, public) = parsed(rsa_2048());
    for hash in OAEP_HASHES {
        for mask in OAEP_HASHES {
            for label in [&b""[..], b"a label"] {
                let oaep = oaep(hash, mask, label);
                let ciphertext = public.encrypt(&oaep, PLAINTEXT).unwrap();
                assert_eq!(private.decrypt(&oaep, &ciphertext).unwrap().expose(), PLAINTEXT, "{hash} {mask}");
            }
        }
    }
}

#[test]
fn the_hashes_default_to_sha_1_each_for_itself() {
    let (private, public) = parsed(rsa_2048());
    let stated = public.encrypt(&oaep(Hash::Sha256, Hash::Sha1, b""), PLAINTEXT).unwrap();
    let by_default = Oaep::new(Some(Hash::Sha256), None, b"").unwrap();
    assert_eq!(private.decrypt(&by_default, &stated).unwrap().expose(), PLAINTEXT);
    let stated = public.encrypt(&oaep(Hash::Sha1, Hash::Sha1, b""), PLAINTEXT).unwrap();
    let by_default = Oaep::new(None, None, b"").unwrap();
    assert_eq!(private.decrypt(&by_default, &stated).unwrap().expose(), PLAINTEXT);
}

/// aws-lc on one side, the `rsa` crate on the other, both ways.
#[test]
fn both_libraries_understand_each_other() {
    struct Random;
    impl TryRng for Random {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            let mut bytes = [0; 4];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            let mut bytes = [0; 8];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
            aws_lc_rs::rand::fill(out).unwrap();
            Ok(())
        }
    }
    impl TryCryptoRng for Random {}

    fn check<P: PaddingScheme>(hash: Hash, label: &[u8], padding: impl Fn() -> P) {
        let (private, public) = parsed(rsa_2048());
        let their_private = rsa::PrivateKey::from_pkcs8_der(rsa_2048().private.expose()).unwrap();
        let their_public = rsa::PublicKey::from_public_key_der(&rsa_2048().public).unwrap();
        let ours = oaep(hash, hash, label);
        let ciphertext = public.encrypt(&ours, PLAINTEXT).unwrap();
        assert_eq!(their_private.decrypt(padding(), &ciphertext).unwrap(), PLAINTEXT, "{hash}");
        let ciphertext = their_public.encrypt(&mut Random, padding(), PLAINTEXT).unwrap();
        assert_eq!(private.decrypt(&ours, &ciphertext).unwrap().expose(), PLAINTEXT, "{hash}");
    }
    for label in [&b""[..], b"a label"] {
        check(Hash::Sha1, label, || rsa::Oaep::<Sha1>::new_with_label(label));
        check(Hash::Sha256, label, || rsa::Oaep::<Sha256>::new_with_label(label));
        check(Hash::Sha384, label, || rsa::Oaep::<Sha384>::new_with_label(label));
        check(Hash::Sha512, label, || rsa::Oaep::<Sha512>::new_with_label(label));
    }
}

#[test]
fn every_failure_is_the_same_failure() {
    let (private, public) = parsed(rsa_2048());
    let (_, other) = parsed(&generate(KeySpec::Rsa2048).unwrap());
    let modulus = {
        let key = rsa::PublicKey::from_public_key_der(&rsa_2048().public).unwrap();
        key.n_bytes().to_vec()
    };
    // One that aws-lc decrypts, one that the rsa crate decrypts.
    for mask in [Hash::Sha256, Hash::Sha1] {
        let right = oaep(Hash::Sha256, mask, b"label");
        let good = public.encrypt(&right, PLAINTEXT).unwrap();
        let flipped = |at: usize| {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            bad
        };
        let bad: Vec<Vec<u8>> = vec![
            Vec::new(),
            vec![0; 1],
            good[1..].to_vec(),
            good[..255].to_vec(),
            [&[0], good.as_slice()].concat(),
            [good.as_slice(), &[0]].concat(),
            vec![0; 256],
            vec![1; 256],
            vec![0xFF; 256],
            modulus.clone(),
            vec![0x41; 1 << 20],
            flipped(0),
            flipped(128),
            flipped(255),
            other.encrypt(&right, PLAINTEXT).unwrap(),
            public.encrypt(&oaep(Hash::Sha256, mask, b"another label"), PLAINTEXT).unwrap(),
            public.encrypt(&oaep(Hash::Sha384, mask, b"label"), PLAINTEXT).unwrap(),
            public.encrypt(&oaep(Hash::Sha256, Hash::Sha512, b"label"), PLAINTEXT).unwrap(),
        ];
        let mut messages = BTreeSet::new();
        for ciphertext in bad {
            let error = private.decrypt(&right, &ciphertext).unwrap_err();
            assert_eq!(error, CryptoError::Decryption);
            messages.insert(format!("{error} {error:?}"));
        }
        assert_eq!(messages.len(), 1);
        assert_eq!(private.decrypt(&right, &good).unwrap().expose(), PLAINTEXT);
    }
}

#[test]
fn a_block_takes_what_the_hash_leaves_and_not_a_byte_more() {
    let (private, public) = parsed(rsa_2048());
    for (hash, mask, limit) in [
        (Hash::Sha1, Hash::Sha1, 214),
        (Hash::Sha256, Hash::Sha256, 190),
        (Hash::Sha256, Hash::Sha1, 190),
        (Hash::Sha512, Hash::Sha512, 126),
        (Hash::Sha512, Hash::Sha1, 126),
        (Hash::Sha512_224, Hash::Sha1, 198),
    ] {
        let oaep = oaep(hash, mask, b"");
        for length in [0, 1, limit] {
            let plaintext = vec![7; length];
            let ciphertext = public.encrypt(&oaep, &plaintext).unwrap();
            assert_eq!(private.decrypt(&oaep, &ciphertext).unwrap().expose(), plaintext);
        }
        assert_eq!(
            public.encrypt(&oaep, &vec![7; limit + 1]),
            Err(CryptoError::PlaintextTooLong { length: limit + 1, limit })
        );
    }
}

#[test]
fn what_oaep_does_not_take_is_refused_with_what_it_takes() {
    let error = Oaep::new(Some(Hash::Md5), None, b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Hashing Algorithm MD5 for OAEP is not supported\nhint: use one of SHA-1, SHA-224, SHA-256, SHA-384, \
         SHA-512, SHA-512/224, SHA-512/256"
    );
    let error = Oaep::new(None, Some(Hash::Sha3_256), b"").unwrap_err();
    assert!(error.to_string().starts_with("Mask Generator Hashing Algorithm SHA3-256"), "{error}");
    let label = vec![0; super::super::limits::OAEP_LABEL_BYTES + 1];
    assert!(matches!(Oaep::new(None, None, &label), Err(CryptoError::TooLong { what: "P Source", .. })));
}

#[test]
fn an_ec_key_neither_encrypts_nor_decrypts() {
    let (private, public) = parsed(&generate(KeySpec::P256).unwrap());
    let oaep = Oaep::new(None, None, b"").unwrap();
    assert!(matches!(private.decrypt(&oaep, &[0; 256]), Err(CryptoError::WrongAlgorithm { .. })));
    assert!(matches!(public.encrypt(&oaep, b"x"), Err(CryptoError::WrongAlgorithm { .. })));
}

#[test]
fn many_threads_share_one_key() {
    let (private, public) = parsed(rsa_2048());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for mask in [Hash::Sha256, Hash::Sha1, Hash::Sha256] {
                    let oaep = oaep(Hash::Sha256, mask, b"");
                    let ciphertext = public.encrypt(&oaep, PLAINTEXT).unwrap();
                    assert_eq!(private.decrypt(&oaep, &ciphertext).unwrap().expose(), PLAINTEXT);
                }
            });
        }
    });
}
