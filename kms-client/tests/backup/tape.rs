//! Tapes: two keys on top of each other, volumes of a size, catalogues by their beginnings.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use kms_client::backup::BackupError;
use kms_client::backup::jobs::ReadyJob;
use kms_client::backup::state::State;
use kms_client::backup::tape::{self, Kind, TapeRequest};
use kms_client::cli::Exit;
use kms_protocol::DateTime;

use crate::archive::names;
use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees::{self, assert_same, noise};

/// An installation with media pools `vault` (KMS) and `offsite` (password), and what is to go onto tapes.
fn with_pools(kms: &FakeKms) -> Installation {
    let installation = Installation::with_job(kms);
    trees::write(installation.path("secret"), b"correct horse");
    installation.run("job create vault --key rsa-2048").done();
    installation.run("job create offsite --password-file @secret --hint animal").done();
    trees::write(installation.path("tree/large"), &noise(700_000, 1));
    installation
}

fn volumes(installation: &Installation, folder: &str) -> Vec<PathBuf> {
    names(&installation.path(folder)).iter().map(|name| installation.path(folder).join(name)).collect()
}

#[test]
fn a_set_of_tapes_holds_the_files_under_two_keys_and_gives_them_back() {
    let kms = FakeKms::default();
    let installation = with_pools(&kms);
    let first = installation.back_up();
    trees::write(installation.path("tree/second"), b"x");
    let second = installation.back_up();
    let line =
        format!("tape write vault {} {} --to @tapes --capacity 300k", first.display(), second.display());
    installation.run(&line).done();
    let tapes = volumes(&installation, "tapes");
    assert!(tapes.len() >= 3, "{tapes:?}");
    for tape in &tapes {
        assert!(tape.metadata().unwrap().len() <= 300_000, "{tape:?}");
        let header = String::from_utf8_lossy(&fs::read(tape).unwrap()[..300]).into_owned();
        assert!(header.contains("key=private-2 "), "the pool's key, not the job's: {header}");
    }
    installation.run("tape read @tapes --to @read").done();
    for file in [&first, &second] {
        let read = installation.path("read").join(file.file_name().unwrap());
        assert_eq!(fs::read(read).unwrap(), fs::read(file).unwrap());
    }
    let newest = installation.path("read").join(second.file_name().unwrap());
    installation.run(&format!("restore {} --to @restored", newest.display())).done();
    assert_same(&installation.path("tree"), &installation.path("restored/tree"));
    // Whoever has the pool's key alone has no data.
    kms.destroy("private-1");
    installation.run("tape read @tapes --to @again").done();
    installation
        .run(&format!("restore {} --to @none", newest.display()))
        .failed(Exit::Failed, &["key private-1", "Item Not Found"]);
}

#[test]
fn a_catalogue_job_reads_the_beginning_of_each_tape_only() {
    let kms = FakeKms::default();
    let installation = with_pools(&kms);
    let folder = installation.run("tape write vault @tree --job docs --to @tapes --capacity 300k --json");
    assert_eq!(folder.exit, Exit::Done, "{}", folder.stderr);
    let tapes = volumes(&installation, "tapes");
    // The end of every tape is cut off: what is on them is known all the same, and reading them is refused.
    for tape in &tapes {
        let bytes = fs::read(tape).unwrap();
        let kept = bytes.len().min(70_000);
        fs::write(tape, &bytes[..kept]).unwrap();
    }
    let new = Installation::new(&kms);
    new.run("server add lab").done();
    let calls = kms.unwrap_calls();
    let tapes = installation.path("tapes").display().to_string();
    let found = new.run(&format!("tape catalog {tapes} --json")).events();
    assert_eq!(kms.unwrap_calls() - calls, 1, "all keys in one call");
    assert!(found.len() >= 3);
    let part = &found[1]["catalog"]["parts"][0];
    assert!(
        part["offset"].as_u64().unwrap() > 0 && part["opened_by"].as_str().unwrap().contains("private-1")
    );
    assert_eq!(new.run("tape list --json").events().len(), found.len());
    new.run(&format!("tape read {tapes} --to @read")).failed(Exit::Damaged, &[".v0001.tape is damaged"]);
    assert_eq!(names(&new.path("read")), [""; 0]);
}

