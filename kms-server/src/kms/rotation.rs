//! Rotation: from an old pair to its successor (KMIP 1.4 section 4.5, 2.1 section 6.1.47). Pure: the new key material
//! comes in, the four changed halves go out.
//!
//! One function serves Re-key Key Pair on the wire, policies and the operator; they differ in [`Dates`] alone.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, AttributeKind};
use kms_protocol::enums::{LinkType, State};

use super::lifecycle;
use super::model::Object;
use super::policy::AfterRotation;
use super::refusal::{Reason, Refusal};

/// How the new pair's dates follow from the old one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dates {
    /// Re-key Key Pair without Offset: as the old pair's, but for those that have passed.
    Copied,
    /// Active this many seconds after its Initial Date, for as long as the old pair was to be.
    Offset(i64),
}

/// Both halves of a pair.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The private key.
    pub private: Object,
    /// The public key.
    pub public: Object,
}

/// The old pair and the new one, changed and ready to be committed together.
#[derive(Debug)]
pub struct Rotation {
    /// The pair that is replaced.
    pub old: Pair,
    /// The pair that replaces it.
    pub new: Pair,
}

/// Attributes that belong to one generation alone and are not passed on.
const NOT_INHERITED: &[AttributeKind] = &[
    AttributeKind::State,
    AttributeKind::InitialDate,
    AttributeKind::ActivationDate,
    AttributeKind::DeactivationDate,
    AttributeKind::DestroyDate,
    AttributeKind::CompromiseDate,
    AttributeKind::CompromiseOccurrenceDate,
    AttributeKind::RevocationReason,
    AttributeKind::ArchiveDate,
    AttributeKind::LastChangeDate,
    AttributeKind::OriginalCreationDate,
    AttributeKind::Digest,
    AttributeKind::Link,
    AttributeKind::RandomNumberGenerator,
    AttributeKind::RotateDate,
    AttributeKind::RotateGeneration,
    AttributeKind::RotateLatest,
    AttributeKind::ShortUniqueIdentifier,
];

/// Whether a pair can be replaced.
///
/// # Errors
/// When it has a successor already (an object has one Replacement Object Link at most) or is destroyed.
pub fn may_rotate(old: &Pair, now: DateTime) -> Result<(), Refusal> {
    for half in [&old.private, &old.public] {
        if let Some(successor) = half.linked(LinkType::ReplacementObjectLink) {
            return Err(Refusal::new(
                Reason::Denied,
                format!(
                    "the pair has a replacement already, {successor}; only one is possible: rotate that one"
                ),
            ));
        }
    }
    match lifecycle::state_at(&old.private, now) {
        State::Destroyed | State::DestroyedCompromised => {
            Err(Refusal::new(Reason::Denied, "the pair is destroyed and cannot be replaced"))
        }
        _ => Ok(()),
    }
}

/// Turns `fresh`, a pair with key material and nothing else, into the successor of `old`.
pub fn rotate(mut old: Pair, mut fresh: Pair, dates: Dates, after: AfterRotation, now: DateTime) -> Rotation {
    inherit(&mut old.private, &mut fresh.private, dates, now);
    inherit(&mut old.public, &mut fresh.public, dates, now);
    fresh.private.set_link(LinkType::PublicKeyLink, &fresh.public.id);
    fresh.public.set_link(LinkType::PrivateKeyLink, &fresh.private.id);
    fresh.private.rotates_by = old.private.rotates_by.take();
    if after == AfterRotation::Deactivate {
        retire(&mut old.private, fresh.private.activation_date(), now);
        retire(&mut old.public, fresh.public.activation_date(), now);
    }
    Rotation { old, new: fresh }
}

fn inherit(old: &mut Object, new: &mut Object, dates: Dates, now: DateTime) {
    let given: Vec<AttributeKind> = new.attributes.iter().map(Attribute::kind).collect();
    let inherited = old
        .attributes
        .iter()
        .filter(|attribute| !NOT_INHERITED.contains(&attribute.kind()) && !given.contains(&attribute.kind()));
    new.attributes.extend(inherited.cloned());
    old.remove(AttributeKind::Name);

    let (activation, deactivation) = new_dates(old, dates, now);
    if let Some(activation) = activation {
        new.set_default(Attribute::ActivationDate(activation));
    }
    if let Some(deactivation) = deactivation {
        new.set_default(Attribute::DeactivationDate(deactivation));
    }
    new.set(Attribute::InitialDate(now));
    new.set(Attribute::LastChangeDate(now));
    new.set(Attribute::OriginalCreationDate(now));
    lifecycle::begin(new, now);

    old.set_link(LinkType::ReplacementObjectLink, &new.id);
    new.set_link(LinkType::ReplacedObjectLink, &old.id);
    let generation = old.generation().unwrap_or(0);
    new.set(Attribute::RotateGeneration(generation.saturating_add(1)));
    new.set(Attribute::RotateDate(now));
    new.set(Attribute::RotateLatest(true));
    old.set_default(Attribute::RotateGeneration(generation));
    old.set(Attribute::RotateDate(now));
    old.set(Attribute::RotateLatest(false));
    lifecycle::settle(old, now);
    old.set(Attribute::LastChangeDate(now));
}

fn new_dates(old: &Object, dates: Dates, now: DateTime) -> (Option<DateTime>, Option<DateTime>) {
    match dates {
        Dates::Copied => (old.activation_date(), old.deactivation_date().filter(|date| *date > now)),
        Dates::Offset(offset) => {
            let activation = now.plus(offset);
            let lifetime =
                old.deactivation_date().zip(old.activation_date()).map(|(end, start)| end.0 - start.0);
            (
                Some(activation),
                lifetime.filter(|lifetime| *lifetime > 0).map(|lifetime| activation.plus(lifetime)),
            )
        }
    }
}

/// The old half ends when the new one begins, and not before; an end that it had anyway and that comes sooner stays.
fn retire(old: &mut Object, successor_active: Option<DateTime>, now: DateTime) {
    let Some(end) = successor_active.map(|date| date.max(now)) else { return };
    if lifecycle::state_at(old, now) != State::Active
        || old.deactivation_date().is_some_and(|date| date <= end)
    {
        return;
    }
    old.set(Attribute::DeactivationDate(end));
    lifecycle::settle(old, now);
}
