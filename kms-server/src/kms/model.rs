//! A managed object in the core: its attributes, its key material, and how both are kept.

use kms_protocol::attribute::{
    Attribute, AttributeKind, CryptographicUsageMask, Link, Name, UsageLimits, read_stored, write_stored,
};
use kms_protocol::enums::{
    CryptographicAlgorithm, KeyFormatType, LinkType, ObjectType, RecommendedCurve, State,
};
use kms_protocol::error::{DecodeError, DecodeErrorKind};
use kms_protocol::ttlv::{Bytes, Interval, Item, Reader, Writer};
use kms_protocol::{DateTime, Tag, Version};

use super::policy::OWN_WISH;
use crate::store::{Index, Key, Put, Record, StoreError, Term};

/// The format in which this server writes records. A record states its own.
const RECORD_FORMAT: i32 = 1;

/// The format of records that hold what no server of format 1 could read: an object kept whole.
const WHOLE_FORMAT: i32 = 2;

/// Items of a record that are not KMIP's, in the range that the specification leaves to vendors.
mod tags {
    use kms_protocol::Tag;

    pub const RECORD: Tag = Tag(0x54_0001);
    pub const FORMAT: Tag = Tag(0x54_0002);
    pub const OWNER: Tag = Tag(0x54_0003);
    pub const MATERIAL: Tag = Tag(0x54_0004);
    pub const POLICY: Tag = Tag(0x54_0005);
    pub const FORMER_NAME: Tag = Tag(0x54_0006);
    pub const KEPT: Tag = Tag(0x54_0007);
    pub const WITHHELD: Tag = Tag(0x54_0008);
    pub const UNTIL: Tag = Tag(0x54_0009);
    pub const LEFT_ALONE: Tag = Tag(0x54_000A);
    pub const BROUGHT_BACK: Tag = Tag(0x54_000B);
    pub const EARLY: Tag = Tag(0x54_000C);
    pub const WHOLE: Tag = Tag(0x54_000D);
    pub const SHARES_NAMES: Tag = Tag(0x54_000E);
}

/// A managed object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its Unique Identifier.
    pub id: String,
    /// The principal that it belongs to.
    pub owner: String,
    /// Its Object Type.
    pub object_type: ObjectType,
    /// Its attributes, but for Unique Identifier and Object Type.
    pub attributes: Vec<Attribute>,
    /// Its key material; `None` once destroyed.
    pub material: Option<Material>,
    /// The policy that it is filed under.
    pub policy: Option<String>,
    /// By how many seconds the jitter of that policy brings the rotation of this private key's pair forward.
    pub early: i64,
    /// The Names that it had until a successor took them over: by them policies still know it.
    pub former_names: Vec<String>,
    /// Whether its time to be destroyed has come while the other half was still in use: then it goes with that.
    pub is_kept: bool,
    /// Whether it could not be rotated when it was due, and is not tried again.
    pub is_left_alone: bool,
    /// Whether the operator brought it back after it was destroyed: then no policy destroys it again.
    pub is_brought_back: bool,
    /// Whether others may have its Names too: it is destroyed, or was made where the configuration lets them.
    pub shares_names: bool,
    /// Key material of a destroyed object that the operator can still bring back.
    pub withheld: Option<Withheld>,
    /// The revision that was read; `None` for an object that is not stored yet.
    pub revision: Option<u64>,
}

/// Key material at rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Material {
    /// A private or symmetric key, sealed under the store's key: PKCS#8 or raw.
    Sealed(Bytes),
    /// A public key: `SubjectPublicKeyInfo`.
    Public(Bytes),
    /// Any other object as its client gave it, encoded in KMIP 2.1 and sealed.
    Whole(Bytes),
}

impl Material {
    /// What is sealed under the store's key, if anything is.
    #[must_use]
    pub fn sealed(&self) -> Option<&Bytes> {
        match self {
            Self::Sealed(bytes) | Self::Whole(bytes) => Some(bytes),
            Self::Public(_) => None,
        }
    }

    /// The same, to be sealed anew.
    pub fn sealed_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::Sealed(bytes) | Self::Whole(bytes) => Some(bytes),
            Self::Public(_) => None,
        }
    }
}

/// Destroyed key material within its deletion window. To clients it is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withheld {
    /// The material.
    pub material: Material,
    /// When it goes for good.
    pub until: DateTime,
    /// The state to which the object would come back.
    pub state: State,
}

