//! Honest messages, from which the dishonest ones are made: every request in every version.

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences,
    CryptographicParameters, CryptographicUsageMask, CustomAttribute, Link, Name, RevocationReason,
};
use kms_protocol::enums::{
    BatchErrorContinuationOption, CryptographicAlgorithm, HashingAlgorithm, KeyFormatType, LinkType,
    ObjectType, QueryFunction, RevocationReasonCode, State,
};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{
    ActivateRequest, CreateKeyPairRequest, CreateKeyPairResponse, DecryptRequest, DestroyRequest,
    DiscoverVersionsRequest, EncryptRequest, GetAttributeListRequest, GetAttributesRequest, GetRequest,
    LocateRequest, QueryRequest, RekeyKeyPairRequest, Request, RevokeRequest,
};
use kms_protocol::ttlv::{Bytes, Interval, RawValue, Value as _};
use kms_protocol::{DateTime, Secret, UniqueIdentifier, Version};
use kms_tests::wire::Dialler;

pub const VERSIONS: [Version; 7] =
    [Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4, Version::V2_0, Version::V2_1];

/// A message of one request.
pub fn message<R: Request>(version: Version, request: &R) -> Vec<u8> {
    let mut builder = RequestBuilder::new(RequestHeader::new(version));
    builder.push(request, None);
    builder.finish().expose().to_vec()
}

/// A pair on P-256, which costs the server next to nothing.
pub fn pair_request(name: Option<&str>) -> CreateKeyPairRequest {
    let half = |ending: &str, usage| {
        let mut half = vec![Attribute::CryptographicUsageMask(usage)];
        half.extend(name.map(|name| Attribute::Name(Name::text(format!("{name}-{ending}")))));
        half.into()
    };
    CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(256),
            Attribute::ObjectGroup("garbage".into()),
            Attribute::Custom(CustomAttribute {
                vendor: "x".into(),
                name: "job".into(),
                value: RawValue::text("nightly"),
            }),
        ]
        .into(),
        private_key: half("private", CryptographicUsageMask::SIGN),
        public_key: half("public", CryptographicUsageMask::VERIFY),
        ..CreateKeyPairRequest::default()
    }
}

/// Makes an RSA pair for the messages to mean; its private and public ID.
pub fn target(dialler: &Dialler) -> [UniqueIdentifier; 2] {
    let request = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(2048),
            Attribute::ActivationDate(DateTime(0)),
        ]
        .into(),
        ..CreateKeyPairRequest::default()
    };
    let answer = dialler.dial().ask(&message(Version::V1_4, &request));
    let answer = ResponseMessage::read(&answer).expect("a response").items.pop().expect("an item");
    let made = CreateKeyPairResponse::read(answer.payload.expect("a pair")).expect("a payload");
    [made.private_key_unique_identifier.into(), made.public_key_unique_identifier.into()]
}

/// Every request in every version, and batches of them.
pub fn all([private, public]: &[UniqueIdentifier; 2]) -> Vec<Vec<u8>> {
    VERSIONS.into_iter().flat_map(|version| in_version(version, private, public)).collect()
}

fn in_version(version: Version, private: &UniqueIdentifier, public: &UniqueIdentifier) -> Vec<Vec<u8>> {
    let id = Some(private.clone());
    let mut pair = pair_request(None);
    if version.is_2x() {
        pair.private_key.list.push(Attribute::RotateInterval(Interval(86_400)));
        pair.private_key.list.push(Attribute::RotateAutomatic(true));
    }
    let rekey = RekeyKeyPairRequest {
        private_key_unique_identifier: Some("not there".into()),
        offset: Some(Interval(60)),
        ..RekeyKeyPairRequest::default()
    };
    vec![
        message(version, &pair),
        message(version, &rekey),
        message(version, &locate()),
        message(version, &get(private, KeyFormatType::Pkcs8)),
        message(version, &get(public, KeyFormatType::X509)),
        message(version, &GetAttributesRequest { unique_identifier: id.clone(), attributes: references() }),
        message(version, &GetAttributeListRequest { unique_identifier: id.clone() }),
        message(version, &ActivateRequest { unique_identifier: id.clone() }),
        message(version, &revoke("not there".into())),
        message(version, &DestroyRequest { unique_identifier: id }),
        message(version, &encrypt(public)),
        message(version, &decrypt(private)),
        message(version, &query()),
        message(version, &DiscoverVersionsRequest { versions: VERSIONS.to_vec() }),
        batch(version, private, public),
    ]
}

fn batch(version: Version, private: &UniqueIdentifier, public: &UniqueIdentifier) -> Vec<u8> {
    let mut header = RequestHeader::new(version);
    header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Continue);
    header.maximum_response_size = Some(1 << 20);
    header.time_stamp = Some(DateTime(1_700_000_000));
    let mut builder = RequestBuilder::new(header);
    builder.push(&pair_request(None), Some(Bytes(vec![1])));
    builder.push(&ActivateRequest::default(), Some(Bytes(vec![2])));
    builder.push(&get(public, KeyFormatType::Pkcs1), Some(Bytes(vec![3])));
    builder.push(&decrypt(private), Some(Bytes(vec![4])));
    builder.push(&locate(), Some(Bytes(vec![5])));
    builder.push(&DestroyRequest::default(), Some(Bytes(vec![6])));
    builder.finish().expose().to_vec()
}

fn locate() -> LocateRequest {
    LocateRequest {
        maximum_items: Some(5),
        attributes: AttributeList(vec![
            Attribute::ObjectType(ObjectType::PrivateKey),
            Attribute::State(State::Active),
            Attribute::InitialDate(DateTime(0)),
            Attribute::InitialDate(DateTime(4_000_000_000)),
            Attribute::Link(Link::to(LinkType::PublicKeyLink, "not there")),
        ]),
        ..LocateRequest::default()
    }
}

fn get(id: &UniqueIdentifier, format: KeyFormatType) -> GetRequest {
    GetRequest { unique_identifier: Some(id.clone()), key_format_type: Some(format), ..GetRequest::default() }
}

fn references() -> AttributeReferences {
    AttributeReferences(vec![
        AttributeReference::Standard(AttributeKind::Link),
        AttributeReference::Standard(AttributeKind::State),
        AttributeReference::Custom { vendor: "x".into(), name: "job".into() },
    ])
}

fn revoke(id: UniqueIdentifier) -> RevokeRequest {
    RevokeRequest {
        unique_identifier: Some(id),
        revocation_reason: RevocationReason {
            code: RevocationReasonCode::KeyCompromise,
            message: Some("lost".into()),
        },
        compromise_occurrence_date: Some(DateTime(1_700_000_000)),
    }
}

fn query() -> QueryRequest {
    QueryRequest::from(vec![QueryFunction::QueryOperations, QueryFunction::QueryObjects])
}

fn oaep() -> CryptographicParameters {
    CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256)
}

fn encrypt(id: &UniqueIdentifier) -> EncryptRequest {
    EncryptRequest {
        unique_identifier: Some(id.clone()),
        cryptographic_parameters: Some(oaep()),
        data: Some(Secret::new(vec![7; 32])),
        ..EncryptRequest::default()
    }
}

fn decrypt(id: &UniqueIdentifier) -> DecryptRequest {
    DecryptRequest {
        unique_identifier: Some(id.clone()),
        cryptographic_parameters: Some(oaep()),
        data: Some(Bytes(vec![7; 256])),
        ..DecryptRequest::default()
    }
}
