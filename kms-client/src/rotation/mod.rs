//! "Which of my keys were rotated?", asked so that any server from 1.2 to 2.1 can answer.
//!
//! Attributes of all known public keys in batches; Replacement Object Links to their end; where there is none, Locate by
//! Name, by Object Group and, on 2.1, by Rotate Name, each hit verified, since servers over-match. Everything that the
//! server says is collected first ([`Discovery`]); what it means is decided without asking ([`chain`]).

mod chain;

use std::collections::{BTreeMap, BTreeSet};

use kms_protocol::attribute::{Attribute, AttributeList, Name};
use kms_protocol::enums::{LinkType, ObjectType, ResultReason, State};
use kms_protocol::operation::LocateRequest;
use kms_protocol::{DateTime, Version};

use crate::client::Client;
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::keys::{IssuedKey, PUBLIC_SUFFIX, PublicKey, View, locate_by};
use crate::limits;

use chain::{Choice, End, Seen, Verdict, choose, walk};

/// A key pair that the caller encrypts with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownKey {
    /// Unique Identifier of its public half.
    pub public_id: String,
    /// Unique Identifier of its private half.
    pub private_id: String,
    /// The name that it was requested by ([`Client::request_key`]); a replacement takes it over.
    pub name: String,
    /// What kind of pair: a replacement has to be of the same algorithm and not shorter.
    pub spec: KeySpec,
}

/// What became of a known key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// It is Active and nothing newer replaces it.
    Unchanged,
    /// Links lead to a newer pair, the newest Active one on the chain.
    Rotated {
        /// How many links lie between: at least 1.
        generations: u32,
        /// The pair to encrypt with from now on.
        newest: IssuedKey,
    },
    /// No link leads on, but the known key's Name, Object Group or Rotate Name now belongs to a newer Active pair.
    Moved {
        /// The pair to encrypt with from now on.
        newest: IssuedKey,
    },
    /// A successor exists, or the key itself waits, but is Pre-Active: nothing changes until its Activation Date.
    PendingActivation {
        /// The public key that waits.
        public_id: String,
        /// The known key's own state; it may encrypt until then only where that is Active. `None` where it is gone.
        known: Option<State>,
    },
    /// The key must not encrypt any more and nothing replaces it.
    RetiredWithoutSuccessor {
        /// The state that it is in.
        state: State,
    },
    /// The server holds no such key, or does not show it to this client, and nothing replaces it.
    Gone,
    /// Several pairs could be the successor and nothing tells which one is.
    Ambiguous {
        /// Unique Identifiers of their public halves.
        candidates: Vec<String>,
        /// The known key's own state; `None` where it is gone.
        known: Option<State>,
    },
    /// A successor is named that cannot be adopted.
    Unusable {
        /// The object at which the search ended.
        id: String,
        /// Why.
        why: Unusable,
        /// The known key's own state; `None` where it is gone.
        known: Option<State>,
    },
    /// The server refused to say anything about this key.
    Failed {
        /// What it said.
        error: Error,
    },
}

/// Why a successor cannot be adopted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Unusable {
    /// A link leads to it, but the server holds no such object.
    Missing,
    /// The links lead in a circle.
    Cycle,
    /// More links than [`limits::GENERATIONS`].
    TooDeep,
    /// It is of another algorithm, shorter, or may not encrypt.
    Weaker,
    /// Its private half cannot be found.
    NoPrivateKey,
}

impl Client {
    /// What became of each of these keys, in their order. All of them are asked about in full.
    ///
    /// # Errors
    /// When the server cannot be asked. What is wrong with one key is its finding.
    pub async fn rotation_info(&self, known: &[KnownKey]) -> Result<Vec<Finding>, Error> {
        Discovery::new(self, known).run(false).await
    }

    /// The same, for a caller that has asked before, at `since`: where the server shows no public key newer than that,
    /// keys that are Active and have no link are not searched for by name. A full [`Client::rotation_info`] from time
    /// to time finds what this can miss: a successor without a link that was made before and is Active only now.
    ///
    /// # Errors
    /// See [`Client::rotation_info`].
    pub async fn rotation_info_since(
        &self,
        known: &[KnownKey],
        since: DateTime,
        now: DateTime,
    ) -> Result<Vec<Finding>, Error> {
        let quiet = self.is_quiet(known, since, now).await?;
        Discovery::new(self, known).run(quiet).await
    }

