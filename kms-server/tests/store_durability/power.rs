//! A power cut: all that was written but not synced is gone.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::load::{Acknowledged, start, state, strike_at, verify};
use super::{random, rounds, skip};

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let (python, file_system) = match tools() {
        Ok(tools) => tools,
        Err(why) => return skip("a_power_cut_loses_nothing_acknowledged", &why),
    };
    let disk = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::new();
    let mut commits = 0;
    let rounds = rounds(5);
    for round in 0..rounds {
        let forgetful = Forgetful::mount(&python, &file_system, disk.path());
        let (mut child, acks) = start(&forgetful.mount.path().join("store"));
        let delay = random(400);
        // The file system goes first: what the child says after that cannot have been synced.
        let said = strike_at(delay, &acks, || {
            drop(forgetful);
            child.kill().unwrap();
        });
        child.wait().unwrap();
        commits += said.len();
        acknowledged.extend(said);
        println!("round {round}: power cut after {delay} ms, {commits} commits acknowledged so far");
        let store = disk.path().join("store");
        verify(&store, &acknowledged);
        acknowledged = state(&store);
    }
    println!("{rounds} power cuts, {commits} commits acknowledged, none lost");
}

/// The Python that has fusepy, and the file system that forgets; or what is missing.
fn tools() -> Result<(PathBuf, PathBuf), String> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tools/lossyfs.py");
    let at_hand = env::var_os("KMS_TESTS_LOSSYFS").map_or(shared, PathBuf::from);
    if !at_hand.exists() {
        return Err(format!("{} is missing (KMS_TESTS_LOSSYFS says where it is)", at_hand.display()));
    }
    if !Path::new("/dev/fuse").exists() {
        return Err("there is no /dev/fuse".to_owned());
    }
    let works = |program: &mut Command| {
        program.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !works(Command::new("fusermount").arg("-V")) {
        return Err("fusermount is missing (Debian: fuse, libfuse2)".to_owned());
    }
    let python = env::var_os("KMS_TESTS_PYTHON").map_or("python3".into(), PathBuf::from);
    if !works(Command::new(&python).args(["-c", "import fuse"])) {
        let python = python.display();
        return Err(format!("{python} has no fusepy (pip install fusepy; KMS_TESTS_PYTHON names another)"));
    }
    Ok((python, at_hand))
}

/// The file system that forgets. Dropped, it has forgotten.
struct Forgetful {
    process: Child,
    mount: TempDir,
}

impl Forgetful {
    fn mount(python: &Path, file_system: &Path, disk: &Path) -> Self {
        let mount = tempfile::tempdir().unwrap();
        let outside = mount.path().metadata().unwrap().dev();
        let process = Command::new(python).arg(file_system).arg(disk).arg(mount.path()).spawn().unwrap();
        let forgetful = Self { process, mount };
        for _ in 0..1_000 {
            if forgetful.mount.path().metadata().is_ok_and(|metadata| metadata.dev() != outside) {
                return forgetful;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the file system that forgets did not start");
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
        let _ = Command::new("fusermount").arg("-uz").arg(self.mount.path()).status();
    }
}
