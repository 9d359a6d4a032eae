//! Login, Delegated Login and Logout: what a ticket is good for, and for how long.

use kms_protocol::attribute::{Attribute, UsageLimits};
use kms_protocol::credential::{
    Attestation, Credential, Device, HashedPassword, Nonce, Password, Ticket, TicketCredential,
    UsernameAndPassword,
};
use kms_protocol::enums::{
    AttestationType, BlockCipherMode, Operation, ResultReason, State, TicketType, UsageLimitsUnit,
};
use kms_protocol::operation::{
    CreateRequest, DelegatedLoginRequest, DestroyRequest, GetRequest, LeaseTime, LocateRequest, LoginRequest,
    LogoutRequest, ObjectGroups, Objects, Operations, PingRequest, Right, Rights,
};
use kms_protocol::ttlv::{Bytes, DateTimeExtended, Interval};
use kms_protocol::{DateTime, Secret, Version};

use crate::asking::{Answer, Asker, NOW};
use crate::{get, key, key_with, mode};

/// The value of a ticket, which may be shown more than once.
type Value = Vec<u8>;

fn value(ticket: &Ticket) -> Value {
    assert_eq!(ticket.ticket_type, TicketType::Login);
    assert_eq!(ticket.value.len(), 32);
    ticket.value.expose().to_vec()
}

fn ticket(value: &[u8]) -> Ticket {
    Ticket { ticket_type: TicketType::Login, value: Secret::from(value) }
}

fn showing(ask: &Asker, value: &[u8]) -> Asker {
    ask.showing(vec![Credential::Ticket(TicketCredential { ticket: ticket(value) })])
}

fn log_in(ask: &Asker, request: &LoginRequest) -> Answer<Value> {
    ask.ask(request).map(|response| value(&response.ticket))
}

fn delegate(ask: &Asker, rights: Vec<Right>) -> Answer<Value> {
    let request = DelegatedLoginRequest {
        lease_time: None,
        request_count: None,
        usage_limits: None,
        rights: Rights { rights },
    };
    ask.ask(&request).map(|response| value(&response.ticket))
}

fn operations(list: &[Operation]) -> Option<Operations> {
    Some(Operations { operations: list.to_vec() })
}

#[test]
fn a_ticket_stands_for_its_holder_on_any_connection_until_it_is_void() {
    for version in [Version::V2_0, Version::V2_1] {
        let a = Asker::start("").speaking(version);
        let id = key(&a);
        let value = log_in(&a, &LoginRequest::default()).expect("logged in");
        let b = a.by("b");
        assert!(get(&b, &id).is_err(), "without the ticket it is another owner's");
        let shown = showing(&b, &value);
        get(&shown, &id).expect("with it, it is its holder's");
        get(&shown.at(NOW + 3_599), &id).expect("still good");
        assert_eq!(get(&shown.at(NOW + 3_600), &id).expect_err("expired").0, ResultReason::InvalidTicket);
        b.ask(&LogoutRequest { ticket: ticket(&value) }).expect("who has it may make it void");
        assert_eq!(get(&shown, &id).expect_err("void").0, ResultReason::InvalidTicket);
        let again = b.ask(&LogoutRequest { ticket: ticket(&value) }).expect_err("once");
        assert_eq!(again.0, ResultReason::InvalidTicket);
    }
}

#[test]
fn a_ticket_is_good_for_as_long_and_as_often_as_its_login_says() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let id = key(&ask);
    let until = |lease| LoginRequest { lease_time: Some(lease), ..LoginRequest::default() };
    for lease in [LeaseTime::For(Interval(60)), LeaseTime::Until(DateTime(NOW + 60))] {
        let shown = showing(&ask, &log_in(&ask, &until(lease)).expect("logged in"));
        get(&shown.at(NOW + 59), &id).expect("in time");
        assert_eq!(get(&shown.at(NOW + 60), &id).expect_err("late").0, ResultReason::InvalidTicket);
    }
    let twice = LoginRequest { request_count: Some(2), ..LoginRequest::default() };
    let shown = showing(&ask, &log_in(&ask, &twice).expect("logged in"));
    get(&shown, &id).expect("once");
    get(&shown, &id).expect("twice");
    assert_eq!(get(&shown, &id).expect_err("a third time").0, ResultReason::InvalidTicket);

    let limits = UsageLimits { total: 20, count: None, unit: UsageLimitsUnit::Byte };
    let limited = LoginRequest { usage_limits: Some(limits), ..LoginRequest::default() };
    let shown = showing(&ask, &log_in(&ask, &limited).expect("logged in"));
    let encrypt = |ask: &Asker| ask.try_encrypt(&id, mode(BlockCipherMode::Ecb), &[7; 16]);
    encrypt(&shown).expect("16 bytes of 20");
    assert_eq!(encrypt(&shown).expect_err("32 bytes of 20").0, ResultReason::PermissionDenied);
    encrypt(&ask).expect("the key itself has no limits");
}

