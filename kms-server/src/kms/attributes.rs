//! Attributes' rules: who sets one, when it may change, and what follows from that (KMIP 1.4 section 3, 2.1 section 4).
//! Pure.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, AttributeKind, ProtectionStorageMask, UsageLimits};
use kms_protocol::enums::State;
use kms_protocol::ttlv::{Bytes, Interval};

use super::lifecycle;
use super::model::Object;
use super::refusal::{Reason, Refusal};
use crate::crypto::sha256;
use crate::limits;

/// When a client may do something with an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Always,
    Never,
    /// While the object is Pre-Active.
    Unused,
    /// While it is Pre-Active or Active.
    InUse,
}

/// What a client may do with an attribute of an object that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Give it a value where it has none, or another instance.
    Add,
    /// Change a value.
    Modify,
    /// Take a value away.
    Delete,
}

/// When a client may change a value, and whether it may take it away.
fn rule(attribute: &Attribute) -> (When, When) {
    use AttributeKind as Kind;
    if let Attribute::Custom(custom) = attribute {
        return if custom.vendor == "y" { (When::Never, When::Never) } else { (When::Always, When::Always) };
    }
    match attribute.kind() {
        Kind::AlternativeName
        | Kind::ApplicationSpecificInformation
        | Kind::Comment
        | Kind::ContactInformation
        | Kind::CryptographicParameters
        | Kind::Description
        | Kind::KeyValueLocation
        | Kind::Link
        | Kind::Name
        | Kind::ObjectGroup
        | Kind::Pkcs12FriendlyName
        | Kind::ProtectionLevel
        | Kind::ProtectionPeriod
        | Kind::QuantumSafe
        | Kind::RotateName
        | Kind::UsageLimits => (When::Always, When::Always),
        Kind::Extractable | Kind::Sensitive => (When::Always, When::Never),
        Kind::ActivationDate => (When::Unused, When::Never),
        Kind::DeactivationDate | Kind::ProcessStartDate | Kind::ProtectStopDate => (When::InUse, When::Never),
        _ => (When::Never, When::Never),
    }
}

/// Whether a client may change an attribute of `object` so at `now`.
///
/// # Errors
/// [`Reason::ReadOnlyAttribute`], or [`Reason::WrongState`] for one that has its time.
pub fn check(object: &Object, attribute: &Attribute, change: Change, now: DateTime) -> Result<(), Refusal> {
    let (modify, delete) = rule(attribute);
    let when = match change {
        Change::Delete => delete,
        // Once it is set it stays, and it may be set at any time (2.1 section 4.34).
        Change::Add if attribute.kind() == AttributeKind::NistKeyType => When::Always,
        Change::Add | Change::Modify => modify,
    };
    let name = attribute.kind().name();
    let state = lifecycle::state_at(object, now);
    let allowed = match when {
        When::Always => true,
        When::Never => {
            let what = format!("a client may not change {name} of an object that exists");
            return Err(Refusal::new(Reason::ReadOnlyAttribute, what));
        }
        When::Unused => state == State::PreActive,
        When::InUse => matches!(state, State::PreActive | State::Active),
    };
    // A date that has come is history.
    let is_past = |date: Option<DateTime>| change == Change::Modify && date.is_some_and(|date| date <= now);
    let is_past = match attribute.kind() {
        AttributeKind::ProcessStartDate => is_past(object.process_start_date()),
        AttributeKind::ProtectStopDate => is_past(object.protect_stop_date()),
        _ => false,
    };
    if !allowed || is_past {
        return Err(Refusal::new(
            Reason::WrongState,
            format!("the object is {state}: its {name} cannot be changed any more"),
        ));
    }
    if attribute.kind() == AttributeKind::UsageLimits && is_allocated(object) {
        return Err(Refusal::new(
            Reason::ReadOnlyAttribute,
            "some of the Usage Limits are used already, so they stay as they are",
        ));
    }
    Ok(())
}

fn is_allocated(object: &Object) -> bool {
    object.usage_limits().is_some_and(|limits| limits.count.is_some_and(|count| count != limits.total))
}

/// What follows when a client sets an attribute: the count of new Usage Limits, and the history of Sensitive and
/// Extractable (1.4 sections 3.48 to 3.51).
pub fn follow(object: &mut Object, attribute: &mut Attribute, is_new: bool) {
    match attribute {
        Attribute::UsageLimits(UsageLimits { total, count, .. }) => *count = Some(*total),
        Attribute::Sensitive(true) if is_new => object.set(Attribute::AlwaysSensitive(true)),
        Attribute::Sensitive(false) => object.set(Attribute::AlwaysSensitive(false)),
        Attribute::Extractable(false) if is_new => object.set(Attribute::NeverExtractable(true)),
        Attribute::Extractable(true) => object.set(Attribute::NeverExtractable(false)),
        _ => {}
    }
}

/// Everything that an object has at `now`, in the specification's order: what is written, and what every object has.
#[must_use]
pub fn all(object: &Object, now: DateTime) -> Vec<Attribute> {
    let mut all =
        vec![Attribute::UniqueIdentifier(object.id.clone()), Attribute::ObjectType(object.object_type)];
    all.extend(object.attributes.iter().map(|attribute| match attribute {
        Attribute::State(_) => Attribute::State(lifecycle::state_at(object, now)),
        other => other.clone(),
    }));
    for given in [
        Attribute::LeaseTime(Interval(limits::LEASE)),
        Attribute::Sensitive(false),
        Attribute::AlwaysSensitive(false),
        Attribute::Extractable(true),
        Attribute::NeverExtractable(false),
        Attribute::ProtectionStorageMask(ProtectionStorageMask::SOFTWARE),
    ] {
        if !object.has(given.kind()) {
            all.push(given);
        }
    }
    all.push(Attribute::ShortUniqueIdentifier(short_id(object)));
    all.sort_by_key(Attribute::kind);
    all
}

/// The SHA-256 of the identifier (2.1 section 4.56).
fn short_id(object: &Object) -> Bytes {
    Bytes(sha256(object.id.as_bytes()).to_vec())
}
