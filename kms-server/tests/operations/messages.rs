//! What a message asks of all its items, and the operations on none.

use kms_protocol::attribute::{Attribute, AttributeKind, Name};
use kms_protocol::enums::{
    BatchErrorContinuationOption, EndpointRole, InteropFunction, Operation, QueryFunction, ResultReason,
    ResultStatus, State,
};
use kms_protocol::message::{RequestBuilder, RequestHeader, ResponseMessage};
use kms_protocol::operation::{
    ActivateRequest, AddAttributeRequest, GetRequest, InteropRequest, LogRequest, PingRequest, QueryRequest,
    SetEndpointRoleRequest,
};
use kms_protocol::ttlv::{Bytes, Writer};
use kms_protocol::{DateTime, Tag, Version};
use kms_server::kms::Caller;

use crate::asking::{Asker, NOW};
use crate::{KEY, aes, register};

fn send(ask: &Asker, builder: RequestBuilder) -> Vec<(ResultStatus, Option<ResultReason>)> {
    let bytes = ask.service.handle(builder.finish().expose(), &Caller::named("a"), DateTime(NOW));
    let message = ResponseMessage::read(bytes.expose()).expect("a response");
    message.items.into_iter().map(|item| (item.result_status, item.result_reason)).collect()
}

#[test]
fn a_batch_with_undo_happens_wholly_or_not_at_all() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let id = register(&ask, aes(&KEY), vec![Attribute::Name(Name::text("n"))]).expect("registered");
    let mut header = RequestHeader::new(Version::V2_1);
    header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Undo);
    let batch = |last: &str| {
        let mut builder = RequestBuilder::new(header.clone());
        let note = Attribute::Comment("noted".into());
        builder.push(&ActivateRequest { unique_identifier: Some(id.as_str().into()) }, Some(Bytes(vec![1])));
        builder.push(
            &AddAttributeRequest { unique_identifier: Some(id.as_str().into()), attribute: note.into() },
            Some(Bytes(vec![2])),
        );
        builder.push(
            &GetRequest { unique_identifier: Some(last.into()), ..GetRequest::default() },
            Some(Bytes(vec![3])),
        );
        builder
    };
    let outcomes = send(&ask, batch("nothing"));
    let undone = (ResultStatus::OperationUndone, None);
    assert_eq!(
        outcomes,
        [undone, undone, (ResultStatus::OperationFailed, Some(ResultReason::ObjectNotFound))]
    );
    assert_eq!(ask.state(&id), State::PreActive);
    assert!(ask.attributes(&id, &[AttributeKind::Comment]).is_empty());
    let outcomes = send(&ask, batch(&id));
    assert!(outcomes.iter().all(|(status, _)| *status == ResultStatus::Success), "{outcomes:?}");
    assert_eq!(ask.state(&id), State::Active);
}

#[test]
fn what_an_undone_batch_made_is_gone() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let mut header = RequestHeader::new(Version::V2_1);
    header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Undo);
    let mut builder = RequestBuilder::new(header);
    let request = kms_protocol::operation::RegisterRequest {
        object_type: kms_protocol::enums::ObjectType::SymmetricKey,
        attributes: vec![Attribute::Name(Name::text("n"))].into(),
        object: aes(&KEY),
        protection: None,
    };
    builder.push(&request, Some(Bytes(vec![1])));
    builder.push(
        &GetRequest { unique_identifier: Some("nothing".into()), ..GetRequest::default() },
        Some(Bytes(vec![2])),
    );
    assert_eq!(send(&ask, builder)[0].0, ResultStatus::OperationUndone);
    register(&ask, aes(&KEY), vec![Attribute::Name(Name::text("n"))]).expect("the name is free");
}

