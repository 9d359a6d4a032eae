//! The whole story in one run, with the real programs: a backup that a KMS's keys encrypt, a rotation, a killed
//! server, and everything back bit for bit. Ends with an error at the first thing that is not so.
//!
//! `cargo tour [FOLDER]` backs up FOLDER; by default the repository's own sources.

#![allow(clippy::print_stdout, reason = "its whole purpose is to tell")]
#![allow(clippy::expect_used, reason = "it ends at the first thing that is not so")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use kms_tests::folder::{Compared, compare};
use kms_tests::process::{Client, Finished, Server};
use kms_tests::repository;
use serde_json::Value;

struct Tour {
    number: u32,
    started: Instant,
}

impl Tour {
    fn step(&mut self, what: &str) {
        self.number += 1;
        println!("{:>2}  {what}", self.number);
    }

    fn saw(&self, what: &str) {
        println!("    {what}");
    }
}

fn main() {
    let paths: Vec<PathBuf> = match std::env::args_os().nth(1) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => repository::sources(),
    };
    let mut tour = Tour { number: 0, started: Instant::now() };
    println!("Building the programs (the first time takes some minutes) …");
    let _ = repository::program("kms-server");
    let here = tempfile::tempdir().expect("a temporary folder");
    run(&mut tour, &paths, here.path());
    println!("Done in {:.1} s: nothing was lost.", tour.started.elapsed().as_secs_f32());
}

fn run(tour: &mut Tour, paths: &[PathBuf], here: &Path) {
    let (state, backups) = (here.join("kms-dev"), here.join("backups"));

    tour.step("start a KMS: certificates, store and policies are made for it");
    let server = Server::start(&state, "127.0.0.1:0");
    let address = server.listen.clone();
    tour.saw(&format!("kms-server speaks KMIP at {address}"));

    let client = Client::new(&here.join("backup-side"), &server.profile());
    tour.step("register the KMS with the backup side");
    let _ = client.run(["server", "add", "tour"]).success();

    tour.step("create a job: the KMS makes its key pair and keeps the private key");
    let job = client.run(["job", "create", "sources"]).success();
    let old_key = current_key(&job);
    tour.saw(&format!("private key {old_key}; the public key is in the configuration database"));

    tour.step("back up");
    let first = back_up(tour, &client, paths, &backups);

    tour.step("move the KMS's clock past the policy's interval of 90 days");
    let advanced = server.ctl(&["clock", "advance", "91d", "--json"]).success().json();
    for fired in advanced.get("fired").and_then(Value::as_array).into_iter().flatten() {
        tour.saw(&format!("fired: {}", fired.get("what").and_then(Value::as_str).unwrap_or_default()));
    }

    tour.step("ask the KMS which keys were rotated");
    let _ = client.run(["sync"]).success();
    let job = client.run(["job", "show", "sources"]).success();
    let new_key = current_key(&job);
    assert_ne!(old_key, new_key, "the job has a new key");
    tour.saw(&format!("private key {old_key} → {new_key}"));

    tour.step("back up again, now with the new key");
    let second = back_up(tour, &client, paths, &backups);

    tour.step("kill -9 the KMS");
    server.kill();

    tour.step("a backup without the KMS fails and writes nothing");
    let before = count(&backups);
    let failed = client.run(backup_arguments(paths, &backups));
    assert_eq!(failed.code, Some(3), "exit code of an unreachable KMS: {}", failed.stderr);
    assert_eq!(count(&backups), before, "nothing half written");
    for line in failed.stderr.lines().take(3) {
        tour.saw(line);
    }

    tour.step("start the KMS again on the same store");
    let server = Server::start(&state, &address);
    tour.saw(&format!("kms-server speaks KMIP at {}", server.listen));

    tour.step("restore both backups and compare every byte");
    for (backup, name) in [(&first, "first"), (&second, "second")] {
        let target = here.join(name);
        let restored =
            client.run(["restore".as_ref(), backup.as_os_str(), "--to".as_ref(), target.as_os_str()]);
        let _ = restored.success();
        let mut total = Compared::default();
        for path in paths {
            let original = path.canonicalize().expect("the folder backed up");
            let restored = target.join(original.file_name().expect("a name"));
            let compared = compare(&original, &restored).expect("the same bytes");
            total = Compared { files: total.files + compared.files, bytes: total.bytes + compared.bytes };
        }
        assert!(total.files > 0, "something was compared");
        tour.saw(&format!("{name}: {} files, {} bytes, all the same", total.files, total.bytes));
    }
    assert!(server.stop().success(), "the KMS stops in good order");
}

fn backup_arguments(paths: &[PathBuf], to: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments = vec!["backup".into(), "sources".into()];
    arguments.extend(paths.iter().map(|path| path.clone().into_os_string()));
    arguments.extend(["--to".into(), to.as_os_str().to_owned()]);
    arguments
}

fn back_up(tour: &Tour, client: &Client, paths: &[PathBuf], to: &Path) -> PathBuf {
    let done = client.run(backup_arguments(paths, to)).success().json();
    let field = |name: &str| done.get(name).and_then(Value::as_u64).unwrap_or_default();
    let file = PathBuf::from(done.get("file").and_then(Value::as_str).expect("the backup file"));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    tour.saw(&format!(
        "{} files, {} bytes in {name} ({} bytes)",
        field("files"),
        field("bytes"),
        field("size")
    ));
    file
}

fn current_key(job: &Finished) -> String {
    let job = job.json();
    let newest = job.get("keys").and_then(Value::as_array).and_then(|keys| keys.last());
    newest
        .and_then(|key| key.get("private_id"))
        .and_then(Value::as_str)
        .expect("a private key's ID")
        .to_owned()
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}
