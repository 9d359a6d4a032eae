//! Reads a backup file back.
//!
//! Whoever has a job's public key can write a file for it, so the archive inside is not trusted: an entry may
//! only go into a folder that this restore itself has made, and nothing is ever opened through a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, PipeReader, Read, Write};
use std::iter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;

use rustix::fs::{Mode, OFlags};

use super::super::envelope::{Header, reason};
use super::super::staging::NewContents;
use super::super::{BackupError, limits};
use super::entry::{Attributes, Extensions, Kind, invalid};
use super::manifest::MANIFEST_NAME;
use super::placing::{Placed, Unpack, disk, finish, is_zero, misplaced, names_of, place_link};
use super::{Contents, Description, FORMAT, Observer, Warnings};

/// How to restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RestoreOptions {
    /// Replace files that are there already; otherwise the folder must be new or empty.
    pub overwrite: bool,
    /// Give files to the users and groups that they belonged to, which takes root; otherwise they belong to whoever
    /// restores, and lose their set-user-ID and set-group-ID bits.
    pub owners: bool,
}

/// What a restore did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoreSummary {
    /// What the backup says of itself.
    pub description: Description,
    /// What was restored.
    pub contents: Contents,
    /// What is lost, where a restore was to go on all the same.
    pub lost: Warnings,
}

/// Restores `file`, a full backup, into the folder `target`, which nothing reaches before the whole file has proved to be
/// intact.
///
/// # Errors
/// `Damaged` when the file was altered or cut, `NotEmpty` when there is something in the folder; nothing is left then.
pub fn restore(
    file: &Path,
    identity: &dyn age::Identity,
    target: &Path,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreSummary, BackupError> {
    let opened = OpenFile::open(file, identity)?;
    let contents = NewContents::create(target, options.overwrite, options.owners)?;
    let folder = contents.folder();
    let summary = opened.unpack(target, |archive| unpack(archive, folder, options, observer))?;
    contents.publish().map(|()| summary)
}

/// Shows that `file` is the one that its key was made for: by its header, and `whole` by all of its contents.
///
/// # Errors
/// `Damaged` when it is not.
pub fn prove(file: &Path, identity: &dyn age::Identity, whole: bool) -> Result<(), BackupError> {
    let mut payload = open(file, identity)?;
    if whole {
        io::copy(&mut payload, &mut io::sink()).map_err(|error| read_error(file, error))?;
    }
    Ok(())
}

/// What is encrypted in a file whose header proves to be intact; altered contents are `InvalidData`.
///
/// # Errors
/// `Damaged` when the header was altered, `NotABackup` when there is none.
pub fn open(file: &Path, identity: &dyn age::Identity) -> Result<Box<dyn Read + Send>, BackupError> {
    let input = File::open(file).map_err(BackupError::io("open", file))?;
    let mut input = BufReader::with_capacity(limits::BLOCK, input);
    let header = Header::read(&mut input).map_err(|error| not_a_backup(file, error.to_string()))?;
    let payload = age::Decryptor::new_buffered(header.followed_by(input))
        .and_then(|decryptor| decryptor.decrypt(iter::once(identity)))
        .map_err(|error| age_error(file, error))?;
    Ok(Box::new(payload))
}

/// A backup file whose header was proved to be intact.
pub struct OpenFile<'a> {
    file: &'a Path,
    payload: Box<dyn Read + Send>,
}

impl<'a> OpenFile<'a> {
    pub fn open(file: &'a Path, identity: &dyn age::Identity) -> Result<Self, BackupError> {
        Ok(Self { file, payload: open(file, identity)? })
    }

