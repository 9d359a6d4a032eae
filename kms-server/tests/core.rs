//! The core through its one door: a request message in, a response message out, the clock moved by hand.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod asking;

use asking::{Asker, NOW, decrypt_request, oaep, pair_request};
use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, CryptographicUsageMask, Name, RevocationReason,
};
use kms_protocol::enums::{
    HashingAlgorithm as Hash, KeyFormatType, LinkType, ObjectType, Operation, QueryFunction, ResultReason,
    RevocationReasonCode, State,
};
use kms_protocol::operation::{
    ActivateRequest, DecryptRequest, DestroyRequest, DiscoverVersionsRequest, EncryptRequest,
    GetAttributeListRequest, GetRequest, LocateRequest, QueryRequest, RekeyKeyPairRequest, RevokeRequest,
};
use kms_protocol::ttlv::Interval;
use kms_protocol::{Secret, Version};

const DAY: i64 = 86_400;

fn revoke(id: &str, code: RevocationReasonCode) -> RevokeRequest {
    RevokeRequest {
        unique_identifier: Some(id.into()),
        revocation_reason: RevocationReason { code, message: None },
        compromise_occurrence_date: None,
    }
}

#[test]
fn a_pair_is_made_activated_used_and_destroyed_in_every_version_that_encrypts() {
    let kms = Asker::start("");
    for version in [Version::V1_2, Version::V1_3, Version::V1_4, Version::V2_0, Version::V2_1] {
        let ask = kms.by("veeam").speaking(version);
        let name = format!("job {version}");
        let (private, public) = ask.pair(&pair_request(&name, 2048));
        ask.activate(&private);
        ask.activate(&public);
        let parameters = oaep(Hash::Sha1, Hash::Sha1);
        let sent = ask
            .ask(&EncryptRequest {
                unique_identifier: Some(public.as_str().into()),
                cryptographic_parameters: Some(parameters.clone()),
                data: Some(Secret::new(b"file key".to_vec())),
                ..EncryptRequest::default()
            })
            .expect("an Active public key encrypts");
        let back = ask.decrypt(&private, parameters, &sent.data.expect("ciphertext").0);
        assert_eq!(back.expect("decrypts").expose(), b"file key");
        let active = ask.ask(&DestroyRequest { unique_identifier: Some(private.as_str().into()) });
        let expected = if version.is_2x() {
            ResultReason::WrongKeyLifecycleState
        } else {
            ResultReason::PermissionDenied
        };
        assert_eq!(active.expect_err("Active").0, expected, "{version}");
        ask.ask(&revoke(&private, RevocationReasonCode::CessationOfOperation)).expect("revoked");
        ask.ask(&DestroyRequest { unique_identifier: Some(private.as_str().into()) }).expect("destroyed");
        assert_eq!(ask.state(&private), State::Destroyed);
        assert_eq!(ask.names(&private), [format!("{name}-private")], "attributes outlive the key");
    }
}

#[test]
fn someone_elses_object_and_no_object_answer_alike() {
    let kms = Asker::start("");
    let (private, _) = kms.by("a").pair(&pair_request("job", 2048));
    let request = |id: &str| GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() };
    let theirs = kms.by("b").ask(&request(&private)).expect_err("someone else's");
    let nobodys = kms.by("b").ask(&request("no-such-id")).expect_err("nobody's");
    assert_eq!(theirs, nobodys);
    assert_eq!(theirs.0, ResultReason::ItemNotFound);
    kms.by("b").pair(&pair_request("job", 2048));
}

#[test]
fn a_name_is_unique_for_its_owner() {
    let kms = Asker::start("");
    kms.by("a").pair(&pair_request("job", 2048));
    let again = kms.by("a").ask(&pair_request("job", 2048)).expect_err("the Name is taken");
    assert_eq!(again.0, ResultReason::InvalidField);
    let again =
        kms.by("a").speaking(Version::V2_1).ask(&pair_request("job", 2048)).expect_err("the Name is taken");
    assert_eq!(again.0, ResultReason::NonUniqueNameAttribute);
}

