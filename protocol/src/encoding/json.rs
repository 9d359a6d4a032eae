//! JSON (section 4).

use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::error::{EncodingError, EncodingErrorKind as Kind};
use super::names::{normalized, tag_name, tag_named};
use super::scalar::{Given, Siblings, Style, put, show};
use crate::limits;
use crate::ttlv::{Content, Item, ItemType, Reader, Writer};
use crate::{Secret, Tag, Version};

/// Writes a message as JSON. The text may hold key material and is wiped when dropped.
///
/// # Errors
/// When the bytes are no message.
pub fn to_json(bytes: &[u8]) -> Result<Secret, EncodingError> {
    let mut out = Zeroizing::new(Vec::with_capacity(4 * bytes.len()));
    let mut reader = Reader::new(bytes, Version::V2_1);
    let missing = EncodingError::new(Kind::NotOneItem, "the message");
    let item = reader.next_item()?.ok_or(missing.clone())?;
    if reader.next_item()?.is_some() {
        return Err(missing);
    }
    object(item, &mut Siblings::default(), &mut out)?;
    Ok(Secret::from(out.as_slice()))
}

fn object(
    item: Item<'_>,
    siblings: &mut Siblings,
    out: &mut Zeroizing<Vec<u8>>,
) -> Result<(), EncodingError> {
    let tag = item.tag;
    let item_type = item.content.item_type();
    match tag_name(tag) {
        Some(name) => grow(out, format!("{{\"tag\":\"{name}\"").as_bytes()),
        None => grow(out, format!("{{\"tag\":\"0x{:06x}\"", tag.0).as_bytes()),
    }
    match item.content {
        Content::Structure(mut inside) => {
            grow(out, b",\"value\":[");
            let mut siblings = Siblings::default();
            let mut first = true;
            while let Some(item) = inside.next_item()? {
                if !first {
                    grow(out, b",");
                }
                first = false;
                object(item, &mut siblings, out)?;
            }
            grow(out, b"]}");
        }
        content => {
            if let Content::TextString(text) = content {
                siblings.note(tag, text);
            }
            grow(out, format!(",\"type\":\"{}\",\"value\":", normalized(item_type.name())).as_bytes());
            let shown = show(&content, siblings.meaning(tag), Style::Json);
            if shown.is_word {
                quote(&shown.text, out)
            } else {
                grow(out, shown.text.as_bytes())
            }
            grow(out, b"}");
        }
    }
    Ok(())
}

/// Grows by hand, so that text which may hold key material is wiped before its memory is given back.
fn grow(out: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    if out.capacity() - out.len() < more.len() {
        let mut grown = Zeroizing::new(Vec::with_capacity((out.len() + more.len()).next_power_of_two()));
        grown.extend_from_slice(out);
        *out = grown;
    }
    out.extend_from_slice(more);
}

fn quote(text: &str, out: &mut Zeroizing<Vec<u8>>) {
    grow(out, b"\"");
    for c in text.chars() {
        match c {
            '"' => grow(out, b"\\\""),
            '\\' => grow(out, b"\\\\"),
            '\0'..' ' => grow(out, format!("\\u{:04x}", u32::from(c)).as_bytes()),
            other => grow(out, other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    grow(out, b"\"");
}

/// Reads a message from JSON.
///
/// # Errors
/// When the text is no message; the error names the item and never its value.
pub fn from_json(text: &str) -> Result<Secret, EncodingError> {
    let node: Node = serde_json::from_str(text).map_err(|error| {
        // The parser knows line and column; its words may repeat a value.
        let before: usize =
            text.lines().take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum();
        EncodingError::new(Kind::Malformed((before + error.column()) as u64), "the document")
    })?;
    let mut writer = Writer::new(Version::V2_1);
    node.write(&mut Siblings::default(), &mut writer, 0)?;
    Ok(Secret::new(writer.into_bytes()))
}

/// One item, its members in whatever order.
struct Node {
    tag: String,
    item_type: Option<String>,
    value: Value,
}

enum Value {
    None,
    Text(Zeroizing<String>),
    Number(i64),
    Flag(bool),
    Items(Vec<Node>),
}

impl Node {
    fn write(&self, siblings: &mut Siblings, writer: &mut Writer, depth: u8) -> Result<(), EncodingError> {
        let shown = || self.tag.chars().take(limits::NAME_SHOWN).collect::<String>();
        let tag = tag_named(&self.tag).ok_or_else(|| EncodingError::new(Kind::UnknownTag, shown()))?;
        let item_type = match &self.item_type {
            None => ItemType::Structure,
            Some(name) => ItemType::named(name).ok_or_else(|| EncodingError::of(Kind::UnknownType, tag))?,
        };
        let given = match (&self.value, item_type) {
            (Value::Items(_) | Value::None, ItemType::Structure) => {
                return self.write_structure(tag, writer, depth);
            }
            (_, ItemType::Structure) => return Err(EncodingError::of(Kind::ValueOfStructure, tag)),
            (Value::None, _) => return Err(EncodingError::of(Kind::NoValue, tag)),
            (Value::Items(_), _) => return Err(EncodingError::of(Kind::WrongValue(item_type), tag)),
            (Value::Text(text), _) => Given::Text(text),
            (Value::Number(number), _) => Given::Number(*number),
            (Value::Flag(flag), _) => Given::Flag(*flag),
        };
        if let (Given::Text(text), ItemType::TextString) = (&given, item_type) {
            siblings.note(tag, text);
        }
        put(writer, tag, item_type, &given, siblings.meaning(tag))
            .map_err(|kind| EncodingError::of(kind, tag))
    }

    fn write_structure(&self, tag: Tag, writer: &mut Writer, depth: u8) -> Result<(), EncodingError> {
        if depth >= limits::DEPTH {
            return Err(EncodingError::of(Kind::TooDeep, tag));
        }
        let mut result = Ok(());
        writer.structure(tag, |writer| {
            if let Value::Items(items) = &self.value {
                let mut siblings = Siblings::default();
                result = items.iter().try_for_each(|item| item.write(&mut siblings, writer, depth + 1));
            }
        });
        result
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let (mut tag, mut item_type, mut value) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let again = match key.as_str() {
                "tag" => tag.replace(map.next_value()?).is_some(),
                "type" => item_type.replace(map.next_value()?).is_some(),
                "value" => value.replace(map.next_value()?).is_some(),
                // A name for people.
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if again {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        let tag = tag.ok_or_else(|| A::Error::custom("an item has no tag"))?;
        Ok(Node { tag, item_type, value: value.unwrap_or(Value::None) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Number).map_err(|_| E::custom("a number is too large"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Items(all))
    }
}
