//! Notify (KMIP 1.4 section 5.1, 2.1 section 6.2.2): from a server to a client.

use super::request;
use crate::attribute::{AttributeList, AttributeReferences};
use crate::structure;

structure! {
    /// Tells that attributes of an object changed.
    pub struct NotifyRequest {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Those that changed, Last Change Date among them.
        pub attributes: AttributeList = ATTRIBUTES,
        /// Those that are gone.
        pub deleted: AttributeReferences = ATTRIBUTE_REFERENCE, since V2_0,
    }
}

structure! {
    /// The client takes note. Its response has no payload.
    #[derive(Default)]
    pub struct NotifyResponse {}
}

request!(NotifyRequest => NotifyResponse, Notify);
