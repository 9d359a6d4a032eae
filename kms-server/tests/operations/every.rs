//! Every operation that the server does: how it is asked for, and what it is refused for. `refusals` walks the table.

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeReference, CustomAttribute, RevocationReason,
};
use kms_protocol::credential::Ticket;
use kms_protocol::enums::{
    AdjustmentType, BlockCipherMode, CryptographicAlgorithm, DerivationMethod, EndpointRole,
    HashingAlgorithm, InteropFunction, ObjectType, Operation, PaddingMethod, Pkcs11Function, QueryFunction,
    ResultReason, RevocationReasonCode, SplitKeyMethod, TicketType,
};
use kms_protocol::message::{RequestBuilder, RequestHeader};
use kms_protocol::operation::{
    ActivateRequest, AddAttributeRequest, AdjustAttributeRequest, ArchiveRequest, CancelRequest,
    CertifyRequest, CheckRequest, Constraints, CreateKeyPairRequest, CreateRequest, CreateSplitKeyRequest,
    DecryptRequest, DelegatedLoginRequest, DeleteAttributeRequest, DerivationParameters, DeriveKeyRequest,
    DestroyRequest, DiscoverVersionsRequest, EncryptRequest, ExportRequest, GetAttributeListRequest,
    GetAttributesRequest, GetConstraintsRequest, GetRequest, GetUsageAllocationRequest, HashRequest,
    ImportRequest, InteropRequest, JoinSplitKeyRequest, LocateRequest, LogRequest, LoginRequest,
    LogoutRequest, MacRequest, MacVerifyRequest, ModifyAttributeRequest, ObtainLeaseRequest, PingRequest,
    Pkcs11Call, Pkcs11Request, PollRequest, ProcessRequest, QueryAsynchronousRequestsRequest, QueryRequest,
    RecertifyRequest, RecoverRequest, RegisterRequest, RekeyKeyPairRequest, RekeyRequest, Request,
    RevokeRequest, Right, Rights, RngRetrieveRequest, RngSeedRequest, SetAttributeRequest,
    SetConstraintsRequest, SetDefaultsRequest, SetEndpointRoleRequest, SignRequest, SignatureVerifyRequest,
    ValidateRequest,
};
use kms_protocol::ttlv::{Bytes, RawValue};
use kms_protocol::{Secret, Version};

use crate::{KEY, aes, mode};

/// An object that a refusal is tried on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thing {
    /// An Active AES key that may do everything.
    Key,
    /// The same, Pre-Active.
    Waiting,
    /// The same, destroyed.
    Gone,
    /// An Opaque Object, Active.
    Opaque,
    /// A Template, which 2.x lacks.
    Template,
    /// Something in the archive.
    Archived,
    /// A Private Key, Pre-Active.
    Private,
    /// An Active Private Key that signs.
    Signing,
    /// Its Public Key.
    Verifying,
    /// A destroyed one.
    GonePrivate,
    /// A destroyed Public Key.
    GonePublic,
}

/// What is wrong with a request, and how it is refused.
pub enum Wrong {
    /// Nothing can be, for this reason.
    Never(&'static str),
    /// Its object.
    Object(Thing, ResultReason),
    /// What it asks for.
    Message(Box<dyn Fn() -> Secret>, ResultReason),
}

/// A request on an object, in a version.
type Message = Box<dyn Fn(&str, Version) -> Secret>;

/// An operation.
pub struct Row {
    pub operation: Operation,
    message: Message,
    /// The fields of its payload that may not be missing.
    pub required: &'static [&'static str],
    /// An object that it works on.
    pub right: Thing,
    pub wrong_type: Wrong,
    pub wrong_state: Wrong,
}

const MAKES: &str = "it makes an object";
const NO_OBJECT: &str = "it works on no object";
const ALL_TYPES: &str = "objects of all types have it";
const ALL_STATES: &str = "it looks at an object in whatever state";

impl Row {
    /// A sound message that asks for it on the object `id`.
    pub fn message(&self, id: &str, version: Version) -> Secret {
        (self.message)(id, version)
    }

