use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::TestClient;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kms-server"));
    command.args(arguments);
    for name in
        ["KMS_STATE", "KMS_LISTEN", "KMS_ADMIN", "KMS_CONFIG", "KMS_STORE_KEY", "KMS_LOG", "KMS_LOG_FORMAT"]
    {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A server in a process of its own, killed when the test ends.
struct Running {
    child: Child,
    ready: Value,
    log: PathBuf,
}

impl Running {
    fn start(root: &Path, more: &[&str]) -> Self {
        let ready_file = root.join("ready.json");
        let log = root.join("log");
        let mut arguments = vec!["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ready-file"];
        arguments.push(ready_file.to_str().unwrap());
        arguments.extend(more);
        let _ = fs::remove_file(&ready_file);
        let child = command(&arguments)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        let ready = loop {
            if let Ok(text) = fs::read(&ready_file) {
                break serde_json::from_slice(&text).unwrap();
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{}", fs::read_to_string(&log).unwrap());
            std::thread::sleep(Duration::from_millis(5));
        };
        Self { child, ready, log }
    }

    fn address(&self, of: &str) -> SocketAddr {
        self.ready[of].as_str().unwrap().parse().unwrap()
    }

    fn ctl(&self, arguments: &[&str]) -> (i32, String, String) {
        let admin = self.address("admin").to_string();
        run(&[&["ctl", "--admin", &admin], arguments].concat())
    }

    /// Sends a signal and waits for the end; exit code and log.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.code(), fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_development_server_starts_is_told_about_and_stops_on_either_signal() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join(".kms-dev");
    for signal in ["TERM", "INT"] {
        let server = Running::start(root.path(), &["--state", state.to_str().unwrap()]);
        assert_eq!(server.ready["pid"], server.child.id());
        assert_ne!(server.address("listen").port(), 0);
        let profile: toml::Table =
            fs::read_to_string(server.ready["profile"].as_str().unwrap()).unwrap().parse().unwrap();
        assert_eq!(profile["server"].as_str(), server.ready["listen"].as_str());
        let (code, out, _) = server.ctl(&["status"]);
        assert_eq!(code, 0);
        assert!(out.contains("the real time") && out.contains(".kms-dev"), "{out}");
        let (code, log) = server.end(signal);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn a_moved_clock_is_still_moved_after_the_server_was_killed() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    let options = ["--state", state.to_str().unwrap()];
    let server = Running::start(root.path(), &options);
    assert_eq!(server.ctl(&["clock", "freeze"]).0, 0);
    let (code, out, _) = server.ctl(&["clock", "advance", "90d", "--json"]);
    assert_eq!(code, 0);
    let moved: Value = serde_json::from_str(&out).unwrap();
    assert!(moved["fired"].is_array(), "{moved}");
    server.end("KILL");

    let server = Running::start(root.path(), &options);
    let (_, out, _) = server.ctl(&["clock", "show", "--json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["now"], &shown["frozen"]), (&moved["now"], &Value::Bool(true)));
}

#[test]
fn an_ephemeral_server_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let server = Running::start(root.path(), &["--ephemeral"]);
    let profile = PathBuf::from(server.ready["profile"].as_str().unwrap());
    assert!(profile.is_file());
    assert_eq!(server.ready["state"], Value::Null);
    assert_eq!(server.end("TERM").0, Some(0));
    assert!(!profile.parent().unwrap().exists());
}

#[test]
fn the_development_servers_own_client_gets_in_and_so_does_one_made_later() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    let server = Running::start(root.path(), &["--state", state.to_str().unwrap()]);
    let (code, out, err) = run(&[
        "certs",
        "client",
        "veeam",
        "--state",
        state.to_str().unwrap(),
        "--key",
        "rsa-pkcs1",
        "--json",
    ]);
    assert_eq!(code, 0, "{err}");
    let made: Value = serde_json::from_str(&out).unwrap();
    let key = fs::read_to_string(made["key"].as_str().unwrap()).unwrap();
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let (_, out, _) = run(&["certs", "show", made["certificate"].as_str().unwrap()]);
    assert!(out.contains("principal  veeam") && out.contains("clientAuth yes"), "{out}");

    let pki = state.join("pki");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for stem in ["client", "veeam"] {
        let client = TestClient::from_files(&pki.join("ca.pem"), &pki.join(stem));
        let connected = runtime.block_on(async {
            let mut stream = crate::support::connect(&client.config(), server.address("listen")).await?;
            // In TLS 1.3 a refusal would come with the first read.
            let silence = tokio::time::timeout(
                Duration::from_millis(200),
                tokio::io::AsyncReadExt::read_u8(&mut stream),
            );
            std::io::Result::Ok(silence.await.is_err())
        });
        assert!(connected.unwrap(), "{stem}");
    }
    let again = ["certs", "client", "veeam", "--state", state.to_str().unwrap()];
    let (code, _, err) = run(&again);
    assert_eq!(code, 4);
    assert!(err.contains("is already there"), "{err}");
}

#[test]
fn failures_say_what_why_and_what_to_do_and_have_codes_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("bad.toml"), "listen = \"nowhere\"\n").unwrap();
    fs::write(path("bare.toml"), "").unwrap();
    fs::write(path("file"), "").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let state = path("state");
    let ephemeral = ["dev", "--ephemeral", "--admin", "127.0.0.1:0", "--listen"];
    let with = |head: &[&str], tail: &[&str]| -> Vec<String> {
        head.iter().chain(tail).map(|part| (*part).to_owned()).collect()
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (arguments, code, expected) in [
        (with(&ephemeral, &["198.51.100.1:5696"]), 3, "would let other machines in"),
        (with(&ephemeral, &["198.51.100.1:5696", "--allow-remote"]), 3, "cannot listen on 198.51.100.1:5696"),
        (with(&ephemeral, &[&port]), 3, "hint: stop what listens there"),
        (with(&["dev", "--state"], &[&path("file")]), 4, "cannot use"),
        (with(&["check-config"], &[&path("bad.toml")]), 5, "bad.toml, line 1, column 10"),
        (with(&["check-config"], &[&path("missing.toml")]), 5, "cannot read"),
        (with(&["run", "--config"], &[&path("bare.toml")]), 5, "does not say `[tls]`"),
        (with(&["ctl", "--admin"], &[&free, "status"]), 6, "cannot reach the admin API"),
        (with(&["certs", "client", "x", "--state"], &[&state]), 4, "there is no authority"),
        (with(&["certs", "client", "../x", "--state"], &[&state]), 1, "cannot be the name of a client"),
        (with(&["certs", "show"], &[&path("file")]), 1, "holds no certificate"),
        (with(&["ctl", "clock"], &["jump"]), 2, "jump"),
    ] {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let (status, out, err) = run(&arguments);
        assert_eq!(status, code, "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
        assert!(code == 2 || err.contains("hint: "), "{arguments:?}: {err}");
        assert_eq!(out, "", "{arguments:?}");
    }
}

#[test]
fn a_configuration_that_is_called_right_is_one_that_runs() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("empty.toml"), "").unwrap();
    let (code, out, _) = run(&["check-config", &path("empty.toml")]);
    assert_eq!(code, 0);
    assert!(out.contains("for `kms-server dev`; `run` needs store, store-key and [tls]"), "{out}");
    fs::write(
        path("kms.toml"),
        "admin = \"198.51.100.1:5697\"\nstore = \"store\"\nstore-key = \"a\"\nstore-passphrase = \"b\"\nready-pairs = 999\n\
         [tls]\ntrusted = \"no-ca.pem\"\ncertificates = [{ certificate = \"no.pem\", key = \"no.key\" }]\n\
         [[webhook]]\nurl = \"http://127.0.0.1:1\"\nsecret-file = \"no-secret\"\n",
    )
    .unwrap();
    let [checked, started] = [&["check-config"][..], &["run", "--config"]].map(|head| {
        let (code, out, err) = run(&[head, &[&path("kms.toml")]].concat());
        assert_eq!((code, out.as_str()), (5, ""), "{err}");
        err
    });
    for expected in [
        "line 5: ready-pairs is 999",
        "line 1: admin 198.51.100.1:5697",
        "both `store-key`",
        "no.key",
        "no-secret",
    ] {
        assert!(checked.contains(expected), "{expected} is not in\n{checked}");
    }
    assert_eq!(checked, started);
}

#[test]
fn a_refusal_by_the_server_is_passed_on() {
    let root = tempfile::tempdir().unwrap();
    let server = Running::start(root.path(), &["--ephemeral"]);
    let (code, _, err) = server.ctl(&["clock", "set", "2001-01-01T00:00:00Z"]);
    assert_eq!(code, 7);
    assert!(err.contains("2001-01-01T00:00:00Z is before") && err.contains("hint: "), "{err}");
    // The KMIP port is no admin API.
    let kmip = server.address("listen").to_string();
    assert_eq!(run(&["ctl", "--admin", &kmip, "status"]).0, 6);
}

#[test]
fn a_production_server_runs_on_its_own_files_and_refuses_a_moved_clock() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    // The development PKI stands in for the one that an operator would bring.
    Running::start(root.path(), &["--state", state.to_str().unwrap()]).end("TERM");
    fs::create_dir(root.path().join("store")).unwrap();
    let config = root.path().join("kms.toml");
    fs::write(
        &config,
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstore = \"store\"\nstore-key = \"state/store.key\"\n\
         [tls]\ntrusted = \"state/pki/ca.pem\"\n\
         certificates = [{ certificate = \"state/pki/server-rsa.pem\", key = \"state/pki/server-rsa.key\" }]\n",
    )
    .unwrap();
    let ready_file = root.path().join("run.json");
    let child = command(&["run", "--new-store", "--config", config.to_str().unwrap(), "--ready-file"])
        .arg(&ready_file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !ready_file.exists() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let ready = serde_json::from_slice(&fs::read(&ready_file).unwrap()).unwrap();
    let server = Running { child, ready, log: root.path().join("log") };
    let (code, _, err) = server.ctl(&["clock", "advance", "1d"]);
    assert_eq!(code, 7);
    assert!(err.contains("real clock"), "{err}");
    assert_eq!(server.end("TERM").0, Some(0));
}

#[test]
fn what_operators_and_strangers_do_is_in_the_audit_log_and_can_be_checked_while_the_server_runs() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    let state = state.to_str().unwrap();
    let server = Running::start(root.path(), &["--state", state]);
    assert_eq!(server.ctl(&["clock", "freeze"]).0, 0);
    assert_eq!(server.ctl(&["clock", "set", "2001-01-01T00:00:00Z"]).0, 7);
    // A client without a certificate: it says hello, and is refused.
    let tls = TestClient::trusting(&PathBuf::from(state).join("pki/ca.pem"), None).config();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if let Ok(mut stream) = crate::support::connect(&tls, server.address("listen")).await {
            crate::support::ask(&mut stream, b"x").await.unwrap_err();
        }
    });
    let (code, out, _) = server.ctl(&["events", "--json"]);
    assert_eq!((code, out.as_str()), (0, ""), "nothing has happened that others want to know");

    let begin = Instant::now();
    let shown = loop {
        let (code, out, err) = run(&["audit", "show", "--state", state, "--json"]);
        assert_eq!(code, 0, "{err}");
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.iter().any(|line| line["source"] == "connection") {
            break lines;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{out}");
        std::thread::sleep(Duration::from_millis(10));
    };
    let clock: Vec<_> = shown.iter().filter(|line| line["operation"] == "POST /v1/clock").collect();
    assert_eq!(
        (clock.len(), &clock[0]["outcome"], &clock[1]["outcome"]),
        (2, &"Success".into(), &"Conflict".into())
    );
    assert!(clock[0]["detail"].as_str().unwrap().contains("Freeze"), "{}", clock[0]);
    assert!(clock[0]["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{}", clock[0]);
    let stranger = shown.iter().find(|line| line["source"] == "connection").unwrap();
    assert!(stranger["detail"].as_str().unwrap().contains("certificate"), "{stranger}");

    let (code, out, _) = run(&["audit", "verify", "--state", state, "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["whole"]), (0, &Value::Bool(true)), "{report}");
    let known = format!("{}:{}", report["last_line"], report["last_hash"].as_str().unwrap());
    server.end("TERM");
    assert_eq!(run(&["audit", "verify", "--state", state, "--known", &known]).0, 0);
    let file = PathBuf::from(state).join("audit/000001.jsonl");
    let changed = fs::read_to_string(&file).unwrap().replace("Conflict", "Success!");
    fs::write(&file, changed).unwrap();
    let (code, _, err) = run(&["audit", "verify", "--state", state]);
    assert_eq!(code, 8, "{err}");
    assert!(err.contains("000001.jsonl, line ") && err.contains("hint: "), "{err}");
}

#[test]
fn an_audit_log_is_shown_by_the_day_and_says_what_may_have_been_meant() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    let state = state.to_str().unwrap();
    Running::start(root.path(), &["--state", state]).end("TERM");
    let show = |more: &[&str]| run(&[&["audit", "show", "--state", state, "--json"], more].concat());
    let (_, all, _) = show(&[]);
    let first: Value = serde_json::from_str(all.lines().next().unwrap()).unwrap();
    let day = &first["time"].as_str().unwrap()[..10];
    assert_eq!(show(&["--since", day]).1, all);
    assert_eq!(show(&["--until", day]).1, "");
    assert_eq!(show(&["--since", "yesterday"]).0, 2);
    let (code, out, err) = show(&["--operation", "strat"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("did you mean \"start\"?"), "{err}");
    // Whoever reads has seen enough.
    let mut command = command(&["audit", "show", "--state", state]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