#[test]
fn keys_come_in_the_formats_that_are_asked_for() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    for (id, format, works) in [
        (&private, KeyFormatType::Pkcs1, true),
        (&private, KeyFormatType::Pkcs8, true),
        (&private, KeyFormatType::X509, false),
        (&public, KeyFormatType::Pkcs1, true),
        (&public, KeyFormatType::X509, true),
        (&public, KeyFormatType::Raw, false),
    ] {
        let request = GetRequest {
            unique_identifier: Some(id.as_str().into()),
            key_format_type: Some(format),
            ..GetRequest::default()
        };
        match ask.ask(&request) {
            Ok(response) => {
                assert!(works, "{format}");
                assert_eq!(response.object.key_block().expect("a key").key_format_type, format);
                assert!(
                    response.object.key_bytes().expect("bytes").expose().starts_with(&[0x30, 0x82]),
                    "DER"
                );
            }
            Err(refused) => assert_eq!((works, refused.0), (false, ResultReason::KeyFormatTypeNotSupported)),
        }
    }
}

#[test]
fn the_mask_hash_defaults_to_sha_1() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    ask.activate(&private);
    ask.activate(&public);
    let ciphertext = ask.encrypt(&public, oaep(Hash::Sha256, Hash::Sha1), b"data");
    let mut silent = oaep(Hash::Sha256, Hash::Sha1);
    silent.mask_generator_hashing_algorithm = None;
    silent.mask_generator = None;
    assert_eq!(ask.decrypt(&private, silent, &ciphertext).expect("SHA-1 for the mask").expose(), b"data");
    let other =
        ask.decrypt(&private, oaep(Hash::Sha256, Hash::Sha256), &ciphertext).expect_err("another mask");
    assert_eq!(other.0, ResultReason::CryptographicFailure);
}

#[test]
fn every_failed_decryption_fails_alike() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, _) = ask.pair(&pair_request("job", 2048));
    ask.activate(&private);
    let mut answers: Vec<_> =
        [vec![0; 256], vec![1; 256], vec![0xFF; 256], vec![7; 255], vec![7; 257], vec![]]
            .into_iter()
            .map(|data| {
                ask.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &data).expect_err("no ciphertext")
            })
            .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, ResultReason::CryptographicFailure);
}

#[test]
fn rekeying_links_the_generations_and_moves_the_names() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (old_private, old_public) = ask.pair(&pair_request("job", 2048));
    ask.activate(&old_private);
    ask.activate(&old_public);
    let ciphertext = ask.encrypt(&old_public, oaep(Hash::Sha256, Hash::Sha256), b"old data");
    let request = || RekeyKeyPairRequest {
        private_key_unique_identifier: Some(old_private.as_str().into()),
        ..Default::default()
    };
    let new = ask.ask(&request()).expect("re-keyed");
    let (private, public) = (new.private_key_unique_identifier, new.public_key_unique_identifier);
    for (old, new) in [(&old_private, &private), (&old_public, &public)] {
        assert_eq!(ask.link(old, LinkType::ReplacementObjectLink).as_ref(), Some(new));
        assert_eq!(ask.link(new, LinkType::ReplacedObjectLink).as_ref(), Some(old));
        assert_eq!(ask.state(old), State::Active, "a re-keyed pair's State does not change by itself");
        assert_eq!(ask.state(new), State::Active);
        assert!(ask.names(old).is_empty());
    }
    assert_eq!(ask.link(&public, LinkType::PrivateKeyLink), Some(private.clone()));
    assert_eq!(ask.link(&private, LinkType::PublicKeyLink), Some(public.clone()));
    assert_eq!(ask.names(&public), ["job-public"]);
    let decrypted = ask.decrypt(&old_private, oaep(Hash::Sha256, Hash::Sha256), &ciphertext);
    assert_eq!(decrypted.expect("the old key still decrypts").expose(), b"old data");
    let again = ask.ask(&request()).expect_err("it has a replacement");
    assert_eq!(again.0, ResultReason::PermissionDenied);

    let two = ask.speaking(Version::V2_1);
    let rotate = |id: &str| {
        use AttributeKind::{RotateGeneration, RotateLatest};
        two.attributes(id, &[RotateGeneration, RotateLatest])
    };
    assert_eq!(rotate(&old_public), [Attribute::RotateGeneration(0), Attribute::RotateLatest(false)]);
    assert_eq!(rotate(&public), [Attribute::RotateGeneration(1), Attribute::RotateLatest(true)]);
}

