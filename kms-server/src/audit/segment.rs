//! The files of a log: `000001.jsonl` and so on, each a part of the chain, and `head`, which says where it ends.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::limits::{LINE_BYTES, LOOKS};
use super::line::{self, Line, Position};

/// The file that says where the chain ended when it was last synced.
pub const HEAD: &str = "head";

/// The file that is kept aside on disk as the next segment.
pub const SPARE: &str = "spare";

/// Where segment `number` is.
#[must_use]
pub fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(name(number))
}

/// What segment `number` is called.
#[must_use]
pub fn name(number: u32) -> String {
    format!("{number:06}.jsonl")
}

/// The numbers of the segments in a folder, ascending.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name();
        let number = file.to_str().and_then(|name| name.strip_suffix(".jsonl")).map(str::parse);
        if let Some(Ok(number)) = number {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads segments, and begins anew where the server that writes them gave one up between listing and reading it.
///
/// # Errors
/// As `read`'s.
pub fn unless_given_up<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut looks = 1;
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && looks < LOOKS => looks += 1,
            done => return done,
        }
    }
}

/// Where the chain ended when the log was last synced; `None` where that was never said, or not so that it can be read.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn head(folder: &Path) -> io::Result<Option<Position>> {
    let mut text = String::new();
    match File::open(folder.join(HEAD)) {
        Ok(file) => file.take(256).read_to_string(&mut text).map(|_| ())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let parsed = || {
        let (line, hash) = text.strip_suffix('\n')?.split_once(' ')?;
        let mut position = Position { line: line.parse().ok()?, ..Position::default() };
        hex::decode_to_slice(hash, &mut position.hash).ok()?;
        Some(position)
    };
    // Only what is written like this was written by this program.
    Ok(parsed().filter(|position| head_text(position) == text))
}

/// Says where the chain ends. In one write of less than a sector, over what stood there.
pub fn write_head(file: &File, position: &Position) -> io::Result<()> {
    file.write_all_at(head_text(position).as_bytes(), 0)
}

fn head_text(position: &Position) -> String {
    format!("{:020} {}\n", position.line, hex::encode(position.hash))
}

/// Reads a file line by line, whole lines only.
pub struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    /// Where the next line begins, in bytes.
    pub offset: u64,
}

impl Lines {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(LINE_BYTES, File::open(path)?);
        Ok(Self { file, line: Vec::new(), offset: 0 })
    }

    /// The next line, without its line feed. `offset` is then behind it. There is none behind the last line feed, and none in a
    /// line that has no line feed or is longer than any that was written: `offset` is then where that begins.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let limit = LINE_BYTES as u64;
        self.file.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        match self.line.split_last() {
            Some((b'\n', line)) => {
                self.offset += self.line.len() as u64;
                Ok(Some(line))
            }
            _ => Ok(None),
        }
    }
}

/// Where the chain ended before a segment, as the segment's first line says; `None` where it says nothing of that.
///
/// # Errors
/// When the file cannot be read.
pub fn begins_after(path: &Path) -> io::Result<Option<Position>> {
    let mut lines = Lines::open(path)?;
    let Some(first) = lines.next_line()? else { return Ok(None) };
    let Ok(Line { n, marks, .. }) = line::read(first) else { return Ok(None) };
    let mut position = Position { line: n.saturating_sub(1), ..Position::default() };
    let previous = marks.previous.unwrap_or_default();
    Ok(hex::decode_to_slice(previous, &mut position.hash).ok().map(|()| position))
}
