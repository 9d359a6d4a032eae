//! Attributes that clients add, change and delete, each by its rules.

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeReference, CustomAttribute, IndexedAttribute, Name,
};
use kms_protocol::enums::{AdjustmentType, ResultReason, State};
use kms_protocol::operation::{
    AddAttributeRequest, AdjustAttributeRequest, DeleteAttributeRequest, ModifyAttributeRequest,
    SetAttributeRequest,
};
use kms_protocol::ttlv::{Bytes, ItemType, RawValue};
use kms_protocol::{DateTime, Version};

use crate::asking::{Answer, Asker, NOW};
use crate::{KEY, aes, key, register};

fn custom(name: &str, value: &str) -> Attribute {
    Attribute::Custom(CustomAttribute { vendor: "x".into(), name: name.into(), value: RawValue::text(value) })
}

fn add(ask: &Asker, id: &str, attribute: Attribute) -> Answer<Option<IndexedAttribute>> {
    ask.ask(&AddAttributeRequest { unique_identifier: Some(id.into()), attribute: attribute.into() })
        .map(|response| response.attribute)
}

fn modify(ask: &Asker, id: &str, attribute: Attribute, index: Option<i32>) -> Answer<()> {
    let attribute = IndexedAttribute { attribute, index };
    ask.ask(&ModifyAttributeRequest { unique_identifier: Some(id.into()), current: None, attribute })
        .map(drop)
}

fn delete(ask: &Asker, id: &str, reference: AttributeReference, index: Option<i32>) -> Answer<()> {
    let request = DeleteAttributeRequest {
        unique_identifier: Some(id.into()),
        attribute: Some(reference),
        index,
        ..DeleteAttributeRequest::default()
    };
    ask.ask(&request).map(drop)
}

fn of(kind: AttributeKind) -> AttributeReference {
    AttributeReference::Standard(kind)
}

fn note() -> AttributeReference {
    AttributeReference::Custom { vendor: "x".into(), name: "note".into() }
}

#[test]
fn instances_have_their_places_in_1x() {
    let ask = Asker::start("");
    let id = key(&ask);
    assert_eq!(add(&ask, &id, custom("note", "a")).expect("added").expect("told").index, None);
    assert_eq!(add(&ask, &id, custom("note", "b")).expect("added").expect("told").index, Some(1));
    modify(&ask, &id, custom("note", "c"), Some(1)).expect("modified");
    modify(&ask, &id, custom("note", "d"), None).expect("the first");
    assert_eq!(ask.attributes(&id, &[AttributeKind::Custom]).len(), 0, "custom ones go by their names");
    assert_eq!(
        modify(&ask, &id, custom("note", "e"), Some(2)).expect_err("none").0,
        ResultReason::ItemNotFound
    );
    delete(&ask, &id, note(), Some(0)).expect("deleted");
    delete(&ask, &id, note(), Some(0)).expect("deleted");
    assert_eq!(delete(&ask, &id, note(), None).expect_err("none").0, ResultReason::ItemNotFound);
}

#[test]
fn in_2x_a_value_is_named_by_itself() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let id = key(&ask);
    for value in ["a", "b"] {
        add(&ask, &id, custom("note", value)).expect("added");
    }
    assert_eq!(
        modify(&ask, &id, custom("note", "c"), None).expect_err("which").0,
        ResultReason::MultiValuedAttribute
    );
    let request = ModifyAttributeRequest {
        unique_identifier: Some(id.as_str().into()),
        current: Some(custom("note", "b").into()),
        attribute: custom("note", "c").into(),
    };
    ask.ask(&request).expect("modified");
    assert_eq!(ask.ask(&request).expect_err("it is not there").0, ResultReason::AttributeNotFound);
    delete(&ask, &id, note(), None).expect("all of them");
    assert_eq!(delete(&ask, &id, note(), None).expect_err("none").0, ResultReason::AttributeNotFound);
}

#[test]
fn what_is_the_servers_stays_the_servers() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let id = key(&ask);
    for attribute in [
        Attribute::State(State::Compromised),
        Attribute::CryptographicLength(256),
        Attribute::InitialDate(DateTime(1)),
        Attribute::Fresh(true),
        Attribute::AlwaysSensitive(true),
    ] {
        let kind = attribute.kind();
        let read_only = ResultReason::AttributeReadOnly;
        assert_eq!(modify(&ask, &id, attribute.clone(), None).expect_err("refused").0, read_only, "{kind:?}");
        assert_eq!(delete(&ask, &id, of(kind), None).expect_err("refused").0, read_only, "{kind:?}");
        assert_eq!(add(&ask, &id, attribute).expect_err("refused").0, read_only, "{kind:?}");
    }
    let servers = CustomAttribute { vendor: "y".into(), name: "n".into(), value: RawValue::text("v") };
    assert!(add(&ask, &id, Attribute::Custom(servers)).is_err());
    assert_eq!(
        delete(&ask, &id, of(AttributeKind::Sensitive), None).expect_err("every object has it").0,
        ResultReason::AttributeReadOnly
    );
}

