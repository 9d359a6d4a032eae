//! Walks what is to be backed up, in a fixed order, without following any symbolic link.
//!
//! Everything is opened relative to its folder's descriptor, so that nobody can lead the walk elsewhere by
//! putting a link in the place of a folder, and paths may be longer than the system's limit.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::super::{BackupError, limits};
use super::entry::Attributes;
use super::manifest::MANIFEST_NAME;
use super::{Observer, Problem, Warnings};

/// Something that the walk came upon.
pub enum Found<'a> {
    /// A file, open for reading, of so many bytes.
    File(&'a File, u64),
    /// A folder; what it holds comes next.
    Folder,
    /// A symbolic link and its target.
    Link(&'a [u8]),
}

/// Receives what a walk finds.
pub trait Visitor {
    /// One file, folder or link: its path in the archive, its path on disk, its attributes.
    ///
    /// A returned problem becomes a warning.
    ///
    /// # Errors
    /// Ends the walk.
    fn visit(
        &mut self,
        at: &Place<'_>,
        attributes: &Attributes,
        found: Found<'_>,
    ) -> io::Result<Option<Problem>>;
}

/// Where a walk is.
pub struct Place<'a> {
    /// The path in the archive.
    pub archive: &'a [u8],
    /// The path on disk, for messages.
    pub disk: &'a Path,
}

/// One folder or file that is backed up, and its name in the archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root {
    path: PathBuf,
    name: Vec<u8>,
}

/// Names the paths as the archive will: by their last component.
///
/// # Errors
/// When a path does not exist, or two have the same name.
pub fn roots(paths: &[PathBuf]) -> Result<Vec<Root>, BackupError> {
    let mut roots: Vec<Root> = Vec::with_capacity(paths.len());
    for path in paths {
        path.symlink_metadata().map_err(BackupError::io("read", path))?;
        let name = match path.file_name() {
            Some(name) => name.as_bytes().to_vec(),
            // `.`, `..` or `/`
            None => {
                let resolved = path.canonicalize().map_err(BackupError::io("read", path))?;
                resolved.file_name().unwrap_or(OsStr::new("root")).as_bytes().to_vec()
            }
        };
        if roots.iter().any(|root| root.name == name) {
            return Err(BackupError::SameName { name: String::from_utf8_lossy(&name).into_owned() });
        }
        if name == MANIFEST_NAME {
            return Err(BackupError::Invalid {
                what: "thing to back up",
                value: path.display().to_string(),
                rule: "the name is taken by what a backup says of itself",
            });
        }
        roots.push(Root { path: path.clone(), name });
    }
    // The order of a manifest, which the next backup is compared with.
    roots.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(roots)
}

/// A walk under way.
pub struct Walk<'a, V> {
    pub visitor: &'a mut V,
    pub observer: &'a dyn Observer,
    pub warnings: &'a mut Warnings,
    /// Device and inode of a folder to leave out.
    pub skip: Option<(u64, u64)>,
}

/// A folder whose names are being gone through.
struct Level {
    folder: OwnedFd,
    names: std::vec::IntoIter<CString>,
    /// Lengths of the two paths up to here.
    archive: usize,
    disk: PathBuf,
}

impl<V: Visitor> Walk<'_, V> {
    /// Walks one root.
    ///
    /// # Errors
    /// When the visitor ends the walk; what cannot be read is a warning.
    pub fn root(&mut self, root: &Root) -> io::Result<()> {
        let mut archive = root.name.clone();
        let mut levels = Vec::new();
        if let Some(level) = self.step(CWD, root.path.as_os_str(), &archive, &root.path, 0)? {
            levels.push(level);
        }
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else { return Ok(()) };
            archive.truncate(level.archive);
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            archive.push(b'/');
            archive.extend_from_slice(name.to_bytes());
            let name = OsStr::from_bytes(name.to_bytes());
            let disk = level.disk.join(name);
            let folder = level.folder.as_fd();
            let inner = self.step(folder, name, &archive, &disk, depth)?;
            levels.extend(inner);
        }
    }

    /// Visits one name in a folder; if it is a folder itself, returns it opened.
    fn step(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        archive: &[u8],
        disk: &Path,
        depth: usize,
    ) -> io::Result<Option<Level>> {
        let place = Place { archive, disk };
        match self.visit(parent, name, &place, depth) {
            Ok(level) => Ok(level),
            Err(Stop::Walk(error)) => Err(error),
            Err(Stop::Here(problem)) => {
                self.warnings.add(self.observer, disk, problem);
                Ok(None)
            }
        }
    }

    fn visit(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        place: &Place<'_>,
        depth: usize,
    ) -> Result<Option<Level>, Stop> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(parent, name, place).map(|()| None),
            FileType::Directory => self.folder(parent, name, place, depth).map(Some),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(unreadable)?;
                let problem = self.visitor.visit(place, &attributes(&stat), Found::Link(target.to_bytes()));
                self.note(place, problem).map(|()| None)
            }
            _ => Err(Stop::Here(Problem::Special)),
        }
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &OsStr, place: &Place<'_>) -> Result<(), Stop> {
        // Not blocking: by now it could be a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(unreadable)?);
        let stat = rustix::fs::fstat(&file).map_err(unreadable)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Stop::Here(Problem::Vanished));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let problem = self.visitor.visit(place, &attributes(&stat), Found::File(&file, size));
        self.note(place, problem)
    }

    fn folder(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        place: &Place<'_>,
        depth: usize,
    ) -> Result<Level, Stop> {
        if depth >= limits::MAX_DEPTH {
            return Err(Stop::Here(Problem::TooDeep));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(unreadable)?;
        let stat = rustix::fs::fstat(&folder).map_err(unreadable)?;
        if self.skip == Some((stat.st_dev, stat.st_ino)) {
            return Err(Stop::Here(Problem::Target));
        }
        let names = list(&folder).map_err(unreadable)?;
        let problem = self.visitor.visit(place, &attributes(&stat), Found::Folder);
        self.note(place, problem)?;
        let (archive, disk) = (place.archive.len(), place.disk.to_owned());
        Ok(Level { folder, names: names.into_iter(), archive, disk })
    }

    fn note(&mut self, place: &Place<'_>, visited: io::Result<Option<Problem>>) -> Result<(), Stop> {
        if let Some(problem) = visited.map_err(Stop::Walk)? {
            self.warnings.add(self.observer, place.disk, problem);
        }
        Ok(())
    }
}

/// Why a step went no further.
enum Stop {
    /// Nothing more of this file or folder.
    Here(Problem),
    /// Nothing more at all.
    Walk(io::Error),
}

fn unreadable(error: rustix::io::Errno) -> Stop {
    // A link in the place of a file that was one a moment ago is ELOOP; in the place of a folder ENOTDIR.
    use rustix::io::Errno;
    Stop::Here(match error {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR => Problem::Vanished,
        error => Problem::Unreadable(io::Error::from(error).to_string()),
    })
}

/// The names in a folder, sorted, so that the same folder makes the same archive.
fn list(folder: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn attributes(stat: &Stat) -> Attributes {
    Attributes {
        mode: stat.st_mode & 0o7777,
        owner: stat.st_uid,
        group: stat.st_gid,
        seconds: stat.st_mtime,
        nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
    }
}

/// Device and inode of the folder at `path`, to leave it out of a walk.
pub fn identity(path: &Path) -> Result<(u64, u64), BackupError> {
    let metadata = path.metadata().map_err(BackupError::io("read", path))?;
    Ok((metadata.dev(), metadata.ino()))
}
