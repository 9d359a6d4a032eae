//! Encrypt (KMIP 1.4 section 4.29): with a symmetric key, whole or in parts, or RSA-OAEP with a public key.

use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, CryptographicParameters, CryptographicUsageMask};
use kms_protocol::enums::{CryptographicAlgorithm, ObjectType, PaddingMethod, UsageLimitsUnit};
use kms_protocol::operation::{EncryptRequest, EncryptResponse};
use kms_protocol::ttlv::Bytes;

use super::get_usage_allocation::used;
use crate::crypto::{Cipher, Direction, Oaep, PublicKey, cipher};
use crate::kms::keys::until_alone;
use crate::kms::model::{Material, Object};
use crate::kms::recorded::By;
use crate::kms::streams::{Indicators, Work};
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle, no_key_value};
use crate::store::Batch;

pub(in crate::kms) fn encrypt(
    kms: &Kms,
    request: EncryptRequest,
    context: &mut Context<'_>,
) -> Result<EncryptResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if !matches!(object.object_type, ObjectType::PublicKey | ObjectType::SymmetricKey) {
        of_type(&object, ObjectType::PublicKey, "encrypts, or the Symmetric Key")?;
    }
    lifecycle::may_protect(&object, context.now)?;
    allowed(&object, CryptographicUsageMask::ENCRYPT, "Encrypt")?;
    if object.object_type == ObjectType::SymmetricKey {
        return symmetric(kms, &object, request, context);
    }
    if request.correlation_value.is_some() || request.init_indicator == Some(true) {
        return Err(streaming());
    }
    let parameters = parameters(&object, request.cryptographic_parameters);
    let data = request.data.ok_or_else(missing_data)?;
    charge(kms, &object, data.len(), context)?;
    let Some(Material::Public(spki)) = &object.material else { return Err(no_key_value()) };
    let key = PublicKey::from_spki(&spki.0)?;
    let ciphertext = match parameters.padding_method {
        Some(PaddingMethod::Pkcs1V1_5) => key.encrypt_pkcs1(data.expose())?,
        _ => key.encrypt(&oaep(&parameters)?, data.expose())?,
    };
    Ok(EncryptResponse {
        unique_identifier: object.id,
        data: Some(Bytes(ciphertext)),
        iv_counter_nonce: None,
        correlation_value: None,
        tag: None,
    })
}

fn symmetric(
    kms: &Kms,
    object: &Object,
    request: EncryptRequest,
    context: &mut Context<'_>,
) -> Result<EncryptResponse, Refusal> {
    let indicators = Indicators {
        correlation: request.correlation_value.as_ref(),
        init: request.init_indicator,
        last: request.final_indicator,
    };
    let data = request.data.ok_or_else(missing_data)?;
    let mut made_iv = None;
    let parameters = parameters(object, request.cryptographic_parameters);
    let additional = request.additional_data.as_ref().map_or(&[][..], |data| &data.0);
    let start = || {
        let cipher = cipher_of(object, &parameters)?;
        let iv = match (request.iv_counter_nonce, cipher.iv_bytes()) {
            (Some(iv), _) => iv,
            (None, 0) => Bytes::default(),
            (None, _) if parameters.random_iv != Some(true) => return Err(missing_iv()),
            (None, bytes) => made_iv.insert(Bytes(cipher::random(bytes)?)).clone(),
        };
        let stream = cipher.start(Direction::Encrypt, &kms.key_bytes(object)?, &iv.0, additional)?;
        Ok(Work::Cipher(stream, None))
    };
    let mut part = kms.part(&indicators, &object.id, context, start)?;
    charge(kms, object, data.len(), context)?;
    let id = object.id.clone();
    if !part.is_last {
        let Work::Cipher(stream, _) = &mut part.work else { return Err(missing_data()) };
        let out = stream.update(data.expose())?;
        return Ok(EncryptResponse {
            unique_identifier: id,
            data: Some(Bytes(out.expose().to_vec())),
            iv_counter_nonce: made_iv,
            correlation_value: Some(kms.go_on_later(part, &object.id, context)?),
            tag: None,
        });
    }
    let Work::Cipher(stream, _) = part.work else { return Err(missing_data()) };
    let last = stream.finish(data.expose(), None)?;
    let mut out = last.data.expose().to_vec();
    // Before 1.4 there is no field for the tag: it stands behind the ciphertext.
    let tag = match last.tag {
        Some(tag) if context.version < Version::V1_4 => {
            out.extend(tag);
            None
        }
        tag => tag.map(Bytes),
    };
    Ok(EncryptResponse {
        unique_identifier: id,
        data: Some(Bytes(out)),
        iv_counter_nonce: made_iv,
        correlation_value: None,
        tag,
    })
}

