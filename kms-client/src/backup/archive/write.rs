//! Writes a point in time: one backup file, or several where it is long.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Seek, Write};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use kms_protocol::DateTime;

use super::super::envelope::encryptor;
use super::super::staging::{NewFile, make_folder};
use super::super::{BackupError, limits};
use super::contents::{Steady, is_unchanged};
use super::earlier::{Earlier, EarlierState, Known};
use super::entry::{Attributes, EntryWriter, Kind};
use super::manifest::{MANIFEST_NAME, ManifestEntry, ManifestExtent, ManifestWriter, Start};
use super::walk::{Found, Place, Root, Visitor, Walk, identity, roots};
use super::{ChainPosition, Contents, Description, FORMAT, Facts, Observer, Problem, Warnings, facts_of};

/// A backup that is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupRequest {
    /// Name of the job.
    pub job: String,
    /// What to back up; each appears in the archive under its last component.
    pub paths: Vec<PathBuf>,
    /// The folder that the file goes to; it is made if only it is missing.
    pub target: PathBuf,
    /// When this is.
    pub now: DateTime,
}

/// Where in its chain a backup goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Continuation {
    /// The chain's identifier.
    pub chain: String,
    /// What the chain's files are named after; none before the first was written.
    pub stem: Option<String>,
    /// Number of the next file.
    pub number: u32,
    /// What the chain holds already.
    pub earlier: EarlierState,
    /// The nonces of the chain's files, by number.
    pub nonces: BTreeMap<u32, String>,
    /// Bytes of input after which the next file is begun.
    pub checkpoint: u64,
}

impl Continuation {
    /// The beginning of a chain.
    #[must_use]
    pub fn new_chain(id: String) -> Self {
        Self {
            chain: id,
            stem: None,
            number: 1,
            earlier: EarlierState::new(),
            nonces: BTreeMap::new(),
            checkpoint: limits::CHECKPOINT,
        }
    }
}

/// A file of a chain that is in its place, durably.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrittenFile {
    /// Its number in the chain.
    pub number: u32,
    /// The file.
    pub path: PathBuf,
    /// Whether it ends a point; otherwise the next file goes on with it.
    pub complete: bool,
    /// How much of the manifest is durable.
    pub manifest: ManifestExtent,
    /// What tells it from any other, and which keys open it.
    pub facts: Facts,
}

/// What a backup did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupSummary {
    /// The file; the last one where there are several.
    pub file: PathBuf,
    /// Number of that file in its chain.
    pub number: u32,
    /// How many files were written.
    pub files: u32,
    /// Their length in bytes.
    pub size: u64,
    /// What the point in time consists of.
    pub contents: Contents,
    /// What had to be stored for it.
    pub stored: Contents,
    /// What is not in it, or not as it was.
    pub warnings: Warnings,
}

/// Writes a full backup that is a chain of its own, which appears in the target folder only when it is whole and durable.
///
/// A file that vanishes, cannot be read or changes while it is read does not end the backup: it is warned of.
///
/// # Errors
/// When a path to back up does not exist, or the file cannot be written; no file is left then.
pub fn write(
    request: &BackupRequest,
    recipients: &[&dyn age::Recipient],
    observer: &dyn Observer,
) -> Result<BackupSummary, BackupError> {
    let roots = roots(&request.paths)?;
    make_folder(&request.target)?;
    let manifest = tempfile::tempfile_in(&request.target)
        .map_err(BackupError::io("make a temporary file in", &request.target))?;
    let continuation =
        Continuation { checkpoint: u64::MAX, ..Continuation::new_chain(uuid::Uuid::new_v4().to_string()) };
    write_point(request, &roots, continuation, manifest, recipients, observer, &mut |_| Ok(()))
}

