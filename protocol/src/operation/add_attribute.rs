//! Add Attribute (KMIP 1.4 section 4.14, 2.1 section 6.1.2).

use super::request;
use crate::attribute::IndexedAttribute;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Adds an attribute, or an instance of one.
    pub struct AddAttributeRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The attribute.
        pub attribute: IndexedAttribute = NEW_ATTRIBUTE,
    }
}

structure! {
    /// It is added.
    pub struct AddAttributeResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The attribute as it now is (1.x).
        pub attribute: Option<IndexedAttribute> = ATTRIBUTE, until V1_4,
    }
}

request!(AddAttributeRequest => AddAttributeResponse, AddAttribute);