#[test]
fn an_offset_postpones_activation() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (old, _) = ask.pair(&pair_request("job", 2048));
    ask.activate(&old);
    let request = RekeyKeyPairRequest {
        private_key_unique_identifier: Some(old.as_str().into()),
        offset: Some(Interval(3600)),
        ..Default::default()
    };
    let new = ask.ask(&request).expect("re-keyed").private_key_unique_identifier;
    assert_eq!(ask.state(&new), State::PreActive);
    assert_eq!(ask.at(NOW + 3599).state(&new), State::PreActive);
    assert_eq!(ask.at(NOW + 3600).state(&new), State::Active, "on time, without a request");
}

#[test]
fn a_policy_rotates_when_its_interval_is_over() {
    let kms = Asker::start(
        r#"
        [[policy]]
        name = "nightly"
        names = "night*"
        rotate-every = "30d"
        after-rotation = "deactivate"
        "#,
    );
    let ask = kms.by("a");
    let (old_private, old_public) = ask.pair(&pair_request("nightly", 2048));
    let (other, _) = ask.pair(&pair_request("weekly", 2048));
    for id in [&old_private, &old_public, &other] {
        ask.activate(id);
    }
    assert_eq!(kms.next_due(), Some(NOW + 30 * DAY));
    assert!(kms.run_due(NOW + 30 * DAY - 1).is_empty());
    let fired = kms.run_due(NOW + 30 * DAY);
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert!(fired[0].contains(&old_private), "{fired:?}");

    let later = ask.at(NOW + 30 * DAY);
    let private = later.link(&old_private, LinkType::ReplacementObjectLink).expect("a successor");
    let public = later.link(&old_public, LinkType::ReplacementObjectLink).expect("a successor");
    assert_eq!(later.state(&private), State::Active);
    assert_eq!(later.state(&public), State::Active);
    assert_eq!(later.state(&old_private), State::Deactivated);
    assert_eq!(later.state(&other), State::Active);
    assert_eq!(later.link(&other, LinkType::ReplacementObjectLink), None);
    assert_eq!(kms.next_due(), Some(NOW + 60 * DAY), "the successor is due an interval later");
    assert_eq!(kms.run_due(NOW + 60 * DAY).len(), 1);
}

#[test]
fn locate_finds_by_what_is_indexed_and_checks_the_rest() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    ask.activate(&public);
    let later = ask.at(NOW + 100);
    let (_, second) = later.pair(&pair_request("other", 2048));
    let find = |attributes: Vec<Attribute>| {
        let request = LocateRequest { attributes: AttributeList(attributes), ..LocateRequest::default() };
        later.ask(&request).expect("located").unique_identifiers
    };
    assert_eq!(find(vec![Attribute::Name(Name::text("job-public"))]), std::slice::from_ref(&public));
    assert!(
        find(vec![Attribute::Name(Name::text("job-public")), Attribute::ObjectType(ObjectType::PrivateKey)])
            .is_empty()
    );
    assert_eq!(
        find(vec![Attribute::ObjectType(ObjectType::PublicKey)]),
        [second.clone(), public.clone()],
        "newest first"
    );
    assert_eq!(find(vec![Attribute::State(State::Active)]), std::slice::from_ref(&public));
    let wanted = vec![
        Attribute::CryptographicUsageMask(CryptographicUsageMask::DECRYPT),
        Attribute::ObjectGroup("job".into()),
    ];
    assert_eq!(find(wanted), [private]);
    let since = |from, to| {
        vec![
            Attribute::ObjectType(ObjectType::PublicKey),
            Attribute::InitialDate(kms_protocol::DateTime(from)),
            Attribute::InitialDate(kms_protocol::DateTime(to)),
        ]
    };
    assert_eq!(find(since(NOW + 1, NOW + 100)), std::slice::from_ref(&second));
    assert!(find(since(NOW + 101, NOW + 200)).is_empty());
    let page = |skip, most| LocateRequest {
        maximum_items: Some(most),
        offset_items: Some(skip),
        attributes: AttributeList(vec![Attribute::ObjectType(ObjectType::PublicKey)]),
        ..LocateRequest::default()
    };
    assert_eq!(later.ask(&page(0, 1)).expect("located").unique_identifiers, [second]);
    assert_eq!(later.ask(&page(1, 1)).expect("located").unique_identifiers, [public]);
    let told = |request: &LocateRequest| later.ask(request).expect("located").located_items;
    assert_eq!(told(&page(0, 9)), Some(2), "who pages is told how many there are");
    assert_eq!(told(&LocateRequest::default()), None, "others may not expect it");
    assert!(kms.by("b").ask(&page(0, 9)).expect("located").unique_identifiers.is_empty(), "only one's own");
}

