//! Re-Provision (KMIP 2.1 section 6.1.48; 2.0 and later).

use super::request;
use crate::object::Certificate;
use crate::structure;
use crate::ttlv::Bytes;

structure! {
    /// Asks for a new credential in the place of the one that this connection uses.
    #[derive(Default)]
    pub struct ReProvisionRequest {
        /// A certificate request to sign.
        pub certificate_request: Option<Bytes> = CERTIFICATE_REQUEST,
        /// A certificate to accept.
        pub certificate: Option<Certificate> = CERTIFICATE,
    }
}

structure! {
    /// The new credential.
    #[derive(Default)]
    pub struct ReProvisionResponse {
        /// The certificate, or the private key that the server made.
        pub unique_identifier: Option<String> = UNIQUE_IDENTIFIER,
    }
}

request!(ReProvisionRequest => ReProvisionResponse, ReProvision);
