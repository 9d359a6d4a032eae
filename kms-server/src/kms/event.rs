//! What the server tells those who follow it: rotations, changes of state, and what goes wrong.

use core::fmt;

use jiff::Timestamp;
use kms_protocol::DateTime;
use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{ObjectType, State};
use serde::{Deserialize, Serialize};

use super::lifecycle;
use super::model::Object;
use super::rotation::{Pair, Rotation};
use crate::audit::{bounded, brief};

/// Something that happened because it fell due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fired {
    /// When it fell due.
    pub at: DateTime,
    /// What happened.
    pub event: Event,
}

/// Something that others want to know of. It names objects, never what is in them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A pair was made.
    Created {
        /// Whose it is.
        owner: String,
        /// Both halves.
        new: Ids,
        /// The Names of both halves.
        names: Vec<String>,
    },
    /// Another object was made, registered, derived or imported.
    Made {
        /// Whose it is.
        owner: String,
        /// What it is, in KMIP's words.
        object_type: String,
        /// Which it is.
        id: String,
        /// Its Names.
        names: Vec<String>,
    },
    /// A symmetric key was replaced by a new one.
    Replaced {
        /// Whose it is.
        owner: String,
        /// The key that was replaced.
        old: String,
        /// The key that replaces it.
        id: String,
        /// The Names that the new key has taken over.
        names: Vec<String>,
        /// The new key's Rotate Generation.
        generation: i32,
    },
    /// A pair was replaced by a new one.
    Rotated {
        /// What asked for it.
        #[serde(flatten)]
        cause: Cause,
        /// Whose it is.
        owner: String,
        /// The pair that was replaced.
        old: Ids,
        /// The pair that replaces it.
        new: Ids,
        /// The Names that the new pair has taken over.
        names: Vec<String>,
        /// The new pair's Rotate Generation.
        generation: i32,
    },
    /// An object changed its State.
    StateChanged {
        /// Whose it is.
        owner: String,
        /// What it is, in KMIP's words.
        object_type: String,
        /// Which it is.
        id: String,
        /// Its Names.
        names: Vec<String>,
        /// Its State from now on, in KMIP's words.
        state: String,
    },
    /// A client changed attributes of an object.
    AttributesChanged {
        /// Whose it is.
        owner: String,
        /// What it is, in KMIP's words.
        object_type: String,
        /// Which it is.
        id: String,
        /// Its Names.
        names: Vec<String>,
        /// The attributes that have other values now, or none, by the names that 1.x has for them.
        attributes: Vec<String>,
    },
    /// An object's key material is gone, or will be once its deletion window is over.
    Destroyed {
        /// The policy that ends old generations; absent where a client asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
        /// Whose it is.
        owner: String,
        /// What it is, in KMIP's words.
        object_type: String,
        /// Which it is.
        id: String,
        /// Its Names.
        names: Vec<String>,
    },
    /// The operator has brought a destroyed object back.
    Undeleted {
        /// Whose it is.
        owner: String,
        /// What it is, in KMIP's words.
        object_type: String,
        /// Which it is.
        id: String,
        /// Its Names.
        names: Vec<String>,
        /// Its State from now on, in KMIP's words.
        state: String,
    },
    /// The deletion window of a destroyed object is over: its key material is gone for good.
    Purged {
        /// Whose it is.
        owner: String,
        /// What it is, in KMIP's words.
        object_type: String,
        /// Which it is.
        id: String,
    },
    /// A pair that was due could not be rotated, and is not tried again.
    RotationFailed {
        /// Whose it is.
        owner: String,
        /// Its private key.
        private: String,
        /// The Names of its private key.
        names: Vec<String>,
        /// Why not.
        reason: String,
    },
    /// The store takes no writes.
    StoreReadOnly {
        /// Why not.
        reason: String,
    },
    /// The store takes writes again.
    StoreWritable,
    /// A certificate of the server's own expires soon, or has expired.
    CertificateExpires {
        /// Its subject.
        subject: String,
        /// Until when it is valid, by the real time.
        not_after: Timestamp,
    },
}

/// What a rotation was asked for by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// A policy.
    Policy {
        /// Its name.
        policy: String,
    },
    /// The Rotate Interval that the client gave the pair when it was made.
    Wish,
    /// A client, by Re-key Key Pair.
    Client,
    /// The operator.
    Operator,
}

/// Both halves of a pair.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ids {
    /// The private key.
    pub private: String,
    /// The public key.
    pub public: String,
}

impl Event {
    /// The kinds of events, as configuration and JSON name them.
    pub const KINDS: [&'static str; 13] = [
        "created",
        "made",
        "replaced",
        "rotated",
        "state-changed",
        "attributes-changed",
        "destroyed",
        "undeleted",
        "purged",
        "rotation-failed",
        "store-read-only",
        "store-writable",
        "certificate-expires",
    ];

