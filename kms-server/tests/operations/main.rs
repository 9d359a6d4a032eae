//! Each operation done and refused: in a wrong state, on a wrong type, without what it needs, on nothing and on what is
//! someone else's.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a test fails by panicking; the modules share helpers"
)]

#[path = "../asking/mod.rs"]
mod asking;
mod attribute_rules;
mod attributes;
mod certifying;
mod ciphers;
mod compatibility;
mod constraining;
mod contained;
mod curves;
mod every;
mod keeping;
mod later;
mod locating;
mod logging_in;
mod messages;
mod refusals;
mod telling;
mod validating;
mod versions;
mod wrapping;

use asking::{Answer, Asker, NOW};
use kms_protocol::Secret;
use kms_protocol::attribute::RevocationReason;
use kms_protocol::attribute::{Attribute, CryptographicParameters, CryptographicUsageMask as Mask, Name};
use kms_protocol::enums::{
    BlockCipherMode, CryptographicAlgorithm, KeyFormatType, ObjectType, RevocationReasonCode, SecretDataType,
};
use kms_protocol::object::{KeyBlock, KeyValue, ManagedObject, OpaqueObject, SecretData};
use kms_protocol::operation::{GetRequest, RegisterRequest, RevokeRequest};

/// The bytes of every key that a test registers.
const KEY: [u8; 16] = [0x2A; 16];

fn raw(bytes: &[u8]) -> KeyBlock {
    KeyBlock {
        key_format_type: KeyFormatType::Raw,
        key_compression_type: None,
        key_value: Some(KeyValue::bytes(Secret::from(bytes))),
        cryptographic_algorithm: None,
        cryptographic_length: None,
        key_wrapping_data: None,
    }
}

fn aes(bytes: &[u8]) -> ManagedObject {
    ManagedObject::SymmetricKey(KeyBlock {
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        ..raw(bytes)
    })
}

fn register(ask: &Asker, object: ManagedObject, attributes: Vec<Attribute>) -> Answer<String> {
    let request = RegisterRequest {
        object_type: object.object_type(),
        attributes: attributes.into(),
        object,
        protection: None,
    };
    ask.ask(&request).map(|response| response.unique_identifier)
}

/// An Active AES key that may do everything.
fn key(ask: &Asker) -> String {
    key_with(ask, vec![])
}

fn key_with(ask: &Asker, mut attributes: Vec<Attribute>) -> String {
    attributes.push(Attribute::ActivationDate(kms_protocol::DateTime(NOW - 1)));
    if !attributes.iter().any(|one| matches!(one, Attribute::CryptographicUsageMask(_))) {
        attributes.push(Attribute::CryptographicUsageMask(all_uses()));
    }
    register(ask, aes(&KEY), attributes).expect("registered")
}

fn all_uses() -> Mask {
    [
        Mask::ENCRYPT,
        Mask::DECRYPT,
        Mask::MAC_GENERATE,
        Mask::MAC_VERIFY,
        Mask::DERIVE_KEY,
        Mask::WRAP_KEY,
        Mask::UNWRAP_KEY,
    ]
    .into_iter()
    .fold(Mask::default(), Mask::with)
}

fn password(ask: &Asker, name: &str) -> String {
    let secret = ManagedObject::SecretData(SecretData {
        secret_data_type: SecretDataType::Password,
        key_block: KeyBlock { key_format_type: KeyFormatType::Opaque, ..raw(b"correct horse") },
    });
    register(ask, secret, vec![Attribute::Name(Name::text(name))]).expect("registered")
}

fn opaque(ask: &Asker) -> String {
    let object = ManagedObject::OpaqueObject(OpaqueObject {
        opaque_data_type: kms_protocol::enums::OpaqueDataType::Other(0x8000_0001),
        value: Secret::from(&b"whatever it is"[..]),
    });
    register(ask, object, vec![]).expect("registered")
}

fn mode(mode: BlockCipherMode) -> CryptographicParameters {
    CryptographicParameters { block_cipher_mode: Some(mode), ..CryptographicParameters::default() }
}

fn revoke(ask: &Asker, id: &str, code: RevocationReasonCode) {
    let request = RevokeRequest {
        unique_identifier: Some(id.into()),
        revocation_reason: RevocationReason { code, message: None },
        compromise_occurrence_date: None,
    };
    ask.ask(&request).expect("revoked");
}

fn get(ask: &Asker, id: &str) -> Answer<(ObjectType, ManagedObject)> {
    ask.ask(&GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() })
        .map(|response| (response.object_type, response.object))
}
