//! Answers that break one rule of the encoding each: one for every way in which a message can be wrong. Pure.

use kms_protocol::Tag;
use kms_protocol::Version;
use kms_protocol::frame::HEADER;
use kms_protocol::limits::DEPTH;
use kms_protocol::ttlv::{Content, ItemType, Reader};

/// A rule of the encoding (KMIP 1.4 section 9.1) or of messages (section 7) that an answer breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformation {
    /// The last item states more bytes than there are.
    Truncated,
    /// Structures nest deeper than any message's do.
    TooDeep,
    /// An item is of a type that there is none of.
    UnknownType,
    /// An Enumeration of three bytes.
    WrongLength,
    /// Result Status is an Integer.
    WrongType,
    /// Result Message is not UTF-8.
    NotUtf8,
    /// A Boolean of two.
    NotBoolean,
    /// There is no Result Status.
    Missing,
    /// An item that nobody knows stands in the batch item.
    Unexpected,
    /// Result Status stands twice.
    Repeated,
    /// Result Status stands before Operation.
    OutOfOrder,
    /// Result Status has a value outside its table.
    InvalidValue,
    /// The message has eight bytes more than it states.
    Trailing,
    /// The message has eight bytes fewer than it states: they never come.
    TooShort,
    /// The message states more than a gigabyte.
    TooLong,
    /// Padding is not zero.
    Padding,
    /// The answer is HTTP.
    NotKmip,
    /// The answer is a Request Message.
    WrongMessage,
}

impl Malformation {
    /// All of them by name.
    pub const NAMES: [(Self, &'static str); 18] = [
        (Self::Truncated, "truncated"),
        (Self::TooDeep, "too-deep"),
        (Self::UnknownType, "unknown-type"),
        (Self::WrongLength, "wrong-length"),
        (Self::WrongType, "wrong-type"),
        (Self::NotUtf8, "not-utf8"),
        (Self::NotBoolean, "not-boolean"),
        (Self::Missing, "missing"),
        (Self::Unexpected, "unexpected"),
        (Self::Repeated, "repeated"),
        (Self::OutOfOrder, "out-of-order"),
        (Self::InvalidValue, "invalid-value"),
        (Self::Trailing, "trailing"),
        (Self::TooShort, "too-short"),
        (Self::TooLong, "too-long"),
        (Self::Padding, "padding"),
        (Self::NotKmip, "not-kmip"),
        (Self::WrongMessage, "wrong-message"),
    ];

    /// A sound answer, broken so.
    #[must_use]
    pub fn of(self, answer: &[u8]) -> Vec<u8> {
        let mut message = Broken { bytes: answer.to_vec(), places: places(answer) };
        message.apply(self);
        message.bytes
    }
}

/// Where an item stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    tag: Tag,
    is_structure: bool,
    at: usize,
    /// Behind its last byte, padding included.
    end: usize,
    /// Bytes of its value.
    length: usize,
}

struct Broken {
    bytes: Vec<u8>,
    /// All items in the order of their beginnings.
    places: Vec<Place>,
}