    /// Whether the server says, credibly, that no public key but the known ones was made since then.
    async fn is_quiet(&self, known: &[KnownKey], since: DateTime, now: DateTime) -> Result<bool, Error> {
        let from = since.plus(-limits::OVERLAP);
        let request = LocateRequest {
            maximum_items: i32::try_from(limits::CANDIDATES + known.len()).ok(),
            attributes: AttributeList(vec![
                Attribute::ObjectType(ObjectType::PublicKey),
                Attribute::InitialDate(from),
                Attribute::InitialDate(now.plus(limits::OVERLAP)),
            ]),
            ..LocateRequest::default()
        };
        let mine: BTreeSet<_> = known.iter().map(|key| key.public_id.as_str()).collect();
        match self.locate(&request).await {
            Ok(found) => Ok(found.unique_identifiers.iter().all(|id| mine.contains(id.as_str()))),
            Err(error) if error.reason().is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Everything that the server says about a set of keys.
struct Discovery<'a> {
    client: &'a Client,
    known: &'a [KnownKey],
    seen: BTreeMap<String, Seen>,
}

impl<'a> Discovery<'a> {
    fn new(client: &'a Client, known: &'a [KnownKey]) -> Self {
        Self { client, known, seen: BTreeMap::new() }
    }

    async fn run(mut self, quiet: bool) -> Result<Vec<Finding>, Error> {
        let version = self.client.version().await?;
        self.follow_links().await?;
        let mut verdicts: Vec<Verdict> =
            self.known.iter().map(|key| chain::by_links(key, &walk(&key.public_id, &self.seen))).collect();
        self.search(&mut verdicts, quiet, |key, _| {
            Some(Attribute::Name(Name::text(format!("{}{PUBLIC_SUFFIX}", key.name))))
        })
        .await?;
        self.search(&mut verdicts, quiet, |key, _| Some(Attribute::ObjectGroup(key.name.clone()))).await?;
        if version >= Version::V2_1 {
            self.search(&mut verdicts, quiet, |_, view| view?.rotate_name().cloned()).await?;
        }
        self.issue(verdicts).await
    }

    /// Asks about the known keys, then about what their links lead to, until there is nothing new.
    async fn follow_links(&mut self) -> Result<(), Error> {
        self.ask(self.known.iter().map(|key| key.public_id.clone()).collect()).await?;
        for _ in 0..limits::GENERATIONS {
            let next: BTreeSet<String> = self
                .known
                .iter()
                .filter_map(|key| match walk(&key.public_id, &self.seen).end {
                    End::Unseen(id) => Some(id),
                    _ => None,
                })
                .collect();
            if next.is_empty() {
                break;
            }
            self.ask(next).await?;
        }
        Ok(())
    }

    /// Asks about objects that have not been asked about yet.
    async fn ask(&mut self, ids: BTreeSet<String>) -> Result<(), Error> {
        let ids: Vec<_> = ids.into_iter().filter(|id| !self.seen.contains_key(id)).collect();
        let views = self.client.views(&ids).await;
        for (id, view) in ids.into_iter().zip(views) {
            let seen = match view {
                Ok(view) => Seen::There(Box::new(view)),
                Err(Error::NoSuchKey(_)) => Seen::Missing,
                Err(error) if error.reason() == Some(ResultReason::ObjectDestroyed) => Seen::Destroyed,
                Err(error) if error.reason().is_some() => Seen::Refused(error),
                Err(error) => return Err(error),
            };
            self.seen.insert(id, seen);
        }
        Ok(())
    }

    /// For keys without a verdict: Locate by an attribute, verify the hits, choose among them.
    async fn search(
        &mut self,
        verdicts: &mut [Verdict],
        quiet: bool,
        attribute: impl Fn(&KnownKey, Option<&View>) -> Option<Attribute>,
    ) -> Result<(), Error> {
        let mut asked: Vec<(usize, Attribute)> = Vec::new();
        for (at, (key, verdict)) in self.known.iter().zip(verdicts.iter()).enumerate() {
            let view = self.view(&key.public_id);
            let wanted = match verdict {
                Verdict::Active => !quiet,
                Verdict::Lost(_) => true,
                _ => false,
            };
            if wanted && let Some(attribute) = attribute(key, view) {
                asked.push((at, attribute));
            }
        }
        let requests: Vec<_> =
            asked.iter().map(|(_, attribute)| locate_by(attribute.clone(), ObjectType::PublicKey)).collect();
        let mut hits: Vec<Vec<String>> = Vec::new();
        for answer in self.client.batch(&requests).await {
            hits.push(match answer {
                Ok(found) => found.unique_identifiers.into_iter().take(limits::CANDIDATES).collect(),
                // A server that cannot search this way has no hits; the other ways remain.
                Err(error) if error.reason().is_some() => Vec::new(),
                Err(error) => return Err(error),
            });
        }
        self.ask(hits.iter().flatten().cloned().collect()).await?;
        for ((at, attribute), hits) in asked.into_iter().zip(hits) {
            let (Some(key), Some(verdict)) = (self.known.get(at), verdicts.get_mut(at)) else { continue };
            let verified = hits
                .iter()
                .filter_map(|id| self.view(id))
                .filter(|view| view.is_of(ObjectType::PublicKey) && view.has(&attribute));
            let known = self.state(key);
            *verdict = match choose(key, self.view(&key.public_id), verified) {
                Choice::None => continue,
                Choice::One(id) => Verdict::Adopt { id, generations: None },
                Choice::Pending(public_id) => Verdict::Is(Finding::PendingActivation { public_id, known }),
                Choice::Several(candidates) => Verdict::Is(Finding::Ambiguous { candidates, known }),
                Choice::Weaker(id) => Verdict::Is(Finding::Unusable { id, why: Unusable::Weaker, known }),
            };
        }
        Ok(())
    }

    /// Turns verdicts into findings; fetches the public keys to adopt and finds their private halves.
    async fn issue(self, verdicts: Vec<Verdict>) -> Result<Vec<Finding>, Error> {
        let adopted: BTreeSet<&String> = verdicts
            .iter()
            .filter_map(|verdict| match verdict {
                Verdict::Adopt { id, .. } => Some(id),
                _ => None,
            })
            .collect();
        let keys = self.client.public_keys(adopted.into_iter().cloned().collect()).await?;
        let version = self.client.version().await?;
        let mut findings = Vec::with_capacity(verdicts.len());
        for (key, verdict) in self.known.iter().zip(verdicts) {
            findings.push(match verdict {
                Verdict::Active => Finding::Unchanged,
                Verdict::Is(finding) | Verdict::Lost(finding) => finding,
                Verdict::Adopt { id, generations } => match (self.view(&id), keys.get(&id)) {
                    (Some(view), Some(Ok(public))) => {
                        self.adopt(key, view, public, generations, version).await?
                    }
                    (_, Some(Err(error))) => Finding::Failed { error: error.clone() },
                    _ => Finding::Unusable { id, why: Unusable::Missing, known: self.state(key) },
                },
            });
        }
        Ok(findings)
    }

    async fn adopt(
        &self,
        key: &KnownKey,
        view: &View,
        public: &PublicKey,
        generations: Option<u32>,
        version: Version,
    ) -> Result<Finding, Error> {
        let unusable = |why| Finding::Unusable { id: view.id.clone(), why, known: self.state(key) };
        if !i32::try_from(public.bits).is_ok_and(|bits| key.spec.takes(bits)) {
            return Ok(unusable(Unusable::Weaker));
        }
        let Some(private_id) = self.private_half(key, view).await? else {
            return Ok(unusable(Unusable::NoPrivateKey));
        };
        let newest = IssuedKey {
            private_id,
            public_id: view.id.clone(),
            public_key_spki: public.spki.clone(),
            bits: public.bits,
            version,
        };
        Ok(match generations {
            Some(generations) => Finding::Rotated { generations, newest },
            None => Finding::Moved { newest },
        })
    }

    /// By its Link; by its name only where that leads to another private key than the known one.
    async fn private_half(&self, key: &KnownKey, view: &View) -> Result<Option<String>, Error> {
        if let Some(id) = view.link(LinkType::PrivateKeyLink) {
            return Ok(Some(id.to_owned()));
        }
        match self.client.private_half(view, &key.name).await {
            Ok(found) => Ok(found.filter(|id| *id != key.private_id)),
            Err(error) if error.reason().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The state of a known key itself.
    fn state(&self, key: &KnownKey) -> Option<State> {
        match self.seen.get(&key.public_id) {
            Some(Seen::There(view)) => view.state,
            Some(Seen::Destroyed) => Some(State::Destroyed),
            _ => None,
        }
    }

    fn view(&self, id: &str) -> Option<&View> {
        match self.seen.get(id) {
            Some(Seen::There(view)) => Some(view),
            _ => None,
        }
    }
}
