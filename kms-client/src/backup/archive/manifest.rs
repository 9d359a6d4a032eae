//! What a point in time consists of: every file, folder and link, and which backup file holds each file's contents.
//!
//! Each backup ends with the manifest of its point, as one more entry of its archive. The backup side keeps a copy, to
//! compare the next backup with. JSON, one value a line: first [`Start`], then entries in the walk's order, then the files that hold contents, then how many of
//! each there are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::super::{escape, limits};
use super::entry::{Attributes, Kind, invalid};

/// The manifest's name in an archive.
pub const MANIFEST_NAME: &[u8] = b".kms-client-manifest";

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Version of the manifest's layout.
    pub format: u32,
    /// The chain's identifier.
    pub chain: String,
    /// Number of the backup file that the manifest ends.
    pub number: u32,
    /// When the backup was begun, in seconds since 1970.
    pub created: i64,
}

/// What ends a manifest that is whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct End {
    /// How many entries there are.
    pub entries: u64,
    /// The earlier files that hold contents of this point, by number, each with the nonce that tells it from any other.
    pub files: BTreeMap<u32, String>,
}

/// The line for a file that holds contents; they come behind the entries.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HolderLine {
    number: u32,
    nonce: String,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    entries: u64,
    files: u64,
}

/// One file, folder or link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestEntry {
    pub path: Vec<u8>,
    pub kind: Kind,
    pub attributes: Attributes,
    /// A file's length in bytes.
    pub size: u64,
    /// SHA-256 of a file's contents.
    pub hash: Option<[u8; 32]>,
    /// Number of the backup file that holds a file's contents.
    pub file: u32,
    /// A link's target.
    pub target: Vec<u8>,
    /// The contents are not what the file held: the next backup stores it again, however it looks.
    pub doubtful: bool,
}

/// An entry as a line has it.
#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    kind: Kind,
    mode: u32,
    owner: u32,
    group: u32,
    seconds: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    nanoseconds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    doubtful: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl ManifestEntry {
    fn to_line(&self) -> Line {
        let is_file = self.kind == Kind::File;
        let Attributes { mode, owner, group, seconds, nanoseconds } = self.attributes;
        Line {
            path: escape::escape(&self.path),
            kind: self.kind,
            mode,
            owner,
            group,
            seconds,
            nanoseconds,
            size: is_file.then_some(self.size),
            sha256: self.hash.map(hex::encode),
            file: is_file.then_some(self.file),
            target: (self.kind == Kind::Link).then(|| escape::escape(&self.target)),
            doubtful: self.doubtful,
        }
    }

    fn of_line(line: Line) -> Option<Self> {
        let mut hash = None;
        if let Some(text) = &line.sha256 {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes).ok()?;
            hash = Some(bytes);
        }
        let Line { kind, mode, owner, group, seconds, nanoseconds, .. } = line;
        let entry = Self {
            path: escape::unescape(&line.path)?,
            kind,
            attributes: Attributes { mode: mode & 0o7777, owner, group, seconds, nanoseconds },
            size: line.size.unwrap_or(0),
            hash,
            file: line.file.unwrap_or(0),
            target: line.target.map_or(Some(Vec::new()), |target| escape::unescape(&target))?,
            doubtful: line.doubtful,
        };
        let whole = kind != Kind::File || (entry.hash.is_some() && entry.file > 0);
        (whole && nanoseconds < 1_000_000_000).then_some(entry)
    }
}

/// How much of a manifest counts, and its SHA-256: a byte that changes where manifests are kept would spoil later points
/// unseen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestExtent {
    /// In bytes, from its beginning.
    pub length: u64,
    /// Of these, in hexadecimal digits.
    pub sha256: String,
}

