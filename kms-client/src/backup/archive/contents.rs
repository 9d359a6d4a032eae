//! A file's contents as a backup reads them.

use std::fs::File;
use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};

use super::super::limits;
use super::earlier::Known;
use super::entry::Attributes;
use super::manifest::ManifestEntry;
use super::{Observer, Problem};

/// Whether a file's contents are those that the chain has already.
///
/// Same length and time: yes, where that time was past when the contents were read; otherwise they could have changed
/// within the clock's tick. Same length and another time: the hash decides.
pub fn is_unchanged(known: &Known, now: &ManifestEntry, mut file: &File) -> io::Result<bool> {
    let before = &known.entry;
    if before.size != now.size || before.doubtful {
        return Ok(false);
    }
    let time = |attributes: &Attributes| (attributes.seconds, attributes.nanoseconds);
    if time(&before.attributes) == time(&now.attributes) && now.attributes.seconds < known.at {
        return Ok(true);
    }
    let Some(hash) = before.hash else { return Ok(false) };
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; limits::BLOCK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(context.finish().as_ref() == hash),
            Ok(read) => context.update(buffer.split_at(read).0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Storing it will find out what is the matter.
            Err(_) => return Ok(false),
        }
    }
}

/// A file's contents that do not end early, whatever happens to the file: zeros stand in for what is missing.
pub struct Steady<'a> {
    file: &'a File,
    observer: &'a dyn Observer,
    hash: Context,
    ended: bool,
    error: Option<io::Error>,
}

impl<'a> Steady<'a> {
    pub fn new(file: &'a File, observer: &'a dyn Observer) -> Self {
        Self { file, observer, hash: Context::new(&SHA256), ended: false, error: None }
    }

    /// What went wrong while all was read, and the hash of what was.
    pub fn end(self, before: &Attributes, size: u64) -> (Option<Problem>, [u8; 32]) {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.hash.finish().as_ref());
        if let Some(error) = self.error {
            return (Some(Problem::ReadFailed(error.to_string())), hash);
        }
        let Ok(after) = self.file.metadata() else { return (None, hash) };
        let same_time = after.modified().ok() == time(before);
        ((self.ended || after.len() != size || !same_time).then_some(Problem::Changed), hash)
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
                    self.hash.update(buffer.split_at(read).0);
                    self.observer.advanced(read as u64);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => self.error = Some(error),
            }
        }
        buffer.fill(0);
        self.hash.update(buffer);
        Ok(buffer.len())
    }
}
