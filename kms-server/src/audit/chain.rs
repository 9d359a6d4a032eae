//! The log as it is written: appended to, synced, cut into segments, with the next segment's bytes kept aside on disk.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kms_certs::{folder_of, sync_folder};

use super::end::Known;
use super::limits::BLOCK;
use super::line::{self, Marks, Position};
use super::record::{Record, Source};
use super::segment::{self, Lines};

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot use the audit log in {}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another server writes it.
    #[error("another server writes the audit log in {}", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// It is not the one that the store's changes went into.
    #[error(
        "the audit log in {} ends at line {}, and the store knows of line {known} in its log",
        path.display(), found.line
    )]
    Other {
        /// The folder.
        path: PathBuf,
        /// Where this log ends.
        found: Position,
        /// Where the log once ended, as the store knows.
        known: Position,
    },
    /// What was once synced is not there as it was.
    #[error("the audit log is damaged: {file}, line {line}, byte {offset}: {what}")]
    Damaged {
        /// Which file.
        file: String,
        /// Which line should stand there.
        line: u64,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "let the server's user write the folder, or name another as `folder` in [audit]"
            }
            Self::Locked { .. } => "stop the other server, or name another `folder` in [audit]",
            Self::Damaged { .. } => {
                "`kms-server audit verify` says more; keep the folder as evidence, move it away, and begin a new log with \
                 --accept-audit-loss"
            }
            Self::Other { .. } => {
                "put the log back, or name its `folder` in [audit]; where it is lost, start once with --accept-audit-loss"
            }
        }
    }
}

/// A record on its way into the log.
#[derive(Debug)]
pub struct Entry {
    /// What happened.
    pub record: Record,
    /// What else the log says with it.
    pub marks: Marks,
}

/// A log that this process alone writes.
#[derive(Debug)]
pub struct Chain {
    folder: PathBuf,
    segment_bytes: u64,
    keep: u32,
    number: u32,
    file: File,
    /// Bytes of the file that are lines.
    length: u64,
    /// Where the chain ends.
    at: Position,
    head: File,
    /// Whether what is written next has its place on disk already.
    has_reserve: bool,
    _lock: File,
}

/// How a log is cut into segments.
#[derive(Clone, Debug)]
pub struct Segments {
    /// Bytes of one segment.
    pub bytes: u64,
    /// How many are kept.
    pub keep: u32,
}

impl Chain {
    /// Opens the log in `folder`, or begins one, unless the store has `known` another. What a crash left unfinished at its
    /// end is cut off.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        folder: &Path,
        segments: &Segments,
        known: &Known,
        time: Timestamp,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = owned(&folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let synced = segment::head(folder).map_err(failed)?.unwrap_or_default();
        let numbers = segment::list(folder).map_err(failed)?;
        let (number, at, length) = end_of(folder, &numbers, &synced)?;
        known.check(folder, &at)?;
        let head = owned(&folder.join(segment::HEAD)).map_err(failed)?;
        let file = owned(&segment::path(folder, number)).map_err(failed)?;
        let mut chain = Self {
            folder: folder.to_owned(),
            segment_bytes: segments.bytes,
            keep: segments.keep,
            number,
            file,
            length,
            at,
            head,
            has_reserve: false,
            _lock: lock,
        };
        chain.prepare(time).map_err(failed)?;
        Ok(chain)
    }

    /// Cuts off what is no line, and writes a segment's first line where there is none yet.
    fn prepare(&mut self, time: Timestamp) -> io::Result<()> {
        if self.file.metadata()?.len() != self.length {
            self.file.set_len(self.length)?;
        }
        if self.length == 0 {
            let (block, at) = self.first_line(self.number, None, time)?;
            self.file.write_all_at(&block, 0)?;
            (self.length, self.at) = (block.len() as u64, at);
        }
        self.file.sync_all()?;
        segment::write_head(&self.head, &self.at)?;
        self.head.sync_all()?;
        sync_folder(&self.folder)?;
        sync_folder(folder_of(&self.folder))?;
        self.restock();
        Ok(())
    }

    /// Where the chain ends.
    pub fn end(&self) -> Position {
        self.at
    }

