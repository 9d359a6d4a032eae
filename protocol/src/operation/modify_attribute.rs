//! Modify Attribute (KMIP 1.4 section 4.15, 2.1 section 6.1.34).

use super::request;
use crate::attribute::IndexedAttribute;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Changes an attribute that is there.
    pub struct ModifyAttributeRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The value to change (2.x); the only one where absent. In 1.x the new one's index tells.
        pub current: Option<IndexedAttribute> = CURRENT_ATTRIBUTE, since V2_0,
        /// The attribute as it shall be.
        pub attribute: IndexedAttribute = NEW_ATTRIBUTE,
    }
}

structure! {
    /// It is changed.
    pub struct ModifyAttributeResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The attribute as it now is (1.x).
        pub attribute: Option<IndexedAttribute> = ATTRIBUTE, until V1_4,
    }
}

request!(ModifyAttributeRequest => ModifyAttributeResponse, ModifyAttribute);
