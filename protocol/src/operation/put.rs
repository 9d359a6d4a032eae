//! Put (KMIP 1.4 section 5.2, 2.1 section 6.2.3): from a server to a client.

use super::request;
use crate::attribute::AttributeList;
use crate::enums::PutFunction;
use crate::object::ManagedObject;
use crate::structure;

structure! {
    no Clone
    /// Hands an object to a client.
    pub struct PutRequest {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Whether it stands in the place of another.
        pub put_function: PutFunction = PUT_FUNCTION,
        /// Which other.
        pub replaced_unique_identifier: Option<String> = REPLACED_UNIQUE_IDENTIFIER,
        /// The object itself, under the tag of its type.
        pub object: ManagedObject = KEY,
        /// Attributes that come with it.
        pub attributes: AttributeList = ATTRIBUTES,
    }
}

structure! {
    /// The client takes it. Its response has no payload.
    #[derive(Default)]
    pub struct PutResponse {}
}

request!(PutRequest => PutResponse, Put);
