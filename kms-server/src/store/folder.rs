//! The folder that holds a sled store: locked, opened, synced.
//!
//! `lock` is ours: it keeps other processes out and names the one inside. So is `last`: see [`super::mark`]. The rest is
//! sled's: `db` holds all data, `conf` its parameters, `snap.*` a page table that speeds up opening; `blobs/` stays empty.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use kms_certs::{folder_of, sync_folder};
use rustix::fs::{Dir, StatVfsMountFlags};

use super::layout::{FORMAT, FORMAT_KEY, LAST_KEY};
use super::limits::{MIN_CACHE_BYTES, RECOVERY_PROBE_BYTES, REOPEN_PAUSE, REOPEN_TRIES, SEGMENT_BYTES};
use super::mark::Mark;
use super::view::{caught, engine};
use super::{StoreError, view};

/// A folder that this process alone uses.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    cache_bytes: u64,
    reserve_bytes: u64,
    lock: File,
}

/// An open database.
pub struct Opened {
    /// The database.
    pub db: ::sled::Db,
    /// Its file, through a descriptor of our own: the system reports a failed write once to each descriptor,
    /// so that what sled overlooks still reaches us.
    pub file: File,
    /// Where sled would put what it never syncs.
    pub blobs: Blobs,
    /// Where the number of the last commit is noted.
    pub mark: Mark,
    /// The number of the last commit.
    pub last: u64,
}

/// The folder `blobs/`, open at all times: a commit must not need a file descriptor that peers may have used up.
pub struct Blobs(Dir);

impl Folder {
    /// Creates the folder where it is missing, readable by its owner only, and locks it.
    pub fn lock(path: &Path, cache_bytes: u64, reserve_bytes: u64) -> Result<Self, StoreError> {
        create(path).map_err(|error| StoreError::io("creating", path, error))?;
        let name = path.join("lock");
        let failed = |error| StoreError::io("locking", &name, error);
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let known = (&lock).take(16).read_to_string(&mut holder).is_ok_and(|length| length > 0);
                let holder = known.then(|| format!(" (process {})", holder.trim()));
                return Err(StoreError::Locked { path: path.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
        let cache_bytes = cache_bytes.max(MIN_CACHE_BYTES);
        Ok(Self { path: path.to_owned(), cache_bytes, reserve_bytes, lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database, or creates it, and makes what opening wrote durable.
    pub fn open(&self) -> Result<Opened, StoreError> {
        let config = ::sled::Config::new()
            .path(&self.path)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(self.cache_bytes)
            .flush_every_ms(None);
        self.sweep()?;
        let db = self.open_patiently(&config)?;
        let last = self.check_format(&db)?;
        caught("the database", || db.flush().map_err(|error| engine("flushing", &error)))?;
        let name = self.path.join("db");
        let file = File::options().read(true).write(true).open(&name);
        let file = file.map_err(|error| StoreError::io("opening", &name, error))?;
        for name in ["db", "conf", "blobs", "."] {
            let path = self.path.join(name);
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|error| StoreError::io("syncing", &path, error))?;
        }
        let name = self.path.join("blobs");
        let blobs = File::open(&name).and_then(|folder| Ok(Blobs(Dir::new(folder)?)));
        let blobs = blobs.map_err(|error| StoreError::io("opening", &name, error))?;
        let mark = Mark::open(&self.path, last)?;
        Ok(Opened { db, file, blobs, mark, last })
    }

    /// Removes snapshots that were never finished. sled writes one aside and then renames it; but it would read what a kill or
    /// a full disk left of that as the newest snapshot, and take the whole store for damaged.
    fn sweep(&self) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("removing an unfinished snapshot from", &self.path, error);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(&path).map_err(failed)?;
                tracing::info!(file = %path.display(), "removed a snapshot that was never finished");
            }
        }
        Ok(())
    }

    fn open_patiently(&self, config: &::sled::Config) -> Result<::sled::Db, StoreError> {
        let mut tries = 0;
        loop {
            let opened = caught("the database", || Ok(config.open()))?;
            match opened {
                Ok(db) => return Ok(db),
                // sled has no kind of its own for this.
                Err(::sled::Error::Io(error))
                    if tries < REOPEN_TRIES && error.to_string().contains("could not acquire lock") =>
                {
                    tries += 1;
                    thread::sleep(REOPEN_PAUSE);
                }
                Err(::sled::Error::Io(error)) => return Err(StoreError::io("opening", &self.path, error)),
                Err(error) => return Err(engine("opening", &error)),
            }
        }
    }

    /// Refuses what this program cannot read; marks what is new. Returns the number of the last commit.
    fn check_format(&self, db: &::sled::Db) -> Result<u64, StoreError> {
        let Some(found) = view::read(db, FORMAT_KEY)? else {
            if caught("the database", || Ok(db.is_empty()))? {
                let marked = || db.insert(FORMAT_KEY, &FORMAT.to_be_bytes());
                caught("the format", || marked().map_err(|error| engine("writing", &error)))?;
                return Ok(0);
            }
            return Err(StoreError::corrupt("a database without a format", self.path.display().to_string()));
        };
        let number = |bytes: &[u8]| Some(u32::from_be_bytes(*bytes.first_chunk()?));
        let found = number(&found).ok_or_else(|| StoreError::corrupt("an unreadable format", "format"))?;
        if found != FORMAT {
            return Err(StoreError::Format { path: self.path.clone(), found, known: FORMAT });
        }
        let Some(last) = view::read(db, LAST_KEY)? else { return Ok(0) };
        let last = last.first_chunk().ok_or_else(|| StoreError::corrupt("an unreadable number", "last"))?;
        Ok(u64::from_be_bytes(*last))
    }

    /// Refuses when the disk takes no writes or has too little room for them.
    pub fn check_room(&self) -> Result<(), StoreError> {
        let disk = rustix::fs::statvfs(&self.path);
        let disk =
            disk.map_err(|error| StoreError::io("asking for the free space of", &self.path, error.into()))?;
        if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
            let error = io::ErrorKind::ReadOnlyFilesystem.into();
            return Err(StoreError::io("writing to", &self.path, error));
        }
        // A file system that does not know its size cannot say what is free of it.
        if disk.f_blocks == 0 {
            return Ok(());
        }
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve_bytes {
            return Err(self.full(free));
        }
        Ok(())
    }