    /// Decrypts on a thread of its own, and has `unpack` read the compressed archive.
    pub fn unpack<T>(
        self,
        target: &Path,
        unpack: impl FnOnce(PipeReader) -> Result<T, Unpack>,
    ) -> Result<T, BackupError> {
        let Self { file, mut payload } = self;
        let pipes_failed = |error| BackupError::io("restore", file)(error);
        let (read_end, mut write_end) = io::pipe().map_err(pipes_failed)?;
        let (decrypted, unpacked) = thread::scope(|scope| {
            let decryption = scope.spawn(move || decrypt(&mut payload, &mut write_end));
            let unpacked = unpack(read_end);
            let decrypted =
                decryption.join().unwrap_or_else(|_| Err(io::Error::other("the decrypting thread failed")));
            (decrypted, unpacked)
        });
        match (decrypted, unpacked) {
            (Ok(()), Ok(done)) => Ok(done),
            // Unpacking needed no more of it.
            (Err(broken), Ok(done)) if broken.kind() == io::ErrorKind::BrokenPipe => Ok(done),
            // Unpacking gave up, so that decryption had nobody to write to: the first is the cause.
            (Ok(()), Err(error)) => Err(unpack_error(file, target, error)),
            (Err(broken), Err(error)) if broken.kind() == io::ErrorKind::BrokenPipe => {
                Err(unpack_error(file, target, error))
            }
            (Err(error), _) => Err(read_error(file, error)),
        }
    }
}

fn decrypt(payload: &mut impl Read, pipe: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; limits::BLOCK];
    loop {
        let read = payload.read(&mut buffer)?;
        let (part, _) = buffer.split_at(read);
        if read == 0 {
            return Ok(());
        }
        pipe.write_all(part)?;
    }
}

fn not_a_backup(file: &Path, what: String) -> BackupError {
    BackupError::NotABackup { file: file.to_owned(), what }
}

fn damaged(file: &Path, what: String) -> BackupError {
    BackupError::Damaged { file: file.to_owned(), what }
}

fn age_error(file: &Path, error: age::DecryptError) -> BackupError {
    match error {
        age::DecryptError::InvalidMac => damaged(file, "its header was altered".to_owned()),
        age::DecryptError::Io(error) => read_error(file, error),
        error => not_a_backup(file, reason(&error).to_owned()),
    }
}

/// Errors of reading and decrypting: of the disk, or of what was on it.
fn read_error(file: &Path, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            damaged(file, "its contents were altered, or its end is missing".to_owned())
        }
        io::ErrorKind::UnexpectedEof => damaged(file, "its end is missing".to_owned()),
        _ => BackupError::io("read", file)(error),
    }
}

/// Errors of decompressing and of making files.
fn unpack_error(file: &Path, target: &Path, error: Unpack) -> BackupError {
    match error {
        Unpack::Archive(error) => not_a_backup(file, format!("its archive cannot be restored: {error}")),
        Unpack::Disk(error) => BackupError::io("restore into", target)(error),
    }
}

