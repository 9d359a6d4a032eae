//! Signed metadata: who can write into a repository and knows the job's public key still cannot pass a chain off as the job's.

use std::fs;
use std::path::{Path, PathBuf};

use kms_client::backup::archive::facts;
use kms_client::backup::chains::{Chain, ChainFile, metadata};
use kms_client::backup::jobs::ReadyJob;
use kms_client::backup::state::State;
use kms_client::cli::Exit;

use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees::{self, assert_same};

/// A signed chain of three points, its files, and its metadata.
struct Signed {
    kms: FakeKms,
    installation: Installation,
    files: Vec<PathBuf>,
    metadata: PathBuf,
}

impl Signed {
    fn new() -> Self {
        let kms = FakeKms::default();
        let installation = Installation::with_job(&kms);
        installation.run("job set docs --sign").done();
        let mut files = Vec::new();
        for number in 1..=3 {
            trees::write(installation.path("tree").join(format!("file {number}")), &[number; 3000]);
            files.push(installation.back_up());
        }
        let metadata = files[0].with_extension("chain");
        Self { kms, installation, files, metadata }
    }

    /// A new installation of the same KMS.
    fn other(&self) -> Installation {
        let other = Installation::new(&self.kms);
        other.run("server add lab").done();
        other
    }

    /// An import by a new installation, and a restore here of the newest file and of the metadata, name `culprit`.
    #[track_caller]
    fn assert_detected(&self, culprit: &Path, what: &str) {
        let name = culprit.file_name().unwrap().to_str().unwrap();
        let other = self.other();
        let import = format!("import --verify {}", self.metadata.display());
        other.run(&import).failed(Exit::Damaged, &[name, what]);
        assert_eq!(other.run("chain list").done(), "", "nothing was imported");
        for named in [&self.files[2], &self.metadata] {
            let target = self.installation.path("refused");
            let restore = format!("restore {} --to {}", named.display(), target.display());
            self.installation.run(&restore).failed(Exit::Damaged, &[name, what]);
            assert!(!target.exists());
        }
    }

    /// The chain and its files, as this installation knows them.
    fn known(&self) -> (Chain, Vec<ChainFile>) {
        let database = State::new(&self.installation.path("state")).database().unwrap();
        let chain = database.chains().unwrap().remove(0);
        let files = database.chain_files(&chain.id).unwrap();
        (chain, files)
    }

    /// Writes metadata as somebody does who has the public key and nothing else.
    fn forge(&self, chain: &Chain, files: Vec<ChainFile>) {
        let database = State::new(&self.installation.path("state")).database().unwrap();
        let recipients = ReadyJob::load(&database, "docs").unwrap().recipients().unwrap();
        let recipients: Vec<&dyn age::Recipient> = recipients.iter().map(AsRef::as_ref).collect();
        metadata::write(chain, files, &recipients, None).unwrap();
    }
}

#[test]
fn a_signed_chain_imports_restores_and_goes_on() {
    let signed = Signed::new();
    let other = signed.other();
    let imported = other.run(&format!("import --verify --signed --json {}", signed.metadata.display()));
    assert_eq!(imported.events()[0]["signed"], true);
    for file in [&signed.files[2], &signed.metadata] {
        let target = format!("restored by {}", file.extension().unwrap().to_str().unwrap().replace(' ', "_"));
        let target = target.replace(' ', "_");
        other.run(&format!("restore {} --to @{target}", file.display())).done();
        assert_same(&signed.installation.path("tree"), &other.path(&target).join("tree"));
    }
    signed.kms.rotate();
    signed.installation.run("sync").done();
    let next = signed.installation.run("backup docs @tree --to @backups --json").events().pop().unwrap();
    assert_eq!(next["number"], 4, "the chain goes on");
    let done = signed.installation.run("rewrap docs --json").events().pop().unwrap();
    assert_eq!(done["failed"], 0);
    signed.other().run(&format!("import --signed {}", signed.metadata.display())).done();
}

#[test]
fn altered_cut_removed_and_swapped_files_are_named() {
    let signed = Signed::new();
    let [first, second, third] = &signed.files[..] else { panic!("three files") };
    let kept: Vec<Vec<u8>> = signed.files.iter().map(|file| fs::read(file).unwrap()).collect();
    let put_back = || {
        for (file, bytes) in signed.files.iter().zip(&kept) {
            fs::write(file, bytes).unwrap();
        }
    };
    let length = facts(second).unwrap().header.length();
    for (at, what) in [(length + 40, "altered"), (length - 10, "altered")] {
        let mut bytes = kept[1].clone();
        // A letter, so that what is in the header stays Base64.
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        fs::write(second, bytes).unwrap();
        signed.assert_detected(second, what);
        put_back();
    }
    fs::write(second, &kept[1][..kept[1].len() - 1]).unwrap();
    signed.assert_detected(second, "its end is missing");
    put_back();
    fs::write(first, &kept[1]).unwrap();
    fs::write(second, &kept[0]).unwrap();
    signed.assert_detected(first, "not the file that its chain was made with");
    put_back();
    fs::remove_file(second).unwrap();
    let import = signed.other().run(&format!("import {}", signed.metadata.display()));
    import.failed(Exit::Failed, &[second.file_name().unwrap().to_str().unwrap(), "No such file"]);
    let restore = signed.installation.run(&format!("restore {} --to @refused", third.display()));
    restore.failed(Exit::Failed, &[second.file_name().unwrap().to_str().unwrap()]);
    put_back();
    signed.installation.assert_restores(third, "restored");
}

