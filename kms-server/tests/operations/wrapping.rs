//! Keys that leave and come wrapped by another key.

use kms_protocol::attribute::{Attribute, CryptographicParameters, CryptographicUsageMask as Mask};
use kms_protocol::enums::{
    BlockCipherMode as Mode, CryptographicAlgorithm, EncodingOption, HashingAlgorithm, KeyWrapType,
    PaddingMethod, ResultReason, RevocationReasonCode, WrappingMethod,
};
use kms_protocol::object::{KeyBlock, KeyValue, KeyWrappingSpecification, ManagedObject, WrappingKey};
use kms_protocol::operation::{CreateKeyPairRequest, GetRequest, ImportRequest};
use kms_protocol::ttlv::Bytes;

use crate::asking::{Answer, Asker, NOW, oaep, pair_request};
use crate::{KEY, get, key, key_with, mode, password, raw, register, revoke};

fn specification(kek: &str, how: Option<CryptographicParameters>) -> KeyWrappingSpecification {
    KeyWrappingSpecification {
        wrapping_method: WrappingMethod::Encrypt,
        encryption_key: Some(WrappingKey { unique_identifier: kek.into(), cryptographic_parameters: how }),
        mac_signature_key: None,
        attribute_names: vec![],
        encoding_option: None,
    }
}

fn wrapped(ask: &Asker, id: &str, specification: KeyWrappingSpecification) -> Answer<ManagedObject> {
    let request = GetRequest {
        unique_identifier: Some(id.into()),
        key_wrapping_specification: Some(specification),
        ..GetRequest::default()
    };
    ask.ask(&request).map(|response| response.object)
}

fn import(ask: &Asker, object: ManagedObject, wrap_type: KeyWrapType) -> Answer<String> {
    let request = ImportRequest {
        unique_identifier: uuid::Uuid::new_v4().to_string(),
        object_type: None,
        replace_existing: None,
        key_wrap_type: Some(wrap_type),
        attributes: kms_protocol::attribute::AttributeList::default(),
        object,
    };
    ask.ask(&request).map(|response| response.unique_identifier)
}

#[test]
fn what_was_wrapped_is_unwrapped_by_the_same_key() {
    let ask = Asker::start("");
    let kek = key(&ask);
    let id = key(&ask);
    for how in [
        None,
        Some(mode(Mode::NistKeyWrap)),
        Some(mode(Mode::AesKeyWrapPadding)),
        Some(CryptographicParameters { padding_method: Some(PaddingMethod::Pkcs5), ..mode(Mode::Cbc) }),
        Some(mode(Mode::Gcm)),
    ] {
        for encoding in [None, Some(EncodingOption::NoEncoding), Some(EncodingOption::TtlvEncoding)] {
            let specification =
                KeyWrappingSpecification { encoding_option: encoding, ..specification(&kek, how.clone()) };
            let object = wrapped(&ask, &id, specification).expect("wrapped");
            let block = object.key_block().expect("a key");
            let Some(KeyValue::Wrapped(bytes)) = &block.key_value else { panic!("wrapped") };
            assert!(!bytes.0.windows(KEY.len()).any(|window| window == KEY), "{how:?}");
            let data = block.key_wrapping_data.as_ref().expect("how");
            assert_eq!(data.encoding_option, encoding);
            let kept = import(&ask, object, KeyWrapType::NotWrapped).expect("unwrapped");
            assert_eq!(
                get(&ask, &kept).expect("served").1.key_bytes().expect("bytes").expose(),
                KEY,
                "{how:?}"
            );
        }
    }
}

#[test]
fn a_key_that_came_wrapped_is_kept_so() {
    let ask = Asker::start("");
    let kek = key(&ask);
    let object = wrapped(&ask, &key(&ask), specification(&kek, None)).expect("wrapped");
    let id = register(&ask, object, vec![]).expect("registered");
    let served = get(&ask, &id).expect("served").1;
    assert!(matches!(
        served.key_block().and_then(|block| block.key_value.as_ref()),
        Some(KeyValue::Wrapped(_))
    ));
    let request = GetRequest {
        unique_identifier: Some(id.as_str().into()),
        key_wrap_type: Some(KeyWrapType::NotWrapped),
        ..GetRequest::default()
    };
    let plain = ask.ask(&request).expect("unwrapped").object;
    assert_eq!(plain.key_bytes().expect("bytes").expose(), KEY);
    assert_eq!(
        wrapped(&ask, &id, specification(&kek, None)).expect_err("twice").0,
        ResultReason::FeatureNotSupported
    );
}

