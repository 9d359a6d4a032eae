use kms_protocol::enums::{CryptographicAlgorithm as Algorithm, RecommendedCurve as Curve};

use super::parsed;
use crate::crypto::{CryptoError, KeySpec, PrivateKey, PublicKey, Secret, generate, sha256};

#[test]
fn every_specification_makes_a_working_pair() {
    for spec in KeySpec::ALL {
        let pair = generate(spec).unwrap();
        let (private, public) = parsed(&pair);
        assert_eq!(private.bits(), usize::try_from(spec.bits()).unwrap(), "{spec}");
        assert_eq!((public.bits(), public.algorithm()), (private.bits(), private.algorithm()));
        assert_eq!(private.public().unwrap(), pair.public, "{spec}");
        private.prove().unwrap();
        assert_ne!(generate(spec).unwrap(), pair, "{spec}");
    }
}

#[test]
fn a_request_names_a_specification() {
    let check = |algorithm, length, curve, expected: Option<KeySpec>| {
        assert_eq!(KeySpec::new(algorithm, length, curve).ok(), expected, "{algorithm} {length:?} {curve:?}");
    };
    check(Algorithm::Rsa, Some(2048), None, Some(KeySpec::Rsa2048));
    check(Algorithm::Rsa, Some(3072), None, Some(KeySpec::Rsa3072));
    check(Algorithm::Rsa, Some(4096), None, Some(KeySpec::Rsa4096));
    check(Algorithm::Rsa, Some(1024), None, None);
    check(Algorithm::Rsa, Some(-2048), None, None);
    check(Algorithm::Rsa, None, None, None);
    for algorithm in [Algorithm::Ec, Algorithm::Ecdsa, Algorithm::Ecdh] {
        check(algorithm, Some(256), None, Some(KeySpec::P256));
        check(algorithm, None, Some(Curve::P256), Some(KeySpec::P256));
        check(algorithm, Some(256), Some(Curve::P256), Some(KeySpec::P256));
        check(algorithm, Some(384), None, Some(KeySpec::P384));
        check(algorithm, None, Some(Curve::P384), Some(KeySpec::P384));
        check(algorithm, Some(521), Some(Curve::P521), Some(KeySpec::P521));
        check(algorithm, Some(256), Some(Curve::Secp256K1), Some(KeySpec::Secp256k1));
        check(algorithm, Some(384), Some(Curve::P256), None);
        check(algorithm, Some(256), Some(Curve::P384), None);
        check(algorithm, Some(512), None, None);
        check(algorithm, None, Some(Curve::Brainpoolp256R1), None);
        check(algorithm, None, None, None);
    }
    for algorithm in [Algorithm::Ec, Algorithm::Ecdh] {
        check(algorithm, None, Some(Curve::Curve25519), Some(KeySpec::X25519));
    }
    check(Algorithm::Ecdsa, None, Some(Curve::Curve25519), None);
    check(Algorithm::Ed25519, None, None, Some(KeySpec::Ed25519));
    check(Algorithm::Ed25519, Some(256), Some(Curve::Curve25519), Some(KeySpec::Ed25519));
    check(Algorithm::Ed25519, None, Some(Curve::P256), None);
    check(Algorithm::Ed25519, Some(512), None, None);
    check(Algorithm::Ed448, None, None, None);
    check(Algorithm::Aes, Some(256), None, None);
    check(Algorithm::Other(0x8000_0000), Some(256), None, None);
}

#[test]
fn a_refusal_names_what_would_do() {
    let error = KeySpec::new(Algorithm::Rsa, Some(1024), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Cryptographic Length 1024 for RSA is not supported\nhint: use 2048, 3072 or 4096"
    );
    let error = KeySpec::new(Algorithm::Ec, None, Some(Curve::Brainpoolp384R1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Recommended Curve BRAINPOOLP384R1 is not supported\nhint: use P-256, P-384, P-521, SECP256K1 or CURVE25519"
    );
}

#[test]
fn what_is_no_key_is_refused_with_its_reason() {
    let long = vec![0x30; super::super::limits::ENCODED_KEY_BYTES + 1];
    for bytes in [&b""[..], b"\x30", b"not a key at all", &[0; 600]] {
        let private = PrivateKey::from_pkcs8(&Secret::from(bytes)).unwrap_err();
        assert!(matches!(private, CryptoError::KeyRejected { .. }), "{private}");
        let public = PublicKey::from_spki(bytes).unwrap_err();
        assert!(matches!(public, CryptoError::KeyRejected { .. }), "{public}");
    }
    assert!(matches!(
        PrivateKey::from_pkcs8(&Secret::from(long.as_slice())),
        Err(CryptoError::TooLong { length: 16_385, .. })
    ));
    assert!(matches!(PublicKey::from_spki(&long), Err(CryptoError::TooLong { .. })));
}

#[test]
fn a_key_cut_short_or_changed_is_refused() {
    let pair = super::rsa_2048();
    let der = pair.private.expose();
    for length in (0..der.len()).step_by(37) {
        assert!(PrivateKey::from_pkcs8(&Secret::from(&der[..length])).is_err(), "{length} bytes");
    }
    // Inside d, which begins after the header, n and e.
    let mut changed = der.to_vec();
    changed[400] ^= 1;
    assert!(PrivateKey::from_pkcs8(&Secret::new(changed)).is_err());
}

#[test]
fn keys_print_nothing_secret() {
    let (private, public) = parsed(super::rsa_2048());
    assert_eq!(format!("{private:?} {public:?}"), "PrivateKey(RSA of 2048 bits) PublicKey(RSA of 2048 bits)");
    let pair = format!("{:?}", generate(KeySpec::P256).unwrap());
    assert!(pair.starts_with("KeyPair { private: Secret("), "{pair}");
}

#[test]
fn the_digest_is_sha_256() {
    // FIPS 180-4, example "abc".
    assert_eq!(
        hex::encode(sha256(b"abc")),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
