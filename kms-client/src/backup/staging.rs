//! Files and folders that appear whole or not at all.
//!
//! They are made under a hidden name next to their place and renamed into it once they are whole and on disk. Each
//! is locked while it is being made, so that what a killed process left behind can be told from work under way.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{BackupError, limits};

const PREFIX: &str = ".kms-client-";
const FILE_SUFFIX: &str = ".partial";
const FOLDER_SUFFIX: &str = ".restoring";

/// Makes a folder if only it is missing: where its parent is missing too, a disk may not be mounted.
pub fn make_folder(path: &Path) -> Result<(), BackupError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(BackupError::io("make the folder", path)),
    }
}

/// Removes what killed processes left in `folder`.
fn clean(folder: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::io("look into", folder)(error);
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with(PREFIX) || !(name.ends_with(FILE_SUFFIX) || name.ends_with(FOLDER_SUFFIX)) {
            continue;
        }
        // Locked: somebody is at work on it. Gone: somebody has just finished.
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            let removed = if name.ends_with(FOLDER_SUFFIX) { remove_tree(&path) } else { fs::remove_file(&path) };
            removed.map_err(BackupError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes a folder and all in it, also where folders in it may not be written to.
fn remove_tree(path: &Path) -> io::Result<()> {
    fn open_up(path: &Path) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        for entry in path.read_dir()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open_up(&entry.path())?;
            }
        }
        Ok(())
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

/// A file that is being written.
pub struct NewFile {
    file: NamedTempFile,
    folder: PathBuf,
}

impl NewFile {
    /// Begins a file in `folder`, readable by its owner only.
    pub fn create(folder: &Path) -> Result<Self, BackupError> {
        clean(folder)?;
        let failed = |error| BackupError::io("make a file in", folder)(error);
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(FILE_SUFFIX)
            .tempfile_in(folder)
            .map_err(failed)?;
        file.as_file().lock().map_err(failed)?;
        Ok(Self { file, folder: folder.to_owned() })
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file in its place, durably, under the first of the names that is free.
    pub fn publish(self, name: impl Fn(u32) -> String) -> Result<PathBuf, BackupError> {
        let Self { mut file, folder } = self;
        file.as_file().sync_all().map_err(BackupError::io("sync a file in", &folder))?;
        for number in 1..=limits::MAX_FILES_PER_SECOND {
            let path = folder.join(name(number));
            match file.persist_noclobber(&path) {
                Ok(_) => {
                    sync_folder(&folder)?;
                    return Ok(path);
                }
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
                Err(error) => return Err(BackupError::io("rename a file to", &path)(error.error)),
            }
        }
        let taken = io::Error::new(io::ErrorKind::AlreadyExists, "all names for this second are taken");
        Err(BackupError::io("rename a file in", &folder)(taken))
    }
}

/// A folder that is being filled, within the one that its contents are for.
pub struct NewContents {
    staging: PathBuf,
    /// Holds the lock.
    open: File,
    target: PathBuf,
    /// The target did not exist before.
    target_is_ours: bool,
    published: bool,
}

impl NewContents {
    /// Begins to fill `target`, which is made if only it is missing.
    ///
    /// # Errors
    /// `NotEmpty` where there is something in it and `overwrite` is not set.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, BackupError> {
        let target_is_ours = !target.exists();
        make_folder(target)?;
        clean(target)?;
        let failed = |error| BackupError::io("make a folder in", target)(error);
        if !overwrite && target.read_dir().map_err(failed)?.next().is_some() {
            return Err(BackupError::NotEmpty { folder: target.to_owned() });
        }
        let staging = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(FOLDER_SUFFIX)
            .tempdir_in(target)
            .map_err(failed)?
            .keep();
        let open = File::open(&staging).and_then(|folder| folder.lock().map(|()| folder)).map_err(failed)?;
        Ok(Self { staging, open, target: target.to_owned(), target_is_ours, published: false })
    }

    /// The folder to fill.
    pub const fn folder(&self) -> &File {
        &self.open
    }

    /// Puts everything in its place, durably. Files and links of the same name are replaced, folders joined.
    ///
    /// # Errors
    /// `InTheWay` where a folder would have to go; nothing was moved then.
    pub fn publish(mut self) -> Result<(), BackupError> {
        let synced = |folder: &File| rustix::fs::syncfs(folder).map_err(io::Error::from);
        synced(&self.open).map_err(BackupError::io("sync", &self.staging))?;
        check_room(&self.staging, &self.target)?;
        move_all(&self.staging, &self.target)?;
        fs::remove_dir(&self.staging).map_err(BackupError::io("remove", &self.staging))?;
        self.published = true;
        synced(&self.open).map_err(BackupError::io("sync", &self.target))?;
        match self.target.parent() {
            Some(parent) if self.target_is_ours && !parent.as_os_str().is_empty() => sync_folder(parent),
            _ => Ok(()),
        }
    }
}

impl Drop for NewContents {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // Already failing: what cannot be removed now is removed by the next restore into this folder.
        let removed = remove_tree(&self.staging);
        if removed.is_ok() && self.target_is_ours {
            let _ = fs::remove_dir(&self.target);
        }
    }
}

