//! Locate by parts of structures, by limits, and by dates that are not there.

use kms_protocol::attribute::{
    ApplicationSpecificInformation, Attribute, AttributeKind, AttributeList, Criteria, Criterion,
    CryptographicParameters, Link, Name, UsageLimits,
};
use kms_protocol::enums::{
    BlockCipherMode, HashingAlgorithm, LinkType, NameType, ObjectType, PaddingMethod, UsageLimitsUnit,
};
use kms_protocol::operation::{CertifyRequest, LocateCriteria, LocateRequest};
use kms_protocol::ttlv::{Bytes, Content, ItemType, RawValue, Reader, Value, Writer};
use kms_protocol::{DateTime, Tag, Version};

use crate::asking::{Asker, NOW, pair_request};
use crate::{key_with, password};

/// A structure of this one field.
fn field(kind: AttributeKind, tag: Tag, value: &impl Value) -> Criterion {
    let mut writer = Writer::new(Version::V2_1);
    writer.structure(Tag::ATTRIBUTE_VALUE, |writer| value.write(writer, tag));
    let bytes = writer.into_bytes();
    let item = Reader::new(&bytes, Version::V2_1).next_item().expect("an item").expect("one");
    let Content::Structure(reader) = item.content else { panic!("a structure") };
    Criterion::Partial(
        kind,
        RawValue { item_type: ItemType::Structure, bytes: Bytes(reader.rest().to_vec()) },
    )
}

fn by(ask: &Asker, criteria: Vec<Criterion>) -> Vec<String> {
    let request = LocateCriteria { criteria: Criteria(criteria), ..LocateCriteria::default() };
    ask.ask(&request).expect("looked").unique_identifiers
}

fn with(ask: &Asker, attributes: Vec<Attribute>) -> Vec<String> {
    let request = LocateRequest { attributes: AttributeList(attributes), ..LocateRequest::default() };
    ask.ask(&request).expect("looked").unique_identifiers
}

/// Parts of structures, and the object that has them.
fn parts<'a>(id: &'a String, linked: &'a String) -> Vec<(&'static str, Criterion, Option<&'a String>)> {
    vec![
        ("a Name's value", field(AttributeKind::Name, Tag::NAME_VALUE, &"by its value".to_owned()), Some(id)),
        ("another value", field(AttributeKind::Name, Tag::NAME_VALUE, &"by".to_owned()), None),
        (
            "a Name's type",
            field(AttributeKind::Name, Tag::NAME_TYPE, &NameType::UninterpretedTextString),
            Some(id),
        ),
        ("a Link's target", field(AttributeKind::Link, Tag::LINKED_OBJECT_IDENTIFIER, id), Some(linked)),
        ("a Link's type", field(AttributeKind::Link, Tag::LINK_TYPE, &LinkType::NextLink), Some(linked)),
        ("another type", field(AttributeKind::Link, Tag::LINK_TYPE, &LinkType::PreviousLink), None),
        (
            "a namespace",
            field(
                AttributeKind::ApplicationSpecificInformation,
                Tag::APPLICATION_NAMESPACE,
                &"tape-library".to_owned(),
            ),
            Some(id),
        ),
        (
            "what stands in it",
            field(
                AttributeKind::ApplicationSpecificInformation,
                Tag::APPLICATION_DATA,
                &"drive 4".to_owned(),
            ),
            Some(id),
        ),
    ]
}