#[test]
fn a_public_key_wraps_for_its_private_half() {
    let ask = Asker::start("");
    let mut request = pair_request("rsa", 2048);
    request.private_key = vec![Attribute::CryptographicUsageMask(Mask::UNWRAP_KEY)].into();
    request.public_key = vec![Attribute::CryptographicUsageMask(Mask::WRAP_KEY)].into();
    let (private, public) = ask.pair(&request);
    ask.activate(&private);
    ask.activate(&public);
    let how = oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256);
    let object = wrapped(&ask, &key(&ask), specification(&public, Some(how))).expect("wrapped");
    let ManagedObject::SymmetricKey(mut block) = object else { panic!("a symmetric key") };
    // The key is named by either half.
    for id in [&public, &private] {
        if let Some(key) = block.key_wrapping_data.as_mut().and_then(|data| data.encryption_key.as_mut()) {
            key.unique_identifier.clone_from(id);
        }
        let again = copy(&block);
        let kept =
            import(&ask, ManagedObject::SymmetricKey(again), KeyWrapType::NotWrapped).expect("unwrapped");
        assert_eq!(get(&ask, &kept).expect("served").1.key_bytes().expect("bytes").expose(), KEY);
    }
}

#[test]
fn pkcs1_wraps_for_everybody_and_unwraps_where_the_configuration_says_so() {
    let how = CryptographicParameters {
        padding_method: Some(PaddingMethod::Pkcs1V1_5),
        ..CryptographicParameters::default()
    };
    for (config, is_allowed) in [("", false), ("pkcs1-decryption = true", true)] {
        let ask = Asker::start(config);
        let mut request = pair_request("rsa", 2048);
        request.private_key = vec![Attribute::CryptographicUsageMask(Mask::UNWRAP_KEY)].into();
        request.public_key = vec![Attribute::CryptographicUsageMask(Mask::WRAP_KEY)].into();
        let (private, public) = ask.pair(&request);
        ask.activate(&private);
        ask.activate(&public);
        let object = wrapped(&ask, &key(&ask), specification(&public, Some(how.clone()))).expect("wrapped");
        match import(&ask, object, KeyWrapType::NotWrapped) {
            Ok(kept) => {
                assert!(is_allowed);
                assert_eq!(get(&ask, &kept).expect("served").1.key_bytes().expect("bytes").expose(), KEY);
            }
            Err((reason, message)) => {
                assert!(!is_allowed, "{message}");
                assert_eq!(reason, ResultReason::InvalidField);
            }
        }
    }
}

/// A wrapped key block again.
fn copy(block: &KeyBlock) -> KeyBlock {
    let Some(KeyValue::Wrapped(bytes)) = &block.key_value else { panic!("wrapped") };
    KeyBlock {
        key_format_type: block.key_format_type,
        key_compression_type: None,
        key_value: Some(KeyValue::Wrapped(bytes.clone())),
        cryptographic_algorithm: block.cryptographic_algorithm,
        cryptographic_length: block.cryptographic_length,
        key_wrapping_data: block.key_wrapping_data.clone(),
    }
}

fn named(id: &str, how: Option<CryptographicParameters>) -> Option<WrappingKey> {
    Some(WrappingKey { unique_identifier: id.into(), cryptographic_parameters: how })
}

#[test]
fn a_key_value_is_authenticated_before_or_after_it_is_encrypted_or_alone() {
    let ask = Asker::start("");
    let (kek, mac, id) = (key(&ask), key(&ask), key(&ask));
    let (private, public) = ask.pair(&CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(384),
        ]
        .into(),
        ..CreateKeyPairRequest::default()
    });
    ask.activate(&private);
    ask.activate(&public);
    let hmac = CryptographicParameters {
        hashing_algorithm: Some(HashingAlgorithm::Sha256),
        cryptographic_algorithm: Some(CryptographicAlgorithm::HmacSha256),
        ..CryptographicParameters::default()
    };
    for method in
        [WrappingMethod::MacSign, WrappingMethod::EncryptThenMacSign, WrappingMethod::MacSignThenEncrypt]
    {
        let encrypts = method != WrappingMethod::MacSign;
        for (by, how) in [(&mac, Some(mode(Mode::Cmac))), (&mac, Some(hmac.clone())), (&private, None)] {
            for encoding in [None, Some(EncodingOption::NoEncoding)] {
                let case = format!("{method} by {how:?}, {encoding:?}");
                let specification = KeyWrappingSpecification {
                    wrapping_method: method,
                    encryption_key: if encrypts { named(&kek, None) } else { None },
                    mac_signature_key: named(by, how.clone()),
                    attribute_names: vec![],
                    encoding_option: encoding,
                };
                let object = wrapped(&ask, &id, specification).expect(&case);
                let ManagedObject::SymmetricKey(block) = object else { panic!("a symmetric key") };
                let Some(KeyValue::Wrapped(bytes)) = &block.key_value else { panic!("wrapped") };
                assert_eq!(bytes.0.windows(KEY.len()).any(|window| window == KEY), !encrypts, "{case}");
                let kept = import(&ask, ManagedObject::SymmetricKey(copy(&block)), KeyWrapType::NotWrapped);
                let kept = kept.expect(&case);
                let found = get(&ask, &kept).expect("served").1;
                assert_eq!(found.key_bytes().expect("bytes").expose(), KEY, "{case}");

                let changed = |change: fn(&mut KeyBlock)| {
                    let mut block = copy(&block);
                    change(&mut block);
                    let changed = import(&ask, ManagedObject::SymmetricKey(block), KeyWrapType::NotWrapped);
                    changed.expect_err(&case).0
                };
                assert_eq!(
                    changed(|block| if let Some(KeyValue::Wrapped(bytes)) = &mut block.key_value {
                        bytes.0[0] ^= 1;
                    }),
                    ResultReason::CryptographicFailure,
                    "{case}"
                );
                assert_eq!(
                    changed(|block| if let Some(mac) = mac_of(block) {
                        mac.0[9] ^= 1;
                    }),
                    ResultReason::CryptographicFailure,
                    "{case}"
                );
                assert_eq!(
                    changed(|block| if let Some(data) = &mut block.key_wrapping_data {
                        data.mac_signature = None;
                    }),
                    ResultReason::InvalidMessage,
                    "{case}"
                );
            }
        }
    }
}

