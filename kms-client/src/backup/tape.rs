//! Tapes: backup files written as a sequence of volumes, encrypted by a media pool's key on top of their own.
//!
//! A media pool is a job whose key encrypts tapes. A set is what one command writes: volumes of at most the tape's
//! capacity, `STEM.v0001.tape` and so on. Each volume is an age file that holds a tar archive: first [`Catalog`], which
//! says what is on it, then the files or, where one goes over the volume's end, its part. So a catalogue job reads the
//! beginning of each volume only, and `age -d VOLUME | tar x` gives the files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kms_protocol::DateTime;
use serde::{Deserialize, Serialize};

use super::archive::open;
use super::database::Database;
use super::envelope::{FileKeyIdentity, Header, Locks, encryptor};
use super::jobs::ReadyJob;
use super::restore::locked;
use super::staging::{NewFile, clean, make_folder};
use super::unlock::{LockedFile, Unlocker};
use super::{BackupError, escape, limits};

const CATALOG_NAME: &str = ".kms-client-catalog";
/// Version of volumes that this code writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What a volume says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Catalog {
    /// Version of its layout.
    pub format: u32,
    /// The set's identifier, random.
    pub set: String,
    /// The media pool.
    pub pool: String,
    /// When the set was begun, in seconds since 1970-01-01T00:00:00Z.
    pub created: i64,
    /// 1 for the first volume.
    pub volume: u32,
    /// How many volumes the set has.
    pub volumes: u32,
    /// What is on it.
    pub parts: Vec<Part>,
}

/// A file on a volume, or the part of it that is there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The file's name, escaped.
    pub name: String,
    /// The file's length in bytes.
    pub size: u64,
    /// Where in the file the part begins.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// What opens the file itself, in words.
    pub opened_by: String,
}

impl Part {
    /// The part's name in the volume: parts sort in their order.
    fn entry_name(&self) -> String {
        if self.length == self.size {
            self.name.clone()
        } else {
            format!("{}.part-{:020}", self.name, self.offset)
        }
    }
}

/// A set that is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TapeRequest {
    /// The backup files, each encrypted already.
    pub files: Vec<PathBuf>,
    /// The folder that stands for the tape library.
    pub target: PathBuf,
    /// Bytes that fit on a tape.
    pub capacity: u64,
    /// When this is.
    pub now: DateTime,
}

/// Writes a set; `written` is told of each volume once it is in its place.
///
/// # Errors
/// When a file is no backup file, the capacity is too small, or a volume cannot be written; volumes before it stay. Those of
/// `written`.
pub fn write(
    pool: &ReadyJob,
    request: &TapeRequest,
    describe: &dyn Fn(&Header) -> String,
    written: &dyn Fn(&Path, &Catalog) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let TapeRequest { files, target, capacity, now } = request;
    let mut sources: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut wanted = Vec::new();
    for path in files {
        let name = escape::escape(path.file_name().unwrap_or_default().as_encoded_bytes());
        let header = read_header(path)?;
        let size = path.metadata().map_err(BackupError::io("read", path))?.len();
        if sources.insert(name.clone(), path.clone()).is_some() {
            return Err(BackupError::SameName { name });
        }
        wanted.push(Part { name, size, offset: 0, length: size, opened_by: describe(&header) });
    }
    let volumes = assign(wanted, *capacity)?;
    make_folder(target)?;
    let recipients = pool.recipients()?;
    let recipients: Vec<&dyn age::Recipient> = recipients.iter().map(AsRef::as_ref).collect();
    let count = u32::try_from(volumes.len()).unwrap_or(u32::MAX);
    let stem = free_stem(target, &pool.job.name, *now);
    let set = uuid::Uuid::new_v4().to_string();
    for (volume, parts) in (1..).zip(volumes) {
        let (pool, created) = (pool.job.name.clone(), now.0);
        let catalog =
            Catalog { format: FORMAT, set: set.clone(), pool, created, volume, volumes: count, parts };
        let file = NewFile::create(target)?;
        write_volume(file.file(), &catalog, &sources, &recipients)
            .map_err(BackupError::io("write a volume into", target))?;
        let path = file.publish_as(format!("{stem}.v{volume:04}.tape"))?;
        written(&path, &catalog)?;
    }
    Ok(())
}

