//! Decrypt (KMIP 1.4 section 4.30): with a symmetric key, whole or in parts, or RSA with a private key.

use kms_protocol::Version;
use kms_protocol::attribute::CryptographicUsageMask;
use kms_protocol::enums::{ObjectType, PaddingMethod};
use kms_protocol::operation::{DecryptRequest, DecryptResponse};
use kms_protocol::ttlv::Bytes;

use super::encrypt::{allowed, cipher_of, missing_data, missing_iv, oaep, of_type, parameters, streaming};
use crate::crypto::Direction;
use crate::kms::model::Object;
use crate::kms::streams::{Indicators, Work};
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};

pub(in crate::kms) fn decrypt(
    kms: &Kms,
    request: DecryptRequest,
    context: &mut Context<'_>,
) -> Result<DecryptResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if !matches!(object.object_type, ObjectType::PrivateKey | ObjectType::SymmetricKey) {
        of_type(&object, ObjectType::PrivateKey, "decrypts, or the Symmetric Key")?;
    }
    may_process(kms, &object, context)?;
    allowed(&object, CryptographicUsageMask::DECRYPT, "Decrypt")?;
    if object.object_type == ObjectType::SymmetricKey {
        return symmetric(kms, &object, request, context);
    }
    if request.correlation_value.is_some() || request.init_indicator == Some(true) {
        return Err(streaming());
    }
    let parameters = parameters(&object, request.cryptographic_parameters);
    let data = request.data.ok_or_else(missing_data)?;
    let plaintext = match parameters.padding_method {
        Some(PaddingMethod::Pkcs1V1_5) => {
            pkcs1_decryption(kms)?;
            kms.private_key(&object)?.decrypt_pkcs1(&data.0)?
        }
        _ => {
            let oaep = oaep(&parameters)?;
            kms.private_key(&object)?.decrypt(&oaep, &data.0)?
        }
    };
    Ok(DecryptResponse { unique_identifier: object.id, data: Some(plaintext), correlation_value: None })
}

/// Whether the configuration lets anything be decrypted by PKCS#1 v1.5.
pub(in crate::kms) fn pkcs1_decryption(kms: &Kms) -> Result<(), Refusal> {
    if kms.policies.load().pkcs1_decryption {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::UnsupportedParameters,
        "by policy nothing is decrypted by PKCS#1 v1.5: use Padding Method OAEP",
    ))
}

fn symmetric(
    kms: &Kms,
    object: &Object,
    request: DecryptRequest,
    context: &mut Context<'_>,
) -> Result<DecryptResponse, Refusal> {
    let indicators = Indicators {
        correlation: request.correlation_value.as_ref(),
        init: request.init_indicator,
        last: request.final_indicator,
    };
    let mut data = request.data.ok_or_else(missing_data)?.0;
    let parameters = parameters(object, request.cryptographic_parameters);
    let additional = request.additional_data.as_ref().map_or(&[][..], |data| &data.0);
    let mut stated_tag = request.tag;
    let start = || {
        let cipher = cipher_of(object, &parameters)?;
        let iv = match (request.iv_counter_nonce, cipher.iv_bytes()) {
            (Some(iv), _) => iv,
            (None, 0) => Bytes::default(),
            (None, _) => return Err(missing_iv()),
        };
        let stream = cipher.start(Direction::Decrypt, &kms.key_bytes(object)?, &iv.0, additional)?;
        Ok(Work::Cipher(stream, None))
    };
    let mut part = kms.part(&indicators, &object.id, context, start)?;
    let is_last = part.is_last;
    let Work::Cipher(stream, tag) = &mut part.work else { return Err(missing_data()) };
    if stated_tag.is_some() {
        *tag = stated_tag.take();
    }
    if !is_last {
        let out = stream.update(&data)?;
        return Ok(DecryptResponse {
            unique_identifier: object.id.clone(),
            data: Some(out),
            correlation_value: Some(kms.go_on_later(part, &object.id, context)?),
        });
    }
    let Work::Cipher(stream, mut tag) = part.work else { return Err(missing_data()) };
    // Before 1.4 there is no field for the tag: it stands behind the ciphertext.
    let tag_bytes = stream.tag_bytes();
    if tag.is_none() && tag_bytes > 0 && context.version < Version::V1_4 {
        tag = Some(Bytes(data.split_off(data.len().saturating_sub(tag_bytes))));
    }
    let last = stream.finish(&data, tag.as_ref().map(|tag| tag.0.as_slice()))?;
    Ok(DecryptResponse {
        unique_identifier: object.id.clone(),
        data: Some(last.data),
        correlation_value: None,
    })
}

/// Whether a key may process what is protected, by its state and its policy.
pub(super) fn may_process(kms: &Kms, object: &Object, context: &Context<'_>) -> Result<(), Refusal> {
    let policies = kms.policies.load();
    let policy = kms.policy_of(&policies, object)?;
    let when_deactivated = policy.map(|policy| policy.decrypt_when_deactivated).unwrap_or_default();
    lifecycle::may_process(object, when_deactivated, context.now)
}