    fn lacks(self, required: &'static [&'static str]) -> Self {
        Self { required, ..self }
    }

    fn works_on(self, right: Thing) -> Self {
        Self { right, ..self }
    }

    fn of(self, thing: Thing, reason: ResultReason) -> Self {
        Self { wrong_type: Wrong::Object(thing, reason), ..self }
    }

    fn of_any_type(self, why: &'static str) -> Self {
        Self { wrong_type: Wrong::Never(why), ..self }
    }

    /// A request for another type than it can be for.
    fn with<R: Request + 'static>(self, make: fn() -> R, reason: ResultReason) -> Self {
        let message = Box::new(move || message(&make(), Version::V2_1));
        Self { wrong_type: Wrong::Message(message, reason), ..self }
    }

    fn when(self, thing: Thing, reason: ResultReason) -> Self {
        Self { wrong_state: Wrong::Object(thing, reason), ..self }
    }

    fn in_any_state(self, why: &'static str) -> Self {
        Self { wrong_state: Wrong::Never(why), ..self }
    }

    /// It works on no object at all.
    fn alone(self) -> Self {
        self.of_any_type(NO_OBJECT).in_any_state(NO_OBJECT)
    }
}

fn message<R: Request>(request: &R, version: Version) -> Secret {
    let mut builder = RequestBuilder::new(RequestHeader::new(version));
    builder.push(request, None);
    builder.finish()
}

fn row<R: Request + 'static>(make: fn(&str) -> R) -> Row {
    Row {
        operation: R::OPERATION,
        message: Box::new(move |id, version| message(&make(id), version)),
        required: &["UniqueIdentifier"],
        right: Thing::Key,
        wrong_type: Wrong::Never(""),
        wrong_state: Wrong::Never(""),
    }
}

fn note() -> Attribute {
    Attribute::Custom(CustomAttribute { vendor: "x".into(), name: "note".into(), value: RawValue::text("n") })
}

fn data() -> Option<Bytes> {
    Some(Bytes(vec![1; 16]))
}

fn ecb() -> Option<kms_protocol::attribute::CryptographicParameters> {
    Some(mode(BlockCipherMode::Ecb))
}

fn pss() -> Option<kms_protocol::attribute::CryptographicParameters> {
    Some(kms_protocol::attribute::CryptographicParameters {
        padding_method: Some(PaddingMethod::Pss),
        hashing_algorithm: Some(HashingAlgorithm::Sha256),
        ..Default::default()
    })
}

fn hmac() -> Option<kms_protocol::attribute::CryptographicParameters> {
    Some(kms_protocol::attribute::CryptographicParameters {
        cryptographic_algorithm: Some(CryptographicAlgorithm::HmacSha256),
        ..Default::default()
    })
}

fn create(object_type: ObjectType) -> CreateRequest {
    let attributes = vec![
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
        Attribute::CryptographicLength(128),
    ];
    CreateRequest { object_type, attributes: attributes.into(), protection: None }
}

fn create_pair(algorithm: CryptographicAlgorithm) -> CreateKeyPairRequest {
    let common = vec![Attribute::CryptographicAlgorithm(algorithm), Attribute::CryptographicLength(256)];
    CreateKeyPairRequest { common: common.into(), ..CreateKeyPairRequest::default() }
}

fn import(object_type: ObjectType) -> ImportRequest {
    ImportRequest {
        unique_identifier: "11111111-1111-4111-8111-111111111111".into(),
        object_type: Some(object_type),
        replace_existing: Some(true),
        key_wrap_type: None,
        attributes: kms_protocol::attribute::AttributeList::default(),
        object: aes(&KEY),
    }
}

fn registered(object_type: ObjectType) -> RegisterRequest {
    RegisterRequest { object_type, attributes: vec![].into(), object: aes(&KEY), protection: None }
}

fn adjust(attribute: AttributeKind) -> AdjustAttributeRequest {
    AdjustAttributeRequest {
        unique_identifier: Some("any".into()),
        attribute: AttributeReference::Standard(attribute),
        adjustment_type: AdjustmentType::Negate,
        adjustment_value: None,
    }
}

/// All of them.
pub fn rows() -> Vec<Row> {
    [attributes(), lifecycle(), material(), cryptography(), makers(), apart()].into_iter().flatten().collect()
}

