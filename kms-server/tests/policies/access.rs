//! Who may do what with whose objects.

use kms_protocol::attribute::{Attribute, AttributeList};
use kms_protocol::enums::{HashingAlgorithm as Hash, ObjectType, ResultReason, RevocationReasonCode, State};
use kms_protocol::operation::{GetRequest, LocateRequest};

use crate::asking::{Asker, oaep, pair_request};
use crate::{p256, server};

const RULES: &str = r#"
[[access]]
principals = "media-*"
operations = ["Create Key Pair", "Locate", "Get Attributes", "Activate", "Encrypt", "Decrypt"]

[[access]]
principals = "auditor"
owners = ["media-*", "b"]
operations = ["Locate", "Get Attributes", "Get Attribute List"]
"#;

fn public_keys(ask: &Asker) -> Vec<String> {
    let attributes = AttributeList(vec![Attribute::ObjectType(ObjectType::PublicKey)]);
    let mut ids = ask
        .ask(&LocateRequest { attributes, ..LocateRequest::default() })
        .expect("located")
        .unique_identifiers;
    ids.sort();
    ids
}

#[test]
fn a_role_may_use_keys_and_not_destroy_them() {
    let kms = server(RULES);
    let ask = kms.by("media-1");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    ask.activate(&private);
    ask.activate(&public);
    let sent = ask.encrypt(&public, oaep(Hash::Sha1, Hash::Sha1), b"data");
    ask.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &sent).expect("it may use its keys");
    for refused in [
        ask.revoke(&private, RevocationReasonCode::Unspecified).map(drop),
        ask.destroy(&private).map(drop),
        ask.ask(&GetRequest { unique_identifier: Some(private.as_str().into()), ..GetRequest::default() })
            .map(drop),
    ] {
        let (reason, message) = refused.expect_err("not in its rules");
        assert_eq!(reason, ResultReason::PermissionDenied);
        assert!(message.contains("media-1") && message.contains("access rules"), "{message}");
    }
    assert_eq!(ask.state(&private), State::Active);
}

#[test]
fn an_auditor_reads_attributes_of_those_it_audits_and_nothing_else() {
    let kms = server(RULES);
    let made = |owner: &str| kms.by(owner).pair(&p256("job", Vec::new()));
    let (first, first_public) = made("media-1");
    let (_, second_public) = made("media-2");
    let (_, other_public) = made("b");
    let (hidden, _) = made("c");
    let auditor = kms.by("auditor");
    let (_, own_public) = auditor.pair(&p256("job", Vec::new()));
    let mut all = vec![first_public, second_public, other_public, own_public];
    all.sort();
    assert_eq!(public_keys(&auditor), all);
    assert_eq!(auditor.state(&first), State::Active);
    let (reason, _) = auditor.destroy(&first).expect_err("it only reads");
    assert_eq!(reason, ResultReason::PermissionDenied);
    let hidden = auditor.destroy(&hidden).expect_err("not audited");
    assert_eq!(
        hidden,
        auditor.destroy("no-such-id").expect_err("nobody's"),
        "it does not exist for the auditor"
    );
    assert_eq!(public_keys(&kms.by("c")).len(), 1, "the audited see only their own");
}

#[test]
fn who_may_not_make_keys_makes_none() {
    let kms = server("[[access]]\nprincipals = \"reader\"\noperations = [\"Get Attributes\"]\n");
    let (reason, _) = kms.by("reader").ask(&p256("job", Vec::new())).expect_err("not in its rules");
    assert_eq!(reason, ResultReason::PermissionDenied);
    assert!(kms.keys().is_empty());
    let (reason, _) = kms.by("reader").ask(&LocateRequest::default()).expect_err("not in its rules");
    assert_eq!(reason, ResultReason::PermissionDenied);
}
