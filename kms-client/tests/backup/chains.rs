//! Chains: what an incremental backup stores, what a point in time brings back, and what a chain survives.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use kms_client::backup::archive::{BackupRequest, Observer, Unobserved};
use kms_client::backup::chains::{Plan, Wanted, metadata};
use kms_client::backup::jobs::ReadyJob;
use kms_client::backup::restore::locked;
use kms_client::backup::state::State;
use kms_client::cli::Exit;
use kms_protocol::DateTime;
use serde_json::Value;

use crate::archive::names;
use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees::{self, assert_same, noise};

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

/// Backs up and returns what the last event says.
#[track_caller]
fn back_up(installation: &Installation, line: &str) -> Value {
    let ended = installation.run(&format!("{line} --json"));
    assert_eq!(ended.exit, Exit::Done, "{}{}", ended.stdout, ended.stderr);
    ended.events().pop().unwrap()
}

fn file_of(event: &Value) -> PathBuf {
    PathBuf::from(event["file"].as_str().unwrap())
}

#[test]
fn an_incremental_backup_stores_what_changed_and_each_point_comes_back() {
    let installation = Installation::with_job(&FakeKms::default());
    let line = "backup docs @tree --to @backups";
    let first = back_up(&installation, line);
    copy(&installation.path("tree"), &installation.path("tree at 1"));

    let tree = installation.path("tree");
    trees::write(tree.join("plain.txt"), b"other contents\n");
    trees::write(tree.join("new"), b"new");
    fs::remove_file(tree.join("block")).unwrap();
    fs::create_dir(tree.join("block")).unwrap();
    trees::write(tree.join("block/now within a folder"), b"1");
    fs::remove_dir_all(tree.join("empty folder")).unwrap();
    std::os::unix::fs::symlink("plain.txt", tree.join("empty folder")).unwrap();
    let second = back_up(&installation, line);
    assert_eq!((&second["number"], &second["stored_files"]), (&2.into(), &3.into()));
    copy(&tree, &installation.path("tree at 2"));

    let third = back_up(&installation, line);
    assert_eq!((&third["stored_files"], &third["stored_bytes"]), (&0.into(), &0.into()));
    for (number, event, original) in
        [(1, &first, "tree at 1"), (2, &second, "tree at 2"), (3, &third, "tree at 2")]
    {
        let target = format!("restored-{number}");
        installation.run(&format!("restore {} --to @{target}", file_of(event).display())).done();
        assert_same(&installation.path(original), &installation.path(&target).join("tree"));
    }
}

#[test]
fn a_file_that_was_only_touched_is_not_stored_again_but_keeps_its_new_time() {
    let installation = Installation::with_job(&FakeKms::default());
    back_up(&installation, "backup docs @tree --to @backups");
    let file = fs::File::options().append(true).open(installation.path("tree/plain.txt")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(5)).unwrap();
    let second = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!(second["stored_files"], 0);
    installation.assert_restores(&file_of(&second), "restored");
}

#[test]
fn the_same_length_and_time_do_not_hide_a_change_made_while_the_backup_ran() {
    let installation = Installation::with_job(&FakeKms::default());
    let (path, time) = (installation.path("tree/plain.txt"), 1_790_000_000);
    let change = |contents| {
        trees::write(&path, contents);
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).unwrap();
    };
    change(b"before");
    back_up(&installation, "backup docs @tree --to @backups");
    change(b"after.");
    let second = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!(second["stored_files"], 1);
    installation.assert_restores(&file_of(&second), "restored");
}

/// Cuts a file while it is read.
struct Cutter(PathBuf);

impl Observer for Cutter {
    fn advanced(&self, _: u64) {
        fs::File::options().write(true).open(&self.0).unwrap().set_len(1000).unwrap();
    }
}

#[test]
fn a_file_that_could_not_be_read_as_it_was_is_stored_again_however_it_looks() {
    let installation = Installation::with_job(&FakeKms::default());
    let path = installation.path("tree/plain.txt");
    let write = || {
        trees::write(&path, &noise(1_000_000, 7));
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(5)).unwrap();
    };
    write();
    let state = State::new(&installation.path("state"));
    let ready = ReadyJob::load(&state.database().unwrap(), "docs").unwrap();
    let request = BackupRequest {
        job: "docs".to_owned(),
        paths: vec![installation.path("tree")],
        target: installation.path("backups"),
        now: DateTime(installation.now()),
    };
    let wanted = Wanted { request, full: false, checkpoint: u64::MAX };
    let plan = Plan::make(&state, &ready, wanted).unwrap();
    let (summary, _) = plan.run(None, None, &Cutter(path.clone())).unwrap();
    assert_eq!(summary.warnings.count, 1, "{:?}", summary.warnings);
    write();
    let planned = back_up(&installation, "backup docs @tree --to @backups --dry-run");
    assert_eq!(planned["changed"], 1);
    let second = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!((&second["number"], &second["stored_files"]), (&2.into(), &1.into()));
    installation.assert_restores(&file_of(&second), "restored");
    let third = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!(third["stored_files"], 0, "once it was read as it is");
}