    /// Whether the files that are written are those that stand in the folder.
    ///
    /// # Errors
    /// Says which is not: what goes into a file that was moved or deleted is lost.
    pub fn check_place(&self) -> Result<(), String> {
        let paths = [segment::path(&self.folder, self.number), self.folder.join(segment::HEAD)];
        for (file, path) in [&self.file, &self.head].into_iter().zip(&paths) {
            let identity = |about: fs::Metadata| (about.dev(), about.ino());
            match (file.metadata().map(identity), fs::metadata(path).map(identity)) {
                (Ok(open), Ok(there)) if open == there => {}
                (Ok(_), Ok(_)) => return Err(format!("{} is another file than was opened", path.display())),
                (Err(error), _) | (_, Err(error)) => return Err(format!("{}: {error}", path.display())),
            }
        }
        Ok(())
    }

    /// Whether a full disk would not be in the way of what is written next.
    pub fn has_reserve(&self) -> bool {
        self.has_reserve
    }

    /// Keeps the bytes aside that the rest of this segment and the next one take, if they are not yet.
    pub fn restock(&mut self) {
        if self.has_reserve {
            return;
        }
        let spare = self.folder.join(segment::SPARE);
        let next = owned(&spare).and_then(|file| set_aside(&file, self.segment_bytes));
        if next.is_err() {
            // A part of it helps nobody.
            let _ = fs::remove_file(&spare);
        }
        let kept = next.and_then(|()| set_aside(&self.file, self.segment_bytes));
        if let Err(error) = &kept {
            tracing::debug!(%error, "no room for the audit log's reserve");
        }
        self.has_reserve = kept.is_ok();
    }

    /// Writes and syncs what waits, in order, and shows each record with its number once it is safe.
    ///
    /// # Errors
    /// What the system said; what was not shown still waits, and nothing of it is taken for written.
    pub fn append(
        &mut self,
        waiting: &mut VecDeque<Entry>,
        time: Timestamp,
        mut safe: impl FnMut(u64, Entry),
    ) -> io::Result<()> {
        let mut block = Vec::new();
        while !waiting.is_empty() {
            block.clear();
            let (mut at, mut count) = (self.at, 0);
            for entry in waiting.iter() {
                let before = block.len();
                let next = line::write(&mut block, &at, &entry.marks, &entry.record)?;
                if self.length + block.len() as u64 > self.segment_bytes {
                    block.truncate(before);
                    break;
                }
                (at, count) = (next, count + 1);
                if block.len() >= BLOCK {
                    break;
                }
            }
            if count == 0 {
                self.roll(time)?;
                continue;
            }
            self.file.write_all_at(&block, self.length)?;
            self.file.sync_data()?;
            let first = self.at.line + 1;
            (self.length, self.at) = (self.length + block.len() as u64, at);
            for (number, entry) in (first..).zip(waiting.drain(..count)) {
                safe(number, entry);
            }
            segment::write_head(&self.head, &self.at)?;
        }
        Ok(())
    }

