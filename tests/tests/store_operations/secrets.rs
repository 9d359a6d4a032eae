//! Nothing that the server writes holds a private key in any form in which somebody might look for it.

use std::fs;
use std::path::Path;

use kms_server::crypto::format;

use super::support::Site;

/// What is looked for: its name and its bytes.
struct Needle(String, Vec<u8>);

/// The bytes themselves, backwards, in hexadecimal digits of both kinds, and in base64 at each of its three offsets.
fn in_every_dress(name: &str, bytes: &[u8]) -> Vec<Needle> {
    // The middle of it: a shorter needle finds more.
    let middle = &bytes[bytes.len() / 2 - 12..bytes.len() / 2 + 12];
    let backwards: Vec<u8> = middle.iter().rev().copied().collect();
    let mut needles = Vec::new();
    for (order, bytes) in [("", middle.to_vec()), (" backwards", backwards)] {
        let hex = hex::encode(&bytes);
        needles.push(Needle(format!("{name}{order} in upper hex"), hex.to_uppercase().into_bytes()));
        needles.push(Needle(format!("{name}{order} in hex"), hex.into_bytes()));
        for offset in 0..3 {
            let text = base64(&bytes[offset..]);
            needles.push(Needle(format!("{name}{order} in base64"), text.clone().into_bytes()));
            let url = text.replace('+', "-").replace('/', "_");
            needles.push(Needle(format!("{name}{order} in base64url"), url.into_bytes()));
        }
        needles.push(Needle(format!("{name}{order}"), bytes));
    }
    needles
}

/// Base64 of whole groups of three bytes; what is left over depends on what follows.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks_exact(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for shift in [18, 12, 6, 0] {
            text.push(char::from(DIGITS[(bits >> shift & 63) as usize]));
        }
    }
    text
}

/// Needles by their first four bytes, so that a search looks at each place once.
struct Search(std::collections::HashMap<[u8; 4], Vec<Needle>>);

impl Search {
    fn new(needles: impl IntoIterator<Item = Needle>) -> Self {
        let mut by_start = std::collections::HashMap::<_, Vec<Needle>>::new();
        for needle in needles {
            by_start.entry(*needle.1.first_chunk().unwrap()).or_default().push(needle);
        }
        Self(by_start)
    }

    /// The names of what is in these bytes.
    fn found(&self, haystack: &[u8]) -> Vec<&str> {
        let mut names = Vec::new();
        for at in 0..haystack.len().saturating_sub(3) {
            let rest = &haystack[at..];
            let candidates = self.0.get(rest.first_chunk().unwrap()).into_iter().flatten();
            names.extend(
                candidates.filter(|needle| rest.starts_with(&needle.1)).map(|needle| needle.0.as_str()),
            );
        }
        names
    }
}

fn files(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, each) } else { each(&path) }
    }
}

#[test]
fn no_file_holds_a_private_key() {
    let count = std::env::var("KMS_TESTS_KEYS").map_or(50, |count| count.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let passphrase = site.secret("backup.pass", "x");
    let server = site.launch("run", &["--log", "trace"]).ready("active");
    let client = server.client();
    let mut needles = Vec::new();
    let mut first = Vec::new();
    for number in 0..count {
        let key = client.make(&format!("job-{number}"));
        let pkcs8 = client.private(&key);
        let parts = format::rsa_private_parts(&pkcs8).unwrap();
        for (what, secret) in [("p", &parts.p), ("q", &parts.q), ("d", &parts.private_exponent)] {
            needles.extend(in_every_dress(&format!("{what} of key {number}"), secret.expose()));
        }
        // The middle of the DER is in the middle of d or p; its beginning is the modulus, which is public.
        needles.extend(in_every_dress(&format!("the DER of key {number}"), pkcs8.expose()));
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
    for dress in [first.clone(), first.iter().rev().copied().collect(), hex::encode(&first).into_bytes()] {
        assert!(!search.found(&dress).is_empty());
    }
    for offset in 0..3 {
        assert!(!search.found(base64(&first[offset..]).as_bytes()).is_empty());
    }
    let (mut looked_at, mut bytes) = (0, 0);
    files(&site.root, &mut |file| {
        let content = fs::read(file).unwrap();
        assert_eq!(search.found(&content), Vec::<&str>::new(), "{}", file.display());
        looked_at += 1;
        bytes += content.len();
    });
    for file in ["store/db", "to/db", "run.log", "backup.age"] {
        assert!(site.path(file).is_file(), "{file} was looked at");
    }
    println!("{count} keys, {looked_at} files, {bytes} bytes: none of them in any");
}
