//! Signing and verifying at the KMS: ECDSA on P-256 with SHA-256.

use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{DigitalSignatureAlgorithm, ValidityIndicator};
use kms_protocol::operation::{SignRequest, SignatureVerifyRequest};
use kms_protocol::ttlv::Bytes;

use crate::client::Client;
use crate::error::Error;

impl Client {
    /// Has the KMS sign `data` with a private key on P-256; the DER of r and s.
    ///
    /// # Errors
    /// See [`Client::call`].
    pub async fn sign_with(&self, private_id: &str, data: &[u8]) -> Result<Vec<u8>, Error> {
        let request = SignRequest {
            unique_identifier: Some(private_id.into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(Bytes(data.to_vec())),
            ..SignRequest::default()
        };
        let lacking = || Error::protocol("it answered Sign without Signature Data");
        Ok(self.sign(&request).await?.signature_data.ok_or_else(lacking)?.0)
    }

    /// Whether the KMS finds such a signature valid.
    ///
    /// # Errors
    /// See [`Client::call`].
    pub async fn verify_with(&self, public_id: &str, data: &[u8], signature: &[u8]) -> Result<bool, Error> {
        let request = SignatureVerifyRequest {
            unique_identifier: Some(public_id.into()),
            cryptographic_parameters: Some(parameters()),
            data: Some(Bytes(data.to_vec())),
            signature_data: Some(Bytes(signature.to_vec())),
            ..SignatureVerifyRequest::default()
        };
        Ok(self.signature_verify(&request).await?.validity_indicator == Some(ValidityIndicator::Valid))
    }
}

fn parameters() -> CryptographicParameters {
    CryptographicParameters {
        digital_signature_algorithm: Some(DigitalSignatureAlgorithm::EcdsaWithSha256),
        ..CryptographicParameters::default()
    }
}