    /// Which of [`Event::KINDS`] it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Made { .. } => "made",
            Self::Replaced { .. } => "replaced",
            Self::Rotated { .. } => "rotated",
            Self::StateChanged { .. } => "state-changed",
            Self::AttributesChanged { .. } => "attributes-changed",
            Self::Destroyed { .. } => "destroyed",
            Self::Undeleted { .. } => "undeleted",
            Self::Purged { .. } => "purged",
            Self::RotationFailed { .. } => "rotation-failed",
            Self::StoreReadOnly { .. } => "store-read-only",
            Self::StoreWritable => "store-writable",
            Self::CertificateExpires { .. } => "certificate-expires",
        }
    }

    /// The objects that it is about.
    #[must_use]
    pub fn objects(&self) -> Vec<&str> {
        match self {
            Self::Created { new, .. } => vec![&new.private, &new.public],
            Self::Rotated { old, new, .. } => vec![&old.private, &old.public, &new.private, &new.public],
            Self::Replaced { old, id, .. } => vec![old, id],
            Self::Made { id, .. }
            | Self::StateChanged { id, .. }
            | Self::AttributesChanged { id, .. }
            | Self::Destroyed { id, .. }
            | Self::Undeleted { id, .. }
            | Self::Purged { id, .. } => vec![id],
            Self::RotationFailed { private, .. } => vec![private],
            Self::StoreReadOnly { .. } | Self::StoreWritable | Self::CertificateExpires { .. } => Vec::new(),
        }
    }

    /// About how many bytes its texts have.
    pub(crate) fn weight(&self) -> usize {
        let texts = match self {
            Self::Created { names, .. }
            | Self::Made { names, .. }
            | Self::Replaced { names, .. }
            | Self::Rotated { names, .. }
            | Self::StateChanged { names, .. }
            | Self::Destroyed { names, .. }
            | Self::Undeleted { names, .. } => names.iter().map(String::len).sum(),
            Self::AttributesChanged { names, attributes, .. } => {
                names.iter().chain(attributes).map(String::len).sum()
            }
            Self::RotationFailed { names, reason, .. } => {
                names.iter().map(String::len).sum::<usize>() + reason.len()
            }
            Self::StoreReadOnly { reason } => reason.len(),
            Self::CertificateExpires { subject, .. } => subject.len(),
            Self::Purged { .. } | Self::StoreWritable => 0,
        };
        let ids: usize = self.objects().into_iter().map(str::len).sum();
        texts + ids + self.owner().map_or(0, str::len)
    }

    /// Whose objects it is about, where it is about any.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::Created { owner, .. }
            | Self::Made { owner, .. }
            | Self::Replaced { owner, .. }
            | Self::Rotated { owner, .. }
            | Self::StateChanged { owner, .. }
            | Self::AttributesChanged { owner, .. }
            | Self::Destroyed { owner, .. }
            | Self::Undeleted { owner, .. }
            | Self::Purged { owner, .. }
            | Self::RotationFailed { owner, .. } => Some(owner),
            Self::StoreReadOnly { .. } | Self::StoreWritable | Self::CertificateExpires { .. } => None,
        }
    }

    pub(super) fn created(pair: &Pair) -> Self {
        Self::Created { owner: pair.private.owner.clone(), new: Ids::of(pair), names: names_of(pair) }
    }

    pub(super) fn made(object: &Object) -> Self {
        Self::Made {
            owner: object.owner.clone(),
            object_type: text(object.object_type),
            id: object.id.clone(),
            names: names(object).collect(),
        }
    }

    pub(super) fn replaced(old: &Object, new: &Object) -> Self {
        Self::Replaced {
            owner: new.owner.clone(),
            old: old.id.clone(),
            id: new.id.clone(),
            names: names(new).collect(),
            generation: new.generation().unwrap_or(0),
        }
    }

    pub(super) fn state_changed(object: &Object, state: State) -> Self {
        Self::StateChanged {
            owner: object.owner.clone(),
            object_type: text(object.object_type),
            id: object.id.clone(),
            names: names(object).collect(),
            state: state.to_string(),
        }
    }

    /// What is other about an object than `before`; nothing where that is its State at most, which is told by itself.
    pub(super) fn attributes_changed(object: &Object, before: &[Attribute]) -> Option<Self> {
        let mut attributes: Vec<String> = Vec::new();
        let gone = before.iter().filter(|one| !object.attributes.contains(one));
        let new = object.attributes.iter().filter(|one| !before.contains(one));
        for attribute in gone.chain(new) {
            let name = match attribute {
                Attribute::State(_) | Attribute::LastChangeDate(_) => continue,
                Attribute::Custom(custom) => bounded(&custom.name_in_1x()),
                other => other.kind().name().to_owned(),
            };
            if !attributes.contains(&name) {
                attributes.push(name);
            }
        }
        (!attributes.is_empty()).then(|| Self::AttributesChanged {
            owner: object.owner.clone(),
            object_type: text(object.object_type),
            id: object.id.clone(),
            names: names(object).collect(),
            attributes,
        })
    }

    pub(super) fn destroyed(object: &Object, policy: Option<&str>) -> Self {
        Self::Destroyed {
            policy: policy.map(str::to_owned),
            owner: object.owner.clone(),
            object_type: text(object.object_type),
            id: object.id.clone(),
            names: names(object).collect(),
        }
    }

    pub(super) fn undeleted(object: &Object, state: State) -> Self {
        Self::Undeleted {
            owner: object.owner.clone(),
            object_type: text(object.object_type),
            id: object.id.clone(),
            names: names(object).collect(),
            state: state.to_string(),
        }
    }

    pub(super) fn purged(object: &Object) -> Self {
        Self::Purged {
            owner: object.owner.clone(),
            object_type: text(object.object_type),
            id: object.id.clone(),
        }
    }

    pub(super) fn rotation_failed(private: &Object, reason: &str) -> Self {
        Self::RotationFailed {
            owner: private.owner.clone(),
            private: private.id.clone(),
            names: names(private).collect(),
            reason: brief(reason.to_owned()),
        }
    }

    pub(super) fn rotated(rotation: &Rotation, cause: Cause) -> Self {
        let Rotation { old, new, .. } = rotation;
        Self::Rotated {
            cause,
            owner: new.private.owner.clone(),
            old: Ids::of(old),
            new: Ids::of(new),
            names: names_of(new),
            generation: new.private.generation().unwrap_or(0),
        }
    }

    /// What a rotation is to those who follow: the rotation, and what became of the halves that were replaced.
    pub(super) fn of_rotation(rotation: &Rotation, cause: Cause) -> Vec<Self> {
        std::iter::once(Self::rotated(rotation, cause)).chain(rotation.ended.iter().cloned()).collect()
    }

    /// Writes down what dates have brought about, and says what that was.
    pub(super) fn settle(object: &mut Object, now: DateTime) -> Option<Self> {
        let was_withheld = object.withheld.is_some();
        if !lifecycle::settle(object, now) {
            return None;
        }
        match object.written_state() {
            _ if was_withheld && object.withheld.is_none() => Some(Self::purged(object)),
            state => Some(Self::state_changed(object, state?)),
        }
    }
}

