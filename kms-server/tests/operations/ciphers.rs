//! Encryption, codes, hashes and signatures under keys of the server, whole and in parts.

use kms_protocol::attribute::{Attribute, CryptographicParameters};
use kms_protocol::enums::{
    BlockCipherMode as Mode, CryptographicAlgorithm, HashingAlgorithm, PaddingMethod, ResultReason,
    ValidityIndicator,
};
use kms_protocol::operation::{
    DecryptRequest, EncryptRequest, EncryptResponse, HashRequest, MacRequest, MacVerifyRequest,
    RngRetrieveRequest, RngSeedRequest, SignRequest, SignatureVerifyRequest,
};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Secret, Version};

use crate::asking::{Answer, Asker, NOW, pair_request};
use crate::{key, key_with, mode};

fn encrypt(
    ask: &Asker,
    id: &str,
    parameters: CryptographicParameters,
    iv: Option<&[u8]>,
    data: &[u8],
) -> Answer<EncryptResponse> {
    ask.ask(&EncryptRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: Some(parameters),
        data: Some(Secret::from(data)),
        iv_counter_nonce: iv.map(|iv| Bytes(iv.to_vec())),
        ..EncryptRequest::default()
    })
}

fn decrypt(
    ask: &Asker,
    id: &str,
    parameters: CryptographicParameters,
    sealed: &EncryptResponse,
    iv: Option<Bytes>,
) -> Answer<Secret> {
    ask.ask(&DecryptRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: Some(parameters),
        data: sealed.data.clone(),
        iv_counter_nonce: iv,
        tag: sealed.tag.clone(),
        ..DecryptRequest::default()
    })
    .map(|response| response.data.expect("data"))
}

#[test]
fn what_is_encrypted_is_decrypted_in_every_mode_and_version() {
    let kms = Asker::start("");
    let id = key(&kms);
    let padded = |mode| CryptographicParameters {
        padding_method: Some(PaddingMethod::Pkcs5),
        random_iv: Some(true),
        ..self::mode(mode)
    };
    for version in [Version::V1_2, Version::V1_4, Version::V2_1] {
        let ask = kms.speaking(version);
        for mode in [Mode::Ecb, Mode::Cbc, Mode::Cfb, Mode::Ofb, Mode::Ctr, Mode::Gcm, Mode::Ccm] {
            let sealed = encrypt(&ask, &id, padded(mode), None, b"some plaintext").expect("encrypted");
            assert_eq!(sealed.iv_counter_nonce.is_none(), mode == Mode::Ecb, "{mode}");
            let aead = matches!(mode, Mode::Gcm | Mode::Ccm);
            assert_eq!(sealed.tag.is_some(), aead && version >= Version::V1_4, "{mode} in {version}");
            let back = decrypt(&ask, &id, padded(mode), &sealed, sealed.iv_counter_nonce.clone());
            assert_eq!(back.expect("decrypted").expose(), b"some plaintext", "{mode} in {version}");
        }
    }
}

