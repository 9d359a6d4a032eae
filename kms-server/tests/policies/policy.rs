//! What a policy says comes to pass, at its time and no other.

use kms_protocol::attribute::{Attribute, AttributeKind};
use kms_protocol::enums::{
    CryptographicAlgorithm, HashingAlgorithm as Hash, LinkType, ResultReason, RevocationReasonCode as Code,
    State,
};
use kms_protocol::operation::GetRequest;
use kms_protocol::ttlv::Interval;
use kms_protocol::{DateTime, Version};

use crate::asking::{Asker, NOW, oaep, pair_request};
use crate::{DAY, HOUR, p256, server};

fn get(ask: &Asker, id: &str) -> Result<(), ResultReason> {
    let request = GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() };
    ask.ask(&request).map(drop).map_err(|(reason, _)| reason)
}

fn successor(ask: &Asker, id: &str) -> String {
    ask.link(id, LinkType::ReplacementObjectLink).expect("a successor")
}

#[test]
fn a_policy_selects_by_name_of_either_half_group_owner_and_algorithm() {
    let kms = server(
        r#"
        [[policy]]
        name = "by name"
        names = ["tape-*-public", "x"]

        [[policy]]
        name = "by group"
        groups = "gold"

        [[policy]]
        name = "by owner"
        owners = ["media-?"]

        [[policy]]
        name = "by algorithm"
        algorithms = ["RSA"]
        "#,
    );
    let policy = |owner: &str, request| {
        let (private, public) = kms.by(owner).pair(&request);
        let of = |id: &str| kms.key(id).policy;
        assert_eq!(of(&private), of(&public), "a pair is under one policy");
        of(&private)
    };
    let grouped = |group: &str| vec![Attribute::ObjectGroup(group.into())];
    assert_eq!(policy("a", p256("tape-1", Vec::new())).as_deref(), Some("by name"));
    assert_eq!(policy("a", p256("disk", grouped("gold"))).as_deref(), Some("by group"));
    assert_eq!(policy("media-1", p256("disk", grouped("tin"))).as_deref(), Some("by owner"));
    assert_eq!(policy("media-10", pair_request("disk", 2048)).as_deref(), Some("by algorithm"));
    assert_eq!(policy("media-10", p256("tin", Vec::new())), None);
}

#[test]
fn only_allowed_pairs_are_made() {
    let kms =
        server("[[policy]]\nname = \"strong\"\nnames = \"s*\"\nallowed-pairs = [\"RSA-4096\", \"P-256\"]\n");
    let (reason, message) = kms.ask(&pair_request("s", 2048)).expect_err("too short");
    assert_eq!(reason, ResultReason::PermissionDenied);
    assert!(message.contains("\"strong\"") && message.contains("RSA-4096, P-256"), "{message}");
    kms.pair(&p256("s", Vec::new()));
    kms.pair(&pair_request("other", 2048));
}

#[test]
fn jitter_spreads_rotations_and_each_pair_rotates_at_its_own_time() {
    let kms = server("[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\njitter = \"3d\"\n");
    let mut due: Vec<(i64, String)> = (0..60)
        .map(|number| {
            // Made at different times, so that Initial Dates and due dates do not sort alike.
            let (private, _) = kms.at(NOW + number * HOUR).pair(&p256(&format!("job {number}"), Vec::new()));
            let at = kms.key(&private).rotates_at.expect("a date").0;
            let (first, last) = (NOW + number * HOUR + 27 * DAY, NOW + number * HOUR + 30 * DAY);
            assert!((first..=last).contains(&at), "{at} not in {first}..={last}");
            (at, private)
        })
        .collect();
    due.sort();
    let mut rotated = 0;
    while rotated < due.len() {
        let (at, _) = due[rotated];
        assert_eq!(kms.next_due(), Some(at));
        assert!(kms.run_due(at - 1).is_empty());
        let fired = kms.run_due(at);
        for what in &fired {
            let (same, id) = &due[rotated];
            assert_eq!(*same, at);
            assert!(what.contains(id.as_str()), "{what}");
            rotated += 1;
        }
        assert!(!fired.is_empty());
    }
}

