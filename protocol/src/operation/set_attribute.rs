//! Set Attribute (KMIP 2.1 section 6.1.51; 2.0 and later).

use super::request;
use crate::attribute::IndexedAttribute;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Sets an attribute of one value, whether it is there or not.
    pub struct SetAttributeRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The attribute.
        pub attribute: IndexedAttribute = NEW_ATTRIBUTE,
    }
}

structure! {
    /// It is set.
    pub struct SetAttributeResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(SetAttributeRequest => SetAttributeResponse, SetAttribute);
