//! What `[compatibility]` allows, and what other clients' habits need of every server.

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences,
    CryptographicParameters, Name, StorageStatusMask,
};
use kms_protocol::encoding::{from_xml, to_xml};
use kms_protocol::enums::{
    BlockCipherMode, CryptographicAlgorithm, DerivationMethod, EncodingOption, HashingAlgorithm,
    KeyFormatType, KeyWrapType, ObjectType, ResultReason, ResultStatus, WrappingMethod,
};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::object::{
    KeyBlock, KeyValue, KeyWrappingData, KeyWrappingSpecification, ManagedObject, WrappingKey,
};
use kms_protocol::operation::{
    CreateRequest, DerivationParameters, DeriveKeyRequest, DestroyRequest, GetAttributesRequest, GetRequest,
    ImportRequest, LocateRequest,
};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Secret, Version};

use crate::asking::{Answer, Asker, NOW, pair_request};
use crate::{KEY, aes, all_uses, get, key, mode, raw, register};

fn with(setting: &str) -> Asker {
    Asker::start(&format!("[compatibility]\n{setting} = true"))
}

fn named(ask: &Asker, name: &str) -> Answer<String> {
    register(ask, aes(&KEY), vec![Attribute::Name(Name::text(name))])
}

fn located(ask: &Asker, name: &str, storage: Option<StorageStatusMask>) -> Vec<String> {
    let request = LocateRequest {
        attributes: AttributeList(vec![Attribute::Name(Name::text(name))]),
        storage_status_mask: storage,
        ..LocateRequest::default()
    };
    ask.ask(&request).expect("located").unique_identifiers
}

fn destroy(ask: &Asker, id: &str) {
    ask.ask(&DestroyRequest { unique_identifier: Some(id.into()) }).expect("destroyed");
}

#[test]
fn what_is_destroyed_leaves_its_name_to_others() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let old = named(&ask, "job").expect("registered");
    assert_eq!(named(&ask, "job").expect_err("taken").0, ResultReason::NonUniqueNameAttribute);
    destroy(&ask, &old);
    let new = named(&ask, "job").expect("free again");
    assert_eq!(located(&ask, "job", None), [new.as_str()]);
    assert_eq!(located(&ask, "job", Some(StorageStatusMask::DESTROYED)), [old.as_str()]);
    assert_eq!(ask.names(&old), ["job"], "an attribute that outlives the key");
}

#[test]
fn objects_share_a_name_where_they_may() {
    let ask = with("shared-names");
    let (first, second) = (named(&ask, "job").expect("one"), named(&ask, "job").expect("another"));
    let mut found = located(&ask, "job", None);
    found.sort();
    let mut made = vec![first.clone(), second.clone()];
    made.sort();
    assert_eq!(found, made);
    destroy(&ask, &first);
    assert_eq!(located(&ask, "job", None), [second]);
    let pairs = [ask.pair(&pair_request("pair", 2048)), ask.pair(&pair_request("pair", 2048))];
    assert_eq!(located(&ask, "pair-private", None).len(), pairs.len());
}

#[test]
fn what_is_destroyed_is_not_found_where_clients_want_it_so() {
    for (ask, reason) in [
        (Asker::start(""), ResultReason::IllegalOperation),
        (with("destroyed-not-found"), ResultReason::ItemNotFound),
    ] {
        let id = named(&ask, "job").expect("registered");
        destroy(&ask, &id);
        assert_eq!(get(&ask, &id).expect_err("gone").0, reason);
    }
}

#[test]
fn a_key_is_derived_from_one_that_is_not_active_where_it_may() {
    let derive = |ask: &Asker| {
        let uses = Attribute::CryptographicUsageMask(all_uses());
        let base = register(ask, aes(&KEY), vec![uses]).expect("registered");
        let request = DeriveKeyRequest {
            object_type: ObjectType::SecretData,
            unique_identifiers: vec![base.as_str().into()],
            derivation_method: DerivationMethod::Hash,
            derivation_parameters: DerivationParameters {
                cryptographic_parameters: Some(CryptographicParameters {
                    hashing_algorithm: Some(HashingAlgorithm::Sha256),
                    ..CryptographicParameters::default()
                }),
                ..DerivationParameters::default()
            },
            attributes: vec![Attribute::CryptographicLength(128)].into(),
        };
        ask.ask(&request).map(drop)
    };
    assert_eq!(derive(&Asker::start("")).expect_err("Pre-Active").0, ResultReason::PermissionDenied);
    derive(&with("derive-from-pre-active")).expect("derived");
}