fn attributes() -> Vec<Row> {
    vec![
        row(|id| AddAttributeRequest { unique_identifier: Some(id.into()), attribute: note().into() })
            .lacks(&["UniqueIdentifier", "NewAttribute"])
            .of_any_type(ALL_TYPES)
            .in_any_state(ALL_STATES),
        row(|id| AdjustAttributeRequest {
            unique_identifier: Some(id.into()),
            ..adjust(AttributeKind::Sensitive)
        })
        .lacks(&["UniqueIdentifier", "AttributeReference", "AdjustmentType"])
        .of_any_type(ALL_TYPES)
        .in_any_state(ALL_STATES),
        row(|id| DeleteAttributeRequest {
            unique_identifier: Some(id.into()),
            attribute: Some(AttributeReference::Standard(AttributeKind::ContactInformation)),
            ..DeleteAttributeRequest::default()
        })
        .lacks(&["UniqueIdentifier", "AttributeReference"])
        .of_any_type(ALL_TYPES)
        .in_any_state(ALL_STATES),
        row(|id| GetAttributeListRequest { unique_identifier: Some(id.into()) })
            .of_any_type(ALL_TYPES)
            .in_any_state(ALL_STATES),
        row(|id| GetAttributesRequest {
            unique_identifier: Some(id.into()),
            ..GetAttributesRequest::default()
        })
        .of_any_type(ALL_TYPES)
        .in_any_state(ALL_STATES),
        row(|id| ModifyAttributeRequest {
            unique_identifier: Some(id.into()),
            current: None,
            attribute: note().into(),
        })
        .lacks(&["UniqueIdentifier", "NewAttribute"])
        .of_any_type(ALL_TYPES)
        .in_any_state(ALL_STATES),
        row(|id| SetAttributeRequest { unique_identifier: Some(id.into()), attribute: note().into() })
            .lacks(&["UniqueIdentifier", "NewAttribute"])
            .of_any_type(ALL_TYPES)
            .in_any_state(ALL_STATES),
    ]
}

fn lifecycle() -> Vec<Row> {
    vec![
        row(|id| ActivateRequest { unique_identifier: Some(id.into()) })
            .of(Thing::Template, ResultReason::IllegalOperation)
            .when(Thing::Key, ResultReason::WrongKeyLifecycleState),
        row(|id| ArchiveRequest { unique_identifier: Some(id.into()) })
            .of_any_type(ALL_TYPES)
            .when(Thing::Archived, ResultReason::ObjectArchived),
        row(|id| CheckRequest { unique_identifier: Some(id.into()), ..CheckRequest::default() })
            .of_any_type(ALL_TYPES)
            .when(Thing::Archived, ResultReason::ObjectArchived),
        row(|id| DestroyRequest { unique_identifier: Some(id.into()) })
            .of_any_type(ALL_TYPES)
            .when(Thing::Key, ResultReason::WrongKeyLifecycleState),
        row(|id| GetUsageAllocationRequest { unique_identifier: Some(id.into()), usage_limits_count: 1 })
            .lacks(&["UniqueIdentifier", "UsageLimitsCount"])
            .of(Thing::Opaque, ResultReason::AttributeNotFound)
            .when(Thing::Waiting, ResultReason::WrongKeyLifecycleState),
        row(|id| ObtainLeaseRequest { unique_identifier: Some(id.into()) })
            .of_any_type(ALL_TYPES)
            .when(Thing::Archived, ResultReason::ObjectArchived),
        row(|id| RecoverRequest { unique_identifier: Some(id.into()) })
            .of_any_type(ALL_TYPES)
            .in_any_state("what is on line stays so"),
        row(|id| RevokeRequest {
            unique_identifier: Some(id.into()),
            revocation_reason: RevocationReason {
                code: RevocationReasonCode::CessationOfOperation,
                message: None,
            },
            compromise_occurrence_date: None,
        })
        .lacks(&["UniqueIdentifier", "RevocationReason"])
        .of(Thing::Template, ResultReason::IllegalOperation)
        .when(Thing::Gone, ResultReason::WrongKeyLifecycleState),
    ]
}

fn material() -> Vec<Row> {
    vec![
        row(|id| ExportRequest { unique_identifier: Some(id.into()), ..ExportRequest::default() })
            .of_any_type(ALL_TYPES)
            .when(Thing::Gone, ResultReason::ObjectDestroyed),
        row(|id| GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() })
            .of_any_type(ALL_TYPES)
            .when(Thing::Gone, ResultReason::ObjectDestroyed),
        row(|_| import(ObjectType::SymmetricKey))
            .lacks(&["UniqueIdentifier", "SymmetricKey"])
            .with(|| import(ObjectType::OpaqueObject), ResultReason::InvalidField)
            .in_any_state(MAKES),
        row(|_| registered(ObjectType::SymmetricKey))
            .lacks(&["ObjectType", "SymmetricKey"])
            .with(|| registered(ObjectType::OpaqueObject), ResultReason::InvalidField)
            .in_any_state(MAKES),
    ]
}

