//! Nothing that the server writes holds a private key in any form in which somebody might look for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::needles::{Search, base64, of_private_key};
use super::support::Site;

const KEYS: usize = 1_000;

fn files(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, each) } else { each(&path) }
    }
}

/// How many of the keys are RSA, which takes most of the time; `KMS_TESTS_RSA_KEYS=1000` makes all of them so.
fn rsa_keys() -> usize {
    std::env::var("KMS_TESTS_RSA_KEYS").map_or(20, |count| count.parse().unwrap())
}

#[test]
fn no_file_and_no_log_holds_a_private_key() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let passphrase = site.secret("backup.pass", "x");
    let server = site.launch("run", &["--log", "trace"]).ready("active");
    let client = server.client();
    let mut needles = Vec::new();
    let mut first = Vec::new();
    for number in 0..KEYS {
        let name = format!("job-{number}");
        let id = if number < rsa_keys() { client.make(&name).private_id } else { client.make_ec(&name) };
        let pkcs8 = client.private(&id);
        needles.extend(of_private_key(&name, &pkcs8));
        if number == 0 {
            first = pkcs8.expose().to_vec();
        }
    }
    let _ = site.kms(&["store", "new-key", "new.key"]).success();
    let _ = server.ctl(&["store", "rekey", "--key-file", "new.key", "--wait"]).success();
    let _ = server.ctl(&["store", "backup", "backup.age", "--passphrase-file", &passphrase]).success();
    server.stop();
    site.configure("store-key = \"new.key\"");
    let _ = site
        .kms(&["store", "restore", "backup.age", "--to", "to", "--passphrase-file", &passphrase])
        .success();

    let search = Search::new(needles);
    // The search does find what is there, in each dress.
    let list = format!("{first:?}").into_bytes();
    for dress in
        [first.clone(), first.iter().rev().copied().collect(), hex::encode(&first).into_bytes(), list]
    {
        assert!(search.found(&dress).len() >= 6, "{:?}", search.found(&dress));
    }
    for offset in 0..3 {
        assert!(!search.found(base64(&first[offset..]).as_bytes()).is_empty());
    }
    let (mut looked_at, mut bytes) = (0, 0);
    files(&site.root, &mut |file| {
        let content = fs::read(file).unwrap();
        assert_eq!(search.found(&content), BTreeSet::new(), "{}", file.display());
        looked_at += 1;
        bytes += content.len();
    });
    for file in ["store/db", "to/db", "run.log", "backup.age"] {
        assert!(site.path(file).is_file(), "{file} was looked at");
    }
    println!("{KEYS} keys, {looked_at} files, {bytes} bytes: none of them in any");
}
