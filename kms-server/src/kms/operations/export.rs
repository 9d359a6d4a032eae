//! Export (KMIP 1.4 section 4.41): an object with all its attributes.

use kms_protocol::attribute::AttributeList;
use kms_protocol::operation::{ExportRequest, ExportResponse, GetRequest};

use super::get::taken_out;
use crate::kms::{Context, Kms, Refusal, attributes};

pub(in crate::kms) fn export(
    kms: &Kms,
    request: ExportRequest,
    context: &mut Context<'_>,
) -> Result<ExportResponse, Refusal> {
    let request = GetRequest {
        unique_identifier: request.unique_identifier,
        key_format_type: request.key_format_type,
        key_wrap_type: request.key_wrap_type,
        key_compression_type: request.key_compression_type,
        key_wrapping_specification: request.key_wrapping_specification,
    };
    let (object, content) = taken_out(kms, &request, context)?;
    Ok(ExportResponse {
        object_type: object.object_type,
        attributes: AttributeList(attributes::all(&object, context.now)),
        unique_identifier: object.id,
        object: content,
    })
}