#[test]
fn the_old_pair_goes_out_of_use_some_time_after_its_successors_activation() {
    let kms = server(
        "[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\noffset = \"1d\"\nafter-rotation = \"deactivate\"\n\
         deactivate-after = \"7d\"\n",
    );
    let (private, public) = kms.pair(&p256("job", Vec::new()));
    assert_eq!(kms.run_due(NOW + 30 * DAY).len(), 1);
    let new = successor(&kms, &private);
    let (activation, end) = (NOW + 31 * DAY, NOW + 38 * DAY);
    assert_eq!(kms.next_due(), Some(activation));
    assert_eq!(kms.at(activation - 1).state(&new), State::PreActive);
    assert_eq!(kms.run_due(activation).len(), 2, "both new halves");
    for (at, expected) in
        [(activation - 1, State::Active), (end - 1, State::Active), (end, State::Deactivated)]
    {
        assert_eq!((kms.at(at).state(&private), kms.at(at).state(&public)), (expected, expected));
    }
    assert_eq!(kms.next_due(), Some(end));
    assert_eq!(kms.run_due(end).len(), 2, "both old halves");
    assert_eq!(kms.next_due(), Some(NOW + 60 * DAY));
}

#[test]
fn a_sooner_end_of_the_old_pair_stays_and_its_lifetime_is_the_successors() {
    let kms = server(
        "[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\nafter-rotation = \"deactivate\"\ndeactivate-after = \"9d\"\n",
    );
    let dates =
        vec![Attribute::ActivationDate(DateTime(NOW)), Attribute::DeactivationDate(DateTime(NOW + 33 * DAY))];
    let (private, _) = kms.pair(&p256("job", dates));
    kms.run_due(NOW + 30 * DAY);
    assert_eq!(kms.key(&private).deactivation_date, Some(DateTime(NOW + 33 * DAY)));
    let new = kms.key(&successor(&kms, &private));
    assert_eq!(new.activation_date, Some(DateTime(NOW + 30 * DAY)));
    assert_eq!(new.deactivation_date, Some(DateTime(NOW + 63 * DAY)), "its own, not the old one's");
}

#[test]
fn one_rotation_catches_up_after_downtime() {
    let kms = server("[[policy]]\nname = \"p\"\nrotate-every = \"1d\"\n");
    kms.pair(&p256("job", Vec::new()));
    let late = NOW + 100 * DAY + 5;
    assert_eq!(kms.run_due(late).len(), 1);
    assert!(kms.run_due(late).is_empty());
    assert_eq!(kms.next_due(), Some(late + DAY));
}

#[test]
fn what_is_out_of_use_is_not_rotated_but_what_expired_during_a_downtime_is() {
    let policy = "[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\n";
    let kms = server(policy);
    for code in [Code::CessationOfOperation, Code::KeyCompromise] {
        let (private, _) = kms.pair(&p256(&format!("{code}"), Vec::new()));
        kms.revoke(&private, code).expect("revoked");
    }
    let expires =
        |at: i64| vec![Attribute::ActivationDate(DateTime(NOW)), Attribute::DeactivationDate(DateTime(at))];
    let (sooner, _) = kms.pair(&p256("sooner", expires(NOW + 20 * DAY)));
    let (later, _) = kms.pair(&p256("later", expires(NOW + 40 * DAY)));
    let fired = kms.run_due(NOW + 90 * DAY);
    let rotated: Vec<_> = fired.iter().filter(|what| what.contains("rotated")).collect();
    assert_eq!(rotated.len(), 1, "{fired:?}");
    assert!(rotated[0].contains(&later) && !rotated[0].contains(&sooner));
    assert_eq!(kms.at(NOW + 90 * DAY).state(&successor(&kms, &later)), State::Active);
}

#[test]
fn a_pre_active_pair_has_a_successor_that_is_active_no_sooner() {
    let kms = server("[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\nafter-rotation = \"deactivate\"\n");
    let (scheduled, _) =
        kms.pair(&p256("scheduled", vec![Attribute::ActivationDate(DateTime(NOW + 50 * DAY))]));
    let (never, _) = kms.pair(&pair_request("never", 2048));
    assert_eq!(kms.run_due(NOW + 30 * DAY).len(), 2);
    let of = |id: &str, at: i64| kms.at(NOW + at * DAY).state(id);
    let (new, never) = (successor(&kms, &scheduled), successor(&kms, &never));
    assert_eq!((of(&new, 49), of(&new, 50)), (State::PreActive, State::Active));
    assert_eq!(of(&scheduled, 50), State::Deactivated, "it is never the one in use");
    assert_eq!(of(&never, 59), State::PreActive);
}

