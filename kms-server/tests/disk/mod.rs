//! Disks that forget and break (file systems in Python, over FUSE) and disks that are small (tmpfs); and what to do where they
//! cannot be had.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// What it takes to mount such a disk.
pub struct Tools {
    python: PathBuf,
}

impl Tools {
    /// What is at hand, or what is missing.
    pub fn find() -> Result<Self, String> {
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
            return Err(format!(
                "{python} has no fusepy (pip install fusepy; KMS_TESTS_PYTHON names another)"
            ));
        }
        Ok(Self { python })
    }

    /// The file system that forgets, which is kept beside the project.
    pub fn forgetful() -> Result<PathBuf, String> {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tools/lossyfs.py");
        let path = env::var_os("KMS_TESTS_LOSSYFS").map_or(shared, PathBuf::from);
        let missing = format!("{} is missing (KMS_TESTS_LOSSYFS says where it is)", path.display());
        path.exists().then_some(path).ok_or(missing)
    }

    /// The file system that breaks on demand.
    pub fn broken() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../kms-server/tests/disk/brokenfs.py")
    }

    /// Mounts the file system of this program over the folder.
    pub fn mount(&self, program: &Path, folder: &Path) -> Disk {
        let mount = tempfile::tempdir().unwrap();
        let outside = mount.path().metadata().unwrap().dev();
        let process = Command::new(&self.python).arg(program).arg(folder).arg(mount.path()).spawn().unwrap();
        let disk = Disk { process, mount };
        for _ in 0..1_000 {
            if disk.path().metadata().is_ok_and(|metadata| metadata.dev() != outside) {
                return disk;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{} did not start", program.display());
    }
}

/// A mounted disk. Dropped, it is gone, with all that it did not write.
pub struct Disk {
    process: Child,
    mount: TempDir,
}

impl Disk {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mount.path()
    }

    /// Gives an order, as the program describes.
    pub fn order(&self, order: &str) {
        let _ = self.path().join(order).metadata();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
        let _ = Command::new("fusermount").arg("-uz").arg(self.path()).status();
    }
}

/// A small disk in memory, mounted over a folder until it is dropped.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one of so many mebibytes; nothing where the tester may not, which takes root.
    pub fn mount(mebibytes: u32, at: &Path) -> Option<Self> {
        mount(&format!("size={mebibytes}m"), at).then(|| Self(at.to_owned()))
    }

    /// Gives the one that is mounted here another size.
    pub fn resize(mebibytes: u32, at: &Path) {
        assert!(mount(&format!("remount,size={mebibytes}m"), at));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(options: &str, at: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
    mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Why there is no [`Tmpfs`].
pub const TAKES_ROOT: &str = "mounting a tmpfs takes root";

/// Says that a test cannot be run here, and fails where that is not allowed.
pub fn skip(test: &str, why: &str) {
    #[allow(clippy::print_stderr, reason = "the tester has to see it")]
    {
        eprintln!("\n*** SKIPPED: {test}: {why} ***\n");
    }
    let required = env::var("KMS_TESTS_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{test} was skipped, and KMS_TESTS_REQUIRE_ALL is set: {why}");
}
