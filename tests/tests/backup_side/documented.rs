//! docs/backup.md, followed by copying.

use std::fs;
use std::process::Command;
use std::time::Duration;

use kms_tests::process::{Server, finish_within};
use kms_tests::repository::{program, root};

/// The blocks of shell commands, but for those that run until they are stopped, and those of programs that may not be here.
fn script() -> String {
    let text = fs::read_to_string(root().join("docs/backup.md")).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|after| after.split("```").next().unwrap());
    let runs_on =
        |block: &&str| !block.starts_with("kms-server dev") && !block.starts_with("kms-client daemon");
    let blocks: Vec<&str> = blocks.filter(runs_on).collect();
    assert!(blocks.len() > 12, "the document has its commands");
    let lines = blocks.concat();
    let here: Vec<&str> = lines.lines().filter(|line| !line.starts_with("rage ")).collect();
    here.join("\n")
}

#[test]
fn the_document_on_backups_can_be_followed_by_copying() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join(".kms-dev"), "127.0.0.1:0");
    let programs = program("kms-client").parent().unwrap().to_owned();
    let path = std::env::join_paths([programs, "/usr/bin".into(), "/bin".into()]).unwrap();
    let mut shell = Command::new("sh");
    shell
        .arg("-euxc")
        .arg(script())
        .current_dir(folder.path())
        .env("PATH", path)
        .env("KMS_ADMIN", &server.admin);
    let finished = finish_within(&mut shell, Duration::from_secs(300));
    assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
    assert!(finished.stdout.contains("the same"), "{}", finished.stdout);
    for restored in ["restored", "elsewhere-restored", "recovered"] {
        let compared = kms_tests::folder::compare(
            &folder.path().join("data/one").canonicalize().unwrap(),
            &folder.path().join(restored).join("data/one"),
        );
        assert_eq!(compared.map(|compared| compared.files), Ok(1), "{restored}");
    }
    assert!(folder.path().join("from-tape").read_dir().unwrap().count() >= 3);
}
