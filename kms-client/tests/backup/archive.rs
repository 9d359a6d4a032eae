//! Backup files: what goes in comes out, and nothing comes out of a file that was touched.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use age::x25519;
use kms_client::backup::BackupError;
use kms_client::backup::archive::{
    self, BackupRequest, BackupSummary, Observer, Problem, RestoreOptions, Unobserved, Warning,
};
use kms_protocol::DateTime;
use tempfile::{TempDir, tempdir};

use crate::trees::{self, assert_same, noise};

const NOW: DateTime = DateTime(1_790_000_000);

/// A place for one test: what is backed up, where to, and age's own kind of key.
pub struct Place {
    pub folder: TempDir,
    pub identity: x25519::Identity,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempdir().unwrap(), identity: x25519::Identity::generate() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn back_up_with(&self, paths: &[PathBuf], observer: &dyn Observer) -> Result<BackupSummary, BackupError> {
        let request = BackupRequest {
            job: "job".to_owned(),
            paths: paths.to_vec(),
            target: self.path("backups"),
            now: NOW,
        };
        archive::write(&request, &[&self.identity.to_public()], observer)
    }

    pub fn back_up(&self, paths: &[PathBuf]) -> BackupSummary {
        let summary = self.back_up_with(paths, &Unobserved).unwrap();
        assert_eq!(summary.warnings.first, []);
        summary
    }

    fn restore_to(
        &self,
        file: &Path,
        target: &Path,
        overwrite: bool,
    ) -> Result<archive::RestoreSummary, BackupError> {
        let options = RestoreOptions { overwrite, owners: false };
        archive::restore(file, &self.identity, target, options, &Unobserved)
    }

