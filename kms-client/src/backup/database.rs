//! The configuration database: servers, jobs, their public keys by generation, what syncs found.
//!
//! One sled tree of versioned JSON records. Every change is one atomic batch, and durable before the call
//! returns: sled's `flush` promises nothing after a power cut, so the file itself is synced as well.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sled::Batch;

use super::chains::{path_of, text_of};
use super::import::PendingImport;
use super::records::{Contact, Job, JobKey, Recovery, Repository, ServerEntry, SyncRun, check_name};
use super::tape::Catalog;
use super::{BackupError, limits};

mod chains;
mod exchange;

pub use exchange::read_export;

/// Version of the records that this code writes; it reads this one and, once there are any, older ones.
const VERSION: u32 = 1;

const FORMAT_KEY: &[u8] = b"format";
const SERVERS: &str = "server/";
const JOBS: &str = "job/";
const KEYS: &str = "key/";
const SYNCS: &str = "sync/";
const CHAINS: &str = "chain/";
const FILES: &str = "file/";
const RECOVERY_NAME: &str = "recovery";
const RECOVERY_KEY: &[u8] = RECOVERY_NAME.as_bytes();
const IMPORTS: &str = "import/";
const REPOSITORIES: &str = "repository/";
const TAPES: &str = "tape/";
const CONTACTS: &str = "contact/";

/// A record as it is stored.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    record: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// The first record of every database.
#[derive(Serialize, Deserialize)]
struct Format {
    installation: String,
}

#[derive(Serialize, Deserialize)]
struct TapeRecord {
    path: String,
    catalog: Catalog,
}

/// The configuration database, held open by one process at a time.
pub struct Database {
    // Dropped in this order: the lock outlives what it protects.
    sled: sled::Db,
    data: File,
    installation: String,
    folder: PathBuf,
    _lock: File,
}

