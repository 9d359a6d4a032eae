use kms_protocol::enums::{CryptographicAlgorithm, RecommendedCurve};
use proptest::prelude::*;
use rsa::BoxedUint;
use rsa::pkcs8::EncodePrivateKey;

use super::{parsed, rsa_2048};
use crate::crypto::format::{self, RsaPrivateInput, RsaPublicParts};
use crate::crypto::{CryptoError, KeySpec, PrivateKey, PublicKey, Secret, generate};

#[test]
fn rsa_survives_every_format() {
    for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072] {
        let pair = generate(spec).unwrap();
        let pkcs1 = format::pkcs8_to_pkcs1(&pair.private).unwrap();
        assert_ne!(pkcs1, pair.private);
        assert_eq!(format::pkcs1_to_pkcs8(&pkcs1).unwrap(), pair.private);

        let pkcs1 = format::spki_to_pkcs1(&pair.public).unwrap();
        assert_ne!(pkcs1, pair.public);
        assert_eq!(format::pkcs1_to_spki(&pkcs1).unwrap(), pair.public);

        let parts = format::rsa_public_parts(&pair.public).unwrap();
        assert_eq!(parts.public_exponent, [1, 0, 1]);
        assert_eq!(format::rsa_public_from_parts(&parts).unwrap(), pair.public);
    }
}

#[test]
fn a_transparent_rsa_key_is_made_from_whatever_suffices() {
    let pair = rsa_2048();
    let parts = format::rsa_private_parts(&pair.private).unwrap();
    assert_eq!(parts.modulus, format::rsa_public_parts(&pair.public).unwrap().modulus);
    assert_eq!((parts.modulus.len(), parts.p.len(), parts.q.len()), (256, 128, 128));

    let d = Some(&parts.private_exponent);
    let primes = Some((&parts.p, &parts.q));
    let e = Some(parts.public_exponent.as_slice());
    for (private_exponent, primes, public_exponent) in
        [(d, primes, e), (d, None, e), (None, primes, e), (d, None, None), (None, primes, None)]
    {
        let input = RsaPrivateInput { modulus: &parts.modulus, public_exponent, private_exponent, primes };
        let made = format::rsa_private_from_parts(&input).unwrap();
        let again = format::rsa_private_parts(&made).unwrap();
        assert_eq!(again.modulus, parts.modulus);
        PrivateKey::from_pkcs8(&made).unwrap().prove().unwrap();
        assert_eq!(PrivateKey::from_pkcs8(&made).unwrap().public().unwrap(), pair.public);
    }
    // A Big Integer carries a sign byte: it must not matter.
    let padded = [&[0, 0], parts.modulus.as_slice()].concat();
    let input = RsaPrivateInput { modulus: &padded, public_exponent: e, private_exponent: d, primes };
    assert_eq!(format::rsa_private_from_parts(&input).unwrap(), pair.private);
}

#[test]
fn transparent_parts_that_do_not_fit_are_refused() {
    let parts = format::rsa_private_parts(&rsa_2048().private).unwrap();
    let other = format::rsa_private_parts(&generate(KeySpec::Rsa2048).unwrap().private).unwrap();
    let long = Secret::new(vec![0xFF; 1025]);
    let even = Secret::new(vec![2; 128]);
    let zero = Secret::default();
    let refused =
        |modulus: &[u8], e: Option<&[u8]>, d: Option<&Secret>, primes: Option<(&Secret, &Secret)>| {
            let input = RsaPrivateInput { modulus, public_exponent: e, private_exponent: d, primes };
            let error = format::rsa_private_from_parts(&input).unwrap_err();
            assert!(error.to_string().contains("Transparent RSA Private Key"), "{error}");
        };
    let n = parts.modulus.as_slice();
    let (d, p, q) = (&parts.private_exponent, &parts.p, &parts.q);
    refused(n, None, None, None);
    refused(n, None, Some(&other.private_exponent), None);
    refused(n, None, Some(&other.private_exponent), Some((p, q)));
    refused(n, Some(&[3]), Some(d), Some((p, q)));
    refused(n, Some(&[]), Some(d), Some((p, q)));
    refused(n, None, None, Some((p, &other.q)));
    refused(n, None, None, Some((p, p)));
    refused(n, None, None, Some((&even, &even)));
    refused(n, None, None, Some((&zero, &zero)));
    refused(n, None, Some(&long), None);
    refused(&[], None, Some(d), None);
    refused(&[0; 300], None, Some(d), Some((p, q)));
    refused(&[1], None, Some(d), None);
    for (modulus, e) in [(&n[..0], &[1, 0, 1][..]), (n, &[2]), (n, &[]), (&[0xFF; 1025], &[1, 0, 1])] {
        let parts = RsaPublicParts { modulus: modulus.to_vec(), public_exponent: e.to_vec() };
        assert!(format::rsa_public_from_parts(&parts).is_err(), "{e:?}");
    }
}

const CURVES: [(KeySpec, RecommendedCurve, usize); 4] = [
    (KeySpec::P256, RecommendedCurve::P256, 32),
    (KeySpec::P384, RecommendedCurve::P384, 48),
    (KeySpec::P521, RecommendedCurve::P521, 66),
    (KeySpec::Secp256k1, RecommendedCurve::Secp256K1, 32),
];

