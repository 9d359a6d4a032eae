//! Keys that leave and come wrapped by another key.

use kms_protocol::attribute::{Attribute, CryptographicParameters, CryptographicUsageMask as Mask};
use kms_protocol::enums::{
    BlockCipherMode as Mode, EncodingOption, HashingAlgorithm, KeyWrapType, ResultReason,
    RevocationReasonCode, WrappingMethod,
};
use kms_protocol::object::{KeyValue, KeyWrappingSpecification, ManagedObject, WrappingKey};
use kms_protocol::operation::{GetRequest, ImportRequest};

use crate::asking::{Answer, Asker, oaep, pair_request};
use crate::{KEY, get, key, key_with, mode, register, revoke};

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
        Some(CryptographicParameters {
            padding_method: Some(kms_protocol::enums::PaddingMethod::Pkcs5),
            ..mode(Mode::Cbc)
        }),
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
    if let Some(key) = block.key_wrapping_data.as_mut().and_then(|data| data.encryption_key.as_mut()) {
        key.unique_identifier.clone_from(&private);
    }
    let kept = import(&ask, ManagedObject::SymmetricKey(block), KeyWrapType::NotWrapped).expect("unwrapped");
    assert_eq!(get(&ask, &kept).expect("served").1.key_bytes().expect("bytes").expose(), KEY);
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
    let nothing = KeyWrappingSpecification { encryption_key: None, ..specification(&kek, None) };
    for (what, specification, why) in [
        ("usage mask", specification(&encrypting, None), ResultReason::PermissionDenied),
        ("someone else's", specification(&foreign, None), ResultReason::ItemNotFound),
        ("nobody's", specification("nobody", None), ResultReason::ItemNotFound),
        ("Deactivated", specification(&ended, None), ResultReason::PermissionDenied),
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