    pub fn restore(&self, file: &Path) -> Result<archive::RestoreSummary, BackupError> {
        self.restore_to(file, &self.path("restored"), false)
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = folder.read_dir().unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_tree_comes_back_bit_for_bit() {
    let place = Place::new();
    trees::make(&place.path("tree"));
    let summary = place.back_up(&[place.path("tree")]);
    assert_eq!(summary.file, place.path("backups/job-20260921T141320Z-1.age"));
    assert_eq!(summary.size, summary.file.metadata().unwrap().len());
    assert_eq!(summary.file.metadata().unwrap().mode() & 0o777, 0o600);
    let restored = place.restore(&summary.file).unwrap();
    assert_eq!(restored.contents, summary.contents);
    assert_eq!(restored.description.job, "job");
    assert_eq!(restored.description.created, NOW.0);
    assert_same(&place.path("tree"), &place.path("restored/tree"));
    assert_eq!(names(&place.path("restored")), ["tree"]);
}

#[test]
fn large_and_sparse_files_come_back() {
    let place = Place::new();
    fs::create_dir(place.path("tree")).unwrap();
    trees::sparse(&place.path("tree/sparse"), 100_000_000);
    for length in [65_535, 65_536, 65_537, 262_144, 3_000_001] {
        trees::write(place.path(&format!("tree/{length}")), &noise(length, length as u64));
    }
    let summary = place.back_up(&[place.path("tree")]);
    assert_eq!(summary.contents.files, 6);
    assert!(summary.size < 4_000_000, "zeros are compressed: {}", summary.size);
    place.restore(&summary.file).unwrap();
    assert_same(&place.path("tree"), &place.path("restored/tree"));
    let on_disk = |root| place.path(root).join("sparse").metadata().unwrap().blocks() * 512;
    assert!(
        on_disk("tree") < 1_000_000 && on_disk("restored/tree") < 2_000_000,
        "{}",
        on_disk("restored/tree")
    );
}

#[test]
fn the_same_second_gets_another_number_and_several_roots_stand_side_by_side() {
    let place = Place::new();
    trees::write(place.path("one"), b"1");
    symlink("one", place.path("two")).unwrap();
    fs::create_dir(place.path("three")).unwrap();
    let paths = [place.path("one"), place.path("two"), place.path("three")];
    place.back_up(&paths);
    let second = place.back_up(&paths);
    assert_eq!(second.file, place.path("backups/job-20260921T141320Z-2.age"));
    assert_eq!(names(&place.path("backups")).len(), 2);
    place.restore(&second.file).unwrap();
    assert_eq!(names(&place.path("restored")), ["one", "three", "two"]);
    let twice = [place.path("one"), place.path("three/../one")];
    assert!(matches!(place.back_up_with(&twice, &Unobserved), Err(BackupError::SameName { .. })));
}

#[test]
fn age_zstd_and_tar_read_a_backup() {
    let place = Place::new();
    trees::make(&place.path("tree"));
    let file = place.back_up(&[place.path("tree")]).file;
    let decryptor = age::Decryptor::new(File::open(file).unwrap()).unwrap();
    let decrypted = decryptor.decrypt(std::iter::once(&place.identity as &dyn age::Identity)).unwrap();
    let mut tar = tar::Archive::new(zstd::Decoder::new(decrypted).unwrap());
    tar.set_preserve_permissions(true);
    fs::create_dir(place.path("restored")).unwrap();
    // The tar crate restores neither the times of folders that it fills afterwards nor those of links.
    tar.unpack(place.path("restored")).unwrap();
    let contents = |root: &str| {
        let things = trees::snapshot(&place.path(root)).into_iter();
        let kept = things.map(|(path, thing)| match thing {
            trees::Thing::File { mode, contents, .. } => (path, mode, contents),
            trees::Thing::Folder { .. } => (path, 0, Vec::new()),
            trees::Thing::Link { target, .. } => (path, 0, target.into_encoded_bytes()),
        });
        kept.collect::<Vec<_>>()
    };
    assert_eq!(contents("tree"), contents("restored/tree"));
}

/// A small backup whose file has every part: header, several chunks, an end.
fn small_backup(place: &Place) -> (PathBuf, Vec<u8>) {
    fs::create_dir(place.path("tree")).unwrap();
    trees::write(place.path("tree/noise"), &noise(150_000, 3));
    trees::write(place.path("tree/text"), b"text");
    let file = place.back_up(&[place.path("tree")]).file;
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.len() > 2 * 65_536);
    (file, bytes)
}

fn assert_refused(place: &Place, file: &Path, what: &str) {
    let error = place.restore(file).expect_err(what);
    assert!(error.is_damage(), "{what}: {error}");
    assert!(error.to_string().contains(&*file.to_string_lossy()), "{what}: {error}");
    assert!(!place.path("restored").exists(), "{what}: something is left");
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_leaves_nothing() {
    let place = Place::new();
    let (file, bytes) = small_backup(&place);
    // Every byte of the header, and many of the rest, both ends of the chunks among them.
    let header = bytes.windows(4).position(|window| window == b"\n---").unwrap() + 64;
    let offsets = (0..header).chain((header..bytes.len()).step_by(997)).chain(bytes.len() - 20..bytes.len());
    for offset in offsets {
        let mut changed = bytes.clone();
        changed[offset] ^= 1 << (offset % 8);
        fs::write(&file, changed).unwrap();
        // A grease stanza may hold characters of which one bit makes another that is as good: the MAC finds that.
        assert_refused(&place, &file, &format!("byte {offset}"));
    }
}

#[test]
fn a_cut_or_extended_file_is_found_and_leaves_nothing() {
    let place = Place::new();
    let (file, bytes) = small_backup(&place);
    let lengths = (0..300).chain((300..bytes.len()).step_by(1009)).chain(bytes.len() - 40..bytes.len());
    for length in lengths {
        fs::write(&file, &bytes[..length]).unwrap();
        assert_refused(&place, &file, &format!("cut to {length}"));
    }
    for extra in [&b"\0"[..], b"x", &[0; 70_000]] {
        fs::write(&file, [&bytes, extra].concat()).unwrap();
        assert_refused(&place, &file, "extended");
    }
}

#[test]
fn a_failed_restore_leaves_what_was_there() {
    let place = Place::new();
    let (file, mut bytes) = small_backup(&place);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    fs::create_dir_all(place.path("restored/tree")).unwrap();
    trees::write(place.path("restored/tree/text"), b"mine");
    let before = trees::snapshot(&place.path("restored/tree"));
    assert!(place.restore_to(&file, &place.path("restored"), true).unwrap_err().is_damage());
    assert_eq!(trees::snapshot(&place.path("restored/tree")), before);
    assert_eq!(names(&place.path("restored")), ["tree"]);
}

#[test]
fn a_restore_replaces_only_what_it_is_allowed_to() {
    let place = Place::new();
    trees::make(&place.path("tree"));
    let file = place.back_up(&[place.path("tree")]).file;
    fs::create_dir_all(place.path("restored/tree/read-only folder/inner")).unwrap();
    trees::write(place.path("restored/other"), b"other");
    trees::write(place.path("restored/tree/plain.txt"), b"old");
    // A link where the backup has a folder must not lead the restore elsewhere.
    fs::create_dir(place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("restored/tree/sticky")).unwrap();
    symlink(place.path("elsewhere"), place.path("restored/tree/empty folder")).unwrap();
    let error = place.restore(&file).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--overwrite"));
    assert_eq!(fs::read(place.path("restored/tree/plain.txt")).unwrap(), b"old");
    place.restore_to(&file, &place.path("restored"), true).unwrap();
    assert_same(&place.path("tree"), &place.path("restored/tree"));
    assert_eq!(fs::read(place.path("restored/other")).unwrap(), b"other");
    assert_eq!(names(&place.path("elsewhere")), [""; 0]);

    fs::remove_file(place.path("restored/tree/empty")).unwrap();
    fs::create_dir(place.path("restored/tree/empty")).unwrap();
    trees::write(place.path("restored/tree/plain.txt"), b"kept");
    let error = place.restore_to(&file, &place.path("restored"), true).unwrap_err();
    assert!(matches!(error, BackupError::InTheWay { .. }), "{error}");
    assert_eq!(fs::read(place.path("restored/tree/plain.txt")).unwrap(), b"kept");
    assert_eq!(names(&place.path("restored")), ["other", "tree"]);
}

#[test]
fn what_somebody_puts_into_the_folder_meanwhile_is_not_replaced() {
    let place = Place::new();
    fs::create_dir(place.path("tree")).unwrap();
    trees::write(place.path("tree/file"), b"backed up");
    let file = place.back_up(&[place.path("tree")]).file;
    let act = || {
        fs::create_dir(place.path("restored/tree")).unwrap();
        trees::write(place.path("restored/tree/file"), b"mine");
    };
    let meddler = Meddler { act: Box::new(act), acted: Mutex::new(false), seen: Mutex::new(Vec::new()) };
    let target = place.path("restored");
    let error =
        archive::restore(&file, &place.identity, &target, RestoreOptions::default(), &meddler).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read(place.path("restored/tree/file")).unwrap(), b"mine");
    assert_eq!(names(&target), ["tree"]);
}

#[test]
fn what_a_killed_process_left_is_cleaned_up() {
    let place = Place::new();
    trees::write(place.path("one"), b"1");
    fs::create_dir_all(place.path("backups")).unwrap();
    trees::write(place.path("backups/.kms-client-abc.partial"), b"half");
    let busy = File::create(place.path("backups/.kms-client-def.partial")).unwrap();
    busy.lock().unwrap();
    let file = place.back_up(&[place.path("one")]).file;
    assert_eq!(names(&place.path("backups")), [".kms-client-def.partial", "job-20260921T141320Z-1.age"]);
    fs::create_dir_all(place.path("restored/.kms-client-abc.restoring/half")).unwrap();
    place.restore(&file).unwrap();
    assert_eq!(names(&place.path("restored")), ["one"]);
}

/// Removes and changes files once the first bytes of the backup were read.
struct Meddler<'a> {
    act: Box<dyn Fn() + Sync + 'a>,
    acted: Mutex<bool>,
    seen: Mutex<Vec<Warning>>,
}

