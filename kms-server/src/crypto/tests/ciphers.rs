//! Known answers of the standards, and that streams give what the whole gives.

use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{
    BlockCipherMode as Mode, CryptographicAlgorithm as Algorithm, HashingAlgorithm as Hash, PaddingMethod,
};

use crate::crypto::mac::Coder;
use crate::crypto::signature::Scheme;
use crate::crypto::{Cipher, CryptoError, Direction, derive, generate, hash, wrap};

const AES_KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const TWO_BLOCKS: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
const COUNTED: &str = "000102030405060708090a0b0c0d0e0f";

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(bytes(text))
}

fn parameters(mode: Option<Mode>) -> CryptographicParameters {
    CryptographicParameters { block_cipher_mode: mode, ..CryptographicParameters::default() }
}

/// Algorithm, mode, key, IV, plaintext, ciphertext.
type Answer = (Algorithm, Option<Mode>, &'static str, &'static str, &'static str, &'static str);

/// FIPS 197, NIST SP 800-38A appendix F, SP 800-67 appendix B, IEEE 1619 vector 1, RFC 8439 appendix A.1, the Blowfish
/// vectors of its author.
const ANSWERS: &[Answer] = &[
    (
        Algorithm::Aes,
        Some(Mode::Ecb),
        COUNTED,
        "",
        "00112233445566778899aabbccddeeff",
        "69c4e0d86a7b0430d8cdb78070b4c55a",
    ),
    (
        Algorithm::Aes,
        Some(Mode::Cbc),
        AES_KEY,
        COUNTED,
        TWO_BLOCKS,
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
    ),
    (
        Algorithm::Aes,
        Some(Mode::Cfb),
        AES_KEY,
        COUNTED,
        TWO_BLOCKS,
        "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b",
    ),
    (
        Algorithm::Aes,
        Some(Mode::Ofb),
        AES_KEY,
        COUNTED,
        TWO_BLOCKS,
        "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825",
    ),
    (
        Algorithm::Aes,
        Some(Mode::Ctr),
        AES_KEY,
        "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        TWO_BLOCKS,
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
    ),
    (
        Algorithm::Aes,
        Some(Mode::Xts),
        "0000000000000000000000000000000000000000000000000000000000000000",
        "00000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e",
    ),
    (
        Algorithm::TripleDes,
        Some(Mode::Ecb),
        "0123456789abcdef23456789abcdef01456789abcdef0123",
        "",
        "5468652071756663",
        "a826fd8ce53b855f",
    ),
    (Algorithm::Blowfish, Some(Mode::Ecb), "0123456789abcdef", "", "1111111111111111", "61f9c3802281b096"),
    (
        Algorithm::ChaCha20,
        None,
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "00000000000000000000000000000000",
        "76b8e0ada0f13d90405d6ae55386bd28",
    ),
];

#[test]
fn ciphers_give_the_standards_answers_in_one_and_in_parts() {
    for (algorithm, mode, key, iv, plain, expected) in ANSWERS {
        let cipher = Cipher::new(*algorithm, &parameters(*mode)).unwrap();
        let (key, iv, plain, expected) = (secret(key), bytes(iv), bytes(plain), bytes(expected));
        for (direction, input, output) in
            [(Direction::Encrypt, &plain, &expected), (Direction::Decrypt, &expected, &plain)]
        {
            let whole = cipher.run(direction, &key, &iv, b"", input, None).unwrap();
            assert_eq!(
                hex::encode(whole.data.expose()),
                hex::encode(output),
                "{algorithm} {mode:?} {direction:?}"
            );
            let mut stream = cipher.start(direction, &key, &iv, b"").unwrap();
            let mut out = Vec::new();
            for part in input.chunks(5) {
                out.extend_from_slice(stream.update(part).unwrap().expose());
            }
            out.extend_from_slice(stream.finish(b"", None).unwrap().data.expose());
            assert_eq!(out, *output, "{algorithm} {mode:?} {direction:?} in parts");
        }
    }
}

