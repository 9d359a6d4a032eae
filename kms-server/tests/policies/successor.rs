//! What a client may say of a successor, what it inherits, and what ends its predecessor for good.

use kms_protocol::attribute::{Attribute, AttributeKind, Attributes, UsageLimits};
use kms_protocol::enums::{
    CryptographicAlgorithm, LinkType, ResultReason, RevocationReasonCode as Code, State, UsageLimitsUnit,
};
use kms_protocol::operation::RekeyKeyPairRequest;
use kms_protocol::ttlv::Interval;
use kms_protocol::{DateTime, Version};
use kms_server::kms::lifecycle::LAST_DATE;

use crate::asking::{Answer, Asker, NOW, pair_request};
use crate::{DAY, p256, server};

fn rekey(kms: &Asker, private: &str, common: Vec<Attribute>) -> Answer<String> {
    let request = RekeyKeyPairRequest {
        private_key_unique_identifier: Some(private.into()),
        common: Attributes::from(common),
        ..RekeyKeyPairRequest::default()
    };
    kms.ask(&request).map(|response| response.private_key_unique_identifier)
}

#[test]
fn re_key_keeps_to_the_bounds_of_create() {
    let kms = server("[[policy]]\nname = \"p\"\nleast-interval = \"1d\"\nmost-interval = \"90d\"\n")
        .speaking(Version::V2_1);
    let (private, _) = kms.pair(&p256("job", Vec::new()));
    let wish =
        |interval: u32| vec![Attribute::RotateAutomatic(true), Attribute::RotateInterval(Interval(interval))];
    for (interval, offset, expected) in
        [(60, 0, ResultReason::PermissionDenied), (100_000, 100_000, ResultReason::InvalidField)]
    {
        let mut wish = wish(interval);
        wish.push(Attribute::RotateOffset(Interval(offset)));
        assert_eq!(rekey(&kms, &private, wish).expect_err("out of bounds").0, expected, "{interval}");
    }
    assert_eq!(kms.keys().len(), 2, "nothing was made");
    let new = rekey(&kms, &private, wish(86_400)).expect("within the bounds");
    assert_eq!(kms.key(&new).rotates_at, Some(DateTime(NOW + DAY)));
}

#[test]
fn a_successor_is_of_its_predecessors_kind() {
    let kms = server("");
    let (private, _) = kms.pair(&pair_request("job", 2048));
    let refused = [
        Attribute::CryptographicLength(4096),
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
        p256("x", Vec::new())
            .common
            .list
            .into_iter()
            .find(|one| one.kind() == AttributeKind::CryptographicDomainParameters)
            .unwrap(),
    ];
    for stated in refused {
        let (reason, message) = rekey(&kms, &private, vec![stated.clone()]).expect_err("another kind");
        assert_eq!(reason, ResultReason::InvalidField, "{stated:?}");
        assert!(message.contains("RSA-2048"), "{message}");
    }
    let same = vec![
        Attribute::CryptographicLength(2048),
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
    ];
    rekey(&kms, &private, same).expect("what is so may be said");
}

#[test]
fn a_successor_under_another_policy_is_one_that_it_allows() {
    let kms = server(
        "[[policy]]\nname = \"strong\"\ngroups = \"strong\"\nallowed-pairs = [\"RSA-4096\"]\n\
         [[policy]]\nname = \"rest\"\n",
    );
    let (private, _) = kms.pair(&p256("job", Vec::new()));
    let strong = vec![Attribute::ObjectGroup("strong".into())];
    assert_eq!(rekey(&kms, &private, strong).expect_err("not allowed").0, ResultReason::PermissionDenied);
    rekey(&kms, &private, Vec::new()).expect("it stays where it is");
}

