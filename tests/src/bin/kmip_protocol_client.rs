//! The crate kmip-protocol as a client, in a process of its own: on some answers it overflows its stack or allocates
//! what a length field says, and both would take a test down with it.
//!
//! `kmip_protocol_client ADDRESS PKI NAME` asks for every operation that the crate has: it makes a pair of RSA-2048, uses and
//! destroys it, does the rest with AES keys, and says what came of the pair as a line of JSON. It ends non-zero at the first answer that is not as it should be.

#![allow(clippy::print_stdout, reason = "the test reads it")]
#![allow(clippy::expect_used, clippy::panic, reason = "it ends at the first thing that is not so")]

use std::env;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use kmip_protocol::request::to_vec;
use kmip_protocol::response::from_slice;
use kmip_protocol::types::common::{
    AttributeName, AttributeValue, CryptographicAlgorithm, CryptographicLength, CryptographicParameters,
    CryptographicUsageMask, Data, DataLength, HashingAlgorithm, KeyCompressionType, KeyFormatType,
    KeyMaterial, ObjectType, Operation, PaddingMethod, RevocationMessage, RevocationReasonCode, State,
    UniqueIdentifier,
};
use kmip_protocol::types::request::{
    self, Attribute, CommonTemplateAttribute, KeyBlock, KeyValue, KeyWrappingSpecification,
    PrivateKeyTemplateAttribute, PublicKeyTemplateAttribute, QueryFunction, RequestPayload, RevocationReason,
    SymmetricKey, TemplateAttribute,
};
use kmip_protocol::types::response::{self, ManagedObject, ResponseMessage, ResponsePayload, ResultStatus};
use kms_tests::tls::{Stream, config, connect};

/// The longest answer that it reads, so that a wrong length cannot make it allocate more.
const LONGEST: usize = 64 * 1024;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, pki, name] = arguments.as_slice() else { panic!("ADDRESS PKI NAME, not {arguments:?}") };
    let config = config(Path::new(pki), "client", rustls::DEFAULT_VERSIONS);
    let mut stream = connect(&Arc::new(config), address);

    query(&mut stream);
    let (private, public) = create_pair(&mut stream, name);
    for id in [&private, &public] {
        let ResponsePayload::Activate(answer) = ask(&mut stream, RequestPayload::Activate(known(id))) else {
            panic!("an answer to Activate")
        };
        assert_eq!(answer.unique_identifier.0, *id);
    }
    let wanted = vec![Attribute::Name(format!("{name}-public"))];
    let ResponsePayload::Locate(found) = ask(&mut stream, RequestPayload::Locate(wanted)) else {
        panic!("an answer to Locate")
    };
    assert_eq!(found.unique_identifiers, [UniqueIdentifier(public.clone())]);
    let key = public_key(&mut stream, &public);
    assert_eq!(state(&mut stream, &public), State::Active);
    sign(&mut stream, &private);
    for id in [&private, &public] {
        revoke_and_destroy(&mut stream, id);
    }
    keys(&mut stream, name);
    without_objects(&mut stream);
    println!(r#"{{"private": "{private}", "public": "{public}", "key": "{}"}}"#, hex::encode(key));
}

/// Asks one thing and returns the payload of its answer.
fn ask(stream: &mut Stream, payload: RequestPayload) -> ResponsePayload {
    let operation = payload.operation();
    stream.write_all(&to_vec(payload, None).expect("an encoded request")).expect("sent");
    stream.flush().expect("sent");
    let mut message = vec![0; 8];
    stream.read_exact(&mut message).expect("an answer");
    let length = message.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let length = length.and_then(|length| usize::try_from(length).ok()).expect("a length");
    assert!(length <= LONGEST, "an answer of {length} bytes");
    message.resize(8 + length, 0);
    stream.read_exact(message.get_mut(8..).expect("the rest")).expect("a whole answer");
    let mut response: ResponseMessage = from_slice(&message).expect("an answer that can be read");
    let item = response.batch_items.pop().expect("an item");
    assert_eq!((response.header.batch_count, response.batch_items.len()), (1, 0));
    assert_eq!(item.operation, Some(operation));
    assert_eq!(item.result_status, ResultStatus::Success, "{operation}: {:?}", item.result_message);
    item.payload.expect("a payload")
}

fn known(id: &str) -> Option<UniqueIdentifier> {
    Some(UniqueIdentifier(id.to_owned()))
}

