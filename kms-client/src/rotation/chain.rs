//! What the server's answers mean. Nothing here asks anything.

use std::collections::BTreeMap;

use kms_protocol::enums::{LinkType, State};

use super::{Finding, KnownKey, Unusable};
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::keys::View;
use crate::limits;

/// What is known of an object by now.
pub(super) enum Seen {
    There(Box<View>),
    Missing,
    /// Its attributes are gone with it.
    Destroyed,
    Refused(Error),
}

/// The way from a key along its Replacement Object Links.
pub(super) struct Walk<'a> {
    /// The key and its successors, as far as the server shows them.
    pub(super) chain: Vec<&'a View>,
    pub(super) end: End,
}

/// Where the way ends.
pub(super) enum End {
    /// At an object without a link.
    Newest,
    /// At one that has not been asked about yet.
    Unseen(String),
    Missing(String),
    Destroyed,
    Refused(Error),
    Cycle(String),
    TooDeep(String),
    /// Several links lead on.
    Fork(Vec<String>),
}

/// Follows the links from `start`.
pub(super) fn walk<'a>(start: &str, seen: &'a BTreeMap<String, Seen>) -> Walk<'a> {
    let mut chain: Vec<&View> = Vec::new();
    let mut next = start.to_owned();
    let end = loop {
        if chain.iter().any(|view| view.id == next) {
            break End::Cycle(next);
        }
        if chain.len() > limits::GENERATIONS {
            break End::TooDeep(next);
        }
        let view = match seen.get(&next) {
            None => break End::Unseen(next),
            Some(Seen::Missing) => break End::Missing(next),
            Some(Seen::Destroyed) => break End::Destroyed,
            Some(Seen::Refused(error)) => break End::Refused(error.clone()),
            Some(Seen::There(view)) => view,
        };
        chain.push(view);
        let mut links: Vec<_> = view.links(LinkType::ReplacementObjectLink).map(str::to_owned).collect();
        links.sort_unstable();
        links.dedup();
        match links.pop() {
            None => break End::Newest,
            Some(only) if links.is_empty() => next = only,
            Some(last) => {
                links.push(last);
                break End::Fork(links);
            }
        }
    };
    Walk { chain, end }
}

/// What is to be made of a known key so far.
pub(super) enum Verdict {
    /// It is Active and has no link: unchanged, unless a search finds something newer.
    Active,
    /// It cannot be used, as the finding says, unless a search finds a successor.
    Lost(Finding),
    /// Encrypt with this public key from now on.
    Adopt {
        id: String,
        /// Links that lead there; `None` where it was searched for.
        generations: Option<u32>,
    },
    /// Settled.
    Is(Finding),
}

/// What links alone say of a key.
pub(super) fn by_links(key: &KnownKey, walk: &Walk<'_>) -> Verdict {
    let Some(known) = walk.chain.first() else {
        return match &walk.end {
            End::Refused(error) => Verdict::Is(Finding::Failed { error: error.clone() }),
            End::Destroyed => Verdict::Lost(Finding::RetiredWithoutSuccessor { state: State::Destroyed }),
            _ => Verdict::Lost(Finding::Gone),
        };
    };
    let unusable = |id: &str, why| Finding::Unusable { id: id.to_owned(), why, known: known.state };
    match &walk.end {
        End::Cycle(id) => return Verdict::Is(unusable(id, Unusable::Cycle)),
        End::TooDeep(id) => return Verdict::Is(unusable(id, Unusable::TooDeep)),
        End::Fork(candidates) => {
            return Verdict::Is(Finding::Ambiguous { candidates: candidates.clone(), known: known.state });
        }
        _ => {}
    }
    let active: Vec<(u32, &View)> =
        (1..).zip(walk.chain.iter().skip(1).copied()).filter(|(_, view)| view.is_active()).collect();
    if let Some((generations, view)) = active.iter().rev().find(|(_, view)| fits(key, view)) {
        return Verdict::Adopt { id: view.id.clone(), generations: Some(*generations) };
    }
    let newest = walk.chain.last().unwrap_or(known);
    if newest.state == Some(State::PreActive) {
        return Verdict::Is(Finding::PendingActivation { public_id: newest.id.clone(), known: known.state });
    }
    let because = match &walk.end {
        End::Missing(id) => unusable(id, Unusable::Missing),
        End::Refused(error) => Finding::Failed { error: error.clone() },
        End::Destroyed => Finding::RetiredWithoutSuccessor { state: State::Destroyed },
        _ => match active.last() {
            Some((_, view)) => unusable(&view.id, Unusable::Weaker),
            None if known.is_active() && walk.chain.len() == 1 => return Verdict::Active,
            None => match newest.state {
                Some(state) => Finding::RetiredWithoutSuccessor { state },
                None => Finding::Failed {
                    error: Error::protocol(format!("it left out the State of {}", newest.id)),
                },
            },
        },
    };
    Verdict::Lost(because)
}

/// Whether a key may take the known one's place: of the same algorithm, for encryption, and not shorter. A key on P-256
/// may be one that verifies.
fn fits(key: &KnownKey, view: &View) -> bool {
    key.spec.fits(view) && (key.spec == KeySpec::P256 || view.may_encrypt())
}

/// What is to be made of the hits of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nothing newer.
    None,
    One(String),
    /// Only a Pre-Active one is newer.
    Pending(String),
    /// Several are the newest.
    Several(Vec<String>),
    /// Only one that cannot take the known key's place is newer.
    Weaker(String),
}

/// Chooses the newest Active hit. Hits that were replaced themselves, and those no newer than a known key that is still
/// Active, are no successors.
pub(super) fn choose<'a>(
    key: &KnownKey,
    known: Option<&View>,
    hits: impl Iterator<Item = &'a View>,
) -> Choice {
    let floor = known.and_then(|view| view.initial_date).unwrap_or(i64::MIN);
    let known_is_active = known.is_some_and(View::is_active);
    let newer = |view: &&View| match view.initial_date {
        Some(date) if known_is_active => date > floor,
        Some(date) => date >= floor,
        None => !known_is_active,
    };
    let successors: Vec<&View> = hits
        .filter(|view| view.id != key.public_id && view.link(LinkType::ReplacementObjectLink).is_none())
        .filter(newer)
        .collect();
    let of = |state: State, fitting: bool| {
        successors.iter().filter(move |view| view.state == Some(state) && fits(key, view) == fitting)
    };
    let date = |view: &&&View| view.initial_date;
    let Some(newest) = of(State::Active, true).max_by_key(date) else {
        return match (of(State::PreActive, true).max_by_key(date), of(State::Active, false).max_by_key(date))
        {
            (Some(view), _) => Choice::Pending(view.id.clone()),
            (None, Some(view)) => Choice::Weaker(view.id.clone()),
            (None, None) => Choice::None,
        };
    };
    let tied: Vec<_> =
        of(State::Active, true).filter(|view| view.initial_date == newest.initial_date).collect();
    match tied.as_slice() {
        [only] => Choice::One(only.id.clone()),
        several => Choice::Several(several.iter().map(|view| view.id.clone()).collect()),
    }
}
