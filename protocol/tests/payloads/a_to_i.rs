//! Operations by name, a to i.

use kms_protocol::Version;
use kms_protocol::attribute::{
    Attribute, AttributeList, AttributeReferences, CryptographicUsageMask, StorageStatusMask, UsageLimits,
};
use kms_protocol::credential::Ticket;
use kms_protocol::enums::{
    AdjustmentType, CancellationResult, CertificateRequestType, DerivationMethod, Enumeration as _,
    InteropFunction, KeyCompressionType, KeyFormatType, KeyWrapType, ObjectGroupMember, ObjectType,
    Operation, SecretDataType, SplitKeyMethod, TicketType, UsageLimitsUnit,
};
use kms_protocol::operation::{
    ActivateRequest, ActivateResponse, AddAttributeRequest, AddAttributeResponse, AdjustAttributeRequest,
    AdjustAttributeResponse, ArchiveRequest, ArchiveResponse, CancelRequest, CancelResponse,
    CertificateRequestValue, CertifyRequest, CertifyResponse, CheckRequest, CheckResponse, Constraint,
    Constraints, CreateKeyPairRequest, CreateKeyPairResponse, CreateRequest, CreateResponse,
    CreateSplitKeyRequest, CreateSplitKeyResponse, DecryptRequest, DecryptResponse, DelegatedLoginRequest,
    DelegatedLoginResponse, DeleteAttributeRequest, DeleteAttributeResponse, DerivationParameters,
    DeriveKeyRequest, DeriveKeyResponse, DestroyRequest, DestroyResponse, DiscoverVersionsRequest,
    DiscoverVersionsResponse, EncryptRequest, EncryptResponse, ExportRequest, ExportResponse,
    GetAttributeListRequest, GetAttributeListResponse, GetAttributesRequest, GetAttributesResponse,
    GetConstraintsRequest, GetConstraintsResponse, GetRequest, GetResponse, GetUsageAllocationRequest,
    GetUsageAllocationResponse, HashRequest, HashResponse, ImportRequest, ImportResponse, InteropRequest,
    InteropResponse, JoinSplitKeyRequest, JoinSplitKeyResponse, LeaseTime, LocateRequest, LocateResponse,
    LogRequest, LogResponse, LoginRequest, LoginResponse, ObjectGroups, ObjectTypes, Objects, Operations,
    Right, Rights,
};
use kms_protocol::ttlv::{BigInteger, Interval, RawValue};

use super::{attributes, both, bytes, masks, object, parameters, reference, secret, wrapping};

