//! Every message of the standard's cases, in all three encodings and by the types that stand for it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use kms_client::conformance::{Case, Node};
use kms_protocol::encoding::{from_json, from_xml, to_json, to_xml};
use kms_protocol::enums::Operation;
use kms_protocol::message::{RequestMessage, ResponseMessage};
use kms_protocol::operation as op;
use kms_protocol::ttlv::{Item, ItemType, RawValue, Value, Writer};
use kms_protocol::{Secret, Tag, Version};
use kms_tests::repository::shared;
use kms_tests::skip;

/// A value of the type in the place of a name that a server would have bound.
fn filled(node: &Node) -> Node {
    let value = match (node.value.starts_with('$'), node.item_type.as_str()) {
        (true, "DateTime") => "2026-01-01T00:00:00+00:00".to_owned(),
        (true, "ByteString") => "00".to_owned(),
        _ => node.value.clone(),
    };
    Node { value, items: node.items.iter().map(filled).collect(), ..node.clone() }
}

fn text(secret: &Secret) -> &str {
    core::str::from_utf8(secret.expose()).expect("text")
}

/// The bytes of a value as its type writes it.
fn written<T: Value>(value: &T, tag: Tag, version: Version) -> Secret {
    let mut writer = Writer::new(version);
    value.write(&mut writer, tag);
    Secret::new(writer.into_bytes())
}

/// Reads a payload by its type and expects the type to write the same.
fn same<T: Value>(item: &Item<'_>, at: &str) {
    let raw = RawValue::read(item.clone()).expect("an item");
    let mut writer = Writer::new(item.version);
    writer.item(item.tag, ItemType::Structure, &raw.bytes.0);
    let value = T::read(item.clone()).unwrap_or_else(|error| panic!("{at}: {error}"));
    let again = written(&value, item.tag, item.version);
    assert!(
        again.expose() == writer.into_bytes(),
        "{at}: written as {}",
        text(&to_xml(again.expose()).expect("XML"))
    );
}

macro_rules! payloads {
    ($($operation:ident => $request:ident, $response:ident;)*) => {
        fn request(operation: Operation, item: &Item<'_>, at: &str) {
            match operation {
                $(Operation::$operation => same::<op::$request>(item, at),)*
                other => panic!("{at}: {other}"),
            }
        }

        fn response(operation: Operation, item: &Item<'_>, at: &str) {
            match operation {
                $(Operation::$operation => same::<op::$response>(item, at),)*
                other => panic!("{at}: {other}"),
            }
        }
    };
}

payloads! {
    Activate => ActivateRequest, ActivateResponse;
    AddAttribute => AddAttributeRequest, AddAttributeResponse;
    AdjustAttribute => AdjustAttributeRequest, AdjustAttributeResponse;
    Archive => ArchiveRequest, ArchiveResponse;
    Cancel => CancelRequest, CancelResponse;
    Certify => CertifyRequest, CertifyResponse;
    Check => CheckRequest, CheckResponse;
    Create => CreateRequest, CreateResponse;
    CreateKeyPair => CreateKeyPairRequest, CreateKeyPairResponse;
    CreateSplitKey => CreateSplitKeyRequest, CreateSplitKeyResponse;
    Decrypt => DecryptRequest, DecryptResponse;
    DelegatedLogin => DelegatedLoginRequest, DelegatedLoginResponse;
    DeleteAttribute => DeleteAttributeRequest, DeleteAttributeResponse;
    DeriveKey => DeriveKeyRequest, DeriveKeyResponse;
    Destroy => DestroyRequest, DestroyResponse;
    DiscoverVersions => DiscoverVersionsRequest, DiscoverVersionsResponse;
    Encrypt => EncryptRequest, EncryptResponse;
    Export => ExportRequest, ExportResponse;
    Get => GetRequest, GetResponse;
    GetAttributeList => GetAttributeListRequest, GetAttributeListResponse;
    GetAttributes => GetAttributesRequest, GetAttributesResponse;
    GetConstraints => GetConstraintsRequest, GetConstraintsResponse;
    GetUsageAllocation => GetUsageAllocationRequest, GetUsageAllocationResponse;
    Hash => HashRequest, HashResponse;
    Import => ImportRequest, ImportResponse;
    Interop => InteropRequest, InteropResponse;
    JoinSplitKey => JoinSplitKeyRequest, JoinSplitKeyResponse;
    Locate => LocateRequest, LocateResponse;
    Log => LogRequest, LogResponse;
    Login => LoginRequest, LoginResponse;
    Logout => LogoutRequest, LogoutResponse;
    Mac => MacRequest, MacResponse;
    MacVerify => MacVerifyRequest, MacVerifyResponse;
    ModifyAttribute => ModifyAttributeRequest, ModifyAttributeResponse;
    Notify => NotifyRequest, NotifyResponse;
    ObtainLease => ObtainLeaseRequest, ObtainLeaseResponse;
    Ping => PingRequest, PingResponse;
    Pkcs11 => Pkcs11Request, Pkcs11Response;
    Poll => PollRequest, PollResponse;
    Process => ProcessRequest, ProcessResponse;
    Put => PutRequest, PutResponse;
    Query => QueryRequest, QueryResponse;
    QueryAsynchronousRequests => QueryAsynchronousRequestsRequest, QueryAsynchronousRequestsResponse;
    ReProvision => ReProvisionRequest, ReProvisionResponse;
    Recertify => RecertifyRequest, RecertifyResponse;
    Recover => RecoverRequest, RecoverResponse;
    Register => RegisterRequest, RegisterResponse;
    Rekey => RekeyRequest, RekeyResponse;
    RekeyKeyPair => RekeyKeyPairRequest, RekeyKeyPairResponse;
    Revoke => RevokeRequest, RevokeResponse;
    RngRetrieve => RngRetrieveRequest, RngRetrieveResponse;
    RngSeed => RngSeedRequest, RngSeedResponse;
    SetAttribute => SetAttributeRequest, SetAttributeResponse;
    SetConstraints => SetConstraintsRequest, SetConstraintsResponse;
    SetDefaults => SetDefaultsRequest, SetDefaultsResponse;
    SetEndpointRole => SetEndpointRoleRequest, SetEndpointRoleResponse;
    Sign => SignRequest, SignResponse;
    SignatureVerify => SignatureVerifyRequest, SignatureVerifyResponse;
    Validate => ValidateRequest, ValidateResponse;
}

