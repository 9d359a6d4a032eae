//! Imports: automatic where the KMS is connected, and by hand exactly where something is missing.

use std::fs;

use kms_client::cli::Exit;
use serde_json::Value;

use crate::archive::names;
use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees::{self, assert_same};

const CERTIFICATES: &str =
    "--ca @.kms-dev/ca.pem --certificate @.kms-dev/client.pem --key @.kms-dev/client.key";

/// A chain of three generations in `old`; returns the path without ending.
fn chain(old: &Installation, kms: &FakeKms) -> String {
    for generation in 1..=3 {
        trees::write(old.path("tree").join(format!("generation {generation}")), b"x");
        old.back_up();
        kms.rotate();
        old.run("sync").done();
    }
    let last = old.back_up().to_string_lossy().into_owned();
    last.strip_suffix(".0004.age").unwrap().to_owned()
}

/// An installation without a KMS.
fn unconnected(kms: &FakeKms) -> Installation {
    let new = Installation::new(kms);
    fs::remove_file(new.path(".kms-dev/client.toml")).unwrap();
    new
}

fn restore_path(event: &Value) -> &str {
    event["restore"].as_str().unwrap()
}

#[test]
fn where_the_kms_is_connected_an_import_needs_nobody_and_the_job_goes_on() {
    let kms = FakeKms::default();
    let old = Installation::with_job(&kms);
    let stem = chain(&old, &kms);
    for what in [format!("{stem}.chain"), format!("{stem}.age"), old.path("backups").display().to_string()] {
        let new = Installation::new(&kms);
        new.run("server add lab").done();
        let imported = new.run(&format!("import {what} --json")).events().pop().unwrap();
        assert_eq!((&imported["event"], &imported["files"]), (&"imported".into(), &4.into()), "{what}");
        new.run(&format!("restore {} --to @restored", restore_path(&imported))).done();
        assert_same(&old.path("tree"), &new.path("restored/tree"));
        let listed = new.run("chain list --json").events();
        assert_eq!((listed.len(), &listed[0]["complete"]), (1, &4.into()));
        let shown = new.run(&format!("chain show {} --json", listed[0]["chain"].as_str().unwrap())).events();
        assert_eq!(shown.len(), 4);
    }
    // A copy as it was earlier is imported as what it is.
    fs::create_dir(old.path("copy")).unwrap();
    let name = std::path::Path::new(&stem).file_name().unwrap().to_str().unwrap();
    for ending in ["age", "0002.age"] {
        fs::copy(format!("{stem}.{ending}"), old.path("copy").join(format!("{name}.{ending}"))).unwrap();
    }
    old.run("import @copy").done();
    let shown = old.run(&format!("chain show {name} --json")).events();
    assert_eq!(shown.len(), 2, "{shown:?}");
    // The database is lost, the backups are not: the job goes on with its chain.
    fs::remove_dir_all(old.path("state")).unwrap();
    old.run("server add lab").done();
    old.run(&format!("import {stem}.chain")).done();
    old.run("job create docs --key rsa-2048").done();
    trees::write(old.path("tree/after"), b"after");
    let next = old.run("backup docs @tree --to @backups --json").events().pop().unwrap();
    assert_eq!((&next["number"], &next["stored_files"]), (&5.into(), &1.into()));
}

#[test]
fn an_import_by_metadata_needs_the_newest_key_and_by_a_backup_file_all_of_them() {
    let kms = FakeKms::default();
    let old = Installation::with_job(&kms);
    let stem = chain(&old, &kms);
    for number in 1..=3 {
        kms.destroy(&format!("private-{number}"));
    }
    let new = Installation::new(&kms);
    new.run("server add lab").done();
    new.run(&format!("import {stem}.age")).failed(Exit::Failed, &["key private-1", "Item Not Found"]);
    let before = kms.unwrap_calls();
    new.run(&format!("import {stem}.chain")).done();
    assert_eq!(kms.unwrap_calls() - before, 2, "the metadata's own key, then all file keys at once");
}

#[test]
fn one_chain_may_need_several_servers() {
    let (first, second) = (FakeKms::default(), FakeKms::default());
    let old = Installation::with_job(&first);
    old.back_up();
    old.put_kms("second:5696", &second);
    second.rotate();
    old.run("server add second --address second:5696").done();
    old.run("job create other --key rsa-2048 --server second").done();
    // Another job of another KMS, in the same folder.
    old.run("backup other @tree --to @backups").done();

    let new = unconnected(&first);
    new.put_kms("second:5696", &second);
    new.run(&format!("server add a --address 127.0.0.1:5696 {CERTIFICATES}")).done();
    new.run(&format!("server add b --address second:5696 {CERTIFICATES}")).done();
    let imported = new.run(&format!("import {} --json", old.path("backups").display())).events();
    assert_eq!(imported.len(), 2);
    for (number, event) in imported.iter().enumerate() {
        new.run(&format!("restore {} --to @restored-{number}", restore_path(event))).done();
        assert_same(&old.path("tree"), &new.path(&format!("restored-{number}")).join("tree"));
    }
}

