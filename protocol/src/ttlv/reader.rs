//! Bytes to items, borrowing from the message and never trusting a length.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::frame::HEADER;
use crate::limits;
use crate::ttlv::{ItemType, Value};
use crate::{Tag, Version};

/// One item: its tag, its value and where it stands.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// What the item is.
    pub tag: Tag,
    /// Its type and value.
    pub content: Content<'a>,
    /// Bytes from the start of the message to the item's tag.
    pub offset: usize,
    /// The message's version, which decides what the value may hold.
    pub version: Version,
}

/// A value as it stands in the message.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// The items inside.
    Structure(Reader<'a>),
    /// See [`ItemType::Integer`].
    Integer(i32),
    /// See [`ItemType::LongInteger`].
    LongInteger(i64),
    /// Two's complement, big-endian.
    BigInteger(&'a [u8]),
    /// See [`ItemType::Enumeration`].
    Enumeration(u32),
    /// See [`ItemType::Boolean`].
    Boolean(bool),
    /// See [`ItemType::TextString`].
    TextString(&'a str),
    /// See [`ItemType::ByteString`].
    ByteString(&'a [u8]),
    /// Seconds since 1970.
    DateTime(i64),
    /// Seconds.
    Interval(u32),
    /// Microseconds since 1970.
    DateTimeExtended(i64),
}

impl Content<'_> {
    /// The value's type.
    #[must_use]
    pub fn item_type(&self) -> ItemType {
        match self {
            Self::Structure(_) => ItemType::Structure,
            Self::Integer(_) => ItemType::Integer,
            Self::LongInteger(_) => ItemType::LongInteger,
            Self::BigInteger(_) => ItemType::BigInteger,
            Self::Enumeration(_) => ItemType::Enumeration,
            Self::Boolean(_) => ItemType::Boolean,
            Self::TextString(_) => ItemType::TextString,
            Self::ByteString(_) => ItemType::ByteString,
            Self::DateTime(_) => ItemType::DateTime,
            Self::Interval(_) => ItemType::Interval,
            Self::DateTimeExtended(_) => ItemType::DateTimeExtended,
        }
    }
}

impl<'a> Item<'a> {
    /// The same item under the rules of another version.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        if let Content::Structure(reader) = &mut self.content {
            reader.version = version;
        }
        self
    }

    /// An error in this item.
    #[must_use]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, tag: Some(self.tag), offset: self.offset }
    }

    /// The error of an item whose type is not `expected`.
    #[must_use]
    pub fn wrong_type(&self, expected: ItemType) -> DecodeError {
        self.error(DecodeErrorKind::WrongType { expected, found: self.content.item_type() })
    }

    /// The items inside.
    ///
    /// # Errors
    /// When the item is no Structure.
    pub fn structure(self) -> Result<Reader<'a>, DecodeError> {
        match self.content {
            Content::Structure(reader) => Ok(reader),
            _ => Err(self.wrong_type(ItemType::Structure)),
        }
    }
}