    /// What is said where so few bytes are free.
    pub fn full(&self, free: u64) -> StoreError {
        StoreError::Full { path: self.path.clone(), free, reserve: self.reserve_bytes }
    }

    /// Whether the folder `blobs/` holds anything, which sled never syncs.
    pub fn has_blobs(&self) -> io::Result<bool> {
        Ok(fs::read_dir(self.path.join("blobs"))?.next().is_some())
    }

    /// Finds out whether the disk takes and keeps writes again.
    pub fn probe(&self) -> Result<(), StoreError> {
        let name = self.path.join("probe");
        let wrote = File::create(&name).and_then(|mut file| {
            file.write_all(&vec![0; RECOVERY_PROBE_BYTES])?;
            file.sync_all()
        });
        let removed = fs::remove_file(&name);
        wrote.and(removed).map_err(|error| StoreError::io("writing", &name, error))
    }

    /// Writes the whole file once more and syncs it. After a failed sync Linux takes what it could not write for
    /// written: the file reads well, a later sync succeeds, and a power cut shows the hole.
    pub fn write_again(&self, file: &File) -> Result<(), StoreError> {
        let mut block = vec![0; SEGMENT_BYTES];
        let mut at = 0;
        let mut rewrite = || loop {
            let length = file.read_at(&mut block, at)?;
            let Some(block) = block.get(..length).filter(|block| !block.is_empty()) else {
                return file.sync_all();
            };
            file.write_all_at(block, at)?;
            at += length as u64;
        };
        rewrite().map_err(|error| StoreError::io("writing", &self.path.join("db"), error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing alone would leave it to a child process that was just started and still has our files.
        let _ = self.lock.unlock();
    }
}

impl Blobs {
    /// Whether sled put something there.
    pub fn has_any(&mut self) -> io::Result<bool> {
        self.0.rewind();
        while let Some(entry) = self.0.read() {
            if ![c".", c".."].contains(&entry?.file_name()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Creates the folder and syncs the entries that lead to it.
fn create(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in missing {
        sync_folder(folder_of(folder))?;
    }
    Ok(())
}
