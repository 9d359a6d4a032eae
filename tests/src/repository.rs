//! Where this repository is, and its programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// What stands beside the repository where its developers work: specifications and official cases.
#[must_use]
pub fn shared(path: &str) -> PathBuf {
    root().parent().map(|parent| parent.join("shared").join(path)).unwrap_or_default()
}

/// The repository's own sources: everything at its root but hidden files and what is built.
#[must_use]
pub fn sources() -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(root())
        .expect("the repository's root")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.') && name != "target"
        })
        .collect();
    entries.sort();
    entries
}

/// One of the repository's programs, built first where it is not up to date.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Builds the programs in the profile of this very program, and tells where they are.
fn build() -> PathBuf {
    let own = std::env::current_exe().expect("this program's path");
    // target/PROFILE/tour or target/PROFILE/deps/test-0123
    let mut folder = own.parent().expect("a folder").to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args([
        "build",
        "--quiet",
        "--package",
        "kms-server",
        "--package",
        "kms-client",
        "--bins",
    ]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    if let Some(target) = folder.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the programs do not build: {status}");
    folder
}