#[test]
fn the_first_instance_states_its_index_where_clients_want_it() {
    let shown = |ask: &Asker, version| {
        let id = named(ask, "job").expect("registered");
        let request = GetAttributesRequest {
            unique_identifier: Some(id.as_str().into()),
            attributes: AttributeReferences(
                [AttributeKind::Name, AttributeKind::State].map(AttributeReference::Standard).to_vec(),
            ),
        };
        let mut builder = RequestBuilder::new(RequestHeader::new(version));
        builder.push(&request, None);
        let answer = ask.send(&builder.finish());
        let xml = to_xml(answer.expose()).expect("a message");
        String::from_utf8_lossy(xml.expose()).matches("AttributeIndex").count()
    };
    assert_eq!(shown(&Asker::start(""), Version::V1_2), 0);
    let ask = with("first-attribute-index");
    assert_eq!(shown(&ask, Version::V1_2), 1, "State has one value alone");
    assert_eq!(shown(&ask.by("b"), Version::V2_1), 0, "2.x has no indexes");
}

fn wrapped(ask: &Asker) -> ManagedObject {
    let (kek, id) = (key(ask), key(ask));
    let request = GetRequest {
        unique_identifier: Some(id.as_str().into()),
        key_wrapping_specification: Some(KeyWrappingSpecification {
            wrapping_method: WrappingMethod::Encrypt,
            encryption_key: Some(WrappingKey {
                unique_identifier: kek,
                cryptographic_parameters: Some(mode(BlockCipherMode::NistKeyWrap)),
            }),
            mac_signature_key: None,
            attribute_names: vec![],
            encoding_option: Some(EncodingOption::NoEncoding),
        }),
        ..GetRequest::default()
    };
    ask.ask(&request).expect("wrapped").object
}

#[test]
fn a_wrapped_key_without_encoding_is_in_a_structure_where_clients_want_it() {
    let value = |object: &ManagedObject| {
        matches!(object.key_block().and_then(|block| block.key_value.as_ref()), Some(KeyValue::Plain { .. }))
    };
    assert!(!value(&wrapped(&Asker::start(""))));
    let ask = with("structured-wrapped-keys");
    let object = wrapped(&ask);
    assert!(value(&object));
    assert_ne!(object.key_bytes().expect("bytes").expose(), KEY);
    let request = ImportRequest {
        unique_identifier: uuid::Uuid::new_v4().to_string(),
        object_type: None,
        replace_existing: None,
        key_wrap_type: Some(KeyWrapType::NotWrapped),
        attributes: AttributeList::default(),
        object,
    };
    let kept = ask.ask(&request).expect("imported").unique_identifier;
    assert_eq!(get(&ask, &kept).expect("served").1.key_bytes().expect("bytes").expose(), KEY);
}

#[test]
fn keys_are_made_of_algorithms_that_only_others_use() {
    let ask = Asker::start("");
    let make = |algorithm, length| {
        let attributes =
            vec![Attribute::CryptographicAlgorithm(algorithm), Attribute::CryptographicLength(length)];
        let object_type = ObjectType::SymmetricKey;
        ask.ask(&CreateRequest { object_type, attributes: attributes.into(), protection: None })
    };
    for (algorithm, bits) in [
        (CryptographicAlgorithm::Idea, 128),
        (CryptographicAlgorithm::Camellia, 192),
        (CryptographicAlgorithm::Cast5, 40),
        (CryptographicAlgorithm::Rc4, 256),
    ] {
        let made = make(algorithm, bits).expect("made").unique_identifier;
        let (_, object) = get(&ask, &made).expect("served");
        assert_eq!(object.key_bytes().expect("bytes").len() * 8, usize::try_from(bits).expect("few"));
        assert!(make(algorithm, 7).is_err(), "{algorithm}");
    }
}

