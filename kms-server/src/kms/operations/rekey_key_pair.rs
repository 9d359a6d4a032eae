//! Re-key Key Pair (KMIP 1.4 section 4.5).

use kms_protocol::attribute::{AttributeKind, Attributes};
use kms_protocol::enums::UniqueIdentifierPlaceholder as Placeholder;
use kms_protocol::operation::{RekeyKeyPairRequest, RekeyKeyPairResponse};

use crate::kms::recorded::By;
use crate::kms::rotation::Dates;
use crate::kms::{Cause, Context, Kms, Reason, Refusal};

pub(in crate::kms) fn rekey_key_pair(
    kms: &Kms,
    request: RekeyKeyPairRequest,
    context: &mut Context<'_>,
) -> Result<RekeyKeyPairResponse, Refusal> {
    let old = kms.find(request.private_key_unique_identifier.as_ref(), context)?;
    let attributes = [&request.common, &request.private_key, &request.public_key];
    let dates = match request.offset {
        None => Dates::Copied,
        Some(_) if attributes.iter().any(|attributes| states_a_date(attributes)) => {
            return Err(Refusal::new(
                Reason::InvalidMessage,
                "Offset may not be stated together with an Activation or Deactivation Date",
            ));
        }
        Some(offset) => Dates::Offset(i64::from(offset.0)),
    };
    // Who re-keys by hand decides about the old pair by hand: its State does not change by itself (section 4.5).
    let by = |_: &_, _: &_| (dates, None);
    let new = kms.rotate(old, attributes, by, Cause::Client, By::Client(context))?.new;
    let made_by =
        [Placeholder::RekeyKeyPair, Placeholder::RekeyKeyPairPrivateKey, Placeholder::RekeyKeyPairPublicKey];
    context.made.note_pair(made_by, &new.private.id, &new.public.id);
    Ok(RekeyKeyPairResponse {
        private_key_unique_identifier: new.private.id,
        public_key_unique_identifier: new.public.id,
        private_key: Attributes::default(),
        public_key: Attributes::default(),
    })
}

fn states_a_date(attributes: &Attributes) -> bool {
    attributes.list.iter().any(|attribute| {
        matches!(attribute.kind(), AttributeKind::ActivationDate | AttributeKind::DeactivationDate)
    })
}
