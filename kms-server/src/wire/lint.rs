//! What is wrong with a message: the first wrong byte, and the section of the specification (KMIP 1.4) that says so.

use core::fmt;

use kms_protocol::Tag;
use kms_protocol::error::{DecodeError, DecodeErrorKind};
use kms_protocol::frame::HEADER;
use kms_protocol::limits::DEPTH;
use kms_protocol::message::{RequestMessage, ResponseMessage};
use kms_protocol::ttlv::ItemType;
use serde::{Deserialize, Serialize};

use super::payload;

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The byte, from the start of the message.
    pub offset: usize,
    /// What is wrong with it.
    pub what: String,
    /// The section that says how it ought to be.
    pub section: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "byte {} (0x{:x}): {} (KMIP 1.4 section {})",
            self.offset, self.offset, self.what, self.section
        )
    }
}

/// The first thing that is wrong with a message, as bytes and then as a message; `None` where nothing is.
#[must_use]
pub fn lint(message: &[u8]) -> Option<Finding> {
    let walk = Walk { bytes: message };
    walk.items(0, message.len(), 0).err().or_else(|| as_message(message).err())
}

fn finding(offset: usize, what: impl Into<String>, section: &str) -> Finding {
    Finding { offset, what: what.into(), section: section.to_owned() }
}

struct Walk<'a> {
    bytes: &'a [u8],
}

impl Walk<'_> {
    /// Items from `at` to `end`, structures included.
    fn items(&self, mut at: usize, end: usize, depth: u8) -> Result<(), Finding> {
        if at == end && depth == 0 {
            return Err(finding(0, "there is no message", "9.1.1"));
        }
        while at < end {
            at = self.item(at, end, depth)?;
            if depth == 0 && at < end {
                return Err(finding(at, "bytes follow the end of the message", "9.1.1"));
            }
        }
        Ok(())
    }

    fn item(&self, at: usize, end: usize, depth: u8) -> Result<usize, Finding> {
        let header = self.bytes.get(at..end.min(at + HEADER)).unwrap_or_default();
        let [t0, t1, t2, type_byte, l0, l1, l2, l3] = header else {
            let what = format!("an item's header has 8 bytes, and only {} are left", header.len());
            return Err(finding(at, what, "9.1.1"));
        };
        let tag = Tag(u32::from_be_bytes([0, *t0, *t1, *t2]));
        if !matches!(t0, 0x42 | 0x54) {
            return Err(finding(at, format!("tag {tag} begins with neither 42 nor 54"), "9.1.1.1"));
        }
        let Some(item_type) = ItemType::from_byte(*type_byte) else {
            return Err(finding(at + 3, format!("0x{type_byte:02X} is no item type, in {tag}"), "9.1.1.2"));
        };
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
        let is_wrong = match item_type.fixed_length() {
            Some(fixed) => fixed != length,
            None => {
                matches!(item_type, ItemType::Structure | ItemType::BigInteger) && !length.is_multiple_of(8)
            }
        };
        if is_wrong {
            return Err(finding(at + 4, format!("{length} bytes make no {item_type}, in {tag}"), "9.1.1.3"));
        }
        let (start, last) = (at + HEADER, at + HEADER + length);
        let padded = at + HEADER + length.next_multiple_of(8);
        if padded > end {
            let left = end.saturating_sub(start);
            let what = format!("{tag} states {length} bytes, padding aside, and {left} are left around it");
            return Err(finding(at + 4, what, "9.1.1.3"));
        }
        if item_type == ItemType::Structure {
            if depth >= DEPTH {
                return Err(finding(at, format!("structures nest deeper than {DEPTH}, in {tag}"), "9.1.1.4"));
            }
            self.items(start, last, depth + 1)?;
            return Ok(last);
        }
        self.value(tag, item_type, start, last)?;
        match (last..padded).find(|place| self.bytes.get(*place).is_some_and(|byte| *byte != 0)) {
            Some(place) => Err(finding(place, format!("padding is not zero, in {tag}"), "9.1.1.3")),
            None => Ok(padded),
        }
    }

    fn value(&self, tag: Tag, item_type: ItemType, start: usize, end: usize) -> Result<(), Finding> {
        let value = self.bytes.get(start..end).unwrap_or_default();
        match item_type {
            ItemType::Boolean => {
                let wrong = value.iter().enumerate().find(|(place, byte)| **byte > u8::from(*place == 7));
                let what = || format!("a Boolean is 0 or 1, in {tag}");
                wrong.map_or(Ok(()), |(place, _)| Err(finding(start + place, what(), "9.1.1.4")))
            }
            ItemType::TextString => core::str::from_utf8(value).map(drop).map_err(|error| {
                finding(start + error.valid_up_to(), format!("the text is not UTF-8, in {tag}"), "9.1.1.4")
            }),
            _ => Ok(()),
        }
    }
}

