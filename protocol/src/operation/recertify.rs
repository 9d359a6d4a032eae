//! Re-certify (KMIP 1.4 section 4.8, 2.1 section 6.1.45).

use super::certify::CertificateRequestValue;
use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::enums::CertificateRequestType;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::Interval;

structure! {
    /// Asks for a new certificate in the place of an old one, of the same key pair.
    #[derive(Default)]
    pub struct RecertifyRequest {
        /// The old certificate; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// The Certificate Request, as an object.
        pub certificate_request_unique_identifier: Option<UniqueIdentifier> = CERTIFICATE_REQUEST_UNIQUE_IDENTIFIER, since V2_0,
        /// How the certificate request is written.
        pub certificate_request_type: Option<CertificateRequestType> = CERTIFICATE_REQUEST_TYPE,
        /// The certificate request.
        pub certificate_request: Option<CertificateRequestValue> = CERTIFICATE_REQUEST_VALUE,
        /// Seconds from the new certificate's Initial Date to its Activation Date.
        pub offset: Option<Interval> = OFFSET,
        /// The certificate's attributes.
        pub attributes: Attributes = ATTRIBUTES,
        /// Where it may be kept.
        pub protection: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// The new certificate.
    pub struct RecertifyResponse {
        /// The certificate.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

request!(RecertifyRequest => RecertifyResponse, Recertify);
