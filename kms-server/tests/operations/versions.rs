//! What each version shows of objects that have everything: no tag, attribute, type or value that its specification lacks.

use kms_protocol::attribute::{
    AlternativeName, ApplicationSpecificInformation, Attribute, CustomAttribute, Link, Name, RotateName,
    UsageLimits,
};
use kms_protocol::enums::{
    AlternativeNameType, CryptographicAlgorithm, Enumeration as _, HashingAlgorithm, KeyFormatType, LinkType,
    ObjectType, QueryFunction, RotateNameType, UsageLimitsUnit,
};
use kms_protocol::message::{RequestBuilder, RequestHeader};
use kms_protocol::object::{KeyBlock, ManagedObject, PgpKey};
use kms_protocol::operation::{
    CertifyRequest, CreateSplitKeyRequest, ExportRequest, GetAttributeListRequest, GetAttributesRequest,
    GetRequest, LocateRequest, QueryRequest, Request, brought_by,
};
use kms_protocol::ttlv::{Content, Interval, RawValue, Reader};
use kms_protocol::{DateTime, Secret, Tag, Version};

use crate::asking::{Asker, NOW, oaep, pair_request};
use crate::every::rows;
use crate::{KEY, aes, all_uses, opaque, password, raw, register};

/// Each version with the last tag of its specification.
const VERSIONS: [(Version, u32); 7] = [
    (Version::V1_0, 0x42_00A1),
    (Version::V1_1, 0x42_00B7),
    (Version::V1_2, 0x42_00D3),
    (Version::V1_3, 0x42_00F7),
    (Version::V1_4, 0x42_0124),
    (Version::V2_0, 0x42_0165),
    (Version::V2_1, 0x42_0176),
];

/// What 2.0 took out of the specification.
const GONE: [Tag; 8] = [
    Tag::ATTRIBUTE_INDEX,
    Tag::CERTIFICATE_IDENTIFIER,
    Tag::CERTIFICATE_ISSUER,
    Tag::CERTIFICATE_SUBJECT,
    Tag::COMMON_TEMPLATE_ATTRIBUTE,
    Tag::OPERATION_POLICY_NAME,
    Tag::TEMPLATE,
    Tag::TEMPLATE_ATTRIBUTE,
];

/// The last value that each version's table of an enumeration has (1.x section 9.1.3.2, 2.x section 11): of those that say what
/// a server does. What an object is made of stays what it is.
const LAST: [(Tag, [u32; 7]); 4] = [
    (Tag::OPERATION, [0x1C, 0x1E, 0x29, 0x29, 0x2B, 0x35, 0x3B]),
    (Tag::OBJECT_TYPE, [8, 8, 9, 9, 9, 10, 10]),
    // The tables end with General Failure, 0x100.
    (Tag::RESULT_REASON, [0x11, 0x12, 0x15, 0x15, 0x18, 0x49, 0x4C]),
    (Tag::PROFILE_NAME, [0, 0, 0, 0x12C, 0x12C, 0x12C, 0x12C]),
];

/// The attributes that each version of 1.x brought (section 3), by which it calls them.
const BROUGHT: [&[&str]; 5] = [
    &[
        "Unique Identifier",
        "Name",
        "Object Type",
        "Cryptographic Algorithm",
        "Cryptographic Length",
        "Cryptographic Parameters",
        "Cryptographic Domain Parameters",
        "Certificate Type",
        "Certificate Identifier",
        "Certificate Subject",
        "Certificate Issuer",
        "Digest",
        "Operation Policy Name",
        "Cryptographic Usage Mask",
        "Lease Time",
        "Usage Limits",
        "State",
        "Initial Date",
        "Activation Date",
        "Process Start Date",
        "Protect Stop Date",
        "Deactivation Date",
        "Destroy Date",
        "Compromise Occurrence Date",
        "Compromise Date",
        "Revocation Reason",
        "Archive Date",
        "Object Group",
        "Link",
        "Application Specific Information",
        "Contact Information",
        "Last Change Date",
    ],
    &[
        "Certificate Length",
        "X.509 Certificate Identifier",
        "X.509 Certificate Subject",
        "X.509 Certificate Issuer",
        "Digital Signature Algorithm",
        "Fresh",
    ],
    &["Alternative Name", "Key Value Present", "Key Value Location", "Original Creation Date"],
    &["Random Number Generator"],
    &[
        "PKCS#12 Friendly Name",
        "Description",
        "Comment",
        "Sensitive",
        "Always Sensitive",
        "Extractable",
        "Never Extractable",
    ],
];