fn check(message: &Node, at: &str) {
    let bytes = filled(message).to_ttlv().unwrap_or_else(|error| panic!("{at}: {error}"));
    let bytes = bytes.expose();
    let xml = to_xml(bytes).expect("XML");
    assert!(from_xml(text(&xml)).expect("read XML").expose() == bytes, "{at}");
    let json = to_json(bytes).expect("JSON");
    assert!(from_json(text(&json)).expect("read JSON").expose() == bytes, "{at}");
    if message.name == "RequestMessage" {
        let read = RequestMessage::read(bytes).unwrap_or_else(|error| panic!("{at}: {error}"));
        for item in &read.items {
            request(item.operation, &item.payload, at);
        }
    } else {
        let read = ResponseMessage::read(bytes).unwrap_or_else(|error| panic!("{at}: {error}"));
        for item in &read.items {
            if let (Some(operation), Some(payload)) = (item.operation, &item.payload) {
                response(operation, payload, at);
            }
        }
    }
}

#[test]
fn every_message_of_the_standards_cases_is_the_same_in_all_encodings_and_by_its_types() {
    for folder in ["oasis/1.4", "oasis/2.1"] {
        let folder = shared(folder);
        if !folder.is_dir() {
            return skip("the encodings of the standard's cases", "../shared/oasis is not there");
        }
        for case in Case::load_all(&folder).expect("cases") {
            for (number, step) in case.steps.iter().enumerate() {
                check(&step.request, &format!("{} request {number}", case.name));
                check(&step.response, &format!("{} response {number}", case.name));
            }
        }
    }
}

#[test]
fn the_specifications_examples_are_the_same_in_all_encodings() {
    let path = shared("kmip/ttlv-examples-1.4.json");
    let Ok(examples) = fs::read_to_string(path) else {
        return skip("the encodings of the specification's examples", "../shared/kmip is not there");
    };
    let examples: serde_json::Value = serde_json::from_str(&examples).expect("JSON");
    let mut found = 0;
    let mut open = vec![&examples];
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Array(items) => open.extend(items),
            serde_json::Value::Object(members) => open.extend(members.values()),
            serde_json::Value::String(word) => {
                let word: String = word.chars().filter(|c| !matches!(c, ' ' | '|')).collect();
                if let Some(bytes) = hex::decode(&word).ok().filter(|bytes| bytes.starts_with(&[0x42])) {
                    let xml = to_xml(&bytes).expect("XML");
                    assert_eq!(from_xml(text(&xml)).expect("read XML").expose(), bytes);
                    let json = to_json(&bytes).expect("JSON");
                    assert_eq!(from_json(text(&json)).expect("read JSON").expose(), bytes);
                    found += 1;
                }
            }
            _ => {}
        }
    }
    assert_eq!(found, 10, "the specification has ten examples");
}
