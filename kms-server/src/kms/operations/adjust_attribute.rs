//! Adjust Attribute (KMIP 2.1 section 6.1.3).

use kms_protocol::attribute::{Attribute, CustomAttribute};
use kms_protocol::enums::AdjustmentType;
use kms_protocol::operation::{AdjustAttributeRequest, AdjustAttributeResponse};
use kms_protocol::ttlv::{Bytes, Interval, ItemType, RawValue};

use super::change_attribute::{instance, replace};
use crate::kms::attributes;
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn adjust_attribute(
    kms: &Kms,
    request: AdjustAttributeRequest,
    context: &mut Context<'_>,
) -> Result<AdjustAttributeResponse, Refusal> {
    let by = match &request.adjustment_value {
        None => 1,
        Some(value) => number(value)
            .ok_or_else(|| Refusal::new(Reason::InvalidField, "the Adjustment Value is not a number"))?,
    };
    let now = context.now;
    let object = kms.change_attributes(request.unique_identifier.as_ref(), context, |object| {
        // What every object has need not be written down yet.
        if object.attributes.iter().all(|one| !request.attribute.names(one)) {
            let given = attributes::all(object, now).into_iter().find(|one| request.attribute.names(one));
            object.attributes.extend(given);
        }
        let at = instance(object, &request.attribute, None, None, true)?;
        let current = object.attributes.get(at).cloned();
        let adjusted = current.as_ref().and_then(|current| adjusted(current, request.adjustment_type, by));
        let adjusted = adjusted.ok_or_else(|| {
            Refusal::new(
                Reason::InvalidField,
                "the attribute cannot be adjusted so: numbers are incremented and decremented within their range, and Booleans negated",
            )
        })?;
        let kind = adjusted.kind();
        replace(object, at, adjusted, now)?;
        Ok(kind)
    })?;
    Ok(AdjustAttributeResponse { unique_identifier: object.id })
}

fn adjusted(attribute: &Attribute, how: AdjustmentType, by: i64) -> Option<Attribute> {
    let number = |value: i64| match how {
        AdjustmentType::Increment => value.checked_add(by),
        AdjustmentType::Decrement => value.checked_sub(by),
        AdjustmentType::Negate => value.checked_neg(),
        AdjustmentType::Other(_) => None,
    };
    let negates = how == AdjustmentType::Negate;
    Some(match attribute {
        Attribute::Sensitive(value) if negates => Attribute::Sensitive(!value),
        Attribute::Extractable(value) if negates => Attribute::Extractable(!value),
        Attribute::QuantumSafe(value) if negates => Attribute::QuantumSafe(!value),
        Attribute::ProtectionPeriod(Interval(value)) => {
            Attribute::ProtectionPeriod(Interval(u32::try_from(number(i64::from(*value))?).ok()?))
        }
        Attribute::Custom(custom) => {
            let RawValue { item_type, .. } = custom.value;
            let bytes = match item_type {
                ItemType::Integer => {
                    i32::try_from(number(self::number(&custom.value)?)?).ok()?.to_be_bytes().to_vec()
                }
                ItemType::LongInteger | ItemType::DateTime => {
                    number(self::number(&custom.value)?)?.to_be_bytes().to_vec()
                }
                ItemType::Interval => {
                    u32::try_from(number(self::number(&custom.value)?)?).ok()?.to_be_bytes().to_vec()
                }
                ItemType::Boolean if negates => {
                    u64::from(custom.value.bytes.0.last() == Some(&0)).to_be_bytes().to_vec()
                }
                _ => return None,
            };
            Attribute::Custom(CustomAttribute {
                value: RawValue { item_type, bytes: Bytes(bytes) },
                ..custom.clone()
            })
        }
        _ => return None,
    })
}

/// The number that a value of any numeric type is.
fn number(value: &RawValue) -> Option<i64> {
    let bytes = &value.bytes.0;
    match value.item_type {
        ItemType::Integer => {
            bytes.as_slice().try_into().ok().map(|bytes| i64::from(i32::from_be_bytes(bytes)))
        }
        ItemType::Interval => {
            bytes.as_slice().try_into().ok().map(|bytes| i64::from(u32::from_be_bytes(bytes)))
        }
        ItemType::LongInteger | ItemType::DateTime => {
            bytes.as_slice().try_into().ok().map(i64::from_be_bytes)
        }
        _ => None,
    }
}
