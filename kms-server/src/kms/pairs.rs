//! Making and replacing key pairs: the one place where new key material meets its two objects.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, Attributes};
use kms_protocol::enums::{KeyFormatType, LinkType, ObjectType};
use kms_protocol::ttlv::Bytes;
use uuid::Uuid;

use super::model::{Material, Object};
use super::new_object::{complete, describe_material, pair_spec, requested};
use super::policy::Policies;
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::rotation::{self, Dates, Pair, Rotation};
use super::{Context, Event, Kms, lifecycle};
use crate::crypto::{KeyPair, KeySpec, Sealing, format, sha256};
use crate::limits;
use crate::store::{Batch, StoreError};

impl Kms {
    /// Makes a pair with the attributes that a request asks for, and commits it.
    pub(super) fn create_pair(
        &self,
        [common, private, public]: [&Attributes; 3],
        context: &mut Context<'_>,
    ) -> Result<Pair, Refusal> {
        let (owner, now) = (context.caller.principal.as_str(), context.now);
        let private = requested(common, private)?;
        let public = requested(common, public)?;
        let spec = pair_spec(&private, &public)?;
        let mut pair = Pair {
            private: new_half(owner, ObjectType::PrivateKey, private),
            public: new_half(owner, ObjectType::PublicKey, public),
        };
        for half in [&pair.private, &pair.public] {
            lifecycle::check_dates(half)?;
        }
        let Pair { private, public } = &pair;
        self.policies.load().check_new(private, public, &spec.to_string(), limits::LEAST_INTERVAL)?;
        let sealing = self.keyring.sealing();
        let digests = self.fill(&mut pair, spec, &sealing)?;
        complete(&mut pair.private, spec, digests[0], now);
        complete(&mut pair.public, spec, digests[1], now);
        pair.private.set_link(LinkType::PublicKeyLink, &pair.public.id);
        pair.public.set_link(LinkType::PrivateKeyLink, &pair.private.id);
        // Held until the commit is done: whoever files all keys under new policies waits for those who use the old.
        let policies = self.policies.load_full();
        policies.file(&mut pair.private, &mut pair.public);
        let batch = Batch::new().put(pair.private.put()).put(pair.public.put());
        self.commit(batch, vec![Event::created(&pair)], By::Client(context))?;
        Ok(pair)
    }

    /// Replaces the pair of a private key, all four halves in one commit. Where another request changes the pair
    /// meanwhile, the caller starts over; a pair that has a successor by then is refused.
    ///
    /// # Errors
    /// [`rotation::may_rotate`]'s, those of the attributes, and the store's.
    pub(super) fn rotate(
        &self,
        private: Object,
        attributes: [&Attributes; 3],
        by: impl Fn(&Policies, &Pair) -> (Dates, Option<i64>),
        who: By<'_, '_>,
    ) -> Result<Rotation, Refusal> {
        let now = who.now();
        let pair = self.pair_of(private)?;
        let policies = self.policies.load_full();
        let sealing = self.keyring.sealing();
        let how = by(&policies, &pair);
        let rotation = self.plan_rotation(&policies, pair, attributes, how, now, &sealing)?;
        let events = Event::of_rotation(&rotation, who.cause(), now);
        self.commit(rotation_batch(Batch::new(), &rotation), events, who)?;
        Ok(rotation)
    }

    /// Works out the rotation of a pair, new key material included, without committing it.
    pub(super) fn plan_rotation(
        &self,
        policies: &Policies,
        old: Pair,
        [common, private, public]: [&Attributes; 3],
        (dates, retire_after): (Dates, Option<i64>),
        now: DateTime,
        sealing: &Sealing<'_>,
    ) -> Result<Rotation, Refusal> {
        rotation::may_rotate(&old, now)?;
        let spec = spec_of(&old.private)?;
        let mut fresh = Pair {
            private: new_half(&old.private.owner, ObjectType::PrivateKey, requested(common, private)?),
            public: new_half(&old.public.owner, ObjectType::PublicKey, requested(common, public)?),
        };
        let digests = self.fill(&mut fresh, spec, sealing)?;
        for (half, digest) in [&mut fresh.private, &mut fresh.public].into_iter().zip(digests) {
            half.set_default(Attribute::CryptographicLength(spec.bits()));
            if let Some(algorithm) = old.private.algorithm() {
                half.set_default(Attribute::CryptographicAlgorithm(algorithm));
            }
            let format = half.default_format();
            describe_material(half, format, digest);
        }
        let mut planned = rotation::rotate(old, fresh, dates, retire_after, now);
        let Pair { private, public } = &mut planned.new;
        for half in [&*private, &*public] {
            lifecycle::check_dates(half)?;
        }
        policies.file(private, public);
        Ok(planned)
    }

