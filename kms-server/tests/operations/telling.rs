//! What the server tells clients: which events become Notify and Put, for whom, in every version.

use kms_protocol::attribute::{Attribute, AttributeKind, AttributeReference, CustomAttribute};
use kms_protocol::enums::{LinkType, ObjectType, Operation, PutFunction, State};
use kms_protocol::message::{RequestItem, RequestMessage};
use kms_protocol::operation::{
    ActivateRequest, AddAttributeRequest, DeleteAttributeRequest, DestroyRequest, NotifyRequest, PutRequest,
    RekeyKeyPairRequest,
};
use kms_protocol::ttlv::{Bytes, ItemType, RawValue, Value as _};
use kms_protocol::{DateTime, Secret, Version};
use kms_server::kms::{Event, Telling, VERSIONS};

use crate::asking::{Asker, NOW, pair_request};
use crate::{KEY, aes, register};

/// What has happened since event number `after`.
fn since(ask: &Asker, after: u64) -> Vec<Event> {
    let told = ask.trail().events(after).expect("events").events;
    told.into_iter().map(|told| told.event).collect()
}

fn tell(ask: &Asker, event: &Event, to: &str, version: Version) -> Option<Telling> {
    ask.service.tell(event, to, version, DateTime(NOW)).expect("the store")
}

fn items(message: &Secret) -> Vec<RequestItem<'_>> {
    RequestMessage::read(message.expose()).expect("a request").items
}

fn notified(item: &RequestItem<'_>) -> NotifyRequest {
    assert_eq!(item.operation, Operation::Notify);
    let read = NotifyRequest::read(item.payload.clone()).expect("Notify");
    assert!(read.attributes.0.iter().any(|one| one.kind() == AttributeKind::LastChangeDate), "{read:?}");
    read
}

fn put(item: &RequestItem<'_>) -> PutRequest {
    assert_eq!(item.operation, Operation::Put);
    PutRequest::read(item.payload.clone()).expect("Put")
}

/// The only event of an action, in the words of this version.
fn told_of(ask: &Asker, version: Version, act: impl FnOnce()) -> Telling {
    let after = ask.trail().last();
    act();
    let events = since(ask, after);
    assert_eq!(events.len(), 1, "{events:?}");
    tell(ask, &events[0], "a", version).expect("it is told")
}