/// What a client of 2.1 can say of a key.
fn everything(name: &str) -> Vec<Attribute> {
    vec![
        Attribute::Name(Name::text(name)),
        Attribute::AlternativeName(AlternativeName {
            value: "alias".into(),
            name_type: AlternativeNameType::UninterpretedTextString,
        }),
        Attribute::ApplicationSpecificInformation(ApplicationSpecificInformation {
            namespace: "ns".into(),
            data: Some("data".into()),
        }),
        Attribute::Comment("said".into()),
        Attribute::Description("shown".into()),
        Attribute::ContactInformation("who".into()),
        Attribute::CryptographicParameters(oaep(HashingAlgorithm::Sha3_256, HashingAlgorithm::Sha1)),
        Attribute::CryptographicUsageMask(all_uses()),
        Attribute::Custom(CustomAttribute {
            vendor: "x".into(),
            name: "note".into(),
            value: RawValue::text("n"),
        }),
        Attribute::Custom(CustomAttribute {
            vendor: "vendor".into(),
            name: "note".into(),
            value: RawValue::text("n"),
        }),
        Attribute::Extractable(true),
        Attribute::Link(Link { link_type: LinkType::WrappingKeyLink, target: "other".into() }),
        Attribute::ObjectGroup("group".into()),
        Attribute::ActivationDate(DateTime(NOW - 1)),
        Attribute::ProcessStartDate(DateTime(NOW - 1)),
        Attribute::ProtectStopDate(DateTime(NOW + 1000)),
        Attribute::QuantumSafe(false),
        Attribute::RotateInterval(Interval(3600)),
        Attribute::RotateName(RotateName { value: "r".into(), name_type: RotateNameType::Uri }),
        Attribute::UsageLimits(UsageLimits { total: 99, count: None, unit: UsageLimitsUnit::Byte }),
    ]
}

/// Objects of every type, told of in 2.1.
fn objects(ask: &Asker) -> Vec<String> {
    let whole = register(ask, aes(&KEY), everything("whole")).expect("registered");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    let request =
        CertifyRequest { unique_identifier: Some(public.as_str().into()), ..CertifyRequest::default() };
    let certificate = ask.ask(&request).expect("certified").unique_identifier;
    let chacha = ManagedObject::SymmetricKey(KeyBlock {
        cryptographic_algorithm: Some(CryptographicAlgorithm::ChaCha20),
        ..raw(&[3; 32])
    });
    let pgp = ManagedObject::PgpKey(PgpKey {
        version: 4,
        key_block: KeyBlock { key_format_type: KeyFormatType::Raw, ..raw(b"armour") },
    });
    let split = CreateSplitKeyRequest {
        object_type: ObjectType::SymmetricKey,
        unique_identifier: Some(whole.as_str().into()),
        parts: 2,
        threshold: 2,
        method: kms_protocol::enums::SplitKeyMethod::Xor,
        prime_field_size: None,
        attributes: vec![].into(),
        protection: None,
    };
    let mut all = vec![whole, private, public, certificate, opaque(ask), password(ask, "password")];
    all.push(register(ask, chacha, vec![]).expect("registered"));
    all.push(register(ask, pgp, vec![]).expect("registered"));
    all.extend(ask.ask(&split).expect("split").unique_identifiers);
    all
}

