//! Objects of every type come in and go out as they were.

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, CryptographicParameters, CryptographicUsageMask as Mask, Link,
    Name, UsageLimits,
};
use kms_protocol::enums::{
    CertificateType, CryptographicAlgorithm, DerivationMethod, HashingAlgorithm, KeyFormatType, LinkType,
    ObjectGroupMember, ObjectType, ResultReason, RevocationReasonCode, SplitKeyMethod, State,
    UsageLimitsUnit,
};
use kms_protocol::object::{
    Certificate, KeyBlock, KeyMaterial, KeyValue, ManagedObject, PgpKey, SplitKey, Template, TransparentKey,
    TransparentSymmetricKey,
};
use kms_protocol::operation::{
    CreateRequest, CreateSplitKeyRequest, DerivationParameters, DeriveKeyRequest, DestroyRequest,
    ExportRequest, GetRequest, ImportRequest, JoinSplitKeyRequest, LocateRequest, RegisterRequest,
    RekeyRequest,
};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Secret, Version};

use crate::asking::{Asker, NOW, pair_request};
use crate::{KEY, aes, get, key, key_with, opaque, password, raw, register, revoke};

fn create(algorithm: CryptographicAlgorithm, length: Option<i32>) -> CreateRequest {
    let mut attributes = vec![Attribute::CryptographicAlgorithm(algorithm)];
    attributes.extend(length.map(Attribute::CryptographicLength));
    CreateRequest { object_type: ObjectType::SymmetricKey, attributes: attributes.into(), protection: None }
}

#[test]
fn keys_are_made_of_every_algorithm_that_is_offered() {
    let ask = Asker::start("");
    use CryptographicAlgorithm as Algorithm;
    for (algorithm, length, bytes) in [
        (Algorithm::Aes, Some(256), 32),
        (Algorithm::TripleDes, Some(168), 24),
        (Algorithm::ChaCha20, None, 32),
        (Algorithm::HmacSha256, Some(512), 64),
    ] {
        let made = ask.ask(&create(algorithm, length)).expect("made").unique_identifier;
        let (object_type, object) = get(&ask, &made).expect("served");
        assert_eq!(object_type, ObjectType::SymmetricKey);
        assert_eq!(object.key_bytes().expect("bytes").len(), bytes, "{algorithm}");
        assert_eq!(ask.state(&made), State::PreActive);
    }
    for (what, request, why) in [
        ("no length", create(Algorithm::Aes, None), ResultReason::InvalidMessage),
        ("odd length", create(Algorithm::Aes, Some(100)), ResultReason::InvalidField),
        ("no key of its own", create(Algorithm::Rsa, Some(2048)), ResultReason::InvalidField),
        ("negative", create(Algorithm::HmacSha1, Some(-8)), ResultReason::InvalidField),
        (
            "type",
            CreateRequest { object_type: ObjectType::PrivateKey, ..create(Algorithm::Aes, Some(128)) },
            ResultReason::InvalidField,
        ),
    ] {
        assert_eq!(ask.ask(&request).expect_err(what).0, why, "{what}");
    }
}

