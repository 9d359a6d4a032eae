//! Items to bytes. Writing cannot fail.

use zeroize::Zeroize;

use crate::ttlv::{ItemType, Value};
use crate::{Secret, Tag, Version};

/// A message as it grows. Lengths of structures are filled in when they end.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    version: Version,
    numbers_first: bool,
}

impl Writer {
    /// An empty message of `version`.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { bytes: Vec::with_capacity(512), version, numbers_first: false }
    }

    /// Has the first instance of an attribute that may have several state its Attribute Index too (1.x), which is 0 where it
    /// is left out.
    #[must_use]
    pub fn numbering_first(self, numbers_first: bool) -> Self {
        Self { numbers_first, ..self }
    }

    pub(crate) fn numbers_first(&self) -> bool {
        self.numbers_first
    }

    /// The version that decides which fields are written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The bytes written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How many bytes are written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes back what was written after the first `len` bytes, for a response that turned out too large.
    pub fn truncate(&mut self, len: usize) {
        if let Some(dropped) = self.bytes.get_mut(len..) {
            dropped.zeroize();
        }
        self.bytes.truncate(len);
    }

    /// One field: a value, an `Option` of one, or a `Vec` of them.
    pub fn field<T: Value>(&mut self, tag: Tag, value: &T) {
        value.put(self, tag);
    }

    /// A structure with what `fill` writes inside.
    pub fn structure(&mut self, tag: Tag, fill: impl FnOnce(&mut Self)) {
        self.header(tag, ItemType::Structure, 0);
        let start = self.bytes.len();
        fill(self);
        let length = self.bytes.len() - start;
        // A message above 4 GiB cannot come about: its parts are bounded by the message limit.
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = self.bytes.get_mut(start - 4..start) {
            place.copy_from_slice(&length);
        }
    }

    /// An item whose value is `value`, padded to eight bytes.
    pub fn item(&mut self, tag: Tag, item_type: ItemType, value: &[u8]) {
        self.reserve(16 + value.len());
        self.header(tag, item_type, value.len());
        self.bytes.extend_from_slice(value);
        let padded = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(padded, 0);
    }

    /// A Text String that is a secret.
    pub fn secret_text(&mut self, tag: Tag, text: &Secret) {
        self.item(tag, ItemType::TextString, text.expose());
    }

    /// Items that are encoded already, as they stand.
    pub fn raw(&mut self, items: &[u8]) {
        self.reserve(items.len());
        self.bytes.extend_from_slice(items);
    }

    /// Grows by hand so that a buffer which may hold key bytes is wiped before it is given back.
    fn reserve(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            let mut grown = Vec::with_capacity((self.bytes.len() + more).next_power_of_two());
            grown.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = grown;
        }
    }

    fn header(&mut self, tag: Tag, item_type: ItemType, length: usize) {
        self.reserve(16);
        let [_, t0, t1, t2] = tag.0.to_be_bytes();
        let [l0, l1, l2, l3] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.bytes.extend_from_slice(&[t0, t1, t2, item_type as u8, l0, l1, l2, l3]);
    }
}
