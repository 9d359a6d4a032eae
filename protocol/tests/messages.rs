//! Messages of every version, there and back, and what each version leaves out.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences, Attributes,
    CryptographicParameters, CryptographicUsageMask, CustomAttribute, Link, Name,
};
use kms_protocol::enums::{
    CryptographicAlgorithm, HashingAlgorithm, KeyFormatType, LinkType, ObjectType, Operation, ResultReason,
    ResultStatus, RevocationReasonCode, State,
};
use kms_protocol::error::DecodeErrorKind;
use kms_protocol::message::{
    Outcome, RequestBuilder, RequestHeader, RequestMessage, ResponseHeader, ResponseMessage, operations,
    write_response,
};
use kms_protocol::object::{KeyBlock, KeyValue, ManagedObject};
use kms_protocol::operation::{
    ActivateRequest, CreateKeyPairRequest, DecryptRequest, GetAttributesRequest, GetAttributesResponse,
    GetRequest, GetResponse, LocateRequest, Request, RevokeRequest,
};
use kms_protocol::ttlv::{Bytes, Interval, RawValue, Reader, Value, Writer};
use kms_protocol::{DateTime, Secret, Tag, UniqueIdentifier, Version};

const VERSIONS: [Version; 5] = [Version::V1_2, Version::V1_3, Version::V1_4, Version::V2_0, Version::V2_1];

fn there_and_back<T: Value>(value: &T, version: Version) -> T {
    let mut writer = Writer::new(version);
    value.write(&mut writer, Tag::REQUEST_PAYLOAD);
    let bytes = writer.into_bytes();
    let item = Reader::new(&bytes, version).next_item().expect("well-formed").expect("one item");
    T::read(item).unwrap_or_else(|error| panic!("{version}: {error}"))
}

fn pair_request() -> CreateKeyPairRequest {
    CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(4096),
            Attribute::Custom(CustomAttribute {
                vendor: "x".into(),
                name: "job".into(),
                value: RawValue::text("nightly"),
            }),
        ]
        .into(),
        private_key: vec![
            Attribute::Name(Name::text("nightly-private")),
            Attribute::CryptographicUsageMask(CryptographicUsageMask::DECRYPT),
        ]
        .into(),
        public_key: vec![Attribute::Name(Name::text("nightly-public"))].into(),
        ..CreateKeyPairRequest::default()
    }
}

#[test]
fn a_request_is_the_same_in_every_version_after_its_way_over_the_wire() {
    for version in VERSIONS {
        assert_eq!(there_and_back(&pair_request(), version), pair_request(), "{version}");
        let decrypt = DecryptRequest {
            unique_identifier: Some("key".into()),
            cryptographic_parameters: None,
            data: Some(Bytes(vec![7; 256])),
            ..DecryptRequest::default()
        };
        assert_eq!(there_and_back(&decrypt, version), decrypt, "{version}");
        let locate = LocateRequest {
            maximum_items: Some(3),
            attributes: AttributeList(vec![
                Attribute::ObjectType(ObjectType::PublicKey),
                Attribute::InitialDate(DateTime(5)),
                Attribute::InitialDate(DateTime(9)),
            ]),
            ..LocateRequest::default()
        };
        assert_eq!(there_and_back(&locate, version), locate, "{version}");
        let attributes = GetAttributesRequest {
            unique_identifier: None,
            attributes: AttributeReferences(vec![
                AttributeReference::Standard(AttributeKind::Link),
                AttributeReference::Custom { vendor: "x".into(), name: "job".into() },
            ]),
        };
        assert_eq!(there_and_back(&attributes, version), attributes, "{version}");
    }
}

#[test]
fn a_key_is_the_same_after_its_way_over_the_wire_and_carries_nothing_but_key_material() {
    let response = || GetResponse {
        object_type: ObjectType::PublicKey,
        unique_identifier: "1".into(),
        object: ManagedObject::PublicKey(KeyBlock {
            key_format_type: KeyFormatType::Pkcs1,
            key_compression_type: None,
            key_value: Some(KeyValue::bytes(Secret::new(vec![9; 20]))),
            cryptographic_algorithm: Some(CryptographicAlgorithm::Rsa),
            cryptographic_length: Some(2048),
            key_wrapping_data: None,
        }),
    };
    for version in VERSIONS {
        assert_eq!(there_and_back(&response(), version), response(), "{version}");
    }
    let mut writer = Writer::new(Version::V1_4);
    response().write(&mut writer, Tag::RESPONSE_PAYLOAD);
    let mut text = String::new();
    kms_protocol::ttlv::dump(&writer.into_bytes(), &mut text).expect("well-formed");
    let inside: Vec<&str> = text.lines().skip_while(|line| !line.contains("Key Value")).take(3).collect();
    assert!(inside[1].contains("Key Material (Byte String) [20 bytes]"), "{text}");
    assert!(inside[2].contains("Cryptographic Algorithm"), "{text}");
}