#[test]
fn a_rotation_hands_the_new_public_key_over_and_announces_the_rest() {
    let ask = Asker::start("");
    let (private, public) = ask.pair(&pair_request("nightly", 2_048));
    let made = &since(&ask, 0)[0];
    let created = tell(&ask, made, "a", Version::V2_1).expect("told");
    let [first, second]: [RequestItem<'_>; 2] = items(&created.message).try_into().expect("two items");
    assert_eq!(notified(&first).unique_identifier, private);
    assert_eq!(
        (put(&second).put_function, put(&second).replaced_unique_identifier),
        (PutFunction::New, None)
    );

    let after = ask.trail().last();
    let rekey = RekeyKeyPairRequest {
        private_key_unique_identifier: Some(private.as_str().into()),
        ..Default::default()
    };
    let new = ask.ask(&rekey).expect("rotated");
    let events = since(&ask, after);
    let rotated = events.iter().find(|event| event.kind() == "rotated").expect("a rotation");
    for version in VERSIONS {
        let telling = tell(&ask, rotated, "a", version).expect("told");
        let message = RequestMessage::read(telling.message.expose()).expect("a request");
        let header = &message.header;
        assert_eq!(header.protocol_version, version);
        assert!(header.maximum_response_size.is_none() && header.batch_order_option.is_none());
        let ids: Vec<&str> = telling.items.iter().map(|(_, id)| id.as_str()).collect();
        let (new_private, new_public) =
            (&new.private_key_unique_identifier, &new.public_key_unique_identifier);
        assert_eq!(ids, [&private, &public, new_private, new_public].map(String::as_str));
        let old = notified(&message.items[1]);
        assert!(
            old.deleted.0.contains(&AttributeReference::Standard(AttributeKind::Name)),
            "{version}: {old:?}"
        );
        let successor = old.attributes.0.iter().find_map(|one| match one {
            Attribute::Link(link) if link.link_type == LinkType::ReplacementObjectLink => {
                link.target.as_text()
            }
            _ => None,
        });
        assert_eq!(successor, Some(new_public.as_str()), "{version}");
        notified(&message.items[2]);
        let put = put(&message.items[3]);
        assert_eq!(put.put_function, PutFunction::Replace);
        assert_eq!(put.replaced_unique_identifier.as_deref(), Some(public.as_str()));
        assert_eq!(put.object.object_type(), ObjectType::PublicKey);
        assert!(put.attributes.0.iter().any(|one| one.kind() == AttributeKind::Name), "{version}");
    }
}

#[test]
fn key_material_is_sent_to_nobody_who_did_not_ask() {
    let ask = Asker::start("");
    let telling =
        told_of(&ask, Version::V1_4, || drop(register(&ask, aes(&KEY), vec![]).expect("registered")));
    assert_eq!(telling.items.len(), 1);
    notified(&items(&telling.message)[0]);
    let bytes = telling.message.expose();
    assert!(!bytes.windows(KEY.len()).any(|window| window == KEY));
}

#[test]
fn nobody_learns_of_anothers_objects_but_by_a_rule() {
    let rules = "[[access]]\nprincipals = \"auditor\"\nowners = \"a\"\noperations = [\"Get Attributes\"]";
    let ask = Asker::start(rules);
    ask.pair(&pair_request("nightly", 2_048));
    let made = &since(&ask, 0)[0];
    assert!(tell(&ask, made, "b", Version::V2_1).is_none());
    assert!(!ask.service.may_concern(made, "b") && ask.service.may_concern(made, "auditor"));
    let seen = tell(&ask, made, "auditor", Version::V2_1).expect("told");
    assert!(seen.items.iter().all(|(operation, _)| *operation == Operation::Notify), "it may not Get");
}

#[test]
fn changed_and_deleted_attributes_are_told_by_name() {
    let ask = Asker::start("");
    let id = register(&ask, aes(&KEY), vec![]).expect("registered");
    let note = Attribute::Custom(CustomAttribute {
        vendor: "x".into(),
        name: "note".into(),
        value: RawValue { item_type: ItemType::TextString, bytes: Bytes(b"one".to_vec()) },
    });
    let reference = AttributeReference::to(&note);
    for version in [Version::V1_0, Version::V1_4, Version::V2_0, Version::V2_1] {
        let added = told_of(&ask, version, || {
            let add = AddAttributeRequest {
                unique_identifier: Some(id.as_str().into()),
                attribute: note.clone().into(),
            };
            ask.ask(&add).expect("added");
        });
        let told = notified(&items(&added.message)[0]);
        assert_eq!((told.unique_identifier.as_str(), told.attributes.0.len()), (id.as_str(), 2), "{told:?}");
        assert!(told.attributes.0.contains(&note) && told.deleted.0.is_empty());
        let deleted = told_of(&ask, version, || {
            let delete = DeleteAttributeRequest {
                unique_identifier: Some(id.as_str().into()),
                attribute: Some(reference.clone()),
                ..DeleteAttributeRequest::default()
            };
            ask.ask(&delete).expect("deleted");
        });
        let told = notified(&items(&deleted.message)[0]);
        assert_eq!((told.attributes.0.len(), told.deleted.0), (1, vec![reference.clone()]), "{version}");
    }
}

#[test]
fn a_state_is_told_with_the_date_that_it_began_at() {
    let ask = Asker::start("");
    let id = register(&ask, aes(&KEY), vec![]).expect("registered");
    let told = |act: &dyn Fn()| notified(&items(&told_of(&ask, Version::V2_1, act).message)[0]).attributes.0;
    let active = told(&|| {
        ask.ask(&ActivateRequest { unique_identifier: Some(id.as_str().into()) }).expect("activated");
    });
    assert!(active.contains(&Attribute::State(State::Active)), "{active:?}");
    assert!(active.contains(&Attribute::ActivationDate(DateTime(NOW))), "{active:?}");
    let other = register(&ask, aes(&KEY), vec![]).expect("registered");
    let destroyed = told(&|| {
        ask.ask(&DestroyRequest { unique_identifier: Some(other.as_str().into()) }).expect("destroyed");
    });
    assert!(destroyed.contains(&Attribute::State(State::Destroyed)), "{destroyed:?}");
    assert!(destroyed.contains(&Attribute::DestroyDate(DateTime(NOW))), "{destroyed:?}");
}
