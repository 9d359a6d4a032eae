//! Rotation: from an old pair to its successor (KMIP 1.4 section 4.5, 2.1 section 6.1.47). Pure: the new key material
//! comes in, the four changed halves go out.
//!
//! One function serves Re-key Key Pair on the wire, policies and the operator; they differ in [`Dates`] alone.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, AttributeKind, UsageLimits};
use kms_protocol::enums::{LinkType, State};

use super::model::Object;
use super::refusal::{Reason, Refusal};
use super::{Event, lifecycle};

/// How the new pair's dates follow from the old one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dates {
    /// Re-key Key Pair without Offset: as the old pair's, but for those that have passed.
    Copied,
    /// Re-key Key Pair with Offset: active this many seconds after its Initial Date, for as long as the old pair was
    /// to be.
    Offset(i64),
    /// By policy: as with Offset, but a half that was never activated has no successor that activates itself, and one
    /// that waits for its date has none that is sooner.
    Renewed(i64),
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
    /// What time and the rotation have done to the pair that is replaced.
    pub ended: Vec<Event>,
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
    AttributeKind::Fresh,
];

/// An old symmetric key and the new one, changed and ready to be committed together.
#[derive(Debug)]
pub struct Replacement {
    /// The key that is replaced.
    pub old: Object,
    /// The key that replaces it.
    pub new: Object,
    /// What time has done to the key that is replaced.
    pub ended: Vec<Event>,
}

/// Whether a symmetric key can be replaced.
///
/// # Errors
/// As [`may_rotate`]'s.
pub fn may_replace(old: &Object, now: DateTime) -> Result<(), Refusal> {
    may_be_followed(old)?;
    is_there(old, now)
}

/// Turns `fresh`, a key with nothing but what its client asks for, into the successor of `old`.
pub fn replace(mut old: Object, mut fresh: Object, dates: Dates, now: DateTime) -> Replacement {
    // Before it is settled, which writes an end that has passed into the State.
    let lifetime = lifetime(&old).flatten();
    let ended = Event::settle(&mut old, now).into_iter().collect();
    inherit(&mut old, &mut fresh, dates, lifetime, now);
    Replacement { old, new: fresh, ended }
}

/// Whether a pair can be replaced.
///
/// # Errors
/// When it has a successor already (an object has one Replacement Object Link at most) or is destroyed.
pub fn may_rotate(old: &Pair, now: DateTime) -> Result<(), Refusal> {
    may_be_followed(&old.private)?;
    may_be_followed(&old.public)?;
    is_there(&old.private, now)
}

fn may_be_followed(old: &Object) -> Result<(), Refusal> {
    match old.linked(LinkType::ReplacementObjectLink) {
        None => Ok(()),
        Some(successor) => Err(Refusal::new(
            Reason::Denied,
            format!("the key has a replacement already, {successor}; only one is possible: rotate that one"),
        )),
    }
}

fn is_there(old: &Object, now: DateTime) -> Result<(), Refusal> {
    match lifecycle::state_at(old, now) {
        State::Destroyed | State::DestroyedCompromised => {
            Err(Refusal::new(Reason::Denied, "the key is destroyed and cannot be replaced"))
        }
        _ => Ok(()),
    }
}

/// Turns `fresh`, a pair with nothing but what its client asks for, into the successor of `old`, which is Deactivated
/// `retire_after` seconds after its successor's Activation, or not at all.
pub fn rotate(
    mut old: Pair,
    mut fresh: Pair,
    dates: Dates,
    retire_after: Option<i64>,
    now: DateTime,
) -> Rotation {
    // Before they are settled, which writes an end that has passed into the State.
    let (private, public) = (lifetime(&old.private), lifetime(&old.public));
    let settled = [&mut old.private, &mut old.public].map(|half| Event::settle(half, now));
    let mut ended: Vec<Event> = settled.into_iter().flatten().collect();
    inherit(&mut old.private, &mut fresh.private, dates, private.or(public).flatten(), now);
    inherit(&mut old.public, &mut fresh.public, dates, public.or(private).flatten(), now);
    fresh.private.set_link(LinkType::PublicKeyLink, &fresh.public.id);
    fresh.public.set_link(LinkType::PrivateKeyLink, &fresh.private.id);
    if let Some(after) = retire_after {
        ended.extend(retire(&mut old.private, fresh.private.activation_date(), after, now));
        ended.extend(retire(&mut old.public, fresh.public.activation_date(), after, now));
    }
    Rotation { old, new: fresh, ended }
}

