//! Signature Verify (KMIP 1.4 section 4.32).

use kms_protocol::attribute::CryptographicUsageMask;
use kms_protocol::enums::{ObjectType, ValidityIndicator};
use kms_protocol::operation::{SignatureVerifyRequest, SignatureVerifyResponse};

use super::decrypt::may_process;
use super::encrypt::{allowed, missing_data, of_type};
use super::sign::{digested, scheme, scheme_of_digest};
use crate::crypto::PublicKey;
use crate::crypto::signature::Scheme;
use crate::kms::model::{Material, Object};
use crate::kms::streams::{Indicators, Work};
use crate::kms::{Context, Kms, Reason, Refusal, no_key_value};

pub(in crate::kms) fn signature_verify(
    kms: &Kms,
    request: SignatureVerifyRequest,
    context: &mut Context<'_>,
) -> Result<SignatureVerifyResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    of_type(&object, ObjectType::PublicKey, "verifies signatures")?;
    may_process(kms, &object, context)?;
    allowed(&object, CryptographicUsageMask::VERIFY, "Verify")?;
    if let Some(digest) = digested(request.digested_data.as_ref(), request.data.is_some())? {
        let scheme = scheme_of_digest(&object, request.cryptographic_parameters)?;
        let signature = request.signature_data.ok_or_else(missing_signature)?;
        return verdict(&object, &scheme, &digest.0, &signature.0);
    }
    let indicators = Indicators {
        correlation: request.correlation_value.as_ref(),
        init: request.init_indicator,
        last: request.final_indicator,
    };
    let data = request.data.as_ref().ok_or_else(missing_data)?;
    let mut part = kms.part(&indicators, &object.id, context, || {
        let scheme = scheme(&object, request.cryptographic_parameters)?;
        Ok(Work::Signature(scheme.start()?, scheme, None))
    })?;
    let Work::Signature(message, _, signature) = &mut part.work else { return Err(missing_data()) };
    message.update(&data.0)?;
    if request.signature_data.is_some() {
        *signature = request.signature_data;
    }
    if !part.is_last {
        let correlation_value = Some(kms.go_on_later(part, &object.id, context)?);
        return Ok(SignatureVerifyResponse {
            unique_identifier: object.id,
            validity_indicator: None,
            data: None,
            correlation_value,
        });
    }
    match part.work {
        Work::Signature(message, scheme, signature) => {
            verdict(&object, &scheme, &message.finish(), &signature.ok_or_else(missing_signature)?.0)
        }
        _ => Err(missing_data()),
    }
}

fn verdict(
    object: &Object,
    scheme: &Scheme,
    digest: &[u8],
    signature: &[u8],
) -> Result<SignatureVerifyResponse, Refusal> {
    let Some(Material::Public(spki)) = &object.material else { return Err(no_key_value()) };
    let is_valid = PublicKey::from_spki(&spki.0)?.verify(scheme, digest, signature)?;
    let validity = if is_valid { ValidityIndicator::Valid } else { ValidityIndicator::Invalid };
    Ok(SignatureVerifyResponse {
        unique_identifier: object.id.clone(),
        validity_indicator: Some(validity),
        data: None,
        correlation_value: None,
    })
}

fn missing_signature() -> Refusal {
    Refusal::new(Reason::MissingData, "Signature Data is missing")
}