#[test]
fn objects_that_no_key_is_come_back_as_they_came() {
    let ask = Asker::start("");
    let transparent = ManagedObject::SymmetricKey(KeyBlock {
        key_format_type: KeyFormatType::TransparentSymmetricKey,
        key_value: Some(KeyValue::Plain {
            material: TransparentKey::Symmetric(TransparentSymmetricKey { key: Secret::from(&KEY[..]) })
                .to_material(),
            attributes: AttributeList::default(),
        }),
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        ..raw(&KEY)
    });
    let part = ManagedObject::SplitKey(SplitKey {
        parts: 2,
        part: 1,
        threshold: 2,
        method: SplitKeyMethod::Xor,
        prime_field_size: None,
        key_block: raw(&KEY),
    });
    let pgp = ManagedObject::PgpKey(PgpKey {
        version: 4,
        key_block: KeyBlock { key_format_type: KeyFormatType::Raw, ..raw(b"armour") },
    });
    for object in [transparent, part, pgp] {
        let object_type = object.object_type();
        let id = register(&ask, object, vec![]).expect("registered");
        let (served, content) = get(&ask, &id).expect("served");
        assert_eq!(served, object_type);
        assert_eq!(content.object_type(), object_type);
        if let Some(KeyValue::Plain { material: KeyMaterial::Bytes(bytes), .. }) =
            content.key_block().and_then(|block| block.key_value.as_ref())
        {
            assert!(bytes.expose() == KEY || bytes.expose() == b"armour");
        }
    }
    let id = opaque(&ask);
    let (_, ManagedObject::OpaqueObject(content)) = get(&ask, &id).expect("served") else { panic!("opaque") };
    assert_eq!(content.value.expose(), b"whatever it is");
    let id = password(&ask, "p");
    let (_, ManagedObject::SecretData(content)) = get(&ask, &id).expect("served") else { panic!("secret") };
    assert_eq!(content.key_block.key_format_type, KeyFormatType::Opaque);
    ask.ask(&DestroyRequest { unique_identifier: Some(id.as_str().into()) }).expect("destroyed");
    assert_eq!(get(&ask, &id).expect_err("gone").0, ResultReason::IllegalOperation);
}

#[test]
fn what_is_no_object_is_not_registered() {
    let ask = Asker::start("");
    let block = |format, bytes: &[u8]| KeyBlock { key_format_type: format, ..raw(bytes) };
    let nonsense = [0x17_u8; 40];
    for (what, object, why) in [
        ("no bytes", aes(b""), ResultReason::InvalidField),
        (
            "no PKCS#8",
            ManagedObject::PrivateKey(block(KeyFormatType::Pkcs8, &nonsense)),
            ResultReason::InvalidField,
        ),
        (
            "no PKCS#1",
            ManagedObject::PublicKey(block(KeyFormatType::Pkcs1, &nonsense)),
            ResultReason::InvalidField,
        ),
        (
            "no SPKI",
            ManagedObject::PublicKey(block(KeyFormatType::X509, &nonsense)),
            ResultReason::InvalidField,
        ),
        (
            "a private key's format",
            ManagedObject::PublicKey(block(KeyFormatType::Pkcs8, &nonsense)),
            ResultReason::KeyFormatTypeNotSupported,
        ),
        (
            "no certificate",
            ManagedObject::Certificate(Certificate {
                certificate_type: CertificateType::X509,
                value: Bytes(nonsense.to_vec()),
            }),
            ResultReason::InvalidField,
        ),
    ] {
        assert_eq!(register(&ask, object, vec![]).expect_err(what).0, why, "{what}");
    }
    let request = RegisterRequest {
        object_type: ObjectType::PublicKey,
        attributes: vec![].into(),
        object: aes(&KEY),
        protection: None,
    };
    assert_eq!(ask.ask(&request).expect_err("another type").0, ResultReason::InvalidField);
    let wrong = vec![Attribute::CryptographicAlgorithm(CryptographicAlgorithm::TripleDes)];
    assert_eq!(
        register(&ask, aes(&KEY), wrong).expect_err("another algorithm").0,
        ResultReason::InvalidField
    );
    let servers = vec![Attribute::State(State::Active)];
    assert_eq!(
        register(&ask, aes(&KEY), servers).expect_err("the server's").0,
        ResultReason::PermissionDenied
    );
    let name = || vec![Attribute::Name(Name::text("one"))];
    register(&ask, aes(&KEY), name()).expect("registered");
    assert_eq!(register(&ask, aes(&KEY), name()).expect_err("taken").0, ResultReason::InvalidField);
}

