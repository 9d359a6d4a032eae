//! The rules of each attribute, from the tables of the specification (KMIP 1.4 section 3, 2.1 section 4): what a client may do with
//! it and when, and how often it may stand.

use kms_protocol::attribute::{
    AlternativeName, ApplicationSpecificInformation, Attribute, AttributeKind as Kind, CertificateIdentifier,
    CertificateIssuer, CertificateSubject, CryptographicDomainParameters, CryptographicParameters, Digest,
    KeyValueLocation, Link, Name, RevocationReason, RngParameters, RotateName, UsageLimits,
    X509CertificateIdentifier, X509CertificateIssuer, X509CertificateSubject, read_attribute,
};
use kms_protocol::enums::{
    AlternativeNameType, HashingAlgorithm, KeyValueLocationType, LinkType, ObjectType, ResultReason,
    RevocationReasonCode, RngAlgorithm, RotateNameType, State, UsageLimitsUnit,
};
use kms_protocol::operation::CreateRequest;
use kms_protocol::ttlv::{Bytes, ItemType, Reader, Writer};
use kms_protocol::{DateTime, Version};
use kms_server::kms::Reason;
use kms_server::kms::attributes::{Change, check};
use kms_server::kms::model::Object;

use crate::asking::{Asker, NOW};
use crate::{KEY, aes, register};

/// When a client may do something.
#[derive(Clone, Copy, PartialEq, Debug)]
enum When {
    Always,
    Never,
    PreActive,
    /// Pre-Active or Active.
    InUse,
}

/// Modifiable by client, deletable by client, multiple instances.
type Rules = (When, bool, bool);

/// What the tables say. Attributes of certificates are those of 4.6, their pieces; what no table says of Certificate Subject and
/// the like of 1.x stands in 3.13 to 3.15.
fn rules(kind: Kind) -> Rules {
    use When::{Always, InUse, Never, PreActive};
    match kind {
        Kind::AlternativeName
        | Kind::ApplicationSpecificInformation
        | Kind::CryptographicParameters
        | Kind::KeyValueLocation
        | Kind::Link
        | Kind::Name
        | Kind::ObjectGroup => (Always, true, true),
        Kind::Comment
        | Kind::ContactInformation
        | Kind::Description
        | Kind::Pkcs12FriendlyName
        | Kind::ProtectionLevel
        | Kind::ProtectionPeriod
        | Kind::QuantumSafe
        | Kind::RotateName
        | Kind::UsageLimits => (Always, true, false),
        Kind::Extractable | Kind::Sensitive => (Always, false, false),
        Kind::ActivationDate => (PreActive, false, false),
        Kind::DeactivationDate | Kind::ProcessStartDate | Kind::ProtectStopDate => (InUse, false, false),
        Kind::Digest | Kind::DigitalSignatureAlgorithm | Kind::NistKeyType => (Never, false, true),
        other => (Never, false, other.name().starts_with("Certificate ") && is_piece(other)),
    }
}

/// Whether it is a piece of a distinguished name: each may stand several times.
fn is_piece(kind: Kind) -> bool {
    let pieces = ["Certificate Subject ", "Certificate Issuer "];
    pieces.iter().any(|piece| kind.name().starts_with(piece))
}

