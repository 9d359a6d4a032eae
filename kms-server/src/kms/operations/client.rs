//! What touches no object: Interop, Log, Ping and Set Endpoint Role (KMIP 2.1 sections 6.1.28, 6.1.31, 6.1.38 and 6.1.54).

use kms_protocol::enums::EndpointRole;
use kms_protocol::operation::{
    InteropRequest, InteropResponse, LogRequest, LogResponse, PingRequest, PingResponse,
    SetEndpointRoleRequest, SetEndpointRoleResponse,
};

use crate::audit::bounded;
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn interop(
    _: &Kms,
    request: InteropRequest,
    context: &mut Context<'_>,
) -> Result<InteropResponse, Refusal> {
    let case = request.interop_identifier.as_deref().map(bounded).unwrap_or_default();
    context.record.detail = Some(format!("{}: {case}", request.interop_function));
    Ok(InteropResponse {})
}

pub(in crate::kms) fn log(
    _: &Kms,
    request: LogRequest,
    context: &mut Context<'_>,
) -> Result<LogResponse, Refusal> {
    context.record.detail = Some(bounded(&request.log_message));
    Ok(LogResponse {})
}

pub(in crate::kms) fn ping(_: &Kms, _: PingRequest, _: &mut Context<'_>) -> Result<PingResponse, Refusal> {
    Ok(PingResponse {})
}

/// The core takes either role; the connection changes sides once the answer is sent.
pub(in crate::kms) fn set_endpoint_role(
    _: &Kms,
    request: SetEndpointRoleRequest,
    _: &mut Context<'_>,
) -> Result<SetEndpointRoleResponse, Refusal> {
    match request.endpoint_role {
        role @ (EndpointRole::Client | EndpointRole::Server) => {
            Ok(SetEndpointRoleResponse { endpoint_role: role })
        }
        other => {
            Err(Refusal::new(Reason::InvalidField, format!("{other} is no role: ask for Client or Server")))
        }
    }
}
