//! Hash (KMIP 1.4 section 4.39).

use kms_protocol::operation::{HashRequest, HashResponse};
use kms_protocol::ttlv::Bytes;

use super::encrypt::missing_data;
use crate::crypto::hash as hashes;
use crate::kms::streams::{Indicators, Work};
use crate::kms::{Context, Kms, Reason, Refusal};

pub(in crate::kms) fn hash(
    kms: &Kms,
    request: HashRequest,
    context: &mut Context<'_>,
) -> Result<HashResponse, Refusal> {
    let indicators = Indicators {
        correlation: request.correlation_value.as_ref(),
        init: request.init_indicator,
        last: request.final_indicator,
    };
    let data = request.data.ok_or_else(missing_data)?;
    let algorithm = request.cryptographic_parameters.hashing_algorithm;
    let mut part = kms.part(&indicators, "", context, || {
        let algorithm = algorithm
            .ok_or_else(|| Refusal::new(Reason::InvalidMessage, "the Hashing Algorithm is missing"))?;
        Ok(Work::Hash(hashes::start(algorithm)?))
    })?;
    let Work::Hash(hasher) = &mut part.work else { return Err(missing_data()) };
    hasher.update(&data.0);
    if !part.is_last {
        return Ok(HashResponse { data: None, correlation_value: Some(kms.go_on_later(part, "", context)?) });
    }
    match part.work {
        Work::Hash(hasher) => {
            Ok(HashResponse { data: Some(Bytes(hasher.finalize().into_vec())), correlation_value: None })
        }
        _ => Err(missing_data()),
    }
}
