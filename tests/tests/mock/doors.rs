//! The doors that a production server does not have: every one is tried.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kms_certs::{Authority, Request};
use kms_tests::process::{Server, finish_within};
use kms_tests::repository::program;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes everything that `run` asks for, with its store where `store` says.
fn configure(folder: &Path, store: &Path, key: &Path) {
    let now = SystemTime::now();
    let authority = Authority::generate(now).expect("an authority");
    authority.write(folder).expect("written");
    authority
        .issue(&Request::server("localhost"), now)
        .expect("issued")
        .write(folder, "server")
        .expect("written");
    let config = format!(
        "store = {store:?}\nstore-key = {key:?}\n[tls]\ntrusted = \"ca.pem\"\n\
         certificates = [{{ certificate = \"server.pem\", key = \"server.key\" }}]\n"
    );
    fs::write(folder.join("kms.toml"), config).expect("written");
}

fn run(folder: &Path) -> Command {
    let mut command = Command::new(program("kms-server"));
    command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--new-store", "--config"]);
    command.arg(folder.join("kms.toml")).arg("--ready-file").arg(folder.join("ready.json"));
    command
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_production_server_has_no_faults_no_journal_no_seeds_and_no_hand_on_its_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("store.key");
    let made =
        finish_within(Command::new(program("kms-server")).args(["store", "new-key"]).arg(&key), PATIENCE);
    assert_eq!(made.code, Some(0), "{made:?}");
    configure(folder.path(), &folder.path().join("store"), &key);
    let quiet = run(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _running = Running(quiet.expect("started"));
    let deadline = Instant::now() + PATIENCE;
    let ready: Value = loop {
        match fs::read_to_string(folder.path().join("ready.json")) {
            Ok(text) => break serde_json::from_str(&text).expect("JSON"),
            Err(_) => assert!(Instant::now() < deadline, "it is not ready"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    let admin = ready["admin"].as_str().expect("an address");
    tries_the_api(admin);
    let list = ureq::get(format!("http://{admin}/ca.crl")).call();
    assert!(matches!(list, Err(ureq::Error::StatusCode(404))), "its authority is not here: {list:?}");
    let seed = folder.path().join("seed.toml");
    fs::write(&seed, "[[pair]]\nowner = \"a\"\nkind = \"P-256\"\n").expect("written");
    let seed = seed.display().to_string();
    for arguments in [
        &["fault", "list"][..],
        &["fault", "add", "close"],
        &["fault", "reset"],
        &["fault", "reset", "1"],
        &["journal"],
        &["journal", "--clear"],
        &["seed", "export"],
        &["seed", "apply", &seed],
        &["clock", "advance", "1s"],
        &["clock", "set", "2100-01-01T00:00:00Z"],
        &["clock", "freeze"],
        &["clock", "resume"],
    ] {
        let mut command = Command::new(program("kms-server"));
        let done = finish_within(command.args(["ctl", "--admin", admin]).args(arguments), PATIENCE);
        assert_eq!(done.code, Some(7), "{arguments:?}: {done:?}");
        let why = ["this server is for production", "the real clock, which nobody can move"];
        assert!(why.iter().any(|why| done.stderr.contains(why)), "{arguments:?}: {}", done.stderr);
    }
}

/// What `run` may be told; whoever adds to it asks first whether a production server can be broken by that.
const OF_RUN: [&str; 12] = [
    "--config",
    "--listen",
    "--listen-https",
    "--admin",
    "--new-store",
    "--accept-moved-clock",
    "--accept-audit-loss",
    "--ready-file",
    "--json",
    "--log-format",
    "--log",
    "--help",
];

/// The options that a command's help lists.
fn options(command: &str) -> BTreeSet<String> {
    let help = finish_within(Command::new(program("kms-server")).args([command, "--help"]), PATIENCE).stdout;
    // Words of a description stand further to the right.
    let word = |line: &str| {
        let rest = line.strip_prefix("      --").or_else(|| line.strip_prefix("  -h, --"))?;
        rest.split([' ', '=', '[']).next().map(|name| format!("--{name}"))
    };
    help.lines().filter_map(word).collect()
}

#[test]
fn run_has_no_option_of_the_mock() {
    let of_run: BTreeSet<String> = OF_RUN.into_iter().map(str::to_owned).collect();
    assert_eq!(options("run"), of_run);
    let of_dev = options("dev");
    for option in [
        "--seed",
        "--rng-seed",
        "--journal",
        "--key-log",
        "--persona",
        "--ephemeral",
        "--broken",
        "--crl",
        "--standby",
        "--end-with-parent",
    ] {
        assert!(of_dev.contains(option), "{option} is an option of dev: {of_dev:?}");
    }
    for option in of_dev.difference(&of_run) {
        let mut command = Command::new(program("kms-server"));
        let tried = finish_within(command.args(["run", option, "1"]), PATIENCE);
        assert_eq!(tried.code, Some(2), "{option}: {tried:?}");
        assert!(tried.stderr.contains("unexpected argument"), "{option}: {}", tried.stderr);
    }
}

/// Every way to the mock that the admin API's own description lists.
fn tries_the_api(admin: &str) {
    let document = include_str!("../../../kms-server/src/admin/openapi.json");
    let document: Value = serde_json::from_str(document).expect("JSON");
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, described) in methods.as_object().expect("methods") {
            let moves_clock = path == "/v1/clock" && method == "post";
            if described["tags"][0] != "mock" && !moves_clock {
                continue;
            }
            let url = format!("http://{admin}{}", path.replace("{id}", "1"));
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let body = match path.as_str() {
                "/v1/clock" => r#"{"advance": "1s"}"#,
                "/v1/faults" => r#"{"fault": "tls"}"#,
                _ => "{}",
            };
            let answer = match method.as_str() {
                "get" => agent.get(&url).call(),
                "delete" => agent.delete(&url).call(),
                _ => agent.post(&url).content_type("application/json").send(body),
            };
            assert_eq!(answer.expect("an answer").status().as_u16(), 403, "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried >= 9, "{tried} of them");
}

#[test]
fn a_store_with_keys_that_follow_from_a_number_is_never_served_for_production() {
    let state = tempfile::tempdir().expect("a folder");
    drop(Server::start_with(state.path(), "127.0.0.1:0", &["--rng-seed", "7"]));
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), &state.path().join("store"), &state.path().join("store.key"));
    let tried = finish_within(run(folder.path()).arg("--accept-moved-clock"), PATIENCE);
    assert_eq!(tried.code, Some(4), "{tried:?}");
    assert!(tried.stderr.contains("keys that follow from a number"), "{}", tried.stderr);
}
