//! Servers that begin with something.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kms_client::{KeySpec, Profile};
use kms_protocol::Secret;
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{BlockCipherMode, State, WrappingMethod};
use kms_protocol::object::{KeyWrappingSpecification, WrappingKey};
use kms_protocol::operation::GetRequest;
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
    assert_eq!(server.seed(&toml), Applied { made: 3, known: 0, faults: 1 });
    assert_eq!(server.seed(&toml), Applied { made: 0, known: 3, faults: 0 }, "again, it makes nothing");
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
    let object = "[[object]]\nowner = \"a\"\n";
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
        (&format!("{object}type = \"casket\""), "there is no Object Type \"casket\""),
        (&format!("{object}type = \"split-key\""), "needs `split`"),
        (&format!("{object}type = \"private-key\""), "needs a value, or a kind"),
        (&format!("{object}type = \"symmetric-key\""), "Cryptographic Algorithm of the key is missing"),
        (&format!("{object}type = \"certificate\"\nvalue = \"00\""), "object 1 of \"a\""),
        (&format!("{object}type = \"secret-data\"\nvalue = \"0g\""), "hexadecimal digits"),
        (&format!("{object}type = \"secret-data\"\nvalue = \"00\"\ntext = \"0\""), "state one of them"),
        (
            &format!("{object}type = \"secret-data\"\nid = \"~mine\""),
            "\"~mine\" cannot be a Unique Identifier",
        ),
        (&format!("{0}{1}{0}{1}", object, "type = \"opaque-object\"\n"), "state names or an id"),
        (
            &format!("{object}type = \"secret-data\"\nusage = [\"fly\"]"),
            "no Cryptographic Usage Mask has \"fly\"",
        ),
        (&format!("{pair}kind = \"P-256\"\nlink = [{{ type = \"x\", to = \"y\" }}]"), "no Link Type \"x\""),
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
    for (part, table) in [
        ("client", "[[client]]"),
        ("pair", "[[pair]]"),
        ("generation", "[[pair]]\n[[pair.generation]]"),
        ("link", "[[pair]]\n[[pair.link]]"),
        ("object", "[[object]]"),
        ("split", "[[object]]\n[object.split]"),
        ("fault", "[[fault]]"),
    ] {
        let error = Seed::from_toml(&format!("{table}\nunheard-of = 1")).expect_err("nobody knows it");
        let known: BTreeSet<&str> =
            error.split('`').skip(3).step_by(2).filter(|word| !word.contains('\n')).collect();
        let stated = schema["$defs"][part]["properties"].as_object().expect("properties");
        let stated: BTreeSet<&str> = stated.keys().map(String::as_str).collect();
        assert_eq!(known, stated, "{part}: {error}");
    }
    let schema = &schema["properties"];
    let all: BTreeSet<&str> = schema.as_object().expect("properties").keys().map(String::as_str).collect();
    assert_eq!(all, BTreeSet::from(["client", "pair", "object", "fault"]));
}

/// One of each type that a server holds, with everything that a seed can say of it.
const HELD: &str = r#"
[[object]]
owner = "veeam"
type = "symmetric-key"
id = "00000000-0000-4000-8000-0000000000a1"
names = ["wrapper", "second name"]
algorithm = "AES"
length = 256
usage = ["wrap-key", "unwrap-key"]
created = "40d ago"
groups = ["tape"]
custom = { tier = "gold" }
link = [{ type = "next-link", to = "00000000-0000-4000-8000-0000000000a2" }]

[[object]]
owner = "veeam"
type = "secret-data"
id = "00000000-0000-4000-8000-0000000000a2"
text = "open sesame"
secret-data-type = "seed"
state = "pre-active"

[[object]]
owner = "veeam"
type = "opaque-object"
names = ["anything"]
value = "00ff"
state = "compromised"

[[object]]
owner = "veeam"
type = "certificate"
names = ["kms.example"]
state = "deactivated"

