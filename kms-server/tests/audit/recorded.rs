//! What is recorded, and what never is.

use kms_protocol::attribute::{Attribute, AttributeList, Name, RevocationReason};
use kms_protocol::credential::{Credential, Ticket, TicketCredential};
use kms_protocol::enums::{HashingAlgorithm as Hash, KeyFormatType, RevocationReasonCode, TicketType};
use kms_protocol::operation::{
    DestroyRequest, GetRequest, LocateRequest, LoginRequest, QueryRequest, RekeyKeyPairRequest, RevokeRequest,
};
use kms_protocol::{Secret, Version};
use kms_server::audit::{Outcome, Source};
use kms_server::kms::{Cause, Event};

use super::asking::{NOW, oaep, pair_request};
use super::{lines, server, whole};

/// The records of operations, as `principal operation: outcome`.
fn told(folder: &std::path::Path) -> Vec<String> {
    let told = lines(folder).into_iter().filter_map(|(_, line)| {
        let record = line.record;
        let outcome = match &record.outcome {
            Outcome::Success => "Success",
            Outcome::Refused(reason) => reason.as_ref(),
        };
        Some(format!("{} {}: {outcome}", record.principal?, record.operation))
    });
    told.collect()
}

#[test]
fn every_operation_is_recorded_with_who_what_and_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let kms = server(folder.path(), "");
    let (a, b) = (kms.by("a"), kms.by("b"));
    let (private, public) = a.pair(&pair_request("job", 2048));
    a.activate(&private);
    let get = GetRequest { unique_identifier: Some(public.as_str().into()), ..GetRequest::default() };
    a.ask(&get).unwrap();
    b.ask(&get).unwrap_err();
    a.ask(&LocateRequest {
        attributes: AttributeList(vec![Attribute::Name(Name::text("job-private"))]),
        ..LocateRequest::default()
    })
    .unwrap();
    a.ask(&QueryRequest::default()).unwrap();
    a.ask(&DestroyRequest { unique_identifier: Some(private.as_str().into()) }).unwrap_err();
    drop((kms, a, b));

    let mut told = told(folder.path());
    told.sort();
    assert_eq!(
        told,
        [
            "a Activate: Success",
            "a Create Key Pair: Success",
            "a Destroy: Permission Denied",
            "a Get: Success",
            "a Locate: Success",
            "a Query: Success",
            "b Get: Item Not Found",
        ]
    );
    whole(folder.path());
    let lines = lines(folder.path());
    let of = |operation: &str, principal: &str| {
        let mut found = lines.iter().map(|(_, line)| line).filter(|line| {
            line.record.operation == operation && line.record.principal.as_deref() == Some(principal)
        });
        found.next().expect("a record").clone()
    };
    let made = of("Create Key Pair", "a");
    assert_eq!(made.record.objects, [private.clone(), public.clone()]);
    assert_eq!(made.record.owner.as_deref(), Some("a"));
    assert_eq!(made.record.version.as_deref(), Some("1.4"));
    assert_eq!(made.record.kmip_time.unwrap().as_second(), NOW);
    assert!(made.marks.commit.is_some(), "a change is recorded with its commit");
    assert!(matches!(made.record.event.as_deref(), Some(Event::Created { .. })));
    let stranger = of("Get", "b");
    assert_eq!(
        (stranger.record.objects, stranger.record.owner.as_deref()),
        (vec![public.clone()], Some("a"))
    );
    assert!(stranger.marks.commit.is_none());
    assert_eq!(of("Locate", "a").record.objects, [private]);
    let correlations: std::collections::HashSet<_> =
        lines.iter().map(|(_, line)| &line.record.correlation).filter(|value| !value.is_empty()).collect();
    assert_eq!(correlations.len(), 7, "each request has a value of its own");
}

#[test]
fn a_ticket_is_recorded_by_its_holder_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let a = server(folder.path(), "").speaking(Version::V2_1);
    let (_, public) = a.pair(&pair_request("job", 2048));
    let value = a.ask(&LoginRequest::default()).unwrap().ticket.value.expose().to_vec();
    let shown = |value: &[u8]| {
        let ticket = Ticket { ticket_type: TicketType::Login, value: Secret::from(value) };
        a.by("b").showing(vec![Credential::Ticket(TicketCredential { ticket })])
    };
    let get = GetRequest { unique_identifier: Some(public.as_str().into()), ..GetRequest::default() };
    shown(&value).ask(&get).unwrap();
    shown(&[7; 32]).ask(&get).unwrap_err();
    drop(a);
    let all = told(folder.path());
    for expected in ["a Login: Success", "a Get: Success", "b Authentication: Invalid Ticket"] {
        assert!(all.iter().any(|one| one == expected), "{expected}: {all:?}");
    }
    let lines = lines(folder.path());
    let by_ticket = lines.iter().find(|(_, line)| line.record.operation == "Get").unwrap();
    let detail = by_ticket.1.record.detail.as_deref().unwrap_or_default();
    assert!(detail.ends_with("over a connection of \"b\""), "{detail}");
    assert!(lines.iter().all(|(text, _)| !text.contains(&hex::encode(&value))), "a ticket is a secret");
}

