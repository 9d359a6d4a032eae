//! The crate kmip-protocol as a client, in a process of its own: on some answers it overflows its stack or allocates
//! what a length field says, and both would take a test down with it.
//!
//! `kmip_protocol_client ADDRESS PKI NAME` makes a pair of RSA-2048, uses and destroys it, and says what came of it as a
//! line of JSON. It ends non-zero at the first answer that is not as it should be.

#![allow(clippy::print_stdout, reason = "the test reads it")]
#![allow(clippy::expect_used, clippy::panic, reason = "it ends at the first thing that is not so")]

use std::env;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use kmip_protocol::request::to_vec;
use kmip_protocol::response::from_slice;
use kmip_protocol::types::common::{
    AttributeName, AttributeValue, CryptographicAlgorithm, CryptographicUsageMask, KeyCompressionType,
    KeyFormatType, KeyMaterial, ObjectType, Operation, RevocationMessage, RevocationReasonCode, State,
    UniqueIdentifier,
};
use kmip_protocol::types::request::{
    Attribute, CommonTemplateAttribute, KeyWrappingSpecification, PrivateKeyTemplateAttribute,
    PublicKeyTemplateAttribute, QueryFunction, RequestPayload, RevocationReason,
};
use kmip_protocol::types::response::{ManagedObject, ResponseMessage, ResponsePayload, ResultStatus};
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
    for id in [&private, &public] {
        revoke_and_destroy(&mut stream, id);
    }
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
        Some(PrivateKeyTemplateAttribute::unnamed(half("private", CryptographicUsageMask::Decrypt))),
        Some(PublicKeyTemplateAttribute::unnamed(half("public", CryptographicUsageMask::Encrypt))),
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