#[test]
fn what_no_ticket_is_given_for_is_refused() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let none = UsageLimits { total: 0, count: None, unit: UsageLimitsUnit::Object };
    for (what, request) in [
        (
            "no time",
            LoginRequest { lease_time: Some(LeaseTime::For(Interval(0))), ..LoginRequest::default() },
        ),
        (
            "the past",
            LoginRequest { lease_time: Some(LeaseTime::Until(DateTime(NOW))), ..LoginRequest::default() },
        ),
        (
            "a month",
            LoginRequest {
                lease_time: Some(LeaseTime::For(Interval(30 * 86_400))),
                ..LoginRequest::default()
            },
        ),
        ("no request", LoginRequest { request_count: Some(0), ..LoginRequest::default() }),
        ("no use", LoginRequest { usage_limits: Some(none), ..LoginRequest::default() }),
    ] {
        assert_eq!(log_in(&ask, &request).expect_err(what).0, ResultReason::InvalidField, "{what}");
    }
    assert_eq!(delegate(&ask, vec![]).expect_err("no right").0, ResultReason::InvalidField);
    assert_eq!(
        delegate(&ask, vec![Right::default(); 33]).expect_err("too many").0,
        ResultReason::InvalidField
    );
    let shown = showing(&ask, &log_in(&ask, &LoginRequest::default()).expect("logged in"));
    let (reason, _) = log_in(&shown, &LoginRequest::default()).expect_err("by a ticket");
    assert_eq!(reason, ResultReason::PermissionDenied);
    let guessed = showing(&ask, &[7; 32]);
    assert_eq!(guessed.ask(&PingRequest::default()).expect_err("guessed").0, ResultReason::InvalidTicket);
    let older = guessed.speaking(Version::V1_4);
    assert_eq!(get(&older, "1").expect_err("1.4").0, ResultReason::AuthenticationNotSuccessful);
    let older = ask.speaking(Version::V1_4);
    let (reason, _) = log_in(&older, &LoginRequest::default()).expect_err("1.4 has none");
    assert_eq!(reason, ResultReason::OperationNotSupported);
    for _ in 1..100 {
        log_in(&ask, &LoginRequest::default()).expect("logged in");
    }
    let (reason, _) = log_in(&ask, &LoginRequest::default()).expect_err("one too many");
    assert_eq!(reason, ResultReason::ServerLimitExceeded);
    log_in(&ask.by("b"), &LoginRequest::default()).expect("others have their own");
    log_in(&ask.at(NOW + 3_600), &LoginRequest::default()).expect("the others have expired");
}

#[test]
fn a_delegated_ticket_has_the_rights_that_were_named_and_no_others() {
    let a = Asker::start("").speaking(Version::V2_1);
    let (one, other) = (key(&a), key(&a));
    let grouped = key_with(&a, vec![Attribute::ObjectGroup("tapes".into())]);
    let rights = vec![
        Right {
            operations: operations(&[Operation::Get, Operation::Encrypt]),
            objects: Some(Objects { unique_identifiers: vec![one.as_str().into()] }),
            ..Right::default()
        },
        Right {
            operations: operations(&[
                Operation::Locate,
                Operation::Get,
                Operation::GetAttributes,
                Operation::Create,
            ]),
            object_groups: Some(ObjectGroups { object_groups: vec!["tapes".into()] }),
            ..Right::default()
        },
    ];
    let b = showing(&a.by("b"), &delegate(&a, rights).expect("delegated"));
    get(&b, &one).expect("named");
    get(&b, &grouped).expect("of the group");
    assert_eq!(b.state(&grouped), State::Active);
    assert_eq!(get(&b, &other).expect_err("not named"), get(&b, "nothing").expect_err("nothing"));
    b.encrypt(&one, mode(BlockCipherMode::Ecb), &[7; 16]);
    let (reason, _) = b.try_encrypt(&grouped, mode(BlockCipherMode::Ecb), &[7; 16]).expect_err("Get alone");
    assert_eq!(reason, ResultReason::PermissionDenied);
    let destroy = DestroyRequest { unique_identifier: Some(one.as_str().into()) };
    assert_eq!(b.ask(&destroy).expect_err("no right").0, ResultReason::PermissionDenied);
    assert_eq!(b.ask(&PingRequest::default()).expect_err("no right").0, ResultReason::PermissionDenied);
    let found = b.ask(&LocateRequest::default()).expect("located").unique_identifiers;
    assert_eq!(found, std::slice::from_ref(&grouped), "what else there is stays unseen");
    let create = |groups: &[&str]| {
        let mut attributes = vec![
            Attribute::CryptographicAlgorithm(kms_protocol::enums::CryptographicAlgorithm::Aes),
            Attribute::CryptographicLength(128),
        ];
        attributes.extend(groups.iter().map(|group| Attribute::ObjectGroup((*group).into())));
        CreateRequest {
            object_type: kms_protocol::enums::ObjectType::SymmetricKey,
            attributes: attributes.into(),
            protection: None,
        }
    };
    let made = b.ask(&create(&["tapes"])).expect("in the group").unique_identifier;
    get(&a, &made).expect("the holder's");
    assert_eq!(b.ask(&create(&[])).expect_err("in no group").0, ResultReason::PermissionDenied);
    assert_eq!(b.ask(&create(&["disks"])).expect_err("another group").0, ResultReason::PermissionDenied);
}