#[test]
fn situation_c_a_new_installation_takes_a_job_for_kms_tapes_and_one_for_password_tapes() {
    let kms = FakeKms::default();
    let installation = with_pools(&kms);
    installation.run("tape write vault @tree/plain.txt --job docs --to @tapes").done();
    installation.run("tape write offsite @tree/plain.txt --job docs --to @tapes").done();
    // Here both pools are known: one job does.
    installation.run("tape catalog @tapes --password-file @secret").done();

    let new = Installation::new(&kms);
    new.run("server add lab").done();
    let tapes = installation.path("tapes").display().to_string();
    let password = format!("--password-file {}", installation.path("secret").display());
    let mixed = new.run(&format!("tape catalog {tapes} {password}"));
    mixed.failed(
        Exit::Failed,
        &[
            "1 of these tapes are encrypted by KMS keys (of lab) and 1 by passwords (hints: animal)",
            "hint: run it once with --by-kms",
        ],
    );
    assert_eq!(new.run("tape list").done(), "");
    new.run(&format!("tape catalog {tapes} --by-kms")).done();
    new.run(&format!("tape catalog {tapes} --by-password"))
        .failed(Exit::Failed, &["needs a password", "animal"]);
    new.run(&format!("tape catalog {tapes} --by-password {password}")).done();
    let listed = new.run("tape list").done();
    assert!(listed.contains("pool vault") && listed.contains("pool offsite"), "{listed}");
}

#[test]
fn a_missing_or_damaged_tape_is_named_and_nothing_half_read_appears() {
    let kms = FakeKms::default();
    let installation = with_pools(&kms);
    installation.run("tape write vault @tree --job docs --to @tapes --capacity 300k").done();
    let tapes = volumes(&installation, "tapes");
    let kept = fs::read(&tapes[1]).unwrap();
    fs::remove_file(&tapes[1]).unwrap();
    let missing = installation.run("tape read @tapes --to @read");
    missing.failed(Exit::Failed, &["volume 2 of", "hint: load that tape"]);
    for at in [100, kept.len() / 2, kept.len() - 1] {
        let mut damaged = kept.clone();
        damaged[at] ^= 1;
        fs::write(&tapes[1], damaged).unwrap();
        let ended = installation.run("tape read @tapes --to @read");
        assert_ne!(ended.exit, Exit::Done);
        assert!(ended.stderr.contains(&*tapes[1].to_string_lossy()), "byte {at}: {}", ended.stderr);
        assert!(!installation.path("read").exists() || names(&installation.path("read")).is_empty());
    }
    fs::write(&tapes[1], kept).unwrap();
    installation.run("tape read @tapes --to @read").done();
    installation
        .run("tape write vault @tree/plain.txt --to @tapes")
        .failed(Exit::Damaged, &["not encrypted by a job's key", "--job"]);
    installation
        .run("tape write vault @tree --job docs --to @tapes --capacity 10k")
        .failed(Exit::Failed, &["is no tape capacity"]);
}