#[test]
fn a_pair_of_the_servers_own_is_registered_elsewhere_in_every_format() {
    let ask = Asker::start("");
    let (private, public) = ask.pair(&pair_request("pair", 2048));
    let formatted = |id: &str, format| {
        let request = GetRequest {
            unique_identifier: Some(id.into()),
            key_format_type: Some(format),
            ..GetRequest::default()
        };
        ask.ask(&request).expect("served").object
    };
    let elsewhere = Asker::start("");
    for (id, formats) in [
        (&private, [KeyFormatType::Pkcs1, KeyFormatType::Pkcs8, KeyFormatType::TransparentRsaPrivateKey]),
        (&public, [KeyFormatType::Pkcs1, KeyFormatType::X509, KeyFormatType::TransparentRsaPublicKey]),
    ] {
        for format in formats {
            let kept = register(&elsewhere, formatted(id, format), vec![]).expect("registered");
            let (_, own) = get(&elsewhere, &kept).expect("served");
            assert_eq!(own.key_block().expect("a key").key_format_type, format, "as it came");
            let request = GetRequest {
                unique_identifier: Some(kept.as_str().into()),
                key_format_type: Some(KeyFormatType::Pkcs1),
                ..GetRequest::default()
            };
            let back = elsewhere.ask(&request).expect("served").object;
            assert_eq!(back.key_bytes(), formatted(id, KeyFormatType::Pkcs1).key_bytes(), "{format}");
        }
    }
}

#[test]
fn a_template_gives_its_attributes_to_who_names_it() {
    let ask = Asker::start("");
    let inside = vec![
        Attribute::Name(Name::text("aes")),
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
        Attribute::CryptographicLength(192),
    ];
    register(&ask, ManagedObject::Template(Template(AttributeList(inside))), vec![]).expect("registered");
    let mut request = create(CryptographicAlgorithm::Aes, None);
    request.attributes.list.clear();
    request.attributes.templates = vec![Name::text("aes")];
    let made = ask.ask(&request).expect("made").unique_identifier;
    assert_eq!(
        ask.attributes(&made, &[AttributeKind::CryptographicLength]),
        [Attribute::CryptographicLength(192)]
    );
    request.attributes.templates = vec![Name::text("des")];
    assert_eq!(ask.ask(&request).expect_err("none").0, ResultReason::ItemNotFound);
    assert_eq!(ask.by("b").ask(&request).expect_err("none").0, ResultReason::ItemNotFound);
}

#[test]
fn a_symmetric_key_is_replaced_once() {
    let ask = Asker::start("");
    let old = key_with(&ask, vec![Attribute::Name(Name::text("k"))]);
    let request = RekeyRequest { unique_identifier: Some(old.as_str().into()), ..RekeyRequest::default() };
    let new = ask.ask(&request).expect("re-keyed").unique_identifier;
    assert_eq!(ask.names(&new), ["k"]);
    assert!(ask.names(&old).is_empty());
    assert_eq!(ask.link(&old, LinkType::ReplacementObjectLink), Some(new.clone()));
    assert_eq!(ask.link(&new, LinkType::ReplacedObjectLink), Some(old.clone()));
    let bytes = get(&ask, &new).expect("served").1;
    assert_eq!(bytes.key_bytes().expect("bytes").len(), 16);
    assert!(bytes.key_bytes().expect("bytes").expose() != KEY);
    assert_eq!(ask.ask(&request).expect_err("twice").0, ResultReason::PermissionDenied);
    let other = RekeyRequest {
        unique_identifier: Some(new.as_str().into()),
        attributes: vec![Attribute::CryptographicLength(256)].into(),
        ..RekeyRequest::default()
    };
    assert_eq!(ask.ask(&other).expect_err("another length").0, ResultReason::InvalidField);
    revoke(&ask, &new, RevocationReasonCode::KeyCompromise);
    ask.ask(&DestroyRequest { unique_identifier: Some(new.as_str().into()) }).expect("destroyed");
    let gone = RekeyRequest { unique_identifier: Some(new.as_str().into()), ..RekeyRequest::default() };
    assert_eq!(ask.ask(&gone).expect_err("destroyed").0, ResultReason::PermissionDenied);
}

