//! Where this installation keeps what it knows: the configuration database, and the manifests that the next backups are
//! compared with.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::BackupError;
use super::database::Database;
use super::staging::{NewContents, sync_folder};

/// A folder that goes with all in it when this is dropped; what a kill left of one goes when the next is made.
pub struct Spool(NewContents);

impl Spool {
    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.path()
    }
}

/// The state folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// The state in `folder`; nothing is opened yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the configuration database, which is to be held for moments only.
    ///
    /// # Errors
    /// As [`Database::open`] has them.
    pub fn database(&self) -> Result<Database, BackupError> {
        Database::open(&self.folder)
    }

    fn manifests(&self) -> PathBuf {
        self.folder.join("manifests")
    }

    /// The manifest of a chain's complete point.
    pub(super) fn manifest(&self, chain: &str, number: u32) -> PathBuf {
        self.manifests().join(format!("{chain}.{number}"))
    }

    /// The manifest of a backup that began with that file of the chain, while it is not complete.
    pub(super) fn begun(&self, chain: &str, number: u32) -> PathBuf {
        self.manifests().join(format!("{chain}.{number}.begun"))
    }

    /// Begins a manifest.
    pub(super) fn new_manifest(&self, chain: &str, number: u32) -> Result<File, BackupError> {
        let folder = self.manifests();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(BackupError::io("make the folder", &folder))?;
        let path = self.begun(chain, number);
        let open = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        open.map_err(BackupError::io("open", &path))
    }

    /// Makes the manifest of a backup that is complete that of its point.
    pub(super) fn complete(&self, chain: &str, began: u32, number: u32) -> Result<(), BackupError> {
        let (from, to) = (self.begun(chain, began), self.manifest(chain, number));
        fs::rename(&from, &to).map_err(BackupError::io("rename", &from))?;
        sync_folder(&self.manifests())
    }

    /// Removes all manifests of a chain but those in `keep`.
    pub(super) fn sweep(&self, chain: &str, keep: &[PathBuf]) -> Result<(), BackupError> {
        let folder = self.manifests();
        let failed = |error| BackupError::io("clean up", &folder)(error);
        let entries = match folder.read_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ours = name.strip_prefix(chain).is_some_and(|rest| rest.starts_with('.'));
            if ours && !keep.contains(&path) {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// A folder for what is on its way to somewhere else.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn spool(&self) -> Result<Spool, BackupError> {
        NewContents::create(&self.folder.join("spool"), true, false).map(Spool)
    }

    /// Keeps others from backing the same job up, until the file is dropped.
    pub(super) fn lock_job(&self, job: &str) -> Result<File, BackupError> {
        self.lock(job, || BackupError::Running { what: format!("a backup of job {job:?}") })
    }

    /// Keeps others from asking for rotated keys, until the file is dropped.
    ///
    /// # Errors
    /// `Running` when somebody does.
    pub fn lock_sync(&self) -> Result<File, BackupError> {
        // No job is named so.
        self.lock(".sync", || BackupError::Running { what: "a sync".to_owned() })
    }

    /// Keeps a second daemon from running, until the file is dropped.
    ///
    /// # Errors
    /// `Running` when one runs.
    pub fn lock_daemon(&self) -> Result<File, BackupError> {
        self.lock(".daemon", || BackupError::Running { what: "a daemon".to_owned() })
    }

    fn lock(&self, name: &str, running: impl FnOnce() -> BackupError) -> Result<File, BackupError> {
        let folder = self.folder.join("running");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(BackupError::io("make the folder", &folder))?;
        let path = folder.join(name);
        let file = File::create(&path).map_err(BackupError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(running()),
            Err(fs::TryLockError::Error(error)) => Err(BackupError::io("lock", &path)(error)),
        }
    }
}