#[test]
fn activate() {
    both(
        &ActivateRequest { unique_identifier: Some("id".into()) },
        &ActivateResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn add_attribute() {
    both(
        &AddAttributeRequest {
            unique_identifier: Some("id".into()),
            attribute: Attribute::ObjectGroup("g".into()).into(),
        },
        &AddAttributeResponse {
            unique_identifier: "text".into(),
            attribute: Some(Attribute::ObjectGroup("g".into()).into()),
        },
    );
}

#[test]
fn adjust_attribute() {
    both(
        &AdjustAttributeRequest {
            unique_identifier: Some("id".into()),
            attribute: reference(),
            adjustment_type: AdjustmentType::from_value(1),
            adjustment_value: Some(RawValue::text("raw")),
        },
        &AdjustAttributeResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn archive() {
    both(
        &ArchiveRequest { unique_identifier: Some("id".into()) },
        &ArchiveResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn cancel() {
    both(
        &CancelRequest { asynchronous_correlation_value: bytes() },
        &CancelResponse {
            asynchronous_correlation_value: bytes(),
            cancellation_result: CancellationResult::from_value(1),
        },
    );
}

#[test]
fn certify() {
    both(
        &CertifyRequest {
            unique_identifier: Some("id".into()),
            certificate_request_type: Some(CertificateRequestType::from_value(1)),
            certificate_request: Some(CertificateRequestValue(bytes())),
            attributes: attributes().into(),
            protection: Some(masks()),
        },
        &CertifyResponse { unique_identifier: "text".into(), attributes: attributes().into() },
    );
}

#[test]
fn check() {
    both(
        &CheckRequest {
            unique_identifier: Some("id".into()),
            usage_limits_count: Some(9),
            cryptographic_usage_mask: Some(CryptographicUsageMask::SIGN),
            lease_time: Some(Interval(60)),
        },
        &CheckResponse {
            unique_identifier: Some("text".into()),
            usage_limits_count: Some(9),
            cryptographic_usage_mask: Some(CryptographicUsageMask::SIGN),
            lease_time: Some(Interval(60)),
        },
    );
}

#[test]
fn create() {
    both(
        &CreateRequest {
            object_type: ObjectType::from_value(1),
            attributes: attributes().into(),
            protection: Some(masks()),
        },
        &CreateResponse {
            object_type: ObjectType::from_value(1),
            unique_identifier: "text".into(),
            attributes: attributes().into(),
        },
    );
}

#[test]
fn create_key_pair() {
    both(
        &CreateKeyPairRequest {
            common: attributes().into(),
            private_key: attributes().into(),
            public_key: attributes().into(),
            common_protection: Some(masks()),
            private_protection: Some(masks()),
            public_protection: Some(masks()),
        },
        &CreateKeyPairResponse {
            private_key_unique_identifier: "text".into(),
            public_key_unique_identifier: "text".into(),
            private_key: attributes().into(),
            public_key: attributes().into(),
        },
    );
}

#[test]
fn create_split_key() {
    both(
        &CreateSplitKeyRequest {
            object_type: ObjectType::from_value(1),
            unique_identifier: Some("id".into()),
            parts: 3,
            threshold: 3,
            method: SplitKeyMethod::from_value(1),
            prime_field_size: Some(BigInteger::from_magnitude(&[0xFF; 9])),
            attributes: attributes().into(),
            protection: Some(masks()),
        },
        &CreateSplitKeyResponse { unique_identifiers: vec!["text".into()], attributes: attributes().into() },
    );
}

#[test]
fn decrypt() {
    both(
        &DecryptRequest {
            unique_identifier: Some("id".into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(bytes()),
            iv_counter_nonce: Some(bytes()),
            correlation_value: Some(bytes()),
            init_indicator: Some(true),
            final_indicator: Some(true),
            additional_data: Some(bytes()),
            tag: Some(bytes()),
        },
        &DecryptResponse {
            unique_identifier: "text".into(),
            data: Some(secret()),
            correlation_value: Some(bytes()),
        },
    );
}

#[test]
fn delegated_login() {
    both(
        &DelegatedLoginRequest {
            lease_time: Some(LeaseTime::For(Interval(5))),
            request_count: Some(3),
            usage_limits: Some(UsageLimits {
                total: 9,
                count: Some(9),
                unit: UsageLimitsUnit::from_value(1),
            }),
            rights: Rights {
                rights: vec![Right {
                    usage_limits: Some(UsageLimits {
                        total: 9,
                        count: Some(9),
                        unit: UsageLimitsUnit::from_value(1),
                    }),
                    operations: Some(Operations { operations: vec![Operation::from_value(1)] }),
                    objects: Some(Objects { unique_identifiers: vec!["id".into()] }),
                    object_groups: Some(ObjectGroups { object_groups: vec!["text".into()] }),
                }],
            },
        },
        &DelegatedLoginResponse {
            ticket: Ticket { ticket_type: TicketType::from_value(1), value: secret() },
        },
    );
}

#[test]
fn delete_attribute() {
    both(
        &DeleteAttributeRequest {
            unique_identifier: Some("id".into()),
            current: Some(Attribute::ObjectGroup("g".into()).into()),
            attribute: Some(reference()),
            index: Some(3),
        },
        &DeleteAttributeResponse {
            unique_identifier: "text".into(),
            attribute: Some(Attribute::ObjectGroup("g".into()).into()),
        },
    );
}

#[test]
fn derive_key() {
    both(
        &DeriveKeyRequest {
            object_type: ObjectType::from_value(1),
            unique_identifiers: vec!["id".into()],
            derivation_method: DerivationMethod::from_value(1),
            derivation_parameters: DerivationParameters {
                cryptographic_parameters: Some(parameters()),
                initialization_vector: Some(bytes()),
                derivation_data: vec![secret()],
                salt: Some(bytes()),
                iteration_count: Some(3),
            },
            attributes: attributes().into(),
        },
        &DeriveKeyResponse { unique_identifier: "text".into(), attributes: attributes().into() },
    );
}

#[test]
fn destroy() {
    both(
        &DestroyRequest { unique_identifier: Some("id".into()) },
        &DestroyResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn discover_versions() {
    both(
        &DiscoverVersionsRequest { versions: vec![Version::V1_0] },
        &DiscoverVersionsResponse { versions: vec![Version::V1_0] },
    );
}

#[test]
fn encrypt() {
    both(
        &EncryptRequest {
            unique_identifier: Some("id".into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(secret()),
            iv_counter_nonce: Some(bytes()),
            correlation_value: Some(bytes()),
            init_indicator: Some(true),
            final_indicator: Some(true),
            additional_data: Some(bytes()),
        },
        &EncryptResponse {
            unique_identifier: "text".into(),
            data: Some(bytes()),
            iv_counter_nonce: Some(bytes()),
            correlation_value: Some(bytes()),
            tag: Some(bytes()),
        },
    );
}

#[test]
fn export() {
    both(
        &ExportRequest {
            unique_identifier: Some("id".into()),
            key_format_type: Some(KeyFormatType::from_value(1)),
            key_wrap_type: Some(KeyWrapType::from_value(1)),
            key_compression_type: Some(KeyCompressionType::from_value(1)),
            key_wrapping_specification: Some(wrapping()),
        },
        &ExportResponse {
            object_type: ObjectType::from_value(1),
            unique_identifier: "text".into(),
            attributes: AttributeList(attributes()),
            object: object(),
        },
    );
}

#[test]
fn get() {
    both(
        &GetRequest {
            unique_identifier: Some("id".into()),
            key_format_type: Some(KeyFormatType::from_value(1)),
            key_wrap_type: Some(KeyWrapType::from_value(1)),
            key_compression_type: Some(KeyCompressionType::from_value(1)),
            key_wrapping_specification: Some(wrapping()),
        },
        &GetResponse {
            object_type: ObjectType::from_value(1),
            unique_identifier: "text".into(),
            object: object(),
        },
    );
}

#[test]
fn get_attribute_list() {
    both(
        &GetAttributeListRequest { unique_identifier: Some("id".into()) },
        &GetAttributeListResponse {
            unique_identifier: "text".into(),
            attributes: AttributeReferences(vec![reference()]),
        },
    );
}

#[test]
fn get_attributes() {
    both(
        &GetAttributesRequest {
            unique_identifier: Some("id".into()),
            attributes: AttributeReferences(vec![reference()]),
        },
        &GetAttributesResponse { unique_identifier: "text".into(), attributes: AttributeList(attributes()) },
    );
}

#[test]
fn constraints_told() {
    both(
        &GetConstraintsRequest {},
        &GetConstraintsResponse {
            constraints: Constraints {
                constraints: vec![Constraint {
                    object_types: Some(ObjectTypes { object_types: vec![ObjectType::from_value(1)] }),
                    object_groups: Some(ObjectGroups { object_groups: vec!["text".into()] }),
                    attributes: Some(AttributeList(attributes())),
                }],
            },
        },
    );
}

#[test]
fn usage_allocation() {
    both(
        &GetUsageAllocationRequest { unique_identifier: Some("id".into()), usage_limits_count: 9 },
        &GetUsageAllocationResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn hash() {
    both(
        &HashRequest {
            cryptographic_parameters: parameters(),
            data: Some(bytes()),
            correlation_value: Some(bytes()),
            init_indicator: Some(true),
            final_indicator: Some(true),
        },
        &HashResponse { data: Some(bytes()), correlation_value: Some(bytes()) },
    );
}

#[test]
fn import() {
    both(
        &ImportRequest {
            unique_identifier: "text".into(),
            object_type: Some(ObjectType::from_value(1)),
            replace_existing: Some(true),
            key_wrap_type: Some(KeyWrapType::from_value(1)),
            attributes: AttributeList(attributes()),
            object: object(),
        },
        &ImportResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn interop() {
    both(
        &InteropRequest {
            interop_function: InteropFunction::from_value(1),
            interop_identifier: Some("text".into()),
        },
        &InteropResponse {},
    );
}

#[test]
fn join_split_key() {
    both(
        &JoinSplitKeyRequest {
            object_type: ObjectType::from_value(1),
            unique_identifiers: vec!["id".into()],
            secret_data_type: Some(SecretDataType::from_value(1)),
            attributes: attributes().into(),
            protection: Some(masks()),
        },
        &JoinSplitKeyResponse {
            object_type: Some(ObjectType::from_value(1)),
            unique_identifier: "text".into(),
            attributes: attributes().into(),
        },
    );
}

#[test]
fn locate() {
    both(
        &LocateRequest {
            maximum_items: Some(3),
            offset_items: Some(3),
            storage_status_mask: Some(StorageStatusMask::ON_LINE),
            object_group_member: Some(ObjectGroupMember::from_value(1)),
            attributes: AttributeList(attributes()),
        },
        &LocateResponse { located_items: Some(3), unique_identifiers: vec!["text".into()] },
    );
}

#[test]
fn log() {
    both(&LogRequest { log_message: "text".into() }, &LogResponse {});
}

#[test]
fn login() {
    both(
        &LoginRequest {
            lease_time: Some(LeaseTime::For(Interval(5))),
            request_count: Some(3),
            usage_limits: Some(UsageLimits {
                total: 9,
                count: Some(9),
                unit: UsageLimitsUnit::from_value(1),
            }),
        },
        &LoginResponse { ticket: Ticket { ticket_type: TicketType::from_value(1), value: secret() } },
    );
}