#[test]
fn old_generations_are_destroyed_at_their_time_and_never_while_in_use() {
    let kms = server(
        "[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\nafter-rotation = \"deactivate\"\ndestroy-after = \"45d\"\n",
    );
    let (private, public) = kms.pair(&p256("job", Vec::new()));
    kms.run_due(NOW + 30 * DAY);
    let second = successor(&kms, &private);
    kms.run_due(NOW + 60 * DAY);
    assert_eq!(kms.next_due(), Some(NOW + 75 * DAY));
    assert!(kms.run_due(NOW + 75 * DAY - 1).is_empty());
    let fired = kms.run_due(NOW + 75 * DAY);
    assert_eq!(fired.len(), 2, "{fired:?}");
    let later = kms.at(NOW + 75 * DAY);
    assert_eq!((later.state(&private), later.state(&public)), (State::Destroyed, State::Destroyed));
    assert_eq!(get(&later, &private), Err(ResultReason::IllegalOperation));
    assert_eq!(later.state(&second), State::Deactivated, "its time has not come");
    assert_eq!(kms.next_due(), Some(NOW + 90 * DAY));
}

#[test]
fn a_half_waits_for_the_other_before_an_old_generation_is_destroyed() {
    let kms = server("[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\ndestroy-after = \"10d\"\n");
    let (private, public) = kms.pair(&p256("job", Vec::new()));
    kms.run_due(NOW + 30 * DAY);
    // Kept active by policy; its owner takes the private half out of use first.
    kms.at(NOW + 31 * DAY).revoke(&private, Code::Superseded).expect("revoked");
    assert!(kms.run_due(NOW + 50 * DAY).is_empty(), "what the public half still protects must be readable");
    assert_eq!(kms.at(NOW + 50 * DAY).state(&private), State::Deactivated);
    assert_eq!(kms.next_due(), Some(NOW + 60 * DAY), "it is not looked at again and again");
    kms.at(NOW + 51 * DAY).revoke(&public, Code::Superseded).expect("revoked");
    assert!(kms.run_due(NOW + 61 * DAY - 1).iter().all(|what| what.contains("rotated")));
    assert_eq!(kms.run_due(NOW + 61 * DAY).len(), 2, "both go together");
    let newest = successor(&kms, &private);
    kms.at(NOW + 61 * DAY).revoke(&successor(&kms, &newest), Code::Superseded).expect("revoked");
    assert!(kms.run_due(NOW + 85 * DAY).is_empty(), "a newest generation is never destroyed by policy");
}

#[test]
fn a_destroyed_key_is_gone_for_clients_and_comes_back_within_its_window() {
    let kms = server("[[policy]]\nname = \"p\"\ndeletion-window = \"7d\"\n");
    let (private, public) = kms.pair(&pair_request("job", 2048));
    for id in [&private, &public] {
        kms.activate(id);
    }
    let sent = kms.encrypt(&public, oaep(Hash::Sha1, Hash::Sha1), b"data");
    kms.revoke(&private, Code::Superseded).expect("revoked");
    kms.destroy(&private).expect("destroyed");
    assert_eq!(kms.state(&private), State::Destroyed);
    assert_eq!(get(&kms, &private), Err(ResultReason::IllegalOperation));
    kms.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &sent).expect_err("it is destroyed");
    kms.destroy(&private).expect_err("it is destroyed already");
    assert_eq!(kms.next_due(), Some(NOW + 7 * DAY));

    let almost = DateTime(NOW + 7 * DAY - 1);
    assert_eq!(kms.key(&private).restorable_until, Some(DateTime(NOW + 7 * DAY)));
    let back = kms.service.undelete_key(&private, almost).expect("within its window");
    assert_eq!(back.state, State::Deactivated);
    assert!(kms.attributes(&private, &[AttributeKind::DestroyDate]).is_empty());
    let plain = kms.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &sent).expect("as before");
    assert_eq!(plain.expose(), b"data");
    assert_eq!(kms.next_due(), None);

    kms.destroy(&private).expect("destroyed again");
    let fired = kms.run_due(NOW + 7 * DAY);
    assert_eq!(fired, [format!("Private Key {private} can be brought back no longer")]);
    assert_eq!(kms.next_due(), None);
    let refused = kms.service.undelete_key(&private, DateTime(NOW)).expect_err("gone for good");
    assert!(refused.message.contains("gone"), "{}", refused.message);
    let refused = kms.service.undelete_key(&public, DateTime(NOW)).expect_err("not destroyed");
    assert!(refused.message.contains("not destroyed"), "{}", refused.message);
}

#[test]
fn a_compromise_learnt_of_within_the_window_is_not_forgotten() {
    let kms = server("[[policy]]\nname = \"p\"\ndeletion-window = \"7d\"\n");
    let (private, _) = kms.pair(&p256("job", vec![Attribute::ActivationDate(DateTime(NOW + 99))]));
    kms.destroy(&private).expect("destroyed");
    kms.revoke(&private, Code::KeyCompromise).expect("transition 10");
    assert_eq!(kms.state(&private), State::DestroyedCompromised);
    kms.service.undelete_key(&private, DateTime(NOW + 100)).expect("within its window");
    assert_eq!(kms.state(&private), State::Compromised);
}

