//! Get Attribute List (KMIP 1.4 section 4.13).

use super::request;
use crate::attribute::AttributeReferences;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Asks which attributes an object has.
    #[derive(Default)]
    pub struct GetAttributeListRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
    }
}

structure! {
    /// The attributes' names.
    pub struct GetAttributeListResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Each attribute once.
        pub attributes: AttributeReferences = ATTRIBUTE_REFERENCE,
    }
}

request!(GetAttributeListRequest => GetAttributeListResponse, GetAttributeList);
