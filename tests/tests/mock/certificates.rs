//! Broken and revoked certificates on either side, seen by this project's own client and its doctor.

use kms_certs::Flaw;
use kms_client::doctor::{self, Plan, Report};
use kms_client::{Profile, blocking};
use kms_protocol::DateTime;
use kms_protocol::operation::LocateRequest;
use kms_server::pki::Broken;
use kms_server::testing::TestClient;
use kms_server::testing::blocking::TestServer;

use super::peer::{Peer, Seen, discover};

fn client(profile: &TestClient) -> blocking::Client {
    let client = Profile::load(&profile.profile()).expect("a profile").builder().build().expect("a client");
    blocking::Client::new(client).expect("a client")
}

/// What the doctor finds who changes nothing.
fn examined(profile: &TestClient) -> Report {
    let plan = Plan { read_only: true, ..Plan::new(Profile::load(&profile.profile()).expect("a profile")) };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let now = DateTime(i64::try_from(now.as_secs()).expect("a time"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(doctor::examine(&plan, now, &|_| ())).expect("a report")
}

fn words(report: &Report) -> String {
    serde_json::to_string(report).expect("JSON")
}

#[test]
fn a_server_with_a_broken_certificate_is_refused_and_the_doctor_names_what_is_wrong() {
    for (flaw, error, found) in [
        (Flaw::Expired, "has expired", "which expired at"),
        (Flaw::NotYetValid, "is not valid yet", "before"),
        (Flaw::WrongName, "is not for 127.0.0.1", "wrong.invalid"),
        (Flaw::WrongUsage, "lacks serverAuth", "Extended Key Usage serverAuth"),
        (Flaw::OtherAuthority, "not among the trusted ones", "issued by CN=KMS development CA"),
        (Flaw::SelfSigned, "not among the trusted ones", "which signed itself"),
    ] {
        let server = TestServer::of(kms_server::testing::TestServer::builder().broken(Broken::Flawed(flaw)));
        let profile = server.client("a");
        let refused = client(&profile).locate(&LocateRequest::default()).expect_err("refused").to_string();
        assert!(refused.contains(error), "{flaw:?}: {refused}");
        let words = words(&examined(&profile));
        assert!(words.contains(error) && words.contains(found), "{flaw:?}: {words}");
    }
}

#[test]
fn what_only_strict_clients_refuse_the_doctor_finds() {
    for (broken, found) in [
        (Broken::Flawed(Flaw::NoUsage), "Extended Key Usage serverAuth"),
        (Broken::Revoked, "the server's certificate, which is revoked"),
    ] {
        let server = TestServer::of(kms_server::testing::TestServer::builder().broken(broken));
        let profile = server.client("a");
        client(&profile).locate(&LocateRequest::default()).expect("served");
        let words = words(&examined(&profile));
        assert!(words.contains(found), "{broken}: {words}");
    }
    let sound = TestServer::start();
    let words = words(&examined(&sound.client("a")));
    assert!(words.contains("/ca.crl: it is not revoked"), "{words}");
    assert!(!words.contains("serverAuth") && !words.contains("which is revoked"), "{words}");
}

#[test]
fn a_client_with_a_broken_certificate_is_refused_and_the_doctor_names_what_is_wrong() {
    let server = TestServer::start();
    for (broken, name) in Broken::ALL {
        let profile = server.broken_client("b", broken);
        let refused = client(&profile).locate(&LocateRequest::default()).expect_err("refused").to_string();
        assert!(refused.contains("refused this client's certificate"), "{name}: {refused}");
        let words = words(&examined(&profile));
        let found = match broken {
            Broken::Flawed(Flaw::Expired) => "this client's certificate, which expired at",
            Broken::Flawed(Flaw::NotYetValid) => "validity of this client's certificate before",
            Broken::Flawed(Flaw::WrongName) => "a name in this client's certificate",
            Broken::Flawed(Flaw::WrongUsage | Flaw::NoUsage) => "clientAuth in this client's certificate",
            Broken::Flawed(Flaw::SelfSigned) => "this client's certificate, which signed itself",
            Broken::Revoked => "this client's certificate, which is revoked",
            _ => "issued by a CA that the server does not know",
        };
        assert!(words.contains(found), "{name}: {words}");
    }
    client(&server.client("b"))
        .locate(&LocateRequest::default())
        .expect("the sound one of that name is served");
}

#[test]
fn a_revoked_client_is_not_answered_any_more_on_any_connection() {
    let server = TestServer::start();
    let (victim, other) = (server.client("victim"), server.client("other"));
    let mut open = Peer::connect(&server, &victim);
    let mut others = Peer::connect(&server, &other);
    server.revoke("victim");
    assert_eq!(open.ask(&discover()), Seen::Closed(0), "an open connection ends");
    let refused = Peer::try_connect(&server, &victim).err().expect("a new one is refused").to_string();
    assert!(refused.contains("Revoked"), "{refused}");
    assert!(matches!(others.ask(&discover()), Seen::Answer(_)), "nobody else is concerned");
    server.restart();
    assert!(Peer::try_connect(&server, &victim).is_err(), "nor after a restart");
    let _ = Peer::connect(&server, &other);
}
