//! Files and folders that appear whole or not at all.
//!
//! They are made under a hidden name next to their place and renamed into it once they are whole and on disk. Each
//! is locked while it is being made, so that what a killed process left behind can be told from work under way.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
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

/// Removes what killed processes left in `folder`. Others may write there too: what is not as it is made here, or may not be
/// removed, stays.
pub(super) fn clean(folder: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::io("look into", folder)(error);
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_folder = name.ends_with(FOLDER_SUFFIX);
        if !name.starts_with(PREFIX) || !(is_folder || name.ends_with(FILE_SUFFIX)) {
            continue;
        }
        // Locked: somebody is at work on it. Gone: somebody has just finished.
        let Ok(left) = open_left(&path, is_folder) else { continue };
        if left.try_lock().is_err() {
            continue;
        }
        match if is_folder { remove_tree(&path) } else { fs::remove_file(&path) } {
            // Whoever had it locked was done with it just now, or it is another's.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
            removed => removed.map_err(BackupError::io("remove", &path))?,
        }
    }
    Ok(())
}

/// Opens what may have been left behind: no link is followed, no pipe waited for.
fn open_left(path: &Path, is_folder: bool) -> io::Result<File> {
    let mut flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECTORY, is_folder);
    let left = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let expected = is_folder || left.metadata()?.is_file();
    if expected { Ok(left) } else { Err(io::Error::other("neither file nor folder")) }
}

/// Makes something and locks it, again where somebody who cleaned up took it for left behind before it was locked.
fn made_and_locked<T>(make: impl Fn() -> io::Result<(T, PathBuf, File)>) -> io::Result<(T, File)> {
    for _ in 0..limits::LOCK_ATTEMPTS {
        let (made, path, file) = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            made => made?,
        };
        file.lock()?;
        let (locked, there) = (file.metadata()?, path.symlink_metadata());
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino())) {
            return Ok((made, file));
        }
    }
    Err(io::Error::other("what is made there is removed at once"))
}

