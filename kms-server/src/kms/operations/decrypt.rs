//! Decrypt (KMIP 1.4 section 4.30): RSA-OAEP with a private key.

use kms_protocol::attribute::CryptographicUsageMask;
use kms_protocol::enums::ObjectType;
use kms_protocol::operation::{DecryptRequest, DecryptResponse};

use super::encrypt::{allowed, oaep, of_type, parameters, streaming};
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};

pub(in crate::kms) fn decrypt(
    kms: &Kms,
    request: DecryptRequest,
    context: &mut Context<'_>,
) -> Result<DecryptResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if request.correlation_value.is_some() || request.init_indicator == Some(true) {
        return Err(streaming());
    }
    of_type(&object, ObjectType::PrivateKey, "decrypts")?;
    let policies = kms.policies.load();
    let policy = kms.policy_of(&policies, &object)?;
    let when_deactivated = policy.map(|policy| policy.decrypt_when_deactivated).unwrap_or_default();
    lifecycle::may_process(lifecycle::state_at(&object, context.now), when_deactivated)?;
    allowed(&object, CryptographicUsageMask::DECRYPT, "Decrypt")?;
    let parameters = parameters(&object, request.cryptographic_parameters);
    let oaep = oaep(&parameters)?;
    let data = request.data.ok_or_else(|| Refusal::new(Reason::MissingData, "Data is missing"))?;
    let plaintext = kms.private_key(&object)?.decrypt(&oaep, &data.0)?;
    Ok(DecryptResponse { unique_identifier: object.id, data: Some(plaintext), correlation_value: None })
}
