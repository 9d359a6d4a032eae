//! What a seed describes: pairs and other objects with fixed identifiers, made as if they had lived for a while; and described
//! again.

mod objects;

use std::collections::{BTreeMap, BTreeSet};

pub use objects::{PlantedObject, Split};

use kms_protocol::DateTime;
use kms_protocol::attribute::{
    Attribute, CryptographicDomainParameters, CustomAttribute, Link, Name, RevocationReason,
};
use kms_protocol::enums::{LinkType, ObjectType, RevocationReasonCode, State};
use kms_protocol::ttlv::{Interval, RawValue};

use super::model::Object;
use super::new_object::{complete, describe_material};
use super::notes::{is_object, no_identifier};
use super::pairs::seal;
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::rotation::{self, Dates, Pair};
use super::{KeyQuery, Kms, Order, lifecycle};
use crate::crypto::{KeySpec, Secret};
use crate::limits;
use crate::store::Batch;

/// A pair with its earlier generations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planted {
    /// Whose it is.
    pub owner: String,
    /// What kind of pair.
    pub spec: KeySpec,
    /// The Name of the newest private key.
    pub private_name: Option<String>,
    /// The Name of the newest public key.
    pub public_name: Option<String>,
    /// Object Groups of all halves.
    pub groups: Vec<String>,
    /// Custom attributes of all halves: texts, by names without `x-`.
    pub custom: BTreeMap<String, String>,
    /// Links of the newest private key beside those of its life.
    pub links: Vec<(LinkType, String)>,
    /// Those of the newest public key.
    pub public_links: Vec<(LinkType, String)>,
    /// The client's own wish, in seconds.
    pub rotate_interval: Option<u32>,
    /// The generations, oldest first; one at least.
    pub generations: Vec<Generation>,
}

/// One generation of a pair.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generation {
    /// The private key's Unique Identifier.
    pub private_id: String,
    /// The public key's.
    pub public_id: String,
    /// When it was made.
    pub created: DateTime,
    /// In what state it is.
    pub state: State,
}

impl Kms {
    /// Makes a pair with all its generations in one commit; `false` where all of them are there already.
    ///
    /// # Errors
    /// When a part of it is there already, an identifier cannot be one, dates run backwards, or the store fails.
    pub fn plant(&self, planted: &Planted, order: &Order) -> Result<bool, Refusal> {
        let wrong = |what: String| Err(Refusal::new(Reason::InvalidField, what));
        let ids = planted.generations.iter().flat_map(|one| [&one.private_id, &one.public_id]);
        let mut known = 0;
        for id in ids {
            if !is_object(id) {
                return wrong(no_identifier(id));
            }
            known += usize::from(self.fetch(id)?.is_some());
        }
        if known == planted.generations.len() * 2 && known > 0 {
            return Ok(false);
        }
        if known > 0 {
            return wrong(format!(
                "{known} of the objects of this pair are there already, the others are not"
            ));
        }
        if !planted.generations.is_sorted_by_key(|one| one.created) {
            return wrong("generations are listed oldest first".to_owned());
        }
        let batch = self.grown(planted, order.now)?;
        // Nobody is told: they were always there.
        self.commit(batch, Vec::new(), By::Operator("seed", order))?;
        Ok(true)
    }

    fn grown(&self, planted: &Planted, now: DateTime) -> Result<Batch, Refusal> {
        let policies = self.policies.load_full();
        let mut pairs: Vec<(Pair, Secret)> = Vec::new();
        for generation in &planted.generations {
            let fresh = fresh(planted, generation, pairs.is_empty());
            let grown = match pairs.pop() {
                None => self.begun(planted, fresh, generation.created)?,
                Some((old, secret)) => {
                    let rotated = rotation::rotate(old, fresh, Dates::Renewed(0), None, generation.created);
                    pairs.push((rotated.old, secret));
                    self.followed(planted, rotated.new)?
                }
            };
            pairs.push(grown);
        }
        let sealing = self.keyring.sealing();
        let mut batch = Batch::new();
        for (at, (pair, secret)) in pairs.iter_mut().enumerate() {
            if at + 1 == planted.generations.len() {
                let halves = [(&mut pair.private, &planted.links), (&mut pair.public, &planted.public_links)];
                for (half, links) in halves {
                    half.attributes
                        .extend(links.iter().map(|(link, to)| Attribute::Link(Link::to(*link, to.clone()))));
                }
            }
            policies.file(&mut pair.private, &mut pair.public);
            seal(&mut pair.private, secret, &sealing)?;
            if let Some(generation) = planted.generations.get(at) {
                let end = planted.generations.get(at + 1).map_or(now, |next| next.created);
                for half in [&mut pair.private, &mut pair.public] {
                    reach(half, generation.state, generation.created, end)?;
                }
            }
            batch = batch.put(pair.private.put()).put(pair.public.put());
        }
        Ok(batch)
    }

