//! Revoke (KMIP 1.4 section 4.20).

use super::request;
use crate::attribute::RevocationReason;
use crate::identifier::UniqueIdentifier;
use crate::{DateTime, structure};

structure! {
    /// Takes an object out of use: Compromised for that reason, Deactivated for any other.
    pub struct RevokeRequest {
        /// The object; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// Why.
        pub revocation_reason: RevocationReason = REVOCATION_REASON,
        /// When the compromise is believed to have happened.
        pub compromise_occurrence_date: Option<DateTime> = COMPROMISE_OCCURRENCE_DATE,
    }
}

structure! {
    /// It is done.
    pub struct RevokeResponse {
        /// The object.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
    }
}

request!(RevokeRequest => RevokeResponse, Revoke);