#[test]
fn padding_fills_the_last_block_and_comes_off_again() {
    let (key, iv) = (secret(AES_KEY), bytes(COUNTED));
    for method in
        [PaddingMethod::Pkcs5, PaddingMethod::AnsiX9_23, PaddingMethod::Iso10126, PaddingMethod::Zeros]
    {
        let parameters =
            CryptographicParameters { padding_method: Some(method), ..parameters(Some(Mode::Cbc)) };
        let cipher = Cipher::new(Algorithm::Aes, &parameters).unwrap();
        for length in 1..=33 {
            let plain = vec![7; length];
            let sealed = cipher.run(Direction::Encrypt, &key, &iv, b"", &plain, None).unwrap().data;
            assert_eq!(sealed.len() % 16, 0);
            let mut stream = cipher.start(Direction::Decrypt, &key, &iv, b"").unwrap();
            let mut back = Vec::new();
            for part in sealed.expose().chunks(16) {
                back.extend_from_slice(stream.update(part).unwrap().expose());
            }
            back.extend_from_slice(stream.finish(b"", None).unwrap().data.expose());
            assert_eq!(back, plain, "{method} of {length} bytes");
        }
    }
    let padded =
        CryptographicParameters { padding_method: Some(PaddingMethod::Pkcs5), ..parameters(Some(Mode::Cbc)) };
    let cipher = Cipher::new(Algorithm::Aes, &padded).unwrap();
    let wrong = cipher.run(Direction::Decrypt, &key, &iv, b"", &bytes(TWO_BLOCKS), None);
    assert_eq!(wrong, Err(CryptoError::Decryption));
    let bare = Cipher::new(Algorithm::Aes, &parameters(Some(Mode::Cbc))).unwrap();
    for direction in [Direction::Encrypt, Direction::Decrypt] {
        assert_eq!(
            bare.run(direction, &key, &iv, b"", b"seven b", None),
            Err(CryptoError::NotWholeBlocks(16))
        );
    }
}

/// NIST's GCM test case 2, SP 800-38C example 3, RFC 8439 section 2.8.2 (its first bytes).
#[test]
fn authenticated_ciphers_give_the_standards_answers() {
    let cases = [
        (
            Algorithm::Aes,
            Mode::Gcm,
            16,
            "00000000000000000000000000000000",
            "000000000000000000000000",
            "",
            "00000000000000000000000000000000",
            "0388dace60b6a392f328c2b971b2fe78",
            "ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (
            Algorithm::Aes,
            Mode::Ccm,
            8,
            "404142434445464748494a4b4c4d4e4f",
            "101112131415161718191a1b",
            "000102030405060708090a0b0c0d0e0f10111213",
            "202122232425262728292a2b2c2d2e2f3031323334353637",
            "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5",
            "484392fbc1b09951",
        ),
    ];
    for (algorithm, mode, tag_bytes, key, iv, additional, plain, expected, tag) in cases {
        let parameters = CryptographicParameters { tag_length: Some(tag_bytes), ..parameters(Some(mode)) };
        let cipher = Cipher::new(algorithm, &parameters).unwrap();
        let (key, iv, additional) = (secret(key), bytes(iv), bytes(additional));
        let (plain, expected, tag) = (bytes(plain), bytes(expected), bytes(tag));
        let sealed = cipher.run(Direction::Encrypt, &key, &iv, &additional, &plain, None).unwrap();
        assert_eq!((sealed.data.expose(), sealed.tag.as_deref()), (&expected[..], Some(&tag[..])), "{mode}");

        let mut stream = cipher.start(Direction::Encrypt, &key, &iv, &additional).unwrap();
        let mut out = stream.update(&plain[..5]).unwrap().expose().to_vec();
        out.extend_from_slice(stream.update(&plain[5..9]).unwrap().expose());
        let last = stream.finish(&plain[9..], None).unwrap();
        out.extend_from_slice(last.data.expose());
        assert_eq!((out, last.tag), (expected.clone(), Some(tag.clone())), "{mode} in parts");

        let open = |additional: &[u8], data: &[u8], tag: Option<&[u8]>| {
            cipher.run(Direction::Decrypt, &key, &iv, additional, data, tag)
        };
        assert_eq!(open(&additional, &expected, Some(&tag)).unwrap().data.expose(), plain);
        let mut wrong = tag.clone();
        wrong[0] ^= 1;
        for refused in [
            open(&additional, &expected, Some(&wrong)),
            open(&additional, &expected, None),
            open(&additional, &expected, Some(&tag[1..])),
            open(b"other", &expected, Some(&tag)),
            open(&additional, &plain, Some(&tag)),
        ] {
            assert_eq!(refused, Err(CryptoError::Decryption), "{mode}");
        }
    }
}

