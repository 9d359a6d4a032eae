//! Login, Delegated Login and Logout (KMIP 2.1 sections 6.1.30, 6.1.12 and 6.1.31).

use std::sync::Arc;

use kms_protocol::DateTime;
use kms_protocol::attribute::UsageLimits;
use kms_protocol::operation::{
    DelegatedLoginRequest, DelegatedLoginResponse, LeaseTime, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse,
};

use crate::kms::tickets::{Granted, settled};
use crate::kms::{Context, Kms, Reason, Refusal};
use crate::limits;

pub(in crate::kms) fn login(
    kms: &Kms,
    request: LoginRequest,
    context: &mut Context<'_>,
) -> Result<LoginResponse, Refusal> {
    let granted = granted(request.lease_time, request.request_count, request.usage_limits, context)?;
    Ok(LoginResponse { ticket: kms.give_out(granted, context.now)? })
}

pub(in crate::kms) fn delegated_login(
    kms: &Kms,
    request: DelegatedLoginRequest,
    context: &mut Context<'_>,
) -> Result<DelegatedLoginResponse, Refusal> {
    kms.may_create(context)?;
    let rights = settled(request.rights, context)?;
    let granted = Granted {
        rights: Some(Arc::new(rights)),
        ..granted(request.lease_time, request.request_count, request.usage_limits, context)?
    };
    Ok(DelegatedLoginResponse { ticket: kms.give_out(granted, context.now)? })
}

pub(in crate::kms) fn logout(
    kms: &Kms,
    request: LogoutRequest,
    context: &mut Context<'_>,
) -> Result<LogoutResponse, Refusal> {
    let granted = kms.make_void(&request.ticket, context.now)?;
    context.record.owner = Some(granted.holder);
    Ok(LogoutResponse {})
}

/// What a request asks a ticket for.
fn granted(
    lease: Option<LeaseTime>,
    requests: Option<i32>,
    limits: Option<UsageLimits>,
    context: &Context<'_>,
) -> Result<Granted, Refusal> {
    if context.caller.ticket.is_some() {
        return Err(Refusal::new(
            Reason::Denied,
            "a ticket does not get further tickets: ask without one, over a connection of your own",
        ));
    }
    let positive =
        requests.is_none_or(|count| count > 0) && limits.as_ref().is_none_or(|limits| limits.total > 0);
    if !positive {
        return Err(Refusal::new(
            Reason::InvalidField,
            "Request Count and Usage Limits Total have to be above zero: a ticket for nothing is of no use",
        ));
    }
    Ok(Granted {
        holder: context.caller.principal.clone(),
        until: until(lease, context.now)?,
        requests,
        limits: limits.map(|limits| UsageLimits { count: Some(limits.total), ..limits }),
        rights: None,
    })
}

fn until(lease: Option<LeaseTime>, now: DateTime) -> Result<DateTime, Refusal> {
    let until = match lease {
        None => now.plus(limits::TICKET_LEASE),
        Some(LeaseTime::For(interval)) => now.plus(i64::from(interval.0)),
        Some(LeaseTime::Until(date)) => date,
    };
    if until <= now || until > now.plus(limits::TICKET_LEASE_MOST) {
        return Err(Refusal::new(
            Reason::InvalidField,
            format!("Lease Time of a ticket ends after now and within {} seconds", limits::TICKET_LEASE_MOST),
        ));
    }
    Ok(until)
}
