//! Bytes that nobody honest sends: every answer is an error or a value, never a panic, a hang or a large allocation.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use kms_protocol::attribute::{Attribute, CryptographicUsageMask, Name};
use kms_protocol::enums::{CryptographicAlgorithm, Operation};
use kms_protocol::error::DecodeErrorKind;
use kms_protocol::limits;
use kms_protocol::message::{RequestBuilder, RequestHeader, RequestMessage, ResponseMessage};
use kms_protocol::operation::{
    ActivateRequest, CreateKeyPairRequest, DecryptRequest, EncryptRequest, GetAttributesRequest, GetRequest,
    LocateRequest, QueryRequest, RekeyKeyPairRequest, RevokeRequest,
};
use kms_protocol::ttlv::{Reader, Value as _, dump};
use kms_protocol::{Tag, Version};
use proptest::prelude::*;

fn read_everything(bytes: &[u8]) {
    let mut text = String::new();
    let _ = dump(bytes, &mut text);
    let _ = ResponseMessage::read(bytes);
    let Ok(message) = RequestMessage::read(bytes) else { return };
    for item in message.items {
        let payload = item.payload;
        match item.operation {
            Operation::CreateKeyPair => drop(CreateKeyPairRequest::read(payload)),
            Operation::RekeyKeyPair => drop(RekeyKeyPairRequest::read(payload)),
            Operation::Locate => drop(LocateRequest::read(payload)),
            Operation::Get => drop(GetRequest::read(payload)),
            Operation::GetAttributes => drop(GetAttributesRequest::read(payload)),
            Operation::Encrypt => drop(EncryptRequest::read(payload)),
            Operation::Decrypt => drop(DecryptRequest::read(payload)),
            Operation::Query => drop(QueryRequest::read(payload)),
            Operation::Revoke => drop(RevokeRequest::read(payload)),
            _ => drop(ActivateRequest::read(payload)),
        }
    }
}

fn sample(version: Version) -> Vec<u8> {
    let mut builder = RequestBuilder::new(RequestHeader::new(version));
    let attributes = vec![
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
        Attribute::CryptographicUsageMask(CryptographicUsageMask::DECRYPT),
        Attribute::Name(Name::text("name")),
    ];
    builder
        .push(&CreateKeyPairRequest { common: attributes.into(), ..CreateKeyPairRequest::default() }, None);
    builder.push(&GetRequest { unique_identifier: Some("1".into()), ..GetRequest::default() }, None);
    builder.push(&LocateRequest { maximum_items: Some(1), ..LocateRequest::default() }, None);
    builder.finish().expose().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        read_everything(&bytes);
    }

    #[test]
    fn a_message_with_some_bytes_changed(
        two in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample(if two { Version::V2_1 } else { Version::V1_4 });
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_everything(&bytes);
    }
}

#[test]
fn nesting_ends_at_the_limit() {
    let mut bytes = Vec::new();
    for _ in 0..2_000 {
        let mut outer = vec![0x42, 0x00, 0x78, 0x01];
        outer.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
        outer.extend(&bytes);
        bytes = outer;
    }
    let mut text = String::new();
    assert_eq!(dump(&bytes, &mut text).expect_err("2,000 levels").kind, DecodeErrorKind::TooDeep);
    assert_eq!(text.lines().count(), usize::from(limits::DEPTH));
}

#[test]
fn a_length_beyond_the_end_allocates_nothing() {
    let bytes = [0x42, 0x00, 0x94, 0x07, 0xFF, 0xFF, 0xFF, 0xF8];
    let error = Reader::new(&bytes, Version::V1_4).next_item().expect_err("4 GiB in 8 bytes");
    assert_eq!((error.kind, error.tag), (DecodeErrorKind::Truncated, Some(Tag::UNIQUE_IDENTIFIER)));
}

#[test]
fn many_fields_out_of_order_are_refused_quickly() {
    let mut inside = Vec::new();
    for _ in 0..30_000 {
        inside.extend([0x42, 0x00, 0x0A, 0x07, 0, 0, 0, 0]);
        inside.extend([0x42, 0x00, 0x94, 0x07, 0, 0, 0, 0]);
    }
    let mut bytes = vec![0x42, 0x00, 0x79, 0x01];
    bytes.extend(u32::try_from(inside.len()).expect("short").to_be_bytes());
    bytes.extend(inside);
    let item = Reader::new(&bytes, Version::V1_4).next_item().expect("well-formed").expect("one item");
    let error = GetAttributesRequest::read(item).expect_err("30,000 identifiers");
    assert_eq!(error.kind, DecodeErrorKind::OutOfOrder);
}
