//! What the operator sees of keys and does to them, whoever owns them. Never a byte of key material.

use core::net::SocketAddr;

use kms_protocol::DateTime;
use kms_protocol::attribute::Attributes;
use kms_protocol::enums::{LinkType, ObjectType, State};
use wildmatch::WildMatch;

use super::model::{self, Object};
use super::notes::is_object;
use super::policy::Policy;
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::rotations::automatic;
use super::{Cause, Event, Kms, lifecycle};
use crate::limits;
use crate::store::{Batch, Hit, Index, Key, Keys, Scan, StoreError};

/// Which keys are listed.
#[derive(Clone, Debug, Default)]
pub struct KeyQuery {
    /// Of this owner; of all where absent.
    pub owner: Option<String>,
    /// With a Name that matches.
    pub name: Option<WildMatch>,
    /// In this state.
    pub state: Option<State>,
    /// Of this generation.
    pub generation: Option<i32>,
    /// Where the last page ended.
    pub after: Option<Hit>,
    /// How many at most.
    pub limit: usize,
}

/// One page of keys.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// The keys, by owner and then oldest first.
    pub keys: Vec<KeyView>,
    /// Where the next page begins, if there may be more.
    pub next: Option<Hit>,
}

/// A key without its material.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyView {
    /// Its Unique Identifier.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// Its Object Type.
    pub object_type: ObjectType,
    /// What kind of key, as in `RSA-4096`.
    pub kind: String,
    /// Its State at the time asked for.
    pub state: State,
    /// Its Names, or those that it had until a successor took them over.
    pub names: Vec<String>,
    /// Its Object Groups.
    pub groups: Vec<String>,
    /// Rotations that lie behind it.
    pub generation: i32,
    /// The policy that governs it.
    pub policy: Option<String>,
    /// Its other half.
    pub other_half: Option<String>,
    /// The generation before.
    pub predecessor: Option<String>,
    /// The generation after.
    pub successor: Option<String>,
    /// When it was made.
    pub initial_date: Option<DateTime>,
    /// When it became or becomes Active.
    pub activation_date: Option<DateTime>,
    /// When it was or will be Deactivated.
    pub deactivation_date: Option<DateTime>,
    /// When it rotates next.
    pub rotates_at: Option<DateTime>,
    /// Until when it can be brought back, if it is destroyed and can be.
    pub restorable_until: Option<DateTime>,
}

/// What an operator asks for: when, and as the audit log knows them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// The server's time.
    pub now: DateTime,
    /// From where, if that is known.
    pub peer: Option<SocketAddr>,
    /// What all records of the request share.
    pub correlation: String,
}

impl From<DateTime> for Order {
    /// An order of somebody of whom nothing is known.
    fn from(now: DateTime) -> Self {
        Self { now, peer: None, correlation: String::new() }
    }
}

/// A pair that was rotated by hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotated {
    /// The new private key.
    pub private: KeyView,
    /// The new public key.
    pub public: KeyView,
}

