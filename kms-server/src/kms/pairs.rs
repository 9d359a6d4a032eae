//! Making and replacing key pairs: the one place where new key material meets its two objects.

use kms_protocol::DateTime;
use kms_protocol::attribute::{Attribute, Attributes};
use kms_protocol::enums::{CryptographicAlgorithm, LinkType, ObjectType};
use kms_protocol::ttlv::Bytes;

use super::model::{Material, Object};
use super::new_object::{complete, describe_material, new_id, pair_spec, requested};
use super::policy::Policies;
use super::recorded::By;
use super::refusal::{Reason, Refusal};
use super::rotation::{self, Dates, Pair, Rotation};
use super::{Cause, Context, Event, Kms, lifecycle};
use crate::crypto::seal::sealed_with;
use crate::crypto::{KeyId, KeyPair, KeySpec, Sealing, Secret, format, sha256};
use crate::limits;
use crate::store::{Batch, Put, StoreError};

impl Kms {
    /// Makes a pair with the attributes that a request asks for, and commits it.
    pub(super) fn create_pair(
        &self,
        [common, private, public]: [&Attributes; 3],
        context: &mut Context<'_>,
    ) -> Result<Pair, Refusal> {
        let (owner, now) = (context.caller.principal.as_str(), context.now);
        let mut private = requested(common, private)?;
        let mut public = requested(common, public)?;
        self.with_defaults(ObjectType::PrivateKey, &mut private, &[], context)?;
        self.with_defaults(ObjectType::PublicKey, &mut public, &[], context)?;
        let spec = pair_spec(&private, &public)?;
        if matches!(spec, KeySpec::Ed25519 | KeySpec::X25519) && !context.version.is_2x() {
            return Err(Refusal::new(
                Reason::UnsupportedParameters,
                format!("{spec} came with KMIP 2.0: ask in that version, or for P-256"),
            ));
        }
        let mut pair = Pair {
            private: Object::new(new_id(now), owner, ObjectType::PrivateKey, private),
            public: Object::new(new_id(now), owner, ObjectType::PublicKey, public),
        };
        for half in [&pair.private, &pair.public] {
            lifecycle::check_dates(half)?;
        }
        // Held until the commit is done: whoever files all keys under new policies waits for those who use the old.
        let policies = self.policies.load_full();
        for half in [&mut pair.private, &mut pair.public] {
            half.shares_names = policies.compatibility.shared_names;
        }
        policies.check_new(&pair, &spec.to_string(), limits::LEAST_INTERVAL)?;
        let (secret, digests) = self.fill(&mut pair, spec)?;
        complete(&mut pair.private, spec, digests[0], now);
        complete(&mut pair.public, spec, digests[1], now);
        pair.private.set_link(LinkType::PublicKeyLink, &pair.public.id);
        pair.public.set_link(LinkType::PrivateKeyLink, &pair.private.id);
        policies.file(&mut pair.private, &mut pair.public);
        for half in [&pair.private, &pair.public] {
            self.admit(half, context)?;
        }
        let sealing = self.keyring.sealing();
        seal(&mut pair.private, &secret, &sealing)?;
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
        cause: Cause,
        who: By<'_, '_>,
    ) -> Result<Rotation, Refusal> {
        let public = self.other_half(&private)?;
        let pair = joined(private, public)?;
        let policies = self.policies.load_full();
        let how = by(&policies, &pair);
        let (mut rotation, secret) = self.plan_rotation(&policies, pair, attributes, how, who.now())?;
        if let By::Client(context) = &who {
            // What falls due by itself is due whatever constraints were set since.
            self.check_constraints(&rotation.new.private, None, context.now)?;
            self.check_constraints(&rotation.new.public, None, context.now)?;
        }
        let sealing = self.keyring.sealing();
        seal(&mut rotation.new.private, &secret, &sealing)?;
        let events = Event::of_rotation(&rotation, cause);
        let batch = Batch { puts: rotation_puts(&rotation), deletes: Vec::new() };
        self.commit(batch, events, who)?;
        Ok(rotation)
    }

