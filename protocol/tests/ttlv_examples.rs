//! The ten encoding examples of the specification (KMIP 1.4 section 9.1.2).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;

use kms_protocol::ttlv::{Content, Item, RawValue, Reader, Value as _, Writer};
use kms_protocol::{Tag, Version};

/// The examples stand beside the repository where its developers work; elsewhere the test says that it skipped.
fn examples() -> Option<serde_json::Value> {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "shared", "kmip", "ttlv-examples-1.4.json"].iter().collect();
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("the examples are JSON")),
        Err(error) => {
            assert!(
                std::env::var_os("KMS_TESTS_REQUIRE_ALL").is_none(),
                "the TTLV examples are required: {error}"
            );
            eprintln!("SKIPPED: the specification's TTLV examples are not at ../shared/kmip: {error}");
            None
        }
    }
}

fn only_item(bytes: &[u8]) -> Item<'_> {
    let mut reader = Reader::new(bytes, Version::V1_4);
    let item = reader.next_item().expect("well-formed").expect("one item");
    assert!(reader.next_item().expect("well-formed").is_none(), "one item alone");
    item
}

#[test]
fn the_ten_examples_decode_to_what_they_say_and_encode_to_the_same_bytes() {
    let Some(examples) = examples() else { return };
    let vectors = examples["vectors"].as_array().expect("vectors");
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let name = vector["name"].as_str().expect("name");
        let bytes = hex::decode(vector["hex"].as_str().expect("hex")).expect("hex");
        let item = only_item(&bytes);
        assert_eq!(item.tag, Tag(0x42_0020), "{name}");
        let as_said = match &item.content {
            Content::Integer(value) => *value == 8 && name.contains("decimal value 8"),
            Content::LongInteger(value) => {
                *value == 123_456_789_000_000_000 && name.contains("123456789000000000")
            }
            Content::BigInteger(value) => {
                let known = hex::decode("0000000003FD35EB6BC2DF4618080000").expect("hex");
                *value == known.as_slice() && name.contains("1234567890000000000000000000")
            }
            Content::Enumeration(value) => *value == 255 && name.contains("255"),
            Content::Boolean(value) => *value && name.contains("True"),
            Content::TextString(value) => *value == "Hello World" && name.contains("Hello World"),
            Content::ByteString(value) => *value == [1, 2, 3] && name.contains("0x01"),
            Content::DateTime(value) => *value == 0x47DA_67F8 && name.contains("2008"),
            Content::Interval(value) => *value == 864_000 && name.contains("10 days"),
            Content::Structure(inner) => {
                let mut inner = inner.clone();
                let first = inner.next_item().expect("well-formed").expect("an item");
                let second = inner.next_item().expect("well-formed").expect("an item");
                matches!((first.content, second.content), (Content::Enumeration(254), Content::Integer(255)))
            }
            Content::DateTimeExtended(_) => false,
        };
        assert!(as_said, "{name}: {:?}", item.content);

        let mut writer = Writer::new(Version::V1_4);
        RawValue::read(item.clone()).expect("any value").write(&mut writer, item.tag);
        assert_eq!(hex::encode(writer.into_bytes()), hex::encode(&bytes), "{name}");
    }
}