#[test]
fn every_curve_survives_every_format() {
    for (spec, curve, bytes) in CURVES {
        let pair = generate(spec).unwrap();
        let sec1 = format::pkcs8_to_sec1(&pair.private).unwrap();
        let back = format::sec1_to_pkcs8(&sec1).unwrap();
        let (named, scalar) = format::ec_private_scalar(&pair.private).unwrap();
        assert_eq!((named, scalar.len()), (curve, bytes), "{spec}");
        let rebuilt = format::ec_private_from_scalar(None, curve, &scalar).unwrap().unwrap();
        for private in [&back, &rebuilt] {
            assert_eq!(PrivateKey::from_pkcs8(private).unwrap().public().unwrap(), pair.public, "{spec}");
        }

        let (named, point) = format::ec_public_point(&pair.public).unwrap();
        assert_eq!((named, point.len(), point[0]), (curve, 2 * bytes + 1, 4), "{spec}");
        let from_point = |point: &[u8]| format::ec_public_from_point(None, curve, point).unwrap().unwrap();
        assert_eq!(from_point(&point), pair.public, "{spec}");
        let compressed = [&[2 + (point[2 * bytes] & 1)], &point[1..=bytes]].concat();
        assert_eq!(from_point(&compressed), pair.public, "{spec}");
    }
}

#[test]
fn keys_on_curve25519_are_their_bytes() {
    let curve = RecommendedCurve::Curve25519;
    for (spec, algorithm) in
        [(KeySpec::Ed25519, Some(CryptographicAlgorithm::Ed25519)), (KeySpec::X25519, None)]
    {
        let pair = generate(spec).unwrap();
        let (named, bytes) = format::ec_private_scalar(&pair.private).unwrap();
        assert_eq!((named, bytes.len()), (curve, 32), "{spec}");
        assert_eq!(format::ec_private_from_scalar(algorithm, curve, &bytes).unwrap().unwrap(), pair.private);
        let (named, point) = format::ec_public_point(&pair.public).unwrap();
        assert_eq!((named, point.len()), (curve, 32), "{spec}");
        assert_eq!(format::ec_public_from_point(algorithm, curve, &point).unwrap().unwrap(), pair.public);
        assert!(format::pkcs8_to_sec1(&pair.private).is_err(), "SEC1 has no such keys");
        assert!(format::ec_public_from_point(algorithm, curve, &point[1..]).is_err());
        assert!(format::ec_private_from_scalar(algorithm, curve, &Secret::new(vec![1; 33])).is_err());
    }
    // RFC 8410 section 10.3, with the public half: its own, and another's.
    let whole = "3072020101300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842a01f301d060a\
                 2a864886f70d01090914310f0c0d437572646c65204368616972738121";
    let public = "0019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    let whole = |public: &str| Secret::new(hex::decode(format!("{whole}{public}")).unwrap());
    PrivateKey::from_pkcs8(&whole(public)).unwrap().prove().unwrap();
    let other = public.replace("19bf", "19be");
    assert!(PrivateKey::from_pkcs8(&whole(&other)).is_err(), "the halves do not fit");
}

#[test]
fn a_curve_that_is_not_supported_is_none() {
    let curve = RecommendedCurve::Brainpoolp256R1;
    assert_eq!(format::ec_private_from_scalar(None, curve, &Secret::new(vec![1; 32])).unwrap(), None);
    assert_eq!(format::ec_public_from_point(None, curve, &[4; 65]).unwrap(), None);
}

#[test]
fn a_scalar_may_be_padded_or_short_but_not_out_of_range() {
    let from = |bytes: Vec<u8>| {
        format::ec_private_from_scalar(None, RecommendedCurve::P256, &Secret::new(bytes)).map(Option::unwrap)
    };
    let one = from(vec![1]).unwrap();
    assert_eq!(from([vec![0; 40], vec![1]].concat()).unwrap(), one);
    // With D = 1 the public half is the base point (SEC 2 section 2.4.2).
    let public = PrivateKey::from_pkcs8(&one).unwrap().public().unwrap();
    assert_eq!(
        hex::encode(&format::ec_public_point(&public).unwrap().1[1..33]),
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    );
    for bad in [vec![], vec![0; 32], vec![0xFF; 32], vec![1; 33]] {
        assert!(from(bad).is_err());
    }
}

#[test]
fn the_wrong_kind_of_key_is_refused_by_name() {
    let (rsa, ec) = (rsa_2048(), generate(KeySpec::P256).unwrap());
    let refused = |error: CryptoError| assert!(matches!(error, CryptoError::KeyRejected { .. }), "{error}");
    refused(format::pkcs8_to_pkcs1(&ec.private).unwrap_err());
    refused(format::pkcs1_to_pkcs8(&rsa.private).unwrap_err());
    refused(format::spki_to_pkcs1(&ec.public).unwrap_err());
    refused(format::pkcs1_to_spki(&rsa.public).unwrap_err());
    refused(format::pkcs8_to_sec1(&rsa.private).unwrap_err());
    refused(format::sec1_to_pkcs8(&ec.private).unwrap_err());
    refused(format::rsa_private_parts(&ec.private).unwrap_err());
    refused(format::rsa_public_parts(&ec.public).unwrap_err());
    refused(format::ec_private_scalar(&rsa.private).unwrap_err());
    refused(format::ec_public_point(&rsa.public).unwrap_err());
    refused(format::ec_public_from_point(None, RecommendedCurve::P256, &[4; 65]).unwrap_err());
}

