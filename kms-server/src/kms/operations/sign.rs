//! Sign (KMIP 1.4 section 4.31): ECDSA on P-256, RSA with PKCS#1 v1.5 or PSS.

use kms_protocol::attribute::{CryptographicParameters, CryptographicUsageMask};
use kms_protocol::enums::{CryptographicAlgorithm, ObjectType};
use kms_protocol::operation::{SignRequest, SignResponse};
use kms_protocol::ttlv::Bytes;

use super::encrypt::{allowed, of_type, parameters, streaming};
use crate::crypto::{Message, Scheme};
use crate::kms::model::Object;
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};

pub(in crate::kms) fn sign(
    kms: &Kms,
    request: SignRequest,
    context: &mut Context<'_>,
) -> Result<SignResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if request.correlation_value.is_some() || request.init_indicator == Some(true) {
        return Err(streaming());
    }
    of_type(&object, ObjectType::PrivateKey, "signs")?;
    lifecycle::may_protect(lifecycle::state_at(&object, context.now))?;
    allowed(&object, CryptographicUsageMask::SIGN, "Sign")?;
    let scheme = scheme(&object, request.cryptographic_parameters)?;
    let message = message(request.data.as_ref(), request.digested_data.as_ref())?;
    let signature = kms.private_key(&object)?.sign(scheme, message)?;
    Ok(SignResponse {
        unique_identifier: object.id,
        signature_data: Some(Bytes(signature)),
        correlation_value: None,
    })
}

/// How the key signs: as stated, or else as its own parameters say.
pub(super) fn scheme(object: &Object, stated: Option<CryptographicParameters>) -> Result<Scheme, Refusal> {
    let algorithm = object.algorithm().unwrap_or(CryptographicAlgorithm::Ec);
    Ok(Scheme::new(algorithm, &parameters(object, stated))?)
}

/// What is signed: Data or Digested Data, one of the two.
pub(super) fn message<'a>(
    data: Option<&'a Bytes>,
    digested: Option<&'a Bytes>,
) -> Result<Message<'a>, Refusal> {
    match (data, digested) {
        (Some(data), None) => Ok(Message::Whole(&data.0)),
        (None, Some(digest)) => Ok(Message::Digested(&digest.0)),
        (None, None) => Err(Refusal::new(Reason::MissingData, "Data is missing, and Digested Data is too")),
        (Some(_), Some(_)) => {
            Err(Refusal::new(Reason::InvalidField, "state Data or Digested Data, not both"))
        }
    }
}
