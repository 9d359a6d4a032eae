//! What the operations that change attributes share: where an instance is, and what a change entails.

use kms_protocol::attribute::{Attribute, AttributeKind, AttributeReference, CustomAttribute};
use kms_protocol::{DateTime, UniqueIdentifier};

use crate::kms::attributes::{self, Change};
use crate::kms::model::Object;
use crate::kms::new_object::check_size;
use crate::kms::recorded::By;
use crate::kms::{Context, Event, Kms, Reason, Refusal, lifecycle};
use crate::store::Batch;

impl Kms {
    /// Changes the attributes of the object that a request means.
    ///
    /// # Errors
    /// Those of `change`, and what stands against the object as it would be.
    pub(super) fn change_attributes(
        &self,
        id: Option<&UniqueIdentifier>,
        context: &mut Context<'_>,
        change: impl FnOnce(&mut Object) -> Result<AttributeKind, Refusal>,
    ) -> Result<Object, Refusal> {
        let mut object = self.find(id, context)?;
        let now = context.now;
        let mut events: Vec<Event> = Event::settle(&mut object, now).into_iter().collect();
        let before = object.attributes.clone();
        let kind = change(&mut object)?;
        check_size(&object.attributes)?;
        lifecycle::check_dates(&object)?;
        self.check_constraints(&object, Some(kind), now)?;
        object.set(Attribute::LastChangeDate(now));
        events.extend(Event::attributes_changed(&object, &before));
        // A date that was set may have come already.
        events.extend(Event::settle(&mut object, now));
        let mut batch = Batch::new();
        if matches!(kind, AttributeKind::Name | AttributeKind::ObjectGroup)
            && let Some(other) = self.filed_anew(&mut object)?
        {
            batch = batch.put(other.put());
        }
        self.commit(batch.put(object.put()), events, By::Client(context))?;
        Ok(object)
    }

    /// Names and groups decide about the policy of a pair: both halves are filed by them; the other half where that
    /// changes it.
    fn filed_anew(&self, object: &mut Object) -> Result<Option<Object>, Refusal> {
        let Some(mut other) = self.other_half(object)?.filter(|other| other.owner == object.owner) else {
            return Ok(None);
        };
        let is_changed = self.policies.load().file(object, &mut other);
        Ok(is_changed.then_some(other))
    }
}

/// The places of the instances of an attribute.
pub(super) fn instances(object: &Object, reference: &AttributeReference) -> Vec<usize> {
    let all = object.attributes.iter().enumerate();
    all.filter(|(_, attribute)| reference.names(attribute)).map(|(at, _)| at).collect()
}

/// The place of the instance that a request means: the one with this value, or at this index, or else the only one.
pub(super) fn instance(
    object: &Object,
    reference: &AttributeReference,
    current: Option<&Attribute>,
    index: Option<i32>,
    is_2x: bool,
) -> Result<usize, Refusal> {
    let all = instances(object, reference);
    let missing = || {
        Refusal::new(
            Reason::AttributeNotFound,
            "the object does not have this attribute, or this instance of it",
        )
    };
    if let Some(current) = current {
        return all.into_iter().find(|at| object.attributes.get(*at) == Some(current)).ok_or_else(missing);
    }
    if is_2x && all.len() > 1 {
        return Err(Refusal::new(
            Reason::Ambiguous,
            "the attribute has several values: state the one that is meant as Current Attribute",
        ));
    }
    let index = usize::try_from(index.unwrap_or(0)).map_err(|_| missing())?;
    all.get(index).copied().ok_or_else(missing)
}

/// Writes a value in the place of an instance.
pub(super) fn replace(
    object: &mut Object,
    at: usize,
    mut attribute: Attribute,
    now: DateTime,
) -> Result<(), Refusal> {
    attributes::check(object, &attribute, Change::Modify, now)?;
    attributes::follow(object, &mut attribute, false);
    if let Some(place) = object.attributes.get_mut(at) {
        *place = attribute;
    }
    Ok(())
}

/// The attribute that a value is one of.
pub(super) fn reference_to(attribute: &Attribute) -> AttributeReference {
    match attribute {
        Attribute::Custom(CustomAttribute { vendor, name, .. }) => {
            AttributeReference::Custom { vendor: vendor.clone(), name: name.clone() }
        }
        other => AttributeReference::Standard(other.kind()),
    }
}

/// Refuses an attribute that the request's version does not have.
pub(super) fn check_known(attribute: &Attribute, context: &Context<'_>) -> Result<(), Refusal> {
    if context.has(attribute.kind()) {
        return Ok(());
    }
    let name = attribute.kind().name();
    Err(Refusal::new(Reason::InvalidField, format!("KMIP {} has no attribute {name}", context.version)))
}
