//! Create Split Key and Join Split Key (KMIP 1.4 sections 4.37 and 4.38).

use kms_protocol::attribute::{Attribute, Attributes};
use kms_protocol::enums::{
    KeyFormatType, ObjectType, SecretDataType, SplitKeyMethod, UniqueIdentifierPlaceholder as Placeholder,
};
use kms_protocol::object::{KeyBlock, KeyValue, ManagedObject, SecretData, SplitKey};
use kms_protocol::operation::{
    CreateSplitKeyRequest, CreateSplitKeyResponse, JoinSplitKeyRequest, JoinSplitKeyResponse,
};

use super::encrypt::of_type;
use super::get::may_leave;
use crate::crypto::split::{self, Method, Part};
use crate::kms::content::Taken;
use crate::kms::keep::{Origin, new_key, raw_key};
use crate::kms::recorded::By;
use crate::kms::{Context, Event, Kms, Reason, Refusal};
use crate::limits;
use crate::store::Batch;

pub(in crate::kms) fn create_split_key(
    kms: &Kms,
    request: CreateSplitKeyRequest,
    context: &mut Context<'_>,
) -> Result<CreateSplitKeyResponse, Refusal> {
    kms.may_create(context)?;
    let method = method(request.method)?;
    let (count, threshold) = checked(method, request.parts, request.threshold)?;
    let list = kms.templated(&request.attributes, context)?;
    let (secret, algorithm, length) = match &request.unique_identifier {
        Some(id) => {
            let object = kms.find(Some(id), context)?;
            of_type(&object, request.object_type, "is to be split")?;
            may_leave(kms, &object, context)?;
            (kms.key_bytes(&object)?, object.algorithm(), object.length())
        }
        None if request.object_type == ObjectType::SymmetricKey => {
            let (secret, algorithm, length) = new_key(&list)?;
            (secret, Some(algorithm), Some(length))
        }
        None => {
            return Err(Refusal::new(
                Reason::InvalidField,
                "only a Symmetric Key is made to be split at once",
            ));
        }
    };
    let parts = split::split(method, &secret, count, threshold)?;
    let (mut batch, mut events, mut ids) = (Batch::new(), Vec::new(), Vec::new());
    let attributes = Attributes::from(list);
    let sealing = kms.keyring.sealing();
    for part in parts {
        let taken = Taken::new(ManagedObject::SplitKey(SplitKey {
            parts: request.parts,
            part: i32::from(part.number),
            threshold: request.threshold,
            method: request.method,
            prime_field_size: None,
            key_block: KeyBlock {
                key_format_type: KeyFormatType::Raw,
                key_compression_type: None,
                key_value: Some(KeyValue::bytes(part.bytes)),
                cryptographic_algorithm: algorithm,
                cryptographic_length: length,
                key_wrapping_data: None,
            },
        }))?;
        let mut object = kms.drawn_up(ObjectType::SplitKey, &attributes, &taken, Origin::Here, context)?;
        taken.fill(&mut object, &sealing)?;
        batch = batch.put(object.put());
        events.push(Event::made(&object));
        context.made.note(Placeholder::CreateSplitKey, &object.id);
        ids.push(object.id);
    }
    kms.commit(batch, events, By::Client(context))?;
    Ok(CreateSplitKeyResponse { unique_identifiers: ids, attributes: Attributes::default() })
}

