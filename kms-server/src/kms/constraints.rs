//! Defaults of new objects and constraints on them (KMIP 2.1 sections 6.1.22, 6.1.52 and 6.1.53).
//!
//! Whoever sets them sets them for its own objects, and for those of the owners at whom an access rule lets it do so.
//! Each principal's are one record of the store, beside the objects.

use std::sync::{Arc, PoisonError};

use kms_protocol::attribute::{Attribute, AttributeKind};
use kms_protocol::enums::{ObjectType, Operation};
use kms_protocol::error::DecodeError;
use kms_protocol::operation::{
    Constraint, Constraints, DefaultedTypes, DefaultsInformation, ObjectDefaults, ObjectGroups,
};
use kms_protocol::ttlv::{Reader, Writer};
use kms_protocol::{DateTime, Tag, Version};

use super::access::Verdict;
use super::model::Object;
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::{Context, Kms, attributes};
use crate::crypto::sha256;
use crate::limits;
use crate::store::limits::COPY_PAGE;
use crate::store::{Batch, Put, StoreError};

/// What the identifiers of these records begin with. No object's does.
const PREFIX: &str = "~rules/";

/// Items of such a record that are not KMIP's.
const RULES: Tag = Tag(0x54_0020);
const OWNER: Tag = Tag(0x54_0003);

/// What one principal has set.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    principal: String,
    pub defaults: DefaultsInformation,
    pub constraints: Constraints,
}

impl Kms {
    /// Changes what the caller has set.
    ///
    /// # Errors
    /// When that is too much, and the store's.
    pub(super) fn set_rules(
        &self,
        context: &mut Context<'_>,
        change: impl FnOnce(&mut Rules),
    ) -> Result<(), Refusal> {
        self.may_create(context)?;
        let principal = context.caller.principal.clone();
        let id = format!("{PREFIX}{}", hex::encode(sha256(principal.as_bytes())));
        let record = self.store.fetch(&id)?;
        if record.is_none() && self.all_rules()?.len() >= limits::RULES {
            let what =
                format!("{} principals have set defaults or constraints, and no more may", limits::RULES);
            return Err(Refusal::new(Reason::Limit, what));
        }
        let replaces = record.as_ref().map(|record| record.revision);
        let before = record.map(|record| Rules::read(&id, &record.value)).transpose()?;
        let mut rules = before.unwrap_or_else(|| Rules { principal, ..Rules::default() });
        change(&mut rules);
        let value = rules.write();
        if value.len() > limits::ATTRIBUTES {
            return Err(Refusal::new(
                Reason::Limit,
                format!(
                    "defaults and constraints together have {} bytes, and {} are the most",
                    value.len(),
                    limits::ATTRIBUTES
                ),
            ));
        }
        let batch = Batch::new().put(Put { id, replaces, value, terms: Vec::new() });
        self.commit(batch, Vec::new(), By::Client(context))?;
        self.forget_rules();
        Ok(())
    }

