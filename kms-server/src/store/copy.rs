//! A store as one stream of bytes: made while the store is in use, and one of its states nevertheless.
//!
//! A stream is the line `kms-store 1` and then entries: a kind (one byte), a length (u32, big-endian) and that many bytes.
//!
//! | Kind | Content |
//! | --- | --- |
//! | `n` | a note: its name, a zero byte, its value |
//! | `r` | a record: its ID, a zero byte, then as the store's layout writes it: terms and value |
//! | `d` | the ID of a record that is no more |
//! | `e` | the end: the number of entries before it, u64 |
//!
//! Records come in order of ID as they were when the walk reached them, then those that changed since it began, round by
//! round, until none has. So what comes later counts, and where the stream ends it was the store's one state.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use super::limits::{
    COPY_PAGE, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_FOLLOWED, MAX_ID_BYTES, MAX_NOTE_BYTES,
    MAX_TERM_BYTES, MAX_TERMS, MAX_VALUE_BYTES,
};
use super::{Batch, Put, Record, Store, StoreError, Term, check_id, layout};

const MAGIC: &[u8] = b"kms-store 1\n";

/// The largest entry: a record at every limit.
const MAX_ENTRY: usize = MAX_ID_BYTES + 3 + MAX_TERMS * (MAX_TERM_BYTES + 3) + MAX_VALUE_BYTES;

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream could not be read or written.
    #[error("the copy cannot be read or written: {0}")]
    Stream(#[from] io::Error),
    /// The stream is none, or not whole.
    #[error("this is no whole copy of a store: {0}")]
    Broken(&'static str),
    /// A newer program wrote the stream.
    #[error("this copy of a store is of a newer format ({0:?}) than this program knows")]
    Newer(String),
}

/// What a stream holds, told by [`verify`].
#[derive(Debug, Default)]
pub struct Contents {
    /// The place of the entry that counts, for each record of which there are several or that is no more.
    last: HashMap<String, u64>,
}

/// One entry.
enum Entry {
    Note(String, Vec<u8>),
    Record(String, Vec<Term>, Vec<u8>),
    Deleted(String),
}

/// Writes `store` as a stream. Commits go on meanwhile.
///
/// # Errors
/// [`CopyError::Store`], also where more changes than can be followed; [`CopyError::Stream`].
pub fn write(store: &dyn Store, out: &mut dyn Write) -> Result<(), CopyError> {
    let followed = store.follow();
    let mut writer = Writer { out, entries: 0 };
    writer.out.write_all(MAGIC)?;
    let notes = store.notes()?;
    let mut after: Option<String> = None;
    loop {
        let page = store.records(after.as_deref(), COPY_PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (id, record) in page {
            writer.record(&id, &record)?;
        }
    }
    loop {
        let changed = store.changed(&followed, COPY_PAGE)?;
        for (id, record) in changed.records {
            match record {
                Some(record) => writer.record(&id, &record)?,
                None => writer.entry(b'd', &[id.as_bytes()])?,
            }
        }
        if changed.is_all {
            break;
        }
    }
    // Notes say under which key the records are sealed. They are no records, so what follows changes does not see them.
    if store.notes()? != notes {
        return Err(StoreError::LostSight { cause: "the store's notes were changed" }.into());
    }
    for (name, value) in notes {
        writer.entry(b'n', &[name.as_bytes(), &[0], &value])?;
    }
    let entries = writer.entries.to_be_bytes();
    writer.entry(b'e', &[&entries])?;
    writer.out.flush()?;
    Ok(())
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    entries: u64,
}

impl Writer<'_> {
    fn record(&mut self, id: &str, record: &Record) -> io::Result<()> {
        self.entry(b'r', &[id.as_bytes(), &[0], &layout::body(&record.terms, &record.value)])
    }

    fn entry(&mut self, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(io::Error::other)?;
        self.out.write_all(&[kind])?;
        self.out.write_all(&length.to_be_bytes())?;
        for part in parts {
            self.out.write_all(part)?;
        }
        self.entries += 1;
        Ok(())
    }
}

/// Reads a whole stream and finds out whether it is one.
///
/// # Errors
/// [`CopyError::Broken`], [`CopyError::Newer`], [`CopyError::Stream`].
pub fn verify(stream: &mut dyn Read) -> Result<Contents, CopyError> {
    let mut contents = Contents::default();
    let mut previous = String::new();
    let mut walked = true;
    read(stream, |place, entry| {
        match entry {
            Entry::Note(..) => {}
            Entry::Record(id, ..) if walked && id > previous => previous = id,
            // The walk is over: these override what it found, or each other.
            Entry::Record(id, ..) | Entry::Deleted(id) => {
                walked = false;
                contents.last.insert(id, place);
            }
        }
        if contents.last.len() > 4 * MAX_FOLLOWED {
            return Err(CopyError::Broken("more changed while it was made than is possible"));
        }
        Ok(())
    })?;
    Ok(contents)
}

/// Puts what the stream holds into an empty store, where [`verify`] has found `contents` in the same stream.
///
/// # Errors
/// As [`verify`], and [`CopyError::Store`].
pub fn fill(store: &dyn Store, stream: &mut dyn Read, contents: &Contents) -> Result<u64, CopyError> {
    let mut batch = Batch::new();
    let mut records = 0;
    read(stream, |place, entry| {
        match entry {
            Entry::Note(name, value) => store.note(&name, Some(&value))?,
            Entry::Record(id, terms, value) if contents.last.get(&id).is_none_or(|last| *last == place) => {
                let put = Put { id, replaces: None, value, terms };
                let next = Batch::new().put(put);
                if batch.puts.len() >= MAX_BATCH_RECORDS / 2
                    || batch.weight() + next.weight() > MAX_BATCH_BYTES / 2
                {
                    store.commit(std::mem::take(&mut batch))?;
                }
                batch.puts.extend(next.puts);
                records += 1;
            }
            Entry::Record(..) | Entry::Deleted(_) => {}
        }
        Ok(())
    })?;
    if !batch.puts.is_empty() {
        store.commit(batch)?;
    }
    Ok(records)
}

/// Shows `each` entry of a stream with its place, and finds out whether the stream is whole.
fn read(
    stream: &mut dyn Read,
    mut each: impl FnMut(u64, Entry) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => CopyError::Broken("it is cut short"),
        _ => CopyError::Stream(error),
    };
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).map_err(cut)?;
    if magic != *MAGIC {
        let line = String::from_utf8_lossy(&magic).trim_end().to_owned();
        return Err(if line.starts_with("kms-store ") {
            CopyError::Newer(line)
        } else {
            CopyError::Broken("it begins with something else")
        });
    }
    let mut content = Vec::new();
    for place in 0.. {
        let mut head = [0; 5];
        stream.read_exact(&mut head).map_err(cut)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_ENTRY {
            return Err(CopyError::Broken("an entry is larger than any record"));
        }
        content.resize(length, 0);
        stream.read_exact(&mut content).map_err(cut)?;
        if kind == b'e' {
            let more = stream.read(&mut [0])?;
            return if content == u64::to_be_bytes(place) && more == 0 {
                Ok(())
            } else {
                Err(CopyError::Broken("its end says another number of entries"))
            };
        }
        let entry = parse(kind, &content).ok_or(CopyError::Broken("an entry cannot be read"))?;
        each(place, entry)?;
    }
    Ok(())
}

fn parse(kind: u8, content: &[u8]) -> Option<Entry> {
    let text = |bytes: &[u8]| Some(str::from_utf8(bytes).ok().filter(|id| check_id(id).is_ok())?.to_owned());
    if kind == b'd' {
        return Some(Entry::Deleted(text(content)?));
    }
    let zero = content.iter().position(|byte| *byte == 0)?;
    let (name, rest) = content.split_at_checked(zero)?;
    let (name, rest) = (text(name)?, rest.get(1..)?);
    match kind {
        b'n' if content.len() <= MAX_NOTE_BYTES + 1 => Some(Entry::Note(name, rest.to_vec())),
        b'r' => {
            let (terms, value) = layout::read_body(rest)?;
            Some(Entry::Record(name, terms, value.to_vec()))
        }
        _ => None,
    }
}