    /// Goes on in the next segment, which is the reserve, and keeps a new one aside where the disk has room.
    fn roll(&mut self, time: Timestamp) -> io::Result<()> {
        let number = self.number + 1;
        let path = segment::path(&self.folder, number);
        let spare = self.folder.join(segment::SPARE);
        // A segment that is there already is one that an earlier attempt did not get to write in.
        if !path.exists() {
            self.restock();
            fs::rename(&spare, &path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::ErrorKind::StorageFull.into(),
                _ => error,
            })?;
        }
        self.has_reserve = false;
        let file = owned(&path)?;
        let (block, at) = self.first_line(number, self.prunable(number), time)?;
        file.write_all_at(&block, 0)?;
        file.sync_all()?;
        sync_folder(&self.folder)?;
        // The rest of the old segment's place is free again.
        self.file.set_len(self.length)?;
        (self.number, self.file, self.length, self.at) = (number, file, block.len() as u64, at);
        segment::write_head(&self.head, &self.at)?;
        if let Some(through) = self.prunable(number) {
            for old in segment::list(&self.folder)?.into_iter().take_while(|old| *old <= through) {
                fs::remove_file(segment::path(&self.folder, old))?;
            }
        }
        self.restock();
        Ok(())
    }

    /// Up to which segment the log is given up when segment `newest` begins.
    fn prunable(&self, newest: u32) -> Option<u32> {
        newest.checked_sub(self.keep).filter(|through| *through > 0)
    }

    fn first_line(
        &self,
        number: u32,
        pruned: Option<u32>,
        time: Timestamp,
    ) -> io::Result<(Vec<u8>, Position)> {
        let mut block = Vec::new();
        let record = Record::new(time, Source::Server, "segment").detail("the log goes on in this file");
        let previous = Some(hex::encode(self.at.hash));
        let marks = Marks { segment: Some(number), previous, pruned, ..Marks::default() };
        let at = line::write(&mut block, &self.at, &marks, &record)?;
        Ok((block, at))
    }

    /// Which commits are in the log behind line `after`, and how many records of each.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn commits_after(&self, after: u64) -> io::Result<HashMap<String, u32>> {
        let mut found = HashMap::new();
        for number in segments_from(&self.folder, after)? {
            let mut lines = Lines::open(&segment::path(&self.folder, number))?;
            while let Some(text) = lines.next_line()? {
                let Ok(line) = line::read(text) else { continue };
                if let (Some(commit), Some(part)) = (line.marks.commit, line.marks.part) {
                    found.insert(commit, part + 1);
                }
            }
        }
        Ok(found)
    }
}

/// The segments that hold what comes behind line `after`, ascending.
///
/// # Errors
/// When a file cannot be read.
pub fn segments_from(folder: &Path, after: u64) -> io::Result<Vec<u32>> {
    let mut numbers = segment::list(folder)?;
    let mut from = 0;
    for (index, number) in numbers.iter().enumerate().rev() {
        let begin = segment::begins_after(&segment::path(folder, *number))?;
        if begin.is_some_and(|begin| begin.line <= after) {
            from = index;
            break;
        }
    }
    numbers.drain(..from);
    Ok(numbers)
}

/// The last segment, where the chain ends in it, and how many of its bytes are lines.
fn end_of(folder: &Path, numbers: &[u32], known: &Position) -> Result<(u32, Position, u64), OpenError> {
    let failed = |source| OpenError::Io { path: folder.to_owned(), source };
    let mut empty = None;
    for &number in numbers.iter().rev() {
        let path = segment::path(folder, number);
        let damaged = |at: &Position, offset, what| OpenError::Damaged {
            file: segment::name(number),
            line: at.line + 1,
            offset,
            what,
        };
        let Some(mut at) = segment::begins_after(&path).map_err(failed)? else {
            // The crash came before the first line of a new segment was safe: the chain ends in the one before.
            empty = Some(number);
            continue;
        };
        let mut lines = Lines::open(&path).map_err(failed)?;
        let mut offset = 0;
        while let Some(text) = lines.next_line().map_err(failed)? {
            match line::check(text, &at) {
                Ok(next) if next.line == known.line && next.hash != known.hash => {
                    return Err(damaged(&at, offset, "another line with this number was written"));
                }
                Ok(next) => at = next,
                // What was never synced may be anything.
                Err(_) if at.line >= known.line => break,
                Err(what) => return Err(damaged(&at, offset, what)),
            }
            offset = lines.offset;
        }
        if at.line < known.line {
            return Err(damaged(&at, offset, "the log ends before a line that was written"));
        }
        return Ok(match empty {
            Some(number) => (number, at, 0),
            None => (number, at, offset),
        });
    }
    match known.line {
        0 => Ok((empty.unwrap_or(1), Position::default(), 0)),
        line => Err(OpenError::Damaged {
            file: segment::name(numbers.last().copied().unwrap_or(1)),
            line,
            offset: 0,
            what: "the log ends before a line that was written",
        }),
    }
}

/// Opens a file that only this user may read, creating it where it is missing.
fn owned(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Has the file system give the first `bytes` of a file their place, without making the file longer.
fn set_aside(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        other => return other.map_err(Into::into),
    }
    // The second best: there is room now, but somebody else may take it.
    let disk = rustix::fs::fstatvfs(file)?;
    match disk.f_blocks == 0 || disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes {
        true => Ok(()),
        false => Err(io::ErrorKind::StorageFull.into()),
    }
}