/// Whether sound items make a sound message.
fn as_message(bytes: &[u8]) -> Result<(), Finding> {
    let is_response = matches!(bytes, [0x42, 0x00, 0x7B, ..]);
    let read = if is_response { response(bytes) } else { request(bytes) };
    read.map_err(|error: DecodeError| {
        let section = match (error.kind, error.tag) {
            (_, Some(Tag::BATCH_COUNT)) => "6.14",
            (DecodeErrorKind::WrongType { .. }, _) => "9.1.1.2",
            _ => "7",
        };
        let at = if error.tag == Some(Tag::BATCH_COUNT) && error.offset == 0 {
            offset_of(bytes, Tag::BATCH_COUNT).unwrap_or(0)
        } else {
            error.offset
        };
        finding(at.min(bytes.len().saturating_sub(1)), format!("{error}"), section)
    })
}

fn request(bytes: &[u8]) -> Result<(), DecodeError> {
    let message = RequestMessage::read(bytes)?;
    message.items.into_iter().try_for_each(|item| payload::check(item.operation, item.payload, false))
}

fn response(bytes: &[u8]) -> Result<(), DecodeError> {
    let message = ResponseMessage::read(bytes)?;
    message.items.into_iter().try_for_each(|item| match (item.operation, item.payload) {
        (Some(operation), Some(payload)) => payload::check(operation, payload, true),
        _ => Ok(()),
    })
}

fn offset_of(bytes: &[u8], tag: Tag) -> Option<usize> {
    let [_, t0, t1, t2] = tag.0.to_be_bytes();
    bytes.chunks(8).position(|chunk| chunk.starts_with(&[t0, t1, t2])).map(|chunk| chunk * 8)
}

#[cfg(test)]
mod tests {
    use kms_protocol::message::{RequestBuilder, RequestHeader, RequestMessage};
    use kms_protocol::operation::ActivateRequest;
    use kms_protocol::{Secret, Version};
    use proptest::prelude::*;

    use super::lint;
    use crate::faults::Malformation;
    use crate::wire::{differences, messages, tree};

    fn sound() -> Secret {
        let mut builder = RequestBuilder::new(RequestHeader::new(Version::V1_4));
        builder.push(&ActivateRequest { unique_identifier: Some("key-1".into()) }, None);
        builder.finish()
    }

    #[test]
    fn what_is_sound_has_no_finding() {
        assert_eq!(lint(sound().expose()), None);
    }

    #[test]
    fn the_first_wrong_byte_is_named() {
        let sound = sound().expose().to_vec();
        let spoil = |at: usize, byte: u8| {
            let mut bytes = sound.clone();
            bytes[at] = byte;
            lint(&bytes).expect("a finding")
        };
        let text = sound.windows(5).position(|window| window == b"key-1").expect("the text");
        assert_eq!(spoil(text + 2, 0xFF).offset, text + 2);
        assert_eq!(spoil(text + 6, 1).offset, text + 6, "padding");
        assert_eq!(spoil(3, 0x7F).offset, 3, "a type");
        assert_eq!(spoil(7, 0).offset, 8, "what follows the end");
        let finding = lint(&sound[..sound.len() - 1]).expect("a finding");
        assert_eq!((finding.offset, finding.section.as_str()), (4, "9.1.1.3"));
        // A sound item that is none of this operation's.
        let mut bytes = sound.clone();
        let identifier = text - 8;
        bytes[identifier + 3] = 8;
        let finding = lint(&bytes).expect("a finding");
        assert_eq!((finding.offset, finding.section.as_str()), (identifier, "9.1.1.2"), "{finding}");
        bytes[identifier + 2] = 0x08;
        assert!(lint(&bytes).is_some(), "an attribute's tag is not Activate's");
    }

    #[test]
    fn malformed_answers_are_found() {
        use Malformation as M;
        let answer = crate::kms::refuse_all(
            sound().expose(),
            &crate::kms::Refusal::not_found(),
            kms_protocol::DateTime(0),
        );
        assert_eq!(lint(answer.expose()), None);
        for (how, name) in M::NAMES {
            let found = lint(&how.of(answer.expose()));
            // Lenient about the order of fields, and about values that a later version may bring.
            let passes = matches!(how, M::OutOfOrder | M::InvalidValue);
            assert_eq!(found.is_none(), passes, "{name}: {found:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn of_mutated_messages_each_that_cannot_be_read_has_a_wrong_byte(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<Option<prop::sample::Index>>(),
        ) {
            let mut bytes = sound().expose().to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            let found = lint(&bytes);
            if let Some(finding) = &found {
                prop_assert!(finding.offset <= bytes.len());
            }
            prop_assert!(found.is_some() || RequestMessage::read(&bytes).is_ok());
            let mut text = String::new();
            let _ = tree(&bytes, true, &mut text);
            let _ = messages(&bytes);
            let _ = differences(&bytes, sound().expose(), true);
        }
    }
}
