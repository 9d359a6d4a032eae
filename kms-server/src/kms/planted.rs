//! Pairs that a seed describes: made with fixed identifiers, as if they had lived for a while; and described again.

use std::collections::BTreeMap;

use kms_protocol::DateTime;
use kms_protocol::attribute::{
    Attribute, CryptographicDomainParameters, CustomAttribute, Name, RevocationReason,
};
use kms_protocol::enums::{LinkType, ObjectType, RevocationReasonCode, State};
use kms_protocol::ttlv::{Interval, RawValue};

use super::model::Object;
use super::new_object::{complete, describe_material};
use super::notes::is_object;
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
    /// When a part of it is there already, an identifier is no UUID, dates run backwards, or the store fails.
    pub fn plant(&self, planted: &Planted, order: &Order) -> Result<bool, Refusal> {
        let wrong = |what: String| Err(Refusal::new(Reason::InvalidField, what));
        let ids = planted.generations.iter().flat_map(|one| [&one.private_id, &one.public_id]);
        let mut known = 0;
        for id in ids {
            if !is_object(id) {
                return wrong(format!("{id:?} is no UUID, which is what identifiers are here"));
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
                planted.links.iter().for_each(|(link, target)| pair.private.set_link(*link, target));
            }
            policies.file(&mut pair.private, &mut pair.public);
            seal(&mut pair.private, secret, &sealing)?;
            if let Some(generation) = planted.generations.get(at) {
                let end = planted.generations.get(at + 1).map_or(now, |next| next.created);
                for half in [&mut pair.private, &mut pair.public] {
                    reach(half, generation, end)?;
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

    /// Every pair that there is, as a seed would describe it. Key material is not among it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn described(&self, now: DateTime) -> Result<Vec<Planted>, Refusal> {
        let mut all = Vec::new();
        let mut query = KeyQuery { limit: limits::KEYS_LISTED, ..KeyQuery::default() };
        loop {
            let page = self.keys(&query, now)?;
            for key in page
                .keys
                .iter()
                .filter(|key| key.object_type == ObjectType::PrivateKey && key.successor.is_none())
            {
                if let Some(newest) = self.fetch(&key.id)? {
                    all.extend(self.described_pair(newest, now)?);
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(all);
            }
        }
    }

    fn described_pair(&self, newest: Object, now: DateTime) -> Result<Option<Planted>, Refusal> {
        let Some(public) = self.other_half(&newest)? else { return Ok(None) };
        let Some(algorithm) = newest.algorithm() else { return Ok(None) };
        let name = |object: &Object| object.names().next().map(|name| name.value.clone());
        let mut planted = Planted {
            owner: newest.owner.clone(),
            spec: KeySpec::new(algorithm, newest.length(), newest.curve())?,
            private_name: name(&newest),
            public_name: name(&public),
            groups: newest.groups().map(str::to_owned).collect(),
            custom: custom(&newest),
            links: Vec::new(),
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
            attributes.extend(planted.custom.iter().map(|(name, text)| {
                let (vendor, name) = ("x".to_owned(), name.clone());
                Attribute::Custom(CustomAttribute { vendor, name, value: RawValue::text(text) })
            }));
            attributes.extend(planted.rotate_interval.map(|wish| Attribute::RotateInterval(Interval(wish))));
        }
        Object::new(id.to_owned(), &planted.owner, object_type, attributes)
    };
    Pair {
        private: half(&generation.private_id, ObjectType::PrivateKey, &planted.private_name),
        public: half(&generation.public_id, ObjectType::PublicKey, &planted.public_name),
    }
}

/// Leads a half through its life up to a state: Active from its creation on, out of use from `end` on.
fn reach(half: &mut Object, generation: &Generation, end: DateTime) -> Result<(), Refusal> {
    if generation.state == State::PreActive {
        half.remove(kms_protocol::attribute::AttributeKind::ActivationDate);
        half.set(Attribute::State(State::PreActive));
        return Ok(());
    }
    if half.written_state() == Some(State::PreActive) {
        lifecycle::activate(half, generation.created)?;
    }
    let revoke = |half: &mut Object, code| {
        let reason = RevocationReason { code, message: None };
        lifecycle::revoke(half, reason, None, end)
    };
    match generation.state {
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
