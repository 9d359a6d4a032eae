//! Puts files, folders and links in their places, opened one name at a time and never through a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use aws_lc_rs::digest::Context;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};

use super::super::limits;
use super::entry::{Attributes, Entry, invalid};
use super::{Observer, RestoreOptions};

/// What ends an unpacking.
pub enum Unpack {
    /// The archive is not as it should be.
    Archive(io::Error),
    /// The disk does not take it.
    Disk(io::Error),
}

pub fn disk(error: impl Into<io::Error>) -> Unpack {
    Unpack::Disk(error.into())
}

/// The names that a path consists of.
pub fn names_of(path: &[u8]) -> Result<Vec<&[u8]>, Unpack> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let odd = |name: &&[u8]| name.is_empty() || matches!(*name, b"." | b"..") || name.contains(&0);
    if names.len() > limits::MAX_DEPTH + 1 || names.iter().any(odd) {
        return Err(misplaced(path));
    }
    Ok(names)
}

/// Makes a link in the folder `here`.
pub fn place_link(
    here: BorrowedFd<'_>,
    name: &OsStr,
    target: &[u8],
    attributes: &Attributes,
    options: RestoreOptions,
) -> Result<(), Unpack> {
    rustix::fs::symlinkat(OsStr::from_bytes(target), here, name).map_err(disk)?;
    if options.owners {
        let (owner, group) = owner(attributes);
        rustix::fs::chownat(here, name, owner, group, AtFlags::SYMLINK_NOFOLLOW).map_err(disk)?;
    }
    rustix::fs::utimensat(here, name, &times(attributes), AtFlags::SYMLINK_NOFOLLOW).map_err(disk)
}

/// A file that is to be put in its place.
pub struct Placed<'a> {
    pub entry: &'a Entry,
    pub options: RestoreOptions,
    pub observer: &'a dyn Observer,
    pub buffer: &'a mut [u8],
    /// Takes in the contents.
    pub hash: Option<&'a mut Context>,
}

impl Placed<'_> {
    /// Makes the file in the folder `here`.
    pub fn file(
        &mut self,
        here: BorrowedFd<'_>,
        name: &OsStr,
        contents: &mut impl Read,
    ) -> Result<(), Unpack> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(here, name, flags, mode).map_err(disk)?);
        let mut left = self.entry.size;
        let mut ends_in_hole = false;
        while left > 0 {
            let read = contents.read(self.buffer).map_err(Unpack::Archive)?;
            if read == 0 {
                return Err(Unpack::Archive(invalid("a file that ends early")));
            }
            let (part, _) = self.buffer.split_at(read);
            if let Some(hash) = &mut self.hash {
                hash.update(part);
            }
            ends_in_hole = is_zero(part);
            if ends_in_hole {
                // Zeros take no room on disk where nothing is written.
                file.seek_relative(read as i64).map_err(Unpack::Disk)?;
            } else {
                file.write_all(part).map_err(Unpack::Disk)?;
            }
            self.observer.advanced(read as u64);
            left = left.saturating_sub(read as u64);
        }
        if ends_in_hole {
            file.set_len(self.entry.size).map_err(Unpack::Disk)?;
        }
        finish(file.as_fd(), &self.entry.attributes, self.options)
    }
}

/// Whether all bytes are 0: compared with a block of zeros, which is many times as fast as one by one.
pub fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|part| ZEROS.starts_with(part))
}

/// Gives a file or folder its owner, permissions and time, in the order in which each survives the next.
pub fn finish(file: BorrowedFd<'_>, attributes: &Attributes, options: RestoreOptions) -> Result<(), Unpack> {
    let mut mode = attributes.mode;
    if options.owners {
        let (owner, group) = owner(attributes);
        rustix::fs::fchown(file, owner, group).map_err(disk)?;
    } else {
        mode &= 0o1777;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode)).map_err(disk)?;
    rustix::fs::futimens(file, &times(attributes)).map_err(disk)
}

pub fn misplaced(path: &[u8]) -> Unpack {
    let shown: String = String::from_utf8_lossy(path).chars().take(limits::MAX_NAME).collect();
    Unpack::Archive(invalid(&format!("the entry {shown:?}, which lies in no folder of the archive")))
}

fn owner(attributes: &Attributes) -> (Option<Uid>, Option<Gid>) {
    // The highest number means "leave it" to the system and is nobody's.
    let real = |id: u32| (id != u32::MAX).then_some(id);
    (real(attributes.owner).map(Uid::from_raw), real(attributes.group).map(Gid::from_raw))
}

fn times(attributes: &Attributes) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: attributes.seconds, tv_nsec: attributes.nanoseconds.into() },
    }
}