/// A value of an attribute.
fn sample(kind: Kind) -> Attribute {
    let text = || "text".to_owned();
    match kind {
        Kind::Name => Attribute::Name(Name::text("text")),
        Kind::Link => Attribute::Link(Link::to(LinkType::NextLink, "1")),
        Kind::CryptographicParameters => {
            Attribute::CryptographicParameters(CryptographicParameters::default())
        }
        Kind::CryptographicDomainParameters => {
            let none = CryptographicDomainParameters { qlength: None, recommended_curve: None };
            Attribute::CryptographicDomainParameters(none)
        }
        Kind::Digest => Attribute::Digest(Digest {
            hashing_algorithm: HashingAlgorithm::Sha256,
            digest_value: None,
            key_format_type: None,
        }),
        Kind::OperationPolicyName => Attribute::OperationPolicyName(text()),
        Kind::UsageLimits => {
            Attribute::UsageLimits(UsageLimits { total: 1, count: None, unit: UsageLimitsUnit::Byte })
        }
        Kind::RevocationReason => Attribute::RevocationReason(RevocationReason {
            code: RevocationReasonCode::Superseded,
            message: None,
        }),
        Kind::ApplicationSpecificInformation => {
            Attribute::ApplicationSpecificInformation(ApplicationSpecificInformation {
                namespace: text(),
                data: None,
            })
        }
        Kind::AlternativeName => {
            Attribute::AlternativeName(AlternativeName { value: text(), name_type: AlternativeNameType::Uri })
        }
        Kind::KeyValueLocation => Attribute::KeyValueLocation(KeyValueLocation {
            value: text(),
            location_type: KeyValueLocationType::Uri,
        }),
        Kind::RandomNumberGenerator => Attribute::RandomNumberGenerator(RngParameters {
            rng_algorithm: RngAlgorithm::Drbg,
            cryptographic_algorithm: None,
            cryptographic_length: None,
            hashing_algorithm: None,
            drbg_algorithm: None,
            recommended_curve: None,
            fips186_variation: None,
            prediction_resistance: None,
        }),
        Kind::RotateName => {
            Attribute::RotateName(RotateName { value: text(), name_type: RotateNameType::Uri })
        }
        other => of_a_certificate(other).unwrap_or_else(|| scalar(other)),
    }
}

/// A value of a structure that says what stands in a certificate.
fn of_a_certificate(kind: Kind) -> Option<Attribute> {
    let (text, bytes) = (|| "text".to_owned(), || Bytes(vec![1]));
    Some(match kind {
        Kind::X509CertificateIdentifier => Attribute::X509CertificateIdentifier(X509CertificateIdentifier {
            issuer: bytes(),
            serial_number: bytes(),
        }),
        Kind::X509CertificateSubject => Attribute::X509CertificateSubject(X509CertificateSubject {
            subject: bytes(),
            alternative_names: vec![],
        }),
        Kind::X509CertificateIssuer => Attribute::X509CertificateIssuer(X509CertificateIssuer {
            issuer: bytes(),
            alternative_names: vec![],
        }),
        Kind::CertificateIdentifier => {
            Attribute::CertificateIdentifier(CertificateIdentifier { issuer: text(), serial_number: None })
        }
        Kind::CertificateSubject => {
            Attribute::CertificateSubject(CertificateSubject { subject: text(), alternative_names: vec![] })
        }
        Kind::CertificateIssuer => {
            Attribute::CertificateIssuer(CertificateIssuer { issuer: text(), alternative_names: vec![] })
        }
        _ => return None,
    })
}

/// A value of an attribute that is no structure, of whatever type the attribute takes.
fn scalar(kind: Kind) -> Attribute {
    let types: [(ItemType, &[u8]); 8] = [
        (ItemType::Integer, &[0, 0, 0, 1]),
        (ItemType::Enumeration, &[0, 0, 0, 1]),
        (ItemType::Interval, &[0, 0, 14, 16]),
        (ItemType::Boolean, &[0, 0, 0, 0, 0, 0, 0, 1]),
        (ItemType::DateTime, &NOW.to_be_bytes()),
        (ItemType::LongInteger, &[0, 0, 0, 0, 0, 0, 0, 1]),
        (ItemType::TextString, b"text"),
        (ItemType::ByteString, b"text"),
    ];
    let read = types.iter().find_map(|(item_type, value)| {
        let mut writer = Writer::new(Version::V2_1);
        writer.item(kind.tag(), *item_type, value);
        let bytes = writer.into_bytes();
        let item = Reader::new(&bytes, Version::V2_1).next_item().ok()??;
        read_attribute(item).ok().map(|(_, attribute)| attribute)
    });
    read.unwrap_or_else(|| panic!("a value of {}", kind.name()))
}

fn object(state: State) -> Object {
    Object::new("1".into(), "a", ObjectType::SymmetricKey, vec![Attribute::State(state)])
}