macro_rules! single_valued {
    ($($(#[$doc:meta])* $name:ident: $kind:ident -> $type:ty;)*) => {
        impl Object {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> Option<$type> {
                    self.attributes.iter().find_map(|attribute| match attribute {
                        Attribute::$kind(value) => Some(*value),
                        _ => None,
                    })
                }
            )*
        }
    };
}

single_valued! {
    /// Cryptographic Algorithm.
    algorithm: CryptographicAlgorithm -> CryptographicAlgorithm;
    /// Cryptographic Length, in bits.
    length: CryptographicLength -> i32;
    /// Initial Date.
    initial_date: InitialDate -> DateTime;
    /// Activation Date.
    activation_date: ActivationDate -> DateTime;
    /// Deactivation Date.
    deactivation_date: DeactivationDate -> DateTime;
    /// Compromise Date.
    compromise_date: CompromiseDate -> DateTime;
    /// Rotate Generation.
    generation: RotateGeneration -> i32;
    /// Rotate Interval, the client's own wish.
    rotate_interval: RotateInterval -> Interval;
    /// Rotate Automatic, the client's own wish.
    rotate_automatic: RotateAutomatic -> bool;
    /// Rotate Offset, the client's own wish.
    rotate_offset: RotateOffset -> Interval;
    /// Process Start Date.
    process_start_date: ProcessStartDate -> DateTime;
    /// Protect Stop Date.
    protect_stop_date: ProtectStopDate -> DateTime;
    /// Archive Date, of an object in the archive.
    archive_date: ArchiveDate -> DateTime;
    /// The state as last written. [`crate::kms::lifecycle::state_at`] tells the state at a time.
    written_state: State -> State;
}

impl Object {
    /// One that is not stored yet, without key material.
    #[must_use]
    pub fn new(id: String, owner: &str, object_type: ObjectType, attributes: Vec<Attribute>) -> Self {
        Self {
            id,
            owner: owner.to_owned(),
            object_type,
            attributes,
            material: None,
            policy: None,
            early: 0,
            former_names: Vec::new(),
            is_kept: false,
            is_left_alone: false,
            is_brought_back: false,
            shares_names: false,
            withheld: None,
            revision: None,
        }
    }

    /// Whether it is destroyed.
    #[must_use]
    pub fn is_destroyed(&self) -> bool {
        matches!(self.written_state(), Some(State::Destroyed | State::DestroyedCompromised))
    }

    /// The key's usage mask; nothing where none is set.
    #[must_use]
    pub fn usage(&self) -> CryptographicUsageMask {
        self.attributes
            .iter()
            .find_map(|attribute| match attribute {
                Attribute::CryptographicUsageMask(mask) => Some(*mask),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// The curve of its domain parameters.
    #[must_use]
    pub fn curve(&self) -> Option<RecommendedCurve> {
        self.attributes.iter().find_map(|attribute| match attribute {
            Attribute::CryptographicDomainParameters(parameters) => parameters.recommended_curve,
            _ => None,
        })
    }

    /// Whether it is on a curve whose private keys are encoded as SEC1 has it: all but Curve25519.
    #[must_use]
    pub fn is_of_sec1(&self) -> bool {
        use CryptographicAlgorithm::{Ed25519, Rsa};
        !matches!(self.algorithm(), Some(Rsa | Ed25519)) && self.curve() != Some(RecommendedCurve::Curve25519)
    }

    /// Its Names.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.attributes.iter().filter_map(|attribute| match attribute {
            Attribute::Name(name) => Some(name),
            _ => None,
        })
    }

    /// Its Names, those included that a successor has taken over.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.names().map(|name| name.value.as_str()).chain(self.former_names.iter().map(String::as_str))
    }

    /// Its Object Groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter_map(|attribute| match attribute {
            Attribute::ObjectGroup(group) => Some(group.as_str()),
            _ => None,
        })
    }

    /// Its Links.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.attributes.iter().filter_map(|attribute| match attribute {
            Attribute::Link(link) => Some(link),
            _ => None,
        })
    }

    /// The object that a Link of this type points to.
    #[must_use]
    pub fn linked(&self, link_type: LinkType) -> Option<&str> {
        self.links().find(|link| link.link_type == link_type).and_then(|link| link.target.as_text())
    }

    /// Sets a single-valued attribute.
    pub fn set(&mut self, attribute: Attribute) {
        let kind = attribute.kind();
        match self.attributes.iter_mut().find(|present| present.kind() == kind) {
            Some(present) => *present = attribute,
            None => self.attributes.push(attribute),
        }
    }

    /// Sets a single-valued attribute unless it has a value.
    pub fn set_default(&mut self, attribute: Attribute) {
        if !self.has(attribute.kind()) {
            self.attributes.push(attribute);
        }
    }

    /// Sets the Link of a type of which an object has one.
    pub fn set_link(&mut self, link_type: LinkType, target: &str) {
        self.attributes
            .retain(|attribute| !matches!(attribute, Attribute::Link(link) if link.link_type == link_type));
        self.attributes.push(Attribute::Link(Link::to(link_type, target)));
    }

    /// Removes every instance of an attribute.
    pub fn remove(&mut self, kind: AttributeKind) {
        self.attributes.retain(|attribute| attribute.kind() != kind);
    }

    /// Whether the attribute has a value.
    #[must_use]
    pub fn has(&self, kind: AttributeKind) -> bool {
        self.attributes.iter().any(|attribute| attribute.kind() == kind)
    }

    /// The format in which the object is served where the client names none (2.1 section 4.26).
    #[must_use]
    pub fn default_format(&self) -> KeyFormatType {
        let own = self.attributes.iter().find_map(|attribute| match attribute {
            Attribute::KeyFormatType(format) => Some(*format),
            _ => None,
        });
        own.unwrap_or(match self.object_type {
            ObjectType::PrivateKey | ObjectType::PublicKey
                if self.algorithm() == Some(CryptographicAlgorithm::Rsa) =>
            {
                KeyFormatType::Pkcs1
            }
            ObjectType::PrivateKey if self.is_of_sec1() => KeyFormatType::EcPrivateKey,
            ObjectType::PrivateKey => KeyFormatType::Pkcs8,
            ObjectType::PublicKey => KeyFormatType::X509,
            _ => KeyFormatType::Raw,
        })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the record is not what [`Object::put`] writes.
    pub fn from_record(id: &str, record: &Record) -> Result<Self, StoreError> {
        let corrupt = |error: DecodeError| StoreError::Corrupt { what: error.to_string(), at: id.to_owned() };
        let mut object = Self::decode(id, &record.value).map_err(corrupt)?;
        object.revision = Some(record.revision);
        Ok(object)
    }

    fn decode(id: &str, value: &[u8]) -> Result<Self, DecodeError> {
        let mut outer = Reader::new(value, Version::V2_1);
        let item = outer.take(tags::RECORD)?.ok_or_else(|| outer.missing(tags::RECORD))?;
        let mut reader = item.structure()?;
        let format: i32 = reader.field(tags::FORMAT)?;
        if ![RECORD_FORMAT, WHOLE_FORMAT].contains(&format) {
            let kind = DecodeErrorKind::InvalidValue("a newer program wrote it");
            return Err(DecodeError { kind, tag: Some(tags::FORMAT), offset: 8 });
        }
        let owner = reader.field(tags::OWNER)?;
        let object_type = reader.field(Tag::OBJECT_TYPE)?;
        let policy = reader.field(tags::POLICY)?;
        let early = reader.field::<Option<i64>>(tags::EARLY)?.unwrap_or(0);
        let former_names = reader.field(tags::FORMER_NAME)?;
        let is_kept = reader.field::<Option<bool>>(tags::KEPT)?.unwrap_or(false);
        let withheld = reader.take(tags::WITHHELD)?.map(read_withheld).transpose()?;
        let is_left_alone = reader.field::<Option<bool>>(tags::LEFT_ALONE)?.unwrap_or(false);
        let is_brought_back = reader.field::<Option<bool>>(tags::BROUGHT_BACK)?.unwrap_or(false);
        let shares_names = reader.field::<Option<bool>>(tags::SHARES_NAMES)?.unwrap_or(false);
        let material = read_material(&mut reader)?;
        let attributes = reader.take(Tag::ATTRIBUTES)?.ok_or_else(|| reader.missing(Tag::ATTRIBUTES))?;
        let attributes = read_stored(attributes)?;
        reader.finish_whole()?;
        Ok(Self {
            id: id.to_owned(),
            owner,
            object_type,
            attributes,
            material,
            policy,
            early,
            former_names,
            is_kept,
            is_left_alone,
            is_brought_back,
            shares_names,
            withheld,
            revision: None,
        })
    }

    /// The change that writes the object.
    #[must_use]
    pub fn put(&self) -> Put {
        let mut writer = Writer::new(Version::V2_1);
        writer.structure(tags::RECORD, |writer| {
            writer.field(tags::FORMAT, &self.format());
            writer.field(tags::OWNER, &self.owner);
            writer.field(Tag::OBJECT_TYPE, &self.object_type);
            writer.field(tags::POLICY, &self.policy);
            writer.field(tags::EARLY, &(self.early != 0).then_some(self.early));
            writer.field(tags::FORMER_NAME, &self.former_names);
            writer.field(tags::KEPT, &self.is_kept.then_some(true));
            if let Some(Withheld { material, until, state }) = &self.withheld {
                writer.structure(tags::WITHHELD, |writer| {
                    write_material(writer, material);
                    writer.field(tags::UNTIL, until);
                    writer.field(Tag::STATE, state);
                });
            }
            writer.field(tags::LEFT_ALONE, &self.is_left_alone.then_some(true));
            writer.field(tags::BROUGHT_BACK, &self.is_brought_back.then_some(true));
            writer.field(tags::SHARES_NAMES, &self.shares_names.then_some(true));
            if let Some(material) = &self.material {
                write_material(writer, material);
            }
            writer.structure(Tag::ATTRIBUTES, |writer| write_stored(writer, &self.attributes));
        });
        Put { id: self.id.clone(), replaces: self.revision, value: writer.into_bytes(), terms: self.terms() }
    }

    fn format(&self) -> i32 {
        let withheld = self.withheld.as_ref().map(|withheld| &withheld.material);
        let is_whole = |material: &Material| matches!(material, Material::Whole(_));
        if self.material.iter().chain(withheld).any(is_whole) { WHOLE_FORMAT } else { RECORD_FORMAT }
    }

    /// What the object is found by.
    pub(super) fn terms(&self) -> Vec<Term> {
        let mut terms = vec![Term::new(Index::Owner, owner_key(&self.owner, self.initial_date()))];
        let index = if self.shares_names { Index::SharedName } else { Index::Name };
        terms.extend(self.names().map(|name| Term::new(index, name_key(&self.owner, &name.value))));
        let mut groups: Vec<&str> = self.groups().collect();
        groups.sort_unstable();
        groups.dedup();
        terms.extend(groups.into_iter().map(|group| {
            Term::new(
                Index::Group,
                group_key(&self.owner, group).date(self.initial_date().unwrap_or_default()).bytes(),
            )
        }));
        let mut targets: Vec<&str> = self.links().filter_map(|link| link.target.as_text()).collect();
        targets.sort_unstable();
        targets.dedup();
        terms.extend(targets.into_iter().map(|target| Term::new(Index::Link, link_key(&self.owner, target))));
        if let Some(due) = self.next_transition() {
            terms.push(Term::new(Index::Due, due_key(due)));
        }
        terms.extend(self.filed().map(|(index, key)| Term::new(index, key)));
        terms
    }

    /// Where it is filed under its policy: a pair by its private key, the newest generation for its rotation, each half
    /// of an old one out of use for its destruction.
    fn filed(&self) -> Option<(Index, Vec<u8>)> {
        if self.is_up_for_rotation() {
            let key = match self.wished_rotation() {
                Some(due) => rotation_key(OWN_WISH, due),
                None => rotation_key(self.policy.as_deref()?, self.interval_start()?),
            };
            return Some((Index::Rotation, key));
        }
        let may_go = !self.is_kept && !self.is_brought_back && !self.is_newest();
        let since = self.retired_since().filter(|_| may_go)?;
        Some((Index::Retired, rotation_key(self.policy.as_deref()?, since)))
    }

    /// From when its policy's rotation interval counts: its Initial Date, less the pair's jitter.
    #[must_use]
    pub fn interval_start(&self) -> Option<DateTime> {
        self.initial_date().map(|date| date.plus(-self.early))
    }

    /// Whether its key material is elsewhere: it was registered without.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.attributes.contains(&Attribute::KeyValuePresent(false))
    }

    /// Its Usage Limits.
    #[must_use]
    pub fn usage_limits(&self) -> Option<&UsageLimits> {
        self.attributes.iter().find_map(|attribute| match attribute {
            Attribute::UsageLimits(limits) => Some(limits),
            _ => None,
        })
    }

    /// Whether it has no successor.
    #[must_use]
    pub fn is_newest(&self) -> bool {
        self.linked(LinkType::ReplacementObjectLink).is_none()
    }

    /// Whether it is the private key of a newest generation that is in use or will be, and can be rotated.
    #[must_use]
    pub fn is_up_for_rotation(&self) -> bool {
        let in_use = matches!(self.written_state(), Some(State::PreActive | State::Active));
        in_use && self.is_newest() && self.object_type == ObjectType::PrivateKey && !self.is_left_alone
    }

    /// Its other half.
    #[must_use]
    pub fn other_half(&self) -> Option<&str> {
        self.linked(LinkType::PublicKeyLink).or_else(|| self.linked(LinkType::PrivateKeyLink))
    }

    /// Since when it is out of use, and not destroyed. A compromise ends its use before a Deactivation Date to come.
    #[must_use]
    pub fn retired_since(&self) -> Option<DateTime> {
        match self.written_state()? {
            State::Deactivated | State::Compromised => {
                [self.deactivation_date(), self.compromise_date()].into_iter().flatten().min()
            }
            _ => None,
        }
    }

    /// When it rotates because its client asked for that (2.1 sections 4.48 and 4.51).
    #[must_use]
    pub fn wished_rotation(&self) -> Option<DateTime> {
        let interval = self.rotate_interval().filter(|_| self.rotate_automatic() == Some(true))?;
        // At 0 s the successor would be due as soon as it is made.
        Some(self.initial_date()?.plus(i64::from(interval.0).max(1)))
    }

    /// When time alone changes it next: a date changes its State, or its deletion window ends.
    #[must_use]
    pub fn next_transition(&self) -> Option<DateTime> {
        match self.written_state()? {
            State::PreActive => self.activation_date(),
            State::Active => self.deactivation_date(),
            _ => self.withheld.as_ref().map(|withheld| withheld.until),
        }
    }
}