#[test]
fn a_right_ends_with_its_usage_limits_and_at_the_rules_for_its_holder() {
    let a = Asker::start("").speaking(Version::V2_1);
    let id = key(&a);
    let once = Right {
        operations: operations(&[Operation::Encrypt]),
        usage_limits: Some(UsageLimits { total: 1, count: None, unit: UsageLimitsUnit::Object }),
        ..Right::default()
    };
    let b = showing(&a.by("b"), &delegate(&a, vec![once]).expect("delegated"));
    b.encrypt(&id, mode(BlockCipherMode::Ecb), &[7; 16]);
    let (reason, _) = b.try_encrypt(&id, mode(BlockCipherMode::Ecb), &[7; 16]).expect_err("used up");
    assert_eq!(reason, ResultReason::PermissionDenied);

    let rules = "[[access]]\nprincipals = \"a\"\noperations = [\"Create\", \"Get\", \"Delegated Login\"]";
    let a = Asker::start(rules).speaking(Version::V2_1);
    let all = showing(&a.by("b"), &delegate(&a, vec![Right::default()]).expect("delegated"));
    let destroy = DestroyRequest { unique_identifier: Some("1".into()) };
    assert_eq!(all.ask(&destroy).expect_err("nothing there").0, ResultReason::ObjectNotFound);
    assert!(all.ask(&LocateRequest::default()).is_err(), "its holder may not either");
    let rules = "[[access]]\nprincipals = \"a\"\noperations = [\"Create\"]";
    let a = Asker::start(rules).speaking(Version::V2_1);
    assert_eq!(
        delegate(&a, vec![Right::default()]).expect_err("so say the rules").0,
        ResultReason::PermissionDenied
    );
    let request = GetRequest { unique_identifier: Some("1".into()), ..GetRequest::default() };
    assert_eq!(a.ask(&request).expect_err("nothing").0, ResultReason::ObjectNotFound);
}

/// A user whose password is `correct horse`; the hash is as cheap as one can be.
const USERS: &str = r#"
[[user]]
name = "operator"
password-hash = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI"
principal = "a"
"#;

fn user(name: &str, password: Option<&str>) -> Credential {
    Credential::UsernameAndPassword(UsernameAndPassword {
        username: name.into(),
        password: password.map(Password::from),
    })
}

#[test]
fn a_user_of_the_configuration_is_the_principal_that_it_names() {
    let a = Asker::start(USERS);
    let id = key(&a);
    let b = a.by("b");
    for version in [Version::V1_0, Version::V1_4, Version::V2_1] {
        let b = b.speaking(version);
        let right = user("operator", Some("correct horse"));
        get(&b.showing(vec![right]), &id).expect("the right password");
        get(&b.showing(vec![user("operator", Some("correct horse"))]), &id)
            .expect("again, from what is remembered");
        let wrong = [
            user("operator", Some("wrong horse")),
            user("operator", Some("")),
            user("operator", None),
            user("nobody", Some("correct horse")),
        ];
        let mut answers = Vec::new();
        for credential in wrong {
            let (reason, message) = get(&b.showing(vec![credential]), &id).expect_err("refused");
            assert_eq!(reason, ResultReason::AuthenticationNotSuccessful, "{version}");
            answers.push(message);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "nobody learns what was wrong");
        let both = vec![user("operator", Some("correct horse")), user("operator", Some("wrong horse"))];
        assert!(get(&b.showing(both), &id).is_err(), "all have to hold");
    }
    assert!(get(&b, &id).is_err(), "without them the certificate says who it is");
}

#[test]
fn what_proves_nothing_is_passed_over_and_what_cannot_be_examined_is_refused() {
    let plain = Asker::start("").speaking(Version::V2_1);
    let id = key(&plain);
    let device = || Credential::Device(Device { serial_number: Some("1".into()), ..Device::default() });
    get(&plain.showing(vec![user("anybody", Some("anything")), device()]), &id).expect("no users here");
    let attested = Credential::Attestation(Attestation {
        nonce: Nonce { id: Bytes(vec![1]), value: Bytes(vec![2]) },
        attestation_type: AttestationType::TpmQuote,
        measurement: Some(Bytes(vec![3])),
        assertion: None,
    });
    let (reason, _) = get(&plain.showing(vec![attested]), &id).expect_err("nobody examines it");
    assert_eq!(reason, ResultReason::AttestationFailed);
    let hashed = Credential::HashedPassword(HashedPassword {
        username: "operator".into(),
        time_stamp: DateTimeExtended(1),
        hashing_algorithm: None,
        hashed_password: Secret::from(&[7_u8; 64][..]),
    });
    let users = Asker::start(USERS).speaking(Version::V2_1);
    let (reason, _) = get(&users.showing(vec![hashed]), "1").expect_err("only the slow hash is kept");
    assert_eq!(reason, ResultReason::AuthenticationNotSuccessful);
    get(&users.showing(vec![device()]), &key(&users)).expect("a device is a name at most");
}