#[test]
fn a_tag_that_was_cut_short_proves_what_the_whole_one_proves() {
    for (algorithm, mode, key_bytes) in
        [(Algorithm::Aes, Mode::Gcm, 32), (Algorithm::ChaCha20Poly1305, Mode::Aead, 32)]
    {
        let (key, iv) = (Secret::new(vec![9; key_bytes]), [3; 12]);
        let of = |tag| {
            let parameters = CryptographicParameters { tag_length: Some(tag), ..parameters(Some(mode)) };
            Cipher::new(algorithm, &parameters)
        };
        let sealed = of(16).unwrap().run(Direction::Encrypt, &key, &iv, b"a", b"data", None).unwrap();
        let tag = sealed.tag.unwrap();
        let short = of(12).unwrap();
        let again = short.run(Direction::Encrypt, &key, &iv, b"a", b"data", None).unwrap();
        assert_eq!(again.tag.as_deref(), Some(&tag[..12]));
        let open =
            |tag: &[u8]| short.run(Direction::Decrypt, &key, &iv, b"a", sealed.data.expose(), Some(tag));
        assert_eq!(open(&tag[..12]).unwrap().data.expose(), b"data");
        assert_eq!(open(&[0; 12]), Err(CryptoError::Decryption));
        for refused in [1, 11, 17, 32] {
            assert_eq!(of(refused), Err(CryptoError::TagLength(refused as usize)));
        }
    }
}

#[test]
fn keys_and_initialization_vectors_of_other_lengths_are_refused() {
    for (mode, iv) in [(Mode::Cbc, 8), (Mode::Ctr, 12), (Mode::Gcm, 11), (Mode::Ecb, 0), (Mode::Xts, 16)] {
        let cipher = Cipher::new(Algorithm::Aes, &parameters(Some(mode))).unwrap();
        let odd =
            cipher.start(Direction::Encrypt, &Secret::new(vec![1; 15]), &vec![0; cipher.iv_bytes()], b"");
        assert!(matches!(odd, Err(CryptoError::KeyRejected { .. })), "{mode}");
        if mode != Mode::Ecb && mode != Mode::Xts {
            let odd = cipher.start(Direction::Encrypt, &Secret::new(vec![1; 16]), &vec![0; iv], b"");
            assert!(matches!(odd, Err(CryptoError::IvLength { .. })), "{mode}");
        }
    }
    for (algorithm, mode) in
        [(Algorithm::Rsa, Mode::Cbc), (Algorithm::Aes, Mode::Pcbc), (Algorithm::TripleDes, Mode::Gcm)]
    {
        assert!(matches!(
            Cipher::new(algorithm, &parameters(Some(mode))),
            Err(CryptoError::Unsupported { .. })
        ));
    }
    assert!(Cipher::new(Algorithm::Aes, &parameters(None)).is_err(), "no mode, and AES has no usual one");
}

#[test]
fn an_authenticated_stream_has_a_limit() {
    let cipher = Cipher::new(Algorithm::Aes, &parameters(Some(Mode::Gcm))).unwrap();
    let mut stream = cipher.start(Direction::Decrypt, &Secret::new(vec![1; 16]), &[0; 12], b"").unwrap();
    let megabyte = vec![0; 1024 * 1024];
    for _ in 0..4 {
        assert!(stream.update(&megabyte).unwrap().is_empty(), "nothing comes out before the tag is proved");
    }
    assert!(matches!(stream.update(&[0]), Err(CryptoError::TooLong { .. })));
}

