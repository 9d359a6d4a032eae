//! Servers that begin with something.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kms_client::{KeySpec, Profile};
use kms_protocol::enums::State;
use kms_server::seed::{Applied, Seed};
use kms_server::testing::blocking::TestServer;
use kms_tests::process::{Server, finish};
use kms_tests::repository::{program, root};
use serde_json::Value;

const OLDEST: &str = "00000000-0000-4000-8000-000000000001";
const NEWEST: &str = "00000000-0000-4000-8000-000000000005";

fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

fn keys(server: &Server) -> Vec<Value> {
    let listed = server.ctl(&["--json", "key", "list"]).success().json();
    listed["keys"].as_array().expect("keys").clone()
}

fn shown(server: &TestServer, id: &str) -> Value {
    let mut command = Command::new(program("kms-server"));
    finish(command.args(["ctl", "--json", "--admin", &server.admin().to_string(), "key", "show", id]))
        .success()
        .json()
}

#[test]
fn a_seed_has_fixed_identifiers_states_and_rotated_generations() {
    let server = TestServer::start();
    // Not due yet, or it could rotate before it is looked at.
    let toml = fs::read_to_string(example("seed.toml")).expect("the example").replace("91d ago", "10d ago");
    assert_eq!(server.seed(&toml), Applied { made: 1, known: 0, faults: 1 });
    assert_eq!(server.seed(&toml), Applied { made: 0, known: 1, faults: 0 }, "again, it makes nothing");
    let profile = Profile::load(&server.client("veeam").profile()).expect("a profile");
    let client =
        kms_client::blocking::Client::new(profile.builder().build().expect("a client")).expect("a client");
    let key =
        client.find_key("nightly", KeySpec::Rsa2048).expect("an answer").expect("the newest generation");
    assert_eq!(key.private_id, NEWEST);

    let oldest = shown(&server, OLDEST);
    assert_eq!(oldest["state"], State::Deactivated.to_string());
    assert_eq!(
        (oldest["generation"].as_i64(), oldest["names"][0].as_str()),
        (Some(0), Some("nightly-private"))
    );
    let newest = shown(&server, NEWEST);
    assert_eq!((newest["generation"].as_i64(), newest["groups"][0].as_str()), (Some(2), Some("backup")));
    let middle = newest["predecessor"].as_str().expect("a Replaced Object Link");
    assert_eq!(shown(&server, middle)["predecessor"], OLDEST);
}

#[test]
fn what_a_seed_says_was_due_before_the_server_began_rotates() {
    let server = TestServer::start();
    server.seed(&fs::read_to_string(example("seed.toml")).expect("the example"));
    let moved = server.advance("1s");
    let successor = shown(&server, NEWEST)["successor"].as_str().map(str::to_owned);
    assert!(successor.is_some(), "{moved:?}");
}

#[test]
fn the_program_takes_a_seed_and_an_export_makes_the_same_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = example("seed.yaml").display().to_string();
    let server = Server::start_with(folder.path(), "127.0.0.1:0", &["--seed", &seed]);
    assert!(server.pki().join("veeam.pem").exists(), "its client has a certificate");
    let all = keys(&server);
    assert_eq!(all.len(), 4);
    let exported = server.ctl(&["seed", "export"]).success().stdout;
    server.kill();
    let server = Server::start_with(folder.path(), "127.0.0.1:0", &["--seed", &seed]);
    assert_eq!(keys(&server), all, "applied again, it changes nothing");

    let file = folder.path().join("exported.toml");
    fs::write(&file, &exported).expect("written");
    let other = tempfile::tempdir().expect("a folder");
    let copy = Server::start_with(other.path(), "127.0.0.1:0", &[]);
    let applied = copy.ctl(&["--json", "seed", "apply", &file.display().to_string()]).success().json();
    assert_eq!(applied["made"], 1);
    let facts = |keys: &[Value]| -> BTreeSet<String> {
        let fact =
            |key: &Value| format!("{} {} {} {}", key["id"], key["state"], key["names"], key["generation"]);
        keys.iter().map(fact).collect()
    };
    assert_eq!(facts(&keys(&copy)), facts(&all));
}

#[test]
fn the_same_number_gives_the_same_keys() {
    let public = |seed: &str| -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start_with(folder.path(), "127.0.0.1:0", &["--rng-seed", seed]);
        let client = server.client(kms_protocol::Version::V1_4);
        client.request_key("k", KeySpec::Rsa2048).expect("a key").public_key_spki
    };
    let first = public("7");
    assert_eq!(first, public("7"));
    assert_ne!(first, public("8"));
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        finish(Command::new(program("kms-server")).args(["seed", "check"]).arg(file))
    };
    let pair = "[[pair]]\nowner = \"a\"\n";
    for (text, why) in [
        ("[[pear]]", "unknown field `pear`"),
        (&format!("{pair}kind = \"RSA-1024\""), "there is no kind \"RSA-1024\"; there are P-256"),
        (&format!("{pair}kind = \"P-256\"\ngeneration = [{{ state = \"asleep\" }}]"), "no state \"asleep\""),
        (
            &format!(
                "{pair}kind = \"P-256\"\ngeneration = [{{ created = \"1d ago\" }}, {{ created = \"2d ago\" }}]"
            ),
            "oldest first",
        ),
        (
            &format!("{pair}kind = \"P-256\"\ngeneration = [{{ created = \"soon\" }}]"),
            "write it like 91d ago",
        ),
        (&format!("{pair}kind = \"P-256\"\n{pair}kind = \"P-256\""), "is another object's too"),
        ("[[fault]]\nfault = \"explode\"", "write one of delay"),
        ("[[fault]]\nfault = \"tls\"\nkey = \"a\"", "before anybody knows what is asked"),
    ] {
        let checked = check("seed.toml", text);
        assert_eq!(checked.code, Some(5), "{text}: {checked:?}");
        assert!(checked.stderr.contains(why), "{text}: {}", checked.stderr);
    }
    for name in ["seed.toml", "seed.yaml"] {
        let right = check(name, &fs::read_to_string(example(name)).expect("an example")).success();
        assert!(right.stdout.contains("is right: 1 clients, 1 pairs"), "{}", right.stdout);
    }
}

#[test]
fn the_published_schema_knows_what_seeds_can_say() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(root().join("docs/seed.schema.json")).expect("the schema"))
            .expect("JSON");
    for (part, prefix) in
        [("client", ""), ("pair", ""), ("fault", ""), ("generation", "[[pair]]\n"), ("link", "[[pair]]\n")]
    {
        let table =
            if prefix.is_empty() { format!("[[{part}]]") } else { format!("{prefix}[[pair.{part}]]") };
        let error = Seed::from_toml(&format!("{table}\nunheard-of = 1")).expect_err("nobody knows it");
        let known: BTreeSet<&str> =
            error.split('`').skip(3).step_by(2).filter(|word| !word.contains('\n')).collect();
        let stated = schema["$defs"][part]["properties"].as_object().expect("properties");
        let stated: BTreeSet<&str> = stated.keys().map(String::as_str).collect();
        assert_eq!(known, stated, "{part}: {error}");
    }
    let schema = &schema["properties"];
    let all: BTreeSet<&str> = schema.as_object().expect("properties").keys().map(String::as_str).collect();
    assert_eq!(all, BTreeSet::from(["client", "pair", "fault"]));
}
