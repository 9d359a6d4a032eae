//! A disk that is full, under a real server. What a disk that fails or is mounted read-only does, the core's tests show with
//! injected failures: the system mounts no disk read-only while a store on it is open.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use kms_client::KeySpec;

use super::disk::{TAKES_ROOT, Tmpfs, skip};
use super::support::{Keys, Site};

/// Mebibytes: the store keeps 64 of them free.
const SIZE: u32 = 120;

/// Waits until keys can be made again; nobody helps.
fn until_writable(client: &Keys, name: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while let Err(error) = client.0.request_key(name, KeySpec::Rsa2048) {
        assert!(Instant::now() < end, "still not: {error}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_full_disk_stops_writes_alone_and_heals_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let disk = site.path("disk");
    fs::create_dir(&disk).unwrap();
    let Some(_mounted) = Tmpfs::mount(SIZE, &disk) else {
        return skip("a_full_disk_stops_writes_alone_and_heals_by_itself", TAKES_ROOT);
    };
    site.configure_as("kms.toml", "store-key = \"store.key\"", "disk/store");
    let server = site.start();
    let client = server.client();
    let key = client.make("job");
    let ciphertext = client.encrypt(&key, b"x");
    let decrypts = |when: &str| assert_eq!(client.decrypt(&key, &ciphertext).unwrap(), b"x", "{when}");

    // Somebody else fills the disk.
    let filler = disk.join("filler");
    fs::write(&filler, vec![1; 80 << 20]).unwrap();
    let refused = client.0.request_key("no room", KeySpec::Rsa2048).unwrap_err().to_string();
    assert!(refused.contains("disk is full"), "{refused}");
    let status = server.status();
    assert!(status["store"]["read_only"].as_str().unwrap().contains("bytes free"), "{status}");
    decrypts("while the disk is full");
    fs::remove_file(&filler).unwrap();
    until_writable(&client, "room");

    decrypts("at the end");
    let report = server.ctl(&["store", "check", "--json"]).success().json();
    assert_eq!(report["sound"], true, "{report}");
}
