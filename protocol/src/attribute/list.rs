//! Lists of attributes and of attributes' names, as each family of versions writes them.

use std::collections::HashMap;

use crate::attribute::{
    Attribute, AttributeKind, CustomAttribute, Name, custom_name, is_vendor_of_1x, split_custom_name,
};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::ttlv::{Content, Item, ItemType, RawValue, Reader, Value, Writer};
use crate::{Tag, Version};

/// Attributes for a new object: a Template-Attribute in 1.x (section 2.1.8), Attributes in 2.x (section 5.1).
///
/// A field of this type goes by its 2.x tag.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Attributes {
    /// Names of Templates whose attributes count too (1.x, deprecated since 1.3).
    pub templates: Vec<Name>,
    /// The attributes.
    pub list: Vec<Attribute>,
}

impl From<Vec<Attribute>> for Attributes {
    fn from(list: Vec<Attribute>) -> Self {
        Self { templates: Vec::new(), list }
    }
}

/// The tag that 1.x has in the place of a 2.x one.
fn template_tag(tag: Tag) -> Tag {
    match tag {
        Tag::COMMON_ATTRIBUTES => Tag::COMMON_TEMPLATE_ATTRIBUTE,
        Tag::PRIVATE_KEY_ATTRIBUTES => Tag::PRIVATE_KEY_TEMPLATE_ATTRIBUTE,
        Tag::PUBLIC_KEY_ATTRIBUTES => Tag::PUBLIC_KEY_TEMPLATE_ATTRIBUTE,
        _ => Tag::TEMPLATE_ATTRIBUTE,
    }
}

impl Value for Attributes {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        let version = item.version;
        let mut reader = item.structure()?;
        let templates = if version.is_2x() { Vec::new() } else { reader.field(Tag::NAME)? };
        Ok(Self { templates, list: read_all(&mut reader)? })
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        let version = writer.version();
        writer.structure(Self::tag_in(tag, version), |writer| {
            if !version.is_2x() {
                writer.field(Tag::NAME, &self.templates);
            }
            write_all(writer, &self.list);
        });
    }

    fn tag_in(tag: Tag, version: Version) -> Tag {
        if version.is_2x() { tag } else { template_tag(tag) }
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        match reader.take(Self::tag_in(tag, reader.version()))? {
            Some(item) => Self::read(item),
            None => Ok(Self::default()),
        }
    }

    fn put(&self, writer: &mut Writer, tag: Tag) {
        if !self.templates.is_empty() || !self.list.is_empty() {
            self.write(writer, tag);
        }
    }
}

/// Attributes of an object that exists: Attribute after Attribute in 1.x, one Attributes structure in 2.x.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AttributeList(pub Vec<Attribute>);

impl Value for AttributeList {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        Ok(Self(read_all(&mut item.structure()?)?))
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        if writer.version().is_2x() {
            writer.structure(tag, |writer| write_all(writer, &self.0));
        } else {
            write_all(writer, &self.0);
        }
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        if reader.version().is_2x() {
            return Ok(reader.take(tag)?.map(Self::read).transpose()?.unwrap_or_default());
        }
        let mut list = Vec::new();
        while let Some(item) = reader.take(Tag::ATTRIBUTE)? {
            list.push(read_attribute(item)?.1);
        }
        Ok(Self(list))
    }
}

/// What Locate looks for: attributes, of which structures may lack fields (KMIP 1.4 section 4.9, 2.1 section 6.1.28).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Criteria(pub Vec<Criterion>);

/// An attribute to look for.
#[derive(Clone, PartialEq, Debug)]
pub enum Criterion {
    /// With its whole value.
    Whole(Attribute),
    /// A structure of which some fields are stated.
    Partial(AttributeKind, RawValue),
}

impl Value for Criteria {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        let mut reader = item.structure()?;
        let mut list = Vec::new();
        while let Some(item) = reader.next_item()? {
            list.push(read_criterion(item)?);
        }
        Ok(Self(list))
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        let is_2x = writer.version().is_2x();
        let each = |writer: &mut Writer| {
            for criterion in &self.0 {
                match criterion {
                    Criterion::Whole(attribute) => write_attribute(writer, attribute, None),
                    Criterion::Partial(kind, value) if is_2x => value.write(writer, kind.tag()),
                    Criterion::Partial(kind, value) => writer.structure(Tag::ATTRIBUTE, |writer| {
                        writer.item(Tag::ATTRIBUTE_NAME, ItemType::TextString, kind.name().as_bytes());
                        value.write(writer, Tag::ATTRIBUTE_VALUE);
                    }),
                }
            }
        };
        if is_2x { writer.structure(tag, each) } else { each(writer) }
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        if reader.version().is_2x() {
            return Ok(reader.take(tag)?.map(Self::read).transpose()?.unwrap_or_default());
        }
        let mut list = Vec::new();
        while let Some(item) = reader.take(Tag::ATTRIBUTE)? {
            list.push(read_criterion(item)?);
        }
        Ok(Self(list))
    }
}