#[test]
fn operations_on_no_object_are_everybodys() {
    let kms =
        Asker::start("[[access]]\nprincipals = \"*\"\noperations = [\"Locate\"]").speaking(Version::V2_1);
    let ask = kms.by("nobody");
    ask.ask(&PingRequest::default()).expect("there");
    ask.ask(&LogRequest { log_message: "a message".into() }).expect("noted");
    let begin =
        InteropRequest { interop_function: InteropFunction::Begin, interop_identifier: Some("case".into()) };
    ask.ask(&begin).expect("noted");
    ask.ask(&SetEndpointRoleRequest { endpoint_role: EndpointRole::Client }).expect("it is one");
    let role = SetEndpointRoleRequest { endpoint_role: EndpointRole::Other(7) };
    assert_eq!(ask.ask(&role).expect_err("no role").0, ResultReason::InvalidField);
    let old = kms.speaking(Version::V1_4);
    assert_eq!(
        old.ask(&PingRequest::default()).expect_err("since 2.1").0,
        ResultReason::OperationNotSupported
    );
}

#[test]
fn each_version_is_told_of_its_own_operations_and_types() {
    let ask = Asker::start("");
    let told = |version| {
        let functions = vec![QueryFunction::QueryOperations, QueryFunction::QueryObjects];
        let answer = ask.speaking(version).ask(&QueryRequest::from(functions)).expect("told");
        (answer.operations, answer.object_types.len())
    };
    for (version, has, lacks, types) in [
        (Version::V1_0, Operation::Create, Operation::Encrypt, 8),
        (Version::V1_2, Operation::Encrypt, Operation::Import, 9),
        (Version::V1_4, Operation::Import, Operation::Log, 9),
        (Version::V2_0, Operation::Log, Operation::Ping, 9),
        (Version::V2_1, Operation::Ping, Operation::ReProvision, 9),
    ] {
        let (operations, object_types) = told(version);
        assert!(operations.contains(&has) && !operations.contains(&lacks), "{version}: {operations:?}");
        assert_eq!(object_types, types, "{version}");
    }
}

/// Asks for an object with items of a vendor's in the payload, in the item and, critical or not, as an extension.
fn extended(id: &str, version: Version, unknown: Tag, critical: Option<bool>) -> Vec<u8> {
    let mut header = RequestHeader::new(version);
    header.batch_count = 1;
    let mut writer = Writer::new(version);
    writer.structure(Tag::REQUEST_MESSAGE, |writer| {
        writer.field(Tag::REQUEST_HEADER, &header);
        writer.structure(Tag::BATCH_ITEM, |writer| {
            writer.field(Tag::OPERATION, &Operation::Get);
            writer.structure(Tag::REQUEST_PAYLOAD, |writer| {
                writer.field(unknown, &7_i32);
                writer.field(Tag::UNIQUE_IDENTIFIER, &id.to_owned());
                writer.structure(unknown, |writer| writer.field(unknown, &"text".to_owned()));
            });
            if let Some(critical) = critical {
                writer.structure(Tag::MESSAGE_EXTENSION, |writer| {
                    writer.field(Tag::VENDOR_IDENTIFICATION, &"vendor.example".to_owned());
                    writer.field(Tag::CRITICALITY_INDICATOR, &critical);
                    writer.structure(Tag::VENDOR_EXTENSION, |writer| writer.field(unknown, &true));
                });
            }
        });
    });
    writer.into_bytes()
}

#[test]
fn what_vendors_add_is_passed_over_unless_it_is_critical() {
    let ask = Asker::start("");
    let id = register(&ask, aes(&KEY), vec![]).expect("registered");
    for version in [Version::V1_0, Version::V1_4, Version::V2_0, Version::V2_1] {
        let result = |unknown, critical| {
            let request = extended(&id, version, unknown, critical);
            let bytes = ask.service.handle(&request, &Caller::named("a"), DateTime(NOW));
            let message = ResponseMessage::read(bytes.expose()).expect("a response");
            (message.items[0].result_status, message.items[0].result_reason)
        };
        let vendors = Tag(0x54_1234);
        let refused = |reason| (ResultStatus::OperationFailed, Some(reason));
        assert_eq!(result(vendors, None), (ResultStatus::Success, None), "{version}");
        assert_eq!(result(vendors, Some(false)), (ResultStatus::Success, None), "{version}");
        let critical = if version.is_2x() {
            ResultReason::UnknownMessageExtension
        } else {
            ResultReason::FeatureNotSupported
        };
        assert_eq!(result(vendors, Some(true)), refused(critical), "{version}");
        let standards = Tag(0x42_7777);
        assert_eq!(result(standards, None), refused(ResultReason::InvalidField), "{version}: no vendor's");
    }
}
