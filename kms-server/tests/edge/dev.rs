use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kms_server::certificate::Certificate;
use kms_server::dev::DevState;
use kms_server::failure::Kind;
use kms_server::store_key::Given;
use kms_server::tls::ServerTls;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const DAY: Duration = Duration::from_secs(86_400);

fn open(folder: &Path) -> DevState {
    open_at(folder, &[], SystemTime::now())
}

fn open_at(folder: &Path, hosts: &[&str], now: SystemTime) -> DevState {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    DevState::open(folder, &hosts, now).unwrap()
}

/// Every file below `folder` with its content, but for the lock.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else if !path.ends_with("lock") {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn certificate(folder: &Path, name: &str) -> Certificate {
    let der = CertificateDer::from_pem_file(folder.join("pki").join(name)).unwrap();
    Certificate::read(&der).unwrap()
}

/// The store's key.
fn store_key(state: &DevState) -> &[u8] {
    match &state.store_key {
        Given::Key(key) => key.expose(),
        Given::Passphrase(_) => panic!("a key"),
    }
}

/// Whether a server can be set up with what is there.
fn serves(state: &DevState) -> bool {
    ServerTls::new(&state.pki.identities(), &state.pki.authority()).is_ok()
}

#[test]
fn the_first_start_makes_everything_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/.kms-dev");
    let state = open(&folder);
    assert_eq!(state.pki.made, ["ca", "server-ecdsa", "server-rsa", "client"]);
    assert!(serves(&state));
    assert_eq!(store_key(&state).len(), 32);
    assert!(state.store().is_dir());
    assert_eq!(state.config.policies[0].rotate_every.unwrap().seconds, 90 * 86_400);
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    for private in ["store.key", "pki/ca.key", "pki/client.key", "pki/server-rsa.key", "pki/server-ecdsa.key"]
    {
        assert_eq!(mode(private), 0o600, "{private}");
    }
    for folder in ["", "pki", "store"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    let client = certificate(&folder, "client.pem");
    assert_eq!((client.principal(), client.client_auth), (Some("client"), true));
}

#[test]
fn the_second_start_uses_what_is_there() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()));
    let before = contents(root.path());
    let state = open(root.path());
    assert_eq!(state.pki.made, [""; 0]);
    assert_eq!(contents(root.path()), before);
}

#[test]
fn two_servers_cannot_share_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let _first = open(root.path());
    let failure = DevState::open(root.path(), &[], SystemTime::now()).unwrap_err();
    assert_eq!(failure.kind, Kind::State);
    assert!(failure.to_string().contains("another kms-server uses"), "{failure}");
}

#[test]
fn a_folder_from_a_killed_first_start_is_completed() {
    let whole = tempfile::tempdir().unwrap();
    drop(open(whole.path()));
    let files: Vec<_> = contents(whole.path()).into_keys().collect();
    for missing in &files {
        let root = tempfile::tempdir().unwrap();
        drop(open(root.path()));
        let before = contents(root.path());
        let name = missing.strip_prefix(whole.path()).unwrap();
        fs::remove_file(root.path().join(name)).unwrap();
        fs::write(root.path().join("pki/.unfinished-x"), "half").unwrap();
        let state = open(root.path());
        assert!(serves(&state), "{name:?}");
        let after = contents(root.path());
        assert!(!after.contains_key(&root.path().join("pki/.unfinished-x")));
        // Only the authority's certificate makes everything else anew; its key alone is not needed.
        let kept = |file: &str| after.get(&root.path().join(file)) == before.get(&root.path().join(file));
        let is_root = name == Path::new("pki/ca.pem");
        for other in ["pki/server-rsa.pem", "pki/server-ecdsa.pem", "pki/client.pem", "pki/ca.pem"] {
            let touched = is_root || name.with_extension("pem") == Path::new(other);
            assert_eq!(kept(other), !touched || name == Path::new("pki/ca.key"), "{name:?}: {other}");
        }
    }
}

#[test]
fn what_is_broken_is_moved_aside_and_made_anew() {
    for broken in ["pki/server-rsa.pem", "pki/client.key", "pki/ca.pem"] {
        let root = tempfile::tempdir().unwrap();
        drop(open(root.path()));
        fs::write(root.path().join(broken), "not what it was").unwrap();
        let state = open(root.path());
        assert!(serves(&state), "{broken}");
        let aside = contents(root.path()).into_iter().any(|(path, content)| {
            path.to_string_lossy().contains(".replaced-") && content == b"not what it was"
        });
        assert!(aside, "{broken} was deleted");
    }
}

#[test]
fn a_leaf_is_remade_under_the_same_authority_and_without_its_key_under_a_new_one() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()));
    let pki = root.path().join("pki");
    let authority = fs::read(pki.join("ca.pem")).unwrap();
    fs::remove_file(pki.join("client.pem")).unwrap();
    assert_eq!(open(root.path()).pki.made, ["client"]);
    assert_eq!(fs::read(pki.join("ca.pem")).unwrap(), authority);

    fs::remove_file(pki.join("client.pem")).unwrap();
    fs::remove_file(pki.join("ca.key")).unwrap();
    let state = open(root.path());
    assert_eq!(state.pki.made, ["ca", "server-ecdsa", "server-rsa", "client"]);
    assert!(serves(&state));
}