fn message<R: Request>(request: &R, version: Version) -> Secret {
    let mut builder = RequestBuilder::new(RequestHeader::new(version));
    builder.push(request, None);
    builder.finish()
}

/// What is in an answer and not in its version.
fn newer(mut reader: Reader<'_>, version: (usize, Version, u32), found: &mut Vec<String>) {
    let (at, version, last) = version;
    while let Some(item) = reader.next_item().expect("well-formed") {
        if item.tag.0 > last || (version.is_2x() && GONE.contains(&item.tag)) {
            found.push(format!("the tag {}", item.tag));
        }
        match item.content {
            Content::Structure(inside) => newer(inside, (at, version, last), found),
            Content::Enumeration(value) if item.tag == Tag::ATTRIBUTE_REFERENCE => {
                let is_newer = value > last || GONE.contains(&Tag(value));
                found.extend(is_newer.then(|| format!("a reference to {}", Tag(value))));
            }
            Content::Enumeration(value) => {
                let table = LAST.iter().find(|(tag, _)| *tag == item.tag);
                let is_known = table.is_none_or(|(_, last)| value <= last[at] || value == 0x100);
                let is_template = item.tag == Tag::OBJECT_TYPE && value == ObjectType::Template.value();
                if !is_known || (version.is_2x() && is_template) {
                    found.push(format!("{} 0x{value:X}", item.tag));
                }
            }
            Content::TextString(name) if item.tag == Tag::ATTRIBUTE_NAME && !version.is_2x() => {
                let is_custom = name.starts_with("x-") || name.starts_with("y-");
                if !is_custom && !BROUGHT[..=at].iter().any(|names| names.contains(&name)) {
                    found.push(format!("the attribute {name}"));
                }
            }
            _ => {}
        }
    }
}

#[test]
fn no_version_shows_what_a_later_one_brought() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let mut wrong = Vec::new();
    for (at, (version, last)) in VERSIONS.into_iter().enumerate() {
        // What an operation does to its objects is nothing to the other versions.
        let ask = ask.by(&format!("caller-{at}"));
        let functions = (1..=0x0E).map(QueryFunction::from_value);
        let mut asked: Vec<(String, Secret)> = functions
            .map(|function| {
                let query = QueryRequest { query_functions: vec![function], ..QueryRequest::default() };
                (format!("Query {function}"), message(&query, version))
            })
            .collect();
        for id in objects(&ask) {
            let unique_identifier = Some(id.as_str().into());
            let list = GetAttributeListRequest { unique_identifier: unique_identifier.clone() };
            let attributes = GetAttributesRequest {
                unique_identifier: unique_identifier.clone(),
                ..GetAttributesRequest::default()
            };
            let get = GetRequest { unique_identifier: unique_identifier.clone(), ..GetRequest::default() };
            let export = ExportRequest { unique_identifier, ..ExportRequest::default() };
            asked.push((format!("Get Attribute List {id}"), message(&list, version)));
            asked.push((format!("Get Attributes {id}"), message(&attributes, version)));
            asked.push((format!("Get {id}"), message(&get, version)));
            if version >= Version::V1_4 {
                asked.push((format!("Export {id}"), message(&export, version)));
            }
        }
        asked.push(("Locate".into(), message(&LocateRequest::default(), version)));
        // An operation that is newer is answered by its own name, which the request had.
        let known = rows().into_iter().filter(|row| brought_by(row.operation) <= version);
        for (number, row) in known.enumerate() {
            let own = register(&ask, aes(&KEY), everything(&format!("own {number}"))).expect("registered");
            asked.push((row.operation.to_string(), row.message(&own, version)));
        }
        for (what, request) in asked {
            let answer = ask.send(&request);
            let mut found = Vec::new();
            newer(Reader::new(answer.expose(), version), (at, version, last), &mut found);
            found.dedup();
            wrong.extend(found.into_iter().map(|found| format!("{version}, {what}: {found}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