    /// The pair of a private key.
    pub(super) fn pair_of(&self, private: Object) -> Result<Pair, Refusal> {
        if private.object_type != ObjectType::PrivateKey {
            return Err(Refusal::new(
                Reason::WrongObjectType,
                format!("this is a {}; name the pair by its private key", private.object_type),
            ));
        }
        let public = private.linked(LinkType::PublicKeyLink).map(|id| self.fetch(id)).transpose()?.flatten();
        match public.filter(|public| public.owner == private.owner) {
            Some(public) => Ok(Pair { private, public }),
            None => Err(Refusal::new(
                Reason::Denied,
                "the private key has no public half here to be replaced with it",
            )),
        }
    }

    /// Gives a pair of objects new key material; returns the digests of their default formats.
    fn fill(&self, pair: &mut Pair, spec: KeySpec, sealing: &Sealing<'_>) -> Result<[[u8; 32]; 2], Refusal> {
        let KeyPair { private, public } = self.pool.take(spec)?;
        let digests = match spec.curve() {
            None => {
                [sha256(format::pkcs8_to_pkcs1(&private)?.expose()), sha256(&format::spki_to_pkcs1(&public)?)]
            }
            Some(_) => [sha256(format::pkcs8_to_sec1(&private)?.expose()), sha256(&public)],
        };
        let sealed = sealing.seal(&pair.private.id, &private)?;
        pair.private.material = Some(Material::Sealed(Bytes(sealed)));
        pair.public.material = Some(Material::Public(Bytes(public)));
        Ok(digests)
    }
}

/// The change that a rotation is: all four halves or none.
pub(super) fn rotation_batch(batch: Batch, rotation: &Rotation) -> Batch {
    let Rotation { old, new } = rotation;
    batch.put(old.private.put()).put(old.public.put()).put(new.private.put()).put(new.public.put())
}

fn new_half(owner: &str, object_type: ObjectType, attributes: Vec<Attribute>) -> Object {
    Object {
        id: Uuid::new_v4().to_string(),
        owner: owner.to_owned(),
        object_type,
        attributes,
        material: None,
        policy: None,
        former_names: Vec::new(),
        is_kept: false,
        withheld: None,
        revision: None,
    }
}

/// The kind of pair that a private key belongs to.
fn spec_of(private: &Object) -> Result<KeySpec, Refusal> {
    let algorithm = private.algorithm().ok_or_else(|| {
        Refusal::new(Reason::Denied, "the key has no Cryptographic Algorithm to be re-keyed by")
    })?;
    Ok(KeySpec::new(algorithm, private.length(), private.curve())?)
}

/// The key of an object in a format that a client asked for.
pub(super) fn in_format(
    object: &Object,
    material: &kms_protocol::Secret,
    wanted: KeyFormatType,
) -> Result<kms_protocol::Secret, Refusal> {
    let rsa = object.default_format() == KeyFormatType::Pkcs1;
    let copy = |bytes: &[u8]| kms_protocol::Secret::from(bytes);
    match (object.object_type, wanted) {
        (ObjectType::PrivateKey, KeyFormatType::Pkcs8) => Ok(copy(material.expose())),
        (ObjectType::PrivateKey, KeyFormatType::Pkcs1) if rsa => Ok(format::pkcs8_to_pkcs1(material)?),
        (ObjectType::PrivateKey, KeyFormatType::EcPrivateKey) if !rsa => Ok(format::pkcs8_to_sec1(material)?),
        (ObjectType::PublicKey, KeyFormatType::X509) => Ok(copy(material.expose())),
        (ObjectType::PublicKey, KeyFormatType::Pkcs1) if rsa => {
            Ok(kms_protocol::Secret::new(format::spki_to_pkcs1(material.expose())?))
        }
        (_, other) => Err(Refusal::new(
            Reason::KeyFormat,
            format!(
                "a {} cannot be had as {other}; its default format is {}",
                object.object_type,
                object.default_format()
            ),
        )),
    }
}

/// Whether a store error means that another request was quicker.
pub(super) fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. } | StoreError::Duplicate { .. })
}
