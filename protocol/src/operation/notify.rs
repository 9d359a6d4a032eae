//! Notify (KMIP 1.4 section 5.1, 2.1 section 6.2.2): from a server to a client.

use super::request;
use crate::attribute::{AttributeList, AttributeReference, AttributeReferences, read_attribute};
use crate::error::DecodeError;
use crate::ttlv::{Item, Value, Writer};
use crate::{Tag, structure};

/// Tells that attributes of an object changed.
#[derive(Clone, PartialEq, Debug)]
pub struct NotifyRequest {
    /// The object.
    pub unique_identifier: String,
    /// Those that changed, Last Change Date among them.
    pub attributes: AttributeList,
    /// Those that are gone: Attribute References in 2.x, Attributes without a value in 1.x.
    pub deleted: AttributeReferences,
}

impl Value for NotifyRequest {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        let mut reader = item.structure()?;
        let unique_identifier = reader.field(Tag::UNIQUE_IDENTIFIER)?;
        let (mut attributes, mut deleted) = (AttributeList::default(), AttributeReferences::default());
        if reader.version().is_2x() {
            attributes = reader.field(Tag::ATTRIBUTES)?;
            deleted = reader.field(Tag::ATTRIBUTE_REFERENCE)?;
        } else {
            while let Some(item) = reader.take(Tag::ATTRIBUTE)? {
                let mut named = item.clone().structure()?;
                let reference: AttributeReference = named.field(Tag::ATTRIBUTE_REFERENCE)?;
                let _: Option<i32> = named.field(Tag::ATTRIBUTE_INDEX)?;
                if named.take(Tag::ATTRIBUTE_VALUE)?.is_some() {
                    attributes.0.push(read_attribute(item)?.1);
                } else {
                    named.finish()?;
                    deleted.0.push(reference);
                }
            }
        }
        reader.finish()?;
        Ok(Self { unique_identifier, attributes, deleted })
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        let version = writer.version();
        writer.structure(tag, |writer| {
            writer.field(Tag::UNIQUE_IDENTIFIER, &self.unique_identifier);
            writer.field(Tag::ATTRIBUTES, &self.attributes);
            if version.is_2x() {
                writer.field(Tag::ATTRIBUTE_REFERENCE, &self.deleted);
                return;
            }
            for reference in self.deleted.0.iter().filter(|one| one.exists_in(version)) {
                writer.structure(Tag::ATTRIBUTE, |writer| writer.field(Tag::ATTRIBUTE_REFERENCE, reference));
            }
        });
    }
}

structure! {
    /// The client takes note. Its response has no payload.
    #[derive(Default)]
    pub struct NotifyResponse {}
}

request!(NotifyRequest => NotifyResponse, Notify);
