//! Obtain Lease (KMIP 1.4 section 4.17).

use kms_protocol::attribute::Attribute;
use kms_protocol::operation::{ObtainLeaseRequest, ObtainLeaseResponse};
use kms_protocol::ttlv::Interval;

use crate::kms::{Context, Kms, Refusal};
use crate::limits;

pub(in crate::kms) fn obtain_lease(
    kms: &Kms,
    request: ObtainLeaseRequest,
    context: &mut Context<'_>,
) -> Result<ObtainLeaseResponse, Refusal> {
    let object = kms.find(request.unique_identifier.as_ref(), context)?;
    let last_change_date = object.attributes.iter().find_map(|attribute| match attribute {
        Attribute::LastChangeDate(date) => Some(*date),
        _ => None,
    });
    Ok(ObtainLeaseResponse {
        lease_time: Interval(limits::LEASE),
        last_change_date: last_change_date.or(object.initial_date()).unwrap_or(context.now),
        unique_identifier: object.id,
    })
}
