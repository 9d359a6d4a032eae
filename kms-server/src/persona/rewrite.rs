//! What each deviation makes of one payload. Nothing here keeps anything.

use kms_protocol::attribute::{AttributeReference, CryptographicParameters};
use kms_protocol::enums::{HashingAlgorithm, Operation, PaddingMethod};
use kms_protocol::error::DecodeError;
use kms_protocol::message::RequestMessage;
use kms_protocol::operation::{
    DecryptRequest, DiscoverVersionsResponse, EncryptRequest, GetAttributeListRequest,
    GetAttributeListResponse, GetAttributesRequest, GetAttributesResponse, GetRequest, LocateRequest,
    LocateResponse, QueryResponse,
};
use kms_protocol::ttlv::{Item, Value, Writer};
use kms_protocol::{Secret, Tag, UniqueIdentifier, Version};

use super::{Does, Persona};
use crate::kms::{Reason, Refusal};

/// Whether a message holds what the persona cannot parse.
pub(super) fn is_unreadable(does: &Does, message: &RequestMessage<'_>) -> bool {
    matches!(does, Does::CannotReadMaskHash)
        && message.items.iter().any(|item| {
            parameters(item.operation, &item.payload).is_some_and(|parameters| {
                parameters.mask_generator.is_some() || parameters.mask_generator_hashing_algorithm.is_some()
            })
        })
}

/// Refuses what the persona does not do for such a payload.
pub(super) fn refuses(does: &Does, operation: Operation, payload: &Item<'_>) -> Result<(), Refusal> {
    match does {
        Does::OnlySymmetric => only_symmetric(operation),
        Does::Oaep(pairs) => oaep(pairs, operation, payload),
        _ => Ok(()),
    }
}

fn only_symmetric(operation: Operation) -> Result<(), Refusal> {
    let kind = match operation {
        Operation::Encrypt => "encryption",
        Operation::Decrypt => "decryption",
        _ => return Ok(()),
    };
    // All keys here are asymmetric.
    let text = format!("the requested {kind} key is not a symmetric key: only symmetric {kind} is supported");
    Err(Refusal::new(Reason::Denied, text))
}

fn oaep(
    pairs: &[(HashingAlgorithm, HashingAlgorithm)],
    operation: Operation,
    payload: &Item<'_>,
) -> Result<(), Refusal> {
    let Some(parameters) = parameters(operation, payload) else { return Ok(()) };
    if parameters.padding_method != Some(PaddingMethod::Oaep) {
        return Ok(());
    }
    let hash = parameters.hashing_algorithm.unwrap_or(HashingAlgorithm::Sha1);
    let mask = parameters.mask_generator_hashing_algorithm.unwrap_or(HashingAlgorithm::Sha1);
    if pairs.contains(&(hash, mask)) {
        return Ok(());
    }
    let text = format!("OAEP with {hash} and a mask of {mask} is not supported by the server");
    Err(Refusal::new(Reason::UnsupportedParameters, text))
}

/// The Cryptographic Parameters that an item states.
fn parameters(operation: Operation, payload: &Item<'_>) -> Option<CryptographicParameters> {
    match operation {
        Operation::Decrypt => DecryptRequest::read(payload.clone()).ok()?.cryptographic_parameters,
        Operation::Encrypt => EncryptRequest::read(payload.clone()).ok()?.cryptographic_parameters,
        _ => None,
    }
}

/// A request's payload as the persona understands it, where that is not as it came.
pub(super) fn request(
    does: &Does,
    operation: Operation,
    payload: &Item<'_>,
) -> Result<Option<Secret>, DecodeError> {
    let (Does::LocatesBy(kinds), Operation::Locate) = (does, operation) else { return Ok(None) };
    let mut request = LocateRequest::read(payload.clone())?;
    request.attributes.0.retain(|attribute| kinds.contains(&attribute.kind()));
    Ok(Some(written(&request, payload.version, Tag::REQUEST_PAYLOAD)))
}

/// The object that an item reads, where it names it.
pub(super) fn read_object(operation: Operation, payload: &Item<'_>) -> Option<String> {
    let payload = payload.clone();
    let id = match operation {
        Operation::Get => GetRequest::read(payload).ok()?.unique_identifier,
        Operation::GetAttributes => GetAttributesRequest::read(payload).ok()?.unique_identifier,
        Operation::GetAttributeList => GetAttributeListRequest::read(payload).ok()?.unique_identifier,
        _ => None,
    };
    match id {
        Some(UniqueIdentifier::Text(id)) => Some(id),
        _ => None,
    }
}

/// The answer to a Locate without the objects that are to be left out.
pub(super) fn without(
    operation: Operation,
    payload: &Item<'_>,
    leave_out: impl Fn(&str) -> bool,
) -> Result<Option<Secret>, DecodeError> {
    if operation != Operation::Locate {
        return Ok(None);
    }
    let mut response = LocateResponse::read(payload.clone())?;
    response.unique_identifiers.retain(|id| !leave_out(id));
    Ok(Some(written(&response, payload.version, Tag::RESPONSE_PAYLOAD)))
}

/// An answer's payload as the persona gives it, where that is not as it came.
pub(super) fn response(
    persona: &Persona,
    operation: Operation,
    payload: &Item<'_>,
) -> Result<Option<Secret>, DecodeError> {
    let version = payload.version;
    let payload = payload.clone();
    let changed = match operation {
        Operation::DiscoverVersions => {
            let mut response = DiscoverVersionsResponse::read(payload)?;
            response.versions.retain(|version| persona.speaks(*version));
            written(&response, version, Tag::RESPONSE_PAYLOAD)
        }
        Operation::Query => {
            let mut response = QueryResponse::read(payload)?;
            describe(persona, &mut response);
            written(&response, version, Tag::RESPONSE_PAYLOAD)
        }
        Operation::GetAttributes => {
            let mut response = GetAttributesResponse::read(payload)?;
            response.attributes.0.retain(|attribute| keeps(persona, &AttributeReference::to(attribute)));
            written(&response, version, Tag::RESPONSE_PAYLOAD)
        }
        Operation::GetAttributeList => {
            let mut response = GetAttributeListResponse::read(payload)?;
            response.attributes.0.retain(|reference| keeps(persona, reference));
            written(&response, version, Tag::RESPONSE_PAYLOAD)
        }
        _ => return Ok(None),
    };
    Ok(Some(changed))
}

fn describe(persona: &Persona, response: &mut QueryResponse) {
    response.operations.retain(|operation| persona.operates(*operation));
    for does in persona.all() {
        match does {
            Does::ListsNoObjects => response.object_types.clear(),
            Does::Calls(name) if response.vendor_identification.is_some() => {
                response.vendor_identification = Some((*name).to_owned());
            }
            _ => {}
        }
    }
}

fn keeps(persona: &Persona, reference: &AttributeReference) -> bool {
    persona.all().all(|does| match (does, reference) {
        (Does::Keeps(kinds), AttributeReference::Standard(kind)) => kinds.contains(kind),
        (Does::Keeps(_), _) => false,
        _ => true,
    })
}

fn written(value: &impl Value, version: Version, tag: Tag) -> Secret {
    let mut writer = Writer::new(version);
    value.write(&mut writer, tag);
    Secret::new(writer.into_bytes())
}
