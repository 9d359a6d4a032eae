use std::sync::Arc;

use kms_certs::{Authority, Flaw, KeyKind, Request};
use kms_protocol::DateTime;
use kms_server::clock;
use kms_server::kms::Caller;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Echo, Log, TestPki, ask, connect, handshake};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

#[tokio::test]
async fn a_client_with_a_good_certificate_is_served_under_its_name() {
    let pki = TestPki::new();
    let server = pki.server(Echo::default()).await;
    for version in VERSIONS {
        for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
            let issued = pki.issue(&Request::client("backup").key(kind));
            let client = pki.client(Some(&issued)).version(version).config();
            let mut stream = connect(&client, server.listen()).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            assert_eq!(ask(&mut stream, b"hello").await.unwrap(), "backup 1800000000 hello");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_without_common_name_is_known_by_its_alternative_name() {
    let pki = TestPki::new();
    let server = pki.server(Echo::default()).await;
    let request = Request::client("alice").flaw(Flaw::WrongName).host("node7.example");
    let client = pki.client(Some(&pki.issue(&request))).config();
    let mut stream = connect(&client, server.listen()).await.unwrap();
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), "node7.example 1800000000 hello");
}

#[tokio::test]
async fn every_refused_handshake_is_logged_with_peer_reason_and_hint() {
    let pki = TestPki::new();
    let stranger = Authority::generate(std::time::SystemTime::now()).unwrap();
    let stranger = stranger.issue(&Request::client("eve"), std::time::SystemTime::now()).unwrap();
    let flawed = |flaw| Some(pki.issue(&Request::client("eve").flaw(flaw)));
    let cases = [
        (None, "the client sent no certificate"),
        (Some(stranger), "CN=eve\" comes from another authority, \"CN=KMS development CA "),
        (flawed(Flaw::OtherAuthority), "comes from another authority"),
        (flawed(Flaw::Expired), "CN=eve\" expired at 20"),
        (flawed(Flaw::NotYetValid), "CN=eve\" is not yet valid: it begins at 20"),
        (flawed(Flaw::WrongUsage), "its Extended Key Usage lacks clientAuth"),
        (flawed(Flaw::NoUsage), "its Extended Key Usage lacks clientAuth"),
        (flawed(Flaw::WrongName), "names nobody"),
    ];
    let server = pki.server(Echo::default()).await;
    for version in VERSIONS {
        for (identity, reason) in &cases {
            let (log, _guard) = Log::listen();
            let config = pki.client(identity.as_ref()).version(version).config();
            let socket = TcpStream::connect(server.listen()).await.unwrap();
            let peer = format!("peer={}", socket.local_addr().unwrap());
            // In TLS 1.3 the client learns of the refusal only when it reads.
            let asked = async { ask(&mut handshake(&config, socket).await?, b"hello").await };
            assert!(asked.await.is_err(), "{version:?}: {reason}");
            log.expect(&["WARN", "connection refused", &peer, reason, "hint="]).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_refuses_the_server_or_speaks_no_tls_is_logged_too() {
    let (ours, theirs) = (TestPki::new(), TestPki::new());
    let server = ours.server(Echo::default()).await;
    let (log, _guard) = Log::listen();

    let issued = ours.issue(&Request::client("backup"));
    let distrustful =
        crate::support::TestClient::trusting(&theirs.folder.path().join("ca.pem"), Some(&issued));
    assert!(connect(&distrustful.config(), server.listen()).await.is_err());
    log.expect(&["WARN", "the client refused this server: alert UnknownCA", "ca.pem"]).await;

    let mut plain = TcpStream::connect(server.listen()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: kms\r\n\r\n").await.unwrap();
    log.expect(&["WARN", "the peer does not speak TLS"]).await;

    // The next client is served.
    let mut stream = connect(&ours.client(Some(&issued)).config(), server.listen()).await.unwrap();
    assert!(ask(&mut stream, b"hello").await.is_ok());
}

#[tokio::test]
async fn the_server_shows_the_certificate_that_the_client_can_verify() {
    let pki = TestPki::new();
    let server = pki.server(Echo::default()).await;
    let identity = pki.issue(&Request::client("backup"));
    let rsa_schemes = vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    let rsa_suites = vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    for (version, schemes, suites, expected) in [
        (&TLS13, None, None, "ecdsa"),
        (&TLS12, None, None, "ecdsa"),
        (&TLS12, None, Some(rsa_suites), "rsa"),
    ] {
        let mut client = pki.client(Some(&identity)).version(version);
        (client.schemes, client.suites) = (schemes, suites);
        let stream = connect(&client.config(), server.listen()).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown, [pki.certificate(expected)], "{version:?}");
    }
    // A client whose hello names RSA signatures alone.
    for version in VERSIONS {
        let mut client = pki.client(Some(&identity)).version(version);
        client.schemes = Some(rsa_schemes.clone());
        let stream = connect(&client.config(), server.listen()).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown, [pki.certificate("rsa")], "{version:?}");
    }
}

#[tokio::test]
async fn a_resumed_session_keeps_the_clients_name() {
    let pki = TestPki::new();
    let server = pki.server(Echo::default()).await;
    for (version, session_ids_only) in [(&TLS13, false), (&TLS12, false), (&TLS12, true)] {
        let mut client = pki.client(Some(&pki.issue(&Request::client("backup")))).version(version);
        client.session_ids_only = session_ids_only;
        let config = client.config();
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut stream = connect(&config, server.listen()).await.unwrap();
            assert_eq!(ask(&mut stream, b"hello").await.unwrap(), "backup 1800000000 hello");
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?} {session_ids_only}");
        }
    }
}