fn cryptography() -> Vec<Row> {
    let needs_key = |row: Row| {
        row.of(Thing::Opaque, ResultReason::InvalidObjectType)
            .when(Thing::Waiting, ResultReason::WrongKeyLifecycleState)
    };
    let of_pairs = |row: Row| {
        row.of(Thing::Opaque, ResultReason::InvalidObjectType)
            .when(Thing::Private, ResultReason::WrongKeyLifecycleState)
    };
    vec![
        needs_key(row(|id| DecryptRequest {
            unique_identifier: Some(id.into()),
            cryptographic_parameters: ecb(),
            data: data(),
            ..DecryptRequest::default()
        }))
        .lacks(&["UniqueIdentifier", "Data"]),
        needs_key(row(|id| EncryptRequest {
            unique_identifier: Some(id.into()),
            cryptographic_parameters: ecb(),
            data: Some(Secret::new(vec![1; 16])),
            ..EncryptRequest::default()
        }))
        .lacks(&["UniqueIdentifier", "Data"]),
        needs_key(row(|id| MacRequest {
            unique_identifier: Some(id.into()),
            cryptographic_parameters: hmac(),
            data: data(),
            ..MacRequest::default()
        }))
        .lacks(&["UniqueIdentifier", "Data"]),
        needs_key(row(|id| MacVerifyRequest {
            unique_identifier: Some(id.into()),
            cryptographic_parameters: hmac(),
            data: data(),
            mac_data: data(),
            ..MacVerifyRequest::default()
        }))
        .lacks(&["UniqueIdentifier", "Data", "MACData"]),
        of_pairs(row(|id| SignRequest {
            unique_identifier: Some(id.into()),
            data: data(),
            ..SignRequest::default()
        }))
        .lacks(&["UniqueIdentifier", "Data"])
        .works_on(Thing::Signing),
        of_pairs(row(|id| SignatureVerifyRequest {
            unique_identifier: Some(id.into()),
            data: data(),
            cryptographic_parameters: pss(),
            signature_data: data(),
            ..SignatureVerifyRequest::default()
        }))
        .lacks(&["UniqueIdentifier", "Data", "SignatureData"])
        .works_on(Thing::Verifying)
        .when(Thing::GonePublic, ResultReason::WrongKeyLifecycleState),
        row(|_| HashRequest {
            cryptographic_parameters: kms_protocol::attribute::CryptographicParameters {
                hashing_algorithm: Some(HashingAlgorithm::Sha256),
                ..Default::default()
            },
            data: data(),
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
        })
        .lacks(&["CryptographicParameters", "Data"])
        .alone(),
    ]
}

fn makers() -> Vec<Row> {
    vec![
        row(|_| create(ObjectType::SymmetricKey))
            .lacks(&["ObjectType", "Attributes"])
            .with(|| create(ObjectType::PrivateKey), ResultReason::InvalidField)
            .in_any_state(MAKES),
        row(|_| create_pair(CryptographicAlgorithm::Ec))
            .lacks(&["CommonAttributes"])
            .with(
                || create_pair(CryptographicAlgorithm::Aes),
                ResultReason::UnsupportedCryptographicParameters,
            )
            .in_any_state(MAKES),
        row(|id| CreateSplitKeyRequest {
            object_type: ObjectType::SymmetricKey,
            unique_identifier: Some(id.into()),
            parts: 2,
            threshold: 2,
            method: SplitKeyMethod::Xor,
            prime_field_size: None,
            attributes: vec![].into(),
            protection: None,
        })
        .lacks(&["ObjectType", "SplitKeyParts", "SplitKeyThreshold", "SplitKeyMethod"])
        .of(Thing::Opaque, ResultReason::InvalidObjectType)
        .when(Thing::Gone, ResultReason::KeyValueNotPresent),
        row(|id| JoinSplitKeyRequest {
            object_type: ObjectType::SymmetricKey,
            unique_identifiers: vec![id.into()],
            secret_data_type: None,
            attributes: vec![].into(),
            protection: None,
        })
        .lacks(&["ObjectType", "UniqueIdentifier"])
        .of(Thing::Opaque, ResultReason::InvalidObjectType)
        .in_any_state(ALL_STATES),
        row(|id| DeriveKeyRequest {
            object_type: ObjectType::SecretData,
            unique_identifiers: vec![id.into()],
            derivation_method: DerivationMethod::Hash,
            derivation_parameters: DerivationParameters {
                cryptographic_parameters: Some(kms_protocol::attribute::CryptographicParameters {
                    hashing_algorithm: Some(HashingAlgorithm::Sha256),
                    ..Default::default()
                }),
                ..DerivationParameters::default()
            },
            attributes: vec![Attribute::CryptographicLength(128)].into(),
        })
        .lacks(&["ObjectType", "UniqueIdentifier", "DerivationMethod", "DerivationParameters", "Attributes"])
        .of(Thing::Opaque, ResultReason::IncompatibleCryptographicUsageMask)
        .when(Thing::Waiting, ResultReason::WrongKeyLifecycleState),
        row(|id| RekeyRequest { unique_identifier: Some(id.into()), ..RekeyRequest::default() })
            .of(Thing::Opaque, ResultReason::InvalidObjectType)
            .when(Thing::Gone, ResultReason::PermissionDenied),
        row(|id| RekeyKeyPairRequest {
            private_key_unique_identifier: Some(id.into()),
            ..RekeyKeyPairRequest::default()
        })
        .lacks(&["PrivateKeyUniqueIdentifier"])
        .of(Thing::Opaque, ResultReason::InvalidObjectType)
        .when(Thing::GonePrivate, ResultReason::PermissionDenied),
        row(|id| CertifyRequest { unique_identifier: Some(id.into()), ..CertifyRequest::default() })
            .of(Thing::Opaque, ResultReason::InvalidObjectType)
            .when(Thing::GonePublic, ResultReason::ObjectDestroyed),
        row(|id| RecertifyRequest { unique_identifier: Some(id.into()), ..RecertifyRequest::default() })
            .of(Thing::Opaque, ResultReason::InvalidObjectType)
            .in_any_state("a certificate that is out of use is what is followed by another"),
    ]
}