/// RFC 4231 test case 2, RFC 4493 example 1, FIPS 180-4 and FIPS 202 for "abc".
#[test]
fn codes_and_hashes_give_the_standards_answers() {
    let mut coder = Coder::hmac(Hash::Sha256, b"Jefe").unwrap();
    coder.update(b"what do ya want ");
    coder.update(b"for nothing?");
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hex::encode(coder.finish()), expected);

    let cmac = || Coder::new(Some(Algorithm::Aes), &parameters(Some(Mode::Cmac)), &secret(AES_KEY)).unwrap();
    assert_eq!(hex::encode(cmac().finish()), "bb1d6929e95937287fa37d129b756746");
    assert!(cmac().proves(&bytes("bb1d6929e95937287fa37d129b756746")));
    assert!(!cmac().proves(&bytes("bb1d6929e95937287fa37d129b756747")));
    assert!(!cmac().proves(b""));

    for (algorithm, expected) in [
        (Hash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Hash::Sha3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Hash::Md5, "900150983cd24fb0d6963f7d28e17f72"),
    ] {
        assert_eq!(hex::encode(hash::digest(algorithm, b"abc").unwrap()), expected, "{algorithm}");
    }
    assert!(matches!(hash::digest(Hash::Tiger, b""), Err(CryptoError::Unsupported { .. })));
}

/// RFC 3394 section 4.1, RFC 5649 section 6.
#[test]
fn keys_are_wrapped_as_the_standards_do() {
    let kek = secret(COUNTED);
    let key = secret("00112233445566778899aabbccddeeff");
    let wrapped = wrap::wrap(&kek, false, &key).unwrap();
    assert_eq!(hex::encode(&wrapped), "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
    assert_eq!(wrap::unwrap(&kek, false, &wrapped).unwrap(), key);
    assert_eq!(wrap::unwrap(&key, false, &wrapped), Err(CryptoError::Decryption));
    assert_eq!(wrap::wrap(&kek, false, &secret("0011")), Err(CryptoError::NotWholeBlocks(8)));

    let kek = secret("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8");
    let key = secret("c37b7e6492584340bed12207808941155068f738");
    let wrapped = wrap::wrap(&kek, true, &key).unwrap();
    assert_eq!(hex::encode(&wrapped), "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a");
    assert_eq!(wrap::unwrap(&kek, true, &wrapped).unwrap(), key);
    assert!(matches!(wrap::wrap(&secret("00"), true, &key), Err(CryptoError::KeyRejected { .. })));
}

/// RFC 6070 test case 2, RFC 5869 test case 1.
#[test]
fn keys_are_derived_as_the_standards_do() {
    let password = Secret::from(&b"password"[..]);
    let derived = derive::pbkdf2(Hash::Sha1, &password, b"salt", 2, 20).unwrap();
    assert_eq!(hex::encode(derived.expose()), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
    for refused in [0, 10_000_001] {
        assert!(derive::pbkdf2(Hash::Sha1, &password, b"salt", refused, 20).is_err());
    }
    let derived = derive::hkdf(
        Hash::Sha256,
        &Secret::new(vec![0x0b; 22]),
        &bytes("000102030405060708090a0b0c"),
        &secret("f0f1f2f3f4f5f6f7f8f9"),
        42,
    );
    assert_eq!(
        hex::encode(derived.unwrap().expose()),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
    assert!(matches!(
        derive::hmac(Hash::Sha256, &password, &Secret::from(&b"data"[..]), 33),
        Err(CryptoError::TooLong { limit: 32, .. })
    ));
}

/// The example of Amazon's documentation of the signing process.
#[test]
fn the_signing_key_of_aws_is_that_of_its_documentation() {
    let key = Secret::from(&b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"[..]);
    let data = [&b"20150830"[..], b"us-east-1", b"iam"].map(Secret::from);
    let made = derive::aws_signature_4(&key, &data, 32).unwrap();
    assert_eq!(
        hex::encode(made.expose()),
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    );
    assert!(matches!(derive::aws_signature_4(&key, &data[1..], 32), Err(CryptoError::KeyRejected { .. })));
    assert!(matches!(derive::aws_signature_4(&key, &data, 33), Err(CryptoError::TooLong { .. })));
}

#[test]
fn nist_800_108_is_what_another_library_makes_of_it() {
    use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};
    let key = Secret::new(vec![5; 32]);
    let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).unwrap();
    let mut expected = [0; 80];
    kbkdf_ctr_hmac(algorithm, key.expose(), b"fixed input", &mut expected).unwrap();
    let made = |rounds, iv: &[u8], bytes| {
        derive::nist_800_108(rounds, Hash::Sha256, &key, iv, &Secret::from(&b"fixed input"[..]), bytes)
            .unwrap()
    };
    assert_eq!(made(derive::Rounds::Counter, b"", 80).expose(), expected);

    // The first round of the other modes, and one that feeds back, are single codes.
    let code = |parts: &[&[u8]]| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.expose());
        aws_lc_rs::hmac::sign(&key, &parts.concat()).as_ref().to_vec()
    };
    let first = code(&[b"iv", &[0, 0, 0, 1], b"fixed input"]);
    let second = code(&[&first, &[0, 0, 0, 2], b"fixed input"]);
    assert_eq!(made(derive::Rounds::Feedback, b"iv", 64).expose(), [first, second].concat());
    let one = code(&[b"fixed input"]);
    let two = code(&[&one]);
    let expected =
        [code(&[&one, &[0, 0, 0, 1], b"fixed input"]), code(&[&two, &[0, 0, 0, 2], b"fixed input"])].concat();
    assert_eq!(made(derive::Rounds::DoublePipeline, b"", 64).expose(), expected);
}