fn read_material(reader: &mut Reader<'_>) -> Result<Option<Material>, DecodeError> {
    let sealed: Option<Bytes> = reader.field(tags::MATERIAL)?;
    let public: Option<Bytes> = reader.field(Tag::KEY_MATERIAL)?;
    let whole: Option<Bytes> = reader.field(tags::WHOLE)?;
    Ok(sealed.map(Material::Sealed).or(public.map(Material::Public)).or(whole.map(Material::Whole)))
}

fn write_material(writer: &mut Writer, material: &Material) {
    match material {
        Material::Sealed(bytes) => writer.field(tags::MATERIAL, bytes),
        Material::Public(bytes) => writer.field(Tag::KEY_MATERIAL, bytes),
        Material::Whole(bytes) => writer.field(tags::WHOLE, bytes),
    }
}

fn read_withheld(item: Item<'_>) -> Result<Withheld, DecodeError> {
    let mut reader = item.structure()?;
    let material = read_material(&mut reader)?.ok_or_else(|| reader.missing(tags::MATERIAL))?;
    let withheld = Withheld { material, until: reader.field(tags::UNTIL)?, state: reader.field(Tag::STATE)? };
    reader.finish_whole()?;
    Ok(withheld)
}

/// An owner's objects, oldest first.
#[must_use]
pub fn owner_key(owner: &str, initial_date: Option<DateTime>) -> Vec<u8> {
    Key::new().text(owner).date(initial_date.unwrap_or_default()).bytes()
}

