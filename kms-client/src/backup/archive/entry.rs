//! One entry of an archive, as bytes of tar and back.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

use super::super::limits;

const BLOCK: u64 = 512;
/// Bytes of a name that fit into a tar header and leave a zero at its end.
const SHORT_NAME: usize = 99;

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    File,
    Folder,
    Link,
}

/// What is kept of a file beside its name and contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
    /// Time of the last modification: seconds since 1970 and nanoseconds within the second.
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// Writes entries; the archive ends when [`EntryWriter::finish`] says so.
pub struct EntryWriter<W> {
    output: W,
}

impl<W: Write> EntryWriter<W> {
    pub const fn new(output: W) -> Self {
        Self { output }
    }

    /// Writes what the archive says of itself; comes first.
    pub fn description(&mut self, json: &str) -> io::Result<()> {
        self.extension(EntryType::XGlobalHeader, b"pax_global_header", &pax_record("comment", json))
    }

    /// Writes a folder.
    pub fn folder(&mut self, path: &[u8], attributes: &Attributes) -> io::Result<()> {
        // Tar's readers tell folders by the slash as well.
        let path = [path, b"/"].concat();
        self.header(EntryType::Directory, &path, b"", attributes, 0)
    }

    /// Writes a symbolic link.
    pub fn link(&mut self, path: &[u8], target: &[u8], attributes: &Attributes) -> io::Result<()> {
        self.header(EntryType::Symlink, path, target, attributes, 0)
    }

    /// Writes a file: exactly `size` bytes that `contents` yields, through `buffer`.
    pub fn file(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        size: u64,
        contents: &mut impl Read,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        self.header(EntryType::Regular, path, b"", attributes, size)?;
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let (part, _) = buffer.split_at_mut(want);
            contents.read_exact(part)?;
            self.output.write_all(part)?;
            left -= want as u64;
        }
        self.pad(size)
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.write_all(&[0; 2 * BLOCK as usize])?;
        Ok(self.output)
    }

    fn header(
        &mut self,
        kind: EntryType,
        path: &[u8],
        target: &[u8],
        attributes: &Attributes,
        size: u64,
    ) -> io::Result<()> {
        if attributes.nanoseconds != 0 || attributes.seconds < 0 {
            let time = decimal_time(attributes.seconds, attributes.nanoseconds);
            self.extension(EntryType::XHeader, b"pax_header", &pax_record("mtime", &time))?;
        }
        if path.len() > SHORT_NAME {
            self.extension(EntryType::GNULongName, b"././@LongLink", &[path, b"\0"].concat())?;
        }
        if target.len() > SHORT_NAME {
            self.extension(EntryType::GNULongLink, b"././@LongLink", &[target, b"\0"].concat())?;
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(attributes.mode);
        header.set_uid(attributes.owner.into());
        header.set_gid(attributes.group.into());
        header.set_mtime(u64::try_from(attributes.seconds).unwrap_or(0));
        header.set_size(size);
        copy_into(&mut header.as_old_mut().name, path);
        copy_into(&mut header.as_old_mut().linkname, target);
        header.set_cksum();
        self.output.write_all(header.as_bytes())
    }

    fn extension(&mut self, kind: EntryType, name: &[u8], data: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        copy_into(&mut header.as_old_mut().name, name);
        header.set_cksum();
        self.output.write_all(header.as_bytes())?;
        self.output.write_all(data)?;
        self.pad(data.len() as u64)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let zeros = [0; BLOCK as usize];
        let length = (BLOCK - size % BLOCK) % BLOCK;
        let (padding, _) = zeros.split_at(length as usize);
        self.output.write_all(padding)
    }
}

/// Copies as much as leaves a zero at the end; the whole is in a long-name entry before.
fn copy_into(field: &mut [u8; 100], text: &[u8]) {
    field.iter_mut().zip(text.iter().take(SHORT_NAME)).for_each(|(to, from)| *to = *from);
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

/// Seconds with nine decimals; the nanoseconds count up from the second below, also before 1970.
fn decimal_time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (0.., nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
        (_, 0) => format!("{seconds}.{:09}", 0),
        // -1.25 s is the second -2 and 750,000,000 ns.
        (_, nanoseconds) => {
            let whole = i128::from(seconds) + 1;
            format!("-{}.{:09}", -whole, 1_000_000_000 - nanoseconds)
        }
    }
}

fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    let seconds: i64 = whole.parse().ok()?;
    if !whole.starts_with('-') || nanoseconds == 0 {
        return Some((seconds, nanoseconds));
    }
    Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds))
}

/// An entry as it was read; a file's contents follow in the archive.
#[derive(Debug)]
pub struct Entry {
    pub kind: Kind,
    pub path: Vec<u8>,
    /// A symbolic link's target.
    pub target: Vec<u8>,
    pub attributes: Attributes,
    /// A file's length in bytes.
    pub size: u64,
}

