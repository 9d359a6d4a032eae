//! XML (section 6).

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader as Events, XmlVersion};
use zeroize::Zeroizing;

use super::error::{EncodingError, EncodingErrorKind as Kind};
use super::names::{normalized, tag_name, tag_named};
use super::scalar::{Given, Siblings, Style, put, show};
use crate::limits;
use crate::ttlv::{Content, Item, ItemType, Reader, Writer};
use crate::{Secret, Tag, Version};

/// Writes a message as XML. The text may hold key material and is wiped when dropped.
///
/// # Errors
/// When the bytes are no message, or a text holds characters that XML cannot carry.
pub fn to_xml(bytes: &[u8]) -> Result<Secret, EncodingError> {
    let mut out = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    items(Reader::new(bytes, Version::V2_1), &mut out)?;
    Ok(Secret::from(out.as_bytes()))
}

fn items(mut reader: Reader<'_>, out: &mut Zeroizing<String>) -> Result<(), EncodingError> {
    let mut siblings = Siblings::default();
    while let Some(item) = reader.next_item()? {
        element(item, &mut siblings, out)?;
    }
    Ok(())
}

fn element(
    item: Item<'_>,
    siblings: &mut Siblings,
    out: &mut Zeroizing<String>,
) -> Result<(), EncodingError> {
    let tag = item.tag;
    let item_type = item.content.item_type();
    let name = tag_name(tag);
    let (start, end) = match name {
        Some(name) => (format!("<{name}"), name),
        None => (format!("<TTLV tag=\"0x{:06x}\"", tag.0), "TTLV"),
    };
    grow(out, &start);
    match item.content {
        Content::Structure(inside) => {
            grow(out, ">");
            items(inside, out)?;
            grow(out, &format!("</{end}>"));
        }
        content => {
            if let Content::TextString(text) = content {
                siblings.note(tag, text);
            }
            grow(out, &format!(" type=\"{}\" value=\"", normalized(item_type.name())));
            escape(&show(&content, siblings.meaning(tag), Style::Xml).text, tag, out)?;
            grow(out, "\"/>");
        }
    }
    Ok(())
}

/// Grows by hand, so that text which may hold key material is wiped before its memory is given back.
fn grow(out: &mut Zeroizing<String>, more: &str) {
    if out.capacity() - out.len() < more.len() {
        let mut grown = Zeroizing::new(String::with_capacity((out.len() + more.len()).next_power_of_two()));
        grown.push_str(out);
        *out = grown;
    }
    out.push_str(more);
}

/// White space goes by number: XML would make spaces of it. Other control characters have no way into XML at all.
fn escape(text: &str, tag: Tag, out: &mut Zeroizing<String>) -> Result<(), EncodingError> {
    for c in text.chars() {
        match c {
            '<' => grow(out, "&lt;"),
            '>' => grow(out, "&gt;"),
            '&' => grow(out, "&amp;"),
            '"' => grow(out, "&quot;"),
            '\t' => grow(out, "&#9;"),
            '\n' => grow(out, "&#10;"),
            '\r' => grow(out, "&#13;"),
            '\0'..' ' | '\u{FFFE}' | '\u{FFFF}' => return Err(EncodingError::of(Kind::Unwritable, tag)),
            other => grow(out, other.encode_utf8(&mut [0; 4])),
        }
    }
    Ok(())
}

/// Reads a message from XML.
///
/// # Errors
/// When the text is no message; the error names the item and never its value.
pub fn from_xml(text: &str) -> Result<Secret, EncodingError> {
    let mut writer = Writer::new(Version::V2_1);
    let mut source = Source { events: Events::from_str(text) };
    let mut siblings = Siblings::default();
    let mut done = false;
    loop {
        let (start, empty) = match source.next()? {
            Piece::Start(start) => (start, false),
            Piece::Empty(start) => (start, true),
            Piece::Over if done => return Ok(Secret::new(writer.into_bytes())),
            Piece::End | Piece::Over => return Err(EncodingError::new(Kind::NotOneItem, "the document")),
        };
        if done {
            return Err(EncodingError::new(Kind::NotOneItem, "the document"));
        }
        source.element(&start, empty, &mut siblings, &mut writer, 0)?;
        done = true;
    }
}