#[test]
fn what_cannot_be_encrypted_is_refused_with_its_reason() {
    let ask = Asker::start("");
    let id = key(&ask);
    for (what, parameters, iv, data, why) in [
        ("no mode", CryptographicParameters::default(), None, &[0; 16][..], ResultReason::InvalidField),
        ("no IV", mode(Mode::Cbc), None, &[0; 16], ResultReason::InvalidMessage),
        ("a short IV", mode(Mode::Cbc), Some(&[0; 8][..]), &[0; 16], ResultReason::InvalidField),
        ("half a block", mode(Mode::Ecb), None, &[0; 8], ResultReason::InvalidField),
        (
            "another cipher's key",
            CryptographicParameters {
                cryptographic_algorithm: Some(CryptographicAlgorithm::TripleDes),
                block_cipher_mode: Some(Mode::Gcm),
                ..CryptographicParameters::default()
            },
            None,
            &[0; 8],
            ResultReason::InvalidField,
        ),
    ] {
        let (reason, message) = encrypt(&ask, &id, parameters, iv, data).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
    }
    let late = key_with(
        &ask,
        vec![Attribute::ProtectStopDate(DateTime(NOW - 1)), Attribute::ProcessStartDate(DateTime(NOW + 1))],
    );
    let refused = encrypt(&ask, &late, mode(Mode::Ecb), None, &[0; 16]).expect_err("it protects no more");
    assert_eq!(refused.0, ResultReason::PermissionDenied);
    let refused = ask.decrypt(&late, mode(Mode::Ecb), &[0; 16]).expect_err("it processes nothing yet");
    assert_eq!(refused.0, ResultReason::PermissionDenied);
    ask.at(NOW + 1).decrypt(&late, mode(Mode::Ecb), &[0; 16]).expect("it does now");
    let sealed =
        encrypt(&ask, &id, CryptographicParameters { random_iv: Some(true), ..mode(Mode::Gcm) }, None, b"x")
            .expect("encrypted");
    let changed = EncryptResponse { data: Some(Bytes(vec![9])), ..sealed.clone() };
    let refused =
        decrypt(&ask, &id, mode(Mode::Gcm), &changed, sealed.iv_counter_nonce.clone()).expect_err("changed");
    assert_eq!(refused.0, ResultReason::CryptographicFailure);
}

#[test]
fn a_stream_goes_on_by_its_correlation_value_and_is_nobody_elses() {
    let ask = Asker::start("");
    let id = key(&ask);
    let part = |data: &[u8], correlation: Option<Bytes>, last: bool| EncryptRequest {
        unique_identifier: Some(id.as_str().into()),
        cryptographic_parameters: Some(mode(Mode::Gcm)),
        data: Some(Secret::from(data)),
        iv_counter_nonce: correlation.is_none().then(|| Bytes(vec![1; 12])),
        init_indicator: correlation.is_none().then_some(true),
        final_indicator: last.then_some(true),
        correlation_value: correlation,
        ..EncryptRequest::default()
    };
    let first = ask.ask(&part(b"one ", None, false)).expect("begun");
    let correlation = first.correlation_value.clone().expect("to go on with");
    let second = ask.ask(&part(b"two ", Some(correlation.clone()), false)).expect("gone on");
    assert_eq!(second.correlation_value, Some(correlation.clone()));
    let last = ask.ask(&part(b"three", Some(correlation.clone()), true)).expect("ended");
    let all: Vec<u8> =
        [first.data, second.data, last.data].into_iter().flat_map(|data| data.expect("data").0).collect();
    let whole = encrypt(&ask, &id, mode(Mode::Gcm), Some(&[1; 12]), b"one two three").expect("encrypted");
    assert_eq!((Some(Bytes(all)), last.tag), (whole.data, whole.tag));
    let over = ask.ask(&part(b"four", Some(correlation), true)).expect_err("it is over");
    assert_eq!(over.0, ResultReason::InvalidField);

    let begun = ask.ask(&part(b"one", None, false)).expect("begun").correlation_value.expect("to go on with");
    let other = key(&ask.by("b"));
    let foreign = EncryptRequest {
        unique_identifier: Some(other.as_str().into()),
        ..part(b"x", Some(begun.clone()), true)
    };
    assert_eq!(ask.by("b").ask(&foreign).expect_err("someone else's").0, ResultReason::InvalidField);
    let late = ask.at(NOW + 301);
    late.ask(&part(b"another", None, false)).expect("begun");
    assert_eq!(late.ask(&part(b"x", Some(begun), true)).expect_err("given up").0, ResultReason::InvalidField);
}

#[test]
fn one_client_has_a_limited_number_of_streams() {
    let ask = Asker::start("");
    let begin = HashRequest {
        cryptographic_parameters: CryptographicParameters {
            hashing_algorithm: Some(HashingAlgorithm::Sha256),
            ..CryptographicParameters::default()
        },
        data: Some(Bytes(vec![1])),
        correlation_value: None,
        init_indicator: Some(true),
        final_indicator: None,
    };
    for _ in 0..32 {
        ask.ask(&begin).expect("begun");
    }
    assert_eq!(ask.ask(&begin).expect_err("too many").0, ResultReason::GeneralFailure);
    ask.by("b").ask(&begin).expect("others have their own");
}