#[test]
fn what_a_version_lacks_is_not_written() {
    let rotate = GetAttributesResponse {
        unique_identifier: "1".into(),
        attributes: AttributeList(vec![
            Attribute::State(State::Active),
            Attribute::RotateInterval(Interval(60)),
            Attribute::Sensitive(true),
            Attribute::OperationPolicyName("default".into()),
        ]),
    };
    let left = |version| -> Vec<AttributeKind> {
        there_and_back(&rotate, version).attributes.0.iter().map(Attribute::kind).collect()
    };
    use AttributeKind::{OperationPolicyName, RotateInterval, Sensitive, State as StateKind};
    assert_eq!(left(Version::V1_2), [StateKind, OperationPolicyName]);
    assert_eq!(left(Version::V1_4), [StateKind, Sensitive, OperationPolicyName]);
    assert_eq!(left(Version::V2_0), [StateKind, Sensitive]);
    assert_eq!(left(Version::V2_1), [StateKind, RotateInterval, Sensitive]);

    let oaep = CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256);
    assert_eq!(there_and_back(&oaep, Version::V1_4), oaep);
    assert_eq!(there_and_back(&oaep, Version::V1_2).mask_generator_hashing_algorithm, None);
}

#[test]
fn what_a_version_lacks_is_not_read() {
    let mut writer = Writer::new(Version::V1_4);
    CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256)
        .write(&mut writer, Tag::CRYPTOGRAPHIC_PARAMETERS);
    let bytes = writer.into_bytes();
    let item = Reader::new(&bytes, Version::V1_2).next_item().expect("well-formed").expect("one item");
    let error = CryptographicParameters::read(item).expect_err("a field of 1.4 in a message of 1.2");
    assert_eq!((error.kind, error.tag), (DecodeErrorKind::Unexpected, Some(Tag::MASK_GENERATOR)));
}

#[test]
fn instances_after_the_first_carry_their_index_in_1x() {
    let names = GetAttributesResponse {
        unique_identifier: "1".into(),
        attributes: AttributeList(vec![Attribute::Name(Name::text("a")), Attribute::Name(Name::text("b"))]),
    };
    let mut writer = Writer::new(Version::V1_4);
    names.write(&mut writer, Tag::RESPONSE_PAYLOAD);
    let mut text = String::new();
    kms_protocol::ttlv::dump(&writer.into_bytes(), &mut text).expect("well-formed");
    assert_eq!(text.matches("Attribute Index (Integer) 1").count(), 1, "{text}");
    assert_eq!(text.matches("Attribute Index").count(), 1, "{text}");
}

/// As many as a message holds; a look back from each of them at all before it would take minutes.
#[test]
fn a_hundred_thousand_instances_are_numbered() {
    let groups = GetAttributesResponse {
        unique_identifier: "1".into(),
        attributes: AttributeList(vec![Attribute::ObjectGroup("g".into()); 100_000]),
    };
    let mut writer = Writer::new(Version::V1_4);
    groups.write(&mut writer, Tag::RESPONSE_PAYLOAD);
    let last = 99_999_i32.to_be_bytes();
    assert_eq!(writer.into_bytes().windows(last.len()).filter(|bytes| *bytes == last).count(), 1);
}

fn built<R: Request>(version: Version, requests: &[R]) -> Secret {
    let mut builder = RequestBuilder::new(RequestHeader::new(version));
    for (at, request) in requests.iter().enumerate() {
        builder.push(request, Some(Bytes(vec![u8::try_from(at).expect("a small batch")])));
    }
    builder.finish()
}