#[test]
fn uses_are_counted_anew() {
    let kms = server("");
    let limits = |count| {
        let unit = UsageLimitsUnit::Object;
        Attribute::UsageLimits(UsageLimits { total: 10, count: Some(count), unit })
    };
    let (private, _) = kms.pair(&p256("job", vec![limits(3)]));
    let new = rekey(&kms, &private, Vec::new()).expect("re-keyed");
    assert_eq!(kms.attributes(&new, &[AttributeKind::UsageLimits]), [limits(10)]);
}

#[test]
fn dates_stay_within_four_digits_of_years() {
    let kms = server("[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\n");
    for date in [LAST_DATE.0 + 1, i64::MAX] {
        let refused = kms
            .ask(&p256("late", vec![Attribute::DeactivationDate(DateTime(date))]))
            .expect_err("beyond the year 9999");
        assert_eq!(refused.0, ResultReason::InvalidField);
        assert!(refused.1.contains("9999"), "{}", refused.1);
    }
    for start in [i64::MIN, 1] {
        let name = format!("for ever since {start}");
        let dates = vec![Attribute::ActivationDate(DateTime(start)), Attribute::DeactivationDate(LAST_DATE)];
        let (private, _) = kms.pair(&p256(&name, dates));
        kms.run_due(NOW + 30 * DAY);
        let new = kms.link(&private, LinkType::ReplacementObjectLink).expect("rotated");
        assert_eq!(kms.key(&new).deactivation_date, Some(LAST_DATE));
    }
}

const SHORT: &str = "[[policy]]\nname = \"p\"\nrotate-every = \"30d\"\nafter-rotation = \"deactivate\"\n\
                     destroy-after = \"10d\"\ndeletion-window = \"90d\"\n";

#[test]
fn what_the_operator_brought_back_no_policy_destroys_again() {
    let kms = server(SHORT);
    let (private, public) = kms.pair(&p256("job", Vec::new()));
    kms.run_due(NOW + 30 * DAY);
    assert_eq!(kms.run_due(NOW + 40 * DAY).len(), 2, "both halves are destroyed");
    kms.service.undelete_key(&private, DateTime(NOW + 41 * DAY)).expect("within its window");
    for day in [41, 42, 59] {
        assert_eq!(kms.run_due(NOW + day * DAY), Vec::<String>::new());
        assert_eq!(kms.state(&private), State::Deactivated);
    }
    assert_eq!(kms.state(&public), State::Destroyed);
    kms.destroy(&private).expect("its client may");
}

#[test]
fn a_compromise_begins_the_time_to_destruction_whatever_end_was_to_come() {
    let kms = server(SHORT);
    let (private, public) =
        kms.pair(&p256("job", vec![Attribute::DeactivationDate(DateTime(NOW + 400 * DAY))]));
    rekey(&kms, &private, Vec::new()).expect("re-keyed");
    for id in [&private, &public] {
        kms.revoke(id, Code::KeyCompromise).expect("revoked");
    }
    assert_eq!(kms.run_due(NOW + 10 * DAY - 1), Vec::<String>::new());
    assert_eq!(kms.run_due(NOW + 10 * DAY).len(), 2);
    assert_eq!(kms.state(&private), State::DestroyedCompromised);
}

#[test]
fn a_half_that_waited_for_the_other_goes_once_that_is_destroyed() {
    let kms = server(SHORT);
    let (private, public) = kms.pair(&p256("job", Vec::new()));
    rekey(&kms, &private, Vec::new()).expect("re-keyed");
    kms.revoke(&private, Code::Superseded).expect("revoked");
    assert_eq!(kms.run_due(NOW + 10 * DAY), Vec::<String>::new(), "the public half is in use");
    assert_eq!(kms.state(&private), State::Deactivated);
    let later = kms.at(NOW + 11 * DAY);
    later.revoke(&public, Code::Superseded).expect("revoked");
    later.destroy(&public).expect("destroyed");
    assert_eq!(kms.run_due(NOW + 11 * DAY).len(), 1);
    assert_eq!(kms.state(&private), State::Destroyed);
}