#[test]
fn a_thousand_flipped_bytes_of_a_chains_metadata_are_found_and_named() {
    let installation = Installation::with_job(&FakeKms::default());
    let path = file_of(&back_up(&installation, "backup docs @tree --to @backups")).with_extension("chain");
    let identity = installation.with_unlocker(|_, unlocker| {
        let locked = locked(&path).unwrap();
        unlocker.unlock(&[locked]).remove(0).unwrap()
    });
    let whole = fs::read(&path).unwrap();
    metadata::read(&path, &identity).unwrap();
    for number in 0..1000_usize {
        let (mut bytes, at) = (whole.clone(), number * 7919 % whole.len());
        bytes[at] ^= 1 << (number % 8);
        fs::write(&path, bytes).unwrap();
        let told = format!("byte {at}, bit {}", number % 8);
        let error = metadata::read(&path, &identity).expect_err(&told);
        assert!(error.is_damage() && error.to_string().contains(".chain"), "{told}: {error}");
    }
}

#[test]
fn a_manifest_that_was_altered_spoils_no_backup() {
    let installation = Installation::with_job(&FakeKms::default());
    back_up(&installation, "backup docs @tree --to @backups");
    let manifests = installation.path("state/manifests");
    let manifest = || manifests.join(names(&manifests).pop().unwrap());
    let whole = fs::read(manifest()).unwrap();
    let place = |what: &str| whole.windows(what.len()).position(|found| found == what.as_bytes()).unwrap();
    // A hash, the number of the file that holds it, and a time.
    for at in ["\"sha256\":\"", "\"file\":", "\"seconds\":"].map(|what| place(what) + what.len()) {
        let mut bytes = fs::read(manifest()).unwrap();
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        fs::write(manifest(), bytes).unwrap();
        let ended = installation.run("backup docs @tree --to @backups --json");
        let started = &ended.events()[0];
        let why = started["anew"].as_str().unwrap();
        assert!(why.contains("manifests/") && why.contains("not as it was written"), "{why}");
        let done = ended.events().pop().unwrap();
        assert_eq!(done["number"], 1, "{done}");
        trees::write(installation.path("tree/next"), &noise(10, at as u64));
        let next = back_up(&installation, "backup docs @tree --to @backups");
        assert_eq!(next["number"], 2, "and that chain goes on");
        let target = format!("restored-{at}");
        installation.assert_restores(&file_of(&next), &target);
        fs::remove_file(installation.path("tree/next")).unwrap();
        let mut old = names(&manifests);
        old.sort();
        // Manifests of chains that were given up are of no use here.
        let kept = State::new(&installation.path("state")).database().unwrap().chains().unwrap();
        let newest = kept.iter().max_by_key(|chain| (chain.created, chain.stem.clone())).unwrap().id.clone();
        for name in old.iter().filter(|name| !name.starts_with(&newest)) {
            fs::remove_file(manifests.join(name)).unwrap();
        }
    }
}

#[test]
fn a_dry_run_says_what_would_be_stored_and_writes_nothing() {
    let installation = Installation::with_job(&FakeKms::default());
    let planned = back_up(&installation, "backup docs @tree --to @backups --dry-run");
    assert_eq!((&planned["event"], &planned["kind"]), (&"planned".into(), &"full".into()));
    assert!(!installation.path("backups").exists());
    back_up(&installation, "backup docs @tree --to @backups");
    trees::write(installation.path("tree/new"), b"12345");
    let planned = back_up(&installation, "backup docs @tree --to @backups --dry-run");
    assert_eq!((&planned["kind"], &planned["number"]), (&"incremental".into(), &2.into()));
    assert_eq!((&planned["changed"], &planned["changed_bytes"]), (&1.into(), &5.into()));
    assert_eq!(names(&installation.path("backups")).len(), 2, "a file and the chain's metadata");
}