fn read_header(path: &Path) -> Result<Header, BackupError> {
    let file = File::open(path).map_err(BackupError::io("open", path))?;
    Header::read(&mut BufReader::new(file)).map_err(|_| BackupError::NotABackup {
        file: path.to_owned(),
        what: "it is not encrypted by a job's key; give --job to encrypt it first".to_owned(),
    })
}

/// The name of a set that no volume has yet.
fn free_stem(target: &Path, pool: &str, now: DateTime) -> String {
    let time = jiff::Timestamp::from_second(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let stem = |number| format!("{pool}-{}-{number}", time.strftime("%Y%m%dT%H%M%SZ"));
    let free = |stem: &String| !target.join(format!("{stem}.v0001.tape")).exists();
    (1..limits::MAX_FILES_PER_SECOND).map(stem).find(free).unwrap_or_else(|| stem(0))
}

/// Which parts go onto which volume.
fn assign(files: Vec<Part>, capacity: u64) -> Result<Vec<Vec<Part>>, BackupError> {
    // age adds 16 bytes to 65,536.
    let overhead = limits::MAX_HEADER as u64 + capacity / 4096 + limits::TAPE_PART;
    let room = capacity.saturating_sub(overhead);
    if capacity < limits::MIN_TAPE {
        return Err(BackupError::Invalid {
            what: "tape capacity",
            value: capacity.to_string(),
            rule: "at least 100,000 bytes",
        });
    }
    let mut volumes = Vec::new();
    let (mut volume, mut left) = (Vec::new(), room);
    for file in files {
        let mut offset = 0;
        loop {
            if left <= limits::TAPE_PART {
                volumes.push(std::mem::take(&mut volume));
                left = room;
            }
            let length = (file.size - offset).min(left - limits::TAPE_PART);
            volume.push(Part { offset, length, ..file.clone() });
            left -= length + limits::TAPE_PART;
            offset += length;
            if offset >= file.size {
                break;
            }
        }
    }
    volumes.push(volume);
    Ok(volumes)
}

fn write_volume(
    file: &File,
    catalog: &Catalog,
    sources: &BTreeMap<String, PathBuf>,
    recipients: &[&dyn age::Recipient],
) -> io::Result<()> {
    let stream = encryptor(recipients)?.wrap_output(io::BufWriter::with_capacity(limits::BLOCK, file))?;
    let mut tar = tar::Builder::new(stream);
    let json = serde_json::to_vec(catalog)?;
    append(&mut tar, CATALOG_NAME, json.len() as u64, json.as_slice())?;
    for part in &catalog.parts {
        let source = sources.get(&part.name).ok_or_else(|| io::Error::other("a file that was not named"))?;
        let mut source = File::open(source)?;
        source.seek(SeekFrom::Start(part.offset))?;
        append(&mut tar, &part.entry_name(), part.length, source.take(part.length))?;
    }
    tar.into_inner()?.finish()?.flush()
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, length: u64, data: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(length);
    let mut counted = Counted { inner: data, read: 0 };
    tar.append_data(&mut header, name, &mut counted)?;
    if counted.read == length { Ok(()) } else { Err(io::Error::other("a file became shorter meanwhile")) }
}

struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// The volumes that are named, or lie in a folder that is.
///
/// # Errors
/// When a folder cannot be read.
pub fn volumes(paths: &[PathBuf]) -> Result<Vec<PathBuf>, BackupError> {
    let mut volumes = Vec::new();
    for path in paths {
        if !path.is_dir() {
            volumes.push(path.clone());
            continue;
        }
        let failed = |error| BackupError::io("read the folder", path)(error);
        let first = volumes.len();
        for entry in path.read_dir().map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|extension| extension == "tape") {
                volumes.push(file);
            }
        }
        volumes.get_mut(first..).unwrap_or_default().sort();
    }
    Ok(volumes)
}

/// What kind of tapes a job works on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// All, where that goes.
    #[default]
    Any,
    /// Those that a KMS key encrypts.
    Kms,
    /// Those that a password encrypts.
    Password,
}

