//! Client and server killed at random instants of backup, sync, import and re-wrap: no chain becomes unreadable, no key is
//! lost, the next run goes on.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use kms_tests::chance::Chance;
use kms_tests::process::Server;
use kms_tests::repository::program;

use crate::support::{Place, assert_same, file_of, restore};

/// 20 kills; `KMS_TESTS_KILLS` sets another number.
fn kills() -> usize {
    std::env::var("KMS_TESTS_KILLS").map_or(20, |text| text.parse().unwrap())
}

/// Runs a command and kills it after some milliseconds, unless it has ended by then.
fn killed_after(place: &Place, arguments: &[OsString], milliseconds: u64) {
    let mut command = Command::new(program("kms-client"));
    command.arg("--state").arg(place.path("state")).arg("--profile").arg(place.server.profile());
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(milliseconds));
    let _ = child.kill();
    child.wait().unwrap();
}

fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).to_vec()
}

#[test]
fn whatever_is_killed_when_the_next_run_goes_on() {
    let mut place = Place::with_job();
    let mut chance = Chance::of_this_run("killed backups");
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (tree, backups) = (text(place.path("tree")), text(place.path("backups")));
    let backup = words(["backup", "docs", &tree, "--to", &backups, "--checkpoint", "200k"]);
    // Its metadata is signed, which is one more thing that may be cut off.
    place.run(["job", "set", "docs", "--sign"]);
    place.run(backup.clone());
    for round in 0..kills() {
        for name in 0..4 {
            let contents = chance.bytes(150_000);
            fs::write(place.path("tree").join(format!("large {name}")), contents).unwrap();
        }
        let command = match round % 4 {
            0 | 1 => backup.clone(),
            2 => words(["rewrap", "docs"]),
            _ => {
                let job = place.run(["job", "show", "docs"]);
                let keys = job["keys"].as_array().unwrap().clone();
                let newest = keys.last().unwrap()["private_id"].as_str().unwrap().to_owned();
                let _ = place.server.ctl(&["key", "rotate", &newest]).success();
                words(["sync"])
            }
        };
        let instant = chance.below(120) as u64;
        if round % 5 == 4 {
            place = server_killed(place, &command, instant);
        } else {
            killed_after(&place, &command, instant);
        }
        place.run(["sync"]);
        let event = place.run(backup.clone());
        let target = format!("restored {round}");
        place.assert_restores(&place.client, &file_of(&event), &target);
        fs::remove_dir_all(place.path(&target)).unwrap();
        import_killed(&place, &file_of(&event), round, chance.below(60) as u64);
    }
    // No file of any time became unreadable.
    let mut restored = 0;
    let mut files: Vec<_> =
        place.path("backups").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "age"));
    for file in files.iter().rev().take(kills().max(30)) {
        let target = place.path("each");
        let finished = restore(&place.client, file, &target);
        let part = finished.stderr.contains("knows of no point that it ends");
        assert!(finished.code == Some(0) || part, "{}: {}", file.display(), finished.stderr);
        restored += usize::from(!part);
        let _ = fs::remove_dir_all(target);
    }
    assert!(restored > 0);
    assert!(files.iter().all(|file| !file.to_string_lossy().contains(".partial")));
}

/// An import that is killed leaves nothing that keeps the next from succeeding.
fn import_killed(place: &Place, newest: &std::path::Path, round: usize, instant: u64) {
    if round % 4 != 1 {
        return;
    }
    let name = newest.file_name().unwrap().to_str().unwrap();
    let stem = name.split('.').next().unwrap();
    let metadata = place.path("backups").join(format!("{stem}.chain"));
    let state = place.path(&format!("importing {round}"));
    let mut command = Command::new(program("kms-client"));
    command
        .arg("--state")
        .arg(&state)
        .arg("--profile")
        .arg(place.server.profile())
        .arg("import")
        .arg(&metadata);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(instant));
    let _ = child.kill();
    child.wait().unwrap();
    let client = kms_tests::process::Client::new(&state, &place.server.profile());
    let _ = client.run(["import".as_ref(), metadata.as_os_str()]).success();
    let target = place.path("imported");
    let _ = restore(&client, newest, &target).success();
    assert_same(&place.path("tree"), &target.join("tree"));
    fs::remove_dir_all(target).unwrap();
}

/// Kills the server under the command, waits for what the command makes of it, and starts the server again.
fn server_killed(place: Place, command: &[OsString], instant: u64) -> Place {
    let Place { folder, server, client } = place;
    let (state, address) = (folder.path().join("kms"), server.listen.clone());
    let mut child = Command::new(program("kms-client"));
    child.arg("--state").arg(folder.path().join("state")).arg("--profile").arg(server.profile());
    let mut child =
        child.args(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(instant));
    server.kill();
    // It ends by itself: done before, or saying that the KMS is down.
    child.wait().unwrap();
    let server = Server::start(&state, &address);
    Place { folder, server, client }
}