impl Broken {
    fn apply(&mut self, how: Malformation) {
        let status = self.first(Tag::RESULT_STATUS);
        match how {
            Malformation::Truncated => {
                if let Some(last) = self.places.iter().rev().find(|place| !place.is_structure).copied() {
                    self.set(last.at + 4, &u32::MAX.to_be_bytes());
                }
            }
            Malformation::TooDeep => {
                let nested = (0..usize::from(DEPTH) + 8)
                    .fold(Vec::new(), |inner, _| item(Tag::VENDOR_EXTENSION, ItemType::Structure, &inner));
                self.insert_after(status, &nested);
            }
            Malformation::UnknownType => self.set_at(status, 3, &[0x7F]),
            Malformation::WrongLength => self.set_at(status, 4, &3u32.to_be_bytes()),
            Malformation::WrongType => self.set_at(status, 3, &[ItemType::Integer as u8]),
            Malformation::NotUtf8 => {
                self.insert_after(status, &item(Tag::RESULT_MESSAGE, ItemType::TextString, &[0xC3, 0x28]));
            }
            Malformation::NotBoolean => {
                let two = item(Tag::ASYNCHRONOUS_INDICATOR, ItemType::Boolean, &2u64.to_be_bytes());
                self.insert_after(status, &two);
            }
            Malformation::Missing => {
                if let Some(status) = status {
                    self.replace(status.at, status.end, &[]);
                }
            }
            Malformation::Unexpected => {
                let unknown = item(Tag(0x42_7777), ItemType::Integer, &7u32.to_be_bytes());
                self.insert_after(status, &unknown);
            }
            Malformation::Repeated => {
                if let Some(status) = status {
                    let again = self.bytes.get(status.at..status.end).unwrap_or_default().to_vec();
                    self.insert_after(Some(status), &again);
                }
            }
            Malformation::OutOfOrder => self.move_first(status),
            Malformation::InvalidValue => self.set_at(status, 8, &0x7Fu32.to_be_bytes()),
            Malformation::Trailing => self.bytes.extend([0; 8]),
            Malformation::TooShort => self.state_length(|length| length + 8),
            Malformation::TooLong => self.state_length(|_| 1 << 30),
            Malformation::Padding => {
                if let Some(padded) =
                    self.places.iter().find(|place| place.at + HEADER + place.length < place.end)
                {
                    self.set(padded.end - 1, &[0xFF]);
                }
            }
            Malformation::NotKmip => self.bytes = b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec(),
            Malformation::WrongMessage => self.set(2, &[0x78]),
        }
    }

    fn first(&self, tag: Tag) -> Option<Place> {
        self.places.iter().find(|place| place.tag == tag).copied()
    }

    fn set_at(&mut self, place: Option<Place>, offset: usize, bytes: &[u8]) {
        if let Some(place) = place {
            self.set(place.at + offset, bytes);
        }
    }

