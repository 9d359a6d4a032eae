//! Locate (KMIP 1.4 section 4.9).

use super::request;
use crate::attribute::{AttributeList, Criteria, StorageStatusMask};
use crate::enums::ObjectGroupMember;
use crate::structure;

structure! {
    /// Asks which objects have all of these attributes.
    #[derive(Default)]
    pub struct LocateRequest {
        /// The most identifiers to return.
        pub maximum_items: Option<i32> = MAXIMUM_ITEMS,
        /// How many matches to pass over.
        pub offset_items: Option<i32> = OFFSET_ITEMS, since V1_3,
        /// Objects in use, archived ones, or both.
        pub storage_status_mask: Option<StorageStatusMask> = STORAGE_STATUS_MASK,
        /// Which members of an Object Group.
        pub object_group_member: Option<ObjectGroupMember> = OBJECT_GROUP_MEMBER, since V1_1,
        /// What the objects must have; two instances of a date are a range.
        pub attributes: AttributeList = ATTRIBUTES,
    }
}

structure! {
    /// The same as a server reads it: structures among the attributes may lack fields.
    #[derive(Default)]
    pub struct LocateCriteria {
        /// The most identifiers to return.
        pub maximum_items: Option<i32> = MAXIMUM_ITEMS,
        /// How many matches to pass over.
        pub offset_items: Option<i32> = OFFSET_ITEMS, since V1_3,
        /// Objects in use, archived ones, or both.
        pub storage_status_mask: Option<StorageStatusMask> = STORAGE_STATUS_MASK,
        /// Which members of an Object Group.
        pub object_group_member: Option<ObjectGroupMember> = OBJECT_GROUP_MEMBER, since V1_1,
        /// What the objects must have.
        pub criteria: Criteria = ATTRIBUTES,
    }
}

structure! {
    /// The objects found, newest first.
    pub struct LocateResponse {
        /// How many objects match in all.
        pub located_items: Option<i32> = LOCATED_ITEMS, since V1_3,
        /// Their identifiers.
        pub unique_identifiers: Vec<String> = UNIQUE_IDENTIFIER,
    }
}

request!(LocateRequest => LocateResponse, Locate);
request!(LocateCriteria => LocateResponse, Locate);
