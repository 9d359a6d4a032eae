//! Defaults of new objects and constraints on them (KMIP 2.1 sections 7.6, 7.7, 7.11, 7.22 to 7.24).

use crate::attribute::AttributeList;
use crate::enums::ObjectType;
use crate::error::DecodeError;
use crate::ttlv::{Content, Item, Reader, Value, Writer};
use crate::{Tag, Version, structure};

structure! {
    /// Defaults Information (section 7.11).
    #[derive(Default)]
    pub struct DefaultsInformation {
        /// Defaults, each of some types of object.
        pub object_defaults: Vec<ObjectDefaults> = OBJECT_DEFAULTS,
    }
}

structure! {
    /// Object Defaults (section 7.22).
    pub struct ObjectDefaults {
        /// For which types.
        pub object_types: DefaultedTypes = OBJECT_TYPE,
        /// What they get.
        pub attributes: AttributeList = ATTRIBUTES,
        /// In which groups; in all where absent.
        pub object_groups: Option<ObjectGroups> = OBJECT_GROUPS, since V2_1,
    }
}

/// The types that defaults are for: one as an Object Type, several as Object Types.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DefaultedTypes {
    /// One type.
    One(ObjectType),
    /// Any number.
    Several(ObjectTypes),
}

impl Value for DefaultedTypes {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::Structure(_) => ObjectTypes::read(item).map(Self::Several),
            _ => ObjectType::read(item).map(Self::One),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        match self {
            Self::One(object_type) => object_type.write(writer, tag),
            // Object Types have a tag since 2.1 only.
            Self::Several(types) if writer.version() < Version::V2_1 => types.write(writer, tag),
            Self::Several(types) => types.write(writer, Tag::OBJECT_TYPES),
        }
    }

    fn take(reader: &mut Reader<'_>, tag: Tag) -> Result<Self, DecodeError> {
        let missing = reader.missing(tag);
        let item = match reader.take(Tag::OBJECT_TYPES)? {
            Some(item) => Some(item),
            None => reader.take(tag)?,
        };
        Self::read(item.ok_or(missing)?)
    }
}

structure! {
    /// Object Types (section 7.24).
    #[derive(Eq, Default)]
    pub struct ObjectTypes {
        /// The types.
        pub object_types: Vec<ObjectType> = OBJECT_TYPE,
    }
}

structure! {
    /// Object Groups (section 7.23).
    #[derive(Eq, Default)]
    pub struct ObjectGroups {
        /// The groups.
        pub object_groups: Vec<String> = OBJECT_GROUP,
    }
}

structure! {
    /// Constraints (section 7.7).
    #[derive(Default)]
    pub struct Constraints {
        /// Each of them.
        pub constraints: Vec<Constraint> = CONSTRAINT,
    }
}

structure! {
    /// Constraint (section 7.6).
    #[derive(Default)]
    pub struct Constraint {
        /// On which types; on all where absent.
        pub object_types: Option<ObjectTypes> = OBJECT_TYPES,
        /// In which groups; in all where absent.
        pub object_groups: Option<ObjectGroups> = OBJECT_GROUPS, since V2_1,
        /// What new objects must have.
        pub attributes: Option<AttributeList> = ATTRIBUTES,
    }
}