#[test]
fn keys_are_derived_by_the_hash_that_an_hmac_names() {
    let ask = Asker::start("");
    let base = key(&ask);
    for (named, hash) in [
        (CryptographicAlgorithm::HmacSha512, HashingAlgorithm::Sha512),
        (CryptographicAlgorithm::HmacSha3_256, HashingAlgorithm::Sha3_256),
    ] {
        let how = CryptographicParameters {
            cryptographic_algorithm: Some(named),
            ..CryptographicParameters::default()
        };
        let request = DeriveKeyRequest {
            object_type: ObjectType::SymmetricKey,
            unique_identifiers: vec![base.as_str().into()],
            derivation_method: DerivationMethod::Hmac,
            derivation_parameters: DerivationParameters {
                cryptographic_parameters: Some(how),
                derivation_data: vec![Secret::from(&b"data"[..])],
                ..DerivationParameters::default()
            },
            attributes: vec![
                Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
                Attribute::CryptographicLength(256),
            ]
            .into(),
        };
        let made = ask.ask(&request).expect("derived").unique_identifier;
        let (key, data) = (Secret::from(&KEY[..]), Secret::from(&b"data"[..]));
        let expected = kms_server::crypto::derive::hmac(hash, &key, &data, 32).expect("a code");
        assert_eq!(get(&ask, &made).expect("served").1.key_bytes(), Some(&expected), "{named}");
    }
}

#[test]
fn keys_are_derived_from_symmetric_keys_and_passwords() {
    let ask = Asker::start("");
    let base = key(&ask);
    let derive = |method, parameters, length| DeriveKeyRequest {
        object_type: ObjectType::SymmetricKey,
        unique_identifiers: vec![base.as_str().into()],
        derivation_method: method,
        derivation_parameters: parameters,
        attributes: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
            Attribute::CryptographicLength(length),
        ]
        .into(),
    };
    let data = || DerivationParameters {
        derivation_data: vec![Secret::from(&b"data"[..])],
        ..DerivationParameters::default()
    };
    let made = ask.ask(&derive(DerivationMethod::Hmac, data(), 256)).expect("derived").unique_identifier;
    let expected = kms_server::crypto::derive::hmac(
        HashingAlgorithm::Sha256,
        &Secret::from(&KEY[..]),
        &Secret::from(&b"data"[..]),
        32,
    );
    assert_eq!(get(&ask, &made).expect("served").1.key_bytes(), Some(&expected.expect("a code")));
    assert_eq!(ask.link(&made, LinkType::DerivationBaseObjectLink), Some(base.clone()));
    let salted = DerivationParameters {
        salt: Some(Bytes(b"salt".to_vec())),
        iteration_count: Some(10),
        ..DerivationParameters::default()
    };
    for (method, parameters) in [
        (DerivationMethod::Pbkdf2, salted.clone_for_test()),
        (DerivationMethod::Hash, DerivationParameters::default()),
        (DerivationMethod::Nist800_108C, data()),
        (DerivationMethod::Nist800_108F, data()),
        (DerivationMethod::Nist800_108Dpi, data()),
    ] {
        let made = ask.ask(&derive(method, parameters, 128)).expect("derived").unique_identifier;
        assert_eq!(get(&ask, &made).expect("served").1.key_bytes().expect("bytes").len(), 16, "{method}");
    }
    for (what, request, why) in [
        (
            "no data",
            derive(DerivationMethod::Hmac, DerivationParameters::default(), 128),
            ResultReason::InvalidMessage,
        ),
        ("no salt", derive(DerivationMethod::Pbkdf2, data(), 128), ResultReason::InvalidMessage),
        ("too long", derive(DerivationMethod::Hmac, data(), 264), ResultReason::InvalidField),
        (
            "too many rounds",
            derive(
                DerivationMethod::Pbkdf2,
                DerivationParameters { iteration_count: Some(i32::MAX), ..salted },
                128,
            ),
            ResultReason::InvalidField,
        ),
    ] {
        let (reason, message) = ask.ask(&request).expect_err(what);
        assert_eq!(reason, why, "{what}: {message}");
    }
}