#[tokio::test]
async fn a_resumed_session_ends_with_its_certificate() {
    let pki = TestPki::new();
    let tls = pki.tls();
    let config = pki.client(Some(&pki.issue(&Request::client("backup")))).config();
    let today = clock::system_now();
    let accepted = |now: DateTime| {
        let (tls, config) = (&tls, &config);
        async move { resume(tls, config, now).await }
    };
    assert_eq!(accepted(today).await.unwrap().principal, "backup");
    assert_eq!(accepted(today.plus(800 * 86_400)).await.unwrap().principal, "backup");
    let reason = accepted(today.plus(821 * 86_400)).await.unwrap_err();
    assert!(reason.contains("expired at"), "{reason}");
}

/// Connects over memory at `now`; the name that the server found, or the reason why not.
async fn resume(
    tls: &kms_server::tls::ServerTls,
    config: &Arc<ClientConfig>,
    now: DateTime,
) -> Result<Caller, String> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let client = async {
        let mut stream = handshake(config, near).await.unwrap();
        // Tickets come after the handshake: reading to the end takes them.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let server = async {
        let (mut stream, caller) = tls.accept(far, now).await.map_err(|refusal| refusal.reason)?;
        stream.shutdown().await.unwrap();
        Ok(caller)
    };
    tokio::join!(client, server).1
}

#[tokio::test]
async fn one_stalled_handshake_holds_up_nobody() {
    let pki = TestPki::new();
    let server = pki.server(Echo::default()).await;
    let mut stalled = Vec::new();
    for silent in 0..20 {
        let mut socket = TcpStream::connect(server.listen()).await.unwrap();
        if silent % 2 == 0 {
            socket.write_all(&[0x16, 0x03, 0x01]).await.unwrap(); // a ClientHello that never goes on
        }
        stalled.push(socket);
    }
    let config = pki.client(Some(&pki.issue(&Request::client("backup")))).config();
    let mut stream = connect(&config, server.listen()).await.unwrap();
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), "backup 1800000000 hello");
    drop(stalled);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_is_cut_and_logged() {
    let pki = TestPki::new();
    let server = pki.server(Echo::default()).await;
    let (log, _guard) = Log::listen();
    let mut socket = TcpStream::connect(server.listen()).await.unwrap();
    socket.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    // The paused clock runs ahead while everything waits.
    assert_eq!(socket.read(&mut [0; 16]).await.unwrap(), 0);
    log.expect(&["WARN", "connection refused", "the TLS handshake was not finished within 10s"]).await;
}

#[test]
fn files_that_hold_no_certificate_are_named() {
    use kms_server::tls::{Identity, ServerTls};
    let pki = TestPki::new();
    let path = |name: &str| pki.folder.path().join(name);
    std::fs::write(path("empty.pem"), "").unwrap();
    let identity = |certificate: &str, key: &str| Identity { certificate: path(certificate), key: path(key) };
    for (identities, trusted, expected) in [
        (vec![], "ca.pem", "there is no server certificate"),
        (vec![identity("ecdsa.pem", "missing.key")], "ca.pem", "missing.key does not hold a private key"),
        (vec![identity("empty.pem", "ecdsa.key")], "ca.pem", "empty.pem does not hold certificates"),
        (vec![identity("ecdsa.pem", "rsa.key")], "ca.pem", "ecdsa.pem cannot be used"),
        (vec![identity("ecdsa.pem", "ecdsa.key")], "empty.pem", "empty.pem does not hold certificates"),
    ] {
        let error = ServerTls::new(&identities, &path(trusted)).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
