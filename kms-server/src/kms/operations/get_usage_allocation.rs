//! Get Usage Allocation (KMIP 1.4 section 4.18).

use kms_protocol::attribute::{Attribute, UsageLimits};
use kms_protocol::operation::{GetUsageAllocationRequest, GetUsageAllocationResponse};

use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};

pub(in crate::kms) fn get_usage_allocation(
    kms: &Kms,
    request: GetUsageAllocationRequest,
    context: &mut Context<'_>,
) -> Result<GetUsageAllocationResponse, Refusal> {
    let now = context.now;
    let wanted = request.usage_limits_count;
    if wanted <= 0 {
        return Err(Refusal::new(Reason::InvalidField, "the Usage Limits Count asked for is not positive"));
    }
    let object = kms.change_or_not(request.unique_identifier.as_ref(), context, |object| {
        lifecycle::may_protect(object, now)?;
        let limits = object.usage_limits().cloned().ok_or_else(|| {
            Refusal::new(
                Reason::AttributeNotFound,
                "the object has no Usage Limits, so it needs no allocation",
            )
        })?;
        object.set(Attribute::UsageLimits(used(limits, wanted)?));
        object.set(Attribute::LastChangeDate(now));
        Ok(None)
    })?;
    Ok(GetUsageAllocationResponse { unique_identifier: object.id })
}

/// Usage Limits less what is used now.
pub(super) fn used(limits: UsageLimits, units: i64) -> Result<UsageLimits, Refusal> {
    let left = limits.count.unwrap_or(limits.total).checked_sub(units).filter(|left| *left >= 0);
    let left = left.ok_or_else(|| {
        Refusal::new(
            Reason::UsageLimit,
            "the key's Usage Limits leave less than this: replace it by a new key",
        )
    })?;
    Ok(UsageLimits { count: Some(left), ..limits })
}
