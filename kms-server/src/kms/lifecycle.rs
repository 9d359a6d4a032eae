//! States and the ten transitions between them (KMIP 1.4 section 3.22). Pure: no store, no clock.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, AttributeKind, RevocationReason};
use kms_protocol::enums::{ObjectType, RevocationReasonCode, State};

use super::model::{Object, Withheld};
use super::policy::Decision;
use super::refusal::{Reason, Refusal};

/// The last date that a client may set: the end of the year 9999, the last that is written with four digits. Dates that
/// are reckoned from others stay within it.
pub const LAST_DATE: DateTime = DateTime(253_402_300_799);

/// The state at `now`: what is written, moved on by those dates that have passed.
#[must_use]
pub fn state_at(object: &Object, now: DateTime) -> State {
    let passed = |date: Option<DateTime>| date.is_some_and(|date| date <= now);
    match object.written_state() {
        Some(State::PreActive) if passed(object.activation_date()) => {
            if passed(object.deactivation_date()) {
                State::Deactivated
            } else {
                State::Active
            }
        }
        Some(State::Active) if passed(object.deactivation_date()) => State::Deactivated,
        Some(state) => state,
        None => State::PreActive,
    }
}

/// Writes down what dates have brought about: the state, and the end of a deletion window; whether anything changed.
pub fn settle(object: &mut Object, now: DateTime) -> bool {
    let state = state_at(object, now);
    let moved = object.written_state() != Some(state);
    if moved {
        object.set(Attribute::State(state));
        object.set(Attribute::LastChangeDate(now));
    }
    // To clients nothing changes when the window ends: the object was destroyed before.
    let purged = object.withheld.take_if(|withheld| withheld.until <= now).is_some();
    moved || purged
}

/// A Template is neither activated nor revoked (1.4 sections 11.20 and 11.21).
fn has_states(object: &Object) -> Result<(), Refusal> {
    match object.object_type {
        ObjectType::Template => {
            Err(Refusal::new(Reason::WrongObjectType, "a Template is neither activated nor revoked"))
        }
        _ => Ok(()),
    }
}

/// Transition 4: Pre-Active to Active, by request.
///
/// # Errors
/// When the object is in another state.
pub fn activate(object: &mut Object, now: DateTime) -> Result<(), Refusal> {
    has_states(object)?;
    settle(object, now);
    match object.written_state() {
        Some(State::PreActive) => {
            object.set(Attribute::State(State::Active));
            object.set(Attribute::ActivationDate(now));
            object.set(Attribute::LastChangeDate(now));
            Ok(())
        }
        other => Err(wrong_state("activated", other, "only a Pre-Active object can be")),
    }
}

/// Transitions 3, 5, 6, 8 and 10 by request: Compromised (or Destroyed Compromised) for a compromise, Deactivated
/// for any other reason.
///
/// # Errors
/// When the object is in a state that the reason does not lead on from.
pub fn revoke(
    object: &mut Object,
    reason: RevocationReason,
    occurred: Option<DateTime>,
    now: DateTime,
) -> Result<(), Refusal> {
    has_states(object)?;
    settle(object, now);
    let compromise =
        matches!(reason.code, RevocationReasonCode::KeyCompromise | RevocationReasonCode::CaCompromise);
    let state = object.written_state();
    let next = match (state, compromise) {
        (Some(State::PreActive | State::Active | State::Deactivated), true) => State::Compromised,
        (Some(State::Destroyed), true) => State::DestroyedCompromised,
        (Some(State::Active), false) => State::Deactivated,
        (_, true) => return Err(wrong_state("revoked", state, "it is compromised already")),
        (_, false) => {
            return Err(wrong_state("revoked", state, "for this reason only an Active object can be"));
        }
    };
    if compromise {
        object.set(Attribute::CompromiseDate(now));
        object.set(Attribute::CompromiseOccurrenceDate(occurred.unwrap_or(now)));
    } else {
        object.set(Attribute::DeactivationDate(now));
    }
    if let Some(withheld) = &mut object.withheld {
        withheld.state = State::Compromised;
    }
    object.set(Attribute::State(next));
    object.set(Attribute::RevocationReason(reason));
    object.set(Attribute::LastChangeDate(now));
    Ok(())
}

