//! Set Defaults, Set Constraints, Get Constraints: whose objects they are for, and what they change.

use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, AttributeKind, AttributeList, CryptographicUsageMask as Mask};
use kms_protocol::enums::{CryptographicAlgorithm, ObjectType, QueryFunction, ResultReason};
use kms_protocol::operation::{
    AddAttributeRequest, Constraint, Constraints, CreateRequest, DefaultedTypes, DefaultsInformation,
    GetConstraintsRequest, ImportRequest, ModifyAttributeRequest, ObjectDefaults, ObjectGroups, ObjectTypes,
    QueryRequest, RekeyRequest, SetConstraintsRequest, SetDefaultsRequest,
};

use crate::asking::{Answer, Asker, pair_request};
use crate::{KEY, aes, register};

const AES: Attribute = Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes);

fn create(ask: &Asker, attributes: Vec<Attribute>) -> Answer<String> {
    let request = CreateRequest {
        object_type: ObjectType::SymmetricKey,
        attributes: attributes.into(),
        protection: None,
    };
    ask.ask(&request).map(|made| made.unique_identifier)
}

fn symmetric(attributes: Vec<Attribute>) -> Constraints {
    let types = ObjectTypes { object_types: vec![ObjectType::SymmetricKey] };
    let constraint = Constraint {
        object_types: Some(types),
        object_groups: None,
        attributes: Some(AttributeList(attributes)),
    };
    Constraints { constraints: vec![constraint] }
}

fn constrain(ask: &Asker, constraints: Constraints) -> Answer<()> {
    ask.ask(&SetConstraintsRequest { constraints }).map(drop)
}

fn defaults(attributes: Vec<Attribute>, groups: Option<&str>) -> SetDefaultsRequest {
    let object_defaults = vec![ObjectDefaults {
        object_types: DefaultedTypes::One(ObjectType::SymmetricKey),
        attributes: AttributeList(attributes),
        object_groups: groups.map(|group| ObjectGroups { object_groups: vec![group.into()] }),
    }];
    SetDefaultsRequest { defaults: Some(DefaultsInformation { object_defaults }) }
}

#[test]
fn defaults_fill_in_what_a_client_leaves_out_until_they_are_removed() {
    let ask = Asker::start("").speaking(Version::V2_1);
    assert!(create(&ask, vec![AES]).is_err(), "no length");
    let set = defaults(
        vec![
            AES,
            Attribute::CryptographicLength(256),
            Attribute::CryptographicUsageMask(Mask::ENCRYPT.with(Mask::DECRYPT)),
            Attribute::ObjectGroup("tapes".into()),
        ],
        None,
    );
    ask.ask(&set).expect("set");
    let kinds = [AttributeKind::CryptographicLength, AttributeKind::ObjectGroup];
    for version in [Version::V1_0, Version::V1_4, Version::V2_1] {
        let ask = ask.speaking(version);
        let made = create(&ask, vec![]).expect("with all defaults");
        let filled = [Attribute::CryptographicLength(256), Attribute::ObjectGroup("tapes".into())];
        assert_eq!(ask.attributes(&made, &kinds), filled, "{version}");
        let made =
            create(&ask, vec![Attribute::CryptographicLength(128), Attribute::ObjectGroup("own".into())]);
        let stated = [Attribute::CryptographicLength(128), Attribute::ObjectGroup("own".into())];
        assert_eq!(ask.attributes(&made.expect("made"), &kinds), stated, "{version}");
    }
    let registered = register(&ask, aes(&KEY), vec![]).expect("what follows from the key stays as it is");
    assert_eq!(
        ask.attributes(
            &registered,
            &[AttributeKind::CryptographicLength, AttributeKind::CryptographicUsageMask]
        ),
        [
            Attribute::CryptographicLength(128),
            Attribute::CryptographicUsageMask(Mask::ENCRYPT.with(Mask::DECRYPT))
        ]
    );
    assert!(create(&ask.by("b"), vec![AES]).is_err(), "another owner's objects are not touched");
    let told = ask.ask(&QueryRequest::from(vec![QueryFunction::QueryDefaultsInformation])).expect("told");
    assert_eq!(told.defaults_information, set.defaults);
    ask.ask(&SetDefaultsRequest::default()).expect("removed");
    assert!(create(&ask, vec![AES]).is_err(), "no length again");
    let odd = defaults(vec![Attribute::InitialDate(kms_protocol::DateTime(1))], None);
    assert_eq!(ask.ask(&odd).expect_err("the server's own").0, ResultReason::AttributeReadOnly);
}

#[test]
fn defaults_of_a_group_are_for_its_members() {
    let ask = Asker::start("").speaking(Version::V2_1);
    ask.ask(&defaults(vec![Attribute::CryptographicLength(192)], Some("tapes"))).expect("set");
    let made = create(&ask, vec![AES, Attribute::ObjectGroup("tapes".into())]).expect("a member");
    assert_eq!(
        ask.attributes(&made, &[AttributeKind::CryptographicLength]),
        [Attribute::CryptographicLength(192)]
    );
    assert!(create(&ask, vec![AES, Attribute::ObjectGroup("disks".into())]).is_err(), "no member");
}