impl Database {
    /// Opens the database in the state folder `folder`, made if it does not exist.
    ///
    /// # Errors
    /// `Locked` when another process has had it for 5 seconds; `Database` when it is damaged or of a newer version.
    pub fn open(folder: &Path) -> Result<Self, BackupError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(BackupError::io("make the folder", folder))?;
        let lock = acquire(folder)?;
        let path = folder.join("database");
        let is_new = !path.join("db").exists();
        sweep(&path).map_err(BackupError::io("clean up", &path))?;
        let sled = open_sled(folder, &path)?;
        let data_path = path.join("db");
        let data = File::open(&data_path).map_err(BackupError::io("open", &data_path))?;
        let folder = folder.to_owned();
        let mut database = Self { sled, data, installation: String::new(), folder, _lock: lock };
        database.installation = database.read_or_write_format()?;
        if is_new {
            let parent = folder_of(&database.folder);
            for path in [path.join("conf"), path, database.folder.clone(), parent] {
                File::open(&path).and_then(|file| file.sync_all()).map_err(BackupError::io("sync", &path))?;
            }
        }
        Ok(database)
    }

    /// A random name of this installation, for names in a KMS that several installations use.
    #[must_use]
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// Registers a KMS server.
    ///
    /// # Errors
    /// `Exists` when the name is taken; `Invalid` when it or the address is not acceptable.
    pub fn add_server(&mut self, server: &ServerEntry) -> Result<(), BackupError> {
        check_name("server name", &server.name)?;
        check_address(&server.address)?;
        let key = named(SERVERS, &server.name);
        if self.read::<ServerEntry>(&key)?.is_some() {
            return Err(BackupError::Exists { what: "server", name: server.name.clone() });
        }
        let mut batch = Batch::default();
        self.put(&mut batch, &key, server)?;
        self.commit(batch)
    }

    /// The server of that name.
    ///
    /// # Errors
    /// `Unknown` when there is none.
    pub fn server(&self, name: &str) -> Result<ServerEntry, BackupError> {
        let unknown = || BackupError::Unknown { what: "server", name: name.to_owned() };
        self.read(&named(SERVERS, name))?.ok_or_else(unknown)
    }

    /// All servers, by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn servers(&self) -> Result<Vec<ServerEntry>, BackupError> {
        self.read_all(SERVERS)
    }

    /// The repositories, by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn repositories(&self) -> Result<Vec<Repository>, BackupError> {
        self.read_all(REPOSITORIES)
    }

    /// Notes a repository, in the place of one of the same name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_repository(&mut self, repository: &Repository) -> Result<(), BackupError> {
        let mut batch = Batch::default();
        self.put(&mut batch, &named(REPOSITORIES, &repository.name), repository)?;
        self.commit(batch)
    }

    /// The job of that name.
    ///
    /// # Errors
    /// `Unknown` when there is none.
    pub fn job(&self, name: &str) -> Result<Job, BackupError> {
        let unknown = || BackupError::Unknown { what: "job", name: name.to_owned() };
        self.read(&named(JOBS, name))?.ok_or_else(unknown)
    }

    /// All jobs, by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn jobs(&self) -> Result<Vec<Job>, BackupError> {
        self.read_all(JOBS)
    }

    /// All generations of a job's key, oldest first.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn keys(&self, job: &str) -> Result<Vec<JobKey>, BackupError> {
        self.read_all(&format!("{KEYS}{job}/"))
    }

    /// The key that a job encrypts with; none while it was requested but not received.
    ///
    /// # Errors
    /// When the record is missing or cannot be read.
    pub fn current_key(&self, job: &Job) -> Result<Option<JobKey>, BackupError> {
        let Some(generation) = job.kms.as_ref().and_then(|kms| kms.generation) else { return Ok(None) };
        let missing = || self.failure(format!("generation {generation} of job {:?} is missing", job.name));
        self.read(&key_of(&job.name, generation))?.ok_or_else(missing).map(Some)
    }

    /// Writes a job and, where given, a new generation of its key: one change.
    ///
    /// # Errors
    /// `Overtaken` when the stored job is no longer `expected` (`None`: no such job).
    pub fn put_job(
        &mut self,
        expected: Option<&Job>,
        job: &Job,
        key: Option<&JobKey>,
    ) -> Result<(), BackupError> {
        self.expect_job(&job.name, expected)?;
        let mut batch = Batch::default();
        self.put(&mut batch, &named(JOBS, &job.name), job)?;
        if let Some(key) = key {
            self.put(&mut batch, &key_of(&job.name, key.generation), key)?;
        }
        self.commit(batch)
    }

    /// Forgets a job whose key was never received.
    ///
    /// # Errors
    /// `Overtaken` when the stored job is no longer `job`.
    pub fn forget_requested_job(&mut self, job: &Job) -> Result<(), BackupError> {
        self.expect_job(&job.name, Some(job))?;
        let mut batch = Batch::default();
        batch.remove(named(JOBS, &job.name));
        self.commit(batch)
    }

    /// Writes what a sync found: the jobs, their new keys and the run's record, as one change.
    ///
    /// Jobs that changed since they were read (`expected`) are left out; their names are returned.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_sync(
        &mut self,
        run: &SyncRun,
        updates: &[(Job, Job, Option<JobKey>)],
    ) -> Result<Vec<String>, BackupError> {
        let mut batch = Batch::default();
        let mut overtaken = Vec::new();
        for (expected, job, key) in updates {
            if self.read::<Job>(&named(JOBS, &job.name))?.as_ref() != Some(expected) {
                overtaken.push(job.name.clone());
                continue;
            }
            self.put(&mut batch, &named(JOBS, &job.name), job)?;
            if let Some(key) = key {
                self.put(&mut batch, &key_of(&job.name, key.generation), key)?;
            }
        }
        let keys = self.keys_below(SYNCS)?;
        for old in keys.iter().take((keys.len() + 1).saturating_sub(limits::MAX_SYNC_HISTORY)) {
            batch.remove(old.as_slice());
        }
        self.put(&mut batch, &after(keys.last()), run)?;
        self.commit(batch)?;
        Ok(overtaken)
    }

    /// The recorded sync runs, oldest first.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn sync_history(&self) -> Result<Vec<SyncRun>, BackupError> {
        self.read_all(SYNCS)
    }

    /// The tapes that were written or catalogued here: where each was, and what is on it.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn tapes(&self) -> Result<Vec<(PathBuf, Catalog)>, BackupError> {
        let records: Vec<TapeRecord> = self.read_all(TAPES)?;
        let mut tapes: Vec<(PathBuf, Catalog)> = Vec::new();
        for TapeRecord { path, catalog } in records {
            match tapes.last_mut() {
                Some((_, last)) if last.set == catalog.set && last.volume == catalog.volume => {
                    last.parts.extend(catalog.parts);
                }
                _ => tapes.push((path_of(&path), catalog)),
            }
        }
        Ok(tapes)
    }

    /// Notes what is on a tape.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_tape(&mut self, path: &Path, catalog: &Catalog) -> Result<(), BackupError> {
        let mut batch = Batch::default();
        for (number, parts) in catalog.parts.chunks(limits::PARTS_PER_RECORD).enumerate() {
            let key = format!("{TAPES}{}/{:010}/{number:010}", catalog.set, catalog.volume).into_bytes();
            let catalog = Catalog { parts: parts.to_vec(), ..catalog.clone() };
            self.put(&mut batch, &key, &TapeRecord { path: text_of(path), catalog })?;
        }
        self.commit(batch)
    }

    /// The imports that wait for something.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn imports(&self) -> Result<Vec<PendingImport>, BackupError> {
        self.read_all(IMPORTS)
    }

    pub(super) fn put_import(&mut self, import: &PendingImport) -> Result<(), BackupError> {
        let mut batch = Batch::default();
        self.put(&mut batch, &named(IMPORTS, import.key()), import)?;
        self.commit(batch)
    }

    pub(super) fn forget_import(&mut self, path: &str) -> Result<(), BackupError> {
        let mut batch = Batch::default();
        batch.remove(named(IMPORTS, path));
        self.commit(batch)
    }

    /// The Enterprise Manager, where one is enabled.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn recovery(&self) -> Result<Option<Recovery>, BackupError> {
        self.read(RECOVERY_KEY)
    }

    /// Enables an Enterprise Manager for all backups from now on, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_recovery(&mut self, recovery: Option<&Recovery>) -> Result<(), BackupError> {
        let mut batch = Batch::default();
        match recovery {
            Some(recovery) => self.put(&mut batch, RECOVERY_KEY, recovery)?,
            None => batch.remove(RECOVERY_KEY),
        }
        self.commit(batch)
    }

    /// How a server was when it was last asked.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn contact(&self, server: &str) -> Result<Contact, BackupError> {
        Ok(self.read(&named(CONTACTS, server))?.unwrap_or_default())
    }

    /// Notes how a server is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_contact(&mut self, server: &str, contact: &Contact) -> Result<(), BackupError> {
        let mut batch = Batch::default();
        self.put(&mut batch, &named(CONTACTS, server), contact)?;
        self.commit(batch)
    }

    fn expect_job(&self, name: &str, expected: Option<&Job>) -> Result<(), BackupError> {
        if self.read::<Job>(&named(JOBS, name))?.as_ref() == expected {
            return Ok(());
        }
        Err(BackupError::Overtaken { job: name.to_owned() })
    }

    fn read_or_write_format(&mut self) -> Result<String, BackupError> {
        if let Some(format) = self.read::<Format>(FORMAT_KEY)? {
            return Ok(format.installation);
        }
        let format = Format { installation: uuid::Uuid::new_v4().to_string() };
        let mut batch = Batch::default();
        self.put(&mut batch, FORMAT_KEY, &format)?;
        self.commit(batch)?;
        Ok(format.installation)
    }

    fn put<T: Serialize>(&self, batch: &mut Batch, key: &[u8], record: &T) -> Result<(), BackupError> {
        let bytes = serde_json::to_vec(&Versioned { version: VERSION, record })
            .map_err(|error| self.failure(error.to_string()))?;
        batch.insert(key, bytes);
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, BackupError> {
        match self.sled.get(key) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => self.parse(key, &bytes).map(Some),
            Err(error) => Err(self.failure(error.to_string())),
        }
    }

    fn read_all<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>, BackupError> {
        let parse = |item: sled::Result<_>| {
            let (key, bytes): (sled::IVec, sled::IVec) = item.map_err(|e| self.failure(e.to_string()))?;
            self.parse(&key, &bytes)
        };
        self.sled.scan_prefix(prefix).map(parse).collect()
    }

    fn keys_below(&self, prefix: &str) -> Result<Vec<Vec<u8>>, BackupError> {
        let key = |item: sled::Result<sled::IVec>| match item {
            Ok(key) => Ok(key.to_vec()),
            Err(error) => Err(self.failure(error.to_string())),
        };
        self.sled.scan_prefix(prefix).keys().map(key).collect()
    }

    fn parse<T: DeserializeOwned>(&self, key: &[u8], bytes: &[u8]) -> Result<T, BackupError> {
        let name = String::from_utf8_lossy(key);
        let broken = |error: serde_json::Error| self.failure(format!("record {name:?}: {error}"));
        let VersionOnly { version } = serde_json::from_slice(bytes).map_err(broken)?;
        if version != VERSION {
            return Err(
                self.failure(format!("record {name:?} has version {version}, this kms-client knows 1"))
            );
        }
        serde_json::from_slice::<Versioned<T>>(bytes).map(|stored| stored.record).map_err(broken)
    }

    /// Applies a batch, all or nothing, and returns once it would survive a power cut.
    fn commit(&mut self, batch: Batch) -> Result<(), BackupError> {
        self.sled
            .apply_batch(batch)
            .and_then(|()| self.sled.flush())
            .map_err(|error| self.failure(error.to_string()))?;
        self.data.sync_data().map_err(|error| self.failure(error.to_string()))
    }

    fn failure(&self, what: String) -> BackupError {
        BackupError::Database { folder: self.folder.clone(), what }
    }
}