#[test]
fn dates_change_while_they_are_to_come() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let waiting = register(&ask, aes(&KEY), vec![]).expect("registered");
    add(&ask, &waiting, Attribute::ActivationDate(DateTime(NOW + 100))).expect("it is Pre-Active");
    modify(&ask, &waiting, Attribute::ActivationDate(DateTime(NOW)), None).expect("it is Pre-Active");
    assert_eq!(ask.state(&waiting), State::Active, "the date has come");
    let (reason, _) =
        modify(&ask, &waiting, Attribute::ActivationDate(DateTime(NOW + 5)), None).expect_err("it is Active");
    assert_eq!(reason, ResultReason::WrongKeyLifecycleState);
    add(&ask, &waiting, Attribute::DeactivationDate(DateTime(NOW + 50))).expect("it is Active");
    let early = modify(&ask, &waiting, Attribute::DeactivationDate(DateTime(NOW - 50)), None);
    assert_eq!(early.expect_err("before its Activation").0, ResultReason::InvalidField);
    assert_eq!(ask.at(NOW + 50).state(&waiting), State::Deactivated);
    let late = modify(&ask.at(NOW + 60), &waiting, Attribute::DeactivationDate(DateTime(NOW + 90)), None);
    assert_eq!(late.expect_err("it is Deactivated").0, ResultReason::WrongKeyLifecycleState);
}

#[test]
fn single_values_and_names_stay_single() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let (one, other) = (key(&ask), key(&ask));
    add(&ask, &one, Attribute::Comment("c".into())).expect("added");
    let twice = add(&ask, &one, Attribute::Comment("d".into())).expect_err("one is there");
    assert_eq!(twice.0, ResultReason::AttributeSingleValued);
    add(&ask, &one, Attribute::Name(Name::text("n"))).expect("added");
    for id in [&one, &other] {
        let taken = add(&ask, id, Attribute::Name(Name::text("n"))).expect_err("taken");
        assert_eq!(taken.0, ResultReason::NonUniqueNameAttribute);
    }
    let set = |id: &str, attribute: Attribute| {
        let request = SetAttributeRequest { unique_identifier: Some(id.into()), attribute: attribute.into() };
        ask.ask(&request).map(drop)
    };
    set(&one, Attribute::Comment("e".into())).expect("changed");
    set(&other, Attribute::Comment("e".into())).expect("added");
    add(&ask, &one, custom("note", "a")).expect("added");
    add(&ask, &one, custom("note", "b")).expect("added");
    assert_eq!(set(&one, custom("note", "c")).expect_err("which").0, ResultReason::MultiValuedAttribute);
    assert_eq!(
        set(&one, Attribute::State(State::Active)).expect_err("the server's").0,
        ResultReason::AttributeReadOnly
    );
}

#[test]
fn sensitive_and_extractable_have_a_history() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let always =
        |id: &str| ask.attributes(id, &[AttributeKind::AlwaysSensitive, AttributeKind::NeverExtractable]);
    let from_the_start =
        register(&ask, aes(&KEY), vec![Attribute::Sensitive(true), Attribute::Extractable(false)])
            .expect("registered");
    let yes = [Attribute::AlwaysSensitive(true), Attribute::NeverExtractable(true)];
    let no = [Attribute::AlwaysSensitive(false), Attribute::NeverExtractable(false)];
    assert_eq!(always(&from_the_start), yes);
    assert_eq!(crate::get(&ask, &from_the_start).expect_err("stays").0, ResultReason::NotExtractable);
    modify(&ask, &from_the_start, Attribute::Extractable(true), None).expect("modified");
    assert_eq!(crate::get(&ask, &from_the_start).expect_err("stays").0, ResultReason::Sensitive);
    modify(&ask, &from_the_start, Attribute::Sensitive(false), None).expect("modified");
    assert_eq!(always(&from_the_start), no);
    crate::get(&ask, &from_the_start).expect("it leaves");
    assert_eq!(always(&key(&ask)), no);
}

#[test]
fn numbers_are_adjusted_within_their_range() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let id = key(&ask);
    let number = |value: i32| {
        let value = RawValue { item_type: ItemType::Integer, bytes: Bytes(value.to_be_bytes().to_vec()) };
        Attribute::Custom(CustomAttribute { vendor: "x".into(), name: "note".into(), value })
    };
    add(&ask, &id, number(i32::MAX - 1)).expect("added");
    let adjust = |reference: AttributeReference, adjustment_type, by: Option<i32>| {
        let adjustment_value =
            by.map(|by| RawValue { item_type: ItemType::Integer, bytes: Bytes(by.to_be_bytes().to_vec()) });
        let request = AdjustAttributeRequest {
            unique_identifier: Some(id.as_str().into()),
            attribute: reference,
            adjustment_type,
            adjustment_value,
        };
        ask.ask(&request).map(drop)
    };
    adjust(note(), AdjustmentType::Increment, None).expect("one more");
    assert_eq!(
        adjust(note(), AdjustmentType::Increment, None).expect_err("no more").0,
        ResultReason::InvalidField
    );
    adjust(note(), AdjustmentType::Decrement, Some(7)).expect("seven less");
    let request = DeleteAttributeRequest {
        unique_identifier: Some(id.as_str().into()),
        current: Some(number(i32::MAX - 7).into()),
        ..DeleteAttributeRequest::default()
    };
    ask.ask(&request).expect("that is what it was");
    adjust(of(AttributeKind::Sensitive), AdjustmentType::Negate, None).expect("turned over");
    assert_eq!(crate::get(&ask, &id).expect_err("stays").0, ResultReason::Sensitive);
    let (reason, _) =
        adjust(of(AttributeKind::State), AdjustmentType::Increment, None).expect_err("no number");
    assert_eq!(reason, ResultReason::InvalidField);
    assert_eq!(
        adjust(note(), AdjustmentType::Negate, None).expect_err("gone").0,
        ResultReason::AttributeNotFound
    );
}