/// What touches no object of its own.
fn apart() -> Vec<Row> {
    vec![
        row(|_| RngRetrieveRequest { data_length: 8 }).lacks(&["DataLength"]).alone(),
        row(|_| RngSeedRequest { data: Secret::new(vec![1; 16]) }).lacks(&["Data"]).alone(),
        row(|_| CancelRequest { asynchronous_correlation_value: Bytes(vec![3; 8]) })
            .lacks(&["AsynchronousCorrelationValue"])
            .alone(),
        row(|_| PollRequest { asynchronous_correlation_value: Bytes(vec![3; 8]) })
            .lacks(&["AsynchronousCorrelationValue"])
            .alone(),
        row(|_| ProcessRequest { asynchronous_correlation_value: Bytes(vec![3; 8]) })
            .lacks(&["AsynchronousCorrelationValue"])
            .alone(),
        row(|_| QueryAsynchronousRequestsRequest::default()).lacks(&[]).alone(),
        row(|_| DiscoverVersionsRequest::default()).lacks(&[]).alone(),
        row(|_| InteropRequest { interop_function: InteropFunction::Begin, interop_identifier: None })
            .lacks(&["InteropFunction"])
            .alone(),
        row(|_| LocateRequest::default()).lacks(&[]).alone(),
        row(|_| LogRequest { log_message: "said".into() }).lacks(&["LogMessage"]).alone(),
        row(|_| PingRequest {}).lacks(&[]).alone(),
        row(|_| Pkcs11Request {
            interface: None,
            function: Pkcs11Call::Standard(Pkcs11Function::GetInfo),
            correlation_value: None,
            input_parameters: None,
        })
        .lacks(&["PKCS_11Function"])
        .alone(),
        row(|_| QueryRequest {
            query_functions: vec![QueryFunction::QueryOperations],
            ..QueryRequest::default()
        })
        .lacks(&[])
        .alone(),
        row(|_| LoginRequest::default()).lacks(&[]).alone(),
        row(|_| LogoutRequest {
            ticket: Ticket { ticket_type: TicketType::Login, value: Secret::new(vec![3; 32]) },
        })
        .lacks(&["Ticket"])
        .alone(),
        row(|_| DelegatedLoginRequest {
            lease_time: None,
            request_count: None,
            usage_limits: None,
            rights: Rights { rights: vec![Right::default()] },
        })
        .lacks(&["Rights"])
        .alone(),
        row(|_| GetConstraintsRequest::default()).lacks(&[]).alone(),
        row(|_| SetConstraintsRequest { constraints: Constraints::default() })
            .lacks(&["Constraints"])
            .alone(),
        row(|_| SetDefaultsRequest::default()).lacks(&[]).alone(),
        row(|id| ValidateRequest { unique_identifiers: vec![id.into()], ..ValidateRequest::default() })
            .of(Thing::Key, ResultReason::InvalidObjectType)
            .in_any_state("a certificate that is revoked is found to be invalid"),
        row(|_| SetEndpointRoleRequest { endpoint_role: EndpointRole::Client })
            .lacks(&["EndpointRole"])
            .alone(),
    ]
}