/// Takes the lock file's lock, which the system takes back from a process that dies.
fn acquire(folder: &Path) -> Result<File, BackupError> {
    let path = folder.join("lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(BackupError::io("open", &path))?;
    for _ in 0..limits::LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => thread::sleep(limits::LOCK_PAUSE),
            Err(fs::TryLockError::Error(error)) => return Err(BackupError::io("lock", &path)(error)),
        }
    }
    Err(BackupError::Locked { folder: folder.to_owned() })
}

/// Removes what a kill or a full disk left of a snapshot that sled was writing: sled would read it as the newest one, and
/// take the whole database for damaged.
fn sweep(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn open_sled(folder: &Path, path: &Path) -> Result<sled::Db, BackupError> {
    let config = sled::Config::new().path(path).cache_capacity(limits::DATABASE_CACHE).flush_every_ms(None);
    let failure =
        |error: sled::Error| BackupError::Database { folder: folder.to_owned(), what: error.to_string() };
    for _ in 1..limits::LOCK_ATTEMPTS {
        match config.open() {
            // Threads of a database that this process closed just now can hold sled's own lock a little longer.
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                thread::sleep(limits::LOCK_PAUSE);
            }
            other => return other.map_err(failure),
        }
    }
    config.open().map_err(failure)
}

