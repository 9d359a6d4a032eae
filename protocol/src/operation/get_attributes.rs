//! Get Attributes (KMIP 1.4 section 4.12).

use super::request;
use crate::attribute::{AttributeList, AttributeReferences};
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Asks for an object's attributes.
    #[derive(Default)]
    pub struct GetAttributesRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// Which attributes; all where none is named.
        pub attributes: AttributeReferences = ATTRIBUTE_REFERENCE,
    }
}

structure! {
    /// Those attributes that the object has, in the order asked for.
    pub struct GetAttributesResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// The attributes.
        pub attributes: AttributeList = ATTRIBUTES,
    }
}

request!(GetAttributesRequest => GetAttributesResponse, GetAttributes);