impl Observer for Meddler<'_> {
    fn advanced(&self, _: u64) {
        let mut acted = self.acted.lock().unwrap();
        if !*acted {
            (self.act)();
            *acted = true;
        }
    }

    fn warned(&self, warning: &Warning) {
        self.seen.lock().unwrap().push(warning.clone());
    }
}

fn back_up_meddled(place: &Place, act: impl Fn() + Sync) -> BackupSummary {
    let meddler = Meddler { act: Box::new(act), acted: Mutex::new(false), seen: Mutex::new(Vec::new()) };
    let summary = place.back_up_with(&[place.path("tree")], &meddler).unwrap();
    assert_eq!(*meddler.seen.lock().unwrap(), summary.warnings.first);
    assert_eq!(summary.warnings.count, summary.warnings.first.len() as u64);
    place.restore(&summary.file).unwrap();
    summary
}

#[test]
fn files_that_vanish_or_change_meanwhile_are_warned_of() {
    let place = Place::new();
    fs::create_dir_all(place.path("tree/b folder")).unwrap();
    for name in ["a", "b folder/x", "c", "d"] {
        trees::write(place.path("tree").join(name), b"contents");
    }
    trees::write(place.path("tree/a"), &noise(1_000_000, 1));
    let summary = back_up_meddled(&place, || {
        File::options().append(true).open(place.path("tree/a")).unwrap().write_all(b"more").unwrap();
        fs::remove_file(place.path("tree/c")).unwrap();
        fs::remove_dir_all(place.path("tree/b folder")).unwrap();
        // A link in the place of a file is not followed.
        fs::remove_file(place.path("tree/d")).unwrap();
        symlink("/etc/passwd", place.path("tree/d")).unwrap();
    });
    let warning = |name, problem| Warning { path: place.path("tree").join(name), problem };
    let expected = [
        warning("a", Problem::Changed),
        warning("b folder", Problem::Vanished),
        warning("c", Problem::Vanished),
    ];
    assert_eq!(summary.warnings.first, expected);
    assert_eq!(fs::read(place.path("restored/tree/a")).unwrap(), noise(1_000_000, 1));
    assert!(place.path("restored/tree/d").is_symlink());
    assert!(!place.path("restored/tree/c").exists());
}