#[test]
fn certificates_are_renewed_a_month_before_they_end() {
    let root = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    drop(open_at(root.path(), &[], now));
    assert_eq!(open_at(root.path(), &[], now + DAY * 780).pki.made, [""; 0]);
    let until = certificate(root.path(), "client.pem").not_after;
    assert_eq!(open_at(root.path(), &[], now + DAY * 800).pki.made, ["server-ecdsa", "server-rsa", "client"]);
    assert!(certificate(root.path(), "client.pem").not_after > until);
    assert_eq!(open_at(root.path(), &[], now + DAY * 3640).pki.made.len(), 4);
}

#[test]
fn another_host_is_added_to_the_servers_certificates_only() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()));
    let state = open_at(root.path(), &["kms.example.com"], SystemTime::now());
    assert_eq!(state.pki.made, ["server-ecdsa", "server-rsa"]);
    drop(state);
    let server = certificate(root.path(), "server-rsa.pem");
    assert_eq!(server.common_name.as_deref(), Some("kms.example.com"));
    assert_eq!(server.names, ["kms.example.com", "localhost"]);
}

#[test]
fn certificates_say_where_the_list_is_and_are_issued_anew_for_their_keys_when_it_moves() {
    let root = tempfile::tempdir().unwrap();
    let pki = root.path().join("pki");
    let now = SystemTime::now();
    let state = open(root.path());
    let keys =
        || ["server-ecdsa.key", "server-rsa.key", "client.key"].map(|key| fs::read(pki.join(key)).unwrap());
    let before = keys();
    let lists = || {
        ["server-ecdsa.pem", "server-rsa.pem", "client.pem"]
            .map(|file| certificate(root.path(), file).revocation_list.unwrap_or_default())
    };
    for url in ["http://127.0.0.1:5697/ca.crl", "http://127.0.0.1:40000/ca.crl"] {
        state.pki.point_to(url, now).unwrap();
        assert_eq!(lists(), [url; 3]);
        let whole = contents(&pki);
        state.pki.point_to(url, now).unwrap();
        assert_eq!(contents(&pki), whole, "nothing is to be done");
    }
    assert!(keys() == before && serves(&state));
    let client = fs::read_to_string(pki.join("client.pem")).unwrap();
    kms_server::revocation::revoke(&pki, &client, now).unwrap();
    state.pki.point_to("http://127.0.0.1:1/ca.crl", now).unwrap();
    assert_eq!(
        fs::read_to_string(pki.join("client.pem")).unwrap(),
        client,
        "a revoked one does not come back"
    );
    drop(state);
    assert_eq!(open(root.path()).pki.made, [""; 0]);
}

#[test]
fn a_store_without_its_key_is_not_given_a_new_one() {
    let root = tempfile::tempdir().unwrap();
    let key = root.path().join("store.key");
    drop(open(root.path()));
    for content in ["", "abcd", &"zz".repeat(32), &"ab".repeat(33)] {
        fs::write(&key, content).unwrap();
        let failure = DevState::open(root.path(), &[], SystemTime::now()).unwrap_err();
        assert!(failure.to_string().contains("holds no store key"), "{content:?}: {failure}");
    }
    fs::write(&key, format!("{}\n", "ab".repeat(32))).unwrap();
    assert_eq!(store_key(&open(root.path())), [0xAB; 32]);

    fs::remove_file(&key).unwrap();
    fs::write(root.path().join("store/db"), "sealed").unwrap();
    let failure = DevState::open(root.path(), &[], SystemTime::now()).unwrap_err();
    assert_eq!(failure.kind, Kind::State);
    assert!(failure.to_string().contains("is sealed with it"), "{failure}");
}

#[test]
fn a_mistake_in_the_policies_is_the_developers_to_mend() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()));
    fs::write(root.path().join("kms.toml"), "[[policy]]\nname = \"a\"\nrotate-evry = \"1d\"\n").unwrap();
    let failure = DevState::open(root.path(), &[], SystemTime::now()).unwrap_err();
    assert_eq!(failure.kind, Kind::Config);
    assert!(failure.to_string().contains("kms.toml, line 3"), "{failure}");
}

#[test]
fn the_clients_profile_says_where_the_server_is() {
    let root = tempfile::tempdir().unwrap();
    let state = open(root.path());
    let admin = "[::]:5697".parse().unwrap();
    state.write_profile("0.0.0.0:5696".parse().unwrap(), Some(admin)).unwrap();
    let profile: toml::Table = fs::read_to_string(state.profile()).unwrap().parse().unwrap();
    let says = |key: &str| profile[key].as_str().unwrap().to_owned();
    assert_eq!(says("server"), "127.0.0.1:5696");
    assert_eq!(says("admin"), "[::1]:5697");
    for file in ["ca", "certificate", "key"] {
        assert!(root.path().join(says(file)).is_file(), "{file}");
    }
}

#[test]
fn an_ephemeral_state_leaves_nothing() {
    let state = DevState::ephemeral(&[], SystemTime::now()).unwrap();
    let folder = state.folder.clone();
    assert!(serves(&state) && state.is_ephemeral);
    drop(state);
    assert!(!folder.exists());
}