#[test]
fn what_a_private_key_signs_its_public_half_verifies() {
    let digest = |hash| hash::digest(hash, b"message").unwrap();
    let rsa = super::rsa_2048();
    let ec = |spec| generate(spec).unwrap();
    use crate::crypto::KeySpec;
    let (p256, p384, p521, k256) =
        (ec(KeySpec::P256), ec(KeySpec::P384), ec(KeySpec::P521), ec(KeySpec::Secp256k1));
    for (pair, algorithm, padding, hash, salt) in [
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pss), Hash::Sha256, None),
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pss), Hash::Sha256, Some(222)),
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pss), Hash::Sha1, Some(0)),
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pkcs1V1_5), Hash::Sha512, None),
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pkcs1V1_5), Hash::Sha224, None),
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pkcs1V1_5), Hash::Sha3_256, None),
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pss), Hash::Sha3_512, None),
        (rsa, Algorithm::Rsa, Some(PaddingMethod::Pss), Hash::Sha512_256, None),
        (&p256, Algorithm::Ecdsa, None, Hash::Sha256, None),
        (&p256, Algorithm::Ecdsa, None, Hash::Sha512, None),
        (&p256, Algorithm::Ecdsa, None, Hash::Sha1, None),
        (&p384, Algorithm::Ecdsa, None, Hash::Sha384, None),
        (&p384, Algorithm::Ecdsa, None, Hash::Sha256, None),
        (&p521, Algorithm::Ecdsa, None, Hash::Sha512, None),
        (&p521, Algorithm::Ecdsa, None, Hash::Sha256, None),
        (&k256, Algorithm::Ecdsa, None, Hash::Sha256, None),
        (&k256, Algorithm::Ecdsa, None, Hash::Sha3_256, None),
    ] {
        let parameters = CryptographicParameters {
            padding_method: padding,
            hashing_algorithm: Some(hash),
            salt_length: salt,
            ..CryptographicParameters::default()
        };
        let scheme = Scheme::new(algorithm, None, &parameters).unwrap();
        let (private, public) = super::parsed(pair);
        let mut signature = private.sign(&scheme, &digest(hash)).unwrap();
        assert!(public.verify(&scheme, &digest(hash), &signature).unwrap(), "{scheme:?}");
        let other = hash::digest(hash, b"another").unwrap();
        assert!(!public.verify(&scheme, &other, &signature).unwrap());
        *signature.last_mut().unwrap() ^= 1;
        assert!(!public.verify(&scheme, &digest(hash), &signature).unwrap());
        assert!(private.sign(&scheme, b"no digest").is_err());
        assert!(public.verify(&scheme, b"no digest", &signature).is_err());
    }
}