#[test]
fn codes_and_hashes_come_whole_and_in_parts() {
    let ask = Asker::start("");
    let id = key(&ask);
    let hmac = CryptographicParameters {
        cryptographic_algorithm: Some(CryptographicAlgorithm::HmacSha256),
        ..CryptographicParameters::default()
    };
    let mac = |data: &[u8], correlation: Option<Bytes>, init, last| MacRequest {
        unique_identifier: Some(id.as_str().into()),
        cryptographic_parameters: Some(hmac.clone()),
        data: Some(Bytes(data.to_vec())),
        correlation_value: correlation,
        init_indicator: init,
        final_indicator: last,
    };
    let whole = ask.ask(&mac(b"a message", None, None, None)).expect("a code").mac_data.expect("a code");
    let begun = ask.ask(&mac(b"a ", None, Some(true), None)).expect("begun");
    assert_eq!(begun.mac_data, None);
    let ended = ask.ask(&mac(b"message", begun.correlation_value, None, Some(true))).expect("ended");
    assert_eq!(ended.mac_data, Some(whole.clone()));
    let verify = |code: Option<Bytes>| {
        ask.ask(&MacVerifyRequest {
            unique_identifier: Some(id.as_str().into()),
            cryptographic_parameters: Some(hmac.clone()),
            data: Some(Bytes(b"a message".to_vec())),
            mac_data: code,
            ..MacVerifyRequest::default()
        })
        .map(|response| response.validity_indicator.expect("a verdict"))
    };
    assert_eq!(verify(Some(whole)).expect("a verdict"), ValidityIndicator::Valid);
    assert_eq!(verify(Some(Bytes(vec![0; 32]))).expect("a verdict"), ValidityIndicator::Invalid);
    assert_eq!(verify(None).expect_err("no code").0, ResultReason::MissingData);
    let none = MacRequest { data: None, ..mac(b"", None, None, None) };
    assert_eq!(ask.ask(&none).expect_err("no data").0, ResultReason::MissingData);
    let odd = MacRequest {
        cryptographic_parameters: Some(CryptographicParameters::default()),
        ..mac(b"x", None, None, None)
    };
    assert_eq!(ask.ask(&odd).expect_err("no algorithm").0, ResultReason::InvalidField);

    let hash = |algorithm, data: Option<&[u8]>| {
        ask.ask(&HashRequest {
            cryptographic_parameters: CryptographicParameters {
                hashing_algorithm: algorithm,
                ..CryptographicParameters::default()
            },
            data: data.map(|data| Bytes(data.to_vec())),
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
        })
        .map(|response| response.data.expect("a digest").0)
    };
    let digest = hash(Some(HashingAlgorithm::Sha256), Some(b"abc")).expect("hashed");
    assert_eq!(hex::encode(digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(hash(None, Some(b"abc")).expect_err("which").0, ResultReason::InvalidMessage);
    assert_eq!(hash(Some(HashingAlgorithm::Sha256), None).expect_err("what").0, ResultReason::MissingData);
    assert_eq!(
        hash(Some(HashingAlgorithm::Tiger), Some(b"")).expect_err("unknown").0,
        ResultReason::InvalidField
    );
}

#[test]
fn a_signature_of_parts_is_that_of_the_whole() {
    let ask = Asker::start("");
    let mut request = pair_request("rsa", 2048);
    let signs = |mask| vec![Attribute::CryptographicUsageMask(mask)].into();
    request.private_key = signs(kms_protocol::attribute::CryptographicUsageMask::SIGN);
    request.public_key = signs(kms_protocol::attribute::CryptographicUsageMask::VERIFY);
    let (private, public) = ask.pair(&request);
    ask.activate(&private);
    ask.activate(&public);
    let how = CryptographicParameters {
        padding_method: Some(PaddingMethod::Pkcs1V1_5),
        hashing_algorithm: Some(HashingAlgorithm::Sha1),
        ..CryptographicParameters::default()
    };
    let sign = |data: &[u8], correlation, init, last| SignRequest {
        unique_identifier: Some(private.as_str().into()),
        cryptographic_parameters: Some(how.clone()),
        data: Some(Bytes(data.to_vec())),
        correlation_value: correlation,
        init_indicator: init,
        final_indicator: last,
        ..SignRequest::default()
    };
    let begun = ask.ask(&sign(b"a ", None, Some(true), None)).expect("begun").correlation_value;
    let signature = ask.ask(&sign(b"message", begun, None, Some(true))).expect("signed").signature_data;
    let whole = ask.ask(&sign(b"a message", None, None, None)).expect("signed").signature_data;
    assert_eq!(signature, whole);
    let verify = |data: &[u8], correlation, init, last, signature| SignatureVerifyRequest {
        unique_identifier: Some(public.as_str().into()),
        cryptographic_parameters: Some(how.clone()),
        data: Some(Bytes(data.to_vec())),
        signature_data: signature,
        correlation_value: correlation,
        init_indicator: init,
        final_indicator: last,
        ..SignatureVerifyRequest::default()
    };
    let begun = ask.ask(&verify(b"a ", None, Some(true), None, signature)).expect("begun");
    assert_eq!(begun.validity_indicator, None);
    let ended = ask.ask(&verify(b"message", begun.correlation_value, None, Some(true), None)).expect("ended");
    assert_eq!(ended.validity_indicator, Some(ValidityIndicator::Valid));
}

#[test]
fn pkcs1_decryption_is_a_matter_of_policy_and_tells_nothing_of_the_padding() {
    let how = CryptographicParameters {
        padding_method: Some(PaddingMethod::Pkcs1V1_5),
        ..CryptographicParameters::default()
    };
    for (config, may) in [("", false), ("pkcs1-decryption = true", true)] {
        let ask = Asker::start(config);
        let (private, public) = ask.pair(&pair_request("rsa", 2048));
        ask.activate(&private);
        ask.activate(&public);
        let sealed = ask.encrypt(&public, how.clone(), b"a data key");
        match ask.decrypt(&private, how.clone(), &sealed) {
            Ok(plain) if may => assert_eq!(plain.expose(), b"a data key"),
            Err((reason, _)) if !may => assert_eq!(reason, ResultReason::InvalidField),
            other => panic!("{other:?}"),
        }
        if may {
            let mut changed = sealed;
            changed[100] ^= 1;
            let one = ask.decrypt(&private, how.clone(), &changed).expect("bytes like any others");
            assert!(one.expose() != b"a data key");
            assert_eq!(ask.decrypt(&private, how.clone(), &changed).expect("the same ones"), one);
        }
    }
}

#[test]
fn seeds_are_taken_as_the_operator_says() {
    for (config, taken) in [
        ("", Some(0)),
        ("random-seeds = \"all\"", Some(32)),
        ("random-seeds = \"half\"", Some(16)),
        ("random-seeds = \"refused\"", None),
    ] {
        let ask = Asker::start(config);
        let answer = ask.ask(&RngSeedRequest { data: Secret::new(vec![3; 32]) });
        assert_eq!(answer.as_ref().ok().map(|response| response.data_length), taken, "{config}");
        let retrieve =
            |length| ask.ask(&RngRetrieveRequest { data_length: length }).map(|response| response.data);
        let (one, other) = (retrieve(100).expect("random"), retrieve(100).expect("random"));
        assert_eq!(one.len(), 100);
        assert!(one != other);
        for refused in [-1, 65_537] {
            assert_eq!(retrieve(refused).expect_err("refused").0, ResultReason::InvalidField);
        }
    }
}