#[test]
fn a_chain_begins_anew_where_it_is_asked_for_or_its_files_are_gone() {
    let installation = Installation::with_job(&FakeKms::default());
    let first = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!(back_up(&installation, "backup docs @tree --to @backups --full")["number"], 1);
    assert_eq!(back_up(&installation, "backup docs @tree/plain.txt --to @backups")["number"], 1);
    assert_eq!(back_up(&installation, "backup docs @tree --to @elsewhere")["number"], 1);
    let second = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!(second["number"], 2, "the newest chain goes on");
    let full = file_of(&second).to_string_lossy().replace(".0002", "");
    assert_ne!(full, file_of(&first).to_string_lossy());
    fs::remove_file(full).unwrap();
    assert_eq!(back_up(&installation, "backup docs @tree --to @backups")["number"], 1);
}

#[test]
fn a_long_backup_is_several_files_and_they_restore_as_one() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    let event = back_up(&installation, "backup docs @tree --to @backups --checkpoint 1");
    assert!(event["written"].as_u64().unwrap() > 20, "{event}");
    installation.assert_restores(&file_of(&event), "restored");
    assert_eq!(kms.unwrap_calls(), 1, "all keys in one call");
    let begun =
        file_of(&event).to_string_lossy().replace(&format!(".{:04}", event["number"].as_u64().unwrap()), "");
    installation
        .run(&format!("restore {begun} --to @begun"))
        .failed(Exit::Damaged, &["ended before it was whole"]);
    let next = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!(next["stored_files"], 0);
}

#[test]
fn what_opens_a_chain_can_change_within_it() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    trees::write(installation.path("secret"), b"correct horse\n");
    trees::write(installation.path("wrong"), b"battery staple\n");
    let change = |name: &str| trees::write(installation.path("tree").join(name), name.as_bytes());
    back_up(&installation, "backup docs @tree --to @backups");
    installation.run("job set docs --password-file @secret --hint animal").done();
    change("with a password");
    kms.set_down(true);
    back_up(&installation, "backup docs @tree --to @backups");
    kms.set_down(false);
    installation.run("job set docs --kms").done();
    kms.rotate();
    installation.run("sync").done();
    change("with the KMS again");
    let third = back_up(&installation, "backup docs @tree --to @backups");
    assert_eq!(third["number"], 3);

    let file = file_of(&third);
    let restore = format!("restore {} --to @restored", file.display());
    installation
        .run(&restore)
        .failed(Exit::Failed, &["needs a password", "animal", "hint: give the password"]);
    installation.run(&format!("{restore} --password-file @wrong")).failed(Exit::Failed, &["no password"]);
    assert!(!installation.path("restored").exists());
    installation.run(&format!("{restore} --password-file @wrong --password-file @secret")).done();
    assert_same(&installation.path("tree"), &installation.path("restored/tree"));
}

#[test]
fn the_metadata_opens_a_chain_with_the_newest_key_alone() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    for generation in 1..=10 {
        trees::write(installation.path("tree").join(format!("generation {generation}")), b"x");
        back_up(&installation, "backup docs @tree --to @backups");
        kms.rotate();
        installation.run("sync").done();
    }
    trees::write(installation.path("tree/last"), b"x");
    let last = back_up(&installation, "backup docs @tree --to @backups");
    installation.assert_restores(&file_of(&last), "by-its-files");
    for old in 1..=10 {
        kms.destroy(&format!("private-{old}"));
    }
    let by_file = installation.run(&format!("restore {} --to @one", file_of(&last).display()));
    by_file.failed(Exit::Failed, &["key private-1", "Item Not Found"]);
    let chain = file_of(&last).to_string_lossy().replace(".0011.age", ".chain");
    installation.run(&format!("restore {chain} --to @newest")).done();
    assert_same(&installation.path("tree"), &installation.path("newest/tree"));
}

#[test]
fn a_damaged_or_missing_file_costs_what_it_held_and_nothing_else() {
    let installation = Installation::with_job(&FakeKms::default());
    let mut files = Vec::new();
    for number in 1..=4 {
        trees::write(installation.path("tree").join(format!("only in {number}")), &noise(70_000, number));
        files.push(file_of(&back_up(&installation, "backup docs @tree --to @backups")));
    }
    let mut damaged = fs::read(&files[1]).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    fs::write(&files[1], damaged).unwrap();
    fs::remove_file(&files[2]).unwrap();

    let newest = files[3].display();
    let refused = installation.run(&format!("restore {newest} --to @refused"));
    refused.failed(Exit::Damaged, &[&files[1].to_string_lossy(), "is damaged", "--salvage"]);
    assert!(!installation.path("refused").exists());
    let salvaged = installation.run(&format!("restore {newest} --to @salvaged --salvage"));
    let tree = installation.path("salvaged/tree");
    assert!(!tree.join("only in 2").exists() && !tree.join("only in 3").exists());
    salvaged.failed(
        Exit::Partly,
        &["tree/only in 2", "tree/only in 3", "is lost", "file 3 of the chain is missing"],
    );
    fs::remove_file(installation.path("tree/only in 2")).unwrap();
    fs::remove_file(installation.path("tree/only in 3")).unwrap();
    let (expected, found) = (trees::snapshot(&installation.path("tree")), trees::snapshot(&tree));
    assert!(expected.iter().all(|(path, thing)| path.as_os_str().is_empty() || found[path] == *thing));
    installation.run(&format!("restore {} --to @first", files[0].display())).done();
    let twice = installation.run(&format!("restore {newest} {newest} --to @twice"));
    twice.failed(Exit::Failed, &["into the same folder as another", "hint: "]);
    // A file in the place of another is found out, although it is a good one.
    fs::copy(&files[0], &files[1]).unwrap();
    let other = installation.run(&format!("restore {newest} --to @other"));
    other.failed(Exit::Damaged, &[&files[1].to_string_lossy(), "not the file 2"]);
}