fn inherit(old: &mut Object, new: &mut Object, dates: Dates, lifetime: Option<i64>, now: DateTime) {
    let given: Vec<AttributeKind> = new.attributes.iter().map(Attribute::kind).collect();
    let inherited = old
        .attributes
        .iter()
        .filter(|attribute| !NOT_INHERITED.contains(&attribute.kind()) && !given.contains(&attribute.kind()));
    new.attributes.extend(inherited.map(renewed));
    let names: Vec<String> = old.names().map(|name| name.value.clone()).collect();
    old.former_names.extend(names);
    old.remove(AttributeKind::Name);

    let (activation, deactivation) = new_dates(old, dates, lifetime, now);
    if let Some(activation) = activation {
        new.set_default(Attribute::ActivationDate(activation));
    }
    if let Some(deactivation) = deactivation {
        new.set_default(Attribute::DeactivationDate(deactivation));
    }
    new.set(Attribute::InitialDate(now));
    new.set(Attribute::LastChangeDate(now));
    new.set(Attribute::OriginalCreationDate(now));
    new.set(Attribute::Fresh(true));
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
    old.set(Attribute::LastChangeDate(now));
}

/// An attribute as a new generation has it. Its uses are counted anew (1.4 table 177).
fn renewed(attribute: &Attribute) -> Attribute {
    match attribute {
        Attribute::UsageLimits(limits) => {
            let count = limits.count.map(|_| limits.total);
            Attribute::UsageLimits(UsageLimits { count, ..limits.clone() })
        }
        other => other.clone(),
    }
}

/// How long a half was to be in use, in seconds: `Some(None)` for ever. `None` where nothing tells any longer, because a
/// revocation wrote the time at which it came over the date that was planned; then the other half tells.
fn lifetime(old: &Object) -> Option<Option<i64>> {
    if old.has(AttributeKind::RevocationReason) && !old.has(AttributeKind::CompromiseDate) {
        return None;
    }
    let planned =
        old.deactivation_date().zip(old.activation_date()).map(|(end, start)| end.0.saturating_sub(start.0));
    Some(planned.filter(|lifetime| *lifetime > 0))
}

fn new_dates(
    old: &Object,
    dates: Dates,
    lifetime: Option<i64>,
    now: DateTime,
) -> (Option<DateTime>, Option<DateTime>) {
    let activation = match dates {
        Dates::Copied => {
            return (old.activation_date(), old.deactivation_date().filter(|date| *date > now));
        }
        Dates::Offset(offset) => now.plus(offset),
        Dates::Renewed(offset) => match old.activation_date() {
            None => return (None, None),
            Some(date) => date.max(now.plus(offset)),
        },
    };
    // What was to be used for ever is so again.
    (Some(activation), lifetime.map(|lifetime| activation.plus(lifetime).min(lifecycle::LAST_DATE)))
}

/// The old half ends some time after the new one begins; an end that it had anyway and that comes sooner stays.
fn retire(old: &mut Object, successor_active: Option<DateTime>, after: i64, now: DateTime) -> Option<Event> {
    let end = successor_active?.max(now).plus(after).min(lifecycle::LAST_DATE);
    let will_be_used = match lifecycle::state_at(old, now) {
        State::Active => true,
        State::PreActive => old.activation_date().is_some(),
        _ => false,
    };
    if !will_be_used || old.deactivation_date().is_some_and(|date| date <= end) {
        return None;
    }
    old.set(Attribute::DeactivationDate(end));
    Event::settle(old, now)
}
