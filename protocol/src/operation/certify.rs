//! Certify (KMIP 1.4 section 4.7, 2.1 section 6.1.6).

use super::request;
use crate::attribute::{Attributes, ProtectionStorageMasks};
use crate::enums::CertificateRequestType;
use crate::error::DecodeError;
use crate::identifier::UniqueIdentifier;
use crate::ttlv::{Bytes, Item, Value, Writer};
use crate::{Tag, Version, structure};

structure! {
    /// Asks for a certificate of a public key.
    #[derive(Default)]
    pub struct CertifyRequest {
        /// The public key, or from 2.0 on the Certificate Request; the ID Placeholder where absent.
        pub unique_identifier: Option<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How the certificate request is written.
        pub certificate_request_type: Option<CertificateRequestType> = CERTIFICATE_REQUEST_TYPE,
        /// The certificate request.
        pub certificate_request: Option<CertificateRequestValue> = CERTIFICATE_REQUEST_VALUE,
        /// The certificate's attributes.
        pub attributes: Attributes = ATTRIBUTES,
        /// Where it may be kept.
        pub protection: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// The certificate.
    pub struct CertifyResponse {
        /// The certificate.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

/// The bytes of a certificate request. 2.x gives the field a tag of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateRequestValue(pub Bytes);

impl Value for CertificateRequestValue {
    fn tag_in(tag: Tag, version: Version) -> Tag {
        if version.is_2x() { tag } else { Tag::CERTIFICATE_REQUEST }
    }

    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        Bytes::read(item).map(Self)
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        self.0.write(writer, Self::tag_in(tag, writer.version()));
    }
}

request!(CertifyRequest => CertifyResponse, Certify);
