//! RNG Retrieve and RNG Seed (KMIP 1.4 sections 4.35 and 4.36).

use std::sync::PoisonError;

use kms_protocol::operation::{RngRetrieveRequest, RngRetrieveResponse, RngSeedRequest, RngSeedResponse};

use crate::crypto::seeds::Pool;
use crate::kms::policy::Seeding;
use crate::kms::{Context, Kms, Reason, Refusal};
use crate::limits;

/// What clients have given to the generator.
pub(in crate::kms) type Seeds = Pool;

pub(in crate::kms) fn rng_retrieve(
    kms: &Kms,
    request: RngRetrieveRequest,
    _: &mut Context<'_>,
) -> Result<RngRetrieveResponse, Refusal> {
    let length = usize::try_from(request.data_length).ok().filter(|length| *length <= limits::RANDOM);
    let length = length.ok_or_else(|| {
        Refusal::new(
            Reason::InvalidField,
            format!("Data Length is {}: 0 to {} bytes can be had", request.data_length, limits::RANDOM),
        )
    })?;
    let seeds = kms.seeds.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(RngRetrieveResponse { data: seeds.random(length)? })
}

pub(in crate::kms) fn rng_seed(
    kms: &Kms,
    request: RngSeedRequest,
    _: &mut Context<'_>,
) -> Result<RngSeedResponse, Refusal> {
    let taken = match kms.policies.load().random_seeds {
        Seeding::All => request.data.len(),
        Seeding::Half => request.data.len() / 2,
        Seeding::None => 0,
        Seeding::Refused => {
            return Err(Refusal::new(
                Reason::Denied,
                "by policy clients give nothing to the generator of random numbers",
            ));
        }
    };
    if taken > 0 {
        kms.seeds.lock().unwrap_or_else(PoisonError::into_inner).take(&request.data, taken);
    }
    Ok(RngSeedResponse { data_length: i32::try_from(taken).unwrap_or(i32::MAX) })
}