#[test]
fn metadata_that_somebody_else_made_is_not_believed() {
    let signed = Signed::new();
    let (chain, files) = signed.known();
    let kept = fs::read(&signed.metadata).unwrap();
    // Without a signature: this installation knows better, another one where it is told to.
    signed.forge(&chain, files.clone());
    for named in [&signed.files[2], &signed.metadata] {
        let restore = signed.installation.run(&format!("restore {} --to @refused", named.display()));
        restore.failed(Exit::Damaged, &["is not signed"]);
    }
    // However the way there is written.
    let name = signed.files[2].file_name().unwrap().to_str().unwrap();
    std::os::unix::fs::symlink(signed.installation.path("backups"), signed.installation.path("link"))
        .unwrap();
    for way in ["link", "backups/../backups"] {
        let restore = format!("restore @{way}/{name} --to @refused");
        signed.installation.run(&restore).failed(Exit::Damaged, &["is not signed"]);
    }
    let import = signed.other().run(&format!("import --signed {}", signed.metadata.display()));
    import.failed(Exit::Damaged, &["is not signed"]);
    // A chain that leaves the newest file out.
    let shorter = files[..2].to_vec();
    let mut older = chain.clone();
    (older.complete, older.next) = (Some(2), 3);
    signed.forge(&older, shorter);
    let restore = signed.installation.run(&format!("restore {} --to @refused", signed.metadata.display()));
    restore.failed(Exit::Damaged, &["is not signed"]);
    fs::write(&signed.metadata, &kept).unwrap();

    // A backup of somebody's own, with the nonce and the length of the real one: the signed file key is another.
    let fake = trees_of_another(&signed);
    let real = fs::read(&signed.files[0]).unwrap();
    let nonce_at = facts(&signed.files[0]).unwrap().header.length();
    let fake_at = facts(&fake).unwrap().header.length();
    let mut bytes = fs::read(&fake).unwrap();
    let nonce = real[nonce_at..nonce_at + 16].to_vec();
    bytes[fake_at..fake_at + 16].copy_from_slice(&nonce);
    bytes.resize(fake_at + real.len() - nonce_at, 0);
    fs::write(&signed.files[0], bytes).unwrap();
    signed.assert_detected(&signed.files[0], "its header was altered");
    // Nor does a new header for old files take it over.
    signed.kms.rotate();
    signed.installation.run("sync").done();
    let name = signed.files[0].to_str().unwrap();
    signed.installation.run("rewrap docs").failed(Exit::Partly, &[name, "its header was altered"]);
    fs::write(&signed.files[0], &real).unwrap();
    signed.installation.run("rewrap docs").done();
    signed.installation.assert_restores(&signed.files[2], "restored");
}

/// A backup for the same public key.
fn trees_of_another(signed: &Signed) -> PathBuf {
    let other = Installation::with_job(&signed.kms);
    trees::write(other.path("tree").join("planted"), b"evil");
    let folder = signed.installation.path("planted");
    let line = format!("backup docs @tree --to {}", folder.display());
    PathBuf::from(other.run(&line).done().trim_end())
}

#[test]
fn while_nobody_signs_backups_go_on_and_the_metadata_waits() {
    let signed = Signed::new();
    let before = fs::read(&signed.metadata).unwrap();
    trees::write(signed.installation.path("secret"), b"correct horse");
    signed.installation.run("job set docs --password-file @secret --hint animal").done();
    signed.kms.set_down(true);
    trees::write(signed.installation.path("tree").join("later"), b"x");
    let ended = signed.installation.run("backup docs @tree --to @backups --json");
    assert_eq!(ended.exit, Exit::Done, "{}", ended.stderr);
    assert!(ended.events().iter().any(|event| event["event"] == "unsigned"), "{}", ended.stdout);
    assert_eq!(fs::read(&signed.metadata).unwrap(), before);
    signed.kms.set_down(false);
    let newest = signed.installation.back_up();
    signed
        .installation
        .run(&format!("restore {} --to @restored --password-file @secret", newest.display()))
        .done();
    assert_same(&signed.installation.path("tree"), &signed.installation.path("restored/tree"));

    // The KMS is gone for good: what a password opens is restored without looking at signatures.
    signed.kms.set_down(true);
    let restore = format!("restore {} --to @gone --password-file @secret", newest.display());
    assert_ne!(signed.installation.run(&restore).exit, Exit::Done);
    let salvage = signed.installation.run(&format!("{restore} --unverified --salvage"));
    assert_eq!(salvage.exit, Exit::Partly, "{}", salvage.stderr);
}
