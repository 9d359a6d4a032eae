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
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use crate::trees::{self, assert_same, noise};

const NOW: DateTime = DateTime(1_790_000_000);

/// A place for one test: what is backed up, where to, and age's own kind of key.
pub struct Place {
    pub folder: TempDir,
    identity: x25519::Identity,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempdir().unwrap(), identity: x25519::Identity::generate() }
    }

    fn path(&self, name: &str) -> PathBuf {
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

    fn back_up(&self, paths: &[PathBuf]) -> BackupSummary {
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

    fn restore(&self, file: &Path) -> Result<archive::RestoreSummary, BackupError> {
        self.restore_to(file, &self.path("restored"), false)
    }
}

fn names(folder: &Path) -> Vec<String> {
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

/// A backup file with any archive in it, as somebody could make who has the public key.
fn forge(place: &Place, tar: &[u8]) -> PathBuf {
    let path = place.path("forged.age");
    let recipient = place.identity.to_public();
    let encryptor =
        age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
    let mut stream = encryptor.wrap_output(File::create(&path).unwrap()).unwrap();
    stream.write_all(&zstd::encode_all(tar, 1).unwrap()).unwrap();
    stream.finish().unwrap();
    path
}

/// Kind, name, link target and contents.
type Forged<'a> = (tar::EntryType, &'a str, &'a str, &'a [u8]);

fn described(entries: &[Forged<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let comment = r#" comment={"format":1,"job":"forged","created":0}"#;
    let record = format!("{}{comment}\n", comment.len() + 3);
    let mut all = vec![(tar::EntryType::XGlobalHeader, "g", "", record.as_bytes())];
    all.extend_from_slice(entries);
    for (kind, name, target, data) in all {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_forged_archive_cannot_leave_its_folder() {
    use tar::EntryType::{Block, Directory, Link, Regular, Symlink, XHeader};
    let place = Place::new();
    let outside = place.path("outside");
    fs::create_dir(&outside).unwrap();
    let outside = outside.to_str().unwrap();
    let inside_link = [(Symlink, "link", outside, &b""[..]), (Regular, "link/file", "", b"x")];
    let folder_over_link =
        [(Symlink, "d", outside, &b""[..]), (Directory, "d/", "", b""), (Regular, "d/f", "", b"x")];
    let left_folder = [(Directory, "a/", "", &b""[..]), (Regular, "b", "", b"x"), (Regular, "a/f", "", b"x")];
    let absolute = format!("{outside}/file");
    let forged: [(&str, &[Forged<'_>]); 15] = [
        ("parent", &[(Regular, "../outside/file", "", b"x")]),
        ("parent within", &[(Directory, "a/", "", b""), (Regular, "a/../../outside/file", "", b"x")]),
        ("absolute", &[(Regular, &absolute, "", b"x")]),
        ("through a link", &inside_link),
        ("a folder over a link", &folder_over_link),
        ("into a folder that was left", &left_folder),
        ("no folder", &[(Regular, "a/file", "", b"x")]),
        ("the same file twice", &[(Regular, "file", "", b"x"), (Regular, "file", "", b"y")]),
        ("empty name", &[(Regular, "", "", b"x")]),
        ("dot", &[(Directory, "./", "", b"")]),
        ("hard link", &[(Link, "passwd", "/etc/passwd", b"")]),
        ("device", &[(Block, "disk", "", b"")]),
        ("bad extended header", &[(XHeader, "x", "", b"99 mtime=1\n"), (Regular, "file", "", b"x")]),
        ("bad time", &[(XHeader, "x", "", b"14 mtime=when\n"), (Regular, "file", "", b"x")]),
        ("link with contents", &[(Symlink, "link", "a", b"x")]),
    ];
    for (what, entries) in forged {
        let file = forge(&place, &described(entries));
        let error = place.restore(&file).expect_err(what);
        assert!(
            error.to_string().contains("forged.age") || error.to_string().contains("restored"),
            "{what}: {error}"
        );
        assert!(!place.path("restored").exists(), "{what}");
        assert_eq!(names(Path::new(outside)), [""; 0], "{what}");
    }
}

#[test]
fn archives_of_another_kind_are_refused_with_the_reason() {
    let place = Place::new();
    let cases: [(&str, Vec<u8>); 5] = [
        ("no description", {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            builder.append_data(&mut header, "a", &b""[..]).unwrap();
            builder.into_inner().unwrap()
        }),
        ("nothing", vec![0; 1024]),
        ("archive", vec![b'?'; 2048]),
        ("after its end", [described(&[]), vec![0; 512], b"more".to_vec()].concat()),
        ("format 9", {
            let comment = r#" comment={"format":9,"new":[1]}"#;
            let record = format!("{}{comment}\n", comment.len() + 3);
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::XGlobalHeader);
            header.set_size(record.len() as u64);
            header.set_cksum();
            let mut builder = tar::Builder::new(Vec::new());
            builder.append(&header, record.as_bytes()).unwrap();
            builder.into_inner().unwrap()
        }),
    ];
    for (reason, tar) in cases {
        let error = place.restore(&forge(&place, &tar)).expect_err(reason);
        assert!(matches!(error, BackupError::NotABackup { .. }), "{reason}: {error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert!(!place.path("restored").exists());
    }
}

#[test]
fn long_names_and_headers_of_a_forged_archive_take_no_memory() {
    use tar::EntryType::{GNULongLink, GNULongName, Regular, XHeader};
    let place = Place::new();
    let long = vec![b'a'; 1_000_000];
    for kind in [GNULongName, GNULongLink, XHeader] {
        let tar = described(&[(kind, "l", "", &long), (Regular, "f", "", b"x")]);
        let error = place.restore(&forge(&place, &tar)).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }
}

#[test]
fn a_window_that_takes_too_much_memory_is_refused() {
    let place = Place::new();
    let mut compressed = Vec::new();
    let mut encoder = zstd::Encoder::new(&mut compressed, 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&described(&[])).unwrap();
    encoder.finish().unwrap();
    let path = place.path("forged.age");
    fs::write(&path, age::encrypt(&place.identity.to_public(), &compressed).unwrap()).unwrap();
    assert!(matches!(place.restore(&path), Err(BackupError::NotABackup { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing that decrypts makes a restore panic, whatever it decompresses to.
    #[test]
    fn any_archive_is_restored_or_refused(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let place = Place::new();
        let mut tar = described(&[
            (tar::EntryType::Directory, "a/", "", b""),
            (tar::EntryType::XHeader, "x", "", b"13 mtime=1.5\n"),
            (tar::EntryType::Regular, "a/f", "", b"contents"),
            (tar::EntryType::GNULongName, "l", "", b"a/long\0"),
            (tar::EntryType::Symlink, "short", "target", b""),
        ]);
        for (index, byte) in &flips {
            let at = index.index(tar.len());
            tar[at] = *byte;
        }
        tar.truncate(tar.len() - cut.index(600));
        let file = forge(&place, &tar);
        let result = place.restore(&file);
        prop_assert_eq!(result.is_ok(), place.path("restored").exists());
        prop_assert!(names(place.folder.path()).iter().all(|name| name == "forged.age" || name == "restored"));
    }
}