/// Removes a folder and all in it, also where folders in it may not be written to.
fn remove_tree(path: &Path) -> io::Result<()> {
    let open_up = || -> io::Result<()> {
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
            for entry in folder.read_dir()? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Ok(())
    };
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up()?;
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
    /// Begins a file in `folder`, which is cleaned first; readable by its owner only.
    pub fn create(folder: &Path) -> Result<Self, BackupError> {
        clean(folder)?;
        Self::in_clean(folder)
    }

    /// The same in a folder that was cleaned by [`clean`]: once for many files, since that lists the whole folder.
    pub fn in_clean(folder: &Path) -> Result<Self, BackupError> {
        let make = || {
            let file = tempfile::Builder::new().prefix(PREFIX).suffix(FILE_SUFFIX).tempfile_in(folder)?;
            let (path, locked) = (file.path().to_owned(), file.as_file().try_clone()?);
            Ok((file, path, locked))
        };
        // The lock is that of the file, however many handles it has.
        let made = folder.metadata().and_then(|_| made_and_locked(make));
        let (file, _) = made.map_err(BackupError::io("make a file in", folder))?;
        Ok(Self { file, folder: folder.to_owned() })
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file in its place, durably, under a name that must be free.
    pub fn publish_as(self, name: impl AsRef<OsStr>) -> Result<PathBuf, BackupError> {
        let Self { file, folder } = self;
        let path = folder.join(name.as_ref());
        file.as_file().sync_all().map_err(BackupError::io("sync a file in", &folder))?;
        file.persist_noclobber(&path)
            .map_err(|error| BackupError::io("rename a file to", &path)(error.error))?;
        sync_folder(&folder).map(|()| path)
    }

    /// Puts the file in the place of another, durably.
    pub fn replace(self, name: &OsStr) -> Result<PathBuf, BackupError> {
        let Self { file, folder } = self;
        let path = folder.join(name);
        file.as_file().sync_all().map_err(BackupError::io("sync a file in", &folder))?;
        file.persist(&path).map_err(|error| BackupError::io("rename a file to", &path)(error.error))?;
        sync_folder(&folder).map(|()| path)
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
    overwrite: bool,
    /// Folders that are joined get the owner of what is put into them.
    owners: bool,
    published: bool,
}

impl NewContents {
    /// Begins to fill `target`, which is made if only it is missing.
    ///
    /// # Errors
    /// `NotEmpty` where there is something in it and `overwrite` is not set.
    pub fn create(target: &Path, overwrite: bool, owners: bool) -> Result<Self, BackupError> {
        let target_is_ours = !target.exists();
        make_folder(target)?;
        clean(target)?;
        let failed = |error| BackupError::io("make a folder in", target)(error);
        if !overwrite && target.read_dir().map_err(failed)?.next().is_some() {
            return Err(BackupError::NotEmpty { folder: target.to_owned() });
        }
        let make = || {
            let staging = tempfile::Builder::new().prefix(PREFIX).suffix(FOLDER_SUFFIX).tempdir_in(target)?;
            let (staging, path) = (staging.keep(), target.to_owned());
            let open = File::open(&staging)?;
            Ok(((staging.clone(), path), staging, open))
        };
        let made = target.metadata().and_then(|_| made_and_locked(make));
        let ((staging, target), open) = made.map_err(failed)?;
        Ok(Self { staging, open, target, target_is_ours, overwrite, owners, published: false })
    }

    /// The folder to fill.
    pub const fn folder(&self) -> &File {
        &self.open
    }

    /// Where it is until it is published.
    pub fn path(&self) -> &Path {
        &self.staging
    }

    /// Puts everything in its place, durably. Files and links of the same name are replaced, folders joined.
    ///
    /// # Errors
    /// `InTheWay` where a folder would have to go, `NotEmpty` where somebody has put something there meanwhile; nothing was
    /// moved then.
    pub fn publish(mut self) -> Result<(), BackupError> {
        let synced = |folder: &File| rustix::fs::syncfs(folder).map_err(io::Error::from);
        synced(&self.open).map_err(BackupError::io("sync", &self.staging))?;
        let own = self.staging.file_name();
        if self.overwrite {
            check_room(&self.staging, &self.target)?;
        } else if moves(&self.target, &self.staging)?.iter().any(|(there, _)| there.file_name() != own) {
            return Err(BackupError::NotEmpty { folder: self.target.clone() });
        }
        move_all(&self.staging, &self.target, self.owners)?;
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

/// The entries of a folder that is moved, each with where it goes.
fn moves(from: &Path, to: &Path) -> Result<Vec<(PathBuf, PathBuf)>, BackupError> {
    let one = |entry: fs::DirEntry| (entry.path(), to.join(entry.file_name()));
    let all = from.read_dir().and_then(|entries| entries.map(|entry| entry.map(one)).collect());
    all.map_err(BackupError::io("read", from))
}

/// Looks for folders where something else is to go.
fn check_room(from: &Path, to: &Path) -> Result<(), BackupError> {
    // Not by recursion: a backup may be deeper than the stack allows.
    let mut joined = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = joined.pop() {
        for (source, destination) in moves(&from, &to)? {
            match (is_folder(&source), is_folder(&destination)) {
                (true, true) => joined.push((source, destination)),
                (false, true) => return Err(BackupError::InTheWay { path: destination }),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What remains to be done for two folders that are joined.
enum Join {
    /// Move what is in the first into the second.
    Fill(PathBuf, PathBuf),
    /// Give the second the attributes of the first, which is empty by now.
    Finish(PathBuf, PathBuf, fs::Metadata),
}

fn move_all(from: &Path, to: &Path, owners: bool) -> Result<(), BackupError> {
    let mut joins = vec![Join::Fill(from.to_owned(), to.to_owned())];
    while let Some(join) = joins.pop() {
        match join {
            Join::Fill(from, to) => {
                for (source, destination) in moves(&from, &to)? {
                    let failed = |error| BackupError::io("put in place", &destination)(error);
                    if is_folder(&source) && is_folder(&destination) {
                        let metadata = make_writable(&source).map_err(failed)?;
                        make_writable(&destination).map_err(failed)?;
                        joins.push(Join::Finish(source.clone(), destination.clone(), metadata));
                        joins.push(Join::Fill(source, destination));
                    } else {
                        move_one(&source, &destination).map_err(failed)?;
                    }
                }
            }
            Join::Finish(source, destination, metadata) => {
                let finish = || {
                    fs::remove_dir(&source)?;
                    let folder = File::open(&destination)?;
                    if owners {
                        fchown(&folder, Some(metadata.uid()), Some(metadata.gid()))?;
                    }
                    folder.set_permissions(metadata.permissions())?;
                    folder.set_modified(metadata.modified()?)
                };
                finish().map_err(BackupError::io("put in place", &destination))?;
            }
        }
    }
    Ok(())
}

/// Lets the owner change a folder, as renaming in it and renaming itself takes; returns how it was.
fn make_writable(folder: &Path) -> io::Result<fs::Metadata> {
    let metadata = folder.metadata()?;
    fs::set_permissions(folder, Permissions::from_mode(metadata.permissions().mode() | 0o700))?;
    Ok(metadata)
}

fn move_one(source: &Path, destination: &Path) -> io::Result<()> {
    if !is_folder(source) {
        return fs::rename(source, destination);
    }
    if destination.symlink_metadata().is_ok() {
        fs::remove_file(destination)?;
    }
    let metadata = make_writable(source)?;
    fs::rename(source, destination)?;
    fs::set_permissions(destination, metadata.permissions())
}

/// Makes renames in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::{NewContents, NewFile, clean};

    #[test]
    fn cleaning_takes_nothing_that_is_being_made() {
        let folder = tempfile::tempdir().unwrap();
        let (path, done) = (folder.path(), &AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        clean(path).unwrap();
                    }
                });
            }
            for number in 0..100 {
                let file = NewFile::in_clean(path).unwrap();
                file.publish_as(number.to_string()).unwrap();
                let into = path.join(format!("{number} restored"));
                NewContents::create(&into, false, false).unwrap().publish().unwrap();
                std::fs::remove_file(path.join(number.to_string())).unwrap();
                std::fs::remove_dir(into).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
