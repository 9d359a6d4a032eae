//! Sign (KMIP 1.4 section 4.31).

use kms_protocol::attribute::{CryptographicParameters, CryptographicUsageMask};
use kms_protocol::enums::{CryptographicAlgorithm, ObjectType};
use kms_protocol::operation::{SignRequest, SignResponse};
use kms_protocol::ttlv::Bytes;

use super::encrypt::{allowed, charge, missing_data, of_type, parameters};
use crate::crypto::signature::Scheme;
use crate::kms::model::Object;
use crate::kms::streams::{Indicators, Work};
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};

pub(in crate::kms) fn sign(
    kms: &Kms,
    request: SignRequest,
    context: &mut Context<'_>,
) -> Result<SignResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    of_type(&object, ObjectType::PrivateKey, "signs")?;
    lifecycle::may_protect(&object, context.now)?;
    allowed(&object, CryptographicUsageMask::SIGN, "Sign")?;
    let signed = |signature| SignResponse {
        unique_identifier: object.id.clone(),
        signature_data: Some(Bytes(signature)),
        correlation_value: None,
    };
    if let Some(digest) = digested(request.digested_data.as_ref(), request.data.is_some())? {
        let scheme = scheme_of_digest(&object, request.cryptographic_parameters)?;
        charge(kms, &object, digest.0.len(), context)?;
        return Ok(signed(kms.private_key(&object)?.sign(&scheme, &digest.0)?));
    }
    let indicators = Indicators {
        correlation: request.correlation_value.as_ref(),
        init: request.init_indicator,
        last: request.final_indicator,
    };
    let data = request.data.as_ref().ok_or_else(missing_data)?;
    charge(kms, &object, data.0.len(), context)?;
    let mut part = kms.part(&indicators, &object.id, context, || {
        let scheme = scheme(&object, request.cryptographic_parameters)?;
        Ok(Work::Signature(scheme.start()?, scheme, None))
    })?;
    let Work::Signature(message, ..) = &mut part.work else { return Err(missing_data()) };
    message.update(&data.0)?;
    if !part.is_last {
        let correlation_value = Some(kms.go_on_later(part, &object.id, context)?);
        return Ok(SignResponse { unique_identifier: object.id, signature_data: None, correlation_value });
    }
    match part.work {
        Work::Signature(message, scheme, _) => {
            Ok(signed(kms.private_key(&object)?.sign(&scheme, &message.finish())?))
        }
        _ => Err(missing_data()),
    }
}

/// The digest that a request states in the place of its data.
pub(super) fn digested(digest: Option<&Bytes>, has_data: bool) -> Result<Option<&Bytes>, Refusal> {
    if digest.is_some() && has_data {
        return Err(Refusal::new(
            Reason::InvalidField,
            "Data and Digested Data are stated: the one is hashed here, the other is hashed already",
        ));
    }
    Ok(digest)
}

/// How a key signs.
pub(in crate::kms) fn scheme(
    object: &Object,
    stated: Option<CryptographicParameters>,
) -> Result<Scheme, Refusal> {
    let algorithm = object.algorithm().unwrap_or(CryptographicAlgorithm::Rsa);
    Ok(Scheme::new(algorithm, object.length(), &parameters(object, stated))?)
}

/// How a key signs what was hashed already.
pub(super) fn scheme_of_digest(
    object: &Object,
    stated: Option<CryptographicParameters>,
) -> Result<Scheme, Refusal> {
    let scheme = scheme(object, stated)?;
    if !scheme.takes_digest() {
        return Err(Refusal::new(
            Reason::UnsupportedParameters,
            "Ed25519 signs the data itself: state Data, not Digested Data",
        ));
    }
    Ok(scheme)
}