impl Kms {
    /// One page of keys. It looks at [`limits::KEYS_SEEN`] at most, so a page may hold fewer than asked for and still
    /// have a next one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn keys(&self, query: &KeyQuery, now: DateTime) -> Result<KeyPage, StoreError> {
        let keys = match &query.owner {
            Some(owner) => Keys::Prefix(Key::new().text(owner).bytes()),
            None => Keys::All,
        };
        let limit = query.limit.clamp(1, limits::KEYS_LISTED);
        let mut scan =
            Scan { limit: limits::PAGE, after: query.after.clone(), ..Scan::new(Index::Owner, keys) };
        let mut page = KeyPage { keys: Vec::new(), next: None };
        let mut seen = 0;
        loop {
            let hits = self.store.scan(&scan)?;
            if hits.is_empty() {
                return Ok(KeyPage { next: None, ..page });
            }
            for hit in hits {
                if let Some(Some(object)) = self.unless_damaged(self.fetch(&hit.id))? {
                    let view = self.view(&object, now)?;
                    if matches(query, &view) {
                        page.keys.push(view);
                    }
                }
                seen += 1;
                scan.after = Some(hit.clone());
                if page.keys.len() == limit || seen == limits::KEYS_SEEN {
                    page.next = Some(hit);
                    return Ok(page);
                }
            }
        }
    }

    /// One key, by its Unique Identifier.
    ///
    /// # Errors
    /// When there is none, or the store cannot be read.
    pub fn key(&self, id: &str, now: DateTime) -> Result<KeyView, Refusal> {
        let object = self.fetch(id)?.ok_or_else(Refusal::not_found)?;
        Ok(self.view(&object, now)?)
    }

    /// Rotates a pair now, named by either half, the way that its policy would.
    ///
    /// # Errors
    /// When there is no such pair or it cannot be rotated.
    pub fn rotate_key(&self, id: &str, order: impl Into<Order>) -> Result<Rotated, Refusal> {
        let order = order.into();
        let now = order.now;
        let none = Attributes::default();
        let rotation = until_alone(|| {
            let object = self.fetch(id)?.ok_or_else(Refusal::not_found)?;
            let private = match (object.object_type, object.linked(LinkType::PrivateKeyLink)) {
                (ObjectType::PublicKey, Some(id)) => self.fetch(id)?.ok_or_else(Refusal::not_found)?,
                _ => object,
            };
            let by = By::Operator("rotate", &order);
            self.rotate(private, [&none, &none, &none], automatic, Cause::Operator, by)
        })?;
        tracing::info!("{}", Event::rotated(&rotation, Cause::Operator));
        Ok(Rotated {
            private: self.view(&rotation.new.private, now)?,
            public: self.view(&rotation.new.public, now)?,
        })
    }

    /// Brings a destroyed key back while its deletion window lasts.
    ///
    /// # Errors
    /// When there is no such key or nothing to bring back (any more).
    pub fn undelete_key(&self, id: &str, order: impl Into<Order>) -> Result<KeyView, Refusal> {
        let order = order.into();
        let now = order.now;
        let object = until_alone(|| {
            let mut object = self.fetch(id)?.ok_or_else(Refusal::not_found)?;
            lifecycle::undelete(&mut object, now)?;
            let event = Event::undeleted(&object, lifecycle::state_at(&object, now));
            self.commit(Batch::new().put(object.put()), vec![event], By::Operator("undelete", &order))?;
            Ok(object)
        })?;
        tracing::info!(id, "the operator brought a destroyed key back");
        Ok(self.view(&object, now)?)
    }

    fn view(&self, object: &Object, now: DateTime) -> Result<KeyView, StoreError> {
        let policies = self.policies.load();
        let policy = self.policy_of(&policies, object)?;
        let linked = |link_type| object.linked(link_type).map(str::to_owned);
        Ok(KeyView {
            id: object.id.clone(),
            owner: object.owner.clone(),
            object_type: object.object_type,
            kind: kind(object),
            state: lifecycle::state_at(object, now),
            names: object.all_names().map(str::to_owned).collect(),
            groups: object.groups().map(str::to_owned).collect(),
            generation: object.generation().unwrap_or(0),
            policy: policy.map(|policy| policy.name.clone()),
            other_half: object.other_half().map(str::to_owned),
            predecessor: linked(LinkType::ReplacedObjectLink),
            successor: linked(LinkType::ReplacementObjectLink),
            initial_date: object.initial_date(),
            activation_date: object.activation_date(),
            deactivation_date: object.deactivation_date(),
            rotates_at: rotates_at(object, policy),
            restorable_until: object.withheld.as_ref().map(|withheld| withheld.until),
        })
    }
}

/// Does `work`, and starts over where another request changed the object at the same moment.
pub(super) fn until_alone<T>(mut work: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    let mut tries = 0;
    loop {
        tries += 1;
        match work() {
            Err(refusal) if refusal.reason == Reason::Conflict && tries < limits::CONFLICTS => {}
            done => return done,
        }
    }
}

fn matches(query: &KeyQuery, view: &KeyView) -> bool {
    query.name.as_ref().is_none_or(|name| view.names.iter().any(|own| name.matches(own)))
        && query.state.is_none_or(|state| view.state == state)
        && query.generation.is_none_or(|generation| view.generation == generation)
}

fn kind(object: &Object) -> String {
    match (object.curve(), object.algorithm(), object.length()) {
        (Some(curve), ..) => curve.to_string(),
        (None, Some(algorithm), Some(length)) => format!("{algorithm}-{length}"),
        (None, Some(algorithm), None) => algorithm.to_string(),
        (None, None, _) => String::new(),
    }
}

/// When the pair of a private key is rotated without being asked, if it is at all.
pub(super) fn rotates_at(object: &Object, policy: Option<&Policy>) -> Option<DateTime> {
    if !object.is_up_for_rotation() {
        return None;
    }
    object.wished_rotation().or_else(|| policy?.due(object.interval_start()?))
}

impl KeyPage {
    /// The place `next` as one word, for whoever asks for the next page.
    #[must_use]
    pub fn cursor(hit: &Hit) -> String {
        format!("{}.{}", hex::encode(&hit.key), hit.id)
    }

    /// The place that such a word means; `None` for another word.
    #[must_use]
    pub fn place(cursor: &str) -> Option<Hit> {
        let (key, id) = cursor.split_once('.')?;
        let key = hex::decode(key).ok()?;
        is_object(id).then_some(())?;
        model::date_in(&key)?;
        Some(Hit { key, id: id.to_owned() })
    }
}
