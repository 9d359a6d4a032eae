//! Adjust Attribute (KMIP 2.1 section 6.1.3; 2.0 and later).

use super::request;
use crate::attribute::AttributeReference;
use crate::enums::AdjustmentType;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::RawValue;

structure! {
    /// Adds to a number, takes from it, or turns it over.
    pub struct AdjustAttributeRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The attribute.
        pub attribute: AttributeReference = ATTRIBUTE_REFERENCE,
        /// What to do.
        pub adjustment_type: AdjustmentType = ADJUSTMENT_TYPE,
        /// By how much; 1 where absent.
        pub adjustment_value: Option<RawValue> = ADJUSTMENT_VALUE,
    }
}

structure! {
    /// It is adjusted.
    pub struct AdjustAttributeResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(AdjustAttributeRequest => AdjustAttributeResponse, AdjustAttribute);
