//! Operations by name, j to v.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, AttributeList, AttributeReferences, RevocationReason};
use kms_protocol::credential::Ticket;
use kms_protocol::enums::{
    AttestationType, CertificateRequestType, CertificateType, ClientRegistrationMethod, DestroyAction,
    EndpointRole, Enumeration as _, ObjectType, Operation, Pkcs11ReturnCode, ProcessingStage, ProfileName,
    PutFunction, QueryFunction, RevocationReasonCode, RngMode, ShreddingAlgorithm, TicketType, UnwrapMode,
    ValidationAuthorityType, ValidationType, ValidityIndicator,
};
use kms_protocol::object::Certificate;
use kms_protocol::operation::{
    AsynchronousCorrelationValues, AsynchronousRequest, CapabilityInformation, CertificateRequestValue,
    Constraint, Constraints, DefaultedTypes, DefaultsInformation, ExtensionInformation, ExtensionType,
    LogoutRequest, LogoutResponse, MacRequest, MacResponse, MacVerifyRequest, MacVerifyResponse,
    ModifyAttributeRequest, ModifyAttributeResponse, NotifyRequest, NotifyResponse, ObjectDefaults,
    ObjectGroups, ObjectTypes, ObtainLeaseRequest, ObtainLeaseResponse, Operations, PingRequest,
    PingResponse, Pkcs11Call, Pkcs11Request, Pkcs11Response, ProcessRequest, ProcessResponse,
    ProfileInformation, ProfileVersion, PutRequest, PutResponse, QueryAsynchronousRequestsRequest,
    QueryAsynchronousRequestsResponse, QueryRequest, QueryResponse, ReProvisionRequest, ReProvisionResponse,
    RecertifyRequest, RecertifyResponse, RecoverRequest, RecoverResponse, RegisterRequest, RegisterResponse,
    RekeyKeyPairRequest, RekeyKeyPairResponse, RekeyRequest, RekeyResponse, RevokeRequest, RevokeResponse,
    RngRetrieveRequest, RngRetrieveResponse, RngSeedRequest, RngSeedResponse, SetAttributeRequest,
    SetAttributeResponse, SetConstraintsRequest, SetConstraintsResponse, SetDefaultsRequest,
    SetDefaultsResponse, SetEndpointRoleRequest, SetEndpointRoleResponse, SignRequest, SignResponse,
    SignatureVerifyRequest, SignatureVerifyResponse, ValidateRequest, ValidateResponse,
    ValidationInformation,
};
use kms_protocol::ttlv::{DateTimeExtended, Interval, RawValue};

use super::{attributes, both, bytes, masks, object, parameters, reference, rng, secret};

#[test]
fn logout() {
    both(
        &LogoutRequest { ticket: Ticket { ticket_type: TicketType::from_value(1), value: secret() } },
        &LogoutResponse {},
    );
}