fn query(stream: &mut Stream) {
    let functions = vec![
        QueryFunction::QueryOperations,
        QueryFunction::QueryObjects,
        QueryFunction::QueryServerInformation,
    ];
    let ResponsePayload::Query(answer) = ask(stream, RequestPayload::Query(functions)) else {
        panic!("an answer to Query")
    };
    assert!(answer.operations.expect("operations").contains(&Operation::CreateKeyPair));
    assert!(answer.object_types.expect("object types").contains(&ObjectType::PublicKey));
    assert!(answer.vendor_identification.is_some());
}

fn create_pair(stream: &mut Stream, name: &str) -> (String, String) {
    let common = vec![
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::RSA),
        Attribute::CryptographicLength(2048),
    ];
    let half = |suffix: &str, usage| {
        vec![Attribute::Name(format!("{name}-{suffix}")), Attribute::CryptographicUsageMask(usage)]
    };
    let request = RequestPayload::CreateKeyPair(
        Some(CommonTemplateAttribute::unnamed(common)),
        Some(PrivateKeyTemplateAttribute::unnamed(half("private", CryptographicUsageMask::Sign))),
        Some(PublicKeyTemplateAttribute::unnamed(half("public", CryptographicUsageMask::Verify))),
    );
    let ResponsePayload::CreateKeyPair(answer) = ask(stream, request) else {
        panic!("an answer to Create Key Pair")
    };
    (answer.private_key_unique_identifier.0, answer.public_key_unique_identifier.0)
}

/// The public key as PKCS#1.
fn public_key(stream: &mut Stream, id: &str) -> Vec<u8> {
    let request = RequestPayload::Get(
        known(id),
        None::<KeyFormatType>,
        None::<KeyCompressionType>,
        None::<KeyWrappingSpecification>,
    );
    let ResponsePayload::Get(answer) = ask(stream, request) else { panic!("an answer to Get") };
    assert_eq!((answer.unique_identifier.0.as_str(), answer.object_type), (id, ObjectType::PublicKey));
    let ManagedObject::PublicKey(object) = answer.cryptographic_object else { panic!("a public key") };
    let block = object.key_block;
    assert_eq!(block.key_format_type, KeyFormatType::PKCS1);
    assert_eq!(block.cryptographic_algorithm, Some(CryptographicAlgorithm::RSA));
    assert_eq!(block.cryptographic_length, Some(2048));
    assert!(block.key_value.attributes.unwrap_or_default().is_empty());
    let KeyMaterial::Bytes(bytes) = block.key_value.key_material else { panic!("bytes") };
    bytes
}

fn state(stream: &mut Stream, id: &str) -> State {
    // Never Link: this crate overflows its stack on it.
    let names = vec![AttributeName("State".to_owned())];
    let ResponsePayload::GetAttributes(answer) =
        ask(stream, RequestPayload::GetAttributes(known(id), Some(names)))
    else {
        panic!("an answer to Get Attributes")
    };
    match answer.attributes.expect("attributes").pop().expect("an attribute").value {
        AttributeValue::State(state) => state,
        other => panic!("a State, not {other:?}"),
    }
}

fn sign(stream: &mut Stream, id: &str) {
    let parameters = CryptographicParameters::default()
        .with_padding_method(PaddingMethod::PKCS1_v1_5)
        .with_hashing_algorithm(HashingAlgorithm::SHA256)
        .with_cryptographic_algorithm(CryptographicAlgorithm::RSA);
    let request = RequestPayload::Sign(known(id), Some(parameters), Data(b"signed".to_vec()));
    let ResponsePayload::Sign(answer) = ask(stream, request) else { panic!("an answer to Sign") };
    assert_eq!((answer.unique_identifier.0.as_str(), answer.signature_data.len()), (id, 256));
}