    /// Works out the rotation of a pair, new key material included, without committing it. The new private key is still
    /// to be sealed.
    pub(super) fn plan_rotation(
        &self,
        policies: &Policies,
        old: Pair,
        attributes: [&Attributes; 3],
        (dates, retire_after): (Dates, Option<i64>),
        now: DateTime,
    ) -> Result<(Rotation, Secret), Refusal> {
        rotation::may_rotate(&old, now)?;
        let [common, private, public] = attributes;
        let spec = spec_of(&old.private)?;
        // What a client states must fit; what falls due states nothing.
        let before = attributes.iter().any(|attributes| !attributes.list.is_empty()).then(|| old.clone());
        let half = |object_type, old: &Object, own| {
            Ok::<_, Refusal>(Object::new(new_id(now), &old.owner, object_type, requested(common, own)?))
        };
        let fresh = Pair {
            private: half(ObjectType::PrivateKey, &old.private, private)?,
            public: half(ObjectType::PublicKey, &old.public, public)?,
        };
        check_same_kind(&old, &fresh, spec)?;
        let mut planned = rotation::rotate(old, fresh, dates, retire_after, now);
        let Pair { private, public } = &mut planned.new;
        for half in [&mut *private, &mut *public] {
            half.set_default(Attribute::CryptographicLength(spec.bits()));
            lifecycle::check_dates(half)?;
        }
        policies.file(private, public);
        if let Some(before) = before {
            policies.check_successor(&before, &planned.new, &spec.to_string(), limits::LEAST_INTERVAL)?;
        }
        let (secret, digests) = self.fill(&mut planned.new, spec)?;
        for (half, digest) in [&mut planned.new.private, &mut planned.new.public].into_iter().zip(digests) {
            let format = half.default_format();
            describe_material(half, format, digest);
        }
        Ok((planned, secret))
    }

    /// Gives a pair of objects new key material, but for the private key, which is returned to be sealed; and the digests
    /// of their default formats.
    pub(super) fn fill(&self, pair: &mut Pair, spec: KeySpec) -> Result<(Secret, [[u8; 32]; 2]), Refusal> {
        let KeyPair { private, public } = self.pool.take(spec)?;
        let digests = match spec.algorithm() {
            CryptographicAlgorithm::Rsa => {
                [sha256(format::pkcs8_to_pkcs1(&private)?.expose()), sha256(&format::spki_to_pkcs1(&public)?)]
            }
            _ if pair.private.is_of_sec1() => {
                [sha256(format::pkcs8_to_sec1(&private)?.expose()), sha256(&public)]
            }
            _ => [sha256(private.expose()), sha256(&public)],
        };
        pair.public.material = Some(Material::Public(Bytes(public)));
        Ok((private, digests))
    }
}

/// Gives a private key its material. `sealing` is held from here to the commit, and not while keys are generated:
/// whoever changes the store's key waits for it.
pub(super) fn seal(private: &mut Object, secret: &Secret, sealing: &Sealing<'_>) -> Result<(), Refusal> {
    let sealed = sealing.seal(&private.id, secret)?;
    private.material = Some(Material::Sealed(Bytes(sealed)));
    Ok(())
}

/// Whether a private key is sealed with this key of the store.
pub(super) fn is_sealed_with(private: &Object, key: KeyId) -> bool {
    match &private.material {
        Some(Material::Sealed(sealed)) => sealed_with(&sealed.0).is_ok_and(|with| with == key),
        _ => false,
    }
}

/// The pair of a private key and its other half.
pub(super) fn joined(private: Object, public: Option<Object>) -> Result<Pair, Refusal> {
    if private.object_type != ObjectType::PrivateKey {
        return Err(Refusal::new(
            Reason::WrongObjectType,
            format!("this is a {}; name the pair by its private key", private.object_type),
        ));
    }
    match public.filter(|public| public.owner == private.owner) {
        Some(public) => Ok(Pair { private, public }),
        None => Err(Refusal::new(
            Reason::Denied,
            "the private key has no public half here to be replaced with it",
        )),
    }
}

/// What a rotation writes: all four halves.
pub(super) fn rotation_puts(rotation: &Rotation) -> Vec<Put> {
    let Rotation { old, new, .. } = rotation;
    [&old.private, &old.public, &new.private, &new.public].map(Object::put).to_vec()
}

/// A pair is replaced by one of its own kind: what a request says of that has to be so.
fn check_same_kind(old: &Pair, fresh: &Pair, spec: KeySpec) -> Result<(), Refusal> {
    for (old, half) in [(&old.private, &fresh.private), (&old.public, &fresh.public)] {
        let differs = |stated: bool, same: bool| stated && !same;
        if differs(half.algorithm().is_some(), half.algorithm() == old.algorithm())
            || differs(half.length().is_some(), half.length() == Some(spec.bits()))
            || differs(half.curve().is_some(), half.curve() == spec.curve())
        {
            return Err(Refusal::new(
                Reason::InvalidField,
                format!(
                    "the pair is {spec}, and its replacement is of the same kind: leave out Cryptographic Algorithm, \
                     Cryptographic Length and Cryptographic Domain Parameters, or create a new pair"
                ),
            ));
        }
    }
    Ok(())
}

/// The kind of pair that a private key belongs to.
pub(super) fn spec_of(private: &Object) -> Result<KeySpec, Refusal> {
    let algorithm = private.algorithm().ok_or_else(|| {
        Refusal::new(Reason::Denied, "the key has no Cryptographic Algorithm to be re-keyed by")
    })?;
    Ok(KeySpec::new(algorithm, private.length(), private.curve())?)
}

/// Whether a store error means that another request was quicker.
pub(super) fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. } | StoreError::Duplicate { .. })
}
