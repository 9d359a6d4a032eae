//! Delete Attribute (KMIP 1.4 section 4.16, 2.1 section 6.1.13).

use super::request;
use crate::attribute::{AttributeReference, IndexedAttribute};
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Deletes an attribute, or an instance of one.
    #[derive(Default)]
    pub struct DeleteAttributeRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The very value to delete (2.x).
        pub current: Option<IndexedAttribute> = CURRENT_ATTRIBUTE, since V2_0,
        /// The attribute; in 1.x always stated, in 2.x where all its values go.
        pub attribute: Option<AttributeReference> = ATTRIBUTE_REFERENCE,
        /// Which instance (1.x); the first where absent.
        pub index: Option<i32> = ATTRIBUTE_INDEX, until V1_4,
    }
}

structure! {
    /// It is deleted.
    pub struct DeleteAttributeResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The attribute as it was (1.x).
        pub attribute: Option<IndexedAttribute> = ATTRIBUTE, until V1_4,
    }
}

request!(DeleteAttributeRequest => DeleteAttributeResponse, DeleteAttribute);