#[test]
fn a_compromised_key_only_decrypts_and_a_pre_active_one_does_nothing() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    let pre_active = ask.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &[1; 256]).expect_err("Pre-Active");
    assert_eq!(pre_active.0, ResultReason::PermissionDenied);
    ask.activate(&private);
    ask.activate(&public);
    let ciphertext = ask.encrypt(&public, oaep(Hash::Sha1, Hash::Sha1), b"data");
    ask.ask(&revoke(&private, RevocationReasonCode::KeyCompromise)).expect("revoked");
    ask.ask(&revoke(&public, RevocationReasonCode::KeyCompromise)).expect("revoked");
    assert_eq!(ask.state(&private), State::Compromised);
    assert_eq!(
        ask.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &ciphertext).expect("still decrypts").expose(),
        b"data"
    );
    let encrypt =
        ask.try_encrypt(&public, oaep(Hash::Sha1, Hash::Sha1), b"data").expect_err("protects nothing new");
    assert_eq!(encrypt.0, ResultReason::PermissionDenied);
}

#[test]
fn a_usage_mask_is_kept_to() {
    let kms = Asker::start("");
    let ask = kms.by("a").speaking(Version::V2_1);
    let mut request = pair_request("job", 2048);
    request.private_key.list.retain(|attribute| attribute.kind() != AttributeKind::CryptographicUsageMask);
    request.private_key.list.push(Attribute::CryptographicUsageMask(CryptographicUsageMask::SIGN));
    let (private, _) = ask.pair(&request);
    ask.activate(&private);
    let refused = ask.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &[1; 256]).expect_err("only signs");
    assert_eq!(refused.0, ResultReason::IncompatibleCryptographicUsageMask);
}

#[test]
fn what_the_server_sets_a_client_may_not() {
    let kms = Asker::start("");
    let mut request = pair_request("job", 2048);
    request.common.list.push(Attribute::State(State::Active));
    assert_eq!(kms.by("a").ask(&request).expect_err("State").0, ResultReason::PermissionDenied);
    let mut request = pair_request("job", 1024);
    request.common.list.retain(|attribute| attribute.kind() != AttributeKind::ObjectGroup);
    assert_eq!(kms.by("a").ask(&request).expect_err("RSA-1024").0, ResultReason::InvalidField);
}

#[test]
fn a_policy_keeps_private_keys_in() {
    let kms = Asker::start("[[policy]]\nname = \"p\"\nprivate-keys-may-leave = \"never\"\n");
    let (private, public) = kms.by("a").pair(&pair_request("job", 2048));
    let request = |id: &str| GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() };
    assert_eq!(kms.by("a").ask(&request(&private)).expect_err("by policy").0, ResultReason::PermissionDenied);
    kms.by("a").ask(&request(&public)).expect("public keys leave");
}

#[test]
fn versions_are_discovered_in_the_clients_order() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let all = ask.ask(&DiscoverVersionsRequest::default()).expect("versions").versions;
    assert_eq!(all.first(), Some(&Version::V2_1));
    let request = DiscoverVersionsRequest {
        versions: vec![Version::V1_2, Version { major: 3, minor: 0 }, Version::V1_4],
    };
    assert_eq!(ask.ask(&request).expect("versions").versions, [Version::V1_2, Version::V1_4]);
}

#[test]
fn the_attribute_list_names_each_attribute_once_and_none_of_a_later_version() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, _) = ask.pair(&pair_request("job", 2048));
    let list = |ask: &Asker| {
        let request = GetAttributeListRequest { unique_identifier: Some(private.as_str().into()) };
        ask.ask(&request).expect("listed").attributes.0
    };
    use kms_protocol::attribute::AttributeReference::Standard;
    let of_12 = list(&ask.speaking(Version::V1_2));
    assert!(of_12.contains(&Standard(AttributeKind::Link)));
    assert!(!of_12.contains(&Standard(AttributeKind::RandomNumberGenerator)));
    let of_21 = list(&ask.speaking(Version::V2_1));
    assert!(of_21.contains(&Standard(AttributeKind::RandomNumberGenerator)));
    assert!(of_21.contains(&Standard(AttributeKind::KeyFormatType)));
}

