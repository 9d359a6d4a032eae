//! TTLV to XML and to JSON and back, without loss, and what neither takes.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use kms_protocol::encoding::{Encoding, EncodingErrorKind, from_json, from_xml, to_json, to_xml};
use kms_protocol::ttlv::{ItemType, Writer};
use kms_protocol::{Secret, Tag, Version};
use proptest::collection::vec;
use proptest::prelude::*;

fn text(secret: &Secret) -> &str {
    core::str::from_utf8(secret.expose()).expect("text")
}

/// Both ways through both encodings.
fn check(bytes: &[u8]) {
    let xml = to_xml(bytes).expect("XML");
    assert_eq!(from_xml(text(&xml)).expect("read XML").expose(), bytes, "{}", text(&xml));
    let json = to_json(bytes).expect("JSON");
    assert_eq!(from_json(text(&json)).expect("read JSON").expose(), bytes, "{}", text(&json));
    serde_json::from_str::<serde_json::Value>(text(&json)).expect("JSON to anybody");
}

fn written(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new(Version::V2_1);
    writer.structure(Tag::REQUEST_MESSAGE, fill);
    writer.into_bytes()
}

/// What these bytes are as XML, without the element around them.
fn xml(fill: impl FnOnce(&mut Writer)) -> String {
    let bytes = written(fill);
    check(&bytes);
    let xml = to_xml(&bytes).expect("XML");
    let inner =
        text(&xml).strip_prefix("<RequestMessage>").and_then(|xml| xml.strip_suffix("</RequestMessage>"));
    inner.expect("the message's element").to_owned()
}

fn json(fill: impl FnOnce(&mut Writer)) -> String {
    let json = to_json(&written(fill)).expect("JSON");
    let inner = text(&json).strip_prefix("{\"tag\":\"RequestMessage\",\"value\":[");
    inner.and_then(|json| json.strip_suffix("]}")).expect("the message's object").to_owned()
}

#[test]
fn values_are_written_as_the_standard_writes_them() {
    let cases: [(Tag, ItemType, &[u8], &str, &str); 14] = [
        (Tag::BATCH_COUNT, ItemType::Integer, &[0, 0, 0, 10], "10", "10"),
        (
            Tag::CRYPTOGRAPHIC_USAGE_MASK,
            ItemType::Integer,
            &[0x80, 0, 0, 0x0C],
            "Encrypt Decrypt 0x80000000",
            "\"Encrypt|Decrypt|0x80000000\"",
        ),
        (Tag::CRYPTOGRAPHIC_USAGE_MASK, ItemType::Integer, &[0; 4], "0", "0"),
        (Tag::USAGE_LIMITS_COUNT, ItemType::LongInteger, &[0xFF; 8], "-1", "-1"),
        (
            Tag::USAGE_LIMITS_COUNT,
            ItemType::LongInteger,
            &[0x10, 0, 0, 0, 0, 0, 0, 0],
            "1152921504606846976",
            "\"0x1000000000000000\"",
        ),
        (
            Tag::X,
            ItemType::BigInteger,
            &[0, 0, 0, 0, 0, 0, 0, 7],
            "0000000000000007",
            "\"0x0000000000000007\"",
        ),
        (Tag::OBJECT_TYPE, ItemType::Enumeration, &[0, 0, 0, 2], "SymmetricKey", "\"SymmetricKey\""),
        (Tag::OBJECT_TYPE, ItemType::Enumeration, &[0x80, 0, 0, 2], "0x80000002", "\"0x80000002\""),
        (Tag::ATTRIBUTE_REFERENCE, ItemType::Enumeration, &[0, 0x42, 0, 0x8D], "State", "\"State\""),
        (Tag::BATCH_ORDER_OPTION, ItemType::Boolean, &[0, 0, 0, 0, 0, 0, 0, 1], "true", "true"),
        (
            Tag::NAME_VALUE,
            ItemType::TextString,
            b"a<b>&\"c\"\n",
            "a&lt;b&gt;&amp;&quot;c&quot;&#10;",
            "\"a<b>&\\\"c\\\"\\u000a\"",
        ),
        (Tag::MAC_SIGNATURE, ItemType::ByteString, &[0xC5, 0x0F, 0x77], "c50f77", "\"c50f77\""),
        (
            Tag::ARCHIVE_DATE,
            ItemType::DateTime,
            &[0, 0, 0, 0, 0x3A, 0x50, 0x55, 0x20],
            "2001-01-01T10:00:00+00:00",
            "\"2001-01-01T10:00:00+00:00\"",
        ),
        (Tag::OFFSET, ItemType::Interval, &[0xFF; 4], "4294967295", "4294967295"),
    ];
    for (tag, item_type, bytes, as_xml, as_json) in cases {
        let name = kms_protocol::encoding::tag_name(tag).expect("a name");
        let type_name = kms_protocol::encoding::normalized(item_type.name());
        let fill = |writer: &mut Writer| writer.item(tag, item_type, bytes);
        assert_eq!(xml(fill), format!("<{name} type=\"{type_name}\" value=\"{as_xml}\"/>"));
        assert_eq!(
            json(fill),
            format!("{{\"tag\":\"{name}\",\"type\":\"{type_name}\",\"value\":{as_json}}}")
        );
    }
}