fn read_criterion(item: Item<'_>) -> Result<Criterion, DecodeError> {
    match read_attribute(item.clone()) {
        Ok((_, attribute)) => Ok(Criterion::Whole(attribute)),
        Err(error) if error.kind == DecodeErrorKind::Missing => read_partial(item)?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// An attribute of the specification that lacks some of its fields.
fn read_partial(item: Item<'_>) -> Result<Option<Criterion>, DecodeError> {
    let version = item.version;
    let (kind, value) = if version.is_2x() {
        (AttributeKind::from_tag(item.tag), Some(item))
    } else {
        let mut reader = item.structure()?;
        let name: String = reader.field(Tag::ATTRIBUTE_NAME)?;
        (AttributeKind::from_name(&name), reader.take(Tag::ATTRIBUTE_VALUE)?)
    };
    Ok(match (kind.filter(|kind| kind.exists_in(version)), value) {
        (Some(kind), Some(value)) if matches!(value.content, Content::Structure(_)) => {
            Some(Criterion::Partial(kind, RawValue::read(value)?))
        }
        _ => None,
    })
}

fn read_all(reader: &mut Reader<'_>) -> Result<Vec<Attribute>, DecodeError> {
    let mut list = Vec::new();
    while let Some(item) = reader.next_item()? {
        list.push(read_attribute(item)?.1);
    }
    Ok(list)
}

fn write_all(writer: &mut Writer, list: &[Attribute]) {
    // 2.x tells instances apart by their order alone.
    if writer.version().is_2x() {
        return list.iter().for_each(|attribute| write_attribute(writer, attribute, None));
    }
    let mut instances: HashMap<Which<'_>, i32> = HashMap::with_capacity(list.len());
    for attribute in list {
        let next = instances.entry(Which::of(attribute)).or_default();
        let is_stated = *next > 0 || (writer.numbers_first() && attribute.kind().is_multi_valued());
        write_attribute(writer, attribute, Some(*next).filter(|_| is_stated));
        *next = next.saturating_add(1);
    }
}

/// What attributes are instances of.
#[derive(PartialEq, Eq, Hash)]
enum Which<'a> {
    Standard(AttributeKind),
    Custom { vendor: &'a str, name: &'a str },
}

impl<'a> Which<'a> {
    fn of(attribute: &'a Attribute) -> Self {
        match attribute {
            Attribute::Custom(custom) => Self::Custom { vendor: &custom.vendor, name: &custom.name },
            other => Self::Standard(other.kind()),
        }
    }
}

/// Reads one attribute as the item's version writes it, with the Attribute Index where one is stated.
///
/// # Errors
/// When the attribute is malformed or unknown in that version.
pub fn read_attribute(item: Item<'_>) -> Result<(Option<i32>, Attribute), DecodeError> {
    if item.version.is_2x() {
        let known = item.tag == Tag::ATTRIBUTE
            || AttributeKind::from_tag(item.tag).is_some_and(|kind| kind.exists_in(item.version));
        return if known {
            Ok((None, read_tagged(item)?))
        } else {
            Err(item.error(DecodeErrorKind::Unexpected))
        };
    }
    if item.tag != Tag::ATTRIBUTE {
        return Err(item.error(DecodeErrorKind::Unexpected));
    }
    let version = item.version;
    let named = item.clone();
    let mut reader = item.structure()?;
    let name: String = reader.field(Tag::ATTRIBUTE_NAME)?;
    let index: Option<i32> = reader.field(Tag::ATTRIBUTE_INDEX)?;
    let value = reader.take(Tag::ATTRIBUTE_VALUE)?.ok_or_else(|| reader.missing(Tag::ATTRIBUTE_VALUE))?;
    reader.finish()?;
    let attribute = match AttributeKind::from_name(&name).filter(|kind| kind.exists_in(version)) {
        Some(kind) => Attribute::read_value(kind, value)?,
        None => match split_custom_name(&name) {
            Some((vendor, name)) => Attribute::Custom(CustomAttribute {
                vendor: vendor.to_owned(),
                name: name.to_owned(),
                value: RawValue::read(value)?,
            }),
            None => {
                return Err(
                    named.error(DecodeErrorKind::InvalidValue("no attribute of this version has the name"))
                );
            }
        },
    };
    Ok((index, attribute))
}

/// One attribute in a request to change it: an Attribute with its index in 1.x, a structure around it in 2.x (New
/// Attribute and Current Attribute, sections 5.6 and 5.7).
#[derive(Clone, PartialEq, Debug)]
pub struct IndexedAttribute {
    /// The attribute.
    pub attribute: Attribute,
    /// Which instance it is (1.x).
    pub index: Option<i32>,
}

impl From<Attribute> for IndexedAttribute {
    fn from(attribute: Attribute) -> Self {
        Self { attribute, index: None }
    }
}

impl Value for IndexedAttribute {
    fn tag_in(tag: Tag, version: Version) -> Tag {
        if version.is_2x() { tag } else { Tag::ATTRIBUTE }
    }

    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        if !item.version.is_2x() {
            return read_attribute(item).map(|(index, attribute)| Self { attribute, index });
        }
        let empty = item.error(DecodeErrorKind::InvalidValue("it holds no attribute"));
        let mut reader = item.structure()?;
        let (index, attribute) = read_attribute(reader.next_item()?.ok_or(empty)?)?;
        reader.finish()?;
        Ok(Self { attribute, index })
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        if writer.version().is_2x() {
            writer.structure(tag, |writer| write_attribute(writer, &self.attribute, None));
        } else {
            write_attribute(writer, &self.attribute, self.index);
        }
    }
}

