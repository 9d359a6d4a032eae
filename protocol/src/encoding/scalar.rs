//! Single values as text and back (sections 4.1.6 and 6.1.6).

use core::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime as Civil;
use jiff::tz::{Offset, TimeZone};
use zeroize::Zeroizing;

use super::error::EncodingErrorKind as Kind;
use super::names::{enumeration_name, enumeration_value, mask};
use crate::Tag;
use crate::attribute::AttributeKind;
use crate::ttlv::{Content, ItemType, Writer};

/// Which of the two encodings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Xml,
    Json,
}

/// A number that any reader of JSON keeps exactly (section 4.1.6.5).
const JSON_EXACT: u64 = 1 << 52;

/// What the items of one structure say of each other: in 1.x an Attribute Name tells what its Attribute Value is.
#[derive(Default)]
pub(super) struct Siblings {
    attribute: Option<Tag>,
}

impl Siblings {
    /// The tag by which the names of the value's enumeration or mask are found.
    pub(super) fn meaning(&self, tag: Tag) -> Tag {
        match self.attribute {
            Some(attribute) if tag == Tag::ATTRIBUTE_VALUE => attribute,
            _ => tag,
        }
    }

    /// Takes note of a text.
    pub(super) fn note(&mut self, tag: Tag, text: &str) {
        if tag == Tag::ATTRIBUTE_NAME {
            self.attribute = AttributeKind::from_name(text).map(AttributeKind::tag);
        }
    }
}

/// A value as it is written: JSON puts quotation marks around words, XML around everything.
pub(super) struct Shown {
    pub(super) text: Zeroizing<String>,
    pub(super) is_word: bool,
}

/// A value's text. `meaning` finds the names of enumerations and masks.
pub(super) fn show(content: &Content<'_>, meaning: Tag, style: Style) -> Shown {
    let word = |text: String| Shown { text: Zeroizing::new(text), is_word: true };
    let bare = |text: String| Shown { text: Zeroizing::new(text), is_word: false };
    match content {
        Content::Structure(_) => bare(String::new()),
        Content::Integer(value) => match mask(meaning) {
            Some(bits) if *value != 0 => word(show_mask(value.cast_unsigned(), bits, style)),
            _ => bare(value.to_string()),
        },
        Content::LongInteger(value) if style == Style::Json && value.unsigned_abs() >= JSON_EXACT => {
            word(format!("0x{value:016x}"))
        }
        Content::LongInteger(value) => bare(value.to_string()),
        Content::BigInteger(bytes) => word(hex(bytes, if style == Style::Json { "0x" } else { "" })),
        Content::Enumeration(value) => word(match enumeration_name(meaning, *value) {
            Some(name) => name.to_owned(),
            None => format!("0x{value:08x}"),
        }),
        Content::Boolean(value) => bare(value.to_string()),
        Content::TextString(text) => word((*text).to_owned()),
        Content::ByteString(bytes) => word(hex(bytes, "")),
        Content::DateTime(seconds) => word(match Timestamp::from_second(*seconds) {
            Ok(time) => time.display_with_offset(Offset::UTC).to_string(),
            Err(_) => format!("0x{seconds:016x}"),
        }),
        Content::DateTimeExtended(micros) => word(match Timestamp::from_microsecond(*micros) {
            Ok(time) => time.display_with_offset(Offset::UTC).to_string(),
            Err(_) => format!("0x{micros:016x}"),
        }),
        Content::Interval(seconds) => bare(seconds.to_string()),
    }
}

fn show_mask(value: u32, bits: &[(u32, String)], style: Style) -> String {
    let mut rest = value;
    let mut words = Vec::new();
    for (bit, name) in bits {
        if rest & bit != 0 {
            rest &= !bit;
            words.push(name.clone());
        }
    }
    if rest != 0 {
        words.push(format!("0x{rest:08x}"));
    }
    words.join(if style == Style::Json { "|" } else { " " })
}