/// Transitions 2, 7 and 9: the key material goes, the attributes stay. For `window` seconds [`undelete`] can undo it.
///
/// # Errors
/// When the object is Active or destroyed already.
pub fn destroy(object: &mut Object, window: i64, now: DateTime) -> Result<(), Refusal> {
    settle(object, now);
    let state = object.written_state();
    let next = match state {
        Some(State::PreActive | State::Deactivated) => State::Destroyed,
        Some(State::Compromised) => State::DestroyedCompromised,
        state @ Some(State::Active) => return Err(wrong_state("destroyed", state, "revoke it first")),
        state => return Err(wrong_state("destroyed", state, "it is destroyed already")),
    };
    // What is destroyed keeps its Names, and keeps nobody else from having them.
    object.shares_names = true;
    object.withheld = match (object.material.take(), state) {
        (Some(material), Some(state)) if window > 0 => {
            Some(Withheld { material, until: now.plus(window), state })
        }
        _ => None,
    };
    object.set(Attribute::State(next));
    object.set(Attribute::DestroyDate(now));
    object.set(Attribute::LastChangeDate(now));
    Ok(())
}

/// Brings a destroyed object back within its deletion window: the operator's doing, none of KMIP's transitions.
///
/// # Errors
/// When there is nothing to bring back (any more).
pub fn undelete(object: &mut Object, now: DateTime) -> Result<(), Refusal> {
    settle(object, now);
    let Some(Withheld { material, state, .. }) = object.withheld.take() else {
        let state = object.written_state();
        return Err(match state {
            Some(State::Destroyed | State::DestroyedCompromised) => {
                wrong_state("brought back", state, "its key material is gone")
            }
            state => wrong_state("brought back", state, "it is not destroyed"),
        });
    };
    object.material = Some(material);
    object.is_brought_back = true;
    object.remove(AttributeKind::DestroyDate);
    object.set(Attribute::State(state));
    object.set(Attribute::LastChangeDate(now));
    settle(object, now);
    Ok(())
}

/// Whether a key may protect something new: encrypt, sign, wrap.
///
/// # Errors
/// When it is not Active, or its Protect Stop Date has come.
pub fn may_protect(object: &Object, now: DateTime) -> Result<(), Refusal> {
    match state_at(object, now) {
        State::Active if object.protect_stop_date().is_some_and(|date| date <= now) => Err(Refusal::new(
            Reason::WrongState,
            "the key's Protect Stop Date has come: it protects nothing new",
        )),
        State::Active => Ok(()),
        other => Err(wrong_state("used", Some(other), "only an Active key protects anything new")),
    }
}

/// Whether a key may process what is protected: decrypt, verify, unwrap. Out of use it may by special permission alone,
/// which is `when_deactivated`.
///
/// # Errors
/// When it is Pre-Active or destroyed, out of use without permission, or its Process Start Date is still to come.
pub fn may_process(object: &Object, when_deactivated: Decision, now: DateTime) -> Result<(), Refusal> {
    let state = state_at(object, now);
    match state {
        State::Active | State::Deactivated | State::Compromised
            if object.process_start_date().is_some_and(|date| date > now) =>
        {
            Err(Refusal::new(
                Reason::WrongState,
                "the key's Process Start Date is still to come: it processes nothing yet",
            ))
        }
        State::Active => Ok(()),
        State::Deactivated | State::Compromised if when_deactivated == Decision::Allow => Ok(()),
        State::Deactivated | State::Compromised => {
            Err(wrong_state("used", Some(state), "by policy only an Active key decrypts"))
        }
        State::PreActive => Err(wrong_state("used", Some(state), "activate it first")),
        other => Err(wrong_state("used", Some(other), "its key material is gone")),
    }
}

/// The date attributes that a client sets for the future, checked against each other and [`LAST_DATE`].
///
/// # Errors
/// When they contradict each other, or one is later than any date that can be written.
pub fn check_dates(object: &Object) -> Result<(), Refusal> {
    let too_late = object.attributes.iter().find(|attribute| match attribute {
        Attribute::ActivationDate(date)
        | Attribute::DeactivationDate(date)
        | Attribute::ProcessStartDate(date)
        | Attribute::ProtectStopDate(date) => *date > LAST_DATE,
        _ => false,
    });
    if let Some(date) = too_late {
        let name = date.kind().name();
        return Err(Refusal::new(Reason::InvalidField, format!("the {name} lies beyond the year 9999")));
    }
    if let (Some(activation), Some(deactivation)) = (object.activation_date(), object.deactivation_date())
        && deactivation < activation
    {
        return Err(Refusal::new(
            Reason::InvalidField,
            "the Deactivation Date precedes the Activation Date (KMIP 1.4 section 3.27)",
        ));
    }
    Ok(())
}

/// The state of a new object with the dates that it has.
pub fn begin(object: &mut Object, now: DateTime) {
    object.remove(AttributeKind::State);
    object.set(Attribute::State(State::PreActive));
    let state = state_at(object, now);
    object.set(Attribute::State(state));
}

fn wrong_state(what: &str, state: Option<State>, hint: &str) -> Refusal {
    let state = state.map_or_else(|| "in no state".to_owned(), |state| state.to_string());
    Refusal::new(Reason::WrongState, format!("the object is {state} and cannot be {what}: {hint}"))
}
