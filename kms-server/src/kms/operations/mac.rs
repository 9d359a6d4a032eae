//! MAC (KMIP 1.4 section 4.33), and what MAC Verify shares with it.

use kms_protocol::attribute::{CryptographicParameters, CryptographicUsageMask};
use kms_protocol::enums::ObjectType;
use kms_protocol::operation::{MacRequest, MacResponse};
use kms_protocol::ttlv::Bytes;

use super::encrypt::{allowed, charge, missing_data, parameters};
use crate::crypto::mac::Coder;
use crate::kms::model::Object;
use crate::kms::streams::{Indicators, Part, Work};
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};

pub(in crate::kms) fn mac(
    kms: &Kms,
    request: MacRequest,
    context: &mut Context<'_>,
) -> Result<MacResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    is_for_codes(&object)?;
    lifecycle::may_protect(&object, context.now)?;
    allowed(&object, CryptographicUsageMask::MAC_GENERATE, "MAC Generate")?;
    let indicators = Indicators {
        correlation: request.correlation_value.as_ref(),
        init: request.init_indicator,
        last: request.final_indicator,
    };
    let data = request.data.ok_or_else(missing_data)?;
    charge(kms, &object, data.0.len(), context)?;
    let mut part = kms.part(&indicators, &object.id, context, || {
        Ok(Work::Code(coder(kms, &object, request.cryptographic_parameters)?, None))
    })?;
    let id = object.id;
    match part {
        Part { work: Work::Code(mut coder, _), is_last: true, .. } => {
            coder.update(&data.0);
            Ok(MacResponse {
                unique_identifier: id,
                mac_data: Some(Bytes(coder.finish())),
                correlation_value: None,
            })
        }
        Part { work: Work::Code(ref mut coder, _), .. } => {
            coder.update(&data.0);
            let correlation_value = Some(kms.go_on_later(part, &id, context)?);
            Ok(MacResponse { unique_identifier: id, mac_data: None, correlation_value })
        }
        _ => Err(missing_data()),
    }
}

/// Whether an object can be the key of a code.
pub(in crate::kms) fn is_for_codes(object: &Object) -> Result<(), Refusal> {
    match object.object_type {
        ObjectType::SymmetricKey | ObjectType::SecretData => Ok(()),
        other => Err(Refusal::new(
            Reason::WrongObjectType,
            format!("this is a {other}; it is a Symmetric Key or Secret Data that authenticates"),
        )),
    }
}

/// A code under an object's key.
pub(in crate::kms) fn coder(
    kms: &Kms,
    object: &Object,
    stated: Option<CryptographicParameters>,
) -> Result<Coder, Refusal> {
    let parameters = parameters(object, stated);
    Ok(Coder::new(object.algorithm(), &parameters, &kms.key_bytes(object)?)?)
}
