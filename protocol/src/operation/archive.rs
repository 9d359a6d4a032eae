//! Archive (KMIP 1.4 section 4.22, 2.1 section 6.1.4).

use super::request;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Lets the server take an object off line.
    #[derive(Default)]
    pub struct ArchiveRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
    }
}

structure! {
    /// It may be archived.
    pub struct ArchiveResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(ArchiveRequest => ArchiveResponse, Archive);