/// One AES key that the server makes and one that it is given; the attributes of the second.
fn keys(stream: &mut Stream, name: &str) {
    let attributes = |name: String| {
        let usage = CryptographicUsageMask::Encrypt;
        vec![Attribute::Name(name), Attribute::CryptographicUsageMask(usage)]
    };
    let mut made = attributes(format!("{name}-made"));
    made.push(Attribute::CryptographicAlgorithm(CryptographicAlgorithm::AES));
    made.push(Attribute::CryptographicLength(128));
    let request = RequestPayload::Create(ObjectType::SymmetricKey, TemplateAttribute::unnamed(made));
    let ResponsePayload::Create(made) = ask(stream, request) else { panic!("an answer to Create") };
    assert_eq!(made.object_type, ObjectType::SymmetricKey);

    let block = KeyBlock(
        KeyFormatType::Raw,
        None,
        Some(KeyValue(KeyMaterial::Bytes(vec![7; 16]), None)),
        Some(CryptographicAlgorithm::AES),
        Some(CryptographicLength(128)),
        None,
    );
    let request = RequestPayload::Register(
        ObjectType::SymmetricKey,
        TemplateAttribute::unnamed(attributes(format!("{name}-given"))),
        Some(request::ManagedObject::SymmetricKey(SymmetricKey(block))),
    );
    let ResponsePayload::Register(given) = ask(stream, request) else { panic!("an answer to Register") };
    let given = given.unique_identifier.0;
    let request = RequestPayload::Get(known(&given), None, None, None);
    let ResponsePayload::Get(answer) = ask(stream, request) else { panic!("an answer to Get") };
    let ManagedObject::SymmetricKey(object) = answer.cryptographic_object else { panic!("a key") };
    assert_eq!(object.key_block.key_value.key_material, KeyMaterial::Bytes(vec![7; 16]));

    note(stream, &given);
    for id in [&made.unique_identifier.0, &given] {
        let ResponsePayload::Destroy(answer) = ask(stream, RequestPayload::Destroy(known(id))) else {
            panic!("an answer to Destroy")
        };
        assert_eq!(answer.unique_identifier.0, *id);
    }
}

/// An attribute comes, changes, and goes.
fn note(stream: &mut Stream, id: &str) {
    let note = || AttributeName("x-note".to_owned());
    let listed = |stream: &mut Stream| {
        let ResponsePayload::GetAttributeList(answer) =
            ask(stream, RequestPayload::GetAttributeList(known(id)))
        else {
            panic!("an answer to Get Attribute List")
        };
        answer.attributes.contains(&note())
    };
    let saying = |text: &str| Attribute(note(), None, AttributeValue::TextString(text.to_owned()));
    let said = |answer: &response::Attribute| answer.value.clone();
    assert!(!listed(stream));
    let ResponsePayload::AddAttribute(answer) =
        ask(stream, RequestPayload::AddAttribute(known(id), saying("one")))
    else {
        panic!("an answer to Add Attribute")
    };
    assert_eq!(said(&answer.attribute), AttributeValue::TextString("one".to_owned()));
    assert!(listed(stream));
    let ResponsePayload::ModifyAttribute(answer) =
        ask(stream, RequestPayload::ModifyAttribute(known(id), saying("two")))
    else {
        panic!("an answer to Modify Attribute")
    };
    assert_eq!(said(&answer.attribute), AttributeValue::TextString("two".to_owned()));
    let ResponsePayload::DeleteAttribute(answer) =
        ask(stream, RequestPayload::DeleteAttribute(known(id), note(), None))
    else {
        panic!("an answer to Delete Attribute")
    };
    assert_eq!(said(&answer.attribute), AttributeValue::TextString("two".to_owned()));
    assert!(!listed(stream));
}

fn without_objects(stream: &mut Stream) {
    let ResponsePayload::DiscoverVersions(answer) = ask(stream, RequestPayload::DiscoverVersions(vec![]))
    else {
        panic!("an answer to Discover Versions")
    };
    let versions = answer.supported_versions.expect("versions");
    assert!(versions.iter().any(|version| (version.major, version.minor) == (1, 0)));
    let ResponsePayload::RNGRetrieve(answer) = ask(stream, RequestPayload::RNGRetrieve(DataLength(24)))
    else {
        panic!("an answer to RNG Retrieve")
    };
    assert_eq!(answer.data.len(), 24);
}

fn revoke_and_destroy(stream: &mut Stream, id: &str) {
    let reason = RevocationReason(RevocationReasonCode::CessationOfOperation, None::<RevocationMessage>);
    let ResponsePayload::Revoke(answer) = ask(stream, RequestPayload::Revoke(known(id), reason, None)) else {
        panic!("an answer to Revoke")
    };
    assert_eq!(answer.unique_identifier.0, id);
    let ResponsePayload::Destroy(answer) = ask(stream, RequestPayload::Destroy(known(id))) else {
        panic!("an answer to Destroy")
    };
    assert_eq!(answer.unique_identifier.0, id);
}