#[test]
fn a_pair_brought_back_rotates_again() {
    let kms = server("[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\ndeletion-window = \"90d\"\n");
    let (private, _) = kms.pair(&p256("job", vec![Attribute::ActivationDate(DateTime(NOW + DAY))]));
    kms.destroy(&private).expect("destroyed");
    let rotated = |at: i64| kms.run_due(at).iter().filter(|what| what.contains("rotated")).count();
    assert_eq!(rotated(NOW + 40 * DAY), 0, "destroyed pairs do not rotate");
    kms.service.undelete_key(&private, DateTime(NOW + 41 * DAY)).expect("within its window");
    assert_eq!(rotated(NOW + 41 * DAY), 1);
}

#[test]
fn decryption_with_keys_out_of_use_is_by_permission() {
    for (rule, works) in [("", true), ("decrypt-when-deactivated = \"refuse\"\n", false)] {
        let kms = server(&format!("[[policy]]\nname = \"p\"\n{rule}"));
        for code in [Code::Superseded, Code::KeyCompromise] {
            let (private, public) = kms.pair(&pair_request(&format!("{code}"), 2048));
            kms.activate(&private);
            kms.activate(&public);
            let sent = kms.encrypt(&public, oaep(Hash::Sha1, Hash::Sha1), b"data");
            let decrypt = || kms.decrypt(&private, oaep(Hash::Sha1, Hash::Sha1), &sent);
            decrypt().expect("it is Active");
            kms.revoke(&private, code).expect("revoked");
            assert_eq!(decrypt().is_ok(), works, "{rule} {code}");
        }
    }
}

#[test]
fn old_generations_stay_under_their_policy_when_their_names_move_on() {
    let kms = server(
        "[[policy]]\nname = \"p\"\nnames = \"job-*\"\nrotate-every = \"30d\"\nprivate-keys-may-leave = \"never\"\n",
    );
    let (private, _) = kms.pair(&p256("job", Vec::new()));
    kms.run_due(NOW + 30 * DAY);
    assert!(kms.names(&private).is_empty());
    assert_eq!(get(&kms, &private), Err(ResultReason::PermissionDenied));
    assert_eq!(get(&kms, &successor(&kms, &private)), Err(ResultReason::PermissionDenied));
}

fn wish(interval: u32, offset: Option<u32>) -> Vec<Attribute> {
    let mut wish = vec![
        Attribute::ActivationDate(DateTime(NOW)),
        Attribute::RotateAutomatic(true),
        Attribute::RotateInterval(Interval(interval)),
    ];
    wish.extend(offset.map(|offset| Attribute::RotateOffset(Interval(offset))));
    wish
}

#[test]
fn a_clients_own_wish_is_honoured_within_the_policys_bounds() {
    let kms = server(
        "[[policy]]\nname = \"p\"\nleast-interval = \"1d\"\nmost-interval = \"90d\"\nrotate-every = \"60d\"\n\
         after-rotation = \"deactivate\"\n",
    )
    .speaking(Version::V2_1);
    let day = u32::try_from(DAY).unwrap();
    for (interval, offset, reason, expected) in [
        (day - 1, None, ResultReason::PermissionDenied, "at least 1d and at most 90d"),
        (90 * day + 1, None, ResultReason::PermissionDenied, "at least 1d and at most 90d"),
        (0, None, ResultReason::InvalidField, "without end"),
        (day, Some(day), ResultReason::InvalidField, "Rotate Offset"),
    ] {
        let (refused, message) = kms.ask(&p256("job", wish(interval, offset))).expect_err("out of bounds");
        assert_eq!(refused, reason, "{interval} {offset:?}");
        assert!(message.contains(expected), "{message}");
    }
    let (private, _) = kms.pair(&p256("job", wish(7 * day, Some(day))));
    assert_eq!(kms.next_due(), Some(NOW + 7 * DAY), "its own interval, not the policy's");
    let fired = kms.run_due(NOW + 7 * DAY);
    assert_eq!(fired.len(), 1, "{fired:?}");
    let new = successor(&kms, &private);
    assert_eq!(kms.at(NOW + 8 * DAY - 1).state(&new), State::PreActive);
    assert_eq!(kms.at(NOW + 8 * DAY).state(&new), State::Active);
    assert_eq!(kms.at(NOW + 8 * DAY).state(&private), State::Deactivated, "the rest is as the policy says");
    assert_eq!(kms.key(&new).rotates_at, Some(DateTime(NOW + 14 * DAY)));
    let wishes = [AttributeKind::RotateInterval, AttributeKind::RotateGeneration];
    assert_eq!(
        kms.attributes(&new, &wishes),
        [Attribute::RotateInterval(Interval(7 * day)), Attribute::RotateGeneration(1)]
    );
}

