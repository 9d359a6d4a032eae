//! A backup side, its KMS, and folders with everything in them that a file system can hold.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use kms_protocol::Version;
use kms_protocol::attribute::RevocationReason;
use kms_protocol::enums::RevocationReasonCode;
use kms_protocol::operation::{DestroyRequest, RevokeRequest};
use kms_tests::process::{Client, Finished, Server};
use serde_json::Value;
use tempfile::TempDir;

/// A KMS and an installation that is connected to it, with the job `docs`.
pub struct Place {
    pub folder: TempDir,
    pub server: Server,
    pub client: Client,
}

impl Place {
    /// With a job of RSA-2048, whose keys are made quickly.
    pub fn with_job() -> Self {
        Self::with_key("rsa-2048")
    }

    /// With a job of this kind of key.
    pub fn with_key(kind: &str) -> Self {
        let place = Self::connected();
        place.run(["job", "create", "docs", "--key", kind]);
        make_tree(&place.path("tree"));
        place
    }

    pub fn connected() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("kms"), "127.0.0.1:0");
        let client = Client::new(&folder.path().join("state"), &server.profile());
        let place = Self { folder, server, client };
        place.run(["server", "add", "lab"]);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `kms-client`, which has to succeed, and returns its last line.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let finished = self.client.run(arguments).success();
        if finished.stdout.is_empty() { Value::Null } else { finished.json() }
    }

    /// Backs the tree up and returns the last line.
    #[track_caller]
    pub fn back_up(&self) -> Value {
        self.run([
            OsStr::new("backup"),
            "docs".as_ref(),
            self.path("tree").as_ref(),
            "--to".as_ref(),
            self.path("backups").as_ref(),
        ])
    }

    #[track_caller]
    pub fn assert_restores(&self, client: &Client, file: &Path, target: &str) {
        let _ = restore(client, file, &self.path(target)).success();
        assert_same(&self.path("tree"), &self.path(target).join("tree"));
    }

    /// Rotates the job's key, and has the backup side learn of it.
    pub fn rotate(&self) {
        let job = self.run(["job", "show", "docs"]);
        let newest =
            job["keys"].as_array().unwrap().last().unwrap()["private_id"].as_str().unwrap().to_owned();
        let _ = self.server.ctl(&["key", "rotate", &newest]).success();
        self.run(["sync"]);
    }

    /// Revokes and destroys a key.
    pub fn destroy(&self, id: &str) {
        let client = self.server.client(Version::V1_4);
        let revoke = RevokeRequest {
            unique_identifier: Some(id.into()),
            revocation_reason: RevocationReason {
                code: RevocationReasonCode::CessationOfOperation,
                message: None,
            },
            compromise_occurrence_date: None,
        };
        client.revoke(&revoke).unwrap();
        client.destroy(&DestroyRequest { unique_identifier: Some(id.into()) }).unwrap();
    }

    /// Another installation: its own state, and the same KMS where `connected`.
    pub fn other(&self, name: &str, connected: bool) -> Client {
        let profile = if connected { self.server.profile() } else { self.path("no profile") };
        Client::new(&self.path(name), &profile)
    }
}

pub fn restore(client: &Client, file: &Path, target: &Path) -> Finished {
    client.run([OsStr::new("restore"), file.as_ref(), "--to".as_ref(), target.as_ref()])
}

pub fn file_of(event: &Value) -> PathBuf {
    PathBuf::from(event["file"].as_str().unwrap())
}

/// Odd names, kinds, permissions and times.
pub fn make_tree(root: &Path) {
    fs::create_dir(root).unwrap();
    let names: [&[u8]; 8] = [
        b"plain.txt",
        b"with\nnewline",
        b"-rf",
        b"100% sure",
        b"\xff\xfe not UTF-8",
        "Grüße ☃".as_bytes(),
        &[b'x'; 255],
        b"empty",
    ];
    for name in names {
        let contents = if name == b"empty" { b"" } else { name };
        fs::write(root.join(OsStr::from_bytes(name)), contents).unwrap();
    }
    fs::create_dir_all(root.join("empty folder/within another")).unwrap();
    symlink("plain.txt", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    for mode in [0o400, 0o640, 0o755] {
        let path = root.join(format!("mode {mode:o}"));
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let old = fs::File::options().append(true).open(root.join("mode 755")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(86_400, 5)).unwrap();
    let locked = root.join("read-only folder");
    fs::create_dir(&locked).unwrap();
    fs::write(locked.join("file"), b"inside").unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
}

/// What a path is: mode, time, link target, contents of small files.
type Thing = (u32, (i64, i64), OsString, Vec<u8>, u64);

fn snapshot(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut things = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let data = path.symlink_metadata().unwrap();
        let mut thing = (data.mode(), (data.mtime(), data.mtime_nsec()), OsString::new(), Vec::new(), 0);
        if data.is_dir() {
            pending.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else if data.is_symlink() {
            thing.2 = path.read_link().unwrap().into_os_string();
        } else {
            thing.4 = data.len();
            if data.len() < 100_000_000 {
                thing.3 = fs::read(&path).unwrap();
            }
        }
        things.insert(path.strip_prefix(root).unwrap().to_owned(), thing);
    }
    things
}

/// Fails where the two folders differ in names, kinds, permissions, times, links or contents.
#[track_caller]
pub fn assert_same(expected: &Path, actual: &Path) {
    let (expected, actual) = (snapshot(expected), snapshot(actual));
    for (path, thing) in &expected {
        assert_eq!(actual.get(path), Some(thing), "{path:?}");
    }
    assert_eq!(expected.len(), actual.len(), "nothing was added");
}