#[test]
fn a_client_may_do_with_each_attribute_what_the_specification_says() {
    for kind in Kind::ALL.iter().copied() {
        let (modify, delete, multi) = rules(kind);
        let name = kind.name();
        assert_eq!(kind.is_multi_valued(), multi, "how often {name} may stand");
        let attribute = sample(kind);
        assert_eq!(attribute.kind(), kind);
        for (state, in_time) in [
            (State::PreActive, modify != When::Never),
            (State::Active, matches!(modify, When::Always | When::InUse)),
            (State::Deactivated, modify == When::Always),
        ] {
            let object = object(state);
            let may =
                |change| check(&object, &attribute, change, DateTime(NOW)).map_err(|refusal| refusal.reason);
            for change in [Change::Add, Change::Modify] {
                // It may be set at any time, and then stays (2.1 section 4.34).
                let is_set_late = kind == Kind::NistKeyType && change == Change::Add;
                let expected = match (in_time || is_set_late, modify) {
                    (true, _) => Ok(()),
                    (false, When::Never) => Err(Reason::ReadOnlyAttribute),
                    (false, _) => Err(Reason::WrongState),
                };
                assert_eq!(may(change), expected, "{change:?} {name} of a {state} object");
            }
            let expected = if delete { Ok(()) } else { Err(Reason::ReadOnlyAttribute) };
            assert_eq!(may(Change::Delete), expected, "delete {name} of a {state} object");
        }
    }
}

/// "Initially set by: Server", less what a client states to say what it wants made.
const SERVERS: &[Kind] = &[
    Kind::UniqueIdentifier,
    Kind::ShortUniqueIdentifier,
    Kind::ObjectType,
    Kind::State,
    Kind::Digest,
    Kind::DigitalSignatureAlgorithm,
    Kind::LeaseTime,
    Kind::InitialDate,
    Kind::DestroyDate,
    Kind::CompromiseDate,
    Kind::CompromiseOccurrenceDate,
    Kind::RevocationReason,
    Kind::ArchiveDate,
    Kind::LastChangeDate,
    Kind::KeyValuePresent,
    Kind::ProtectionStorageMask,
    Kind::AlwaysSensitive,
    Kind::NeverExtractable,
    Kind::CertificateLength,
    Kind::X509CertificateIdentifier,
    Kind::X509CertificateSubject,
    Kind::X509CertificateIssuer,
    Kind::RotateDate,
    Kind::RotateGeneration,
    Kind::RotateLatest,
];

#[test]
fn what_the_server_sets_no_client_states_at_creation() {
    let ask = Asker::start("").speaking(Version::V2_1);
    for kind in SERVERS {
        let attributes = vec![
            Attribute::CryptographicAlgorithm(kms_protocol::enums::CryptographicAlgorithm::Aes),
            Attribute::CryptographicLength(128),
            sample(*kind),
        ];
        let request = CreateRequest {
            object_type: ObjectType::SymmetricKey,
            attributes: attributes.into(),
            protection: None,
        };
        let (reason, _) = ask.ask(&request).expect_err(kind.name());
        assert_eq!(reason, ResultReason::AttributeReadOnly, "{}", kind.name());
    }
}

#[test]
fn who_brings_an_object_says_when_it_was_made_and_who_has_it_made_does_not() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let date = || Attribute::OriginalCreationDate(DateTime(NOW - 1_000));
    let id = register(&ask, aes(&KEY), vec![date()]).expect("registered");
    assert_eq!(ask.attributes(&id, &[Kind::OriginalCreationDate]), [date()]);
    let request = CreateRequest {
        object_type: ObjectType::SymmetricKey,
        attributes: vec![
            Attribute::CryptographicAlgorithm(kms_protocol::enums::CryptographicAlgorithm::Aes),
            Attribute::CryptographicLength(128),
            date(),
        ]
        .into(),
        protection: None,
    };
    assert_eq!(ask.ask(&request).expect_err("the server knows").0, ResultReason::AttributeReadOnly);
}
