//! Which objects match a Locate request (KMIP 1.4 section 4.9). Pure: candidates come in one by one.

use kms_protocol::DateTime;
use kms_protocol::attribute::{
    Attribute, AttributeKind, Criteria, Criterion, Link, StorageStatusMask, UsageLimits, write_stored,
};
use kms_protocol::enums::{ObjectGroupMember, ObjectType, State};
use kms_protocol::error::DecodeError;
use kms_protocol::ttlv::{Content, RawValue, Reader, Value as _, Writer};
use kms_protocol::{Tag, Version};

use super::model::Object;
use super::{attributes, lifecycle};

/// The attributes that a request asks for, sorted by how they are compared.
#[derive(Debug, Default)]
pub struct Filter {
    /// Compared for equality, or bit by bit for masks.
    equal: Vec<Attribute>,
    /// Structures, encoded: compared field by field, with those alone that are stated.
    partial: Vec<(AttributeKind, Vec<u8>)>,
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
        criteria: Criteria,
        storage: Option<StorageStatusMask>,
        member: Option<ObjectGroupMember>,
    ) -> Self {
        let is_fresh = member == Some(ObjectGroupMember::GroupMemberFresh);
        let mut filter = Self { storage, is_fresh, ..Self::default() };
        for criterion in criteria.0 {
            let attribute = match criterion {
                Criterion::Whole(attribute) => attribute,
                Criterion::Partial(kind, value) => {
                    filter.partial.push((kind, value.bytes.0));
                    continue;
                }
            };
            match date(&attribute) {
                None if is_compared_by_field(attribute.kind()) => {
                    filter.partial.push((attribute.kind(), fields_of(&attribute)));
                }
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
            let name = self.stated(AttributeKind::Name, Tag::NAME_VALUE).map(Candidates::Name);
            name.or_else(|| {
                self.stated(AttributeKind::Link, Tag::LINKED_OBJECT_IDENTIFIER).map(Candidates::Link)
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
                let own = object.attributes.iter().find(|attribute| attribute.kind() == *kind);
                // The largest date stands for none.
                let date = own.and_then(date).unwrap_or(DateTime(i64::MAX));
                (*from..=*to).contains(&date)
            })
            && self.partial.iter().all(|(kind, wanted)| {
                let mut own = object.attributes.iter().filter(|attribute| attribute.kind() == *kind);
                own.any(|attribute| {
                    let fields = fields_of(attribute);
                    let fields = Reader::new(&fields, Version::V2_1);
                    has_fields(&fields, Reader::new(wanted, Version::V2_1)).unwrap_or(false)
                })
            })
    }

    /// The text of a field of a structure that the request states in part.
    fn stated(&self, kind: AttributeKind, field: Tag) -> Option<String> {
        let (_, fields) = self.partial.iter().find(|(stated, _)| *stated == kind)?;
        match Reader::new(fields, Version::V2_1).take(field).ok()??.content {
            Content::TextString(text) => Some(text.to_owned()),
            _ => None,
        }
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
        Attribute::UsageLimits(wanted) => object.usage_limits().is_some_and(|own| reaches(own, wanted)),
        // A key that never rotated is the newest of its line.
        Attribute::RotateLatest(true) if !object.has(AttributeKind::RotateLatest) => is_key(object),
        _ => attributes::all(object, now).contains(wanted),
    }
}

/// Whether Usage Limits leave as much as is asked for.
fn reaches(own: &UsageLimits, wanted: &UsageLimits) -> bool {
    let left = own.count.unwrap_or(own.total);
    own.unit == wanted.unit && own.total >= wanted.total && wanted.count.is_none_or(|count| left >= count)
}

/// Whether an attribute is a structure whose fields count one by one. Names and Links that are stated whole are found in an
/// index; of Usage Limits and vendors' values the value counts.
fn is_compared_by_field(kind: AttributeKind) -> bool {
    matches!(
        kind,
        AttributeKind::AlternativeName
            | AttributeKind::ApplicationSpecificInformation
            | AttributeKind::CertificateIdentifier
            | AttributeKind::CertificateIssuer
            | AttributeKind::CertificateSubject
            | AttributeKind::CryptographicDomainParameters
            | AttributeKind::CryptographicParameters
            | AttributeKind::Digest
            | AttributeKind::KeyValueLocation
            | AttributeKind::RandomNumberGenerator
            | AttributeKind::RevocationReason
            | AttributeKind::RotateName
            | AttributeKind::X509CertificateIdentifier
            | AttributeKind::X509CertificateIssuer
            | AttributeKind::X509CertificateSubject
    )
}

/// The fields of an attribute that is a structure, encoded.
fn fields_of(attribute: &Attribute) -> Vec<u8> {
    let mut writer = Writer::new(Version::V2_1);
    write_stored(&mut writer, std::slice::from_ref(attribute));
    let bytes = writer.into_bytes();
    match Reader::new(&bytes, Version::V2_1).next_item() {
        Ok(Some(item)) => match item.content {
            Content::Structure(reader) => reader.rest().to_vec(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Whether a structure has all of these fields, in structures within it too.
fn has_fields(own: &Reader<'_>, mut wanted: Reader<'_>) -> Result<bool, DecodeError> {
    while let Some(field) = wanted.next_item()? {
        let mut all = own.clone();
        let mut has = false;
        while let Some(other) = all.next_item()? {
            if other.tag != field.tag {
                continue;
            }
            has |= match (other.content.clone(), field.content.clone()) {
                (Content::Structure(own), Content::Structure(wanted)) => has_fields(&own, wanted)?,
                _ => RawValue::read(other)? == RawValue::read(field.clone())?,
            };
        }
        if !has {
            return Ok(false);
        }
    }
    Ok(true)
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