/// The cipher of a symmetric key.
pub(super) fn cipher_of(object: &Object, parameters: &CryptographicParameters) -> Result<Cipher, Refusal> {
    let algorithm = object.algorithm().or(parameters.cryptographic_algorithm).ok_or_else(|| {
        Refusal::new(Reason::UnsupportedParameters, "the key has no Cryptographic Algorithm: state it")
    })?;
    Ok(Cipher::new(algorithm, parameters)?)
}

/// Takes a use of a key off its Usage Limits, if it has any (section 3.21). Durable before the use.
pub(super) fn charge(
    kms: &Kms,
    object: &Object,
    bytes: usize,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    kms.charge_ticket(object, bytes, context)?;
    if object.usage_limits().is_none() {
        return Ok(());
    }
    until_alone(|| {
        let mut current = kms.fetch(&object.id)?.ok_or_else(Refusal::not_found)?;
        let Some(limits) = current.usage_limits().cloned() else { return Ok(()) };
        let units = match limits.unit {
            UsageLimitsUnit::Byte => i64::try_from(bytes).unwrap_or(i64::MAX),
            _ => 1,
        };
        current.set(Attribute::UsageLimits(used(limits, units)?));
        kms.commit(Batch::new().put(current.put()), Vec::new(), By::Client(&mut *context))?;
        Ok(())
    })
}

/// The parameters of the request, or else the key's own (section 4.29).
pub(in crate::kms) fn parameters(
    object: &Object,
    stated: Option<CryptographicParameters>,
) -> CryptographicParameters {
    stated
        .or_else(|| {
            object.attributes.iter().find_map(|attribute| match attribute {
                Attribute::CryptographicParameters(parameters) => Some(parameters.clone()),
                _ => None,
            })
        })
        .unwrap_or_default()
}

/// The parameters as OAEP's. Both hashes default to SHA-1, the mask's whatever the other is (1.4 section 3.6).
pub(in crate::kms) fn oaep(parameters: &CryptographicParameters) -> Result<Oaep, Refusal> {
    if parameters.cryptographic_algorithm.is_some_and(|algorithm| algorithm != CryptographicAlgorithm::Rsa) {
        return Err(Refusal::new(Reason::UnsupportedParameters, "the Cryptographic Algorithm has to be RSA"));
    }
    if parameters.padding_method != Some(PaddingMethod::Oaep) {
        return Err(Refusal::new(
            Reason::UnsupportedParameters,
            "state Padding Method OAEP: no other is supported",
        ));
    }
    let label = parameters.p_source.as_ref().map_or(&[][..], |label| &label.0);
    Ok(Oaep::new(parameters.hashing_algorithm, parameters.mask_generator_hashing_algorithm, label)?)
}

/// Whether the object is of the type that the operation works on.
pub(super) fn of_type(object: &Object, needed: ObjectType, does: &str) -> Result<(), Refusal> {
    if object.object_type == needed {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::WrongObjectType,
        format!("this is a {}; it is the {needed} that {does}", object.object_type),
    ))
}

/// Whether the key's Cryptographic Usage Mask allows an operation.
pub(in crate::kms) fn allowed(
    object: &Object,
    usage: CryptographicUsageMask,
    name: &str,
) -> Result<(), Refusal> {
    if object.usage().contains(usage) {
        return Ok(());
    }
    Err(Refusal::new(Reason::UsageMask, format!("the key's Cryptographic Usage Mask lacks {name}")))
}

pub(super) fn streaming() -> Refusal {
    Refusal::new(Reason::FeatureNotSupported, "RSA takes its data in one request, not in parts")
}

pub(super) fn missing_data() -> Refusal {
    Refusal::new(Reason::MissingData, "Data is missing")
}

pub(super) fn missing_iv() -> Refusal {
    Refusal::new(
        Reason::MissingIv,
        "the IV/Counter/Nonce is missing: state it, or Random IV to encrypt with a new one",
    )
}