#[test]
fn a_batch_of_decryptions_is_worked_side_by_side_and_answers_in_order() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, public) = ask.pair(&pair_request("job", 2048));
    ask.activate(&private);
    ask.activate(&public);
    let requests: Vec<DecryptRequest> = (0..21_u8)
        .map(|number| {
            let data = ask.encrypt(&public, oaep(Hash::Sha1, Hash::Sha1), &[number]);
            let id = if number == 7 { "missing" } else { private.as_str() };
            decrypt_request(id, oaep(Hash::Sha1, Hash::Sha1), &data)
        })
        .collect();
    let answers = ask.batch(&requests);
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(response) => {
                assert_eq!(response.data.expect("data").expose(), [u8::try_from(number).unwrap()])
            }
            Err(refused) => assert_eq!((number, refused.0), (7, ResultReason::ItemNotFound)),
        }
    }
}

#[test]
fn the_id_placeholder_is_what_came_before() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let response = ask.in_one_batch(&pair_request("job", 2048), &ActivateRequest::default());
    let (created, activated) = response.expect("both");
    assert_eq!(created.private_key_unique_identifier, activated.unique_identifier);
    assert_eq!(ask.state(&activated.unique_identifier), State::Active);
    let refused = ask.ask(&ActivateRequest::default()).expect_err("nothing came before");
    assert_eq!(refused.0, ResultReason::ItemNotFound);
}

#[test]
fn a_destroyed_key_has_only_its_attributes_left() {
    let kms = Asker::start("");
    for (version, reason) in [
        (Version::V1_0, ResultReason::IllegalOperation),
        (Version::V1_4, ResultReason::IllegalOperation),
        (Version::V2_1, ResultReason::ObjectDestroyed),
    ] {
        let ask = kms.by("a").speaking(version);
        let (_, public) = ask.pair(&pair_request(&format!("job {version}"), 2048));
        ask.ask(&DestroyRequest { unique_identifier: Some(public.as_str().into()) }).expect("destroyed");
        let get = GetRequest { unique_identifier: Some(public.as_str().into()), ..GetRequest::default() };
        assert_eq!(ask.ask(&get).expect_err("gone").0, reason, "in {version}");
        assert_eq!(ask.state(&public), State::Destroyed);
    }
}

#[test]
fn an_old_version_has_none_of_the_operations_that_came_later() {
    let kms = Asker::start("");
    for (version, lacks) in [
        (Version::V1_0, &[Operation::RekeyKeyPair, Operation::DiscoverVersions, Operation::Decrypt][..]),
        (Version::V1_1, &[Operation::Encrypt, Operation::Decrypt]),
        (Version::V1_2, &[]),
    ] {
        let ask = kms.by("a").speaking(version);
        let request = QueryRequest::from(vec![QueryFunction::QueryOperations]);
        let has = ask.ask(&request).expect("answered").operations;
        assert!(has.contains(&Operation::CreateKeyPair), "{version} has {has:?}");
        assert!(!lacks.iter().any(|operation| has.contains(operation)), "{version} has {has:?}");
        let (private, _) = ask.pair(&pair_request(&format!("job {version}"), 2048));
        ask.activate(&private);
        let reason = if lacks.is_empty() {
            ResultReason::CryptographicFailure
        } else {
            ResultReason::OperationNotSupported
        };
        let request = decrypt_request(&private, oaep(Hash::Sha1, Hash::Sha1), &[1; 256]);
        for decrypted in ask.batch(&[request.clone(), request]) {
            assert_eq!(decrypted.expect_err("nothing to decrypt").0, reason, "in {version}");
        }
    }
}

#[test]
fn requests_that_change_one_object_at_the_same_moment_all_get_their_answer() {
    let kms = Asker::start("");
    let ask = kms.by("a");
    let (private, _) = ask.pair(&pair_request("job", 2048));
    ask.activate(&private);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (ask, private) = (ask.clone(), private.clone());
                scope.spawn(move || {
                    if number % 2 == 0 {
                        let rekey = RekeyKeyPairRequest {
                            private_key_unique_identifier: Some(private.as_str().into()),
                            ..Default::default()
                        };
                        ask.ask(&rekey).map(drop)
                    } else {
                        ask.ask(&revoke(&private, RevocationReasonCode::KeyCompromise)).map(drop)
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        2,
        "one re-key, one revocation: {answers:?}"
    );
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(
            refused.0,
            ResultReason::PermissionDenied,
            "a reason of its own, not the moment: {}",
            refused.1
        );
    }
}