pub(in crate::kms) fn join_split_key(
    kms: &Kms,
    request: JoinSplitKeyRequest,
    context: &mut Context<'_>,
) -> Result<JoinSplitKeyResponse, Refusal> {
    kms.may_create(context)?;
    let mut parts: Vec<Part> = Vec::new();
    let mut needed = None;
    let mut kind = (None, None);
    for id in request.unique_identifiers.iter().take(usize::try_from(limits::SPLIT_PARTS).unwrap_or(64) + 1) {
        let object = kms.find(Some(id), context)?;
        of_type(&object, ObjectType::SplitKey, "is joined")?;
        may_leave(kms, &object, context)?;
        kind = (object.algorithm(), object.length());
        let ManagedObject::SplitKey(part) = kms.content(&object, None)? else { continue };
        let is_another = *needed.get_or_insert((part.method, part.parts, part.threshold))
            != (part.method, part.parts, part.threshold);
        let number = u8::try_from(part.part).ok().filter(|_| (1..=part.parts).contains(&part.part));
        match number.filter(|number| !is_another && parts.iter().all(|part| part.number != *number)) {
            Some(number) => parts.push(Part { number, bytes: kms.key_bytes(&object)? }),
            None => {
                return Err(Refusal::new(
                    Reason::InvalidField,
                    "these are not parts of one key, each of them once",
                ));
            }
        }
    }
    let Some((of_method, count, threshold)) = needed else {
        return Err(Refusal::new(Reason::InvalidField, "no part is named: state Unique Identifiers"));
    };
    let method = method(of_method)?;
    let (_, threshold) = checked(method, count, threshold)?;
    if parts.len() < usize::from(threshold) {
        return Err(Refusal::new(
            Reason::InvalidField,
            format!("of the key's {count} parts {threshold} make it: {} are named", parts.len()),
        ));
    }
    let joined = split::join(method, &parts, threshold)?;
    let content = match request.object_type {
        ObjectType::SymmetricKey => raw_key(joined, kind.0, kind.1),
        ObjectType::SecretData => ManagedObject::SecretData(SecretData {
            secret_data_type: request.secret_data_type.unwrap_or(SecretDataType::Seed),
            key_block: KeyBlock {
                key_format_type: KeyFormatType::Opaque,
                key_compression_type: None,
                key_value: Some(KeyValue::bytes(joined)),
                cryptographic_algorithm: None,
                cryptographic_length: None,
                key_wrapping_data: None,
            },
        }),
        other => {
            return Err(Refusal::new(
                Reason::InvalidField,
                format!("parts make a Symmetric Key or Secret Data here, not a {other}"),
            ));
        }
    };
    let taken = Taken::new(content)?;
    let mut list = kms.templated(&request.attributes, context)?;
    list.retain(|one| !matches!(one, Attribute::ObjectType(_)));
    let object =
        kms.keep(request.object_type, &Attributes::from(list), &taken, Origin::Elsewhere, context)?;
    context.made.note(Placeholder::JoinSplitKey, &object.id);
    Ok(JoinSplitKeyResponse {
        object_type: Some(object.object_type),
        unique_identifier: object.id,
        attributes: Attributes::default(),
    })
}

fn method(stated: SplitKeyMethod) -> Result<Method, Refusal> {
    match stated {
        SplitKeyMethod::Xor => Ok(Method::Xor),
        SplitKeyMethod::PolynomialSharingGf28 => Ok(Method::Gf256),
        other => Err(Refusal::new(
            Reason::UnsupportedParameters,
            format!(
                "the Split Key Method {other} is not offered here: use Polynomial Sharing GF (2^8), or XOR"
            ),
        )),
    }
}

/// Split Key Parts and Split Key Threshold, as they may be.
fn checked(method: Method, parts: i32, threshold: i32) -> Result<(u8, u8), Refusal> {
    let refused = |what: String| Refusal::new(Reason::InvalidField, what);
    let most = limits::SPLIT_PARTS;
    let count = u8::try_from(parts).ok().filter(|_| (2..=most).contains(&parts));
    let count = count.ok_or_else(|| refused(format!("Split Key Parts are 2 to {most}")))?;
    let needed = u8::try_from(threshold).ok().filter(|needed| (2..=count).contains(needed));
    let needed =
        needed.ok_or_else(|| refused("the Split Key Threshold is 2 to the Split Key Parts".to_owned()))?;
    if method == Method::Xor && needed != count {
        return Err(refused(
            "by XOR all parts make the key: Split Key Threshold equals Split Key Parts".to_owned(),
        ));
    }
    Ok((count, needed))
}