#[test]
fn what_has_no_name_goes_by_number() {
    let fill = |writer: &mut Writer| writer.item(Tag(0x0054_FFFF), ItemType::Enumeration, &[0, 0, 0, 3]);
    assert_eq!(xml(fill), "<TTLV tag=\"0x54ffff\" type=\"Enumeration\" value=\"0x00000003\"/>");
    assert_eq!(json(fill), "{\"tag\":\"0x54ffff\",\"type\":\"Enumeration\",\"value\":\"0x00000003\"}");
    // A time that no calendar has.
    let never = i64::MAX.to_be_bytes();
    check(&written(|writer| writer.item(Tag::ARCHIVE_DATE, ItemType::DateTime, &never)));
}

#[test]
fn an_attribute_of_1x_is_written_by_its_name() {
    let fill = |writer: &mut Writer| {
        writer.structure(Tag::ATTRIBUTE, |writer| {
            writer.field(Tag::ATTRIBUTE_NAME, &"Cryptographic Algorithm".to_owned());
            writer.item(Tag::ATTRIBUTE_VALUE, ItemType::Enumeration, &[0, 0, 0, 3]);
        });
    };
    assert!(xml(fill).contains("<AttributeValue type=\"Enumeration\" value=\"AES\"/>"));
    assert!(json(fill).contains("\"value\":\"AES\""));
}

#[test]
fn other_ways_of_writing_are_read_too() {
    let expected = written(|writer| {
        writer.item(Tag::CRYPTOGRAPHIC_USAGE_MASK, ItemType::Integer, &[0, 0, 0x10, 0x0C]);
        writer.item(Tag::ARCHIVE_DATE, ItemType::DateTime, &[0, 0, 0, 0, 0x3A, 0x4F, 0xC8, 0x80]);
        writer.structure(Tag::ATTRIBUTES, |_| ());
    });
    for text in [
        "<RequestMessage xmlns=\"urn:oasis:tc:kmip:xmlns\"><!-- a mask -->\n
           <CryptographicUsageMask type=\"Integer\" value=\"0x0000100c\"/>
           <ArchiveDate type=\"DateTime\" value=\"2001-01-01T10:00:00+10:00\"></ArchiveDate>
           <Attributes type=\"Structure\"/>
         </RequestMessage>",
        "<?xml version=\"1.0\"?><k:RequestMessage xmlns:k=\"urn:oasis:tc:kmip:xmlns\">
           <k:CryptographicUsageMask type=\"Integer\" value=\"CertificateSign 0x00000004 0x0000008\"/>
           <TTLV tag=\"0x420005\" name=\"ArchiveDate\" type=\"DateTime\" value=\"0x000000003a4fc880\"/>
           <Attributes></Attributes>
         </k:RequestMessage>",
    ] {
        assert_eq!(from_xml(text).expect(text).expose(), expected, "{text}");
    }
    for text in [
        r#"{"tag":"RequestMessage","type":"Structure","value":[
            {"tag":"CryptographicUsageMask","type":"Integer","value":"Encrypt|Decrypt|CertificateSign"},
            {"value":"2001-01-01T00:00:00","name":"x","type":"DateTime","tag":"0x420005"},
            {"tag":"Attributes","value":null}]}"#,
        r#"{"tag":"0x420078","value":[
            {"tag":"CryptographicUsageMask","type":"Integer","value":4108},
            {"tag":"ArchiveDate","type":"DateTime","value":"2001-01-01T00:00:00.75Z"},
            {"tag":"Attributes"}]}"#,
    ] {
        assert_eq!(from_json(text).expect(text).expose(), expected, "{text}");
    }
}