fn hex(bytes: &[u8], prefix: &str) -> String {
    let mut out = String::with_capacity(prefix.len() + 2 * bytes.len());
    out.push_str(prefix);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// A value as it was read.
pub(super) enum Given<'a> {
    /// A word or an XML attribute.
    Text(&'a str),
    /// A JSON number.
    Number(i64),
    /// A JSON Boolean.
    Flag(bool),
}

/// Writes the value as an item.
pub(super) fn put(
    writer: &mut Writer,
    tag: Tag,
    item_type: ItemType,
    given: &Given<'_>,
    meaning: Tag,
) -> Result<(), Kind> {
    let wrong = || Kind::WrongValue(item_type);
    let four = |value: Option<u32>| value.map(|value| value.to_be_bytes().to_vec()).ok_or_else(wrong);
    let eight = |value: Option<i64>| value.map(|value| value.to_be_bytes().to_vec()).ok_or_else(wrong);
    let bytes = match item_type {
        ItemType::Structure => return Err(Kind::ValueOfStructure),
        ItemType::Integer => four(integer(given, meaning))?,
        ItemType::LongInteger => eight(long(given))?,
        ItemType::BigInteger => big(given).ok_or_else(wrong)?,
        ItemType::Enumeration => enumeration(given, meaning)?.to_be_bytes().to_vec(),
        ItemType::Boolean => eight(boolean(given).map(i64::from))?,
        ItemType::TextString => text(given).ok_or_else(wrong)?.as_bytes().to_vec(),
        ItemType::ByteString => text(given).and_then(unhex).ok_or_else(wrong)?,
        ItemType::DateTime => eight(date(given, Timestamp::as_second))?,
        ItemType::DateTimeExtended => eight(date(given, Timestamp::as_microsecond))?,
        ItemType::Interval => four(long(given).and_then(|value| u32::try_from(value).ok()))?,
    };
    writer.item(tag, item_type, &Zeroizing::new(bytes));
    Ok(())
}

fn text<'a>(given: &Given<'a>) -> Option<&'a str> {
    match given {
        Given::Text(text) => Some(text),
        Given::Number(_) | Given::Flag(_) => None,
    }
}

/// A decimal number, or `0x` and exactly the digits of the width.
fn long(given: &Given<'_>) -> Option<i64> {
    match given {
        Given::Number(number) => Some(*number),
        Given::Flag(_) => None,
        Given::Text(text) => match text.strip_prefix("0x") {
            Some(digits) if digits.len() <= 8 => u32::from_str_radix(digits, 16).ok().map(i64::from),
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
            None => text.trim().parse().ok(),
        },
    }
}

/// An Integer's bits: a number, or a mask's names and numbers together.
fn integer(given: &Given<'_>, meaning: Tag) -> Option<u32> {
    if let Given::Text(text) = given
        && let Some(bits) = mask(meaning)
        && text.parse::<i32>().is_err()
    {
        let words = text.split([' ', '\t', '\n', '\r', '|']).filter(|word| !word.is_empty());
        return words.map(|word| bit(word, bits)).try_fold(0, |all, bit| bit.map(|bit| all | bit));
    }
    let value = long(given)?;
    let is_hex = matches!(given, Given::Text(text) if text.starts_with("0x"));
    if is_hex { u32::try_from(value).ok() } else { i32::try_from(value).ok().map(i32::cast_unsigned) }
}

fn bit(word: &str, bits: &[(u32, String)]) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => bits.iter().find(|(_, name)| name == word).map(|(bit, _)| *bit),
    }
}

fn big(given: &Given<'_>) -> Option<Vec<u8>> {
    let bytes = match given {
        Given::Number(number) => number.to_be_bytes().to_vec(),
        Given::Flag(_) => return None,
        Given::Text(text) => unhex(text.strip_prefix("0x").unwrap_or(text))?,
    };
    // Some leave the sign extension out.
    let missing = bytes.len().next_multiple_of(8).max(8) - bytes.len();
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xFF } else { 0 };
    let mut extended = Vec::with_capacity(missing + bytes.len());
    extended.resize(missing, sign);
    extended.extend_from_slice(&Zeroizing::new(bytes));
    Some(extended)
}

fn enumeration(given: &Given<'_>, meaning: Tag) -> Result<u32, Kind> {
    let wrong = Kind::WrongValue(ItemType::Enumeration);
    match given {
        Given::Number(number) => u32::try_from(*number).map_err(|_| wrong),
        Given::Flag(_) => Err(wrong),
        Given::Text(text) => match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).map_err(|_| wrong),
            None => enumeration_value(meaning, text).ok_or(Kind::UnknownName),
        },
    }
}

fn boolean(given: &Given<'_>) -> Option<bool> {
    match given {
        Given::Flag(flag) => Some(*flag),
        Given::Text("true" | "1" | "0x0000000000000001") => Some(true),
        Given::Text("false" | "0" | "0x0000000000000000") => Some(false),
        Given::Text(_) | Given::Number(_) => None,
    }
}

/// A point in time: by ISO 8601, UTC where no zone is stated, or as the number of its units.
fn date(given: &Given<'_>, units: fn(Timestamp) -> i64) -> Option<i64> {
    let text = text(given)?;
    if text.starts_with("0x") {
        return long(given);
    }
    let time = text.parse::<Timestamp>().ok().or_else(|| {
        let local: Civil = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })?;
    Some(units(time))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