struct Source<'a> {
    events: Events<&'a [u8]>,
}

/// What is left of XML once comments and white space are gone.
enum Piece<'a> {
    Start(BytesStart<'a>),
    Empty(BytesStart<'a>),
    End,
    Over,
}

impl<'a> Source<'a> {
    fn next(&mut self) -> Result<Piece<'a>, EncodingError> {
        loop {
            let event = self.events.read_event().map_err(|_| self.malformed())?;
            return Ok(match event {
                Event::Start(start) => Piece::Start(start),
                Event::Empty(start) => Piece::Empty(start),
                Event::End(_) => Piece::End,
                Event::Eof => Piece::Over,
                Event::Comment(_) | Event::Decl(_) => continue,
                Event::Text(text) if text.trim_ascii().is_empty() => continue,
                _ => return Err(EncodingError::new(Kind::Markup, "the document")),
            });
        }
    }

    fn malformed(&self) -> EncodingError {
        EncodingError::new(Kind::Malformed(self.events.error_position()), "the document")
    }

    fn element(
        &mut self,
        start: &BytesStart<'a>,
        empty: bool,
        siblings: &mut Siblings,
        writer: &mut Writer,
        depth: u8,
    ) -> Result<(), EncodingError> {
        let Attributes { tag, item_type, value } = self.attributes(start)?;
        if item_type != ItemType::Structure {
            let value = value.ok_or_else(|| EncodingError::of(Kind::NoValue, tag))?;
            if item_type == ItemType::TextString {
                siblings.note(tag, &value);
            }
            put(writer, tag, item_type, &Given::Text(&value), siblings.meaning(tag))
                .map_err(|kind| EncodingError::of(kind, tag))?;
            return match empty {
                true => Ok(()),
                false => match self.next()? {
                    Piece::End => Ok(()),
                    _ => Err(EncodingError::of(Kind::WrongValue(item_type), tag)),
                },
            };
        }
        if value.is_some() {
            return Err(EncodingError::of(Kind::ValueOfStructure, tag));
        }
        if depth >= limits::DEPTH {
            return Err(EncodingError::of(Kind::TooDeep, tag));
        }
        let mut result = Ok(());
        writer.structure(tag, |writer| {
            if !empty {
                result = self.children(writer, depth + 1);
            }
        });
        result
    }

    fn children(&mut self, writer: &mut Writer, depth: u8) -> Result<(), EncodingError> {
        let mut siblings = Siblings::default();
        loop {
            match self.next()? {
                Piece::Start(start) => self.element(&start, false, &mut siblings, writer, depth)?,
                Piece::Empty(start) => self.element(&start, true, &mut siblings, writer, depth)?,
                Piece::End => return Ok(()),
                Piece::Over => return Err(self.malformed()),
            }
        }
    }

    fn attributes(&self, start: &BytesStart<'a>) -> Result<Attributes, EncodingError> {
        let name = start.local_name();
        let name = name.as_ref();
        let mut tag = None;
        let mut item_type = ItemType::Structure;
        let mut value = None;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| self.malformed())?;
            let text = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| self.malformed())?;
            match attribute.key.as_ref() {
                "tag" if name == "TTLV" => tag = tag_named(&text),
                "type" => {
                    item_type = ItemType::named(&text)
                        .ok_or_else(|| EncodingError::new(Kind::UnknownType, name.to_owned()))?;
                }
                "value" => value = Some(Zeroizing::new(text.into_owned())),
                // A name for people, or a namespace.
                _ => {}
            }
        }
        let tag = tag
            .or_else(|| tag_named(name))
            .ok_or_else(|| EncodingError::new(Kind::UnknownTag, clipped(name)))?;
        Ok(Attributes { tag, item_type, value })
    }
}

struct Attributes {
    tag: Tag,
    item_type: ItemType,
    value: Option<Zeroizing<String>>,
}

/// A name as far as an error shows it.
fn clipped(name: &str) -> String {
    name.chars().take(limits::NAME_SHOWN).collect()
}
