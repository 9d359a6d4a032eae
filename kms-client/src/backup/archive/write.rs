//! Writes a backup file.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;
use std::thread;

use kms_protocol::DateTime;

use super::super::staging::{NewFile, make_folder};
use super::super::{BackupError, limits};
use super::entry::{Attributes, EntryWriter};
use super::walk::{Found, Place, Root, Visitor, Walk, identity, roots};
use super::{Contents, Description, FORMAT, Observer, Problem, Warnings};

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

/// What a backup did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupSummary {
    /// The file.
    pub file: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// What is in it.
    pub contents: Contents,
    /// What is not in it, or not as it was.
    pub warnings: Warnings,
}

/// Writes one backup file for `recipients`, which appears in the target folder only when it is whole and durable.
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
    let skip = identity(&request.target)?;
    let description = Description { format: FORMAT, job: request.job.clone(), created: request.now.0 };
    let file = NewFile::create(&request.target)?;
    let failed = |error| BackupError::io("write a backup into", &request.target)(error);
    let encryptor =
        age::Encryptor::with_recipients(recipients.iter().copied()).map_err(|error| match error {
            age::EncryptError::Io(error) => failed(error),
            _ => failed(io::Error::other("its recipients cannot be used together")),
        })?;
    let (read_end, write_end) = io::pipe().map_err(failed)?;
    let (archived, encrypted) = thread::scope(|scope| {
        let archiver = scope.spawn(|| archive(write_end, &roots, &description, skip, observer));
        let encrypted = encrypt(read_end, encryptor, file.file());
        let archived =
            archiver.join().unwrap_or_else(|_| Err(io::Error::other("the archiving thread failed")));
        (archived, encrypted)
    });
    // When encryption fails the archiver only sees its pipe break: the first is the cause.
    let stream = encrypted.map_err(failed)?;
    let (contents, warnings) = archived.map_err(failed)?;
    // The end mark makes the file valid: it is written only now that everything before it is known to be right.
    stream.finish().and_then(|mut file| file.flush()).map_err(failed)?;
    let size = file.file().metadata().map_err(failed)?.len();
    let file = file.publish(|number| file_name(&request.job, request.now, number))?;
    Ok(BackupSummary { file, size, contents, warnings })
}

/// Reads the archive from the pipe and encrypts it; the end mark is left to the caller.
fn encrypt(
    mut archive: PipeReader,
    encryptor: age::Encryptor,
    file: &File,
) -> io::Result<age::stream::StreamWriter<io::BufWriter<&File>>> {
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

/// Walks the roots and writes the compressed archive into the pipe.
fn archive(
    output: PipeWriter,
    roots: &[Root],
    description: &Description,
    skip: (u64, u64),
    observer: &dyn Observer,
) -> io::Result<(Contents, Warnings)> {
    let compressor = zstd::Encoder::new(output, limits::ZSTD_LEVEL)?;
    let mut entries = EntryWriter::new(compressor);
    entries.description(&serde_json::to_string(description)?)?;
    let mut archiver =
        Archiver { entries, contents: Contents::default(), observer, buffer: vec![0; limits::BLOCK] };
    let mut warnings = Warnings::default();
    let mut walk = Walk { visitor: &mut archiver, observer, warnings: &mut warnings, skip: Some(skip) };
    for root in roots {
        walk.root(root)?;
    }
    archiver.entries.finish()?.finish()?;
    Ok((archiver.contents, warnings))
}

struct Archiver<'a, W: Write> {
    entries: EntryWriter<W>,
    contents: Contents,
    observer: &'a dyn Observer,
    buffer: Vec<u8>,
}

impl<W: Write> Visitor for Archiver<'_, W> {
    fn visit(
        &mut self,
        at: &Place<'_>,
        attributes: &Attributes,
        found: Found<'_>,
    ) -> io::Result<Option<Problem>> {
        match found {
            Found::Folder => {
                self.contents.folders += 1;
                self.entries.folder(at.archive, attributes)?;
            }
            Found::Link(target) => {
                self.contents.links += 1;
                self.entries.link(at.archive, target, attributes)?;
            }
            Found::File(file, size) => {
                self.contents.files += 1;
                self.contents.bytes += size;
                let mut contents = Steady::new(file, self.observer);
                self.entries.file(at.archive, attributes, size, &mut contents, &mut self.buffer)?;
                return Ok(contents.problem(attributes, size));
            }
        }
        Ok(None)
    }
}

/// A file's contents that do not end early, whatever happens to the file: zeros stand in for what is missing.
struct Steady<'a> {
    file: &'a File,
    observer: &'a dyn Observer,
    ended: bool,
    error: Option<io::Error>,
}

impl<'a> Steady<'a> {
    const fn new(file: &'a File, observer: &'a dyn Observer) -> Self {
        Self { file, observer, ended: false, error: None }
    }

    /// What went wrong while all was read.
    fn problem(self, before: &Attributes, size: u64) -> Option<Problem> {
        if let Some(error) = self.error {
            return Some(Problem::ReadFailed(error.to_string()));
        }
        let after = self.file.metadata().ok()?;
        let same_time = after.modified().ok() == time(before);
        (self.ended || after.len() != size || !same_time).then_some(Problem::Changed)
    }
}

fn time(attributes: &Attributes) -> Option<std::time::SystemTime> {
    use core::time::Duration;
    use std::time::UNIX_EPOCH;
    let seconds = Duration::from_secs(attributes.seconds.unsigned_abs());
    let whole = if attributes.seconds < 0 {
        UNIX_EPOCH.checked_sub(seconds)
    } else {
        UNIX_EPOCH.checked_add(seconds)
    };
    whole?.checked_add(Duration::from_nanos(attributes.nanoseconds.into()))
}

impl Read for Steady<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ended && self.error.is_none() {
            match self.file.read(buffer) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.observer.advanced(read as u64);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => self.error = Some(error),
            }
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}

/// The name of a backup file.
fn file_name(job: &str, now: DateTime, number: u32) -> String {
    let time = jiff::Timestamp::from_second(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{job}-{}-{number}.age", time.strftime("%Y%m%dT%H%M%SZ"))
}
