//! Restores a point in time out of the files of its chain.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, PipeReader, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::{Mode, OFlags};

use super::super::staging::NewContents;
use super::super::{BackupError, limits};
use super::entry::{Entry, Extensions, Kind, invalid};
use super::manifest::{End, MANIFEST_NAME, ManifestEntry, ManifestReader};
use super::placing::{Placed, Unpack, disk, finish, misplaced, names_of, place_link};
use super::read::{OpenFile, RestoreOptions, RestoreSummary, parse_description, tar_of};
use super::{Contents, Description, Observer, Problem, Warnings, facts};

/// A file of a chain, and what opens it or why nothing does.
pub struct PointFile<'a> {
    /// The file.
    pub path: PathBuf,
    /// Opens it.
    pub identity: Result<&'a dyn age::Identity, Arc<BackupError>>,
}

/// Restores the point that ends with file `newest` of a chain. Only the files that hold contents of that point are read.
///
/// With `salvage` a file that is missing, damaged or cannot be opened ends nothing: what it held is lost and listed.
///
/// # Errors
/// When a file is missing, damaged or another than the point was made with; nothing is left then.
pub fn restore_point(
    files: &BTreeMap<u32, PointFile<'_>>,
    newest: u32,
    target: &Path,
    options: RestoreOptions,
    salvage: bool,
    observer: &dyn Observer,
) -> Result<RestoreSummary, BackupError> {
    let contents = NewContents::create(target, options.overwrite, options.owners)?;
    let manifest =
        tempfile::tempfile_in(target).map_err(BackupError::io("make a temporary file in", target))?;
    let (description, manifest) = copy_manifest(chain_file(files, newest)?, target, manifest)?;
    let failed = |error| BackupError::io("restore into", target)(error);
    let unpacked = |error| match error {
        Unpack::Disk(error) => failed(error),
        Unpack::Archive(error) => BackupError::Damaged {
            file: files.get(&newest).map(|file| file.path.clone()).unwrap_or_default(),
            what: format!("its manifest: {error}"),
        },
    };
    let mut point = Point {
        root: contents.folder(),
        target,
        options,
        observer,
        manifest: ManifestReader::new(BufReader::new(manifest)).map_err(failed)?,
        wanted: BTreeMap::new(),
        folders: Vec::new(),
        contents: Contents::default(),
        lost: Warnings::default(),
    };
    let end = point.lay_out().map_err(unpacked)?;
    let wanted = std::mem::take(&mut point.wanted);
    for (number, positions) in wanted {
        let nonce = end.files.get(&number).filter(|_| number != newest);
        let mut done = 0;
        let filled =
            chain_file(files, number).and_then(|file| point.fill(file, number, nonce, &positions, &mut done));
        match filled {
            Ok(()) => {}
            Err(error) if salvage && !is_of(&error, target) => {
                let left = positions.get(done..).unwrap_or_default();
                point.give_up(left, &error.to_string()).map_err(unpacked)?;
            }
            Err(error) => return Err(error),
        }
    }
    point.finish_folders().map_err(unpacked)?;
    let Point { contents: restored, lost, .. } = point;
    contents.publish()?;
    Ok(RestoreSummary { description, contents: restored, lost })
}

/// Whether a restore failed for the folder that it goes to, and not for a file of the chain.
fn is_of(error: &BackupError, target: &Path) -> bool {
    matches!(error, BackupError::Io { path, .. } if path == target)
}

fn chain_file<'f, 'a>(
    files: &'f BTreeMap<u32, PointFile<'a>>,
    number: u32,
) -> Result<OpenedChainFile<'f, 'a>, BackupError> {
    let missing = || BackupError::MissingFile { number };
    let file = files.get(&number).ok_or_else(missing)?;
    match &file.identity {
        Ok(identity) => Ok((&file.path, *identity)),
        Err(error) => Err(BackupError::Shared(Arc::clone(error))),
    }
}

type OpenedChainFile<'f, 'a> = (&'f Path, &'a dyn age::Identity);

