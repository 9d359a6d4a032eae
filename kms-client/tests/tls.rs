//! TLS with real sockets: what each failure is called, which keys are read, resumption, changed files, profiles.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kms_client::{Builder, Client, Error, Owner, Profile, Step, TlsFault};
use kms_protocol::DateTime;
use kms_protocol::operation::{LocateRequest, LocateResponse};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, date_time_ymd,
};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::DecodePrivateKey as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use scripted::{answer, in_1_4, read_message, yes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

/// A certificate and its key, PEM.
struct Issued {
    certificate: String,
    key: String,
}

fn issue(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    issue_for(ca, &KeyPair::generate().expect("a key"), change)
}

fn issue_for(ca: &Ca, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let mut params =
        CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    params.distinguished_name.push(DnType::CommonName, "test");
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let certificate = params.signed_by(key, ca).expect("a certificate");
    Issued { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// A TLS server that answers every Locate, and what it saw.
struct Server {
    address: SocketAddr,
    resumed: Arc<AtomicUsize>,
    full: Arc<AtomicUsize>,
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

async fn serve(issued: &Issued, clients: &Ca, versions: &[&'static SupportedProtocolVersion]) -> Server {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.der().clone()).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .expect("a verifier");
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("a certificate")],
            PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key"),
        )
        .expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = Server {
        address: listener.local_addr().expect("an address"),
        resumed: Arc::default(),
        full: Arc::default(),
    };
    let (resumed, full) = (Arc::clone(&server.resumed), Arc::clone(&server.full));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, resumed, full) = (acceptor.clone(), Arc::clone(&resumed), Arc::clone(&full));
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                match tls.get_ref().1.handshake_kind() {
                    Some(HandshakeKind::Resumed) => resumed.fetch_add(1, Ordering::SeqCst),
                    _ => full.fetch_add(1, Ordering::SeqCst),
                };
                while let Some(request) = read_message(&mut tls).await {
                    let ids = vec!["1".to_owned()];
                    let found = LocateResponse { located_items: None, unique_identifiers: ids };
                    let bytes = answer(&request, &in_1_4(move |ask| yes(ask, &found)));
                    if tls.write_all(&bytes).await.is_err() || tls.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    server
}

fn to(server: &Server, ca: &Ca, identity: Option<&Issued>) -> Builder {
    let builder = Client::builder(format!("localhost:{}", server.address.port())).ca_pem(ca.pem().as_bytes());
    match identity {
        Some(issued) => builder.identity_pem(issued.certificate.as_bytes(), issued.key.as_bytes()),
        None => builder,
    }
}

async fn locate(builder: Builder) -> Result<Vec<String>, Error> {
    let client = builder.build()?;
    client.locate(&LocateRequest::default()).await.map(|found| found.unique_identifiers)
}

async fn fault(builder: Builder) -> TlsFault {
    match locate(builder).await.expect_err("no trust") {
        error @ Error::Tls { .. } => {
            assert!(!error.is_retryable());
            let hint = error.hint();
            let Error::Tls { fault, .. } = error else { unreachable!() };
            assert!(hint.is_some() || matches!(fault, TlsFault::Other(_)), "{fault:?} says what to do");
            fault
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_versions_and_every_form_of_private_key_will_do() {
    let ca = authority("CA");
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let pkcs1 = Issued {
        key: rsa::PrivateKey::from_pkcs8_der(&rsa.serialize_der())
            .expect("RSA")
            .to_pkcs1_pem(Default::default())
            .expect("PKCS#1")
            .to_string(),
        ..issue_for(&ca, &rsa, |_| {})
    };
    assert!(pkcs1.key.contains("BEGIN RSA PRIVATE KEY"));
    let ec = KeyPair::generate().expect("a key");
    let pkcs8 = ec.serialize_der();
    let inner = rsa::pkcs8::PrivateKeyInfoRef::try_from(pkcs8.as_slice()).expect("PKCS#8");
    let sec1 = Issued {
        key: rsa::pkcs8::der::Document::try_from(inner.private_key.as_bytes())
            .expect("DER")
            .to_pem("EC PRIVATE KEY", Default::default())
            .expect("PEM"),
        ..issue_for(&ca, &ec, |_| {})
    };
    for version in BOTH {
        let server = serve(&issue(&ca, |_| {}), &ca, &[version]).await;
        for identity in [&issue(&ca, |_| {}), &pkcs1, &sec1] {
            assert_eq!(
                locate(to(&server, &ca, Some(identity))).await.expect("trusted"),
                ["1"],
                "{version:?}"
            );
        }
        let by_ip = Client::builder(server.address.to_string())
            .ca_pem(ca.pem().as_bytes())
            .identity_pem(pkcs1.certificate.as_bytes(), pkcs1.key.as_bytes());
        assert_eq!(locate(by_ip).await.expect("an address in the certificate"), ["1"]);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_servers_certificate_is_said() {
    let ca = authority("CA");
    let identity = issue(&ca, |_| {});
    let expired = serve(&issue(&ca, |params| params.not_after = date_time_ymd(2020, 1, 1)), &ca, BOTH).await;
    let found = fault(to(&expired, &ca, Some(&identity))).await;
    assert_eq!(found, TlsFault::Expired { not_after: Some(1_577_836_800) });

    let early = serve(&issue(&ca, |params| params.not_before = date_time_ymd(4000, 1, 1)), &ca, BOTH).await;
    assert_eq!(fault(to(&early, &ca, Some(&identity))).await, TlsFault::NotYetValid);

    let good = serve(&issue(&ca, |_| {}), &ca, BOTH).await;
    for other in [authority("other"), authority("CA")] {
        assert_eq!(fault(to(&good, &other, Some(&identity))).await, TlsFault::UnknownCa);
    }

    let found = fault(to(&good, &ca, Some(&identity)).server_name("kms.example.com")).await;
    let TlsFault::NameMismatch { expected, presented } = found else { panic!("{found:?}") };
    assert_eq!(expected, "kms.example.com");
    assert!(presented.iter().any(|name| name.contains("localhost")), "{presented:?}");
}

#[tokio::test]
async fn a_server_that_refuses_the_clients_certificate_is_understood() {
    let ca = authority("CA");
    for version in BOTH {
        let server = serve(&issue(&ca, |_| {}), &ca, &[version]).await;
        let stranger = issue(&authority("other"), |_| {});
        let expired = issue(&ca, |params| params.not_after = date_time_ymd(2020, 1, 1));
        for (what, identity) in
            [("no", None), ("another CA's", Some(&stranger)), ("an expired", Some(&expired))]
        {
            let found = fault(to(&server, &ca, identity)).await;
            assert!(matches!(found, TlsFault::RefusedUs { .. }), "{what} certificate: {found:?}");
        }
    }
}

#[tokio::test]
async fn what_listens_but_is_no_kms_is_told_apart() {
    let ca = authority("CA");
    let plain = |answer: &'static [u8]| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut hello = [0; 64];
                let _ = tcp.read(&mut hello).await;
                let _ = tcp.write_all(answer).await;
                if answer.is_empty() {
                    kept.push(tcp);
                }
            }
        });
        Client::builder(format!("127.0.0.1:{port}"))
    };
    let http = plain(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ca_pem(ca.pem().as_bytes());
    assert_eq!(fault(http).await, TlsFault::NotTls);

    let silent = plain(b"").await.ca_pem(ca.pem().as_bytes());
    let error = locate(silent.connect_deadline(Duration::from_millis(300))).await.expect_err("silence");
    assert!(matches!(error, Error::TimedOut { step: Step::Handshake, .. }), "{error:?}");
    assert!(error.hint().expect("a hint").contains("TLS"));

    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let error =
        locate(Client::builder(closed.to_string()).ca_pem(ca.pem().as_bytes())).await.expect_err("closed");
    assert!(matches!(error, Error::Connect { kind: std::io::ErrorKind::ConnectionRefused, .. }), "{error:?}");
    assert!(error.is_retryable() && error.hint().expect("a hint").contains("5696"));

    let nowhere = Client::builder("kms.invalid:5696").ca_pem(ca.pem().as_bytes());
    let error = locate(nowhere).await.expect_err("no such name");
    assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn connections_resume_their_tls_session() {
    let ca = authority("CA");
    let identity = issue(&ca, |_| {});
    for version in BOTH {
        let server = serve(&issue(&ca, |_| {}), &ca, &[version]).await;
        let client = to(&server, &ca, Some(&identity)).max_idle(Duration::ZERO).build().expect("settings");
        for _ in 0..5 {
            client.locate(&LocateRequest::default()).await.expect("found");
        }
        let counts = (server.full.load(Ordering::SeqCst), server.resumed.load(Ordering::SeqCst));
        assert_eq!(
            counts,
            (1, 5),
            "{version:?}: Discover Versions and five requests, each over its own connection"
        );
    }
}

#[tokio::test]
async fn changed_files_are_read_again_and_broken_ones_leave_the_old_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let write = |ca: &Ca, issued: &Issued| {
        std::fs::write(path("ca.pem"), ca.pem()).expect("written");
        std::fs::write(path("client.pem"), &issued.certificate).expect("written");
        std::fs::write(path("client.key"), &issued.key).expect("written");
    };
    let (old, new) = (authority("old"), authority("a new one"));
    write(&old, &issue(&old, |_| {}));
    let old_server = serve(&issue(&old, |_| {}), &old, BOTH).await;
    let new_server = serve(&issue(&new, |_| {}), &new, BOTH).await;
    let client = Client::builder(format!("localhost:{}", old_server.address.port()))
        .ca_file(path("ca.pem"))
        .identity_files(path("client.pem"), path("client.key"))
        .max_idle(Duration::ZERO)
        .build()
        .expect("settings");
    client.locate(&LocateRequest::default()).await.expect("trusted");

    std::fs::write(path("client.key"), "-----BEGIN NONSENSE-----").expect("written");
    client.locate(&LocateRequest::default()).await.expect("the old identity is still used");

    let other = Client::builder(format!("localhost:{}", new_server.address.port()))
        .ca_file(path("ca.pem"))
        .identity_files(path("client.pem"), path("client.key"));
    assert!(matches!(other.build(), Err(Error::Settings { .. })), "a new client does not start with it");
    write(&new, &issue(&new, |params| params.distinguished_name.push(DnType::CommonName, "renewed")));
    let error =
        client.locate(&LocateRequest::default()).await.expect_err("the old server is no longer trusted");
    assert!(matches!(error, Error::Tls { fault: TlsFault::UnknownCa, .. }), "{error:?}");
}

#[tokio::test]
async fn files_that_could_not_be_used_are_tried_again_although_their_stamps_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (old, new) = (authority("old"), authority("a new one"));
    let identity = issue(&old, |_| {});
    std::fs::write(path("ca.pem"), old.pem()).expect("written");
    let server = serve(&issue(&old, |_| {}), &old, BOTH).await;
    let client = Client::builder(format!("localhost:{}", server.address.port()))
        .ca_file(path("ca.pem"))
        .identity_pem(identity.certificate.as_bytes(), identity.key.as_bytes())
        .max_idle(Duration::ZERO)
        .build()
        .expect("settings");
    client.locate(&LocateRequest::default()).await.expect("trusted");
    // As where a file may not be read at first: what changes after that is neither its length nor its time.
    let at = std::time::SystemTime::now() + Duration::from_secs(60);
    let write = |bytes: &[u8]| {
        std::fs::write(path("ca.pem"), bytes).expect("written");
        let file = std::fs::File::options().write(true).open(path("ca.pem")).expect("a file");
        file.set_modified(at).expect("set");
    };
    write(&vec![b'x'; new.pem().len()]);
    client.locate(&LocateRequest::default()).await.expect("the old CA is still trusted");
    write(new.pem().as_bytes());
    let error = client.locate(&LocateRequest::default()).await.expect_err("the old CA is trusted no longer");
    assert!(matches!(error, Error::Tls { fault: TlsFault::UnknownCa, .. }), "{error:?}");
}

#[tokio::test]
async fn the_days_that_certificates_have_left_are_told() {
    let ca = authority("CA");
    let identity = issue(&ca, |params| params.not_after = date_time_ymd(2037, 1, 1));
    let server = serve(&issue(&ca, |params| params.not_after = date_time_ymd(2036, 1, 1)), &ca, BOTH).await;
    let client = to(&server, &ca, Some(&identity)).build().expect("settings");
    assert_eq!(client.certificates().expect("read").len(), 1, "no server has been seen yet");
    client.locate(&LocateRequest::default()).await.expect("found");
    let certificates = client.certificates().expect("read");
    let [own, servers] = certificates.as_slice() else { panic!("{certificates:?}") };
    assert_eq!(own.owner, Owner::Client);
    assert_eq!(servers.owner, Owner::Server(format!("localhost:{}", server.address.port())));
    assert_eq!((own.not_after.0, servers.not_after.0), (2_114_380_800, 2_082_758_400));
    assert!(own.subject.contains("CN=test"), "{}", own.subject);
    assert_eq!(servers.days_left(DateTime(2_082_758_400 - 86_400 * 30)), 30);
    assert_eq!(servers.days_left(DateTime(2_082_758_401)), -1);
}

/// What is logged while this lives.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn certificates_about_to_expire_are_warned_about_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let ca = authority("CA");
    let since_1970 = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let soon = date_time_ymd(1970, 1, 1) + since_1970 + Duration::from_secs(10 * 86_400 + 43_200);
    let identity = issue(&ca, |params| params.not_after = soon);
    let server = serve(&issue(&ca, |params| params.not_after = soon), &ca, BOTH).await;
    let client = to(&server, &ca, Some(&identity)).max_idle(Duration::ZERO).build().expect("settings");
    for _ in 0..3 {
        client.locate(&LocateRequest::default()).await.expect("found");
    }
    let log = String::from_utf8(log.0.lock().expect("not poisoned").clone()).expect("text");
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("about to expire")).collect();
    assert_eq!(warnings.len(), 2, "{log}");
    assert!(warnings.iter().all(|line| line.contains("days=10")), "{log}");
    assert!(warnings.iter().any(|line| line.contains("whose=this client")), "{log}");
    assert!(warnings.iter().any(|line| line.contains("whose=localhost:")), "{log}");
}

fn settings_error(builder: Builder) -> String {
    match builder.build().expect_err("unusable") {
        error @ Error::Settings { .. } => format!("{error} hint: {}", error.hint().expect("a hint")),
        error @ Error::File { .. } => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unusable_settings_say_what_and_where() {
    let ca = authority("CA");
    let (one, other) = (issue(&ca, |_| {}), issue(&ca, |_| {}));
    let at = |address: &str| Client::builder(address).ca_pem(ca.pem().as_bytes());
    for address in ["kms", "kms:", "kms:99999", ":5696", "http://kms"] {
        let text = settings_error(at(address));
        assert!(text.contains(address) && text.contains("host:port"), "{text}");
    }
    assert!(at("[::1]:5696").build().is_ok());
    assert!(settings_error(Client::builder("kms:5696")).contains("no CA certificate"));
    let text = settings_error(at("kms:5696").identity_pem(one.certificate.as_bytes(), other.key.as_bytes()));
    assert!(text.contains("do not belong together"), "{text}");
    let text = settings_error(at("kms:5696").identity_pem(one.key.as_bytes(), one.key.as_bytes()));
    assert!(text.contains("no certificate"), "{text}");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let text = settings_error(at("kms:5696").identity_pem(one.certificate.as_bytes(), encrypted.as_bytes()));
    assert!(text.contains("openssl pkey"), "{text}");
    let text = settings_error(Client::builder("kms:5696").ca_file("/nowhere/ca.pem"));
    assert!(text.contains("/nowhere/ca.pem"), "{text}");
    let folder = tempfile::tempdir().expect("a folder");
    let long = folder.path().join("long.pem");
    std::fs::write(&long, vec![b'x'; (kms_client::limits::FILE + 1) as usize]).expect("written");
    assert!(settings_error(Client::builder("kms:5696").ca_file(long)).contains("longer than"));
}

#[tokio::test]
async fn a_profile_names_its_files_relative_to_itself() {
    let ca = authority("CA");
    let server = serve(&issue(&ca, |_| {}), &ca, BOTH).await;
    let folder = tempfile::tempdir().expect("a folder");
    let identity = issue(&ca, |_| {});
    std::fs::create_dir(folder.path().join("pki")).expect("made");
    for (name, text) in
        [("ca.pem", &ca.pem()), ("client.pem", &identity.certificate), ("client.key", &identity.key)]
    {
        std::fs::write(folder.path().join("pki").join(name), text).expect("written");
    }
    let path = folder.path().join("client.toml");
    let write = |text: &str| std::fs::write(&path, text).expect("written");
    write(&format!(
        "server = \"localhost:{}\"\nca = \"pki/ca.pem\"\ncertificate = \"pki/client.pem\"\nkey = \"pki/client.key\"\nadmin = \"127.0.0.1:5697\"\n",
        server.address.port()
    ));
    let profile = Profile::load(&path).expect("a profile");
    assert_eq!(profile.key, folder.path().join("pki/client.key"));
    assert_eq!(locate(profile.builder()).await.expect("found"), ["1"]);
    for (text, complaint) in [
        ("\nserver = 1", "line 2: invalid type"),
        ("server = \"kms:5696\"", "missing field `ca`"),
        ("servr = \"kms:5696\"", "unknown field `servr`"),
        ("\u{0}", "client.toml"),
    ] {
        write(text);
        let error = Profile::load(&path).expect_err("no profile");
        assert!(error.to_string().contains(complaint), "{error}");
        assert!(error.hint().expect("a hint").contains("certificate and key"));
    }
    let error = Profile::load(Path::new("/nowhere/client.toml")).expect_err("no file");
    assert!(matches!(error, Error::File { .. }), "{error:?}");
}