    fn set(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn state_length(&mut self, change: impl FnOnce(usize) -> usize) {
        let length = u32::try_from(change(self.bytes.len().saturating_sub(HEADER))).unwrap_or(u32::MAX);
        self.set(4, &length.to_be_bytes());
    }

    fn insert_after(&mut self, place: Option<Place>, bytes: &[u8]) {
        if let Some(place) = place {
            self.replace(place.end, place.end, bytes);
        }
    }

    /// Moves an item to the beginning of what it stands in.
    fn move_first(&mut self, place: Option<Place>) {
        let Some(place) = place else { return };
        let around = |outer: &&Place| outer.is_structure && outer.at < place.at && place.end <= outer.end;
        let Some(outer) = self.places.iter().rev().find(around).copied() else { return };
        if let Some(range) = self.bytes.get_mut(outer.at + HEADER..place.end) {
            range.rotate_right(place.end - place.at);
        }
    }

    /// Puts `bytes` in the place of others and makes the structures around them as long as they then are.
    fn replace(&mut self, at: usize, end: usize, bytes: &[u8]) {
        let around = |outer: &&Place| outer.is_structure && outer.at < at && end <= outer.end;
        let outer: Vec<Place> = self.places.iter().filter(around).copied().collect();
        for place in outer {
            let length = (place.length + bytes.len()).saturating_sub(end - at);
            self.set(place.at + 4, &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
        self.bytes.splice(at..end, bytes.iter().copied());
    }
}

fn item(tag: Tag, item_type: ItemType, value: &[u8]) -> Vec<u8> {
    let [_, t0, t1, t2] = tag.0.to_be_bytes();
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = [&[t0, t1, t2, item_type as u8], &length[..], value].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn places(bytes: &[u8]) -> Vec<Place> {
    let mut all = Vec::new();
    collect(Reader::new(bytes, Version::V2_1), bytes, &mut all);
    all
}

fn collect(mut reader: Reader<'_>, bytes: &[u8], all: &mut Vec<Place>) {
    while let Ok(Some(item)) = reader.next_item() {
        let stated = bytes.get(item.offset + 4..).and_then(|rest| rest.first_chunk::<4>());
        let length = stated.map_or(0, |length| u32::from_be_bytes(*length) as usize);
        let end = item.offset + HEADER + length.next_multiple_of(8);
        let is_structure = matches!(item.content, Content::Structure(_));
        all.push(Place { tag: item.tag, is_structure, at: item.offset, end, length });
        if let Content::Structure(inner) = item.content {
            collect(inner, bytes, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use kms_protocol::enums::{Operation, ResultStatus};
    use kms_protocol::error::{DecodeError, DecodeErrorKind as Kind};
    use kms_protocol::frame::{FrameError, message_length};
    use kms_protocol::message::{Outcome, ResponseHeader, ResponseMessage, write_response};
    use kms_protocol::operation::ActivateResponse;
    use kms_protocol::ttlv::{ItemType, Value as _, Writer};
    use kms_protocol::{DateTime, Secret, Tag, Version};

    use super::Malformation;

    fn sound() -> Secret {
        let mut payload = Writer::new(Version::V1_4);
        let answer = ActivateResponse { unique_identifier: "key".into() };
        answer.write(&mut payload, Tag::RESPONSE_PAYLOAD);
        let outcome = Outcome {
            operation: Some(Operation::Activate),
            unique_batch_item_id: None,
            result_status: ResultStatus::Success,
            result_reason: None,
            result_message: None,
            asynchronous_correlation_value: None,
            payload: Some(Secret::new(payload.into_bytes())),
        };
        write_response(ResponseHeader::new(Version::V1_4, DateTime(0)), &[outcome])
    }

    /// Reads an answer to the end, payload included.
    fn read(bytes: &[u8]) -> Result<ResultStatus, DecodeError> {
        let message = ResponseMessage::read(bytes)?;
        let item = message.items.into_iter().next().expect("an item");
        ActivateResponse::read(item.payload.expect("a payload"))?;
        Ok(item.result_status)
    }

    fn check(how: Malformation) {
        let bytes = how.of(sound().expose());
        let error = || read(&bytes).expect_err("it is malformed").kind;
        let frame = message_length(&bytes, 1 << 20);
        match how {
            Malformation::Truncated => assert_eq!(error(), Kind::Truncated),
            Malformation::TooDeep | Malformation::Unexpected => assert_eq!(error(), Kind::Unexpected),
            Malformation::UnknownType => assert_eq!(error(), Kind::UnknownType(0x7F)),
            Malformation::WrongLength => {
                assert_eq!(error(), Kind::WrongLength { item_type: ItemType::Enumeration, stated: 3 });
            }
            Malformation::WrongType => assert!(matches!(error(), Kind::WrongType { .. })),
            Malformation::NotUtf8 => assert_eq!(error(), Kind::NotUtf8),
            Malformation::NotBoolean => assert_eq!(error(), Kind::NotBoolean),
            Malformation::Missing => assert_eq!(error(), Kind::Missing),
            Malformation::Repeated => assert_eq!(error(), Kind::Repeated),
            // Ours are lenient readers here; the bytes are not those of a sound answer.
            Malformation::OutOfOrder | Malformation::Padding => assert_ne!(bytes, sound().expose()),
            Malformation::InvalidValue => assert_eq!(read(&bytes), Ok(ResultStatus::Other(0x7F))),
            Malformation::Trailing => assert_eq!(frame, Ok(Some(bytes.len() - 8))),
            Malformation::TooShort => assert_eq!(frame, Ok(Some(bytes.len() + 8))),
            Malformation::TooLong => assert!(matches!(frame, Err(FrameError::TooLong { .. }))),
            Malformation::NotKmip => assert!(matches!(frame, Err(FrameError::NotKmip(_)))),
            Malformation::WrongMessage => assert_eq!(error(), Kind::Missing),
        }
    }

    #[test]
    fn each_breaks_its_rule() {
        assert_eq!(read(sound().expose()), Ok(ResultStatus::Success));
        for (how, name) in Malformation::NAMES {
            println!("{name}");
            check(how);
        }
    }

    #[test]
    fn nothing_is_assumed_of_what_is_broken() {
        for (how, _) in Malformation::NAMES {
            for length in 0..16 {
                let _ = how.of(&vec![0x42; length]);
            }
        }
    }
}