fn unpack(
    compressed: PipeReader,
    root: &File,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreSummary, Unpack> {
    let mut archive = tar_of(compressed)?;
    let mut extensions = Extensions::default();
    let mut description = None;
    let mut folders = Folders::new(root, options);
    let mut contents = Contents::default();
    let mut buffer = vec![0; limits::BLOCK];
    let mut whole = false;
    for raw in archive.entries().map_err(Unpack::Archive)?.raw(true) {
        let mut raw = raw.map_err(Unpack::Archive)?;
        let entry = extensions.take_in(&mut raw).map_err(Unpack::Archive)?;
        if description.is_none() {
            let described = parse_description(extensions.description.take()).map_err(Unpack::Archive)?;
            alone(&described)?;
            description = Some(described);
        }
        let Some(entry) = entry else { continue };
        if entry.path == MANIFEST_NAME {
            whole = true;
            continue;
        }
        let name = folders.enter(&entry.path)?;
        match entry.kind {
            Kind::Folder => {
                folders.make(name, entry.attributes)?;
                contents.folders += 1;
            }
            Kind::Link => {
                place_link(folders.here(), name, &entry.target, &entry.attributes, options)?;
                contents.links += 1;
            }
            Kind::File => {
                let mut placed = Placed { entry: &entry, options, observer, buffer: &mut buffer, hash: None };
                placed.file(folders.here(), name, &mut raw)?;
                contents.files += 1;
                contents.bytes += entry.size;
            }
        }
    }
    folders.leave_all()?;
    let description = description.ok_or_else(|| Unpack::Archive(invalid("nothing")))?;
    only_zeros(archive.into_inner(), &mut buffer).map_err(Unpack::Archive)?;
    if description.chain.is_some() && !whole {
        return Err(Unpack::Archive(invalid("the beginning of a backup that was ended before it was whole")));
    }
    Ok(RestoreSummary { description, contents, lost: Warnings::default() })
}

/// Looks for a description that says that the file is no backup by itself.
fn alone(description: &Description) -> Result<(), Unpack> {
    match &description.chain {
        Some(position) if position.number > 1 => {
            Err(Unpack::Archive(invalid("a part of a chain, which needs the files before it")))
        }
        _ => Ok(()),
    }
}

/// The archive within what was decrypted.
pub fn tar_of(compressed: PipeReader) -> Result<tar::Archive<Decompressed>, Unpack> {
    let compressed = BufReader::with_capacity(limits::BLOCK, compressed);
    let mut decoder = zstd::Decoder::with_buffer(compressed).map_err(Unpack::Archive)?;
    decoder.window_log_max(limits::MAX_ZSTD_WINDOW_LOG).map_err(Unpack::Archive)?;
    Ok(tar::Archive::new(decoder))
}

type Decompressed = zstd::Decoder<'static, BufReader<PipeReader>>;

pub fn parse_description(json: Option<String>) -> io::Result<Description> {
    #[derive(serde::Deserialize)]
    struct FormatOnly {
        format: u32,
    }
    let json = json.ok_or_else(|| invalid("no description of itself"))?;
    let FormatOnly { format } = serde_json::from_str(&json)?;
    if format > FORMAT {
        return Err(invalid(&format!(
            "format {format}, which a newer kms-client wrote; this one knows {FORMAT}"
        )));
    }
    Ok(serde_json::from_str(&json)?)
}

/// Reads to the end, so that the file's last byte is proved as well.
fn only_zeros(mut rest: impl Read, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        let read = rest.read(buffer)?;
        if read == 0 {
            return Ok(());
        }
        if !is_zero(buffer.split_at(read).0) {
            return Err(invalid("something after its end"));
        }
    }
}

/// The folders from the root to where the restore is, all of its own making.
struct Folders<'a> {
    root: &'a File,
    inner: Vec<OpenFolder>,
    options: RestoreOptions,
}

struct OpenFolder {
    name: Vec<u8>,
    folder: OwnedFd,
    /// Set when the folder is left, since filling it changes its time and may need permissions that it lacks.
    attributes: Attributes,
}

impl<'a> Folders<'a> {
    const fn new(root: &'a File, options: RestoreOptions) -> Self {
        Self { root, inner: Vec::new(), options }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.inner.last().map_or_else(|| self.root.as_fd(), |inner| inner.folder.as_fd())
    }

    /// Goes to the folder that `path` lies in, which must be open already, and returns its last name.
    fn enter<'p>(&mut self, path: &'p [u8]) -> Result<&'p OsStr, Unpack> {
        let names = names_of(path)?;
        let (name, parents) = names.split_last().ok_or_else(|| misplaced(path))?;
        while self.inner.len() > parents.len() {
            self.leave()?;
        }
        let same = |(open, parent): (&OpenFolder, &&[u8])| open.name == **parent;
        if self.inner.len() < parents.len() || !self.inner.iter().zip(parents).all(same) {
            return Err(misplaced(path));
        }
        Ok(OsStr::from_bytes(name))
    }

    fn make(&mut self, name: &OsStr, attributes: Attributes) -> Result<(), Unpack> {
        rustix::fs::mkdirat(self.here(), name, Mode::RWXU).map_err(disk)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(self.here(), name, flags, Mode::empty()).map_err(disk)?;
        self.inner.push(OpenFolder { name: name.as_bytes().to_vec(), folder, attributes });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Unpack> {
        self.inner.pop().map_or(Ok(()), |left| finish(left.folder.as_fd(), &left.attributes, self.options))
    }

    fn leave_all(&mut self) -> Result<(), Unpack> {
        while !self.inner.is_empty() {
            self.leave()?;
        }
        Ok(())
    }
}
