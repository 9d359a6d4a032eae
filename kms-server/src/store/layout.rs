//! The store on disk, format 1: which keys the database holds and what is in their values.
//!
//! All numbers are big-endian. One tree holds four kinds of entries, told apart by the first byte of their key:
//!
//! | Key | Value |
//! | --- | --- |
//! | `m` `format` | u32: the format of everything else |
//! | `m` `last` | u64: the number of the last commit |
//! | `n` NAME | a note: what its owner says about the store as a whole |
//! | `r` ID 0 u16 | one piece of a record, numbered from 0: revision u64, number of pieces u16, bytes |
//! | `i` tag ESCAPED 0 ID | nothing: the record ID is found by this key of a non-unique index |
//! | `i` tag ESCAPED 0 | ID: the record that holds this key of a unique index |
//!
//! The bytes of a record's pieces, one after the other: the number of terms u16; each term as its index's tag u8,
//! length u16 and key; the value. ESCAPED is a term's key with byte 0 as 1 1 and byte 1 as 1 2, so that entries
//! sort by key and then by ID. The tags are the numbers of [`Index`].

use super::key::{escape, escape_open, unescape};
use super::limits::CHUNK_BYTES;
use super::{Hit, Index, Record, Scan, StoreError, Term};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Where the format is kept.
pub const FORMAT_KEY: &[u8] = b"mformat";
/// Where the number of the last commit is kept.
pub const LAST_KEY: &[u8] = b"mlast";

const RECORD: u8 = b'r';
const INDEX: u8 = b'i';
const NOTE: u8 = b'n';
/// Revision and number of pieces.
const PIECE_HEADER: usize = 10;

/// The key of piece `number` of the record.
pub fn piece_key(id: &str, number: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(id.len() + 4);
    key.push(RECORD);
    key.extend(id.as_bytes());
    key.push(0);
    key.extend(number.to_be_bytes());
    key
}

/// The pieces of all records behind `after`, as the first key and the key beyond the last.
pub fn pieces_after(after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let mut first = vec![RECORD];
    if let Some(after) = after {
        first.extend(after.as_bytes());
        first.push(1);
    }
    (first, vec![RECORD + 1])
}

/// The ID and number in a piece's key.
pub fn read_piece_key(key: &[u8]) -> Result<(&str, u16), StoreError> {
    let parts = || {
        let (id, number) = key.strip_prefix(&[RECORD])?.split_last_chunk::<2>()?;
        Some((str::from_utf8(id.strip_suffix(&[0])?).ok()?, u16::from_be_bytes(*number)))
    };
    parts().ok_or_else(|| StoreError::corrupt("a key that is no record's", hex::encode(key)))
}

/// The record that this entry is the first piece of, if it is one.
pub fn changed_record(key: &[u8]) -> Option<String> {
    read_piece_key(key).ok().filter(|(_, number)| *number == 0).map(|(id, _)| id.to_owned())
}

/// The key of the note `name`.
pub fn note_key(name: &str) -> Vec<u8> {
    [&[NOTE], name.as_bytes()].concat()
}

/// All notes, as the first key and the key beyond the last.
pub fn notes() -> (Vec<u8>, Vec<u8>) {
    (vec![NOTE], vec![NOTE + 1])
}

/// The name in a note's key.
pub fn read_note_key(key: &[u8]) -> Result<&str, StoreError> {
    let name = key.strip_prefix(&[NOTE]).and_then(|name| str::from_utf8(name).ok());
    name.ok_or_else(|| StoreError::corrupt("a key that is no note's", hex::encode(key)))
}

/// The entry under which a term finds its record, and what the entry holds.
pub fn entry(term: &Term, id: &str) -> (Vec<u8>, Vec<u8>) {
    let mut key = vec![INDEX, term.index.tag()];
    escape(&term.key, &mut key);
    if term.index.is_unique() {
        (key, id.as_bytes().to_vec())
    } else {
        key.extend(id.as_bytes());
        (key, Vec::new())
    }
}