    fn begun(&self, planted: &Planted, mut pair: Pair, at: DateTime) -> Result<(Pair, Secret), Refusal> {
        let (secret, digests) = self.fill(&mut pair, planted.spec)?;
        complete(&mut pair.private, planted.spec, digests[0], at);
        complete(&mut pair.public, planted.spec, digests[1], at);
        pair.private.set_link(LinkType::PublicKeyLink, &pair.public.id);
        pair.public.set_link(LinkType::PrivateKeyLink, &pair.private.id);
        Ok((pair, secret))
    }

    fn followed(&self, planted: &Planted, mut pair: Pair) -> Result<(Pair, Secret), Refusal> {
        let (secret, digests) = self.fill(&mut pair, planted.spec)?;
        for (half, digest) in [&mut pair.private, &mut pair.public].into_iter().zip(digests) {
            let format = half.default_format();
            describe_material(half, format, digest);
        }
        Ok((pair, secret))
    }

    /// Every pair that there is, and every other object, as a seed would describe it. No secret is among it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn described(&self, now: DateTime) -> Result<(Vec<Planted>, Vec<PlantedObject>), Refusal> {
        let mut pairs = Vec::new();
        let mut others = Vec::new();
        let mut query = KeyQuery { limit: limits::KEYS_LISTED, ..KeyQuery::default() };
        loop {
            let page = self.keys(&query, now)?;
            for key in &page.keys {
                let is_newest = key.object_type == ObjectType::PrivateKey && key.successor.is_none();
                let pair = match self.fetch(&key.id)? {
                    Some(newest) if is_newest => self.described_pair(newest, now)?,
                    _ => None,
                };
                match pair {
                    Some(pair) => pairs.push(pair),
                    None if PlantedObject::TYPES.contains(&key.object_type) => others.push(key.id.clone()),
                    None => {}
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        let told: BTreeSet<&String> = pairs
            .iter()
            .flat_map(|pair: &Planted| &pair.generations)
            .flat_map(|one| [&one.private_id, &one.public_id])
            .collect();
        let mut objects = Vec::new();
        for id in others.iter().filter(|id| !told.contains(id)) {
            if let Some(object) = self.fetch(id)? {
                objects.push(self.described_object(&object, now)?);
            }
        }
        Ok((pairs, objects))
    }

    fn described_pair(&self, newest: Object, now: DateTime) -> Result<Option<Planted>, Refusal> {
        let Some(public) = self.other_half(&newest)? else { return Ok(None) };
        let Some(algorithm) = newest.algorithm() else { return Ok(None) };
        // One of another kind was registered, and none like it can be made here.
        let Ok(spec) = KeySpec::new(algorithm, newest.length(), newest.curve()) else { return Ok(None) };
        let name = |object: &Object| object.names().next().map(|name| name.value.clone());
        let mut planted = Planted {
            owner: newest.owner.clone(),
            spec,
            private_name: name(&newest),
            public_name: name(&public),
            groups: newest.groups().map(str::to_owned).collect(),
            custom: custom(&newest),
            links: subject_links(&newest, &OF_PAIRS),
            public_links: subject_links(&public, &OF_PAIRS),
            rotate_interval: newest.rotate_interval().map(|interval| interval.0),
            generations: Vec::new(),
        };
        let mut at = Some(newest);
        while let Some(private) = at.filter(|_| planted.generations.len() < limits::GENERATIONS_TOLD) {
            planted.generations.insert(
                0,
                Generation {
                    public_id: private.other_half().unwrap_or_default().to_owned(),
                    created: private.initial_date().unwrap_or(now),
                    state: lifecycle::state_at(&private, now),
                    private_id: private.id.clone(),
                },
            );
            at = match private.linked(LinkType::ReplacedObjectLink) {
                Some(id) => self.fetch(id)?,
                None => None,
            };
        }
        Ok(Some(planted))
    }
}

/// Links that follow from what a pair is and was.
const OF_PAIRS: [LinkType; 4] = [
    LinkType::PublicKeyLink,
    LinkType::PrivateKeyLink,
    LinkType::ReplacedObjectLink,
    LinkType::ReplacementObjectLink,
];

/// The Links of an object, but for those of some types.
fn subject_links(object: &Object, but: &[LinkType]) -> Vec<(LinkType, String)> {
    let links = object.attributes.iter().filter_map(|attribute| match attribute {
        Attribute::Link(link) if !but.contains(&link.link_type) => {
            Some((link.link_type, link.target.as_text()?.to_owned()))
        }
        _ => None,
    });
    links.collect()
}

fn custom_attributes(custom: &BTreeMap<String, String>) -> impl Iterator<Item = Attribute> {
    custom.iter().map(|(name, text)| {
        let (vendor, name) = ("x".to_owned(), name.clone());
        Attribute::Custom(CustomAttribute { vendor, name, value: RawValue::text(text) })
    })
}

fn custom(object: &Object) -> BTreeMap<String, String> {
    let texts = object.attributes.iter().filter_map(|attribute| match attribute {
        Attribute::Custom(custom) if custom.vendor == "x" => {
            Some((custom.name.clone(), custom.value.as_text()?.to_owned()))
        }
        _ => None,
    });
    texts.collect()
}

/// A generation with nothing but what the seed says; what the first one has the next ones inherit.
fn fresh(planted: &Planted, generation: &Generation, is_first: bool) -> Pair {
    let half = |id: &str, object_type, name: &Option<String>| {
        let mut attributes = Vec::new();
        if is_first {
            attributes.push(Attribute::CryptographicAlgorithm(planted.spec.algorithm()));
            attributes.extend(planted.spec.curve().map(|curve| {
                Attribute::CryptographicDomainParameters(CryptographicDomainParameters {
                    qlength: None,
                    recommended_curve: Some(curve),
                })
            }));
            attributes.push(Attribute::CryptographicLength(planted.spec.bits()));
            attributes.extend(name.iter().map(|name| Attribute::Name(Name::text(name))));
            attributes
                .extend(planted.groups.iter().map(|group| Attribute::ObjectGroup(group.as_str().into())));
            attributes.extend(custom_attributes(&planted.custom));
            attributes.extend(planted.rotate_interval.map(|wish| Attribute::RotateInterval(Interval(wish))));
        }
        Object::new(id.to_owned(), &planted.owner, object_type, attributes)
    };
    Pair {
        private: half(&generation.private_id, ObjectType::PrivateKey, &planted.private_name),
        public: half(&generation.public_id, ObjectType::PublicKey, &planted.public_name),
    }
}

/// Leads an object through its life up to a state: Active from its creation on, out of use from `end` on.
fn reach(half: &mut Object, state: State, created: DateTime, end: DateTime) -> Result<(), Refusal> {
    if state == State::PreActive {
        half.remove(kms_protocol::attribute::AttributeKind::ActivationDate);
        half.set(Attribute::State(State::PreActive));
        return Ok(());
    }
    if half.written_state() == Some(State::PreActive) {
        lifecycle::activate(half, created)?;
    }
    let revoke = |half: &mut Object, code| {
        let reason = RevocationReason { code, message: None };
        lifecycle::revoke(half, reason, None, end)
    };
    match state {
        State::Deactivated => revoke(half, RevocationReasonCode::CessationOfOperation),
        State::Compromised => revoke(half, RevocationReasonCode::KeyCompromise),
        State::Destroyed => {
            revoke(half, RevocationReasonCode::CessationOfOperation)?;
            lifecycle::destroy(half, 0, end)
        }
        State::DestroyedCompromised => {
            revoke(half, RevocationReasonCode::KeyCompromise)?;
            lifecycle::destroy(half, 0, end)
        }
        _ => Ok(()),
    }
}