[[object]]
owner = "veeam"
type = "split-key"
names = ["a part"]
algorithm = "AES"
length = 128
split = { parts = 3, part = 2, threshold = 2, method = "xor" }
state = "destroyed"

[[object]]
owner = "other"
type = "public-key"
names = ["alone"]
kind = "RSA-2048"

[[object]]
owner = "other"
type = "private-key"
names = ["alone too"]
kind = "P-384"

[[pair]]
owner = "veeam"
kind = "P-256"
private-name = "signer"

[[pair.link]]
type = "certificate-link"
to = "00000000-0000-4000-8000-0000000000a2"
half = "public"

[[pair.link]]
type = "parent-link"
to = "00000000-0000-4000-8000-0000000000a1"
"#;

#[test]
fn objects_of_every_type_are_made_told_again_and_made_of_what_was_told() {
    let server = TestServer::start();
    assert_eq!(server.seed(HELD), Applied { made: 8, known: 0, faults: 0 });
    assert_eq!(server.seed(HELD), Applied { made: 0, known: 8, faults: 0 });
    let export = |server: &TestServer| -> Seed {
        let url = format!("http://{}/v1/seed", server.admin());
        ureq::get(url).call().expect("an answer").body_mut().read_json().expect("a seed")
    };
    let told = export(&server);
    assert_eq!((told.objects.len(), told.pairs.len(), told.clients.len()), (7, 1, 2));
    let object = |name: &str| {
        told.objects.iter().find(|held| held.names.iter().any(|known| known == name)).expect("it is told")
    };
    let wrapper = object("wrapper");
    assert_eq!((wrapper.names.len(), wrapper.groups.as_slice()), (2, &["tape".to_owned()][..]));
    assert_eq!((wrapper.value.as_ref(), wrapper.custom["tier"].as_str()), (None, "gold"), "no key is told");
    assert_eq!(wrapper.links[0].to, "00000000-0000-4000-8000-0000000000a2");
    assert!(object("kms.example").value.is_some() && object("alone").value.is_some(), "these are no secrets");
    for (name, state) in
        [("anything", "compromised"), ("kms.example", "deactivated"), ("a part", "destroyed")]
    {
        assert_eq!(object(name).state.as_deref(), Some(state), "{name}");
    }
    assert_eq!(told.pairs[0].links.len(), 2, "{:?}", told.pairs[0].links);
    let copy = TestServer::start();
    assert_eq!(copy.seed(&toml::to_string(&told).expect("TOML")).made, 8);
    assert_eq!(export(&copy), told);
}

#[test]
fn a_client_works_with_the_objects_of_a_seed() {
    let server = TestServer::start();
    server.seed(HELD);
    let mut peer = super::peer::Peer::connect(&server, &server.client("veeam"));
    let got = peer.call(&GetRequest {
        unique_identifier: Some("00000000-0000-4000-8000-0000000000a2".into()),
        ..GetRequest::default()
    });
    assert_eq!(got.object.key_bytes().map(Secret::expose), Some(&b"open sesame"[..]));
    let wrapped = peer.call(&GetRequest {
        unique_identifier: Some("00000000-0000-4000-8000-0000000000a2".into()),
        key_wrapping_specification: Some(KeyWrappingSpecification {
            wrapping_method: WrappingMethod::Encrypt,
            encryption_key: Some(WrappingKey {
                unique_identifier: "00000000-0000-4000-8000-0000000000a1".to_owned(),
                cryptographic_parameters: Some(CryptographicParameters {
                    block_cipher_mode: Some(BlockCipherMode::NistKeyWrap),
                    ..CryptographicParameters::default()
                }),
            }),
            mac_signature_key: None,
            attribute_names: Vec::new(),
            encoding_option: None,
        }),
        ..GetRequest::default()
    });
    assert!(wrapped.object.key_block().is_some_and(|block| block.key_wrapping_data.is_some()));
    assert_eq!(peer.named("a part"), 0, "what is destroyed is located no more");
    assert_eq!(peer.named("anything"), 1);
}