/// What this server signs by one library, another verifies, whatever the hash.
#[test]
fn aws_lc_verifies_what_is_signed_with_a_hash_that_is_not_the_curves_own() {
    use crate::crypto::KeySpec;
    use aws_lc_rs::signature as aws;
    for (spec, hash, with) in [
        (KeySpec::P256, Hash::Sha384, &aws::ECDSA_P256_SHA384_ASN1),
        (KeySpec::P256, Hash::Sha512, &aws::ECDSA_P256_SHA512_ASN1),
        (KeySpec::P384, Hash::Sha256, &aws::ECDSA_P384_SHA256_ASN1),
        (KeySpec::P521, Hash::Sha256, &aws::ECDSA_P521_SHA256_ASN1),
        (KeySpec::P521, Hash::Sha224, &aws::ECDSA_P521_SHA224_ASN1),
        (KeySpec::Secp256k1, Hash::Sha3_256, &aws::ECDSA_P256K1_SHA3_256_ASN1),
    ] {
        let pair = generate(spec).unwrap();
        let stated = CryptographicParameters { hashing_algorithm: Some(hash), ..parameters(None) };
        let scheme = Scheme::new(Algorithm::Ec, Some(spec.bits()), &stated).unwrap();
        let digest = hash::digest(hash, b"message").unwrap();
        let signature = super::parsed(&pair).0.sign(&scheme, &digest).unwrap();
        let key = aws::UnparsedPublicKey::new(with, &pair.public);
        key.verify(b"message", &signature).unwrap_or_else(|_| panic!("{spec} {hash}"));
    }
}

/// RFC 8032 section 7.1, test 2.
#[test]
fn ed25519_signs_the_message_itself_in_one_and_in_parts() {
    let private = crate::crypto::format::ec_private_from_scalar(
        Some(Algorithm::Ed25519),
        kms_protocol::enums::RecommendedCurve::Curve25519,
        &secret("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
    );
    let private = crate::crypto::PrivateKey::from_pkcs8(&private.unwrap().unwrap()).unwrap();
    let scheme = Scheme::new(private.algorithm(), Some(256), &parameters(None)).unwrap();
    assert!(!scheme.takes_digest());
    let mut message = scheme.start().unwrap();
    message.update(b"").unwrap();
    message.update(&[0x72]).unwrap();
    let signature = private.sign(&scheme, &message.finish()).unwrap();
    assert_eq!(
        hex::encode(&signature),
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee\
         b00d291612bb0c00"
    );
    let mut long = scheme.start().unwrap();
    long.update(&vec![0; 4 * 1024 * 1024]).unwrap();
    assert!(matches!(long.update(&[0]), Err(CryptoError::TooLong { .. })));
    let hashed = CryptographicParameters { hashing_algorithm: Some(Hash::Sha512), ..parameters(None) };
    assert!(matches!(Scheme::new(Algorithm::Ed25519, None, &hashed), Err(CryptoError::Unsupported { .. })));
    let (agreeing, _) = super::parsed(&generate(crate::crypto::KeySpec::X25519).unwrap());
    let ecdsa = Scheme::new(Algorithm::Ec, Some(256), &parameters(None)).unwrap();
    assert!(matches!(agreeing.sign(&ecdsa, &[0; 32]), Err(CryptoError::WrongAlgorithm { .. })));
}

#[test]
fn a_scheme_of_another_kind_of_key_or_a_salt_that_does_not_fit_is_refused() {
    let with = |change: fn(&mut CryptographicParameters)| {
        let mut parameters = CryptographicParameters::default();
        change(&mut parameters);
        parameters
    };
    use kms_protocol::enums::DigitalSignatureAlgorithm as Signature;
    let ecdsa = with(|all| all.digital_signature_algorithm = Some(Signature::EcdsaWithSha256));
    assert!(matches!(Scheme::new(Algorithm::Rsa, None, &ecdsa), Err(CryptoError::WrongAlgorithm { .. })));
    let rsa = with(|all| all.digital_signature_algorithm = Some(Signature::Sha256WithRsaEncryption));
    assert!(matches!(Scheme::new(Algorithm::Ec, None, &rsa), Err(CryptoError::WrongAlgorithm { .. })));
    let negative = with(|all| all.salt_length = Some(-1));
    assert!(matches!(Scheme::new(Algorithm::Rsa, None, &negative), Err(CryptoError::Unsupported { .. })));
    let long = with(|all| {
        all.padding_method = Some(PaddingMethod::Pss);
        all.hashing_algorithm = Some(Hash::Sha256);
        all.salt_length = Some(223);
    });
    let scheme = Scheme::new(Algorithm::Rsa, None, &long).unwrap();
    let (private, _) = super::parsed(super::rsa_2048());
    assert!(matches!(private.sign(&scheme, &[0; 32]), Err(CryptoError::Unsupported { .. })));
}