#[test]
fn a_pkcs_1_key_that_is_called_pkcs_8_comes_back_as_it_came() {
    let ask = Asker::start("");
    let (private, _) = ask.pair(&pair_request("job", 2048));
    let request = GetRequest {
        unique_identifier: Some(private.as_str().into()),
        key_format_type: Some(KeyFormatType::Pkcs1),
        ..GetRequest::default()
    };
    let object = ask.ask(&request).expect("served").object;
    let pkcs1 = object.key_bytes().expect("bytes").expose().to_vec();
    let block = KeyBlock {
        key_format_type: KeyFormatType::Pkcs8,
        key_value: Some(KeyValue::bytes(Secret::new(pkcs1.clone()))),
        cryptographic_algorithm: Some(CryptographicAlgorithm::Rsa),
        cryptographic_length: Some(2048),
        ..raw(b"")
    };
    let id = register(&ask, ManagedObject::PrivateKey(block), vec![]).expect("registered");
    let (_, served) = get(&ask, &id).expect("served");
    assert_eq!(served.key_block().expect("a key").key_format_type, KeyFormatType::Pkcs8);
    assert_eq!(served.key_bytes().expect("bytes").expose(), pkcs1);
}

#[test]
fn a_key_that_came_wrapped_in_a_structure_is_kept_so() {
    let ask = Asker::start("");
    let data = KeyWrappingData {
        wrapping_method: WrappingMethod::Encrypt,
        encryption_key: Some(WrappingKey { unique_identifier: "42".into(), cryptographic_parameters: None }),
        mac_signature_key: None,
        mac_signature: None,
        iv_counter_nonce: None,
        encoding_option: Some(EncodingOption::NoEncoding),
    };
    let block = KeyBlock {
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        key_wrapping_data: Some(data.clone()),
        ..raw(&[9; 24])
    };
    let id = register(&ask, ManagedObject::SymmetricKey(block), vec![]).expect("registered");
    let (_, served) = get(&ask, &id).expect("served");
    assert_eq!(served.key_bytes().expect("bytes").expose(), [9; 24]);
    assert_eq!(served.key_block().expect("a key").key_wrapping_data, Some(data));
}

#[test]
fn hmac_with_a_salt_is_hkdf() {
    let ask = Asker::start("");
    let uses = Attribute::CryptographicUsageMask(all_uses());
    let active = Attribute::ActivationDate(DateTime(NOW - 1));
    let base = register(&ask, aes(&[0x0c; 16]), vec![uses, active]).expect("registered");
    let derive = |salt: Option<Bytes>| {
        let request = DeriveKeyRequest {
            object_type: ObjectType::SecretData,
            unique_identifiers: vec![base.as_str().into()],
            derivation_method: DerivationMethod::Hmac,
            derivation_parameters: DerivationParameters {
                cryptographic_parameters: Some(CryptographicParameters {
                    hashing_algorithm: Some(HashingAlgorithm::Sha1),
                    ..CryptographicParameters::default()
                }),
                derivation_data: vec![Secret::new(vec![])],
                salt,
                ..DerivationParameters::default()
            },
            attributes: vec![Attribute::CryptographicLength(336)].into(),
        };
        ask.ask(&request).map(|made| made.unique_identifier)
    };
    assert_eq!(derive(None).expect_err("an HMAC has 20 bytes").0, ResultReason::InvalidField);
    let derived = derive(Some(Bytes(vec![]))).expect("derived");
    assert_eq!(get(&ask, &derived).expect("served").1.key_bytes().expect("bytes").len(), 42);
}

#[test]
fn an_object_that_names_no_policy_is_under_the_default_one() {
    let ask = Asker::start("");
    let id = named(&ask, "job").expect("registered");
    let under = |policy: &str| {
        let request = LocateRequest {
            attributes: AttributeList(vec![Attribute::OperationPolicyName(policy.into())]),
            ..LocateRequest::default()
        };
        ask.ask(&request).expect("located").unique_identifiers
    };
    assert_eq!(under("default"), [id]);
    assert!(under("other").is_empty());
}

#[test]
fn an_older_request_has_a_newer_field_where_it_may() {
    let paging = |ask: &Asker| {
        let request = LocateRequest { offset_items: Some(1), ..LocateRequest::default() };
        let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_3));
        builder.push(&request, None);
        // The same message, said to be of 1.2.
        let xml = to_xml(builder.finish().expose()).expect("a message");
        let xml = String::from_utf8_lossy(xml.expose()).into_owned();
        let older = |minor: &str| format!("<ProtocolVersionMinor type=\"Integer\" value=\"{minor}\"/>");
        let older = from_xml(&xml.replace(&older("3"), &older("2"))).expect("a message");
        let answer = ask.send(&older);
        let item = ResponseMessage::read(answer.expose()).expect("a response").items.remove(0);
        item.result_status
    };
    assert_eq!(paging(&Asker::start("")), ResultStatus::OperationFailed);
    assert_eq!(paging(&with("newer-request-fields")), ResultStatus::Success);
}