#[test]
fn a_batch_keeps_its_items_apart() {
    for version in VERSIONS {
        let request = |id: &str| GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() };
        let bytes = built(version, &[request("1"), request("2")]);
        let message = RequestMessage::read(bytes.expose()).expect("a request");
        assert_eq!(message.header.protocol_version, version);
        assert_eq!(operations(bytes.expose()).collect::<Vec<_>>(), [Operation::Get, Operation::Get]);
        let ids: Vec<_> = message
            .items
            .into_iter()
            .map(|item| GetRequest::read(item.payload).expect("a payload").unique_identifier)
            .collect();
        assert_eq!(ids, [Some(UniqueIdentifier::from("1")), Some(UniqueIdentifier::from("2"))]);
    }
}

#[test]
fn one_malformed_payload_does_not_spoil_the_message() {
    let revoke = RevokeRequest {
        unique_identifier: Some("1".into()),
        revocation_reason: kms_protocol::attribute::RevocationReason {
            code: RevocationReasonCode::KeyCompromise,
            message: None,
        },
        compromise_occurrence_date: None,
    };
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(&revoke, None);
    builder.push(&ActivateRequest { unique_identifier: Some("2".into()) }, None);
    let mut bytes = builder.finish().expose().to_vec();
    let reason = bytes.windows(3).position(|tag| tag == [0x42, 0x00, 0x81]).expect("the reason");
    bytes[reason + 2] = 0x94;
    let message = RequestMessage::read(&bytes).expect("the message itself is sound");
    assert!(RevokeRequest::read(message.items[0].payload.clone()).is_err());
    assert!(ActivateRequest::read(message.items[1].payload.clone()).is_ok());
}

#[test]
fn a_wrong_batch_count_is_refused() {
    let bytes = built(Version::V1_4, &[ActivateRequest::default()]);
    let mut bytes = bytes.expose().to_vec();
    let count = bytes.windows(4).position(|tag| tag == [0x42, 0x00, 0x0D, 0x02]).expect("the Batch Count");
    bytes[count + 11] = 2;
    assert_eq!(RequestMessage::read(&bytes).expect_err("one item, not two").tag, Some(Tag::BATCH_COUNT));
}

#[test]
fn a_response_says_what_failed_and_why() {
    let outcome = Outcome {
        operation: Some(Operation::Get),
        unique_batch_item_id: None,
        result_status: ResultStatus::OperationFailed,
        result_reason: Some(ResultReason::ItemNotFound),
        result_message: Some("no such object".into()),
        asynchronous_correlation_value: Some(Bytes(vec![5])),
        payload: None,
    };
    let bytes = write_response(ResponseHeader::new(Version::V1_4, DateTime(77)), &[outcome]);
    let response = ResponseMessage::read(bytes.expose()).expect("a response");
    assert_eq!(response.header.time_stamp, DateTime(77));
    let item = &response.items[0];
    assert_eq!(item.result_status, ResultStatus::OperationFailed);
    assert_eq!(item.result_reason, Some(ResultReason::ItemNotFound));
    assert_eq!(item.result_message.as_deref(), Some("no such object"));
    assert_eq!(item.asynchronous_correlation_value, Some(Bytes(vec![5])));
    assert!(item.payload.is_none());
}

#[test]
fn fields_out_of_order_are_found_but_not_twice() {
    let link = Link::to(LinkType::PrivateKeyLink, "2");
    let mut writer = Writer::new(Version::V1_4);
    writer.structure(Tag::LINK, |writer| {
        writer.field(Tag::LINKED_OBJECT_IDENTIFIER, &link.target);
        writer.field(Tag::LINK_TYPE, &link.link_type);
    });
    writer.structure(Tag::LINK, |writer| {
        writer.field(Tag::LINK_TYPE, &link.link_type);
        writer.field(Tag::LINKED_OBJECT_IDENTIFIER, &link.target);
        writer.field(Tag::LINK_TYPE, &link.link_type);
    });
    let bytes = writer.into_bytes();
    let mut reader = Reader::new(&bytes, Version::V1_4);
    let swapped = reader.next_item().expect("well-formed").expect("one item");
    assert_eq!(Link::read(swapped).expect("swapped fields"), link);
    let twice = reader.next_item().expect("well-formed").expect("one item");
    assert_eq!(Link::read(twice).expect_err("a field twice").kind, DecodeErrorKind::Repeated);
}

#[test]
fn templates_stay_apart_from_attributes() {
    let attributes = Attributes {
        templates: vec![Name::text("backup")],
        list: vec![Attribute::ObjectGroup("jobs".into())],
    };
    let request = CreateKeyPairRequest { common: attributes, ..CreateKeyPairRequest::default() };
    assert_eq!(there_and_back(&request, Version::V1_2), request);
}