/// The folder that `path` lies in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

fn named(prefix: &str, name: &str) -> Vec<u8> {
    format!("{prefix}{name}").into_bytes()
}

/// Zero-padded, so that the order of the keys is the order of the generations.
fn key_of(job: &str, generation: u32) -> Vec<u8> {
    format!("{KEYS}{job}/{generation:010}").into_bytes()
}

/// The key of the sync run after the one at `last`.
fn after(last: Option<&Vec<u8>>) -> Vec<u8> {
    let number = last
        .and_then(|key| core::str::from_utf8(key).ok())
        .and_then(|key| key.strip_prefix(SYNCS))
        .and_then(|number| number.parse::<u64>().ok());
    format!("{SYNCS}{:020}", number.map_or(0, |number| number.saturating_add(1))).into_bytes()
}

fn check_address(address: &str) -> Result<(), BackupError> {
    let host_and_port = address.rsplit_once(':');
    let good = host_and_port.is_some_and(|(host, port)| {
        let plain = host.bytes().all(|byte| byte.is_ascii_graphic());
        !host.is_empty() && plain && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if good && address.len() <= limits::MAX_ADDRESS {
        return Ok(());
    }
    Err(BackupError::Invalid {
        what: "server address",
        value: address.chars().take(limits::MAX_ADDRESS).collect(),
        rule: "HOST:PORT, such as kms.example.com:5696 or 127.0.0.1:5696",
    })
}