/// A Name of an owner's.
#[must_use]
pub fn name_key(owner: &str, name: &str) -> Vec<u8> {
    Key::new().text(owner).text(name).bytes()
}

/// An Object Group of an owner's.
#[must_use]
pub fn group_key(owner: &str, group: &str) -> Key {
    Key::new().text(owner).text(group)
}

/// The objects of an owner's that link to one.
#[must_use]
pub fn link_key(owner: &str, target: &str) -> Vec<u8> {
    Key::new().text(owner).text(target).bytes()
}

/// What falls due at a time.
#[must_use]
pub fn due_key(at: DateTime) -> Vec<u8> {
    Key::new().date(at).bytes()
}

/// The date at the end of a key of [`due_key`] or [`rotation_key`].
#[must_use]
pub fn date_in(key: &[u8]) -> Option<DateTime> {
    let (_, last) = key.split_last_chunk::<8>()?;
    Some(DateTime(i64::from_be_bytes(*last) ^ i64::MIN))
}

/// The generations that a policy has to do with, oldest first.
#[must_use]
pub fn rotation_key(policy: &str, since: DateTime) -> Vec<u8> {
    Key::new().text(policy).date(since).bytes()
}

/// The owner in a key of [`owner_key`], and the first key beyond all of that owner's.
#[must_use]
pub fn owner_in(key: &[u8]) -> Option<(String, Vec<u8>)> {
    let (owner, _) = Key::split_text(key)?;
    let mut beyond = Key::new().text(&owner).bytes();
    // A text ends with a zero, so this is above all keys of this owner and below those of any other.
    *beyond.last_mut()? = 1;
    Some((owner, beyond))
}
