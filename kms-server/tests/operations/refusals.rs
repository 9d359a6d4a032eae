//! What every operation refuses: the table of `every`, walked.

use std::collections::BTreeSet;

use kms_protocol::attribute::{Attribute, AttributeList, CryptographicUsageMask, Name};
use kms_protocol::encoding::{from_xml, to_xml};
use kms_protocol::enums::{Operation, QueryFunction, ResultReason, ResultStatus, RevocationReasonCode};
use kms_protocol::message::ResponseMessage;
use kms_protocol::object::{ManagedObject, Template};
use kms_protocol::operation::{ArchiveRequest, DestroyRequest, QueryRequest, RecoverRequest};
use kms_protocol::{Secret, Version};

use crate::asking::{Answer, Asker, NOW, pair_request};
use crate::every::{Row, Thing, Wrong, rows};
use crate::{key, opaque, revoke};

fn send(ask: &Asker, message: &Secret) -> Answer<()> {
    let bytes = ask.send(message);
    let response = ResponseMessage::read(bytes.expose()).expect("a response");
    let item = response.items.first().expect("an item");
    if item.result_status == ResultStatus::Success {
        return Ok(());
    }
    Err((item.result_reason.expect("a reason"), item.result_message.clone().expect("a message")))
}

/// The rows that name an object.
fn on_objects() -> Vec<Row> {
    let names_it = |row: &Row| {
        let xml = to_xml(row.message("SENTINEL", Version::V2_1).expose()).expect("a message");
        String::from_utf8_lossy(xml.expose()).contains("SENTINEL")
    };
    rows().into_iter().filter(names_it).collect()
}

fn destroyed(ask: &Asker, id: &str) {
    revoke(ask, id, RevocationReasonCode::KeyCompromise);
    ask.ask(&DestroyRequest { unique_identifier: Some(id.into()) }).expect("destroyed");
}

/// An Active pair for signatures.
fn signing(ask: &Asker) -> (String, String) {
    let mut request = pair_request("signing", 2048);
    let half = |name: &str, uses| {
        let attributes = vec![
            Attribute::Name(Name::text(name)),
            Attribute::CryptographicUsageMask(uses),
            Attribute::ActivationDate(kms_protocol::DateTime(NOW - 1)),
        ];
        attributes.into()
    };
    request.private_key = half("signing", CryptographicUsageMask::SIGN);
    request.public_key = half("verifying", CryptographicUsageMask::VERIFY);
    ask.pair(&request)
}

fn made(ask: &Asker, thing: Thing) -> String {
    let pair = || ask.pair(&pair_request("pair", 2048));
    match thing {
        Thing::Key => key(ask),
        Thing::Waiting => {
            let uses = Attribute::CryptographicUsageMask(crate::all_uses());
            crate::register(ask, crate::aes(&crate::KEY), vec![uses]).expect("registered")
        }
        Thing::Gone => {
            let id = key(ask);
            destroyed(ask, &id);
            id
        }
        Thing::Opaque => {
            let id = opaque(ask);
            ask.activate(&id);
            id
        }
        Thing::Template => {
            let name = Attribute::Comment("said".into());
            let template = ManagedObject::Template(Template(AttributeList(vec![name])));
            crate::register(&ask.speaking(Version::V1_4), template, vec![]).expect("registered")
        }
        Thing::Archived => {
            let id = key(ask);
            ask.ask(&ArchiveRequest { unique_identifier: Some(id.as_str().into()) }).expect("archived");
            id
        }
        Thing::Signing => signing(ask).0,
        Thing::Verifying => signing(ask).1,
        Thing::Private => pair().0,
        Thing::GonePrivate => {
            let (private, _) = pair();
            destroyed(ask, &private);
            private
        }
        Thing::GonePublic => {
            let (_, public) = pair();
            destroyed(ask, &public);
            public
        }
    }
}

/// A message without a field of its payload; `None` where the field is not there.
fn without(message: &Secret, field: &str) -> Option<Secret> {
    let xml = to_xml(message.expose()).expect("a message");
    let xml = core::str::from_utf8(xml.expose()).expect("text");
    let payload = xml.find("<RequestPayload")?;
    let from = payload + xml[payload..].find(&format!("<{field}"))?;
    let tag_end = from + xml[from..].find('>')? + 1;
    let to = if xml[from..tag_end].ends_with("/>") {
        tag_end
    } else {
        let end = format!("</{field}>");
        from + xml[from..].find(&end)? + end.len()
    };
    Some(from_xml(&format!("{}{}", &xml[..from], &xml[to..])).expect("a message still"))
}

#[test]
fn the_table_has_every_operation_that_the_server_does() {
    let ask = Asker::start("");
    let query =
        QueryRequest { query_functions: vec![QueryFunction::QueryOperations], ..QueryRequest::default() };
    let mut done = BTreeSet::new();
    for version in [Version::V1_4, Version::V2_1] {
        done.extend(ask.speaking(version).ask(&query).expect("what it does").operations);
    }
    let in_table: BTreeSet<Operation> = rows().iter().map(|row| row.operation).collect();
    // What the server asks clients is asked of it by nobody.
    let of_its_own = [Operation::Notify, Operation::Put];
    let missing: Vec<_> =
        done.difference(&in_table).filter(|operation| !of_its_own.contains(operation)).collect();
    assert!(missing.is_empty(), "without a row in the table of every.rs: {missing:?}");
    assert_eq!(in_table.len(), rows().len(), "one row each");
}