/// Reads the manifest that a backup file ends with into `into`.
///
/// # Errors
/// When the file is damaged, or ends no point.
pub fn copy_manifest(
    (path, identity): OpenedChainFile<'_, '_>,
    target: &Path,
    mut into: File,
) -> Result<(Description, File), BackupError> {
    let copy = |archive: PipeReader| {
        let mut archive = tar_of(archive)?;
        let mut extensions = Extensions::default();
        let mut description = None;
        for raw in archive.entries().map_err(Unpack::Archive)?.raw(true) {
            let mut raw = raw.map_err(Unpack::Archive)?;
            let entry = extensions.take_in(&mut raw).map_err(Unpack::Archive)?;
            if description.is_none() {
                description =
                    Some(parse_description(extensions.description.take()).map_err(Unpack::Archive)?);
            }
            if let (Some(entry), Some(description)) = (entry, description.as_ref())
                && entry.path == MANIFEST_NAME
            {
                copy_all(&mut raw, &mut into)?;
                return Ok((description.clone(), into));
            }
        }
        Err(Unpack::Archive(invalid("no complete backup: it was ended before it was whole")))
    };
    let (description, mut manifest) = OpenFile::open(path, identity)?.unpack(target, copy)?;
    manifest.rewind().map_err(BackupError::io("read a manifest in", target))?;
    Ok((description, manifest))
}

/// Copies, telling errors of the archive from those of the disk.
fn copy_all(from: &mut impl io::Read, into: &mut File) -> Result<(), Unpack> {
    let mut buffer = vec![0; limits::BLOCK];
    loop {
        let read = from.read(&mut buffer).map_err(Unpack::Archive)?;
        if read == 0 {
            return Ok(());
        }
        into.write_all(buffer.split_at(read).0).map_err(Unpack::Disk)?;
    }
}

struct Point<'a> {
    root: &'a File,
    target: &'a Path,
    options: RestoreOptions,
    observer: &'a dyn Observer,
    manifest: ManifestReader<BufReader<File>>,
    /// By file of the chain, where in the manifest the entries are whose contents it holds.
    wanted: BTreeMap<u32, Vec<u64>>,
    /// Where in the manifest the folders are.
    folders: Vec<u64>,
    contents: Contents,
    lost: Warnings,
}

