//! What of private keys is in the memory of a server: of those that it uses, and of those that it let go of.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;

use kms_client::IssuedKey;
use kms_tests::memory::Memory;
use kms_tests::skip;
use nix::sys::signal::Signal;

use super::needles::{Needle, Search, in_every_dress, of_private_key};
use super::support::{Keys, Running, Site};

/// All memory of a process that it can write to, in pieces.
struct Image(Vec<Vec<u8>>);

impl Image {
    /// # Errors
    /// Where this process may not look into that one.
    fn of(process: u32) -> io::Result<Self> {
        // What is unmapped after it was listed cannot be read; the next list does without it.
        (0..9).find_map(|_| Self::read(process).ok()).map_or_else(|| Self::read(process), Ok)
    }

    fn read(process: u32) -> io::Result<Self> {
        let memory = Memory::of(&process.to_string())?;
        let piece = |range: Range<u64>| {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
            memory.read(&mut bytes, range.start).map(|()| bytes)
        };
        Ok(Self(memory.ranges().into_iter().map(piece).collect::<io::Result<_>>()?))
    }

    fn has<'a>(&self, search: &'a Search) -> BTreeSet<&'a str> {
        self.0.iter().flat_map(|piece| search.found(piece)).collect()
    }
}

/// A site whose server keeps one pair ready.
fn site(root: &std::path::Path) -> Site {
    let site = Site::new(root);
    let text = fs::read_to_string(site.path("kms.toml")).unwrap();
    fs::write(site.path("kms.toml"), text.replace("ready-pairs = 0", "ready-pairs = 1")).unwrap();
    site
}

/// Makes a key and uses it in every way: it encrypts, decrypts and is handed out.
fn used(client: &Keys, name: &str) -> (IssuedKey, Vec<Needle>) {
    let key = client.make(name);
    let ciphertext = client.encrypt(&key, b"x");
    assert_eq!(client.decrypt(&key, &ciphertext).unwrap(), b"x");
    let needles = of_private_key(name, &client.private(&key.private_id));
    (key, needles)
}

/// The pool's next pair is in an image from before anybody had it, in the byte order of its encoding.
fn finds_a_ready_pair(server: &Running, client: &Keys) {
    for attempt in 0..50 {
        let before = Image::of(server.pid()).unwrap();
        let (_, needles) = used(client, &format!("from the pool {attempt}"));
        if before.has(&Search::new(needles)).contains(format!("p of from the pool {attempt}").as_str()) {
            return;
        }
    }
    panic!("no ready pair was found in memory");
}

#[test]
fn a_key_that_the_server_let_go_of_is_nowhere_in_its_memory() {
    const TEST: &str = "a_key_that_the_server_let_go_of_is_nowhere_in_its_memory";
    let root = tempfile::tempdir().unwrap();
    let site = site(root.path());
    let server = site.start();
    if let Err(error) = Image::of(server.pid()) {
        return skip(TEST, &format!("the server's memory is closed to this user: {error}"));
    }
    let client = server.client();
    let (kept, kept_needles) = used(&client, "kept");
    let (mut ids, mut destroyed) = (Vec::new(), Vec::new());
    for number in 0..4 {
        let (key, needles) = used(&client, &format!("destroyed {number}"));
        ids.push(key.private_id);
        destroyed.extend(needles);
    }
    let curve = client.make_ec("on a curve");
    destroyed.extend(of_private_key("on a curve", &client.private(&curve)));
    ids.push(curve);
    let store_key = hex::decode(fs::read_to_string(site.path("store.key")).unwrap().trim()).unwrap();
    let living = kept_needles.into_iter().chain(in_every_dress("the store's key", &store_key));
    let (living, destroyed) = (Search::new(living), Search::new(destroyed));
    let lives = |image: &Image, when: &str| {
        // Numbers as aws-lc computes with them.
        let found = image.has(&living);
        for name in
            ["p of kept, backwards", "q of kept, backwards", "d of kept, backwards", "the store's key"]
        {
            assert!(found.contains(name), "{when} {name} is not in {found:?}");
        }
    };

    let image = Image::of(server.pid()).unwrap();
    lives(&image, "while it serves");
    assert!(image.has(&destroyed).contains("p of destroyed 3, backwards"));
    finds_a_ready_pair(&server, &client);

    ids.iter().for_each(|id| client.destroy(id));
    let image = Image::of(server.pid()).unwrap();
    assert_eq!(image.has(&destroyed), BTreeSet::new(), "after Destroy");
    lives(&image, "after Destroy of others");

    // Where it falls over, all is still there: so the look at where it ends does see something.
    match server.end_and_look(Signal::SIGABRT, Image::of) {
        Ok(image) => lives(&image.unwrap(), "where it falls over"),
        Err(error) => return skip(TEST, &format!("the server cannot be stopped where it ends: {error}")),
    }
    let server = site.start();
    let client = server.client();
    assert_eq!(client.decrypt(&kept, &client.encrypt(&kept, b"x")).unwrap(), b"x");
    client.private(&kept.private_id);
    lives(&Image::of(server.pid()).unwrap(), "after a restart");
    let image = server.end_and_look(Signal::SIGTERM, Image::of).unwrap().unwrap();
    assert_eq!(image.has(&living), BTreeSet::new(), "after the stop");
}