/// Looks at the headers of volumes, and keeps those of a kind.
///
/// # Errors
/// `MixedTapes` when this installation meets tapes of both kinds that it does not know: each kind takes a job of its own, since
/// one needs a KMS server and the other somebody who knows the password.
pub fn select(database: &Database, volumes: &[PathBuf], kind: Kind) -> Result<Vec<LockedFile>, BackupError> {
    let all: Vec<LockedFile> = volumes.iter().map(|path| locked(path)).collect::<Result<_, _>>()?;
    let by_kms = |file: &LockedFile| !file.locks.keys.is_empty();
    let (kms, passwords): (Vec<LockedFile>, Vec<LockedFile>) = all.iter().cloned().partition(by_kms);
    match kind {
        Kind::Kms => return Ok(kms),
        Kind::Password => return Ok(passwords),
        Kind::Any => {}
    }
    let known = Known::read(database)?;
    if kms.is_empty() || passwords.is_empty() || all.iter().all(|file| known.knows(&file.locks)) {
        return Ok(all);
    }
    let hints: BTreeSet<String> =
        passwords.iter().flat_map(|file| &file.locks.passwords).map(|stanza| stanza.hint.clone()).collect();
    let servers: BTreeSet<String> =
        kms.iter().flat_map(|file| &file.locks.keys).map(|stanza| stanza.reference.server.clone()).collect();
    Err(BackupError::MixedTapes {
        kms: kms.len(),
        servers: servers.into_iter().collect::<Vec<_>>().join(", "),
        passwords: passwords.len(),
        hints: hints.into_iter().collect::<Vec<_>>().join(", "),
    })
}

/// The keys of the media pools of this installation.
struct Known {
    private_ids: BTreeSet<String>,
    salts: BTreeSet<Vec<u8>>,
}

impl Known {
    fn read(database: &Database) -> Result<Self, BackupError> {
        let mut known = Self { private_ids: BTreeSet::new(), salts: BTreeSet::new() };
        for job in database.jobs()? {
            known.private_ids.extend(database.keys(&job.name)?.into_iter().map(|key| key.private_id));
            known.salts.extend(job.password.map(|password| password.salt));
        }
        Ok(known)
    }

    fn knows(&self, locks: &Locks) -> bool {
        locks.keys.iter().any(|stanza| self.private_ids.contains(&stanza.reference.private_id))
            || locks.passwords.iter().any(|stanza| self.salts.contains(&stanza.salt))
    }
}

/// Reads the catalogues of volumes: of each its beginning alone. Keys are unwrapped for all at once.
pub fn catalog(files: &[LockedFile], unlocker: &mut Unlocker<'_>) -> Vec<Result<Catalog, BackupError>> {
    let opened = unlocker.unlock(files);
    let one = |(file, identity): (&LockedFile, Result<FileKeyIdentity, Arc<BackupError>>)| {
        let identity = identity.map_err(BackupError::Shared)?;
        open_volume(&file.file, &identity, |catalog, _| Ok(catalog.clone()))
    };
    files.iter().zip(opened).map(one).collect()
}

/// A file on a volume: its name there, and its contents.
type Entry<'a> = io::Result<(String, Box<dyn Read + 'a>)>;

