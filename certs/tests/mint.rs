//! What is minted says what was asked for, read by an independent parser.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only the test functions themselves"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use kms_certs::{Authority, Error, Flaw, Issued, KeyKind, Request, RevocationList};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

const DAY: u64 = 24 * 60 * 60;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn at(offset_days: i64) -> ASN1Time {
    ASN1Time::from_timestamp(1_800_000_000 + offset_days * DAY as i64).unwrap()
}

fn authority() -> Authority {
    Authority::generate(now()).unwrap()
}

/// Parses `pem` and hands the certificate to `look`.
fn read<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let (rest, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
    assert!(rest.is_empty());
    look(&pem.parse_x509().unwrap())
}

fn signed_by(issued: &Issued, authority: &Authority) -> bool {
    read(authority.certificate(), |ca| {
        read(issued.certificate(), |leaf| {
            leaf.issuer() == ca.subject() && leaf.verify_signature(Some(ca.public_key())).is_ok()
        })
    })
}

fn usages(issued: &Issued) -> Option<(bool, bool)> {
    read(issued.certificate(), |leaf| {
        leaf.extended_key_usage().unwrap().map(|usage| (usage.value.server_auth, usage.value.client_auth))
    })
}

#[test]
fn an_authority_signs_certificates_and_nothing_else() {
    let authority = authority();
    read(authority.certificate(), |ca| {
        assert!(ca.is_ca());
        assert_eq!(ca.basic_constraints().unwrap().unwrap().value.path_len_constraint, Some(0));
        let usage = ca.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        assert!(ca.validity().is_valid_at(at(0)) && ca.validity().is_valid_at(at(3649)));
        assert!(!ca.validity().is_valid_at(at(3651)));
        assert!(ca.verify_signature(None).is_ok());
    });
}

#[test]
fn a_server_certificate_names_its_hosts_in_both_kinds_of_key() {
    let authority = authority();
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let request = Request::server("kms.example.com")
            .host("localhost")
            .host("127.0.0.1")
            .host("::1")
            .key(kind)
            .crl("http://127.0.0.1:5697/ca.crl");
        let issued = authority.issue(&request, now()).unwrap();
        assert!(signed_by(&issued, &authority), "{kind:?}");
        assert_eq!(usages(&issued), Some((true, false)), "{kind:?}");
        read(issued.certificate(), |leaf| {
            assert_eq!(leaf.subject().to_string(), "CN=kms.example.com");
            let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
            let v6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            assert_eq!(
                names,
                &[
                    GeneralName::DNSName("kms.example.com"),
                    GeneralName::DNSName("localhost"),
                    GeneralName::IPAddress(&[127, 0, 0, 1]),
                    GeneralName::IPAddress(&v6),
                ]
            );
            assert!(!leaf.is_ca());
            assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
            assert!(leaf.validity().is_valid_at(at(819)) && !leaf.validity().is_valid_at(at(821)));
            assert!(leaf.serial.bits() > 64, "a serial has at least 64 random bits");
            let crl = leaf.extensions().iter().any(|extension| {
                extension.value.windows(28).any(|bytes| bytes == b"http://127.0.0.1:5697/ca.crl")
            });
            assert!(crl, "the CRL distribution point is stated");
        });
    }
}

#[test]
fn two_certificates_share_neither_serial_nor_key() {
    let authority = authority();
    let serial_and_key = || {
        let issued = authority.issue(&Request::client("same"), now()).unwrap();
        read(issued.certificate(), |leaf| {
            (leaf.raw_serial().to_vec(), leaf.public_key().subject_public_key.data.to_vec())
        })
    };
    let (first, second) = (serial_and_key(), serial_and_key());
    assert_ne!(first.0, second.0);
    assert_ne!(first.1, second.1);
}

