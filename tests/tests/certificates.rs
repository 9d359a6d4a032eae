//! Whoever cannot prove to be a client is turned away, by openssl's own client, and the log says why.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kms_certs::{Authority, Flaw, KeyKind, Request};
use kms_protocol::Version;
use kms_protocol::message::{RequestBuilder, RequestHeader};
use kms_protocol::operation::DiscoverVersionsRequest;
use kms_tests::process::Server;
use kms_tests::skip;

const PATIENCE: Duration = Duration::from_secs(30);
/// How a Response Message begins.
const RESPONSE: [u8; 4] = [0x42, 0x00, 0x7B, 0x01];
const BOTH: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// What became of an openssl client that asked for something.
#[derive(Debug)]
enum Outcome {
    /// It was answered.
    Served,
    /// The connection ended without an answer; what openssl said.
    Refused(String),
}

struct Bench {
    server: Server,
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Bench {
    /// `None` where there is no openssl.
    fn new(test: &str) -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            skip(test, "the program openssl is not there");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("state"), "127.0.0.1:0");
        let read =
            |name: &str| fs::read_to_string(folder.path().join("state/pki").join(name)).expect("a PEM file");
        let authority = Authority::load(&read("ca.pem"), &read("ca.key")).expect("the server's authority");
        Some(Self { server, folder, authority })
    }

    /// Makes the files of a client's certificate.
    fn certificate(&self, stem: &str, request: &Request) -> PathBuf {
        let issued = self.authority.issue(request, SystemTime::now()).expect("a certificate");
        issued.write(self.folder.path(), stem).expect("its files");
        self.folder.path().join(stem)
    }

    /// Connects as `openssl s_client` and asks for the server's versions.
    fn connect(&self, identity: Option<&Path>, options: &[&str]) -> Outcome {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-verify_return_error",
            "-connect",
            &self.server.listen,
        ]);
        command.arg("-CAfile").arg(self.folder.path().join("state/pki/ca.pem")).args(options);
        if let Some(stem) = identity {
            command.arg("-cert").arg(stem.with_extension("pem")).arg("-key").arg(stem.with_extension("key"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        outcome(command.spawn().expect("openssl starts"))
    }

    /// Waits until the log has a line that holds all of `words`.
    fn logged(&self, words: &[&str]) {
        self.logged_times(words, 1);
    }

    /// Waits until the log has so many lines that hold all of `words`.
    fn logged_times(&self, words: &[&str], times: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.server.log();
            if log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count() >= times {
                return;
            }
            assert!(Instant::now() < deadline, "not {times} lines with {words:?} in the log:\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Waits for the first bytes of an answer or for the client's end.
fn outcome(mut client: Child) -> Outcome {
    let mut stdin = client.stdin.take().expect("its input");
    let mut stdout = client.stdout.take().expect("its output");
    let mut stderr = client.stderr.take().expect("what it says");
    let talk = thread::spawn(move || {
        let mut talk = String::new();
        stderr.read_to_string(&mut talk).map(|_| talk)
    });
    // A client that was refused may be gone already.
    let _ = stdin.write_all(&question()).and_then(|()| stdin.flush());
    let (answered, answer) = channel();
    thread::spawn(move || {
        let mut start = [0; RESPONSE.len()];
        let whole = stdout.read_exact(&mut start).is_ok();
        let _ = answered.send(whole.then_some(start));
    });
    let answer = answer.recv_timeout(PATIENCE);
    let _ = client.kill();
    client.wait().expect("its status");
    let talk = talk.join().expect("read").expect("text");
    match answer {
        Ok(Some(start)) if start == RESPONSE => Outcome::Served,
        Ok(other) => {
            assert_eq!(other, None, "{talk}");
            Outcome::Refused(talk)
        }
        Err(RecvTimeoutError::Timeout) => {
            panic!("the server neither answers nor closes the connection: {talk}")
        }
        Err(RecvTimeoutError::Disconnected) => panic!("the reader ended"),
    }
}

fn question() -> Vec<u8> {
    let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
    builder.push(&DiscoverVersionsRequest::default(), None);
    builder.finish().expose().to_vec()
}

fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(talk) => talk,
        Outcome::Served => panic!("a client was served that had to be refused"),
    }
}

#[test]
fn a_client_with_a_certificate_is_served_in_both_versions_of_tls() {
    let Some(bench) = Bench::new("certificates: served") else { return };
    for key in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let good = bench.certificate("good", &Request::client("good").key(key));
        for version in BOTH {
            let outcome = bench.connect(Some(&good), &[version]);
            assert!(matches!(outcome, Outcome::Served), "{key:?} {version}: {outcome:?}");
        }
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let Some(bench) = Bench::new("certificates: none") else { return };
    for version in BOTH {
        let talk = refused(bench.connect(None, &[version]));
        assert!(talk.contains("alert"), "the client is told: {talk}");
    }
    // Each is.
    bench.logged_times(&["connection refused", "the client sent no certificate", "hint"], BOTH.len());
}

#[test]
fn a_certificate_with_a_flaw_is_refused_and_the_log_names_the_flaw() {
    let Some(bench) = Bench::new("certificates: flaws") else { return };
    for (stem, flaw, reason) in [
        ("foreign", Flaw::OtherAuthority, "comes from another authority"),
        ("expired", Flaw::Expired, "expired at"),
        ("early", Flaw::NotYetValid, "is not yet valid"),
        ("server", Flaw::WrongUsage, "its Extended Key Usage lacks clientAuth"),
        ("useless", Flaw::NoUsage, "its Extended Key Usage lacks clientAuth"),
    ] {
        let flawed = bench.certificate(stem, &Request::client(stem).flaw(flaw));
        for version in BOTH {
            let talk = refused(bench.connect(Some(&flawed), &[version]));
            assert!(talk.contains("alert"), "{flaw:?} {version}: the client is told: {talk}");
        }
        bench.logged(&["connection refused", &format!("CN={stem}"), reason, "hint"]);
    }
    let nameless = bench.certificate("nameless", &Request::client("nameless").flaw(Flaw::WrongName));
    for version in BOTH {
        let _ = refused(bench.connect(Some(&nameless), &[version]));
    }
    bench.logged(&["connection refused", "names nobody"]);
}

/// What openssl says, with the exit code for a verdict.
fn openssl(arguments: &[&str], files: &[(&str, &Path)]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(arguments);
    for (option, file) in files {
        command.args([*option].iter().filter(|option| !option.is_empty())).arg(file);
    }
    let done = command.output().expect("openssl runs");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_published_list_names_what_was_revoked_and_a_resumed_session_does_not_get_around_it() {
    let Some(bench) = Bench::new("certificates: revoked") else { return };
    let folder = bench.folder.path();
    let (state, session) = (folder.join("state"), folder.join("session.pem"));
    let certs = |arguments: &[&str]| {
        let mut command = Command::new(kms_tests::repository::program("kms-server"));
        command.arg("certs").args(arguments).arg("--state").arg(&state);
        let _ = kms_tests::process::finish_within(&mut command, PATIENCE).success();
    };
    certs(&["client", "fickle"]);
    let (client, ca) = (state.join("pki/fickle"), state.join("pki/ca.pem"));
    let pem = client.with_extension("pem");
    let keeps = session.to_str().expect("text");
    let first = bench.connect(Some(&client), &["-tls1_2", "-sess_out", keeps]);
    assert!(matches!(first, Outcome::Served), "{first:?}");
    let (_, text) = openssl(&["x509", "-noout", "-text"], &[("-in", &pem)]);
    let url =
        text.lines().find_map(|line| line.trim().strip_prefix("URI:")).expect("a CRL distribution point");
    let list = folder.join("list.crl");
    let verdict = || {
        let mut body = Vec::new();
        let mut answer = ureq::get(url).call().expect("the list");
        answer.body_mut().as_reader().read_to_end(&mut body).expect("the list");
        fs::write(&list, body).expect("written");
        let signed = openssl(&["crl", "-inform", "DER", "-noout"], &[("-in", &list), ("-CAfile", &ca)]);
        assert!(signed.0 && signed.1.contains("verify OK"), "{}", signed.1);
        openssl(&["verify", "-crl_check"], &[("-CAfile", &ca), ("-CRLfile", &list), ("", &pem)])
    };
    assert!(verdict().0, "{}", verdict().1);
    certs(&["revoke", "fickle"]);
    let (is_good, said) = verdict();
    assert!(!is_good && said.contains("certificate revoked"), "{said}");
    for options in [&["-tls1_2", "-sess_in", keeps][..], &["-tls1_2"], &["-tls1_3"]] {
        let _ = refused(bench.connect(Some(&client), options));
    }
    bench.logged_times(&["connection refused", "CN=fickle", "is revoked", "hint"], 3);
    certs(&["revoke", "fickle"]);
}

#[test]
fn openssl_opens_a_pfx_with_its_password_and_reads_a_key_as_pkcs_1() {
    let Some(bench) = Bench::new("certificates: PFX") else { return };
    let (folder, now) = (bench.folder.path(), SystemTime::now());
    for key in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let issued = bench.authority.issue(&Request::client("veeam").key(key), now).expect("a certificate");
        let pfx = folder.join("veeam.pfx");
        fs::write(&pfx, issued.pfx("veeam", &bench.authority, "open sesame").expect("a PFX"))
            .expect("written");
        let open = |password: &str| {
            openssl(&["pkcs12", "-nodes", "-passin", &format!("pass:{password}")], &[("-in", &pfx)])
        };
        let (opened, said) = open("open sesame");
        assert!(opened && said.contains("friendlyName: veeam"), "{key:?}: {said}");
        for whole in [issued.certificate(), bench.authority.certificate(), issued.key().pkcs8_pem()] {
            let body = whole.lines().nth(1).expect("PEM");
            assert!(said.contains(body), "{key:?}: not in the file: {whole}");
        }
        assert!(!open("open barley").0, "{key:?}: another password opens it");
        if key == KeyKind::Rsa2048 {
            let file = folder.join("veeam.key");
            fs::write(&file, issued.key().pkcs1_pem().expect("PKCS#1").as_bytes()).expect("written");
            let (is_read, said) = openssl(&["rsa", "-check", "-noout"], &[("-in", &file)]);
            assert!(is_read && said.contains("RSA key ok"), "{said}");
        }
    }
}

#[test]
fn old_versions_of_tls_are_refused() {
    let Some(bench) = Bench::new("certificates: TLS 1.1") else { return };
    let good = bench.certificate("good", &Request::client("good"));
    for version in ["-tls1", "-tls1_1"] {
        let talk = refused(bench.connect(Some(&good), &[version, "-cipher", "ALL:@SECLEVEL=0"]));
        assert!(talk.contains("alert"), "{version}: the client is told: {talk}");
    }
    bench.logged(&["connection refused", "old TLS", "TLS 1.2"]);
}
