//! Which objects match a Locate request (KMIP 1.4 section 4.9). Pure: candidates come in one by one.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, AttributeKind, Link, StorageStatusMask};
use kms_protocol::enums::{ObjectGroupMember, ObjectType, State};

use super::model::Object;
use super::{attributes, lifecycle};

/// The attributes that a request asks for, sorted by how they are compared.
#[derive(Debug, Default)]
pub struct Filter {
    /// Compared for equality, or bit by bit for masks.
    equal: Vec<Attribute>,
    /// Dates: the first and the last that match.
    ranges: Vec<(AttributeKind, DateTime, DateTime)>,
    /// In which storage; on line where absent.
    storage: Option<StorageStatusMask>,
    /// Whether only those members of a group match that were never served.
    is_fresh: bool,
}

/// The index in which a request's candidates are found with the fewest misses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Candidates {
    /// One object.
    Id(String),
    /// The holder of a Name.
    Name(String),
    /// What links to an object.
    Link(String),
    /// An Object Group.
    Group(String),
    /// All of the owner's objects with an Initial Date in a range.
    Owner(DateTime, DateTime),
}

impl Filter {
    /// Sorts a request's attributes. Two instances of a date are a range; one is that very date.
    #[must_use]
    pub fn new(
        attributes: Vec<Attribute>,
        storage: Option<StorageStatusMask>,
        member: Option<ObjectGroupMember>,
    ) -> Self {
        let is_fresh = member == Some(ObjectGroupMember::GroupMemberFresh);
        let mut filter = Self { storage, is_fresh, ..Self::default() };
        for attribute in attributes {
            match date(&attribute) {
                None => filter.equal.push(attribute),
                Some(date) => match filter.ranges.iter_mut().find(|range| range.0 == attribute.kind()) {
                    Some(range) => {
                        range.1 = range.1.min(date);
                        range.2 = range.2.max(date);
                    }
                    None => filter.ranges.push((attribute.kind(), date, date)),
                },
            }
        }
        filter
    }

    /// Where to look.
    #[must_use]
    pub fn candidates(&self) -> Candidates {
        let find = |select: fn(&Attribute) -> Option<Candidates>| self.equal.iter().find_map(select);
        find(|attribute| match attribute {
            Attribute::UniqueIdentifier(id) => Some(Candidates::Id(id.clone())),
            _ => None,
        })
        .or_else(|| {
            find(|attribute| match attribute {
                Attribute::Name(name) => Some(Candidates::Name(name.value.clone())),
                _ => None,
            })
        })
        .or_else(|| {
            find(|attribute| match attribute {
                Attribute::Link(Link { target, .. }) => {
                    target.as_text().map(|id| Candidates::Link(id.to_owned()))
                }
                _ => None,
            })
        })
        .or_else(|| {
            find(|attribute| match attribute {
                Attribute::ObjectGroup(group) => Some(Candidates::Group(group.clone())),
                _ => None,
            })
        })
        .unwrap_or_else(|| {
            let initial = self.ranges.iter().find(|range| range.0 == AttributeKind::InitialDate);
            let (_, from, to) = initial.copied().unwrap_or((
                AttributeKind::InitialDate,
                DateTime(i64::MIN),
                DateTime(i64::MAX),
            ));
            Candidates::Owner(from, to)
        })
    }

    /// Whether an object has everything that is asked for, at `now`.
    #[must_use]
    pub fn matches(&self, object: &Object, now: DateTime) -> bool {
        self.is_stored_there(object, now)
            && (!self.is_fresh || object.attributes.contains(&Attribute::Fresh(true)))
            && self.equal.iter().all(|wanted| equal(object, wanted, now))
            && self.ranges.iter().all(|(kind, from, to)| {
                object.attributes.iter().any(|attribute| {
                    attribute.kind() == *kind
                        && date(attribute).is_some_and(|date| (*from..=*to).contains(&date))
                })
            })
    }
}

impl Filter {
    /// Whether the object is where the request looks. What is destroyed is found only by who asks for that.
    fn is_stored_there(&self, object: &Object, now: DateTime) -> bool {
        let state = lifecycle::state_at(object, now);
        let is_destroyed = matches!(state, State::Destroyed | State::DestroyedCompromised);
        let place = if is_destroyed {
            StorageStatusMask::DESTROYED
        } else if object.archive_date().is_some() {
            StorageStatusMask::ARCHIVAL
        } else {
            StorageStatusMask::ON_LINE
        };
        match self.storage {
            Some(mask) => mask.contains(place),
            None => {
                place == StorageStatusMask::ON_LINE
                    || (is_destroyed && self.equal.contains(&Attribute::State(state)))
            }
        }
    }
}

fn equal(object: &Object, wanted: &Attribute, now: DateTime) -> bool {
    match wanted {
        Attribute::UniqueIdentifier(id) => object.id == *id,
        Attribute::ObjectType(object_type) => object.object_type == *object_type,
        Attribute::State(state) => lifecycle::state_at(object, now) == *state,
        Attribute::CryptographicUsageMask(mask) => object.usage().contains(*mask),
        // An object that names no policy is under the one that is called so (1.4 section 3.18.2).
        Attribute::OperationPolicyName(name)
            if name == "default" && !object.has(AttributeKind::OperationPolicyName) =>
        {
            true
        }
        // A key that never rotated is the newest of its line.
        Attribute::RotateLatest(true) if !object.has(AttributeKind::RotateLatest) => is_key(object),
        _ => attributes::all(object, now).contains(wanted),
    }
}

fn is_key(object: &Object) -> bool {
    matches!(object.object_type, ObjectType::PrivateKey | ObjectType::PublicKey | ObjectType::SymmetricKey)
}

fn date(attribute: &Attribute) -> Option<DateTime> {
    match attribute {
        Attribute::InitialDate(date)
        | Attribute::ActivationDate(date)
        | Attribute::ProcessStartDate(date)
        | Attribute::ProtectStopDate(date)
        | Attribute::DeactivationDate(date)
        | Attribute::DestroyDate(date)
        | Attribute::CompromiseOccurrenceDate(date)
        | Attribute::CompromiseDate(date)
        | Attribute::ArchiveDate(date)
        | Attribute::LastChangeDate(date)
        | Attribute::OriginalCreationDate(date)
        | Attribute::RotateDate(date) => Some(*date),
        _ => None,
    }
}
