//! Create Key Pair (KMIP 1.4 section 4.2).

use kms_protocol::attribute::Attributes;
use kms_protocol::enums::UniqueIdentifierPlaceholder as Placeholder;
use kms_protocol::operation::{CreateKeyPairRequest, CreateKeyPairResponse};

use crate::kms::{Context, Kms, Refusal};

pub(in crate::kms) fn create_key_pair(
    kms: &Kms,
    request: CreateKeyPairRequest,
    context: &mut Context<'_>,
) -> Result<CreateKeyPairResponse, Refusal> {
    kms.may_create(context)?;
    let attributes = [&request.common, &request.private_key, &request.public_key];
    let pair = kms.create_pair(attributes, context)?;
    let made_by = [
        Placeholder::CreateKeyPair,
        Placeholder::CreateKeyPairPrivateKey,
        Placeholder::CreateKeyPairPublicKey,
    ];
    context.made.note_pair(made_by, &pair.private.id, &pair.public.id);
    Ok(CreateKeyPairResponse {
        private_key_unique_identifier: pair.private.id,
        public_key_unique_identifier: pair.public.id,
        private_key: Attributes::default(),
        public_key: Attributes::default(),
    })
}
