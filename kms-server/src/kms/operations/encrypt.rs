//! Encrypt (KMIP 1.4 section 4.29): RSA-OAEP with a public key.

use kms_protocol::attribute::{Attribute, CryptographicParameters, CryptographicUsageMask};
use kms_protocol::enums::{CryptographicAlgorithm, ObjectType, PaddingMethod};
use kms_protocol::operation::{EncryptRequest, EncryptResponse};
use kms_protocol::ttlv::Bytes;

use crate::crypto::{Oaep, PublicKey};
use crate::kms::model::{Material, Object};
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle, no_key_value};

pub(in crate::kms) fn encrypt(
    kms: &Kms,
    request: EncryptRequest,
    context: &mut Context<'_>,
) -> Result<EncryptResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    if request.correlation_value.is_some() || request.init_indicator == Some(true) {
        return Err(streaming());
    }
    of_type(&object, ObjectType::PublicKey, "encrypts")?;
    lifecycle::may_protect(lifecycle::state_at(&object, context.now))?;
    allowed(&object, CryptographicUsageMask::ENCRYPT, "Encrypt")?;
    let parameters = parameters(&object, request.cryptographic_parameters);
    let data = request.data.ok_or_else(|| Refusal::new(Reason::MissingData, "Data is missing"))?;
    let Some(Material::Public(spki)) = &object.material else { return Err(no_key_value()) };
    let ciphertext = PublicKey::from_spki(&spki.0)?.encrypt(&oaep(&parameters)?, data.expose())?;
    Ok(EncryptResponse {
        unique_identifier: object.id,
        data: Some(Bytes(ciphertext)),
        iv_counter_nonce: None,
        correlation_value: None,
        tag: None,
    })
}

/// The parameters of the request, or else the key's own (section 4.29).
pub(super) fn parameters(
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
pub(super) fn oaep(parameters: &CryptographicParameters) -> Result<Oaep, Refusal> {
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
pub(super) fn allowed(object: &Object, usage: CryptographicUsageMask, name: &str) -> Result<(), Refusal> {
    if object.usage().contains(usage) {
        return Ok(());
    }
    Err(Refusal::new(Reason::UsageMask, format!("the key's Cryptographic Usage Mask lacks {name}")))
}

pub(super) fn streaming() -> Refusal {
    Refusal::new(Reason::FeatureNotSupported, "data in parts is not supported: send it in one request")
}