#[test]
fn nothing_and_what_is_someone_elses_answer_alike() {
    let owner = Asker::start("");
    let theirs = key(&owner);
    for version in [Version::V1_0, Version::V1_4, Version::V2_1] {
        let other = owner.by("b").speaking(version);
        for row in on_objects() {
            let name = row.operation;
            let nothing = row.message("00000000-0000-4000-8000-000000000000", version);
            let missing = send(&other, &nothing).expect_err("it works on nothing");
            let foreign = send(&other, &row.message(&theirs, version)).expect_err("it works on another's");
            if missing.0 == ResultReason::OperationNotSupported {
                continue;
            }
            let expected =
                if version.is_2x() { ResultReason::ObjectNotFound } else { ResultReason::ItemNotFound };
            assert_eq!(missing, foreign, "{name}");
            assert_eq!(missing.0, expected, "{name}: {}", missing.1);
        }
    }
}

#[test]
fn a_field_that_may_not_be_missing_is_missed() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let mut wrong = Vec::new();
    for (number, row) in rows().iter().enumerate() {
        let ask = ask.by(&format!("owner-{number}"));
        let sound = row.message(&made(&ask, row.right), Version::V2_1);
        for field in row.required {
            let Some(message) = without(&sound, field) else { panic!("{}: no {field}", row.operation) };
            match send(&ask, &message) {
                Err((ResultReason::InvalidMessage | ResultReason::MissingData, _)) => {}
                // There is no ID Placeholder in the place of the identifier.
                Err((ResultReason::ObjectNotFound, _)) if field.ends_with("UniqueIdentifier") => {}
                // Nothing of the attributes or of the objects is there.
                Err((ResultReason::InvalidField, why))
                    if why.contains("missing") || field.ends_with("UniqueIdentifier") => {}
                other => wrong.push(format!("{} without {field}: {other:?}", row.operation)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn tried(wrong: &Wrong, row: &Row, owner: &Asker, version: Version) -> Option<String> {
    let version = match wrong {
        Wrong::Object(Thing::Template, _) => Version::V1_4,
        _ => version,
    };
    let (message, reason) = match wrong {
        Wrong::Never(why) => return why.is_empty().then(|| format!("{}: say why not", row.operation)),
        Wrong::Object(thing, reason) => (row.message(&made(owner, *thing), version), reason),
        Wrong::Message(message, reason) => (message(), reason),
    };
    match send(&owner.speaking(version), &message) {
        Err((refused, _)) if refused == *reason => None,
        other => Some(format!("{}: {reason:?} expected, {other:?}", row.operation)),
    }
}

#[test]
fn what_is_of_another_type_is_refused() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let mut wrong = Vec::new();
    for (number, row) in rows().iter().enumerate() {
        let owner = ask.by(&format!("owner-{number}"));
        wrong.extend(tried(&row.wrong_type, row, &owner, Version::V2_1));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_in_another_state_is_refused() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let mut wrong = Vec::new();
    for (number, row) in rows().iter().enumerate() {
        // Each with objects of its own, whose Names are taken once.
        let owner = ask.by(&format!("owner-{number}"));
        wrong.extend(tried(&row.wrong_state, row, &owner, Version::V2_1));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rule_that_leaves_an_operation_out_denies_it() {
    let kms =
        Asker::start("[[access]]\nprincipals = \"reader\"\noperations = [\"Register\", \"Get Attributes\"]");
    let ask = kms.by("reader").speaking(Version::V2_1);
    let own = key(&ask);
    for row in on_objects().iter().filter(|row| row.operation != Operation::GetAttributes) {
        let (reason, message) = send(&ask, &row.message(&own, Version::V2_1)).expect_err("denied");
        assert_eq!(reason, ResultReason::PermissionDenied, "{}: {message}", row.operation);
    }
}

#[test]
fn what_is_in_the_archive_is_asked_for_first() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let own = key(&ask);
    ask.ask(&ArchiveRequest { unique_identifier: Some(own.as_str().into()) }).expect("archived");
    for row in on_objects() {
        use Operation::{Destroy, GetAttributeList, GetAttributes, Recover, Revoke};
        if matches!(row.operation, Recover | Destroy | Revoke | GetAttributes | GetAttributeList) {
            continue;
        }
        let (reason, message) = send(&ask, &row.message(&own, Version::V2_1)).expect_err("archived");
        assert_eq!(reason, ResultReason::ObjectArchived, "{}: {message}", row.operation);
    }
    ask.ask(&RecoverRequest { unique_identifier: Some(own.as_str().into()) }).expect("recovered");
    crate::get(&ask, &own).expect("on line again");
}