trait CloneForTest {
    fn clone_for_test(&self) -> Self;
}

impl CloneForTest for DerivationParameters {
    fn clone_for_test(&self) -> Self {
        Self { salt: self.salt.clone(), iteration_count: self.iteration_count, ..Self::default() }
    }
}

#[test]
fn a_split_key_is_whole_again_with_all_its_parts() {
    let ask = Asker::start("");
    let whole = key(&ask);
    let split = |parts, threshold, method| CreateSplitKeyRequest {
        object_type: ObjectType::SymmetricKey,
        unique_identifier: Some(whole.as_str().into()),
        parts,
        threshold,
        method,
        prime_field_size: None,
        attributes: vec![].into(),
        protection: None,
    };
    let parts = ask.ask(&split(3, 3, SplitKeyMethod::Xor)).expect("split").unique_identifiers;
    assert_eq!(parts.len(), 3);
    let join = |ids: &[String]| JoinSplitKeyRequest {
        object_type: ObjectType::SymmetricKey,
        unique_identifiers: ids.iter().map(|id| id.as_str().into()).collect(),
        secret_data_type: None,
        attributes: vec![].into(),
        protection: None,
    };
    let joined = ask.ask(&join(&parts)).expect("joined").unique_identifier;
    assert_eq!(get(&ask, &joined).expect("served").1.key_bytes().expect("bytes").expose(), KEY);
    for (what, ids) in [
        ("too few", parts[..2].to_vec()),
        ("one twice", vec![parts[0].clone(), parts[0].clone(), parts[1].clone()]),
        ("none", vec![]),
    ] {
        assert_eq!(ask.ask(&join(&ids)).expect_err(what).0, ResultReason::InvalidField, "{what}");
    }
    for (what, request) in [
        ("one part", split(1, 1, SplitKeyMethod::Xor)),
        ("a threshold", split(3, 2, SplitKeyMethod::Xor)),
        ("too many", split(65, 65, SplitKeyMethod::Xor)),
        ("GF(2^16)", split(3, 3, SplitKeyMethod::PolynomialSharingGf216)),
        ("a prime field", split(3, 3, SplitKeyMethod::PolynomialSharingPrimeField)),
        ("a threshold of one", split(3, 1, SplitKeyMethod::PolynomialSharingGf28)),
        ("a threshold above the parts", split(3, 4, SplitKeyMethod::PolynomialSharingGf28)),
    ] {
        assert_eq!(ask.ask(&request).expect_err(what).0, ResultReason::InvalidField, "{what}");
    }

    // By polynomials any of them make it, if they are enough.
    let threshold = split(5, 3, SplitKeyMethod::PolynomialSharingGf28);
    let parts = ask.ask(&threshold).expect("split").unique_identifiers;
    assert_eq!(parts.len(), 5);
    for chosen in [&parts[..3], &parts[2..], &parts[..], &[3, 0, 4].map(|at| parts[at].clone())] {
        let joined = ask.ask(&join(chosen)).expect("joined").unique_identifier;
        assert_eq!(get(&ask, &joined).expect("served").1.key_bytes().expect("bytes").expose(), KEY);
    }
    let others = ask.ask(&threshold).expect("split").unique_identifiers;
    for (what, ids) in [
        ("too few", parts[..2].to_vec()),
        ("one twice", vec![parts[0].clone(), parts[1].clone(), parts[1].clone()]),
        ("another split's", [&parts[..3], &others[3..]].concat()),
    ] {
        assert_eq!(ask.ask(&join(&ids)).expect_err(what).0, ResultReason::InvalidField, "{what}");
    }
}