/// The items of one structure (or of a whole message), taken one field after the other.
///
/// Fields are expected in the specification's order, which costs nothing; a few that stand out of order are
/// found all the same.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Where the next item in order begins, in `bytes`.
    at: usize,
    /// Where items begin that were taken before their turn.
    early: Vec<usize>,
    /// Bytes from the start of the message to the start of `bytes`.
    base: usize,
    /// The structure whose items these are; `None` for the message itself.
    parent: Option<Tag>,
    depth: u8,
    version: Version,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` as items of `version`.
    #[must_use]
    pub fn new(bytes: &'a [u8], version: Version) -> Self {
        Self { bytes, at: 0, early: Vec::new(), base: 0, parent: None, depth: 0, version }
    }

    /// The version whose rules hold.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The same items under the rules of another version.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The bytes of the items that are still to come.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next item, whatever it is.
    ///
    /// # Errors
    /// When its header or value is malformed.
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>, DecodeError> {
        self.skip_early()?;
        match self.header(self.at)? {
            None => Ok(None),
            Some(header) => {
                let item = self.item(self.at, header)?;
                self.at = header.end;
                Ok(Some(item))
            }
        }
    }

    /// The tag of the next item.
    ///
    /// # Errors
    /// When its header is malformed.
    pub fn peek(&mut self) -> Result<Option<Tag>, DecodeError> {
        self.skip_early()?;
        Ok(self.header(self.at)?.map(|header| header.tag))
    }

    /// Takes the first remaining item with this tag.
    ///
    /// # Errors
    /// When an item up to there is malformed, or too many fields stand out of order.
    pub fn take(&mut self, tag: Tag) -> Result<Option<Item<'a>>, DecodeError> {
        self.skip_early()?;
        let mut at = self.at;
        while let Some(header) = self.header(at)? {
            if header.tag == tag && !self.early.contains(&at) {
                let item = self.item(at, header)?;
                if at == self.at {
                    self.at = header.end;
                } else if self.early.len() < limits::OUT_OF_ORDER {
                    self.early.push(at);
                } else {
                    return Err(item.error(DecodeErrorKind::OutOfOrder));
                }
                return Ok(Some(item));
            }
            at = header.end;
        }
        Ok(None)
    }

    /// The field with this tag: a value, an `Option` of one, or a `Vec` of all.
    ///
    /// # Errors
    /// When the field is malformed or missing.
    pub fn field<T: Value>(&mut self, tag: Tag) -> Result<T, DecodeError> {
        T::take(self, tag)
    }

    /// Ends the structure: no item may be left but those of vendors, which may stand in any structure and are passed over
    /// by whoever does not know them (KMIP 1.4 section 9.1.1.1).
    ///
    /// # Errors
    /// [`DecodeErrorKind::Unexpected`] or [`DecodeErrorKind::Repeated`] for the first one left.
    pub fn finish(self) -> Result<(), DecodeError> {
        self.end(Tag::is_extension)
    }

    /// Ends the structure: no item at all may be left.
    ///
    /// # Errors
    /// As [`Reader::finish`].
    pub fn finish_whole(self) -> Result<(), DecodeError> {
        self.end(|_| false)
    }

    fn end(mut self, may_stay: impl Fn(Tag) -> bool) -> Result<(), DecodeError> {
        loop {
            let Some(item) = self.next_item()? else { return Ok(()) };
            if !may_stay(item.tag) {
                let before = self.bytes.get(..item.offset.saturating_sub(self.base)).unwrap_or_default();
                let mut before = Self { bytes: before, at: 0, early: Vec::new(), ..self };
                let repeated = before.take(item.tag)?.is_some();
                return Err(item.error(if repeated {
                    DecodeErrorKind::Repeated
                } else {
                    DecodeErrorKind::Unexpected
                }));
            }
        }
    }

    /// The error of a field that is not there.
    #[must_use]
    pub fn missing(&self, tag: Tag) -> DecodeError {
        DecodeError { kind: DecodeErrorKind::Missing, tag: Some(tag), offset: self.base + self.at }
    }

    fn skip_early(&mut self) -> Result<(), DecodeError> {
        while let Some(position) = self.early.iter().position(|early| *early == self.at) {
            self.early.swap_remove(position);
            match self.header(self.at)? {
                Some(header) => self.at = header.end,
                None => break,
            }
        }
        Ok(())
    }

    fn error(&self, at: usize, tag: Option<Tag>, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, tag: tag.or(self.parent), offset: self.base + at }
    }

    fn header(&self, at: usize) -> Result<Option<Header>, DecodeError> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let Some([t0, t1, t2, type_byte, l0, l1, l2, l3]) = rest.first_chunk::<HEADER>().copied() else {
            return Err(self.error(at, None, DecodeErrorKind::Truncated));
        };
        let tag = Tag(u32::from_be_bytes([0, t0, t1, t2]));
        let Some(item_type) = ItemType::from_byte(type_byte) else {
            return Err(self.error(at, Some(tag), DecodeErrorKind::UnknownType(type_byte)));
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let multiple = matches!(item_type, ItemType::Structure | ItemType::BigInteger);
        let wrong = match item_type.fixed_length() {
            Some(fixed) => fixed != length,
            None => multiple && !length.is_multiple_of(8),
        };
        if wrong {
            return Err(self.error(
                at,
                Some(tag),
                DecodeErrorKind::WrongLength { item_type, stated: length },
            ));
        }
        // Lengths are below 2^32 and `at` below the message limit: no overflow on 64 bits; checked for 32.
        let end = length.checked_next_multiple_of(8).and_then(|padded| padded.checked_add(at + HEADER));
        match end {
            Some(end) if end <= self.bytes.len() => Ok(Some(Header { tag, item_type, length, end })),
            _ => Err(self.error(at, Some(tag), DecodeErrorKind::Truncated)),
        }
    }

    fn item(&self, at: usize, header: Header) -> Result<Item<'a>, DecodeError> {
        let start = at + HEADER;
        let value = self.bytes.get(start..start + header.length).unwrap_or_default();
        let offset = self.base + at;
        let error = |kind| DecodeError { kind, tag: Some(header.tag), offset };
        let short = || error(DecodeErrorKind::Truncated);
        let four = || value.first_chunk::<4>().copied().ok_or_else(short);
        let eight = || value.first_chunk::<8>().copied().ok_or_else(short);
        let content = match header.item_type {
            ItemType::Structure => {
                if self.depth >= limits::DEPTH {
                    return Err(error(DecodeErrorKind::TooDeep));
                }
                Content::Structure(Self {
                    bytes: value,
                    at: 0,
                    early: Vec::new(),
                    base: self.base + start,
                    parent: Some(header.tag),
                    depth: self.depth + 1,
                    version: self.version,
                })
            }
            ItemType::Integer => Content::Integer(i32::from_be_bytes(four()?)),
            ItemType::LongInteger => Content::LongInteger(i64::from_be_bytes(eight()?)),
            ItemType::BigInteger => Content::BigInteger(value),
            ItemType::Enumeration => Content::Enumeration(u32::from_be_bytes(four()?)),
            ItemType::Boolean => match u64::from_be_bytes(eight()?) {
                0 => Content::Boolean(false),
                1 => Content::Boolean(true),
                _ => return Err(error(DecodeErrorKind::NotBoolean)),
            },
            ItemType::TextString => {
                Content::TextString(core::str::from_utf8(value).map_err(|_| error(DecodeErrorKind::NotUtf8))?)
            }
            ItemType::ByteString => Content::ByteString(value),
            ItemType::DateTime => Content::DateTime(i64::from_be_bytes(eight()?)),
            ItemType::Interval => Content::Interval(u32::from_be_bytes(four()?)),
            ItemType::DateTimeExtended => Content::DateTimeExtended(i64::from_be_bytes(eight()?)),
        };
        Ok(Item { tag: header.tag, content, offset, version: self.version })
    }
}

#[derive(Clone, Copy)]
struct Header {
    tag: Tag,
    item_type: ItemType,
    length: usize,
    /// Where the next item begins, padding passed over.
    end: usize,
}