#[test]
fn what_happens_of_itself_is_recorded_with_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "[[policy]]\nname = \"tape\"\nrotate-every = \"30d\"\nafter-rotation = \"deactivate\"";
    let kms = server(folder.path(), policy);
    let (private, public) = kms.pair(&pair_request("tape", 2048));
    kms.activate(&private);
    kms.activate(&public);
    let fired = kms.run_due(NOW + 30 * 86_400);
    assert_eq!(fired.len(), 1, "{fired:?}");
    kms.ask(&RekeyKeyPairRequest {
        private_key_unique_identifier: Some(private.as_str().into()),
        ..RekeyKeyPairRequest::default()
    })
    .unwrap_err();
    drop(kms);
    whole(folder.path());
    let schedule: Vec<_> = lines(folder.path())
        .into_iter()
        .filter(|(_, line)| line.record.source == Source::Schedule)
        .map(|(_, line)| line)
        .collect();
    let Some(Event::Rotated { cause, old, new, names, generation, .. }) = schedule[0].record.event.as_deref()
    else {
        panic!("{schedule:#?}")
    };
    assert_eq!((cause, *generation), (&Cause::Policy { policy: "tape".into() }, 1));
    assert_eq!((&old.private, &old.public), (&private, &public));
    assert_eq!(names, &["tape-private", "tape-public"]);
    assert_eq!(
        schedule[0].record.objects,
        [private.clone(), public.clone(), new.private.clone(), new.public.clone()]
    );
    let ended: Vec<_> = schedule[1..]
        .iter()
        .map(|line| match line.record.event.as_deref() {
            Some(Event::StateChanged { id, state, .. }) => (id.as_str(), state.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ended, [(private.as_str(), "Deactivated"), (public.as_str(), "Deactivated")]);
    assert!(schedule.iter().all(|line| line.marks.commit == schedule[0].marks.commit), "one commit");
}

/// A thousand requests that see keys in every format, and use them; then no four words of any key are in the log.
#[test]
fn the_log_holds_no_byte_of_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let kms = server(folder.path(), "");
    let mut secrets = Vec::new();
    let mut asked = 0;
    for number in 0..4 {
        let (private, public) = kms.pair(&pair_request(&format!("job{number}"), 2048));
        kms.activate(&private);
        kms.activate(&public);
        for format in [KeyFormatType::Pkcs1, KeyFormatType::Pkcs8] {
            let get = GetRequest {
                unique_identifier: Some(private.as_str().into()),
                key_format_type: Some(format),
                ..GetRequest::default()
            };
            let key = kms.ask(&get).unwrap().object;
            secrets.push(key.key_bytes().expect("a key").expose().to_vec());
        }
        let parameters = oaep(Hash::Sha256, Hash::Sha256);
        for round in 0..120 {
            let plain = format!("file key {number} {round} 0123456789");
            let sent = kms.encrypt(&public, parameters.clone(), plain.as_bytes());
            let back = kms.decrypt(&private, parameters.clone(), &sent).unwrap();
            assert_eq!(back.expose(), plain.as_bytes());
            secrets.extend([sent, plain.into_bytes()]);
            asked += 2;
        }
        let reason = RevocationReason { code: RevocationReasonCode::CessationOfOperation, message: None };
        kms.ask(&RevokeRequest {
            unique_identifier: Some(private.as_str().into()),
            revocation_reason: reason,
            compromise_occurrence_date: None,
        })
        .unwrap();
        kms.ask(&DestroyRequest { unique_identifier: Some(private.as_str().into()) }).unwrap();
        asked += 7;
    }
    drop(kms);
    let records = told(folder.path());
    assert!(asked >= 980 && records.len() == asked, "{asked} asked, {} recorded", records.len());
    let mut log = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        log.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let texts = [hex::encode, |bytes: Vec<u8>| hex::encode_upper(bytes)];
    let windows: std::collections::HashSet<&[u8]> = log.windows(16).collect();
    assert!(windows.contains(&b"Create Key Pair\""[..]), "the search finds what is there");
    for secret in secrets {
        // Every sixteen bytes in a row, as they are, and as hexadecimal digits.
        let step = (secret.len() / 16).max(1);
        for part in secret.windows(16).step_by(step) {
            assert!(!windows.contains(part));
        }
        for part in secret.chunks_exact(8) {
            for text in texts {
                assert!(!windows.contains(text(part.to_vec()).as_bytes()));
            }
        }
    }
}
