//! What two clients that do the same say differently: identifiers and names.

use std::collections::HashMap;

use kms_protocol::attribute::AttributeKind;
use kms_protocol::ttlv::{Content, ItemType, RawValue, Reader, Value as _, Writer};
use kms_protocol::{Tag, Version};

/// Items that hold an identifier or a name wherever they stand.
const NAMES: [Tag; 6] = [
    Tag::UNIQUE_IDENTIFIER,
    Tag::PRIVATE_KEY_UNIQUE_IDENTIFIER,
    Tag::PUBLIC_KEY_UNIQUE_IDENTIFIER,
    Tag::LINKED_OBJECT_IDENTIFIER,
    Tag::NAME_VALUE,
    Tag::OBJECT_GROUP,
];

/// A message whose Text Strings were changed by `change`; `None` where it is malformed.
fn rewritten(message: &[u8], change: &mut impl FnMut(Tag, &str) -> Option<String>) -> Option<Vec<u8>> {
    let mut writer = Writer::new(Version::V2_1);
    level(Reader::new(message, Version::V2_1), &mut writer, change)?;
    Some(writer.into_bytes())
}

fn level(
    mut reader: Reader<'_>,
    writer: &mut Writer,
    change: &mut impl FnMut(Tag, &str) -> Option<String>,
) -> Option<()> {
    let mut is_group = false;
    while let Some(item) = reader.next_item().ok()? {
        let tag = item.tag;
        match item.content {
            Content::Structure(inner) => {
                let mut within = Some(());
                writer.structure(tag, |writer| within = level(inner, writer, change));
                within?;
            }
            Content::TextString(text) => {
                // 1.x says by an Attribute Name what 2.x says by a tag.
                is_group |= tag == Tag::ATTRIBUTE_NAME && text == AttributeKind::ObjectGroup.name();
                let means = if is_group && tag == Tag::ATTRIBUTE_VALUE { Tag::OBJECT_GROUP } else { tag };
                let changed = change(means, text);
                writer.item(tag, ItemType::TextString, changed.as_deref().unwrap_or(text).as_bytes());
            }
            _ => RawValue::read(item).ok()?.write(writer, tag),
        }
    }
    Some(())
}

/// A message with a number for each identifier and name, the same one for the same, and what they were in their order.
pub(super) fn without_names(message: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    let mut names: Vec<String> = Vec::new();
    let bytes = rewritten(message, &mut |tag, text| {
        NAMES.contains(&tag).then(|| {
            let known = names.iter().position(|name| name == text);
            let at = known.unwrap_or_else(|| {
                names.push(text.to_owned());
                names.len() - 1
            });
            format!("#{at}")
        })
    })?;
    Some((bytes, names))
}

/// Which of one client's names stand for which of the cassette's.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    recorded: HashMap<String, String>,
    asked: HashMap<String, String>,
}

impl Names {
    /// The names of a request that somebody else recorded, in a client's request. Both have as many.
    pub(super) fn learn(&mut self, asked: &[String], recorded: &[String]) {
        for (asked, recorded) in asked.iter().zip(recorded).filter(|(asked, recorded)| asked != recorded) {
            self.recorded.insert(asked.clone(), recorded.clone());
            self.asked.insert(recorded.clone(), asked.clone());
        }
    }

    /// Whether these can be names of the same things, by what is known: one stands for one.
    pub(super) fn fit(&self, asked: &[String], recorded: &[String]) -> bool {
        let fits = |(asked, recorded): (&String, &String)| {
            self.recorded.get(asked).is_none_or(|known| known == recorded)
                && self.asked.get(recorded).is_none_or(|known| known == asked)
        };
        asked.len() == recorded.len() && asked.iter().zip(recorded).all(fits)
    }

    /// A client's request as the cassette would have it.
    pub(super) fn as_recorded(&self, request: &[u8]) -> Option<Vec<u8>> {
        replaced(request, &self.recorded)
    }

    /// A recorded answer as its client would have it.
    pub(super) fn as_asked(&self, answer: &[u8]) -> Option<Vec<u8>> {
        replaced(answer, &self.asked)
    }
}

fn replaced(message: &[u8], by: &HashMap<String, String>) -> Option<Vec<u8>> {
    // Names of attributes are the specification's.
    rewritten(message, &mut |tag, text| by.get(text).filter(|_| tag != Tag::ATTRIBUTE_NAME).cloned())
}