fn mac_of(block: &mut KeyBlock) -> Option<&mut Bytes> {
    block.key_wrapping_data.as_mut()?.mac_signature.as_mut()
}

#[test]
fn secret_data_is_wrapped_too() {
    let ask = Asker::start("");
    let kek = key(&ask);
    let id = password(&ask, "a password");
    let object = wrapped(&ask, &id, specification(&kek, None)).expect("wrapped");
    let kept = import(&ask, object, KeyWrapType::NotWrapped).expect("unwrapped");
    assert_eq!(get(&ask, &kept).expect("served").1, get(&ask, &id).expect("served").1);
}

#[test]
fn what_cannot_wrap_is_refused_with_its_reason() {
    let ask = Asker::start("");
    let (kek, id) = (key(&ask), key(&ask));
    let encrypting = key_with(&ask, vec![Attribute::CryptographicUsageMask(Mask::ENCRYPT)]);
    let foreign = key(&ask.by("b"));
    let ended = key(&ask);
    revoke(&ask, &ended, RevocationReasonCode::Superseded);
    let signing =
        KeyWrappingSpecification { wrapping_method: WrappingMethod::MacSign, ..specification(&kek, None) };
    let tr31 =
        KeyWrappingSpecification { wrapping_method: WrappingMethod::Tr31, ..specification(&kek, None) };
    let both = KeyWrappingSpecification { mac_signature_key: named(&kek, None), ..specification(&kek, None) };
    let unsigned = KeyWrappingSpecification {
        wrapping_method: WrappingMethod::EncryptThenMacSign,
        ..specification(&kek, None)
    };
    let des = ManagedObject::SymmetricKey(KeyBlock {
        cryptographic_algorithm: Some(CryptographicAlgorithm::TripleDes),
        ..raw(&[7; 24])
    });
    let uses = vec![
        Attribute::CryptographicUsageMask(Mask::WRAP_KEY),
        Attribute::ActivationDate(kms_protocol::DateTime(NOW - 1)),
    ];
    let des = register(&ask, des, uses).expect("registered");
    let nothing = KeyWrappingSpecification { encryption_key: None, ..specification(&kek, None) };
    for (what, specification, why) in [
        ("usage mask", specification(&encrypting, None), ResultReason::PermissionDenied),
        ("someone else's", specification(&foreign, None), ResultReason::ItemNotFound),
        ("nobody's", specification("nobody", None), ResultReason::ItemNotFound),
        ("Deactivated", specification(&ended, None), ResultReason::PermissionDenied),
        ("TR-31", tr31, ResultReason::FeatureNotSupported),
        ("a key for nothing", both, ResultReason::FeatureNotSupported),
        ("no key to sign", unsigned, ResultReason::InvalidMessage),
        ("3DES", specification(&des, Some(mode(Mode::NistKeyWrap))), ResultReason::InvalidField),
        ("3DES without a mode", specification(&des, None), ResultReason::InvalidField),
        ("signing", signing, ResultReason::FeatureNotSupported),
        ("no key", nothing, ResultReason::InvalidMessage),
    ] {
        let (reason, message) = wrapped(&ask, &id, specification).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
    }
    let other = key_with(&ask, vec![]);
    let object = wrapped(&ask, &id, specification(&kek, None)).expect("wrapped");
    let ManagedObject::SymmetricKey(mut block) = object else { panic!("a symmetric key") };
    if let Some(KeyValue::Wrapped(bytes)) = &mut block.key_value {
        bytes.0[0] ^= 1;
    }
    let changed =
        import(&ask, ManagedObject::SymmetricKey(block), KeyWrapType::NotWrapped).expect_err("changed");
    assert_eq!(changed.0, ResultReason::CryptographicFailure);
    drop(other);
}