/// Ends a backup as a kill would: nothing is cleaned up in good order, nothing is said.
struct Bomb {
    after: u64,
    seen: Mutex<u64>,
}

impl Observer for Bomb {
    fn advanced(&self, bytes: u64) {
        let mut seen = self.seen.lock().unwrap();
        *seen += bytes;
        assert!(*seen < self.after, "the bomb went off");
    }
}

#[test]
fn a_backup_that_was_ended_goes_on_behind_its_last_file_however_often_that_happens() {
    let installation = Installation::with_job(&FakeKms::default());
    fs::create_dir(installation.path("long")).unwrap();
    for number in 10..40 {
        trees::write(installation.path("long").join(format!("{number}")), &noise(10_000, number));
    }
    let state = State::new(&installation.path("state"));
    let ready = ReadyJob::load(&state.database().unwrap(), "docs").unwrap();
    let run = |observer: &dyn Observer| {
        let request = BackupRequest {
            job: "docs".to_owned(),
            paths: vec![installation.path("long")],
            target: installation.path("backups"),
            now: DateTime(installation.now()),
        };
        let wanted = Wanted { request, full: false, checkpoint: 25_000 };
        let plan = Plan::make(&state, &ready, wanted).unwrap();
        let resumes = plan.resumes();
        let ended = catch_unwind(AssertUnwindSafe(|| plan.run(None, None, observer)));
        (resumes, ended.ok().map(|ended| ended.unwrap().0))
    };
    let stored = |bytes| Bomb { after: bytes, seen: Mutex::new(0) };
    assert_eq!(run(&stored(100_000)), (false, None));
    // What is stored already counts as progress as well, so each attempt comes as far and some files further.
    assert_eq!(run(&stored(200_000)), (true, None));
    trees::write(installation.path("long/10"), &noise(10_000, 99));
    // Ended early this time: what the attempts before had done is not forgotten.
    assert_eq!(run(&stored(30_000)), (true, None));
    let (resumes, summary) = run(&Unobserved);
    let summary = summary.unwrap();
    assert!(resumes && summary.stored.files < 15, "{:?}", summary.stored);
    assert_eq!(summary.contents.files, 30);
    installation.run(&format!("restore {} --to @restored", summary.file.display())).done();
    assert_same(&installation.path("long"), &installation.path("restored/long"));
    let (resumes, again) = run(&Unobserved);
    assert_eq!((resumes, again.unwrap().stored.files), (false, 0));
}

#[test]
fn a_repository_has_a_key_for_jobs_that_have_none() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    installation.run("job create plain --no-key").done();
    let refused = installation.run("backup plain @tree --to @backups");
    refused.failed(Exit::Failed, &["no key to encrypt with", "its repository has none"]);
    installation.run("repository add vault @backups --key-of docs").done();
    let first = back_up(&installation, "backup plain @tree --to vault");
    assert!(file_of(&first).starts_with(installation.path("backups")));
    kms.rotate();
    installation.run("sync").done();
    trees::write(installation.path("tree/second"), b"x");
    let second = back_up(&installation, "backup plain @tree --to @backups");
    let header = fs::read(file_of(&second)).unwrap();
    assert!(String::from_utf8_lossy(&header).contains("key=private-2 generation=2"));
    installation.assert_restores(&file_of(&second), "restored");
    assert!(installation.run("repository list").done().contains("with the key of docs"));
    kms.set_down(true);
    installation.run("backup plain @tree --to vault").failed(Exit::Unreachable, &["connection refused"]);
    let unknown = installation.run("repository add other @elsewhere --key-of none");
    unknown.failed(Exit::Failed, &["no job named"]);
}