#[test]
fn what_is_no_message_is_refused_without_repeating_a_value() {
    let in_message = |inside: &str| format!("<RequestMessage>{inside}</RequestMessage>");
    let deep = "<Attributes>".repeat(40);
    for (text, kind) in [
        (in_message("<NoSuchThing type=\"Integer\" value=\"1\"/>"), EncodingErrorKind::UnknownTag),
        (in_message("<Data type=\"Wood\" value=\"1\"/>"), EncodingErrorKind::UnknownType),
        (in_message("<Data type=\"ByteString\"/>"), EncodingErrorKind::NoValue),
        (in_message("<Attributes value=\"1\"/>"), EncodingErrorKind::ValueOfStructure),
        (
            in_message("<Data type=\"ByteString\" value=\"s3cret\"/>"),
            EncodingErrorKind::WrongValue(ItemType::ByteString),
        ),
        (
            in_message("<BatchCount type=\"Integer\" value=\"2147483648\"/>"),
            EncodingErrorKind::WrongValue(ItemType::Integer),
        ),
        (in_message("<State type=\"Enumeration\" value=\"s3cret\"/>"), EncodingErrorKind::UnknownName),
        (in_message("text"), EncodingErrorKind::Markup),
        (in_message("<![CDATA[text]]>"), EncodingErrorKind::Markup),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><RequestMessage/>".to_owned(), EncodingErrorKind::Markup),
        ("<RequestMessage/><RequestMessage/>".to_owned(), EncodingErrorKind::NotOneItem),
        (String::new(), EncodingErrorKind::NotOneItem),
        (deep.clone(), EncodingErrorKind::TooDeep),
    ] {
        let error = from_xml(&text).expect_err(&text);
        assert_eq!(error.kind, kind, "{text}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    for text in [
        "<RequestMessage>",
        "<RequestMessage",
        "<A b=\"&x;\"/>",
        "</RequestMessage>",
        "<Data type=\"TextString\" value=\"&entity;\"/>",
    ] {
        assert!(from_xml(text).is_err(), "{text}");
    }
    let deep = format!("{}{}", "{\"tag\":\"Attributes\",\"value\":[".repeat(40), "]}".repeat(40));
    for (text, kind) in [
        (r#"{"tag":"Nothing","value":[]}"#, EncodingErrorKind::UnknownTag),
        (r#"{"tag":"Data","type":"Wood","value":1}"#, EncodingErrorKind::UnknownType),
        (r#"{"tag":"Data","type":"ByteString"}"#, EncodingErrorKind::NoValue),
        (r#"{"tag":"Attributes","value":1}"#, EncodingErrorKind::ValueOfStructure),
        (
            r#"{"tag":"Data","type":"ByteString","value":"s3cret"}"#,
            EncodingErrorKind::WrongValue(ItemType::ByteString),
        ),
        (
            r#"{"tag":"Data","type":"ByteString","value":[]}"#,
            EncodingErrorKind::WrongValue(ItemType::ByteString),
        ),
        (r#"{"tag":"State","type":"Enumeration","value":"s3cret"}"#, EncodingErrorKind::UnknownName),
        (&deep, EncodingErrorKind::TooDeep),
    ] {
        let error = from_json(text).expect_err(text);
        assert_eq!(error.kind, kind, "{text}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    for text in
        ["", "[]", "{}", "7", r#"{"tag":"Data","tag":"Data"}"#, r#"{"tag":"s3cret"#, &"[".repeat(100_000)]
    {
        let error = from_json(text).expect_err("no message");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn xml_cannot_carry_a_control_character_and_says_so() {
    let bytes = written(|writer| writer.field(Tag::NAME_VALUE, &"a\u{1}".to_owned()));
    assert_eq!(to_xml(&bytes).expect_err("no XML").kind, EncodingErrorKind::Unwritable);
    let json = to_json(&bytes).expect("JSON");
    assert_eq!(from_json(text(&json)).expect("read JSON").expose(), bytes);
}

#[test]
fn a_content_type_says_which_encoding_it_is() {
    assert_eq!(Encoding::from_content_type("text/xml; charset=utf-8"), Some(Encoding::Xml));
    assert_eq!(Encoding::from_content_type("Application/JSON"), Some(Encoding::Json));
    assert_eq!(Encoding::from_content_type("application/octet-stream"), Some(Encoding::Ttlv));
    assert_eq!(Encoding::from_content_type("text/html"), None);
}

#[derive(Clone, Debug)]
enum Anything {
    Structure(u32, Vec<Anything>),
    Value(u32, ItemType, Vec<u8>),
}

fn write(anything: &Anything, writer: &mut Writer) {
    match anything {
        Anything::Structure(tag, items) => {
            writer.structure(Tag(*tag), |writer| items.iter().for_each(|item| write(item, writer)));
        }
        Anything::Value(tag, item_type, bytes) => writer.item(Tag(*tag), *item_type, bytes),
    }
}

fn value() -> impl Strategy<Value = Anything> {
    let number = prop_oneof![any::<i64>(), -9_i64..9, Just(i64::MIN), Just(i64::MAX), Just(1 << 52)];
    let text = "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{0,9}";
    let tag = || prop_oneof![0x0042_0001_u32..0x0042_0180, 0x0054_0000_u32..0x0054_0009];
    (tag(), 0..10_usize, number, text, vec(any::<u8>(), 0..20)).prop_map(
        |(tag, which, number, text, bytes)| {
            let (eight, four) = (number.to_be_bytes().to_vec(), number.to_be_bytes()[4..].to_vec());
            let (item_type, bytes) = match which {
                0 => (ItemType::Integer, four),
                1 => (ItemType::LongInteger, eight),
                2 => (ItemType::BigInteger, [eight.clone(), eight].concat()),
                3 => (ItemType::Enumeration, four),
                4 => (ItemType::Boolean, vec![0, 0, 0, 0, 0, 0, 0, u8::from(number % 2 == 0)]),
                5 => (ItemType::TextString, text.into_bytes()),
                6 => (ItemType::ByteString, bytes),
                7 => (ItemType::DateTime, eight),
                8 => (ItemType::Interval, four),
                _ => (ItemType::DateTimeExtended, eight),
            };
            Anything::Value(tag, item_type, bytes)
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_lost(items in vec(value().prop_recursive(4, 40, 6, |inner| {
        (0x0042_0001_u32..0x0042_0180, vec(inner, 0..6)).prop_map(|(tag, items)| Anything::Structure(tag, items))
    }), 0..9)) {
        let mut writer = Writer::new(Version::V2_1);
        write(&Anything::Structure(Tag::REQUEST_MESSAGE.0, items), &mut writer);
        check(&writer.into_bytes());
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[<>/\"&;#a-zA-Z0-9 =\\-]{0,60}|\\PC{0,40}|[\\[\\]{}\":,a-z0-9]{0,40}") {
        let _ = from_xml(&text);
        let _ = from_json(&text);
    }
}