#[test]
fn mac() {
    both(
        &MacRequest {
            unique_identifier: Some("id".into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(bytes()),
            correlation_value: Some(bytes()),
            init_indicator: Some(true),
            final_indicator: Some(true),
        },
        &MacResponse {
            unique_identifier: "text".into(),
            mac_data: Some(bytes()),
            correlation_value: Some(bytes()),
        },
    );
}

#[test]
fn mac_verify() {
    both(
        &MacVerifyRequest {
            unique_identifier: Some("id".into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(bytes()),
            mac_data: Some(bytes()),
            correlation_value: Some(bytes()),
            init_indicator: Some(true),
            final_indicator: Some(true),
        },
        &MacVerifyResponse {
            unique_identifier: "text".into(),
            validity_indicator: Some(ValidityIndicator::from_value(1)),
            correlation_value: Some(bytes()),
        },
    );
}

#[test]
fn modify_attribute() {
    both(
        &ModifyAttributeRequest {
            unique_identifier: Some("id".into()),
            current: Some(Attribute::ObjectGroup("g".into()).into()),
            attribute: Attribute::ObjectGroup("g".into()).into(),
        },
        &ModifyAttributeResponse {
            unique_identifier: "text".into(),
            attribute: Some(Attribute::ObjectGroup("g".into()).into()),
        },
    );
}

#[test]
fn notify() {
    both(
        &NotifyRequest {
            unique_identifier: "text".into(),
            attributes: AttributeList(attributes()),
            deleted: AttributeReferences(vec![reference()]),
        },
        &NotifyResponse {},
    );
}

#[test]
fn obtain_lease() {
    both(
        &ObtainLeaseRequest { unique_identifier: Some("id".into()) },
        &ObtainLeaseResponse {
            unique_identifier: "text".into(),
            lease_time: Interval(60),
            last_change_date: DateTime(5),
        },
    );
}

#[test]
fn ping() {
    both(&PingRequest {}, &PingResponse {});
}

#[test]
fn pkcs11() {
    both(
        &Pkcs11Request {
            interface: Some("text".into()),
            function: Pkcs11Call::Vendor(4),
            correlation_value: Some(bytes()),
            input_parameters: Some(secret()),
        },
        &Pkcs11Response {
            interface: Some("text".into()),
            function: Pkcs11Call::Vendor(4),
            correlation_value: Some(bytes()),
            output_parameters: Some(secret()),
            return_code: Pkcs11ReturnCode::from_value(1),
        },
    );
}

#[test]
fn process() {
    both(&ProcessRequest { asynchronous_correlation_value: bytes() }, &ProcessResponse {});
}

#[test]
fn put() {
    both(
        &PutRequest {
            unique_identifier: "text".into(),
            put_function: PutFunction::from_value(1),
            replaced_unique_identifier: Some("text".into()),
            object: object(),
            attributes: AttributeList(attributes()),
        },
        &PutResponse {},
    );
}

#[test]
fn query() {
    both(
        &QueryRequest {
            query_functions: vec![QueryFunction::from_value(1)],
            object_groups: Some(ObjectGroups { object_groups: vec!["text".into()] }),
        },
        &QueryResponse {
            operations: vec![Operation::from_value(1)],
            object_types: vec![ObjectType::from_value(1)],
            vendor_identification: Some("text".into()),
            server_information: Some(RawValue::text("raw")),
            application_namespaces: vec!["text".into()],
            extensions: vec![ExtensionInformation {
                name: "text".into(),
                tag: Some(3),
                extension_type: Some(ExtensionType(7)),
                enumeration: Some(3),
                is_attribute: Some(true),
                parent_structure: Some(3),
                description: Some("text".into()),
            }],
            attestation_types: vec![AttestationType::from_value(1)],
            rng_parameters: vec![rng()],
            profiles: vec![ProfileInformation {
                name: ProfileName::from_value(1),
                version: Some(ProfileVersion { major: 3, minor: 3 }),
                server_uri: Some("text".into()),
                server_port: Some(3),
            }],
            validations: vec![ValidationInformation {
                authority_type: ValidationAuthorityType::from_value(1),
                authority_country: Some("text".into()),
                authority_uri: Some("text".into()),
                version_major: 3,
                version_minor: Some(3),
                validation_type: ValidationType::from_value(1),
                level: 3,
                certificate_identifier: Some("text".into()),
                certificate_uri: Some("text".into()),
                vendor_uri: Some("text".into()),
                profiles: vec!["text".into()],
            }],
            capabilities: vec![CapabilityInformation {
                streaming: Some(true),
                asynchronous: Some(true),
                attestation: Some(true),
                batch_undo: Some(true),
                batch_continue: Some(true),
                unwrap_mode: Some(UnwrapMode::from_value(1)),
                destroy_action: Some(DestroyAction::from_value(1)),
                shredding_algorithm: Some(ShreddingAlgorithm::from_value(1)),
                rng_mode: Some(RngMode::from_value(1)),
                quantum_safe: Some(true),
            }],
            client_registration_methods: vec![ClientRegistrationMethod::from_value(1)],
            defaults_information: Some(DefaultsInformation {
                object_defaults: vec![ObjectDefaults {
                    object_types: DefaultedTypes::One(ObjectType::SecretData),
                    attributes: AttributeList(attributes()),
                    object_groups: Some(ObjectGroups { object_groups: vec!["text".into()] }),
                }],
            }),
            protection_storage_masks: Some(masks()),
        },
    );
}

#[test]
fn query_asynchronous_requests() {
    both(
        &QueryAsynchronousRequestsRequest {
            correlation_values: Some(AsynchronousCorrelationValues { values: vec![bytes()] }),
            operations: Some(Operations { operations: vec![Operation::from_value(1)] }),
        },
        &QueryAsynchronousRequestsResponse {
            requests: vec![AsynchronousRequest {
                asynchronous_correlation_value: bytes(),
                operation: Operation::from_value(1),
                submission_date: DateTimeExtended(5),
                processing_stage: ProcessingStage::from_value(1),
            }],
        },
    );
}

#[test]
fn re_provision() {
    both(
        &ReProvisionRequest {
            certificate_request: Some(bytes()),
            certificate: Some(Certificate {
                certificate_type: CertificateType::from_value(1),
                value: bytes(),
            }),
        },
        &ReProvisionResponse { unique_identifier: Some("text".into()) },
    );
}

#[test]
fn recertify() {
    both(
        &RecertifyRequest {
            unique_identifier: Some("id".into()),
            certificate_request_unique_identifier: Some("id".into()),
            certificate_request_type: Some(CertificateRequestType::from_value(1)),
            certificate_request: Some(CertificateRequestValue(bytes())),
            offset: Some(Interval(60)),
            attributes: attributes().into(),
            protection: Some(masks()),
        },
        &RecertifyResponse { unique_identifier: "text".into(), attributes: attributes().into() },
    );
}

#[test]
fn recover() {
    both(
        &RecoverRequest { unique_identifier: Some("id".into()) },
        &RecoverResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn register() {
    both(
        &RegisterRequest {
            object_type: ObjectType::from_value(1),
            attributes: attributes().into(),
            object: object(),
            protection: Some(masks()),
        },
        &RegisterResponse { unique_identifier: "text".into(), attributes: attributes().into() },
    );
}

#[test]
fn rekey() {
    both(
        &RekeyRequest {
            unique_identifier: Some("id".into()),
            offset: Some(Interval(60)),
            attributes: attributes().into(),
            protection: Some(masks()),
        },
        &RekeyResponse { unique_identifier: "text".into(), attributes: attributes().into() },
    );
}

#[test]
fn rekey_key_pair() {
    both(
        &RekeyKeyPairRequest {
            private_key_unique_identifier: Some("id".into()),
            offset: Some(Interval(60)),
            common: attributes().into(),
            private_key: attributes().into(),
            public_key: attributes().into(),
            common_protection: Some(masks()),
            private_protection: Some(masks()),
            public_protection: Some(masks()),
        },
        &RekeyKeyPairResponse {
            private_key_unique_identifier: "text".into(),
            public_key_unique_identifier: "text".into(),
            private_key: attributes().into(),
            public_key: attributes().into(),
        },
    );
}

#[test]
fn revoke() {
    both(
        &RevokeRequest {
            unique_identifier: Some("id".into()),
            revocation_reason: RevocationReason {
                code: RevocationReasonCode::from_value(1),
                message: Some("text".into()),
            },
            compromise_occurrence_date: Some(DateTime(5)),
        },
        &RevokeResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn rng_retrieve() {
    both(&RngRetrieveRequest { data_length: 3 }, &RngRetrieveResponse { data: secret() });
}

#[test]
fn rng_seed() {
    both(&RngSeedRequest { data: secret() }, &RngSeedResponse { data_length: 3 });
}

#[test]
fn set_attribute() {
    both(
        &SetAttributeRequest {
            unique_identifier: Some("id".into()),
            attribute: Attribute::ObjectGroup("g".into()).into(),
        },
        &SetAttributeResponse { unique_identifier: "text".into() },
    );
}

#[test]
fn set_constraints() {
    both(
        &SetConstraintsRequest {
            constraints: Constraints {
                constraints: vec![Constraint {
                    object_types: Some(ObjectTypes { object_types: vec![ObjectType::from_value(1)] }),
                    object_groups: Some(ObjectGroups { object_groups: vec!["text".into()] }),
                    attributes: Some(AttributeList(attributes())),
                }],
            },
        },
        &SetConstraintsResponse {},
    );
}

#[test]
fn set_defaults() {
    both(
        &SetDefaultsRequest {
            defaults: Some(DefaultsInformation {
                object_defaults: vec![ObjectDefaults {
                    object_types: DefaultedTypes::One(ObjectType::SecretData),
                    attributes: AttributeList(attributes()),
                    object_groups: Some(ObjectGroups { object_groups: vec!["text".into()] }),
                }],
            }),
        },
        &SetDefaultsResponse {},
    );
}

#[test]
fn set_endpoint_role() {
    both(
        &SetEndpointRoleRequest { endpoint_role: EndpointRole::from_value(1) },
        &SetEndpointRoleResponse { endpoint_role: EndpointRole::from_value(1) },
    );
}

#[test]
fn sign() {
    both(
        &SignRequest {
            unique_identifier: Some("id".into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(bytes()),
            digested_data: Some(bytes()),
            correlation_value: Some(bytes()),
            init_indicator: Some(true),
            final_indicator: Some(true),
        },
        &SignResponse {
            unique_identifier: "text".into(),
            signature_data: Some(bytes()),
            correlation_value: Some(bytes()),
        },
    );
}

#[test]
fn signature_verify() {
    both(
        &SignatureVerifyRequest {
            unique_identifier: Some("id".into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(bytes()),
            digested_data: Some(bytes()),
            signature_data: Some(bytes()),
            correlation_value: Some(bytes()),
            init_indicator: Some(true),
            final_indicator: Some(true),
        },
        &SignatureVerifyResponse {
            unique_identifier: "text".into(),
            validity_indicator: Some(ValidityIndicator::from_value(1)),
            data: Some(bytes()),
            correlation_value: Some(bytes()),
        },
    );
}

#[test]
fn validate() {
    both(
        &ValidateRequest {
            certificates: vec![Certificate {
                certificate_type: CertificateType::from_value(1),
                value: bytes(),
            }],
            unique_identifiers: vec!["id".into()],
            validity_date: Some(DateTime(5)),
        },
        &ValidateResponse { validity_indicator: ValidityIndicator::from_value(1) },
    );
}
