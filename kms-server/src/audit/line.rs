//! One line of the log: how it is written, and how it is told from one that was not written so.
//!
//! `{"hash":"H","n":17,…}`: H is the SHA-256 of the hash of the line before and of everything that follows the hash's
//! own member, as it stands in the file. Nothing has to be put into a canonical form to check it.

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::limits::LINE_BYTES;
use super::record::Record;

const BEFORE_HASH: &[u8] = br#"{"hash":""#;
const AFTER_HASH: &[u8] = br#"","#;
const HASH: usize = 64;
const PREFIX: usize = BEFORE_HASH.len() + HASH + AFTER_HASH.len();

/// The end of a chain: the last line's number and hash. The chain that has no line yet ends with 0 and zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// The last line's number; the first is 1.
    pub line: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl std::fmt::Display for Position {
    /// As `LINE:HASH`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, hex::encode(self.hash))
    }
}

impl std::str::FromStr for Position {
    type Err = ();

    /// Reads `LINE:HASH`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (line, hash) = text.split_once(':').ok_or(())?;
        let mut position = Self { line: line.parse().map_err(drop)?, ..Self::default() };
        hex::decode_to_slice(hash, &mut position.hash).map_err(drop)?;
        Ok(position)
    }
}

/// What stands in a line beside the record.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Marks {
    /// In the first line of a segment: which segment it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// In the first line of a segment: the hash of the last line before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Up to which segment the log was cut off, since no more are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<u32>,
    /// The commit that the record was part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Which of the commit's records it is, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
}

/// A line that was read.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// Its number.
    pub n: u64,
    /// What else the log says with it.
    #[serde(flatten)]
    pub marks: Marks,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// Appends the line behind `before` to `block`, and returns where the chain then ends. What is longer than [`LINE_BYTES`]
/// is cut.
pub fn write(
    block: &mut Vec<u8>,
    before: &Position,
    marks: &Marks,
    record: &Record,
) -> std::io::Result<Position> {
    let start = block.len();
    let end = write_whole(block, before, marks, record)?;
    if block.len() - start <= LINE_BYTES {
        return Ok(end);
    }
    // Nobody could read it any more, and no server start on it.
    block.truncate(start);
    write_whole(block, before, marks, &record.cut())
}

fn write_whole(
    block: &mut Vec<u8>,
    before: &Position,
    marks: &Marks,
    record: &Record,
) -> std::io::Result<Position> {
    let line = before.line + 1;
    let start = block.len();
    block.extend_from_slice(BEFORE_HASH);
    block.resize(start + BEFORE_HASH.len() + HASH, b'0');
    block.extend_from_slice(AFTER_HASH);
    let body = block.len();
    write!(block, r#""n":{line},"#)?;
    // Two objects become one: the end of the first and the beginning of the second make way for a comma.
    let at = block.len();
    if *marks != Marks::default() {
        serde_json::to_writer(&mut *block, marks)?;
        block.remove(at);
        block.pop();
        block.push(b',');
    }
    let at = block.len();
    serde_json::to_writer(&mut *block, record)?;
    block.remove(at);
    let hash = chained(&before.hash, block.get(body..).unwrap_or_default());
    let place = start + BEFORE_HASH.len();
    if let Some(place) = block.get_mut(place..place + HASH) {
        hex::encode_to_slice(hash, place).map_err(std::io::Error::other)?;
    }
    block.push(b'\n');
    Ok(Position { line, hash })
}

/// Checks that `line`, without its line feed, follows `before`. Returns where the chain then ends.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(line: &[u8], before: &Position) -> Result<Position, &'static str> {
    let number = before.line + 1;
    let hash = hash_of(line).ok_or("it does not begin with its hash")?;
    let body = line.get(PREFIX..).unwrap_or_default();
    if chained(&before.hash, body) != hash {
        return Err("its hash does not fit what it says and the line before it");
    }
    // The hash fits, so this is what the server wrote, unless somebody wrote a chain of his own.
    if !body.starts_with(format!(r#""n":{number},"#).as_bytes()) {
        return Err("it does not have the number that comes next");
    }
    Ok(Position { line: number, hash })
}

/// The hash that a line states.
#[must_use]
pub fn hash_of(line: &[u8]) -> Option<[u8; 32]> {
    let hash = line.strip_prefix(BEFORE_HASH)?.get(..HASH)?;
    line.get(BEFORE_HASH.len() + HASH..)?.strip_prefix(AFTER_HASH)?;
    // Capital letters would be a line of somebody else's.
    let lower = hash.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).ok().filter(|()| lower).map(|()| bytes)
}

/// What a line says.
///
/// # Errors
/// When it is not what this program writes.
pub fn read(line: &[u8]) -> serde_json::Result<Line> {
    serde_json::from_slice(line)
}

fn chained(before: &[u8; 32], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(body).finalize().into()
}