#[test]
fn a_file_that_shrinks_is_filled_with_zeros() {
    let place = Place::new();
    fs::create_dir(place.path("tree")).unwrap();
    trees::write(place.path("tree/a"), &[9; 1_000_000]);
    trees::write(place.path("tree/b"), b"whole");
    let summary = back_up_meddled(&place, || {
        File::options().write(true).open(place.path("tree/a")).unwrap().set_len(1000).unwrap();
    });
    assert_eq!(summary.warnings.first, [Warning { path: place.path("tree/a"), problem: Problem::Changed }]);
    let restored = fs::read(place.path("restored/tree/a")).unwrap();
    assert_eq!(restored.len(), 1_000_000);
    assert_eq!(restored.iter().filter(|byte| **byte != 9 && **byte != 0).count(), 0);
    assert_eq!(fs::read(place.path("restored/tree/b")).unwrap(), b"whole");
}

#[test]
fn what_is_no_file_and_the_backups_themselves_are_left_out() {
    let place = Place::new();
    fs::create_dir_all(place.path("tree/backups")).unwrap();
    std::os::unix::net::UnixListener::bind(place.path("tree/socket")).unwrap();
    trees::write(place.path("tree/backups/earlier"), b"x");
    let request = BackupRequest {
        job: "job".to_owned(),
        paths: vec![place.path("tree")],
        target: place.path("tree/backups"),
        now: NOW,
    };
    let summary = archive::write(&request, &[&place.identity.to_public()], &Unobserved).unwrap();
    let problems: Vec<_> = summary.warnings.first.iter().map(|warning| &warning.problem).collect();
    assert_eq!(problems, [&Problem::Target, &Problem::Special]);
    assert_eq!(summary.contents.folders, 1);
}

#[test]
fn a_missing_path_or_mount_point_ends_a_backup_before_it_begins() {
    let place = Place::new();
    let error = place.back_up_with(&[place.path("missing")], &Unobserved).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(!place.path("backups").exists());
    trees::write(place.path("one"), b"1");
    let request = BackupRequest {
        job: "job".to_owned(),
        paths: vec![place.path("one")],
        target: place.path("not mounted/backups"),
        now: NOW,
    };
    assert!(archive::write(&request, &[&place.identity.to_public()], &Unobserved).is_err());
    assert_eq!(names(place.folder.path()), ["one"]);
}

