//! PKCS#11 (KMIP 2.1 section 6.1.38): the functions that every library has, and no token behind them.

use kms_protocol::Secret;
use kms_protocol::enums::{Enumeration as _, Pkcs11Function, Pkcs11ReturnCode};
use kms_protocol::operation::{Pkcs11Call, Pkcs11Request, Pkcs11Response};
use kms_protocol::ttlv::Bytes;

use crate::crypto::cipher;
use crate::kms::{Context, Kms, Reason, Refusal};

/// The interface that PKCS#11 3.0 gives its functions (CK_INTERFACE).
const INTERFACE: &str = "PKCS 11";

/// Bytes of the value by which a client's calls belong together.
const CORRELATION: usize = 16;

pub(in crate::kms) fn pkcs_11(
    _: &Kms,
    request: Pkcs11Request,
    _: &mut Context<'_>,
) -> Result<Pkcs11Response, Refusal> {
    if let Some(interface) = request.interface.filter(|interface| interface != INTERFACE) {
        return Err(Refusal::new(
            Reason::Pkcs11Interface,
            format!("the interface {interface:?} is not known here: leave it out, or state {INTERFACE:?}"),
        ));
    }
    if !matches!(request.function, Pkcs11Call::Standard(function) if function.name().is_some()) {
        return Err(Refusal::new(Reason::Pkcs11Function, "PKCS#11 3.0 has no such function"));
    }
    let mut response = Pkcs11Response {
        interface: None,
        function: request.function,
        correlation_value: None,
        output_parameters: None,
        return_code: Pkcs11ReturnCode::Ok,
    };
    match request.function {
        Pkcs11Call::Standard(Pkcs11Function::Initialize) => {
            response.correlation_value = Some(Bytes(cipher::random(CORRELATION)?));
        }
        Pkcs11Call::Standard(Pkcs11Function::Finalize) => {}
        Pkcs11Call::Standard(Pkcs11Function::GetInfo) => response.output_parameters = Some(information()),
        _ => response.return_code = Pkcs11ReturnCode::FunctionNotSupported,
    }
    Ok(response)
}

/// CK_INFO as the PKCS#11 profile encodes it: version of the interface, manufacturer, flags, library and its version.
fn information() -> Secret {
    let padded = |text: &str| {
        let mut field = text.as_bytes().to_vec();
        field.resize(32, b' ');
        field
    };
    let mut bytes = vec![2, 40];
    bytes.extend(padded("kms-server"));
    bytes.extend([0; 8]);
    bytes.extend(padded("KMIP key management server"));
    bytes.extend([0, 1]);
    Secret::new(bytes)
}