#[test]
fn an_object_moves_to_another_server_with_its_history() {
    let (here, there) = (Asker::start(""), Asker::start(""));
    let id = key_with(&here, vec![Attribute::Name(Name::text("moved"))]);
    let exported = here
        .ask(&ExportRequest { unique_identifier: Some(id.as_str().into()), ..ExportRequest::default() })
        .expect("exported");
    assert_eq!(exported.unique_identifier, id);
    let import = |replace| ImportRequest {
        unique_identifier: id.clone(),
        object_type: Some(ObjectType::SymmetricKey),
        replace_existing: replace,
        key_wrap_type: None,
        attributes: exported.attributes.clone(),
        object: aes(&KEY),
    };
    there.ask(&import(None)).expect("imported");
    assert_eq!(there.state(&id), State::Active);
    assert_eq!(there.names(&id), ["moved"]);
    assert_eq!(there.ask(&import(None)).expect_err("there").0, ResultReason::ObjectAlreadyExists);
    there.ask(&import(Some(true))).expect("replaced");
    let foreign = there.by("b").ask(&import(Some(true))).expect_err("someone else's");
    assert_eq!(foreign.0, ResultReason::ObjectAlreadyExists);
    for name in ["~audit/1", "", "two\nlines", "\u{e9}".repeat(65).as_str()] {
        let odd = ImportRequest { unique_identifier: name.into(), ..import(None) };
        assert_eq!(there.ask(&odd).expect_err(name).0, ResultReason::InvalidField, "{name:?}");
    }
    let odd = ImportRequest { object_type: Some(ObjectType::PublicKey), ..import(Some(true)) };
    assert_eq!(there.ask(&odd).expect_err("type").0, ResultReason::InvalidField);
}

#[test]
fn an_object_keeps_the_identifier_that_another_vendors_server_gave_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let ids = ["1", "key/with=odd&signs?%20", "CN=k\u{e9}y, \u{4e2d}\u{6587}"];
    {
        let ask = Asker::keeping(folder.path(), "").speaking(Version::V2_1);
        for (at, id) in ids.into_iter().enumerate() {
            let next = ids[(at + 1) % ids.len()];
            let attributes = vec![
                Attribute::Name(Name::text(format!("name of {id}"))),
                Attribute::Link(Link::to(LinkType::NextLink, next)),
                Attribute::ActivationDate(DateTime(NOW - 1)),
            ];
            let request = ImportRequest {
                unique_identifier: id.into(),
                object_type: Some(ObjectType::SymmetricKey),
                replace_existing: None,
                key_wrap_type: None,
                attributes: AttributeList(attributes),
                object: aes(&KEY),
            };
            assert_eq!(ask.ask(&request).expect("imported").unique_identifier, id);
        }
    }
    // A new start reads them from the disk.
    let ask = Asker::keeping(folder.path(), "").speaking(Version::V2_1);
    for (at, id) in ids.into_iter().enumerate() {
        let next = ids[(at + 1) % ids.len()];
        let found = |attribute| {
            let request =
                LocateRequest { attributes: AttributeList(vec![attribute]), ..LocateRequest::default() };
            ask.ask(&request).expect("looked").unique_identifiers
        };
        assert!(get(&ask, id).is_ok(), "{id}");
        assert_eq!(found(Attribute::Name(Name::text(format!("name of {id}")))), [id]);
        assert_eq!(found(Attribute::Link(Link::to(LinkType::NextLink, next))), [id]);
        let short = ask.attributes(id, &[AttributeKind::ShortUniqueIdentifier]);
        assert!(matches!(&short[..], [Attribute::ShortUniqueIdentifier(short)] if short.0.len() == 32));
        revoke(&ask, id, RevocationReasonCode::KeyCompromise);
        let destroy = DestroyRequest { unique_identifier: Some(id.into()) };
        ask.ask(&destroy).expect("destroyed");
    }
    let listed =
        ask.service.keys(&kms_server::kms::KeyQuery { limit: 9, ..Default::default() }, DateTime(NOW));
    assert_eq!(listed.expect("listed").keys.len(), ids.len());
}

