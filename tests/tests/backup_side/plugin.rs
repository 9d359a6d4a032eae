//! age-plugin-kmip with the published rage: an unmodified program encrypts to a key in the KMS and opens our backups.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kms_tests::process::{Finished, finish};
use kms_tests::repository::{program, root};
use kms_tests::skip;

use crate::support::{Place, assert_same, file_of};

/// The published rage: `KMS_TESTS_RAGE`, or where `.ci/run` installs it.
pub fn rage(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("KMS_TESTS_RAGE").map(PathBuf::from);
    let program = given.unwrap_or_else(|| root().join("target/interop/bin/rage"));
    if !program.is_file() {
        skip(test, "rage is not there: cargo install rage --locked --root target/interop");
        return None;
    }
    Some(program)
}

pub fn run<S: AsRef<OsStr>>(rage: &PathBuf, arguments: impl IntoIterator<Item = S>) -> Finished {
    let plugins = program("age-plugin-kmip").parent().unwrap().to_owned();
    let path = std::env::join_paths([plugins, "/usr/bin".into(), "/bin".into()]).unwrap();
    finish(Command::new(rage).args(arguments).env("PATH", path))
}

#[test]
fn rage_encrypts_to_a_key_in_the_kms_and_opens_our_backups() {
    let Some(rage) = rage("rage_encrypts_to_a_key_in_the_kms") else { return };
    let place = Place::with_job();
    let identity = place.path("identity");
    let printed = place.run(["plugin", "identity", "lab"])["identity"].as_str().unwrap().to_owned();
    fs::write(&identity, format!("{printed}\n")).unwrap();
    let recipient = place.run(["plugin", "recipient", "docs"])["recipient"].as_str().unwrap().to_owned();

    let (plain, encrypted, back) = (place.path("plain"), place.path("plain.age"), place.path("back"));
    fs::write(&plain, b"through the plugin\n").unwrap();
    let line = ["-r", &recipient, "-o"].map(OsStr::new);
    let _ = run(&rage, line.into_iter().chain([encrypted.as_os_str(), plain.as_os_str()])).success();
    let decrypt = |from: &PathBuf, to: &PathBuf| {
        let arguments = [
            OsStr::new("-d"),
            "-i".as_ref(),
            identity.as_os_str(),
            "-o".as_ref(),
            to.as_os_str(),
            from.as_os_str(),
        ];
        run(&rage, arguments)
    };
    let _ = decrypt(&encrypted, &back).success();
    assert_eq!(fs::read(&back).unwrap(), b"through the plugin\n");

    // A backup, and one whose header was written anew for another key: rage decrypts, zstd and tar do the rest.
    let first = file_of(&place.back_up());
    place.rotate();
    place.run(["rewrap", "docs"]);
    let archive = place.path("archive");
    let _ = decrypt(&first, &archive).success();
    let tar = zstd::decode_all(fs::File::open(&archive).unwrap()).unwrap();
    fs::create_dir(place.path("unpacked")).unwrap();
    fs::write(place.path("archive.tar"), tar).unwrap();
    let tar = finish(
        Command::new("tar").arg("-xpf").arg(place.path("archive.tar")).arg("-C").arg(place.path("unpacked")),
    );
    let _ = tar.success();
    assert_same(&place.path("tree"), &place.path("unpacked/tree"));

    // The KMS says no: rage says why.
    let Place { folder, server, .. } = place;
    server.kill();
    let refused = decrypt(&encrypted, &folder.path().join("none"));
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("KMS server") && refused.stderr.contains("lab"), "{}", refused.stderr);
}

#[test]
fn the_plugin_started_by_hand_says_what_it_is_for() {
    let finished = finish(&mut Command::new(program("age-plugin-kmip")));
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("kms-client plugin recipient"), "{}", finished.stderr);
}
