use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};

use super::{parsed, rsa_2048};
use crate::crypto::{CryptoError, KeySpec, PublicKey, generate};

#[test]
fn both_sides_and_another_library_reach_the_same_secret() {
    let (ours, theirs) = (generate(KeySpec::P256).unwrap(), generate(KeySpec::P256).unwrap());
    let (our_private, our_public) = parsed(&ours);
    let (their_private, their_public) = parsed(&theirs);
    let shared = our_private.agree(&their_public).unwrap();
    assert_eq!(shared.len(), 32);
    assert_eq!(their_private.agree(&our_public).unwrap(), shared);

    let independent = p256::SecretKey::from_pkcs8_der(ours.private.expose()).unwrap();
    let peer = p256::PublicKey::from_public_key_der(&theirs.public).unwrap();
    assert_eq!(independent.diffie_hellman(&peer).raw_secret_bytes().as_slice(), shared.expose());
}

#[test]
fn an_agreement_needs_two_ec_keys() {
    let (rsa_private, rsa_public) = parsed(rsa_2048());
    let (ec_private, ec_public) = parsed(&generate(KeySpec::P256).unwrap());
    for refused in [rsa_private.agree(&ec_public), ec_private.agree(&rsa_public)] {
        assert!(matches!(refused, Err(CryptoError::WrongAlgorithm { needs: "EC", .. })));
    }
}

#[test]
fn another_curve_is_refused() {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    let key = aws_lc_rs::agreement::PrivateKey::generate(&aws_lc_rs::agreement::ECDH_P384).unwrap();
    let spki: PublicKeyX509Der<'_> = key.compute_public_key().unwrap().as_der().unwrap();
    let error = PublicKey::from_spki(spki.as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key's curve 1.3.132.0.34 is not supported\nhint: use P-256 (1.2.840.10045.3.1.7)"
    );
}