#[test]
fn flipped_bytes_of_a_tape_are_found_and_named_and_cost_other_sets_nothing() {
    let kms = FakeKms::default();
    let installation = with_pools(&kms);
    fs::create_dir(installation.path("small")).unwrap();
    trees::write(installation.path("small/file"), &noise(150_000, 3));
    installation.run("tape write vault @small --job docs --to @tapes --capacity 100k").done();
    // Two sets of the same second hold files of the same name.
    installation.run("tape write vault @tree/plain.txt --job docs --to @same").done();
    installation
        .run("tape read @tapes @same --to @both")
        .failed(Exit::Failed, &["File exists", "hint: move it away"]);
    installation.wait(1);
    installation.run("tape write vault @tree/plain.txt --job docs --to @other").done();
    let tapes = volumes(&installation, "tapes");
    assert!(tapes.len() >= 2, "{tapes:?}");
    let kept: Vec<Vec<u8>> = tapes.iter().map(|tape| fs::read(tape).unwrap()).collect();
    let target = installation.path("read");
    installation.with_unlocker(|state, unlocker| {
        let database = &state.database().unwrap();
        let mut read = |folders: &[&str]| -> Result<Vec<PathBuf>, BackupError> {
            let _ = fs::remove_dir_all(&target);
            let folders: Vec<PathBuf> = folders.iter().map(|folder| installation.path(folder)).collect();
            let files = tape::select(database, &tape::volumes(&folders)?, Kind::Any)?;
            tape::read(&files, &target, unlocker)
        };
        assert_eq!(read(&["tapes", "other"]).unwrap().len(), 2);
        for number in 0..300_usize {
            let which = number % tapes.len();
            let mut bytes = kept[which].clone();
            // Headers and catalogues in one half of the cases.
            let reach = if number % 2 == 0 { 2000 } else { bytes.len() };
            let at = number * 7919 % reach;
            bytes[at] ^= 1 << (number % 8);
            fs::write(&tapes[which], bytes).unwrap();
            let told = format!("byte {at}, bit {} of {}", number % 8, tapes[which].display());
            let error = read(&["tapes"]).expect_err(&told).to_string();
            assert!(error.contains(&*tapes[which].to_string_lossy()), "{told}: {error}");
            assert!(!target.exists() || names(&target).is_empty(), "{told}: nothing half read");
            fs::write(&tapes[which], &kept[which]).unwrap();
        }
        assert_eq!(read(&["tapes"]).unwrap().len(), 1);
    });
}

#[test]
fn a_file_of_any_name_comes_back_and_what_cannot_be_noted_is_said() {
    let kms = FakeKms::default();
    let installation = with_pools(&kms);
    let file = installation.back_up();
    let odd = installation.path("backups").join(OsStr::from_bytes(b"\xff 100% odd\n.age"));
    fs::copy(&file, &odd).unwrap();
    let database = State::new(&installation.path("state")).database().unwrap();
    let pool = ReadyJob::load(&database, "vault").unwrap();
    drop(database);
    let request = TapeRequest {
        files: vec![odd.clone()],
        target: installation.path("tapes"),
        capacity: 1_000_000,
        now: DateTime(installation.now()),
    };
    let written = |noted: bool| {
        let note = |_: &Path, _: &tape::Catalog| if noted { Ok(()) } else { Err(BackupError::Chance) };
        tape::write(&pool, &request, &|_| String::new(), &note)
    };
    written(true).unwrap();
    installation.run("tape read @tapes --to @read").done();
    let read = installation.path("read").join(odd.file_name().unwrap());
    assert_eq!(fs::read(read).unwrap(), fs::read(&odd).unwrap());
    assert!(matches!(written(false), Err(BackupError::Chance)));
}

#[test]
fn the_standard_input_goes_alone_and_what_a_kill_left_of_a_set_is_removed() {
    let kms = FakeKms::default();
    let installation = with_pools(&kms);
    for line in ["tape write vault --job docs @tree - --to @tapes", "tape write vault - --to @tapes"] {
        installation.run(line).failed(Exit::Failed, &["the standard input", "hint: "]);
    }
    let half = installation.path("state/spool/.kms-client-abc.restoring");
    fs::create_dir_all(&half).unwrap();
    trees::write(half.join("docs.age"), b"half a backup");
    installation.run("tape write vault @tree --job docs --to @tapes").done();
    let left = installation.path("state/spool");
    assert!(!left.exists() || names(&left).is_empty());
}
