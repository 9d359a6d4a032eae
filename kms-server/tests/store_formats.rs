//! Every format that was ever released is still read: a store and a backup of each lie in `fixtures/`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "what each test needs of it differs")]
mod asking;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asking::{Asker, oaep, pair_request};
use kms_protocol::Secret;
use kms_protocol::enums::HashingAlgorithm::Sha256;
use kms_protocol::operation::RekeyKeyPairRequest;
use kms_server::backup::{self, Seal};
use kms_server::config::Config;
use kms_server::crypto::{Keyring, StoreKey};
use kms_server::failure::Failure;
use kms_server::kms::check::check;
use kms_server::service;
use kms_server::store::{SledOptions, SledStore, Store, copy};
use kms_server::store_key::Given;

/// The formats released so far.
const FORMATS: [u32; 1] = [1];
const PLAINTEXT: &[u8] = b"what a backup of long ago was encrypted with";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn key() -> Given {
    Given::Key(Secret::from([7; 32].as_slice()))
}

fn seal() -> Seal {
    Seal::Passphrase("fixture".to_owned().into())
}

fn asker(folder: &Path) -> (Arc<dyn Store>, Asker) {
    let store: Arc<dyn Store> = Arc::new(SledStore::open(folder, SledOptions::default()).unwrap());
    let config = Config { ready_pairs: Some(0), ..Config::default() };
    let kms = service::start(
        Arc::clone(&store),
        &key(),
        &config,
        &Arc::new(kms_server::crypto::Workers::new(2).unwrap()),
    )
    .unwrap();
    (store, Asker::on(kms))
}

/// A store opens, is sound, decrypts what was encrypted for it then, and goes on.
fn is_as_good_as_new(folder: &Path, format: u32) {
    let (store, asker) = asker(folder);
    let keyring = Keyring::new(StoreKey::from_bytes(Secret::from([7; 32].as_slice())).unwrap());
    let report = check(&*store, Some(&keyring)).unwrap();
    assert_eq!((report.sound, report.records, report.opened), (true, 4, 2), "{report:?}");
    let said = fs::read_to_string(fixture(&format!("format-{format}.txt"))).unwrap();
    let (private, ciphertext) = said.trim().split_once(' ').unwrap();
    let ciphertext = hex::decode(ciphertext).unwrap();
    let plaintext = asker.decrypt(private, oaep(Sha256, Sha256), &ciphertext).unwrap();
    assert_eq!(plaintext.expose(), PLAINTEXT);
    asker.pair(&pair_request("new", 2048));
}

#[test]
fn stores_of_every_format_are_opened() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let packed = File::open(fixture(&format!("format-{format}.tar.zst"))).unwrap();
        tar::Archive::new(zstd::Decoder::new(packed).unwrap()).unpack(folder.path()).unwrap();
        is_as_good_as_new(folder.path(), format);
    }
}

#[test]
fn backups_of_every_format_are_restored() {
    for format in FORMATS {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("store");
        let file = fixture(&format!("format-{format}.age"));
        let restored = backup::restore(&file, &seal(), &folder, Some(&key())).unwrap();
        assert_eq!((restored.records, restored.check.opened), (4, 2));
        is_as_good_as_new(&folder, format);
    }
}

/// Run once by whoever makes a new format: `cargo test -p kms-server --test store_formats -- --ignored`.
#[test]
#[ignore = "writes the fixture of a new format"]
fn write_the_fixture_of_this_format() {
    let format = FORMATS.last().unwrap();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("store");
    let (store, asker) = asker(&folder);
    let (private, public) = asker.pair(&pair_request("job", 2048));
    asker.activate(&private);
    asker.activate(&public);
    let ciphertext = hex::encode(asker.encrypt(&public, oaep(Sha256, Sha256), PLAINTEXT));
    asker
        .ask(&RekeyKeyPairRequest {
            private_key_unique_identifier: Some(private.as_str().into()),
            ..RekeyKeyPairRequest::default()
        })
        .unwrap();
    let written = backup::write(&fixture(&format!("format-{format}.age")), &seal(), |out| {
        copy::write(&*store, out)
            .map_err(|error| Failure::new(kms_server::failure::Kind::Other, error.to_string()))
    });
    written.unwrap();
    drop((store, asker));
    fs::write(fixture(&format!("format-{format}.txt")), format!("{private} {ciphertext}\n")).unwrap();

    let packed = File::create_new(fixture(&format!("format-{format}.tar.zst"))).unwrap();
    let mut archive = tar::Builder::new(zstd::Encoder::new(packed, 19).unwrap());
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_dir("blobs", folder.join("blobs")).unwrap();
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names.iter().filter(|name| *name != "blobs" && *name != "lock") {
        archive.append_path_with_name(folder.join(name), name).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap().sync_all().unwrap();
}