#[test]
fn objects_that_do_not_keep_to_a_constraint_are_not_made_nor_changed() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let old = create(&ask, vec![AES, Attribute::CryptographicLength(128)]).expect("made before");
    let set = symmetric(vec![
        AES,
        Attribute::CryptographicLength(192),
        Attribute::CryptographicLength(256),
        Attribute::CryptographicUsageMask(Mask::ENCRYPT.with(Mask::DECRYPT)),
    ]);
    constrain(&ask, set.clone()).expect("set");
    assert_eq!(ask.ask(&GetConstraintsRequest::default()).expect("told").constraints, set);
    let mask = |mask| Attribute::CryptographicUsageMask(mask);
    let good =
        create(&ask, vec![AES, Attribute::CryptographicLength(256), mask(Mask::ENCRYPT)]).expect("made");
    let violation = |answer: Answer<String>| answer.expect_err("refused").0;
    for (what, attributes) in [
        ("too short", vec![AES, Attribute::CryptographicLength(128), mask(Mask::ENCRYPT)]),
        (
            "may too much",
            vec![AES, Attribute::CryptographicLength(256), mask(Mask::ENCRYPT.with(Mask::WRAP_KEY))],
        ),
        ("of another algorithm", vec![Attribute::CryptographicAlgorithm(CryptographicAlgorithm::ChaCha20)]),
    ] {
        let reason = violation(create(&ask, attributes.clone()));
        assert_eq!(reason, ResultReason::ConstraintViolation, "{what}");
        let older = ask.speaking(Version::V1_4);
        assert_eq!(violation(create(&older, attributes)), ResultReason::InvalidField, "{what} in 1.4");
    }
    assert_eq!(
        violation(register(&ask, aes(&KEY), vec![mask(Mask::ENCRYPT)])),
        ResultReason::ConstraintViolation
    );
    let import = ImportRequest {
        unique_identifier: "1".into(),
        object_type: Some(ObjectType::SymmetricKey),
        replace_existing: None,
        key_wrap_type: None,
        attributes: AttributeList(vec![mask(Mask::ENCRYPT)]),
        object: aes(&KEY),
    };
    assert_eq!(ask.ask(&import).expect_err("imported").0, ResultReason::ConstraintViolation);
    let rekey = |id: &str| RekeyRequest { unique_identifier: Some(id.into()), ..RekeyRequest::default() };
    assert_eq!(ask.ask(&rekey(&old)).expect_err("as short as before").0, ResultReason::ConstraintViolation);
    ask.ask(&rekey(&good)).expect("as good as before");
    ask.pair(&pair_request("of another type", 2048));
    create(&ask.by("b"), vec![AES, Attribute::CryptographicLength(128)]).expect("another owner's");
    constrain(&ask, Constraints::default()).expect("lifted");
    create(&ask, vec![AES, Attribute::CryptographicLength(128)]).expect("made again");
}

#[test]
fn a_change_may_not_break_a_constraint_and_one_that_has_nothing_to_do_with_it_may_be() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let comment = |text: &str| Attribute::Comment(text.into());
    let old = create(&ask, vec![AES, Attribute::CryptographicLength(128)]).expect("made before");
    constrain(&ask, symmetric(vec![comment("approved")])).expect("set");
    let good =
        create(&ask, vec![AES, Attribute::CryptographicLength(128), comment("approved")]).expect("made");
    let modify = |id: &str, attribute: Attribute| {
        let request = ModifyAttributeRequest {
            unique_identifier: Some(id.into()),
            current: None,
            attribute: attribute.into(),
        };
        ask.ask(&request).map(drop)
    };
    assert_eq!(modify(&good, comment("changed")).expect_err("refused").0, ResultReason::ConstraintViolation);
    assert_eq!(ask.attributes(&good, &[AttributeKind::Comment]), [comment("approved")]);
    let add = AddAttributeRequest {
        unique_identifier: Some(old.as_str().into()),
        attribute: Attribute::Description("an old key".into()).into(),
    };
    ask.ask(&add).expect("an old key can be described");
}

#[test]
fn an_administrator_sets_them_for_all_whom_the_rules_name_and_they_outlive_the_server() {
    let rules = r#"
[[access]]
principals = "officer"
owners = "media-*"
operations = ["Set Constraints", "Set Defaults"]
[[access]]
principals = ["officer", "media-*"]
operations = ["Create", "Get Constraints"]
[[access]]
principals = "officer"
operations = ["Set Constraints", "Set Defaults"]
"#;
    let folder = tempfile::tempdir().expect("a folder");
    let set = symmetric(vec![Attribute::CryptographicLength(256)]);
    {
        let ask = Asker::keeping(folder.path(), rules).speaking(Version::V2_1);
        let media = ask.by("media-1");
        assert_eq!(
            constrain(&media, Constraints::default()).expect_err("no officer").0,
            ResultReason::PermissionDenied
        );
        assert_eq!(
            media.ask(&SetDefaultsRequest::default()).expect_err("no officer").0,
            ResultReason::PermissionDenied
        );
        constrain(&ask.by("officer"), set.clone()).expect("set");
    }
    let ask = Asker::keeping(folder.path(), rules).speaking(Version::V2_1);
    let media = ask.by("media-1");
    assert_eq!(media.ask(&GetConstraintsRequest::default()).expect("told").constraints, set);
    let short = || vec![AES, Attribute::CryptographicLength(128)];
    assert_eq!(create(&media, short()).expect_err("refused").0, ResultReason::ConstraintViolation);
    assert_eq!(
        create(&ask.by("officer"), short()).expect_err("as well").0,
        ResultReason::ConstraintViolation
    );
    create(&ask.by("free"), short()).expect("nobody is set over this one");
}
