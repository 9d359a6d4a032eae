//! A message as text, for people. Byte strings show their length only: any of them may be a key.

use core::fmt::Write as _;

use crate::enums::{self, Enumeration};
use crate::error::DecodeError;
use crate::ttlv::{Content, Reader};
use crate::{Tag, Version};

/// One line for each item, indented by depth. No byte string is shown.
///
/// # Errors
/// At the first malformed item; `out` then holds what came before it.
pub fn dump(bytes: &[u8], out: &mut String) -> Result<(), DecodeError> {
    level(Reader::new(bytes, Version::V2_1), 0, out)
}

fn level(mut reader: Reader<'_>, depth: usize, out: &mut String) -> Result<(), DecodeError> {
    while let Some(item) = reader.next_item()? {
        let indent = depth * 2;
        let item_type = item.content.item_type();
        put(out, format_args!("{:indent$}{} ({item_type})", "", item.tag));
        match item.content {
            Content::Structure(inner) => {
                out.push('\n');
                level(inner, depth + 1, out)?;
                continue;
            }
            Content::Integer(value) => put(out, format_args!(" {value}")),
            Content::LongInteger(value) | Content::DateTime(value) | Content::DateTimeExtended(value) => {
                put(out, format_args!(" {value}"));
            }
            Content::Enumeration(value) => match known_name(item.tag, value) {
                Some(name) => put(out, format_args!(" {name}")),
                None => put(out, format_args!(" 0x{value:08X}")),
            },
            Content::Boolean(value) => put(out, format_args!(" {value}")),
            Content::TextString(text) => put(out, format_args!(" {text:?}")),
            Content::Interval(seconds) => put(out, format_args!(" {seconds} s")),
            Content::BigInteger(bytes) | Content::ByteString(bytes) => {
                put(out, format_args!(" [{} bytes]", bytes.len()));
            }
        }
        out.push('\n');
    }
    Ok(())
}

/// Writing to a `String` cannot fail.
fn put(out: &mut String, text: core::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn known_name(tag: Tag, value: u32) -> Option<&'static str> {
    match tag {
        Tag::OPERATION => enums::Operation::from_value(value).name(),
        Tag::RESULT_STATUS => enums::ResultStatus::from_value(value).name(),
        Tag::RESULT_REASON => enums::ResultReason::from_value(value).name(),
        Tag::OBJECT_TYPE => enums::ObjectType::from_value(value).name(),
        Tag::STATE => enums::State::from_value(value).name(),
        Tag::QUERY_FUNCTION => enums::QueryFunction::from_value(value).name(),
        Tag::CRYPTOGRAPHIC_ALGORITHM => enums::CryptographicAlgorithm::from_value(value).name(),
        Tag::KEY_FORMAT_TYPE => enums::KeyFormatType::from_value(value).name(),
        Tag::LINK_TYPE => enums::LinkType::from_value(value).name(),
        _ => None,
    }
}