impl Point<'_> {
    /// Makes all folders and links, and notes which file holds what.
    fn lay_out(&mut self) -> Result<End, Unpack> {
        let mut folders = OpenFolders::new(self.root);
        loop {
            let position = self.manifest.position();
            let Some(entry) = self.manifest.next().map_err(Unpack::Archive)? else { break };
            match entry.kind {
                Kind::File => self.wanted.entry(entry.file).or_default().push(position),
                Kind::Folder => {
                    let name = folders.enter(&entry.path)?;
                    rustix::fs::mkdirat(folders.here(), name, Mode::RWXU).map_err(disk)?;
                    self.folders.push(position);
                    self.contents.folders += 1;
                }
                Kind::Link => {
                    let name = folders.enter(&entry.path)?;
                    place_link(folders.here(), name, &entry.target, &entry.attributes, self.options)?;
                    self.contents.links += 1;
                }
            }
        }
        let end = self.manifest.end().cloned();
        end.filter(|end| end.entries == self.manifest.entries())
            .ok_or_else(|| Unpack::Archive(invalid("a manifest that lacks entries")))
    }

    fn entry_at(&mut self, position: u64) -> Result<ManifestEntry, Unpack> {
        self.manifest.seek(position).map_err(Unpack::Disk)?;
        let entry = self.manifest.next().map_err(Unpack::Archive)?;
        entry.ok_or_else(|| Unpack::Archive(invalid("a manifest that changed")))
    }

    /// Restores the entries at `positions` of the manifest out of one file; `done` counts them.
    fn fill(
        &mut self,
        (path, identity): OpenedChainFile<'_, '_>,
        number: u32,
        nonce: Option<&String>,
        positions: &[u64],
        done: &mut usize,
    ) -> Result<(), BackupError> {
        if nonce.is_some_and(|nonce| facts(path).is_ok_and(|facts| facts.nonce != *nonce)) {
            return Err(BackupError::Damaged {
                file: path.to_owned(),
                what: format!("it is not the file {number} that this chain was made with"),
            });
        }
        let target = self.target;
        let fill = |archive| self.fill_from(archive, positions, done);
        OpenFile::open(path, identity)?.unpack(target, fill)
    }

    fn fill_from(&mut self, archive: PipeReader, positions: &[u64], done: &mut usize) -> Result<(), Unpack> {
        let mut archive = tar_of(archive)?;
        let mut extensions = Extensions::default();
        let mut folders = OpenFolders::new(self.root);
        let mut buffer = vec![0; limits::BLOCK];
        let Some(first) = positions.first() else { return Ok(()) };
        let mut wanted = self.entry_at(*first)?;
        for raw in archive.entries().map_err(Unpack::Archive)?.raw(true) {
            let mut raw = raw.map_err(Unpack::Archive)?;
            let Some(found) = extensions.take_in(&mut raw).map_err(Unpack::Archive)? else { continue };
            if found.kind != Kind::File || found.path != wanted.path {
                continue;
            }
            let name = folders.enter(&wanted.path)?;
            self.file(folders.here(), name, &wanted, &mut raw, &mut buffer)?;
            *done += 1;
            match positions.get(*done) {
                Some(next) => wanted = self.entry_at(*next)?,
                None => return Ok(()),
            }
        }
        Err(Unpack::Archive(invalid("fewer files than its chain says")))
    }

    fn file(
        &mut self,
        here: BorrowedFd<'_>,
        name: &OsStr,
        wanted: &ManifestEntry,
        contents: &mut tar::Entry<'_, impl io::Read>,
        buffer: &mut [u8],
    ) -> Result<(), Unpack> {
        if contents.size() != wanted.size {
            return Err(Unpack::Archive(invalid("a file of another length than its chain says")));
        }
        let entry = Entry {
            kind: Kind::File,
            path: Vec::new(),
            target: Vec::new(),
            attributes: wanted.attributes,
            size: wanted.size,
        };
        let mut hash = Context::new(&SHA256);
        let (options, observer) = (self.options, self.observer);
        Placed { entry: &entry, options, observer, buffer, hash: Some(&mut hash) }
            .file(here, name, contents)?;
        if wanted.hash.is_none_or(|wanted| hash.finish().as_ref() != wanted) {
            rustix::fs::unlinkat(here, name, rustix::fs::AtFlags::empty()).map_err(disk)?;
            return Err(Unpack::Archive(invalid("a file with other contents than its chain says")));
        }
        self.contents.files += 1;
        self.contents.bytes += wanted.size;
        Ok(())
    }

    /// Notes what is lost, and removes what there is of the first of it.
    fn give_up(&mut self, positions: &[u64], why: &str) -> Result<(), Unpack> {
        for (number, position) in positions.iter().enumerate() {
            let entry = self.entry_at(*position)?;
            let path = Path::new(OsStr::from_bytes(&entry.path));
            if number == 0 {
                let mut folders = OpenFolders::new(self.root);
                let name = folders.enter(&entry.path)?;
                match rustix::fs::unlinkat(folders.here(), name, rustix::fs::AtFlags::empty()) {
                    Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                    Err(error) => return Err(disk(error)),
                }
            }
            self.lost.add(self.observer, path, Problem::Lost(why.to_owned()));
        }
        Ok(())
    }

    /// Gives the folders their attributes, inner ones first: filling a folder changes its time.
    fn finish_folders(&mut self) -> Result<(), Unpack> {
        let mut folders = OpenFolders::new(self.root);
        for position in std::mem::take(&mut self.folders).into_iter().rev() {
            let entry = self.entry_at(position)?;
            let name = folders.enter(&entry.path)?;
            let folder = open_folder(folders.here(), name)?;
            finish(folder.as_fd(), &entry.attributes, self.options)?;
        }
        Ok(())
    }
}

fn open_folder(here: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Unpack> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(here, name, flags, Mode::empty()).map_err(disk)
}

/// The folders from the root to where the restore is. What is in the root is of this restore's making, but what a manifest
/// says is not trusted: no link is gone through.
struct OpenFolders<'a> {
    root: &'a File,
    inner: Vec<(Vec<u8>, OwnedFd)>,
}

impl<'a> OpenFolders<'a> {
    const fn new(root: &'a File) -> Self {
        Self { root, inner: Vec::new() }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.inner.last().map_or_else(|| self.root.as_fd(), |(_, folder)| folder.as_fd())
    }

    /// Goes to the folder that `path` lies in, and returns its last name.
    fn enter<'p>(&mut self, path: &'p [u8]) -> Result<&'p OsStr, Unpack> {
        let names = names_of(path)?;
        let (name, parents) = names.split_last().ok_or_else(|| misplaced(path))?;
        let same = self.inner.iter().zip(parents).take_while(|((open, _), parent)| open == *parent).count();
        self.inner.truncate(same);
        for parent in parents.iter().skip(same) {
            let folder = open_folder(self.here(), OsStr::from_bytes(parent))?;
            self.inner.push((parent.to_vec(), folder));
        }
        Ok(OsStr::from_bytes(name))
    }
}