/// Whether `path` is a folder itself, not a link to one.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Looks for folders where something else is to go.
fn check_room(from: &Path, to: &Path) -> Result<(), BackupError> {
    for entry in from.read_dir().map_err(BackupError::io("read", from))? {
        let entry = entry.map_err(BackupError::io("read", from))?;
        let destination = to.join(entry.file_name());
        match (is_folder(&entry.path()), is_folder(&destination)) {
            (true, true) => check_room(&entry.path(), &destination)?,
            (false, true) => return Err(BackupError::InTheWay { path: destination }),
            _ => {}
        }
    }
    Ok(())
}

fn move_all(from: &Path, to: &Path) -> Result<(), BackupError> {
    for entry in from.read_dir().map_err(BackupError::io("read", from))? {
        let source = entry.map_err(BackupError::io("read", from))?.path();
        let destination = to.join(source.file_name().unwrap_or_default());
        let failed = |error| BackupError::io("put in place", &destination)(error);
        if !is_folder(&source) {
            fs::rename(&source, &destination).map_err(failed)?;
        } else if is_folder(&destination) {
            join_folder(&source, &destination)?;
        } else {
            if destination.symlink_metadata().is_ok() {
                fs::remove_file(&destination).map_err(failed)?;
            }
            move_folder(&source, &destination).map_err(failed)?;
        }
    }
    Ok(())
}

/// Moves what is in one folder into another that is there already, which takes on the first one's attributes.
fn join_folder(source: &Path, destination: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::io("put in place", destination)(error);
    let metadata = source.metadata().map_err(failed)?;
    let writable = |path| fs::set_permissions(path, Permissions::from_mode(metadata.mode_for_moving()));
    writable(source).and_then(|()| writable(destination)).map_err(failed)?;
    move_all(source, destination)?;
    fs::remove_dir(source).map_err(failed)?;
    let folder = File::open(destination).map_err(failed)?;
    folder.set_permissions(metadata.permissions()).map_err(failed)?;
    metadata.modified().and_then(|time| folder.set_modified(time)).map_err(failed)
}

/// Renames a folder; the system wants it writable for that.
fn move_folder(source: &Path, destination: &Path) -> io::Result<()> {
    let metadata = source.metadata()?;
    fs::set_permissions(source, Permissions::from_mode(metadata.mode_for_moving()))?;
    fs::rename(source, destination)?;
    fs::set_permissions(destination, metadata.permissions())
}

trait ModeForMoving {
    /// The mode, with the owner allowed everything.
    fn mode_for_moving(&self) -> u32;
}

impl ModeForMoving for fs::Metadata {
    fn mode_for_moving(&self) -> u32 {
        self.permissions().mode() | 0o700
    }
}

/// Makes renames in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::io("sync", folder))
}