/// Opens a volume, and has `then` go on behind its catalogue.
fn open_volume<T>(
    path: &Path,
    identity: &FileKeyIdentity,
    then: impl FnOnce(&Catalog, &mut dyn Iterator<Item = Entry<'_>>) -> Result<T, BackupError>,
) -> Result<T, BackupError> {
    let damaged = |what: &str| BackupError::Damaged { file: path.to_owned(), what: what.to_owned() };
    let altered = |_: io::Error| damaged("its contents were altered, or its end is missing");
    let mut tar = tar::Archive::new(open(path, identity)?);
    let mut entries = tar.entries().map_err(altered)?;
    let first = entries.next().ok_or_else(|| damaged("nothing is on it"))?.map_err(altered)?;
    if first.path_bytes().as_ref() != CATALOG_NAME.as_bytes() {
        return Err(BackupError::NotABackup {
            file: path.to_owned(),
            what: "this is no tape volume".to_owned(),
        });
    }
    let mut json = Vec::new();
    first.take(limits::MAX_METADATA).read_to_end(&mut json).map_err(altered)?;
    let catalog: Catalog =
        serde_json::from_slice(&json).map_err(|_| damaged("its catalogue cannot be read"))?;
    if catalog.format > FORMAT {
        let what = format!("its format is {}, this kms-client knows {FORMAT}", catalog.format);
        return Err(BackupError::NotABackup { file: path.to_owned(), what });
    }
    let mut rest = entries.map(|entry| {
        let entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        Ok((name, Box::new(entry) as Box<dyn Read + '_>))
    });
    then(&catalog, &mut rest)
}

/// Puts the files of a set together again in `target`; the volumes may come in any order.
///
/// # Errors
/// When a volume is missing or damaged: only files that are whole appear.
pub fn read(
    files: &[LockedFile],
    target: &Path,
    unlocker: &mut Unlocker<'_>,
) -> Result<Vec<PathBuf>, BackupError> {
    let opened = unlocker.unlock(files);
    let mut volumes = BTreeMap::new();
    for (file, identity) in files.iter().zip(opened) {
        let identity = identity.map_err(BackupError::Shared)?;
        let catalog = open_volume(&file.file, &identity, |catalog, _| Ok(catalog.clone()))?;
        volumes.insert((catalog.set.clone(), catalog.volume), (file, identity, catalog));
    }
    for (_, _, catalog) in volumes.values() {
        let there = |volume: &u32| volumes.contains_key(&(catalog.set.clone(), *volume));
        if let Some(volume) = (1..=catalog.volumes).find(|volume| !there(volume)) {
            let (set, volumes) = (catalog.set.clone(), catalog.volumes);
            return Err(BackupError::MissingVolume { pool: catalog.pool.clone(), set, volume, volumes });
        }
    }
    make_folder(target)?;
    clean(target)?;
    let mut whole = Vec::new();
    let mut begun: Option<(String, NewFile, u64)> = None;
    for (file, identity, _) in volumes.values() {
        open_volume(&file.file, identity, |catalog, entries| {
            for part in &catalog.parts {
                let damaged =
                    |what: &str| BackupError::Damaged { file: file.file.clone(), what: what.to_owned() };
                let entry = entries.next().ok_or_else(|| damaged("a file that it should hold is missing"))?;
                let altered = |_| damaged("its contents were altered, or its end is missing");
                let (name, mut contents) = entry.map_err(altered)?;
                if name != part.entry_name() {
                    return Err(damaged("it holds another file than its catalogue says"));
                }
                let (started, into, done) = match begun.take() {
                    Some(begun) if part.offset > 0 => begun,
                    None if part.offset == 0 => (part.name.clone(), NewFile::in_clean(target)?, 0),
                    _ => return Err(damaged("the parts of a file do not follow each other")),
                };
                if started != part.name || done != part.offset {
                    return Err(damaged("the parts of a file do not follow each other"));
                }
                let copied =
                    io::copy(&mut contents, &mut into.file()).map_err(|error| match error.kind() {
                        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => altered(error),
                        _ => BackupError::io("write into", target)(error),
                    })?;
                match done + copied {
                    all if copied == part.length && all == part.size => {
                        whole.push(into.publish_as(plain_name(&part.name)?)?);
                    }
                    all if copied == part.length => begun = Some((started, into, all)),
                    _ => return Err(damaged("a file that it holds is too short")),
                }
            }
            Ok(())
        })?;
    }
    Ok(whole)
}

/// A name that leads nowhere else.
fn plain_name(name: &str) -> Result<OsString, BackupError> {
    let bytes = escape::unescape(name).unwrap_or_default();
    let separators = bytes.iter().any(|byte| matches!(byte, b'/' | 0));
    let plain = !separators && !matches!(bytes.as_slice(), b"" | b"." | b"..");
    plain.then(|| OsString::from_vec(bytes)).ok_or_else(|| BackupError::Invalid {
        what: "file name on a tape",
        value: name.chars().take(limits::MAX_ADDRESS).collect(),
        rule: "a name without separators",
    })
}