impl Ids {
    fn of(pair: &Pair) -> Self {
        Self { private: pair.private.id.clone(), public: pair.public.id.clone() }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { new, .. } => {
                write!(f, "private key {} and public key {} were made", new.private, new.public)
            }
            Self::Made { object_type, id, .. } => write!(f, "{object_type} {id} was made"),
            Self::Replaced { old, id, generation, .. } => {
                write!(f, "symmetric key {old} was replaced by {id} (generation {generation})")
            }
            Self::Rotated { cause, old, new, generation, .. } => {
                match cause {
                    Cause::Policy { policy } => write!(f, "policy {policy:?}")?,
                    Cause::Wish => f.write_str("the client's own wish")?,
                    Cause::Client => f.write_str("the client")?,
                    Cause::Operator => f.write_str("the operator")?,
                }
                let (old, new) = (&old.private, &new.private);
                write!(f, " rotated private key {old} to {new} (generation {generation})")
            }
            Self::StateChanged { object_type, id, state, .. } => write!(f, "{object_type} {id} is {state}"),
            Self::AttributesChanged { object_type, id, attributes, .. } => {
                write!(f, "{} of {object_type} {id} changed", attributes.join(", "))
            }
            Self::Destroyed { policy: Some(policy), id, .. } => {
                write!(f, "policy {policy:?} destroyed the old key {id}")
            }
            Self::Destroyed { object_type, id, .. } => write!(f, "{object_type} {id} is destroyed"),
            Self::Undeleted { object_type, id, state, .. } => {
                write!(f, "the operator brought {object_type} {id} back: it is {state}")
            }
            Self::Purged { object_type, id, .. } => {
                write!(f, "{object_type} {id} can be brought back no longer")
            }
            Self::RotationFailed { private, reason, .. } => {
                write!(f, "private key {private} cannot be rotated and is left alone: {reason}")
            }
            Self::StoreReadOnly { reason } => write!(f, "the store takes no writes: {reason}"),
            Self::StoreWritable => f.write_str("the store takes writes again"),
            Self::CertificateExpires { subject, not_after } => {
                write!(f, "the server's certificate {subject:?} expires at {not_after}")
            }
        }
    }
}

fn text(object_type: ObjectType) -> String {
    object_type.to_string()
}

/// How many Names of an object an event states: a record of a commit has to stay small whatever a client named.
const NAMES: usize = 8;

fn names(object: &Object) -> impl Iterator<Item = String> {
    object.names().take(NAMES).map(|name| name.value.clone())
}

fn names_of(pair: &Pair) -> Vec<String> {
    names(&pair.private).chain(names(&pair.public)).collect()
}
