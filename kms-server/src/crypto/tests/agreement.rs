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
fn both_keys_of_an_agreement_are_on_one_curve() {
    let specs = [KeySpec::P256, KeySpec::P384, KeySpec::P521, KeySpec::Secp256k1, KeySpec::X25519];
    let pairs: Vec<_> = specs.into_iter().map(|spec| parsed(&generate(spec).unwrap())).collect();
    for (at, (private, public)) in pairs.iter().enumerate() {
        let (other, other_public) = parsed(&generate(specs[at]).unwrap());
        let shared = private.agree(&other_public).unwrap();
        assert_eq!(shared.len(), [32, 48, 66, 32, 32][at], "{}", specs[at]);
        assert_eq!(other.agree(public).unwrap(), shared);
        for (_, stranger) in pairs.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, pair)| pair)
        {
            let error = private.agree(stranger).unwrap_err();
            assert!(error.to_string().contains("another curve"), "{error}");
        }
    }
    let (signing, signing_public) = parsed(&generate(KeySpec::Ed25519).unwrap());
    assert!(matches!(signing.agree(&signing_public), Err(CryptoError::WrongAlgorithm { is: "Ed25519", .. })));
    let (agreeing, _) = &pairs[4];
    assert!(matches!(agreeing.agree(&signing_public), Err(CryptoError::KeyRejected { .. })));
}

#[test]
fn a_point_that_shares_the_same_with_everybody_is_refused() {
    use crate::crypto::format::ec_public_from_point;
    use kms_protocol::enums::RecommendedCurve;
    let spki = ec_public_from_point(None, RecommendedCurve::Curve25519, &[0; 32]).unwrap().unwrap();
    let (private, _) = parsed(&generate(KeySpec::X25519).unwrap());
    assert!(private.agree(&PublicKey::from_spki(&spki).unwrap()).is_err());
}

#[test]
fn a_curve_that_is_not_supported_is_refused_by_its_name() {
    // brainpoolP256r1 (RFC 5639 section 4.1), and a point that need not be one.
    let head = "305a301406072a8648ce3d020106092b2403030208010107034200";
    let spki = [hex::decode(head).unwrap(), vec![4; 65]].concat();
    let error = PublicKey::from_spki(&spki).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key's curve 1.3.36.3.3.2.8.1.1.7 is not supported\nhint: use RSA of 2048 to 8192 bits, EC on P-256, P-384, \
         P-521 or secp256k1, Ed25519 or X25519"
    );
}