/// Writes the next point of a chain, and its manifest into `manifest` as well. `written` is told of each file once it is
/// in its place.
///
/// # Errors
/// As [`write`] has them, and those of `written`.
pub fn write_point(
    request: &BackupRequest,
    roots: &[Root],
    continuation: Continuation,
    manifest: File,
    recipients: &[&dyn age::Recipient],
    observer: &dyn Observer,
    written: &mut dyn FnMut(&WrittenFile) -> Result<(), BackupError>,
) -> Result<BackupSummary, BackupError> {
    make_folder(&request.target)?;
    let skip = identity(&request.target)?;
    let failed = |error| BackupError::io("write a backup into", &request.target)(error);
    let start = Start {
        format: FORMAT,
        chain: continuation.chain.clone(),
        number: continuation.number,
        created: request.now.0,
    };
    let earlier = Earlier::open(&continuation.earlier).map_err(failed)?;
    let manifest = ManifestWriter::new(manifest, &start).map_err(failed)?;
    let mut archiver = Archiver {
        request,
        recipients,
        observer,
        written,
        continuation,
        earlier,
        manifest: Some(manifest),
        output: None,
        used: BTreeSet::new(),
        contents: Contents::default(),
        stored: Contents::default(),
        size: 0,
        files: 0,
        buffer: vec![0; limits::BLOCK],
        failure: None,
    };
    archiver.begin()?;
    let mut warnings = Warnings::default();
    let mut walk = Walk { visitor: &mut archiver, observer, warnings: &mut warnings, skip: Some(skip) };
    let walked = roots.iter().try_for_each(|root| walk.root(root));
    if let Err(error) = walked {
        return Err(archiver.failure(error));
    }
    let last = archiver.end()?;
    let Archiver { contents, stored, size, files, .. } = archiver;
    Ok(BackupSummary { file: last.path, number: last.number, files, size, contents, stored, warnings })
}

/// A backup file under way: archived and compressed here, encrypted on a thread of its own.
struct Output {
    entries: EntryWriter<zstd::Encoder<'static, PipeWriter>>,
    encryption: JoinHandle<io::Result<Encrypted>>,
    file: NewFile,
    /// Bytes of input in it.
    input: u64,
}

type Encrypted = age::stream::StreamWriter<io::BufWriter<File>>;

/// Reads the archive from the pipe and encrypts it; the end mark is left to the caller.
fn encrypt(mut archive: PipeReader, encryptor: age::Encryptor, file: File) -> io::Result<Encrypted> {
    let mut stream = encryptor.wrap_output(io::BufWriter::with_capacity(limits::BLOCK, file))?;
    let mut buffer = vec![0; limits::BLOCK];
    loop {
        let read = match archive.read(&mut buffer) {
            Ok(0) => return Ok(stream),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (part, _) = buffer.split_at(read);
        stream.write_all(part)?;
    }
}

fn encryption_result(encryption: JoinHandle<io::Result<Encrypted>>) -> io::Result<Encrypted> {
    encryption.join().unwrap_or_else(|_| Err(io::Error::other("the encrypting thread failed")))
}

struct Archiver<'a> {
    request: &'a BackupRequest,
    recipients: &'a [&'a dyn age::Recipient],
    observer: &'a dyn Observer,
    written: &'a mut dyn FnMut(&WrittenFile) -> Result<(), BackupError>,
    continuation: Continuation,
    earlier: Earlier,
    manifest: Option<ManifestWriter>,
    output: Option<Output>,
    /// Numbers of the files that hold contents of this point.
    used: BTreeSet<u32>,
    contents: Contents,
    stored: Contents,
    size: u64,
    files: u32,
    buffer: Vec<u8>,
    /// What ended the walk, where that was no I/O error.
    failure: Option<BackupError>,
}

fn not_begun() -> io::Error {
    io::Error::other("no file was begun")
}