/// Reads an attribute that goes by its tag.
fn read_tagged(item: Item<'_>) -> Result<Attribute, DecodeError> {
    if item.tag == Tag::ATTRIBUTE {
        let mut reader = item.structure()?;
        let custom = CustomAttribute {
            vendor: reader.field(Tag::VENDOR_IDENTIFICATION)?,
            name: reader.field(Tag::ATTRIBUTE_NAME)?,
            value: reader.field(Tag::ATTRIBUTE_VALUE)?,
        };
        reader.finish()?;
        return Ok(Attribute::Custom(custom));
    }
    match AttributeKind::from_tag(item.tag) {
        Some(kind) => Attribute::read_value(kind, item),
        None => Err(item.error(DecodeErrorKind::Unexpected)),
    }
}

/// Writes one attribute as the writer's version does; nothing where that version lacks it.
pub fn write_attribute(writer: &mut Writer, attribute: &Attribute, index: Option<i32>) {
    let kind = attribute.kind();
    if !kind.exists_in(writer.version()) {
        return;
    }
    if writer.version().is_2x() {
        write_tagged(writer, attribute);
        return;
    }
    if matches!(attribute, Attribute::Custom(custom) if !is_vendor_of_1x(&custom.vendor)) {
        return;
    }
    writer.structure(Tag::ATTRIBUTE, |writer| {
        match attribute {
            Attribute::Custom(custom) => writer.field(Tag::ATTRIBUTE_NAME, &custom.name_in_1x()),
            _ => writer.item(Tag::ATTRIBUTE_NAME, ItemType::TextString, kind.name().as_bytes()),
        }
        writer.field(Tag::ATTRIBUTE_INDEX, &index);
        attribute.write_value(writer, Tag::ATTRIBUTE_VALUE);
    });
}

/// Writes an attribute under its own tag.
fn write_tagged(writer: &mut Writer, attribute: &Attribute) {
    match attribute {
        Attribute::Custom(custom) => writer.structure(Tag::ATTRIBUTE, |writer| {
            writer.field(Tag::VENDOR_IDENTIFICATION, &custom.vendor);
            writer.field(Tag::ATTRIBUTE_NAME, &custom.name);
            writer.field(Tag::ATTRIBUTE_VALUE, &custom.value);
        }),
        _ => attribute.write_value(writer, attribute.kind().tag()),
    }
}

/// An attribute named in a request or a list: by its name in 1.x, by its tag in 2.x (section 5.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttributeReference {
    /// An attribute of the specification.
    Standard(AttributeKind),
    /// One outside it.
    Custom {
        /// Whose it is.
        vendor: String,
        /// Its name.
        name: String,
    },
    /// A name or tag that means nothing here; an object never has it.
    Unknown(String),
}

