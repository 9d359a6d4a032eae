//! MAC Verify (KMIP 1.4 section 4.34).

use kms_protocol::attribute::CryptographicUsageMask;
use kms_protocol::enums::ValidityIndicator;
use kms_protocol::operation::{MacVerifyRequest, MacVerifyResponse};

use super::decrypt::may_process;
use super::encrypt::{allowed, missing_data};
use super::mac::{coder, is_for_codes};
use crate::kms::streams::{Indicators, Work};
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn mac_verify(
    kms: &Kms,
    request: MacVerifyRequest,
    context: &mut Context<'_>,
) -> Result<MacVerifyResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    is_for_codes(&object)?;
    may_process(kms, &object, context)?;
    allowed(&object, CryptographicUsageMask::MAC_VERIFY, "MAC Verify")?;
    let indicators = Indicators {
        correlation: request.correlation_value.as_ref(),
        init: request.init_indicator,
        last: request.final_indicator,
    };
    let data = request.data.ok_or_else(missing_data)?;
    let mut part = kms.part(&indicators, &object.id, context, || {
        Ok(Work::Code(coder(kms, &object, request.cryptographic_parameters)?, None))
    })?;
    let (is_last, id) = (part.is_last, object.id);
    let Work::Code(coder, code) = &mut part.work else { return Err(missing_data()) };
    coder.update(&data.0);
    if request.mac_data.is_some() {
        *code = request.mac_data;
    }
    if !is_last {
        let correlation_value = Some(kms.go_on_later(part, &id, context)?);
        return Ok(MacVerifyResponse { unique_identifier: id, validity_indicator: None, correlation_value });
    }
    match part.work {
        Work::Code(coder, Some(code)) => {
            let validity =
                if coder.proves(&code.0) { ValidityIndicator::Valid } else { ValidityIndicator::Invalid };
            Ok(MacVerifyResponse {
                unique_identifier: id,
                validity_indicator: Some(validity),
                correlation_value: None,
            })
        }
        _ => Err(Refusal::new(Reason::MissingData, "MAC Data is missing")),
    }
}