#[test]
fn locate_looks_where_it_is_told() {
    use kms_protocol::attribute::StorageStatusMask as Where;
    use kms_protocol::operation::ArchiveRequest;
    let ask = Asker::start("").speaking(Version::V2_1);
    let grouped = || vec![Attribute::ObjectGroup("g".into())];
    let (on_line, archived, destroyed) =
        (key_with(&ask, grouped()), key_with(&ask, grouped()), key_with(&ask, grouped()));
    ask.ask(&ArchiveRequest { unique_identifier: Some(archived.as_str().into()) }).expect("archived");
    revoke(&ask, &destroyed, RevocationReasonCode::KeyCompromise);
    ask.ask(&DestroyRequest { unique_identifier: Some(destroyed.as_str().into()) }).expect("destroyed");
    let locate = |storage, member| {
        let request = LocateRequest {
            storage_status_mask: storage,
            object_group_member: member,
            attributes: AttributeList(grouped()),
            ..LocateRequest::default()
        };
        ask.ask(&request).expect("looked").unique_identifiers
    };
    assert_eq!(locate(None, None), *std::slice::from_ref(&on_line));
    assert_eq!(locate(Some(Where::ARCHIVAL), None), [archived]);
    assert_eq!(locate(Some(Where::DESTROYED), None), [destroyed]);
    assert_eq!(locate(Some(Where::ON_LINE.with(Where::ARCHIVAL).with(Where::DESTROYED)), None).len(), 3);
    let fresh = Some(ObjectGroupMember::GroupMemberFresh);
    assert_eq!(locate(None, fresh), *std::slice::from_ref(&on_line));
    get(&ask, &on_line).expect("served");
    assert!(locate(None, fresh).is_empty(), "it was served");
}

#[test]
fn usage_limits_end_the_use_of_a_key() {
    use kms_protocol::operation::{CheckRequest, GetUsageAllocationRequest};
    let ask = Asker::start("");
    let limits = |total, unit| Attribute::UsageLimits(UsageLimits { total, count: None, unit });
    let id = key_with(&ask, vec![limits(40, UsageLimitsUnit::Byte)]);
    let ecb = || crate::mode(kms_protocol::enums::BlockCipherMode::Ecb);
    ask.encrypt(&id, ecb(), &[0; 16]);
    ask.encrypt(&id, ecb(), &[0; 16]);
    assert_eq!(ask.try_encrypt(&id, ecb(), &[0; 16]).expect_err("used up").0, ResultReason::PermissionDenied);
    let left = ask.attributes(&id, &[AttributeKind::UsageLimits]);
    assert!(matches!(&left[..], [Attribute::UsageLimits(limits)] if limits.count == Some(8)), "{left:?}");
    let allocate = |count| GetUsageAllocationRequest {
        unique_identifier: Some(id.as_str().into()),
        usage_limits_count: count,
    };
    assert_eq!(ask.ask(&allocate(9)).expect_err("too much").0, ResultReason::PermissionDenied);
    assert_eq!(ask.ask(&allocate(0)).expect_err("nothing").0, ResultReason::InvalidField);
    ask.ask(&allocate(8)).expect("the rest");
    let check = |count| CheckRequest {
        unique_identifier: Some(id.as_str().into()),
        usage_limits_count: Some(count),
        cryptographic_usage_mask: Some(Mask::SIGN),
        ..CheckRequest::default()
    };
    let told = ask.ask(&check(1)).expect("told");
    assert_eq!((told.unique_identifier, told.usage_limits_count), (None, Some(1)));
    assert_eq!(told.cryptographic_usage_mask, Some(Mask::SIGN));
    let (reason, _) = ask.speaking(Version::V2_1).ask(&check(0)).expect_err("no signing");
    assert_eq!(reason, ResultReason::IncompatibleCryptographicUsageMask);
}