#[test]
fn a_structure_is_found_by_the_fields_that_are_stated() {
    let ask = Asker::start("");
    let parameters = CryptographicParameters {
        block_cipher_mode: Some(BlockCipherMode::Cbc),
        padding_method: Some(PaddingMethod::Pkcs5),
        hashing_algorithm: Some(HashingAlgorithm::Sha256),
        ..CryptographicParameters::default()
    };
    let application =
        ApplicationSpecificInformation { namespace: "tape-library".into(), data: Some("drive 4".into()) };
    let id = key_with(
        &ask,
        vec![
            Attribute::CryptographicParameters(parameters),
            Attribute::ApplicationSpecificInformation(application),
            Attribute::Name(Name::text("by its value")),
        ],
    );
    let linked = key_with(&ask, vec![Attribute::Link(Link::to(LinkType::NextLink, id.clone()))]);
    let plain = key_with(&ask, vec![]);
    for version in [Version::V1_0, Version::V1_4, Version::V2_0, Version::V2_1] {
        let ask = ask.speaking(version);
        let mode = |mode| CryptographicParameters {
            block_cipher_mode: Some(mode),
            ..CryptographicParameters::default()
        };
        let found = with(&ask, vec![Attribute::CryptographicParameters(mode(BlockCipherMode::Cbc))]);
        assert_eq!(found, std::slice::from_ref(&id), "{version}");
        let found = with(&ask, vec![Attribute::CryptographicParameters(mode(BlockCipherMode::Ecb))]);
        assert!(found.is_empty(), "{version}: another mode");
        for (what, criterion, expected) in parts(&id, &linked) {
            let expected: Vec<String> = expected.cloned().into_iter().collect();
            assert_eq!(by(&ask, vec![criterion]), expected, "{version}: {what}");
        }
    }
    assert!(
        by(&ask.by("b"), vec![field(AttributeKind::Link, Tag::LINK_TYPE, &LinkType::NextLink)]).is_empty()
    );
    assert!(!plain.is_empty());
}

#[test]
fn a_certificate_is_found_by_parts_of_its_subject() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let (_, public) = ask.pair(&pair_request("job", 2048));
    let certify = CertifyRequest {
        unique_identifier: Some(public.as_str().into()),
        attributes: vec![Attribute::CertificateSubjectCn("tape.example".into())].into(),
        ..CertifyRequest::default()
    };
    let made = ask.ask(&certify).expect("certified").unique_identifier;
    let found = with(&ask, vec![Attribute::CertificateSubjectCn("tape.example".into())]);
    assert_eq!(found, std::slice::from_ref(&made));
    let older = ask.speaking(Version::V1_4);
    let subject = field(
        AttributeKind::CertificateSubject,
        Tag::CERTIFICATE_SUBJECT_DISTINGUISHED_NAME,
        &"CN=tape.example".to_owned(),
    );
    assert_eq!(by(&older, vec![subject]), [made]);
}

#[test]
fn usage_limits_match_where_as_much_is_left() {
    let ask = Asker::start("");
    let limits = |total, count| UsageLimits { total, count, unit: UsageLimitsUnit::Byte };
    let id = key_with(&ask, vec![Attribute::UsageLimits(limits(100, None))]);
    let unlimited = password(&ask, "no key");
    ask.encrypt(&id, crate::mode(BlockCipherMode::Ecb), &[7; 16]);
    let found = |wanted| with(&ask, vec![Attribute::UsageLimits(wanted)]);
    assert_eq!(found(limits(100, Some(84))), std::slice::from_ref(&id));
    assert_eq!(found(limits(50, None)), std::slice::from_ref(&id));
    assert!(found(limits(100, Some(85))).is_empty(), "16 are used");
    assert!(found(limits(101, None)).is_empty());
    assert!(found(UsageLimits { unit: UsageLimitsUnit::Object, ..limits(1, None) }).is_empty());
    assert!(!unlimited.is_empty());
}

#[test]
fn the_largest_date_stands_for_none() {
    let ask = Asker::start("");
    let ending = key_with(&ask, vec![Attribute::DeactivationDate(DateTime(NOW + 100))]);
    let endless = key_with(&ask, vec![]);
    let dates = |list: &[i64]| {
        let mut wanted: Vec<_> =
            list.iter().map(|date| Attribute::DeactivationDate(DateTime(*date))).collect();
        wanted.push(Attribute::ObjectType(ObjectType::SymmetricKey));
        let mut found = with(&ask, wanted);
        found.sort();
        found
    };
    assert_eq!(dates(&[NOW + 100]), std::slice::from_ref(&ending));
    assert_eq!(dates(&[i64::MAX]), std::slice::from_ref(&endless));
    assert_eq!(dates(&[NOW, NOW + 99]), <[String; 0]>::default());
    let mut both = [ending, endless];
    both.sort();
    assert_eq!(dates(&[NOW, i64::MAX]), both);
}
