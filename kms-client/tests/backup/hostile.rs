//! What others may have put where this side reads: chains that name files elsewhere, leftovers that are none, odd names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use age::Recipient;
use kms_client::backup::archive::{self, BackupRequest, Continuation, Unobserved, facts};
use kms_client::backup::chains::metadata::{FORMAT, Metadata};
use kms_client::backup::jobs::ReadyJob;
use kms_client::backup::state::State;
use kms_client::cli::Exit;
use kms_protocol::DateTime;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::archive::{Place, names};
use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees;

fn recipients(installation: &Installation) -> Vec<Box<dyn Recipient>> {
    let database = State::new(&installation.path("state")).database().unwrap();
    ReadyJob::load(&database, "docs").unwrap().recipients().unwrap()
}

/// Metadata as somebody writes it who has the public key.
fn forge(installation: &Installation, path: &Path, metadata: &Metadata) {
    use std::io::Write;
    let recipients = recipients(installation);
    let encryptor = age::Encryptor::with_recipients(recipients.iter().map(AsRef::as_ref)).unwrap();
    let mut stream = encryptor.wrap_output(fs::File::create(path).unwrap()).unwrap();
    let json = serde_json::to_vec(metadata).unwrap();
    stream.write_all(&zstd::encode_all(json.as_slice(), 1).unwrap()).unwrap();
    stream.finish().unwrap();
}

#[test]
fn a_chain_that_names_files_elsewhere_is_refused_and_touches_nothing() {
    let kms = FakeKms::default();
    let old = Installation::with_job(&kms);
    let metadata = old.back_up().with_extension("chain");
    let database = State::new(&old.path("state")).database().unwrap();
    let chain = database.chains().unwrap().remove(0);
    let files = database.chain_files(&chain.id).unwrap();
    drop(database);
    let good = Metadata { format: FORMAT, chain, files };
    let new = Installation::new(&kms);
    new.run("server add lab").done();
    trees::write(new.path("victim"), b"mine");
    let absolute = new.path("victim").to_str().unwrap().to_owned();
    let before = names(&new.path("."));
    let odd = |change: &dyn Fn(&mut Metadata)| {
        let mut metadata = good.clone();
        change(&mut metadata);
        metadata
    };
    let cases = [
        ("names the job", odd(&|odd| odd.chain.job = "../../victim".to_owned())),
        ("names the job", odd(&|odd| odd.chain.job.clone_from(&absolute))),
        ("has the identifier", odd(&|odd| odd.chain.id = "../../victim".to_owned())),
        ("has the identifier", odd(&|odd| odd.chain.id.clone_from(&absolute))),
        ("is named", odd(&|odd| odd.chain.stem = "../victim".to_owned())),
        ("names a file 4294967295", odd(&|odd| odd.files[0].number = u32::MAX)),
        ("names a file 0", odd(&|odd| odd.files[0].number = 0)),
    ];
    for (what, forged) in cases {
        forge(&old, &metadata, &forged);
        let import = format!("import {}", metadata.display());
        new.run(&import).failed(Exit::Damaged, &[what]);
        assert_eq!(fs::read(new.path("victim")).unwrap(), b"mine", "{what}");
        assert_eq!(names(&new.path(".")), before, "{what}");
        assert_eq!(new.run("chain list").done(), "");
    }
    forge(&old, &metadata, &good);
    new.run(&format!("import {}", metadata.display())).done();
}

#[test]
fn a_backup_file_that_names_files_elsewhere_is_refused_and_touches_nothing() {
    let kms = FakeKms::default();
    let old = Installation::with_job(&kms);
    let request = BackupRequest {
        job: "docs".to_owned(),
        paths: vec![old.path("tree")],
        target: old.path("backups"),
        now: DateTime(old.now()),
    };
    let recipients = recipients(&old);
    let recipients: Vec<&dyn Recipient> = recipients.iter().map(AsRef::as_ref).collect();
    let continuation = Continuation::new_chain("../../victim".to_owned());
    let roots = archive::roots(&request.paths).unwrap();
    let manifest = tempfile::tempfile().unwrap();
    let mut noted = |_: &archive::WrittenFile| Ok(());
    let written =
        archive::write_point(&request, &roots, continuation, manifest, &recipients, &Unobserved, &mut noted);
    let file = written.unwrap().file;
    let new = Installation::new(&kms);
    new.run("server add lab").done();
    let before = names(&new.path("."));
    new.run(&format!("import {}", file.display())).failed(Exit::Damaged, &["has the identifier"]);
    assert_eq!(names(&new.path(".")), before);

    // A number that no chain has is part of a name like any other.
    let odd = file.to_string_lossy().replace(".age", ".4294967295.age");
    fs::rename(&file, &odd).unwrap();
    new.run(&format!("import {odd}")).failed(Exit::Damaged, &["has the identifier"]);
    new.run(&format!("restore {odd} --to @restored")).done();
}

#[test]
fn what_only_looks_like_a_leftover_stays_and_leads_nowhere() {
    let place = Place::new();
    trees::write(place.path("one"), b"1");
    fs::create_dir_all(place.path("backups")).unwrap();
    fs::create_dir(place.path("outside")).unwrap();
    trees::write(place.path("outside/file"), b"mine");
    mknodat(CWD, place.path("backups/.kms-client-a.partial"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink(place.path("outside/file"), place.path("backups/.kms-client-b.partial")).unwrap();
    symlink(place.path("outside"), place.path("backups/.kms-client-c.restoring")).unwrap();
    let file = place.back_up(&[place.path("one")]).file;
    assert_eq!(facts(&file).unwrap().header.locks.recovery.len(), 1);
    assert_eq!(names(&place.path("backups")).len(), 4, "the backup, and what was there");
    assert_eq!(fs::read(place.path("outside/file")).unwrap(), b"mine");
}

#[test]
fn names_do_not_reach_the_terminal_as_commands() {
    let installation = Installation::with_job(&FakeKms::default());
    let ended = installation.run("restore @\u{1b}[2Jgone --to @restored");
    assert!(ended.stderr.contains("\\u{1b}[2Jgone") && !ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
}
