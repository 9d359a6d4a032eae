//! A message as a tree: where each item stands, what it is and what it holds.

use core::fmt::Write as _;

use kms_protocol::Version;
use kms_protocol::encoding::enumeration_name;
use kms_protocol::error::DecodeError;
use kms_protocol::ttlv::{Content, Reader};

/// Bytes of a byte string that are shown.
const SHOWN: usize = 32;

/// One line for each item: its offset, its tag, its type, its value. Without `values` no byte string is shown.
///
/// # Errors
/// At the first malformed item; `out` then holds what came before it.
pub fn tree(bytes: &[u8], values: bool, out: &mut String) -> Result<(), DecodeError> {
    level(Reader::new(bytes, Version::V2_1), 0, values, out)
}

fn level(mut reader: Reader<'_>, depth: usize, values: bool, out: &mut String) -> Result<(), DecodeError> {
    while let Some(item) = reader.next_item()? {
        let _ = write!(out, "{:06x}  {:indent$}{}", item.offset, "", item.tag, indent = depth * 2);
        match item.content {
            Content::Structure(inner) => {
                out.push('\n');
                level(inner, depth + 1, values, out)?;
                continue;
            }
            Content::Enumeration(value) => {
                let name = enumeration_name(item.tag, value).unwrap_or("?");
                let _ = write!(out, " = {name} (0x{value:08X})");
            }
            Content::Integer(value) => _ = write!(out, " = {value}"),
            Content::LongInteger(value) => _ = write!(out, " = {value} (Long Integer)"),
            Content::Boolean(value) => _ = write!(out, " = {value}"),
            Content::TextString(text) => _ = write!(out, " = {text:?}"),
            Content::Interval(seconds) => _ = write!(out, " = {seconds} s"),
            Content::DateTime(time) => {
                _ = write!(out, " = {}", crate::clock::text(kms_protocol::DateTime(time)))
            }
            Content::DateTimeExtended(time) => _ = write!(out, " = {time} µs"),
            Content::BigInteger(bytes) | Content::ByteString(bytes) => {
                let _ = write!(out, " = [{} bytes]", bytes.len());
                if values {
                    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
                    let more = if shown.len() < bytes.len() { "…" } else { "" };
                    let _ = write!(out, " {}{more}", hex::encode(shown));
                }
            }
        }
        out.push('\n');
    }
    Ok(())
}
