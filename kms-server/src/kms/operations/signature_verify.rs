//! Signature Verify (KMIP 1.4 section 4.32).

use kms_protocol::attribute::CryptographicUsageMask;
use kms_protocol::enums::{ObjectType, ValidityIndicator};
use kms_protocol::operation::{SignatureVerifyRequest, SignatureVerifyResponse};

use super::encrypt::{allowed, of_type, streaming};
use super::sign::{message, scheme};
use crate::crypto::PublicKey;
use crate::kms::model::Material;
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle, no_key_value};

pub(in crate::kms) fn signature_verify(
    kms: &Kms,
    request: SignatureVerifyRequest,
    context: &mut Context<'_>,
) -> Result<SignatureVerifyResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if request.correlation_value.is_some() || request.init_indicator == Some(true) {
        return Err(streaming());
    }
    of_type(&object, ObjectType::PublicKey, "verifies")?;
    let policies = kms.policies.load();
    let policy = kms.policy_of(&policies, &object)?;
    let when_deactivated = policy.map(|policy| policy.decrypt_when_deactivated).unwrap_or_default();
    lifecycle::may_process(lifecycle::state_at(&object, context.now), when_deactivated)?;
    allowed(&object, CryptographicUsageMask::VERIFY, "Verify")?;
    let scheme = scheme(&object, request.cryptographic_parameters)?;
    let message = message(request.data.as_ref(), request.digested_data.as_ref())?;
    let lacking = || Refusal::new(Reason::MissingData, "Signature Data is missing");
    let signature = request.signature_data.ok_or_else(lacking)?;
    let Some(Material::Public(spki)) = &object.material else { return Err(no_key_value()) };
    let valid = PublicKey::from_spki(&spki.0)?.verify(scheme, message, &signature.0)?;
    let verdict = if valid { ValidityIndicator::Valid } else { ValidityIndicator::Invalid };
    Ok(SignatureVerifyResponse {
        unique_identifier: object.id,
        validity_indicator: Some(verdict),
        data: None,
        correlation_value: None,
    })
}