impl AttributeReference {
    /// Whether it names this attribute.
    #[must_use]
    pub fn names(&self, attribute: &Attribute) -> bool {
        match (self, attribute) {
            (Self::Custom { vendor, name }, Attribute::Custom(custom)) => {
                *vendor == custom.vendor && *name == custom.name
            }
            (Self::Standard(kind), _) => *kind == attribute.kind(),
            _ => false,
        }
    }

    /// The reference to an attribute.
    #[must_use]
    pub fn to(attribute: &Attribute) -> Self {
        match attribute {
            Attribute::Custom(custom) => {
                Self::Custom { vendor: custom.vendor.clone(), name: custom.name.clone() }
            }
            _ => Self::Standard(attribute.kind()),
        }
    }

    /// Whether `version` has what it names.
    #[must_use]
    pub fn exists_in(&self, version: Version) -> bool {
        match self {
            Self::Standard(kind) => kind.exists_in(version),
            Self::Custom { .. } => true,
            Self::Unknown(_) => false,
        }
    }

    fn from_name(name: &str) -> Self {
        match (AttributeKind::from_name(name), split_custom_name(name)) {
            (Some(kind), _) => Self::Standard(kind),
            (None, Some((vendor, name))) => Self::Custom { vendor: vendor.to_owned(), name: name.to_owned() },
            (None, None) => Self::Unknown(name.to_owned()),
        }
    }
}

impl Value for AttributeReference {
    fn tag_in(tag: Tag, version: Version) -> Tag {
        if version.is_2x() { tag } else { Tag::ATTRIBUTE_NAME }
    }

    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::TextString(name) if !item.version.is_2x() => Ok(Self::from_name(name)),
            Content::Enumeration(value) if item.version.is_2x() => {
                Ok(match AttributeKind::from_tag(Tag(value)) {
                    Some(kind) => Self::Standard(kind),
                    None => Self::Unknown(Tag(value).to_string()),
                })
            }
            Content::Structure(_) if item.version.is_2x() => {
                let mut reader = item.structure()?;
                let vendor = reader.field(Tag::VENDOR_IDENTIFICATION)?;
                let name = reader.field(Tag::ATTRIBUTE_NAME)?;
                reader.finish()?;
                Ok(Self::Custom { vendor, name })
            }
            _ if item.version.is_2x() => Err(item.wrong_type(ItemType::Enumeration)),
            _ => Err(item.wrong_type(ItemType::TextString)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        if writer.version().is_2x() {
            match self {
                Self::Standard(kind) if kind.exists_in(writer.version()) => {
                    writer.item(tag, ItemType::Enumeration, &kind.tag().0.to_be_bytes());
                }
                Self::Custom { vendor, name } => writer.structure(tag, |writer| {
                    writer.field(Tag::VENDOR_IDENTIFICATION, vendor);
                    writer.field(Tag::ATTRIBUTE_NAME, name);
                }),
                Self::Standard(_) | Self::Unknown(_) => {}
            }
            return;
        }
        match self {
            Self::Standard(kind) if kind.exists_in(writer.version()) => {
                writer.item(Tag::ATTRIBUTE_NAME, ItemType::TextString, kind.name().as_bytes());
            }
            Self::Standard(_) => {}
            Self::Custom { vendor, .. } if !is_vendor_of_1x(vendor) => {}
            Self::Custom { vendor, name } => custom_name(vendor, name).write(writer, Tag::ATTRIBUTE_NAME),
            Self::Unknown(name) => name.write(writer, Tag::ATTRIBUTE_NAME),
        }
    }
}

/// Any number of attribute references. A field of this type goes by the tag Attribute Reference.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttributeReferences(pub Vec<AttributeReference>);

impl Value for AttributeReferences {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        AttributeReference::read(item).map(|reference| Self(vec![reference]))
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        writer.field(tag, &self.0);
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        reader.field(tag).map(Self)
    }
}

/// Writes attributes for a store: every one, whichever versions have it.
pub fn write_stored(writer: &mut Writer, list: &[Attribute]) {
    for attribute in list {
        write_tagged(writer, attribute);
    }
}

/// Reads what [`write_stored`] wrote.
///
/// # Errors
/// When an attribute is malformed or unknown.
pub fn read_stored(item: Item<'_>) -> Result<Vec<Attribute>, DecodeError> {
    let mut reader = item.structure()?;
    let mut list = Vec::new();
    while let Some(item) = reader.next_item()? {
        list.push(read_tagged(item)?);
    }
    Ok(list)
}