    /// What is set for the objects of an owner: by itself, and by those whom an access rule lets.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn rules_for(&self, owner: &str, operation: Operation) -> Result<Vec<Rules>, StoreError> {
        let all = self.all_rules()?;
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let policies = self.policies.load();
        let applies = |rules: &&Rules| {
            rules.principal == owner
                || policies.access.judge(&rules.principal, owner, operation) == Verdict::Allowed
        };
        Ok(all.iter().filter(applies).cloned().collect())
    }

    /// Adds the defaults for a new object of the caller's to the attributes that its request states. Those of `known` follow
    /// from the object itself.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn with_defaults(
        &self,
        object_type: ObjectType,
        list: &mut Vec<Attribute>,
        known: &[Attribute],
        context: &Context<'_>,
    ) -> Result<(), StoreError> {
        let all = self.rules_for(&context.caller.principal, Operation::SetDefaults)?;
        for defaults in all.iter().flat_map(|rules| &rules.defaults.object_defaults) {
            if !is_for(defaults, object_type) || !is_in(defaults.object_groups.as_ref(), list) {
                continue;
            }
            let has = |all: &[Attribute], one: &Attribute| all.iter().any(|other| is_same(other, one));
            let stated = list.clone();
            let new = defaults.attributes.0.iter();
            list.extend(new.filter(|one| !has(&stated, one) && !has(known, one)).cloned());
        }
        Ok(())
    }

    /// Whether an object keeps to the constraints on it, and a ticket lets the caller make it.
    ///
    /// # Errors
    /// [`Reason::Constraint`] where it does not.
    pub(super) fn admit(&self, object: &Object, context: &Context<'_>) -> Result<(), Refusal> {
        self.may_make(&object.groups().collect::<Vec<_>>(), context)?;
        self.check_constraints(object, None, context.now)
    }

    /// Whether an object keeps to the constraints on it; to those alone that have to do with an attribute that was
    /// `changed`, where one was.
    ///
    /// # Errors
    /// [`Reason::Constraint`] where it does not.
    pub(super) fn check_constraints(
        &self,
        object: &Object,
        changed: Option<AttributeKind>,
        now: DateTime,
    ) -> Result<(), Refusal> {
        let all = self.rules_for(&object.owner, Operation::SetConstraints)?;
        for constraint in all.iter().flat_map(|rules| &rules.constraints.constraints) {
            let types = constraint.object_types.as_ref();
            if types.is_some_and(|types| !types.object_types.contains(&object.object_type))
                || !is_in(constraint.object_groups.as_ref(), &object.attributes)
            {
                continue;
            }
            if let Some(broken) = broken(constraint, object, now)
                && changed.is_none_or(|changed| changed == broken || changed == AttributeKind::ObjectGroup)
            {
                return Err(Refusal::new(
                    Reason::Constraint,
                    format!(
                        "a constraint says what {} such an object has: ask by Get Constraints",
                        broken.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn all_rules(&self) -> Result<Arc<Vec<Rules>>, StoreError> {
        let mut kept = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = &*kept {
            return Ok(Arc::clone(rules));
        }
        let mut all = Vec::new();
        let mut after = PREFIX.to_owned();
        'pages: loop {
            let page = self.store.records(Some(&after), COPY_PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (id, record) in &page {
                if !id.starts_with(PREFIX) {
                    break 'pages;
                }
                all.push(Rules::read(id, &record.value)?);
            }
        }
        let all = Arc::new(all);
        *kept = Some(Arc::clone(&all));
        Ok(all)
    }

    /// Has what is set read anew.
    pub(super) fn forget_rules(&self) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Rules {
    fn read(id: &str, value: &[u8]) -> Result<Self, StoreError> {
        let decode = || -> Result<Self, DecodeError> {
            let mut outer = Reader::new(value, Version::V2_1);
            let item = outer.take(RULES)?.ok_or_else(|| outer.missing(RULES))?;
            let mut reader = item.structure()?;
            let rules = Self {
                principal: reader.field(OWNER)?,
                defaults: reader.field(Tag::DEFAULTS_INFORMATION)?,
                constraints: reader.field(Tag::CONSTRAINTS)?,
            };
            reader.finish_whole()?;
            Ok(rules)
        };
        decode().map_err(|error| StoreError::Corrupt { what: error.to_string(), at: id.to_owned() })
    }

    fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new(Version::V2_1);
        writer.structure(RULES, |writer| {
            writer.field(OWNER, &self.principal);
            writer.field(Tag::DEFAULTS_INFORMATION, &self.defaults);
            writer.field(Tag::CONSTRAINTS, &self.constraints);
        });
        writer.into_bytes()
    }
}

/// The attribute by which an object breaks a constraint. Of several values of one attribute it has to have one; a usage mask
/// bounds what it may be used for.
fn broken(constraint: &Constraint, object: &Object, now: DateTime) -> Option<AttributeKind> {
    let wanted = constraint.attributes.as_ref().map_or(&[][..], |list| &list.0);
    let all = attributes::all(object, now);
    let keeps_to = |one: &Attribute| match one {
        Attribute::CryptographicUsageMask(mask) => {
            object.has(AttributeKind::CryptographicUsageMask) && mask.contains(object.usage())
        }
        other => all.contains(other),
    };
    let kept = |one: &&Attribute| wanted.iter().any(|other| is_same(one, other) && keeps_to(other));
    wanted.iter().find(|one| !kept(one)).map(Attribute::kind)
}

/// Whether two attributes are instances of one.
fn is_same(one: &Attribute, other: &Attribute) -> bool {
    match (one, other) {
        (Attribute::Custom(one), Attribute::Custom(other)) => {
            (&one.vendor, &one.name) == (&other.vendor, &other.name)
        }
        _ => one.kind() == other.kind(),
    }
}

fn is_for(defaults: &ObjectDefaults, object_type: ObjectType) -> bool {
    match &defaults.object_types {
        DefaultedTypes::One(one) => *one == object_type,
        DefaultedTypes::Several(types) => types.object_types.contains(&object_type),
    }
}

/// Whether attributes put an object into one of these groups; into any where none is named.
fn is_in(groups: Option<&ObjectGroups>, list: &[Attribute]) -> bool {
    groups.is_none_or(|groups| {
        list.iter()
            .any(|one| matches!(one, Attribute::ObjectGroup(group) if groups.object_groups.contains(group)))
    })
}
