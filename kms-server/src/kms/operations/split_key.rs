//! Create Split Key and Join Split Key (KMIP 1.4 sections 4.37 and 4.38).

use kms_protocol::Secret;
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
use crate::crypto::split;
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
    only_xor(request.method)?;
    if !(2..=limits::SPLIT_PARTS).contains(&request.parts) || request.threshold != request.parts {
        return Err(Refusal::new(
            Reason::InvalidField,
            format!(
                "by XOR all parts make the key, 2 to {} of them: Split Key Threshold equals Split Key Parts",
                limits::SPLIT_PARTS
            ),
        ));
    }
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
    let parts = split::split(&secret, usize::try_from(request.parts).unwrap_or(2))?;
    let (mut batch, mut events, mut ids) = (Batch::new(), Vec::new(), Vec::new());
    let attributes = Attributes::from(list);
    let sealing = kms.keyring.sealing();
    for (part, number) in parts.into_iter().zip(1..) {
        let taken = Taken::new(ManagedObject::SplitKey(SplitKey {
            parts: request.parts,
            part: number,
            threshold: request.threshold,
            method: request.method,
            prime_field_size: None,
            key_block: KeyBlock {
                key_format_type: KeyFormatType::Raw,
                key_compression_type: None,
                key_value: Some(KeyValue::bytes(part)),
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
    let mut parts: Vec<(i32, Secret)> = Vec::new();
    let mut needed = None;
    let mut kind = (None, None);
    for id in request.unique_identifiers.iter().take(usize::try_from(limits::SPLIT_PARTS).unwrap_or(64) + 1) {
        let object = kms.find(Some(id), context)?;
        of_type(&object, ObjectType::SplitKey, "is joined")?;
        may_leave(kms, &object, context)?;
        kind = (object.algorithm(), object.length());
        let ManagedObject::SplitKey(part) = kms.content(&object, None)? else { continue };
        only_xor(part.method)?;
        if *needed.get_or_insert(part.parts) != part.parts
            || parts.iter().any(|(number, _)| *number == part.part)
        {
            return Err(Refusal::new(
                Reason::InvalidField,
                "these are not parts of one key, each of them once",
            ));
        }
        parts.push((part.part, kms.key_bytes(&object)?));
    }
    if usize::try_from(needed.unwrap_or(0)) != Ok(parts.len()) {
        return Err(Refusal::new(
            Reason::InvalidField,
            format!(
                "the key has {} parts, all of which make it: {} are named",
                needed.unwrap_or(0),
                parts.len()
            ),
        ));
    }
    let secrets: Vec<Secret> = parts.into_iter().map(|(_, secret)| secret).collect();
    let joined = split::join(&secrets)?;
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

fn only_xor(method: SplitKeyMethod) -> Result<(), Refusal> {
    if method == SplitKeyMethod::Xor {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::UnsupportedParameters,
        format!("the Split Key Method {method} is not offered here: use XOR"),
    ))
}