#[test]
fn set_user_id_bits_do_not_come_back_to_another_owner() {
    let place = Place::new();
    trees::write(place.path("tool"), b"#!/bin/sh\n");
    fs::set_permissions(place.path("tool"), Permissions::from_mode(0o6755)).unwrap();
    let file = place.back_up(&[place.path("tool")]).file;
    place.restore(&file).unwrap();
    assert_eq!(place.path("restored/tool").metadata().unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn folders_deeper_than_the_limit_are_left_out_and_said_so() {
    let place = Place::new();
    fs::create_dir_all(place.path("tree").join(["d"; 505].join("/"))).unwrap();
    trees::write(place.path("tree/z"), b"the walk goes on");
    let summary = place.back_up_with(&[place.path("tree")], &Unobserved).unwrap();
    assert_eq!(summary.contents.folders, 500);
    let problems: Vec<_> = summary.warnings.first.iter().map(|warning| &warning.problem).collect();
    assert_eq!(problems, [&Problem::TooDeep]);
    assert_eq!(place.restore(&summary.file).unwrap().contents, summary.contents);
    assert_eq!(fs::read(place.path("restored/tree/z")).unwrap(), b"the walk goes on");
}

#[test]
fn paths_longer_than_the_system_allows_come_back() {
    let place = Place::new();
    let name = "n".repeat(250);
    // From the inside out, so that no path that is used here is long.
    trees::write(place.path("inner"), b"at the end of 5,000 bytes");
    for _ in 0..20 {
        fs::create_dir(place.path("outer")).unwrap();
        fs::rename(place.path("inner"), place.path("outer").join(&name)).unwrap();
        fs::rename(place.path("outer"), place.path("inner")).unwrap();
    }
    let summary = place.back_up(&[place.path("inner")]);
    assert_eq!((summary.contents.folders, summary.contents.files), (20, 1));
    place.restore(&summary.file).unwrap();
    for _ in 0..20 {
        fs::rename(place.path("restored/inner").join(&name), place.path("restored/outer")).unwrap();
        fs::remove_dir(place.path("restored/inner")).unwrap();
        fs::rename(place.path("restored/outer"), place.path("restored/inner")).unwrap();
    }
    assert_eq!(fs::read(place.path("restored/inner")).unwrap(), b"at the end of 5,000 bytes");
}

#[test]
fn what_may_not_be_read_is_warned_of() {
    let place = Place::new();
    fs::create_dir_all(place.path("tree/folder")).unwrap();
    trees::write(place.path("tree/file"), b"secret");
    for name in ["tree/file", "tree/folder"] {
        fs::set_permissions(place.path(name), Permissions::from_mode(0o0)).unwrap();
    }
    // Root may read everything.
    let expected =
        if File::open(place.path("tree/file")).is_ok() { [""; 0].to_vec() } else { vec!["file", "folder"] };
    let summary = place.back_up_with(&[place.path("tree")], &Unobserved).unwrap();
    let warned = |warning: &Warning| {
        assert!(matches!(warning.problem, Problem::Unreadable(_)), "{warning:?}");
        warning.path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(summary.warnings.first.iter().map(warned).collect::<Vec<_>>(), expected);
}

#[test]
fn owners_come_back_where_that_is_asked_for_and_allowed() {
    let place = Place::new();
    fs::create_dir(place.path("tree")).unwrap();
    trees::write(place.path("tree/file"), b"x");
    symlink("file", place.path("tree/link")).unwrap();
    let give_away = |name| std::os::unix::fs::lchown(place.path(name), Some(4321), Some(8765));
    let is_root = ["tree", "tree/file", "tree/link"].map(give_away).iter().all(Result::is_ok);
    fs::set_permissions(place.path("tree/file"), Permissions::from_mode(0o4755)).unwrap();
    let file = place.back_up(&[place.path("tree")]).file;
    let options = RestoreOptions { overwrite: false, owners: true };
    let restore =
        |options| archive::restore(&file, &place.identity, &place.path("restored"), options, &Unobserved);
    restore(options).unwrap();
    let assert_owned = || {
        for name in ["", "file", "link"] {
            let owner = |root: &str| {
                let metadata = place.path(root).join(name).symlink_metadata().unwrap();
                (metadata.uid(), metadata.gid(), metadata.mode())
            };
            assert_eq!(owner("restored/tree/"), owner("tree/"), "{name}");
            assert_eq!(owner("tree/").0 == 4321, is_root);
        }
    };
    assert_owned();
    // So they do where folders are there already.
    fs::remove_dir_all(place.path("restored")).unwrap();
    fs::create_dir_all(place.path("restored/tree")).unwrap();
    restore(RestoreOptions { overwrite: true, owners: true }).unwrap();
    assert_owned();
}
