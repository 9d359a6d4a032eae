//! Archives that no backup made: somebody who has a job's public key can put anything into a file for it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use kms_client::backup::BackupError;
use proptest::prelude::*;

use crate::archive::{Place, names};

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
