//! Validate (KMIP 1.4 section 4.24, 2.1 section 6.1.57).

use super::request;
use crate::enums::ValidityIndicator;
use crate::identifier::UniqueIdentifier;
use crate::object::Certificate;
use crate::{DateTime, structure};

structure! {
    /// Asks whether a chain of certificates is valid.
    #[derive(Default)]
    pub struct ValidateRequest {
        /// Certificates that the server does not hold.
        pub certificates: Vec<Certificate> = CERTIFICATE,
        /// Certificates that it holds.
        pub unique_identifiers: Vec<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// At which date; now where absent.
        pub validity_date: Option<DateTime> = VALIDITY_DATE,
    }
}

structure! {
    /// The verdict.
    pub struct ValidateResponse {
        /// Whether it is valid.
        pub validity_indicator: ValidityIndicator = VALIDITY_INDICATOR,
    }
}

request!(ValidateRequest => ValidateResponse, Validate);
