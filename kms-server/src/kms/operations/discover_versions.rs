//! Discover Versions (KMIP 1.4 section 4.26).

use kms_protocol::operation::{DiscoverVersionsRequest, DiscoverVersionsResponse};

use crate::kms::{Context, Kms, Refusal, VERSIONS};

pub(in crate::kms) fn discover_versions(
    _: &Kms,
    request: DiscoverVersionsRequest,
    _: &mut Context<'_>,
) -> Result<DiscoverVersionsResponse, Refusal> {
    let versions = if request.versions.is_empty() {
        VERSIONS.to_vec()
    } else {
        request.versions.into_iter().filter(|version| VERSIONS.contains(version)).collect()
    };
    Ok(DiscoverVersionsResponse { versions })
}
