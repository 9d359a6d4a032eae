//! Archive and Recover (KMIP 1.4 sections 4.22 and 4.23). The archive is a place in the same store: what is in it is not
//! found and not used until it is asked for.

use kms_protocol::attribute::{Attribute, AttributeKind};
use kms_protocol::operation::{ArchiveRequest, ArchiveResponse, RecoverRequest, RecoverResponse};

use crate::kms::{Context, Kms, Refusal};

pub(in crate::kms) fn archive(
    kms: &Kms,
    request: ArchiveRequest,
    context: &mut Context<'_>,
) -> Result<ArchiveResponse, Refusal> {
    let now = context.now;
    let object = kms.change_or_not(request.unique_identifier.as_ref(), context, |object| {
        object.set(Attribute::ArchiveDate(now));
        object.set(Attribute::LastChangeDate(now));
        Ok(None)
    })?;
    kms.keys.forget(&object.id);
    Ok(ArchiveResponse { unique_identifier: object.id })
}

pub(in crate::kms) fn recover(
    kms: &Kms,
    request: RecoverRequest,
    context: &mut Context<'_>,
) -> Result<RecoverResponse, Refusal> {
    let now = context.now;
    let object = kms.change_or_not(request.unique_identifier.as_ref(), context, |object| {
        if object.has(AttributeKind::ArchiveDate) {
            object.remove(AttributeKind::ArchiveDate);
            object.set(Attribute::LastChangeDate(now));
        }
        Ok(None)
    })?;
    Ok(RecoverResponse { unique_identifier: object.id })
}
