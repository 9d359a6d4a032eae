//! New headers for old backups: the data stays, the key that opens it changes.

use std::fs;
use std::io::Read;

use kms_client::backup::archive::facts;
use kms_client::backup::jobs::ReadyJob;
use kms_client::backup::rewrap::rewrap;
use kms_client::backup::state::State;
use kms_client::cli::Exit;

use crate::archive::names;
use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees::{self, assert_same};

/// Everything behind the header.
fn payload(file: &str) -> Vec<u8> {
    let length = facts(file.as_ref()).unwrap().length as usize;
    let bytes = fs::read(file).unwrap();
    bytes[bytes.len() - length - 16..].to_vec()
}

#[test]
fn after_a_rotation_the_newest_key_alone_opens_everything() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    let mut files = Vec::new();
    for number in 1..=3 {
        trees::write(installation.path("tree").join(format!("file {number}")), b"x");
        files.push(installation.back_up().to_string_lossy().into_owned());
        kms.rotate();
        installation.run("sync").done();
    }
    let before: Vec<_> = files.iter().map(|file| payload(file)).collect();
    let usage = || installation.run("key usage --json").events();
    let files_of = |private_id: &str| {
        usage().iter().find(|usage| usage["private_id"] == private_id).unwrap()["files"].as_u64().unwrap()
    };
    assert_eq!([1, 2, 3, 4].map(|id| files_of(&format!("private-{id}"))), [1, 1, 1, 0]);
    assert_eq!(usage()[3]["current"], true);

    let calls = kms.unwrap_calls();
    let done = installation.run("rewrap docs --json").events().pop().unwrap();
    assert_eq!((&done["changed"], &done["unchanged"], &done["failed"]), (&3.into(), &0.into(), &0.into()));
    assert_eq!(kms.unwrap_calls() - calls, 1);
    assert_eq!(before, files.iter().map(|file| payload(file)).collect::<Vec<_>>());
    assert_eq!([1, 2, 3, 4].map(|id| files_of(&format!("private-{id}"))), [0, 0, 0, 3]);
    let again = installation.run("rewrap docs --json").events().pop().unwrap();
    assert_eq!((&again["changed"], &again["unchanged"]), (&0.into(), &3.into()));

    for id in 1..=3 {
        kms.destroy(&format!("private-{id}"));
    }
    installation.run(&format!("restore {} --to @restored", files[2])).done();
    assert_same(&installation.path("tree"), &installation.path("restored/tree"));
    let next = installation.run("backup docs @tree --to @backups --json").events().pop().unwrap();
    assert_eq!(next["number"], 4, "the chain goes on");
    // Another program that knows age alone sees a valid file.
    let mut header = String::new();
    fs::File::open(&files[0]).unwrap().take(21).read_to_string(&mut header).unwrap();
    assert_eq!(header, "age-encryption.org/v1");
}

#[test]
fn a_header_that_was_altered_stays_since_something_may_still_open_it() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    let first = installation.back_up();
    trees::write(installation.path("tree/second"), b"x");
    let second = installation.back_up();
    kms.rotate();
    installation.run("sync").done();
    // The first file's header gets the wrapped key of the second.
    let (kept, other) = (fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let stanza = |bytes: &[u8]| bytes.windows(4).position(|found| found == b"\n---").unwrap();
    let forged = [&other[..stanza(&other)], &kept[stanza(&kept)..]].concat();
    fs::write(&first, &forged).unwrap();
    let name = first.to_string_lossy().into_owned();
    installation.run("rewrap docs").failed(Exit::Partly, &[&name, "its header was altered"]);
    assert_eq!(fs::read(&first).unwrap(), forged);
    // Nor is a file taken that is another than the chain's.
    fs::write(&first, &other).unwrap();
    installation
        .run("rewrap docs")
        .failed(Exit::Partly, &[&name, "not the file that its chain was made with"]);
    fs::write(&first, &kept).unwrap();
    installation.run("rewrap docs").done();
    kms.destroy("private-1");
    installation.run(&format!("restore {} --to @restored", second.display())).done();
}

#[test]
fn a_rewrap_that_was_stopped_goes_on_and_a_file_that_cannot_be_opened_stays_as_it_is() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    let first = installation.back_up();
    kms.rotate();
    installation.run("sync").done();
    trees::write(installation.path("tree/second"), b"x");
    installation.back_up();
    kms.rotate();
    installation.run("sync").done();
    kms.destroy("private-2");
    let ended = installation.run("rewrap docs --json");
    assert_eq!(ended.events().last().unwrap()["changed"], 1);
    ended.failed(Exit::Partly, &["key private-2", "Item Not Found"]);
    installation.run(&format!("restore {} --to @restored", first.display())).done();
    kms.set_down(true);
    installation.run("rewrap docs").failed(Exit::Partly, &["connection refused"]);
    kms.set_down(false);
    assert_eq!(names(&installation.path("backups")).len(), 3, "nothing half made is left");
    installation.run("rewrap docs --chain none").failed(Exit::Failed, &["no chain named", "hint: "]);
}

#[test]
fn backups_move_to_a_password_and_to_another_kms() {
    let (old, new) = (FakeKms::default(), FakeKms::default());
    let installation = Installation::with_job(&old);
    let file = installation.back_up().to_string_lossy().into_owned();
    trees::write(installation.path("secret"), b"correct horse");
    installation.run("job set docs --password-file @secret --hint animal").done();
    installation.run("rewrap docs").done();
    old.set_down(true);
    installation.run(&format!("restore {file} --to @one --password-file @secret")).done();
    installation.put_kms("new:5696", &new);
    installation.run("server add new --address new:5696").done();
    installation.run("job create moved --key rsa-2048 --server new").done();
    installation.run("rewrap docs --with moved").failed(Exit::Partly, &["needs a password"]);
    installation.run("rewrap docs --with moved --password-file @secret").done();
    installation.run(&format!("restore {file} --to @two")).done();
    assert_same(&installation.path("tree"), &installation.path("two/tree"));
    let metadata = file.replace(".age", ".chain");
    installation.run(&format!("restore {metadata} --to @three")).done();
}

#[test]
fn a_backup_that_ends_before_a_rewrap_begins_is_not_forgotten() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    installation.back_up();
    let state = State::new(&installation.path("state"));
    let chain = state.database().unwrap().chains().unwrap().remove(0);
    trees::write(installation.path("tree").join("later"), b"x");
    installation.back_up();
    kms.rotate();
    installation.run("sync").done();
    let ready = ReadyJob::load(&state.database().unwrap(), "docs").unwrap();
    let done =
        installation.with_unlocker(|state, unlocker| rewrap(state, &chain, &ready, unlocker, None, &|_| {}));
    done.unwrap();
    let next = installation.run("backup docs @tree --to @backups --json").events().pop().unwrap();
    assert_eq!(next["number"], 3, "the chain goes on");
}