#[test]
fn nobody_rotates_each_second_unless_a_policy_lets_them() {
    let often = |kms: &Asker, interval| kms.ask(&p256("job", wish(interval, None)));
    for config in ["", "[[policy]]\nname = \"p\"\n"] {
        let kms = server(config).speaking(Version::V2_1);
        let (reason, message) = often(&kms, 3_599).expect_err("too often");
        assert_eq!(reason, ResultReason::PermissionDenied);
        assert!(message.contains("at least 1h"), "{message}");
        often(&kms, 3_600).expect("an hour");
    }
    let kms = server("[[policy]]\nname = \"p\"\nleast-interval = \"1s\"\n").speaking(Version::V2_1);
    often(&kms, 1).expect("as the policy says");
}

#[test]
fn an_interval_that_is_not_automatic_is_only_a_note() {
    let kms = server("").speaking(Version::V2_1);
    kms.pair(&p256(
        "job",
        vec![Attribute::ActivationDate(DateTime(NOW)), Attribute::RotateInterval(Interval(60))],
    ));
    assert_eq!(kms.next_due(), None);
}

#[test]
fn keys_are_listed_by_owner_name_state_and_generation_page_by_page() {
    use kms_server::kms::{KeyPage, KeyQuery};
    let kms = server("[[policy]]\nname = \"p\"\nnames = \"job-7*\"\nrotate-every = \"30d\"\n");
    for owner in ["a", "b"] {
        for number in 0..10 {
            kms.by(owner).at(NOW + number).pair(&p256(&format!("job-{number}"), Vec::new()));
        }
    }
    kms.run_due(NOW + 31 * DAY);
    let list = |query: KeyQuery| {
        let mut all = Vec::new();
        let mut query = KeyQuery { limit: 3, ..query };
        loop {
            let page = kms.service.keys(&query, DateTime(NOW)).expect("the store");
            assert!(page.keys.len() <= 3);
            all.extend(page.keys);
            let Some(next) = page.next else { return all };
            query.after = KeyPage::place(&KeyPage::cursor(&next));
            assert_eq!(query.after, Some(next));
        }
    };
    assert_eq!(list(KeyQuery::default()).len(), 44);
    assert_eq!(list(KeyQuery { owner: Some("a".into()), ..KeyQuery::default() }).len(), 22);
    assert_eq!(list(KeyQuery { owner: Some("ab".into()), ..KeyQuery::default() }).len(), 0);
    let sevens = list(KeyQuery { name: Some("job-7-*".into_pattern()), ..KeyQuery::default() });
    assert_eq!(sevens.len(), 8, "old generations are found by the names that they had");
    assert_eq!(list(KeyQuery { generation: Some(1), ..KeyQuery::default() }).len(), 4);
    assert_eq!(list(KeyQuery { state: Some(State::Destroyed), ..KeyQuery::default() }).len(), 0);
    let ecdsa = sevens.iter().all(|key| key.kind == "P-256");
    assert!(ecdsa, "{:?} {:?}", sevens[0].kind, CryptographicAlgorithm::Ec);
    assert_eq!(KeyPage::place("zz.zz"), None);
}

trait IntoPattern {
    fn into_pattern(self) -> wildmatch::WildMatch;
}

impl IntoPattern for &str {
    fn into_pattern(self) -> wildmatch::WildMatch {
        wildmatch::WildMatch::new(self)
    }
}

#[test]
fn the_documentation_names_every_setting_and_its_examples_are_right() {
    let text = include_str!("../../../docs/policies.md");
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 4);
    kms_server::config::Config::parse(&examples.concat(), "docs/policies.md").expect("all examples together");
    let all = kms_server::kms::policy::Policy {
        rotate_every: Some(Default::default()),
        destroy_after: Some(Default::default()),
        least_interval: Some(Default::default()),
        most_interval: Some(Default::default()),
        ..Default::default()
    };
    let settings = serde_json::to_value(all).unwrap();
    for setting in settings.as_object().unwrap().keys() {
        assert!(text.contains(&format!("`{setting}`")), "{setting} is not documented");
    }
}