/// What the entries before one said about it.
#[derive(Default)]
pub struct Extensions {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    time: Option<(i64, u32)>,
    /// The archive's own description, as JSON.
    pub description: Option<String>,
}

impl Extensions {
    /// Takes in one raw entry: keeps what it says of the next, or makes it the entry that all was said about.
    ///
    /// # Errors
    /// When the entry is malformed, or of a kind that no backup has.
    pub fn take_in(&mut self, raw: &mut tar::Entry<'_, impl Read>) -> io::Result<Option<Entry>> {
        match raw.header().entry_type() {
            EntryType::XGlobalHeader => {
                let data = read_limited(raw, limits::MAX_EXTENDED_HEADER)?;
                self.description = Some(pax_value(&data, "comment")?.unwrap_or_default());
            }
            EntryType::XHeader => {
                let data = read_limited(raw, limits::MAX_EXTENDED_HEADER)?;
                if let Some(time) = pax_value(&data, "mtime")? {
                    self.time = Some(parse_time(&time).ok_or_else(|| invalid("a time that is none"))?);
                }
            }
            EntryType::GNULongName => {
                self.path = Some(without_zero(read_limited(raw, limits::MAX_ARCHIVE_PATH)?));
            }
            EntryType::GNULongLink => {
                self.target = Some(without_zero(read_limited(raw, limits::MAX_LINK_TARGET + 1)?));
            }
            EntryType::Regular => return self.entry(Kind::File, raw).map(Some),
            EntryType::Directory => return self.entry(Kind::Folder, raw).map(Some),
            EntryType::Symlink => return self.entry(Kind::Link, raw).map(Some),
            other => return Err(invalid(&format!("an entry of the kind {other:?}"))),
        }
        Ok(None)
    }

    fn entry(&mut self, kind: Kind, raw: &tar::Entry<'_, impl Read>) -> io::Result<Entry> {
        let header = raw.header();
        let Self { path, target, time, .. } = core::mem::take(self);
        let mut path = path.unwrap_or_else(|| up_to_zero(&header.as_old().name));
        if kind == Kind::Folder && path.last() == Some(&b'/') {
            path.pop();
        }
        let target = target.unwrap_or_else(|| up_to_zero(&header.as_old().linkname));
        let number = |value: u64| u32::try_from(value).map_err(|_| invalid("an owner that is none"));
        let seconds = i64::try_from(header.mtime()?).map_err(|_| invalid("a time that is none"))?;
        let (seconds, nanoseconds) = time.unwrap_or((seconds, 0));
        let mode = header.mode()? & 0o7777;
        let attributes = Attributes {
            mode,
            owner: number(header.uid()?)?,
            group: number(header.gid()?)?,
            seconds,
            nanoseconds,
        };
        let size = header.entry_size()?;
        if kind != Kind::File && size != 0 {
            return Err(invalid("a folder or link with contents"));
        }
        Ok(Entry { kind, path, target, attributes, size })
    }
}

fn read_limited(raw: &mut tar::Entry<'_, impl Read>, limit: usize) -> io::Result<Vec<u8>> {
    if raw.size() > limit as u64 {
        return Err(invalid("an extended header or name that is too long"));
    }
    let mut data = Vec::new();
    raw.read_to_end(&mut data)?;
    Ok(data)
}

fn pax_value(data: &[u8], key: &str) -> io::Result<Option<String>> {
    for record in tar::PaxExtensions::new(data) {
        let record = record?;
        if record.key_bytes() == key.as_bytes() {
            let value = record.value().map_err(|_| invalid("an extended header that is no text"))?;
            return Ok(Some(value.to_owned()));
        }
    }
    Ok(None)
}

fn without_zero(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

fn up_to_zero(field: &[u8]) -> Vec<u8> {
    field.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// An error of contents that no backup has.
pub fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it contains {what}"))
}

#[cfg(test)]
mod tests {
    use super::{decimal_time, parse_time, pax_record};

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(pax_record("mtime", "1"), b"11 mtime=1\n");
        // From 98 to 99 + 1 bytes the length itself grows by a digit.
        for value in 80..120 {
            let record = pax_record("k", &"v".repeat(value));
            let text = String::from_utf8(record.clone()).unwrap();
            assert_eq!(text.split_once(' ').unwrap().0.parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn times_survive_the_way_there_and_back() {
        let times =
            [(0, 1), (1, 999_999_999), (-1, 0), (-1, 1), (-2, 750_000_000), (i64::MIN, 1), (i64::MAX, 5)];
        for (seconds, nanoseconds) in times {
            assert_eq!(parse_time(&decimal_time(seconds, nanoseconds)), Some((seconds, nanoseconds)));
        }
        assert_eq!(decimal_time(-2, 750_000_000), "-1.250000000");
        assert_eq!(parse_time("-0.5"), Some((-1, 500_000_000)));
        for bad in ["", "x", "1.x", "1.-5", "--1", "99999999999999999999"] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
    }
}