impl Archiver<'_> {
    fn failed(&self, error: io::Error) -> BackupError {
        BackupError::io("write a backup into", &self.request.target)(error)
    }

    /// What ended the walk: where encryption failed the archiver only sees its pipe break, so the former is the cause.
    fn failure(&mut self, error: io::Error) -> BackupError {
        if let Some(failure) = self.failure.take() {
            return failure;
        }
        let cause = self.output.take().and_then(|output| {
            drop(output.entries);
            encryption_result(output.encryption).err()
        });
        self.failed(cause.unwrap_or(error))
    }

    /// Begins the file of the next number.
    fn begin(&mut self) -> Result<(), BackupError> {
        let failed = |error| self.failed(error);
        let description = Description {
            format: FORMAT,
            job: self.request.job.clone(),
            created: self.request.now.0,
            chain: Some(ChainPosition {
                id: self.continuation.chain.clone(),
                number: self.continuation.number,
            }),
        };
        let file = NewFile::create(&self.request.target)?;
        let encryptor = encryptor(self.recipients).map_err(failed)?;
        let (read_end, write_end) = io::pipe().map_err(failed)?;
        let encrypted = file.file().try_clone().map_err(failed)?;
        let encryption = thread::spawn(move || encrypt(read_end, encryptor, encrypted));
        let compressor = zstd::Encoder::new(write_end, limits::ZSTD_LEVEL).map_err(failed)?;
        let mut entries = EntryWriter::new(compressor);
        let described = serde_json::to_string(&description).map_err(io::Error::from);
        described.and_then(|json| entries.description(&json)).map_err(failed)?;
        self.output = Some(Output { entries, encryption, file, input: 0 });
        Ok(())
    }

    /// Puts the file in its place.
    fn publish(&mut self, manifest: ManifestExtent, complete: bool) -> Result<WrittenFile, BackupError> {
        let failed = |error| BackupError::io("write a backup into", &self.request.target)(error);
        let output = self.output.take().ok_or_else(not_begun).map_err(failed)?;
        let archived = output.entries.finish().and_then(zstd::Encoder::finish).map(drop);
        let stream = encryption_result(output.encryption).map_err(failed)?;
        archived.map_err(failed)?;
        // The end mark makes the file valid: it is written only now that everything before it is known to be right.
        stream.finish().and_then(|mut file| file.flush()).map_err(failed)?;
        self.size += output.file.file().metadata().map_err(failed)?.len();
        // Of the file that was written: of that name there may be another by the time that it is looked at.
        let mut whole = output.file.file().try_clone().map_err(failed)?;
        whole.rewind().map_err(failed)?;
        let facts = facts_of(whole, &self.request.target)?;
        let number = self.continuation.number;
        let path = match &self.continuation.stem {
            None => {
                let path = output.file.publish(|n| first_name(&self.request.job, self.request.now, n))?;
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                self.continuation.stem = Some(stem);
                path
            }
            Some(stem) => output.file.publish_as(file_name(stem, number))?,
        };
        self.continuation.nonces.insert(number, facts.nonce.clone());
        let file = WrittenFile { number, path, complete, manifest, facts };
        (self.written)(&file)?;
        self.files += 1;
        self.continuation.number += 1;
        Ok(file)
    }

    /// Ends a file in the middle of a point, and begins the next.
    fn checkpoint(&mut self) -> Result<(), BackupError> {
        if self.continuation.number >= limits::MAX_CHAIN_FILES {
            return Ok(());
        }
        let target = &self.request.target;
        let failed = |error| BackupError::io("write a backup into", target)(error);
        let manifest = self.manifest.as_mut().ok_or_else(not_begun).map_err(failed)?;
        let extent = manifest.sync().map_err(failed)?;
        self.publish(extent, false)?;
        self.begin()
    }

    /// Ends the last file, with the manifest.
    fn end(&mut self) -> Result<WrittenFile, BackupError> {
        let number = self.continuation.number;
        let nonce = |used: &u32| self.continuation.nonces.get(used).map(|nonce| (*used, nonce.clone()));
        let files = self.used.iter().filter(|used| **used != number).filter_map(nonce).collect();
        let manifest = self.manifest.take().ok_or_else(not_begun).map_err(|error| self.failed(error))?;
        let append = || -> io::Result<ManifestExtent> {
            let (mut file, extent) = manifest.end(files)?;
            file.sync_data()?;
            file.rewind()?;
            let attributes =
                Attributes { mode: 0o600, owner: 0, group: 0, seconds: self.request.now.0, nanoseconds: 0 };
            let output = self.output.as_mut().ok_or_else(not_begun)?;
            output.entries.file(MANIFEST_NAME, &attributes, extent.length, &mut file, &mut self.buffer)?;
            Ok(extent)
        };
        match append() {
            Ok(extent) => self.publish(extent, true),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn note(&mut self, entry: &ManifestEntry) -> io::Result<()> {
        if entry.kind == Kind::File {
            self.used.insert(entry.file);
        }
        self.manifest.as_mut().ok_or_else(not_begun)?.entry(entry)
    }

    fn file(
        &mut self,
        mut entry: ManifestEntry,
        known: Option<&Known>,
        mut file: &File,
    ) -> io::Result<Option<Problem>> {
        self.contents.files += 1;
        self.contents.bytes += entry.size;
        if let Some(known) = known.filter(|known| known.entry.kind == Kind::File)
            && is_unchanged(known, &entry, file)?
        {
            self.observer.advanced(entry.size);
            (entry.file, entry.hash) = (known.entry.file, known.entry.hash);
            return self.note(&entry).map(|()| None);
        }
        file.rewind()?;
        let size = entry.size;
        self.stored.files += 1;
        self.stored.bytes += size;
        let mut contents = Steady::new(file, self.observer);
        let output = self.output.as_mut().ok_or_else(not_begun)?;
        output.entries.file(&entry.path, &entry.attributes, size, &mut contents, &mut self.buffer)?;
        output.input += size;
        let full = output.input >= self.continuation.checkpoint;
        let (problem, hash) = contents.end(&entry.attributes, size);
        (entry.file, entry.hash) = (self.continuation.number, Some(hash));
        entry.doubtful = problem.is_some();
        self.note(&entry)?;
        if full {
            self.checkpoint().map_err(|error| {
                self.failure = Some(error);
                io::Error::other("a file could not be ended")
            })?;
        }
        Ok(problem)
    }
}

impl Visitor for Archiver<'_> {
    fn visit(
        &mut self,
        at: &Place<'_>,
        attributes: &Attributes,
        found: Found<'_>,
    ) -> io::Result<Option<Problem>> {
        let known = self.earlier.find(at.archive)?;
        let (kind, size, target) = match &found {
            Found::File(_, size) => (Kind::File, *size, Vec::new()),
            Found::Folder => (Kind::Folder, 0, Vec::new()),
            Found::Link(target) => (Kind::Link, 0, target.to_vec()),
        };
        let path = at.archive.to_vec();
        let (hash, file, doubtful) = (None, 0, false);
        let entry = ManifestEntry { path, kind, attributes: *attributes, size, hash, file, target, doubtful };
        if let Found::File(file, _) = found {
            return self.file(entry, known.as_ref(), file);
        }
        let is_same = known.is_some_and(|known| known.entry == entry);
        let entries = &mut self.output.as_mut().ok_or_else(not_begun)?.entries;
        match kind {
            Kind::Link if !is_same => entries.link(at.archive, &entry.target, attributes)?,
            Kind::Folder if !is_same => entries.folder(at.archive, attributes)?,
            _ => {}
        }
        for counted in [Some(&mut self.contents), (!is_same).then_some(&mut self.stored)] {
            match (kind, counted) {
                (Kind::Link, Some(counted)) => counted.links += 1,
                (Kind::Folder, Some(counted)) => counted.folders += 1,
                _ => {}
            }
        }
        self.note(&entry)?;
        Ok(None)
    }
}

/// The name of a chain's first file.
fn first_name(job: &str, now: DateTime, number: u32) -> String {
    let time = jiff::Timestamp::from_second(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{job}-{}-{number}.age", time.strftime("%Y%m%dT%H%M%SZ"))
}

/// The name of file `number` of the chain whose first file is `stem.age`.
#[must_use]
pub fn file_name(stem: &str, number: u32) -> String {
    if number == 1 { format!("{stem}.age") } else { format!("{stem}.{number:04}.age") }
}
