//! Set Defaults, Set Constraints and Get Constraints (KMIP 2.1 sections 6.1.53, 6.1.52 and 6.1.22).

use kms_protocol::attribute::Attributes;
use kms_protocol::enums::Operation;
use kms_protocol::operation::{
    Constraints, GetConstraintsRequest, GetConstraintsResponse, SetConstraintsRequest,
    SetConstraintsResponse, SetDefaultsRequest, SetDefaultsResponse,
};

use crate::kms::new_object::requested;
use crate::kms::{Context, Kms, Refusal};

pub(in crate::kms) fn set_defaults(
    kms: &Kms,
    request: SetDefaultsRequest,
    context: &mut Context<'_>,
) -> Result<SetDefaultsResponse, Refusal> {
    let defaults = request.defaults.unwrap_or_default();
    for one in &defaults.object_defaults {
        // What no client may state for an object, no default can.
        requested(&Attributes::default(), &Attributes::from(one.attributes.0.clone()))?;
    }
    kms.set_rules(context, |rules| rules.defaults = defaults)?;
    Ok(SetDefaultsResponse {})
}

pub(in crate::kms) fn set_constraints(
    kms: &Kms,
    request: SetConstraintsRequest,
    context: &mut Context<'_>,
) -> Result<SetConstraintsResponse, Refusal> {
    kms.set_rules(context, |rules| rules.constraints = request.constraints)?;
    Ok(SetConstraintsResponse {})
}

/// The constraints that are applied to objects of the caller's, as they were set.
pub(in crate::kms) fn get_constraints(
    kms: &Kms,
    _: GetConstraintsRequest,
    context: &mut Context<'_>,
) -> Result<GetConstraintsResponse, Refusal> {
    kms.may_create(context)?;
    let all = kms.rules_for(&context.caller.principal, Operation::SetConstraints)?;
    let constraints = all.into_iter().flat_map(|rules| rules.constraints.constraints).collect();
    Ok(GetConstraintsResponse { constraints: Constraints { constraints } })
}
