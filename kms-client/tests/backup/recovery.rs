//! Password loss protection: backups open through the Enterprise Manager although nothing else opens them any more.

use std::fs;

use kms_client::cli::Exit;

use crate::archive::names;
use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees::{self, assert_same};

/// A chain of a KMS job and one of a password job, both protected; returns their newest files.
fn protected(backups: &Installation, manager: &Installation) -> Vec<String> {
    trees::write(backups.path("secret"), b"correct horse");
    let made = manager.run("recovery new --out @em.key").done();
    backups.run(format!("recovery enable {made}").trim_end()).done();
    backups.run("job create offsite --password-file @secret --hint animal").done();
    let mut files = Vec::new();
    for job in ["docs", "offsite"] {
        for _ in 0..2 {
            trees::write(backups.path("tree").join(format!("new in {job} {}", files.len())), b"x");
            let file = backups.run(&format!("backup {job} @tree --to @backups")).done();
            files.push(file.trim_end().to_owned());
        }
    }
    vec![files[1].clone(), files[3].clone()]
}

#[test]
fn the_enterprise_manager_opens_what_the_kms_and_the_password_opened() {
    let kms = FakeKms::default();
    let backups = Installation::with_job(&kms);
    let manager = Installation::new(&FakeKms::default());
    let files = protected(&backups, &manager);
    // The KMS is gone for good, the password forgotten.
    kms.set_down(true);
    let list = files.join(" ");
    backups
        .run(&format!("restore {list} --to @lost"))
        .failed(Exit::Failed, &["connection refused", "password"]);
    backups.run(&format!("recovery request {list} --out @request")).done();
    let request = fs::read_to_string(backups.path("request")).unwrap();
    assert!(request.contains("docs-") && !request.contains("AGE-SECRET-KEY"), "{request}");

    fs::copy(backups.path("request"), manager.path("request")).unwrap();
    let answered = manager.run("recovery answer @request --key @em.key --out @answer");
    assert!(answered.stderr.contains("asked for the key of docs-"), "{}", answered.stderr);
    answered.done();
    fs::copy(manager.path("answer"), backups.path("answer")).unwrap();
    backups.run(&format!("restore {list} --to @restored --recovery @answer")).done();
    let newest = std::path::Path::new(&files[1]).file_stem().unwrap();
    assert_same(&backups.path("tree"), &backups.path("restored").join(newest).join("tree"));
    // The answer is for whoever asked.
    let other = Installation::new(&kms);
    fs::copy(backups.path("answer"), other.path("answer")).unwrap();
    other
        .run(&format!("restore {list} --to @restored --recovery @answer"))
        .failed(Exit::Damaged, &["answers no request of this installation"]);

    // A new KMS takes over what the old one had.
    let new = FakeKms::default();
    backups.put_kms("new:5696", &new);
    backups.run("server add new --address new:5696").done();
    backups.run("job create moved --key rsa-2048 --server new").done();
    backups.run("rewrap docs --with moved --recovery @answer").done();
    backups.run(&format!("restore {} --to @moved", files[0])).done();
}

#[test]
fn what_was_written_without_protection_is_said_to_be_lost() {
    let kms = FakeKms::default();
    let backups = Installation::with_job(&kms);
    let manager = Installation::new(&kms);
    let before = backups.back_up();
    backups
        .run(&format!("recovery request {} --out @request", before.display()))
        .failed(Exit::Damaged, &["without password loss protection"]);
    backups.run("recovery enable age1nonsense").failed(Exit::Failed, &["is no Enterprise Manager key"]);
    let files = protected(&backups, &manager);
    let status = backups.run("status").stdout;
    assert!(status.contains("password loss protection: age1"), "{status}");

    manager.run("recovery new --out @other.key").done();
    manager.run("recovery new --out @other.key").failed(Exit::Failed, &["cannot write the key", "exists"]);
    // The first chain's full backup is not protected, so that a new chain has to begin.
    let full = backups.run("backup docs @tree --to @backups --full").done();
    backups.run(&format!("recovery request {} --out @request", full.trim_end())).done();
    fs::copy(backups.path("request"), manager.path("request")).unwrap();
    manager
        .run("recovery answer @request --key @other.key --out @answer")
        .failed(Exit::Damaged, &["opens none of its files"]);
    manager
        .run("recovery answer @request --key @request --out @answer")
        .failed(Exit::Failed, &["AGE-SECRET-KEY-1"]);
    trees::write(manager.path("request"), b"{}");
    manager
        .run("recovery answer @request --key @em.key --out @answer")
        .failed(Exit::Damaged, &["is no recovery request"]);
    backups.run("recovery disable").done();
    let after = backups.run("backup docs @tree --to @backups").done();
    backups
        .run(&format!("recovery request {} --out @again", after.trim_end()))
        .failed(Exit::Damaged, &["without password loss protection"]);
    drop(files);
}

#[test]
fn a_new_enterprise_manager_opens_old_backups_once_their_headers_are_written_anew() {
    let kms = FakeKms::default();
    let backups = Installation::with_job(&kms);
    let (old, new) = (Installation::new(&FakeKms::default()), Installation::new(&FakeKms::default()));
    let enable = |manager: &Installation| {
        let made = manager.run("recovery new --out @em.key").done();
        backups.run(format!("recovery enable {made}").trim_end()).done();
    };
    enable(&old);
    backups.back_up();
    enable(&new);
    let rewrap = || backups.run("rewrap docs --json").events().pop().unwrap();
    assert_eq!(rewrap()["changed"], 1);
    let again = rewrap();
    assert_eq!((&again["changed"], &again["unchanged"]), (&0.into(), &1.into()));
    let chain = backups.path("backups").join(names(&backups.path("backups")).remove(0));
    backups.run(&format!("recovery request {} --out @request", chain.display())).done();
    let request = backups.path("request").display().to_string();
    old.run(&format!("recovery answer {request} --key @em.key --out @answer"))
        .failed(Exit::Damaged, &["opens none of its files"]);
    new.run(&format!("recovery answer {request} --key @em.key --out @answer")).done();
    // Names in a request are somebody else's words.
    let odd = fs::read_to_string(&request).unwrap().replace("docs-", "\\u001b[2Jdocs-");
    trees::write(new.path("odd"), odd.as_bytes());
    let answered = new.run("recovery answer @odd --key @em.key --out @again");
    assert!(answered.stderr.contains("\\u{1b}[2Jdocs-"), "{}", answered.stderr);
}