#[test]
fn situation_a_an_import_without_the_kms_says_what_it_needs_and_goes_on_once_it_is_added() {
    let kms = FakeKms::default();
    let old = Installation::with_job(&kms);
    let stem = chain(&old, &kms);
    let new = unconnected(&kms);
    let refused = new.run(&format!("import {stem}.chain"));
    refused.failed(
        Exit::Failed,
        &["needs key private-4 of KMS server \"lab\" at 127.0.0.1:5696", "waits", "hint: register that KMS"],
    );
    let status = new.run("status");
    assert_eq!(status.exit, Exit::Partly);
    assert!(status.stdout.contains("needs key private-4"), "{}", status.stdout);
    kms.set_down(true);
    let added = new.run(&format!("server add lab --address 127.0.0.1:5696 {CERTIFICATES}"));
    assert!(added.stderr.contains("connection refused"), "{}", added.stderr);
    added.done();
    kms.set_down(false);
    let went_on = new.run("import --continue").done();
    assert!(went_on.contains("job docs, 4 files"), "{went_on}");
    assert_eq!(new.run("import --continue").done(), "");
    let listed = new.run("chain list --json").events();
    assert_eq!(listed[0]["complete"], 4);

    let newer = unconnected(&kms);
    newer.run(&format!("import {stem}.age")).failed(Exit::Failed, &["needs key private-1", "waits"]);
    let added = newer.run(&format!("server add lab --address 127.0.0.1:5696 {CERTIFICATES}")).done();
    assert!(added.contains("job docs, 4 files"), "{added}");
}

#[test]
fn situation_b_a_mixed_chain_asks_for_its_passwords_by_their_hints() {
    let kms = FakeKms::default();
    let old = Installation::with_job(&kms);
    trees::write(old.path("first"), b"correct horse");
    trees::write(old.path("second"), b"battery staple");
    old.back_up();
    old.run("job set docs --password-file @first --hint animal").done();
    trees::write(old.path("tree/with the first"), b"1");
    old.back_up();
    old.run("job set docs --password-file @second --hint device").done();
    trees::write(old.path("tree/with the second"), b"2");
    let last = old.back_up();
    let full = last.to_string_lossy().replace(".0003", "");

    let new = Installation::new(&kms);
    new.run("server add lab").done();
    new.run(&format!("import {full}")).failed(Exit::Failed, &["needs a password", "animal", "waits"]);
    let passwords = format!("--password-file {}", old.path("first").display());
    new.run(&format!("import {full} {passwords}")).failed(Exit::Failed, &["no password", "device"]);
    let passwords = format!("{passwords} --password-file {}", old.path("second").display());
    new.run(&format!("import {full} {passwords}")).done();
    new.run(&format!("restore {} --to @restored {passwords}", last.display())).done();
    assert_same(&old.path("tree"), &new.path("restored/tree"));
}

#[test]
fn nothing_of_a_damaged_or_incomplete_chain_is_imported() {
    let kms = FakeKms::default();
    let old = Installation::with_job(&kms);
    let stem = chain(&old, &kms);
    let new = Installation::new(&kms);
    new.run("server add lab").done();
    let third = format!("{stem}.0003.age");
    let kept = fs::read(&third).unwrap();
    fs::write(&third, &kept[..kept.len() - 1]).unwrap();
    new.run(&format!("import {stem}.chain")).failed(Exit::Damaged, &[&third]);
    fs::remove_file(&third).unwrap();
    new.run(&format!("import {stem}.chain")).failed(Exit::Failed, &[&third]);
    fs::write(&third, kept).unwrap();
    let mut chain = fs::read(format!("{stem}.chain")).unwrap();
    let last = chain.len() - 1;
    chain[last] ^= 1;
    fs::write(format!("{stem}.chain"), chain).unwrap();
    new.run(&format!("import {stem}.chain")).failed(Exit::Damaged, &[".chain is damaged"]);
    assert_eq!(new.run("chain list").done(), "");
    assert!(!names(&new.path("state")).contains(&"manifests".to_owned()));
    new.run(&format!("import {stem}.age")).done();
}