/// The key of the entry that a page's cursor names.
pub fn cursor(index: Index, hit: &Hit) -> Vec<u8> {
    entry(&Term::new(index, hit.key.as_slice()), &hit.id).0
}

/// The entries that a scan covers, as the first key and the key beyond the last.
pub fn entries(scan: &Scan) -> (Vec<u8>, Vec<u8>) {
    let bound = |key: &[u8]| {
        let mut bytes = vec![INDEX, scan.index.tag()];
        escape_open(key, &mut bytes);
        bytes
    };
    let (from, below) = scan.keys.bounds();
    (bound(&from), below.map_or_else(|| vec![INDEX, scan.index.tag() + 1], |below| bound(&below)))
}

/// What an entry of an index says.
pub fn read_entry(index: Index, key: &[u8], value: &[u8]) -> Result<Hit, StoreError> {
    let parts = || {
        let (key, rest) = unescape(key.strip_prefix(&[INDEX, index.tag()])?)?;
        let id = if index.is_unique() { value } else { rest };
        Some(Hit { key, id: str::from_utf8(id).ok()?.to_owned() })
    };
    parts().ok_or_else(|| StoreError::corrupt("a key that is no index entry", hex::encode(key)))
}

/// A record's terms and value as one run of bytes.
pub fn body(terms: &[Term], value: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(value.len() + 64 * terms.len() + 2);
    body.extend(short(terms.len()).to_be_bytes());
    for term in terms {
        body.push(term.index.tag());
        body.extend(short(term.key.len()).to_be_bytes());
        body.extend(&term.key);
    }
    body.extend(value);
    body
}

/// The values of a record's pieces, in their order.
pub fn pieces(revision: u64, terms: &[Term], value: &[u8]) -> Vec<Vec<u8>> {
    let body = body(terms, value);
    let parts = body.chunks(CHUNK_BYTES - PIECE_HEADER);
    let count = short(parts.len()).to_be_bytes();
    parts.map(|part| [&revision.to_be_bytes(), count.as_slice(), part].concat()).collect()
}

/// Limits keep every length here far below 65,536.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// A record read back, and the number of its pieces. `read` gives the value of a piece's key.
pub fn read_record<B: AsRef<[u8]>>(
    id: &str,
    mut read: impl FnMut(&[u8]) -> Result<Option<B>, StoreError>,
) -> Result<Option<(Record, u16)>, StoreError> {
    let Some(first) = read(&piece_key(id, 0))? else { return Ok(None) };
    let corrupt = |what: &str| StoreError::corrupt(what, format!("record {id:?}"));
    let cut = || corrupt("a piece too short");
    let (revision, count, part) = read_piece(first.as_ref()).ok_or_else(cut)?;
    let mut body = part.to_vec();
    for number in 1..count {
        let piece = read(&piece_key(id, number))?.ok_or_else(|| corrupt("a missing piece"))?;
        let (again, _, part) = read_piece(piece.as_ref()).ok_or_else(cut)?;
        if again != revision {
            return Err(corrupt("pieces of two revisions"));
        }
        body.extend(part);
    }
    let (terms, value) = read_body(&body).ok_or_else(|| corrupt("terms that cannot be read"))?;
    Ok(Some((Record { revision, value: value.to_vec(), terms }, count)))
}

fn read_piece(piece: &[u8]) -> Option<(u64, u16, &[u8])> {
    let (revision, rest) = piece.split_first_chunk()?;
    let (count, part) = rest.split_first_chunk()?;
    Some((u64::from_be_bytes(*revision), u16::from_be_bytes(*count), part))
}

/// What [`body`] wrote.
pub fn read_body(body: &[u8]) -> Option<(Vec<Term>, &[u8])> {
    let (count, mut rest) = body.split_first_chunk()?;
    let mut terms = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (tag, after) = rest.split_first()?;
        let (length, after) = after.split_first_chunk()?;
        let (key, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        terms.push(Term::new(Index::from_tag(*tag)?, key));
        rest = after;
    }
    Some((terms, rest))
}