impl ManifestExtent {
    /// That of all that `input` has.
    pub(in crate::backup) fn of(mut input: impl io::Read) -> io::Result<Self> {
        let (mut hash, mut length, mut buffer) = (Context::new(&SHA256), 0, vec![0; limits::BLOCK]);
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(Self::new(length, hash)),
                Ok(read) => {
                    hash.update(buffer.split_at(read).0);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn new(length: u64, hash: Context) -> Self {
        Self { length, sha256: hex::encode(hash.finish()) }
    }

    /// Whether the file at `path` begins with it.
    pub(in crate::backup) fn is_of(&self, path: &Path) -> bool {
        let found = File::open(path).and_then(|file| Self::of(io::Read::take(file, self.length)));
        found.is_ok_and(|found| found == *self)
    }
}

/// Writes a manifest into a file.
pub struct ManifestWriter {
    output: io::BufWriter<File>,
    entries: u64,
    length: u64,
    hash: Context,
}

impl ManifestWriter {
    /// Begins a manifest at the start of `file`.
    pub fn new(file: File, start: &Start) -> io::Result<Self> {
        let (output, hash) = (io::BufWriter::new(file), Context::new(&SHA256));
        let mut writer = Self { output, entries: 0, length: 0, hash };
        writer.line(start)?;
        Ok(writer)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.length += line.len() as u64;
        self.hash.update(&line);
        self.output.write_all(&line)
    }

    pub fn entry(&mut self, entry: &ManifestEntry) -> io::Result<()> {
        self.entries += 1;
        self.line(&entry.to_line())
    }

    /// Ends the manifest and returns its file and extent.
    pub fn end(mut self, files: BTreeMap<u32, String>) -> io::Result<(File, ManifestExtent)> {
        let end = EndLine { entries: self.entries, files: files.len() as u64 };
        for (number, nonce) in files {
            self.line(&HolderLine { number, nonce })?;
        }
        self.line(&end)?;
        let extent = ManifestExtent::new(self.length, self.hash);
        Ok((self.output.into_inner().map_err(io::IntoInnerError::into_error)?, extent))
    }

    /// Makes what was written so far durable, and returns its extent.
    pub fn sync(&mut self) -> io::Result<ManifestExtent> {
        self.output.flush()?;
        self.output.get_ref().sync_data()?;
        Ok(ManifestExtent::new(self.length, self.hash.clone()))
    }
}

/// A line of a manifest.
enum Read {
    Entry(ManifestEntry),
    Holder(HolderLine),
    End(EndLine),
}

/// Reads a manifest entry by entry.
pub struct ManifestReader<R> {
    input: R,
    start: Start,
    entries: u64,
    end: Option<End>,
    position: u64,
}

impl ManifestReader<BufReader<File>> {
    /// Opens the manifest in the file at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(BufReader::new(File::open(path)?))
    }
}

impl<R: BufRead + Seek> ManifestReader<R> {
    /// Goes to the entry at `position`, which [`ManifestReader::position`] said.
    pub fn seek(&mut self, position: u64) -> io::Result<()> {
        self.end = None;
        // By the distance, so that what was read ahead is used where the entry is in it.
        self.input.seek_relative(position.wrapping_sub(self.position).cast_signed())?;
        self.position = position;
        Ok(())
    }
}

impl<R: BufRead> ManifestReader<R> {
    pub fn new(mut input: R) -> io::Result<Self> {
        let mut position = 0;
        let line = read_line(&mut input, &mut position)?;
        let start: Start = serde_json::from_slice(&line).map_err(|_| broken())?;
        if start.format > super::FORMAT {
            return Err(invalid(&format!("a manifest of format {}, which is newer", start.format)));
        }
        Ok(Self { input, start, entries: 0, end: None, position })
    }

    pub const fn start(&self) -> &Start {
        &self.start
    }

    /// Bytes up to the next entry.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The last line, once all entries were read.
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The next entry; none after the last one of a manifest that is whole.
    pub fn next(&mut self) -> io::Result<Option<ManifestEntry>> {
        if self.end.is_some() {
            return Ok(None);
        }
        let mut files = BTreeMap::new();
        loop {
            let line = read_line(&mut self.input, &mut self.position)?;
            match parse(&line)? {
                Read::Entry(entry) if files.is_empty() => {
                    self.entries += 1;
                    return Ok(Some(entry));
                }
                Read::Holder(holder) => _ = files.insert(holder.number, holder.nonce),
                Read::End(end) if end.files == files.len() as u64 => {
                    self.end = Some(End { entries: end.entries, files });
                    return Ok(None);
                }
                Read::Entry(_) | Read::End(_) => return Err(broken()),
            }
        }
    }

    /// How many entries were read.
    pub const fn entries(&self) -> u64 {
        self.entries
    }
}

/// Reads a line, and moves `position` by what was read, also of a line that cannot be used.
fn read_line(input: &mut impl BufRead, position: &mut u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let read = io::Read::take(&mut *input, limits::MAX_MANIFEST_LINE).read_until(b'\n', &mut line);
    *position += line.len() as u64;
    read?;
    if line.last() == Some(&b'\n') { Ok(line) } else { Err(invalid("a manifest that is cut")) }
}

fn parse(line: &[u8]) -> io::Result<Read> {
    if let Ok(line) = serde_json::from_slice::<Line>(line) {
        return ManifestEntry::of_line(line).map(Read::Entry).ok_or_else(broken);
    }
    if let Ok(holder) = serde_json::from_slice::<HolderLine>(line) {
        return Ok(Read::Holder(holder));
    }
    serde_json::from_slice(line).map(Read::End).map_err(|_| broken())
}

fn broken() -> io::Error {
    invalid("a manifest that cannot be read")
}

/// The order of a walk: by names, a folder before what is in it.
pub fn order(a: &[u8], b: &[u8]) -> core::cmp::Ordering {
    let names = |path| <[u8]>::split(path, |byte: &u8| *byte == b'/');
    names(a).cmp(names(b))
}