#[test]
fn a_client_certificate_is_for_clients_and_an_rsa_key_exists_as_pkcs1() {
    let authority = authority();
    let issued = authority.issue(&Request::client("veeam").key(KeyKind::Rsa2048), now()).unwrap();
    assert_eq!(usages(&issued), Some((false, true)));
    read(issued.certificate(), |leaf| assert_eq!(leaf.subject().to_string(), "CN=veeam"));
    let pkcs1 = issued.key().pkcs1_pem().unwrap();
    assert!(pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    assert!(issued.key().pkcs8_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let other = authority.issue(&Request::client("other"), now()).unwrap();
    assert!(matches!(other.key().pkcs1_pem(), Err(Error::NotRsa)));
}

#[test]
fn each_flaw_breaks_one_thing() {
    let authority = authority();
    let issue = |flaw| authority.issue(&Request::server("localhost").flaw(flaw), now()).unwrap();
    let valid = |issued: &Issued| read(issued.certificate(), |leaf| leaf.validity().is_valid_at(at(0)));
    let subject = |issued: &Issued| read(issued.certificate(), |leaf| leaf.subject().to_string());

    for flaw in [
        Flaw::Expired,
        Flaw::NotYetValid,
        Flaw::WrongName,
        Flaw::WrongUsage,
        Flaw::NoUsage,
        Flaw::OtherAuthority,
        Flaw::SelfSigned,
    ] {
        let issued = issue(flaw);
        assert_eq!(valid(&issued), !matches!(flaw, Flaw::Expired | Flaw::NotYetValid), "{flaw:?}");
        assert_eq!(subject(&issued) == "CN=localhost", flaw != Flaw::WrongName, "{flaw:?}");
        assert_eq!(
            signed_by(&issued, &authority),
            !matches!(flaw, Flaw::OtherAuthority | Flaw::SelfSigned),
            "{flaw:?}"
        );
        let expected = match flaw {
            Flaw::WrongUsage => Some((false, true)),
            Flaw::NoUsage => None,
            _ => Some((true, false)),
        };
        assert_eq!(usages(&issued), expected, "{flaw:?}");
    }
    let own = issue(Flaw::SelfSigned);
    assert!(read(own.certificate(), |leaf| leaf.subject() == leaf.issuer()
        && leaf.verify_signature(None).is_ok()));
    let nobody = authority.issue(&Request::client("alice").flaw(Flaw::WrongName), now()).unwrap();
    assert_eq!(subject(&nobody), "");
}

#[test]
fn an_authority_that_was_written_and_loaded_signs_under_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    authority.write(folder.path()).unwrap();
    let certificate = fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    let key = fs::read_to_string(folder.path().join("ca.key")).unwrap();
    let loaded = Authority::load(&certificate, &key).unwrap();
    let issued = loaded.issue(&Request::client("later"), now()).unwrap();
    assert!(signed_by(&issued, &authority));

    issued.write(folder.path(), "client").unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("ca.key"), mode("client.key")], [0o600; 2]);
    assert_eq!([mode("ca.pem"), mode("client.pem")], [0o644; 2]);
}

#[test]
fn an_authority_with_another_ones_key_is_refused() {
    let (one, two) = (authority(), authority());
    let result = Authority::load(one.certificate(), two.key().pkcs8_pem());
    assert!(matches!(result, Err(Error::Mismatch)));
    assert!(Authority::load("nonsense", one.key().pkcs8_pem()).is_err());
    assert!(Authority::load(one.certificate(), "nonsense").is_err());
}

#[test]
fn a_short_lived_certificate_ends_when_it_was_told_to() {
    let request = Request::client("guest").valid_for(Duration::from_secs(3 * DAY));
    let issued = authority().issue(&request, now()).unwrap();
    let valid = |days| read(issued.certificate(), |leaf| leaf.validity().is_valid_at(at(days)));
    assert_eq!([valid(0), valid(3), valid(4)], [true, true, false]);
}

#[test]
fn a_certificate_issued_anew_for_its_key_has_another_serial_number() {
    let authority = authority();
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let request = Request::server("localhost");
        let first = authority.issue(&request.clone().key(kind), now()).unwrap();
        let second = authority.issue_for(first.key().pkcs8_pem(), &request, now()).unwrap();
        let look = |issued: &Issued| {
            read(issued.certificate(), |leaf| (leaf.public_key().raw.to_vec(), leaf.raw_serial().to_vec()))
        };
        assert_eq!(look(&first).0, look(&second).0, "{kind:?}");
        assert_ne!(look(&first).1, look(&second).1, "{kind:?}");
        assert_eq!(second.key().pkcs1_pem().is_ok(), kind == KeyKind::Rsa2048);
    }
}

#[test]
fn a_list_of_revoked_certificates_grows_and_counts() {
    let authority = authority();
    let (one, two) = (Request::client("one"), Request::client("two"));
    let (one, two) = (authority.issue(&one, now()).unwrap(), authority.issue(&two, now()).unwrap());
    let mut list = RevocationList::default();
    assert!(list.is_due(now()), "there is none yet");
    assert!(list.revoke(one.certificate(), now()).unwrap());
    assert!(!list.revoke(one.certificate(), now()).unwrap(), "once is enough");
    assert!(matches!(list.revoke("nonsense", now()), Err(Error::Unreadable)));
    let signed = authority.sign_list(&list, now()).unwrap();
    let mut list = RevocationList::parse(&signed).unwrap();
    assert!(!list.is_due(now()) && list.is_due(now() + Duration::from_secs(DAY / 2 + 1)));
    assert!(list.revoke(two.certificate(), now()).unwrap());
    let signed = authority.sign_list(&list, now()).unwrap();
    let (_, crl) = CertificateRevocationList::from_der(&signed).unwrap();
    assert_eq!(crl.crl_number().map(ToString::to_string).as_deref(), Some("2"));
    read(authority.certificate(), |ca| assert!(crl.verify_signature(ca.public_key()).is_ok()));
    let serial = |issued: &Issued| read(issued.certificate(), |leaf| leaf.raw_serial().to_vec());
    let serials: Vec<_> = RevocationList::parse(&signed).unwrap().serials().map(<[u8]>::to_vec).collect();
    assert_eq!(serials, [serial(&one), serial(&two)]);
    assert!(matches!(RevocationList::parse(b"nonsense"), Err(Error::List(_))));
}

#[test]
fn a_name_that_no_certificate_can_hold_is_refused() {
    let authority = authority();
    for name in ["", &"x".repeat(65)] {
        assert!(matches!(authority.issue(&Request::client(name), now()), Err(Error::Name(_))), "{name}");
    }
    assert!(authority.issue(&Request::server("nö.example"), now()).is_err());
}
