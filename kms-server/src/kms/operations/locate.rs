//! Locate (KMIP 1.4 section 4.9).

use kms_protocol::DateTime;
use kms_protocol::enums::UniqueIdentifierPlaceholder as Placeholder;
use kms_protocol::operation::{LocateCriteria, LocateResponse};

use crate::kms::access::Verdict;
use crate::kms::locate::{Candidates, Filter};
use crate::kms::model::{group_key, link_key, name_key, owner_key};
use crate::kms::{Context, Kms, Reason, Refusal};
use crate::limits;
use crate::store::{Index, Keys, Order, Scan};

pub(in crate::kms) fn locate(
    kms: &Kms,
    request: LocateCriteria,
    context: &mut Context<'_>,
) -> Result<LocateResponse, Refusal> {
    if context.looked_at > limits::LOOKED_AT {
        return Err(Refusal::new(
            Reason::Limit,
            format!(
                "the Locates before this one have looked at {} objects; ask for it in another request",
                context.looked_at
            ),
        ));
    }
    let bound = |field: Option<i32>, name| match field.map(usize::try_from) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Refusal::new(Reason::InvalidField, format!("{name} is negative"))),
    };
    let most = bound(request.maximum_items, "Maximum Items")?.unwrap_or(limits::LOCATED).min(limits::LOCATED);
    let skip = bound(request.offset_items, "Offset Items")?.unwrap_or(0);
    let filter = Filter::new(request.criteria, request.storage_status_mask, request.object_group_member);
    let mut found = Vec::new();
    let (mut matched, mut looked_at) = (0_usize, 0_usize);
    let complete = each_candidate(kms, &filter.candidates(), context, |id| {
        looked_at += 1;
        let object = kms.fetch(id)?.filter(|object| kms.verdict(object, context) == Verdict::Allowed);
        if object.is_some_and(|object| filter.matches(&object, context.now)) {
            matched += 1;
            if matched > skip && found.len() < most {
                found.push(id.to_owned());
            }
        }
        Ok(found.len() < most)
    })?;
    context.looked_at += looked_at;
    found.iter().for_each(|id| context.touch(id, None));
    match found.as_slice() {
        [only] => context.made.note(Placeholder::Locate, only),
        _ => context.made.forget(),
    }
    // The number of all matches is told to clients that page, where all were looked at. Others may not expect it.
    let told = complete && request.offset_items.is_some();
    let located_items = told.then(|| i32::try_from(matched).unwrap_or(i32::MAX));
    Ok(LocateResponse { located_items, unique_identifiers: found })
}

/// Shows candidates to `see`, newest first, until it has enough; whether all were shown.
fn each_candidate(
    kms: &Kms,
    candidates: &Candidates,
    context: &Context<'_>,
    mut see: impl FnMut(&str) -> Result<bool, Refusal>,
) -> Result<bool, Refusal> {
    for owner in kms.owners(context)? {
        let (index, keys) = match candidates {
            Candidates::Id(id) => {
                see(id)?;
                return Ok(true);
            }
            Candidates::Name(name) => (Index::Name, Keys::Exactly(name_key(&owner, name))),
            Candidates::Link(target) => (Index::Link, Keys::Exactly(link_key(&owner, target))),
            Candidates::Group(group) => (Index::Group, Keys::Prefix(group_key(&owner, group).bytes())),
            Candidates::Owner(from, to) => {
                let below = owner_key(&owner, Some(DateTime(to.0.saturating_add(1))));
                (Index::Owner, Keys::Between(owner_key(&owner, Some(*from)), below))
            }
        };
        let shared = (index == Index::Name).then(|| (Index::SharedName, keys.clone()));
        for (index, keys) in [(index, keys)].into_iter().chain(shared) {
            let mut scan = Scan { order: Order::Descending, limit: limits::PAGE, ..Scan::new(index, keys) };
            loop {
                let hits = kms.store.scan(&scan)?;
                let Some(last) = hits.last() else { break };
                scan.after = Some(last.clone());
                for hit in &hits {
                    if !see(&hit.id)? {
                        return Ok(false);
                    }
                }
            }
        }
    }
    Ok(true)
}