/// The arithmetic of such a key is consistent, so that no parser notices: only using it does.
#[test]
fn a_key_whose_factor_is_not_prime_does_not_pass_the_proof() {
    let parts = format::rsa_private_parts(&rsa_2048().private).unwrap();
    let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, 1024).unwrap();
    let p = parts.p.expose();
    // A multiple of 3 near p. 256 leaves 1 when divided by 3, so the bytes' sum leaves what the number does.
    let sum: u32 = p.iter().map(|byte| u32::from(*byte)).sum();
    let key = (0_u64..100).find_map(|step| {
        let multiple = number(p).wrapping_add(BoxedUint::from(u64::from(2 * (sum % 3)) + 6 * step));
        rsa::PrivateKey::from_p_q(multiple, number(parts.q.expose()), BoxedUint::from(65_537_u64)).ok()
    });
    let pkcs8 = Secret::from(key.unwrap().to_pkcs8_der().unwrap().as_bytes());
    let error = PrivateKey::from_pkcs8(&pkcs8).unwrap().prove().unwrap_err();
    assert!(error.to_string().contains("does not decrypt"), "{error}");
}

/// A number of the right length, or of any other.
fn any_number(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8),
        proptest::collection::vec(any::<u8>(), length..=length),
        (any::<u8>(), any::<u8>())
            .prop_map(move |(fill, last)| [vec![fill; length - 1], vec![last]].concat()),
        proptest::collection::vec(any::<u8>(), 0..1100),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Numbers that are no key, alone and mixed with parts of one: an answer comes, and it is not a panic.
    #[test]
    fn any_transparent_parts_are_judged(
        modulus in proptest::option::of(any_number(256)),
        exponent in proptest::option::of(any_number(3)),
        d in proptest::option::of(any_number(256)),
        p in proptest::option::of(any_number(128)),
        q in proptest::option::of(any_number(128)),
        (with_d, with_primes) in any::<(bool, bool)>(),
    ) {
        let real = format::rsa_private_parts(&rsa_2048().private).unwrap();
        let is_real = modulus.is_none() && d.is_none() && p.is_none() && q.is_none();
        let modulus = modulus.unwrap_or(real.modulus);
        let d = d.map_or(real.private_exponent, Secret::new);
        let (p, q) = (p.map_or(real.p, Secret::new), q.map_or(real.q, Secret::new));
        let input = RsaPrivateInput {
            modulus: &modulus,
            public_exponent: exponent.as_deref(),
            private_exponent: with_d.then_some(&d),
            primes: with_primes.then_some((&p, &q)),
        };
        if let Ok(key) = format::rsa_private_from_parts(&input) {
            let key = PrivateKey::from_pkcs8(&key);
            prop_assert!(key.and_then(|key| key.prove()).is_ok() || !is_real);
        }
        let parts = RsaPublicParts { modulus, public_exponent: exponent.unwrap_or_default() };
        if let Ok(spki) = format::rsa_public_from_parts(&parts) {
            let _ = PublicKey::from_spki(&spki);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing that a client can send makes a conversion panic, and what it accepts a parser can judge.
    #[test]
    fn changed_keys_never_panic(at in 0_usize..1200, to in any::<u8>(), cut in 0_usize..1300) {
        let (private, _) = parsed(rsa_2048());
        let damage = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let length = bytes.len();
            bytes[at % length] = to;
            bytes.truncate(cut.max(1));
            bytes
        };
        let pair = rsa_2048();
        let pkcs8 = Secret::new(damage(pair.private.expose()));
        let _ = format::pkcs8_to_pkcs1(&pkcs8);
        let _ = format::rsa_private_parts(&pkcs8);
        if let Ok(key) = PrivateKey::from_pkcs8(&pkcs8) {
            prop_assert_eq!(key.bits(), private.bits());
        }
        let spki = damage(&pair.public);
        let _ = format::spki_to_pkcs1(&spki);
        let _ = format::rsa_public_parts(&spki);
        let _ = PublicKey::from_spki(&spki);
        let _ = format::pkcs1_to_spki(&damage(&format::spki_to_pkcs1(&pair.public).unwrap()));
    }
}

#[test]
fn both_libraries_write_the_same_sec1() {
    use p256::pkcs8::DecodePrivateKey as _;
    for _ in 0..50 {
        let pair = generate(KeySpec::P256).unwrap();
        let other = p256::SecretKey::from_pkcs8_der(pair.private.expose()).unwrap().to_sec1_der().unwrap();
        let ours = format::pkcs8_to_sec1(&pair.private).unwrap();
        assert_eq!(ours.expose(), other.as_slice());
    }
}
